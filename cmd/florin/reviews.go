package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"florin/domain/account"
	"florin/infra/database"
	accountsvc "florin/service/account"
)

func (p *program) reviewsCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "reviews", Short: "Decide what a person must decide", Args: cobra.NoArgs,
		Long: "Money that belongs to no payment, a debt, a difference to a provider's list: each has a review, open until somebody settles it.",
	}
	var filter account.ReviewFilter
	var all bool
	var limit int
	var before string
	list := &cobra.Command{
		Use: "list", Short: "List the open ones, newest first", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if !all {
				filter.Status = account.ReviewOpen
			}
			return p.listReviews(c.Context(), filter, before, limit)
		},
	}
	list.Flags().StringVar(&filter.Kind, "kind", "", "only those of this kind")
	list.Flags().BoolVar(&all, "all", false, "the settled ones too")
	list.Flags().IntVar(&limit, "limit", 100, "how many at the most")
	list.Flags().StringVar(&before, "before", "", "only those older than the one with this id")
	show := &cobra.Command{
		Use: "show ID", Short: "Show one with the money that waits, and what can be decided", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return p.showReview(c.Context(), args[0]) },
	}
	var outcome, reason, credited string
	settle := &cobra.Command{
		Use: "settle ID", Short: "Book a decision", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return p.settleReview(c.Context(), args[0], outcome, credited, reason)
		},
	}
	settle.Flags().StringVar(&outcome, "outcome", "",
		"credit_account, charge_account, take_back, return_to_payer, write_off or dismiss (required)")
	settle.Flags().StringVar(&credited, "account", "", "the account that credit_account credits")
	settle.Flags().StringVar(&reason, "reason", "", "why, for the audit (required)")
	for _, name := range []string{"outcome", "reason"} {
		_ = settle.MarkFlagRequired(name) // fails only for a flag that does not exist
	}
	c.AddCommand(list, show, settle)
	return c
}

// onReviews opens the store for one command. What it settles, running servers relay.
func (p *program) onReviews(ctx context.Context, do func(*accountsvc.Service) error) error {
	return p.withStore(ctx, func(db *database.DB) error {
		service := accountsvc.NewService(accountsvc.ServiceDeps{Ledger: database.NewLedger(db), Books: database.NewBooks(db), Reviews: database.NewReviews(db),
			EventBus: database.NewBus(nil), Clock: systemClock, Log: p.commandLog(slog.LevelWarn)})
		return errors.Join(do(service), service.Close(ctx))
	})
}

// shownReview is a review as it is printed.
type shownReview struct {
	ID            uuid.UUID  `json:"id"`
	Kind          string     `json:"kind"`
	Status        string     `json:"status"`
	TransactionID *uuid.UUID `json:"transaction_id"`
	InboxID       *uuid.UUID `json:"inbox_id"`
	Detail        string     `json:"detail"`
	CreatedAt     time.Time  `json:"created_at"`
	SettledAt     *time.Time `json:"settled_at"`
	SettledBy     string     `json:"settled_by,omitempty"`
	SettledWhy    string     `json:"settled_why,omitempty"`
	Outcome       string     `json:"outcome,omitempty"`
	SettlementID  *uuid.UUID `json:"settlement_transaction_id"`
	Standing      string     `json:"standing,omitempty"`
	Outcomes      []string   `json:"outcomes,omitempty"`
}

func shownReviewOf(r account.Review) shownReview {
	s := shownReview{ID: r.ID, Kind: r.Kind, Status: string(r.Status), Detail: r.Detail, CreatedAt: r.CreatedAt, SettledBy: r.SettledBy,
		SettledWhy: r.SettledWhy, Outcome: string(r.Outcome)}
	for id, into := range map[*uuid.UUID]**uuid.UUID{&r.TransactionID: &s.TransactionID, &r.InboxID: &s.InboxID, &r.SettlementID: &s.SettlementID} {
		if *id != uuid.Nil {
			*into = id
		}
	}
	if !r.SettledAt.IsZero() {
		s.SettledAt = &r.SettledAt
	}
	return s
}

func shownDetail(d accountsvc.ReviewDetail) shownReview {
	s := shownReviewOf(d.Review)
	if !d.Standing.IsZero() {
		s.Standing = d.Standing.String()
	}
	for _, outcome := range d.Outcomes {
		s.Outcomes = append(s.Outcomes, string(outcome))
	}
	return s
}

func (s shownReview) text(w io.Writer) {
	fmt.Fprintf(w, "id           %s\nkind         %s\nstatus       %s\ndetail       %q\nsince        %s\n", s.ID, s.Kind, s.Status, s.Detail,
		s.CreatedAt.Format(time.RFC3339))
	for name, id := range map[string]*uuid.UUID{"transaction": s.TransactionID, "inbox": s.InboxID} {
		if id != nil {
			fmt.Fprintf(w, "%-12s %s\n", name, id)
		}
	}
	if s.Standing != "" {
		fmt.Fprintf(w, "money        %s\n", s.Standing)
	}
	if len(s.Outcomes) > 0 {
		fmt.Fprintf(w, "outcomes     %s\n", strings.Join(s.Outcomes, ", "))
	}
	if s.SettledBy != "" {
		fmt.Fprintf(w, "settled      %s by %s: %q\n", s.Outcome, s.SettledBy, s.SettledWhy)
	}
	if s.SettlementID != nil {
		fmt.Fprintf(w, "booked by    %s\n", s.SettlementID)
	}
}

func (p *program) listReviews(ctx context.Context, filter account.ReviewFilter, before string, limit int) error {
	page, err := pageBefore(before, limit)
	if err != nil {
		return err
	}
	return p.onReviews(ctx, func(service *accountsvc.Service) error {
		found, err := service.Reviews(ctx, filter, page)
		if err != nil {
			return err
		}
		list := make([]shownReview, 0, len(found))
		for _, r := range found {
			list = append(list, shownReviewOf(r))
		}
		return p.print(map[string]any{"data": list}, func(w io.Writer) {
			for _, r := range list {
				fmt.Fprintf(w, "%s  %s  %-8s %-26s %s\n", r.ID, r.CreatedAt.Format(time.RFC3339), r.Status, r.Kind, r.Detail)
			}
			fmt.Fprintf(w, "%d reviews\n", len(list))
		})
	})
}

func (p *program) showReview(ctx context.Context, id string) error {
	parsed, err := parseID(id)
	if err != nil {
		return err
	}
	return p.onReviews(ctx, func(service *accountsvc.Service) error {
		found, err := service.Review(ctx, parsed)
		if err != nil {
			return err
		}
		one := shownDetail(found)
		return p.print(one, one.text)
	})
}

func (p *program) settleReview(ctx context.Context, id, outcome, credited, reason string) error {
	in := accountsvc.Settlement{Outcome: account.ReviewOutcome(outcome), By: account.Operator{Name: operator(), Reason: reason}}
	for text, into := range map[string]*uuid.UUID{id: &in.ReviewID, credited: &in.AccountID} {
		if text == "" {
			continue
		}
		parsed, err := parseID(text)
		if err != nil {
			return err
		}
		*into = parsed
	}
	return p.onReviews(ctx, func(service *accountsvc.Service) error {
		settled, err := service.SettleReview(ctx, in)
		if err != nil {
			return err
		}
		one := shownDetail(settled)
		return p.print(one, one.text)
	})
}
