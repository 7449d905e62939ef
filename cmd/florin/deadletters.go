package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/user"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"florin/domain/account"
	"florin/infra/database"
)

func (p *program) deadLettersCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "dead-letters", Short: "Look after what could not be worked off", Args: cobra.NoArgs,
		Long: "A provider's event, an event for a subscriber or a message that failed too often is a dead letter: kept, with its reason, " +
			"until somebody redrives or discards it.",
	}
	var filter account.DeadLetterFilter
	narrowed := func(c *cobra.Command) {
		c.Flags().StringVar((*string)(&filter.Source), "source", "", "only those of inbox, subscriber or delivery")
		c.Flags().StringVar(&filter.SourceName, "name", "", "only those of this subscriber or channel")
	}
	var all bool
	var limit int
	var before string
	list := &cobra.Command{
		Use: "list", Short: "List the open ones, newest first", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if !all {
				filter.Status = account.DeadLetterOpen
			}
			return p.listDeadLetters(c.Context(), filter, before, limit)
		},
	}
	narrowed(list)
	list.Flags().BoolVar(&all, "all", false, "the settled ones too")
	list.Flags().IntVar(&limit, "limit", 100, "how many at the most")
	list.Flags().StringVar(&before, "before", "", "only those older than the one with this id")
	show := &cobra.Command{
		Use: "show ID", Short: "Show one with its payload", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return p.showDeadLetter(c.Context(), args[0]) },
	}
	c.AddCommand(list, show)
	for _, act := range []settlingCommand{
		{"redrive", "Have a running server work them off once more", account.DeadLetterRedriven, (*database.DeadLetters).Redrive},
		{"discard", "Give them up", account.DeadLetterDiscarded, (*database.DeadLetters).Discard},
	} {
		var reason string
		command := &cobra.Command{
			Use: act.verb + " [ID...]", Short: act.short + "; without an id, all that are open of a source",
			Args: func(_ *cobra.Command, args []string) error {
				if (len(args) == 0) == (filter.Source == "") {
					return errors.New("name either ids or a --source")
				}
				return nil
			},
			RunE: func(c *cobra.Command, args []string) error {
				filter.Status = account.DeadLetterOpen
				return p.settleDeadLetters(c.Context(), act, args, filter, reason)
			},
		}
		narrowed(command)
		command.Flags().StringVar(&reason, "reason", "", "why, for the audit (required)")
		_ = command.MarkFlagRequired("reason") // fails only for a flag that does not exist
		c.AddCommand(command)
	}
	return c
}

type settlingCommand struct {
	verb, short string
	status      account.DeadLetterStatus
	settle      func(store *database.DeadLetters, ctx context.Context, id uuid.UUID, by account.Operator) error
}

// deadLetter is one as it is printed. The payload is a provider's or a client's own words: shown on request only.
type deadLetter struct {
	ID            uuid.UUID  `json:"id"`
	Source        string     `json:"source"`
	SourceName    string     `json:"source_name"`
	SourceID      uuid.UUID  `json:"source_id"`
	TransactionID *uuid.UUID `json:"transaction_id"`
	Status        string     `json:"status"`
	Reason        string     `json:"reason"`
	LastError     string     `json:"last_error"`
	Tries         int        `json:"tries"`
	CreatedAt     time.Time  `json:"created_at"`
	SettledAt     *time.Time `json:"settled_at"`
	SettledBy     string     `json:"settled_by,omitempty"`
	SettledWhy    string     `json:"settled_why,omitempty"`
	Payload       string     `json:"payload,omitempty"`
}

func shown(d account.DeadLetter) deadLetter {
	s := deadLetter{ID: d.ID, Source: string(d.Source), SourceName: d.SourceName, SourceID: d.SourceID, Status: string(d.Status), Reason: d.Reason,
		LastError: d.LastError, Tries: d.Tries, CreatedAt: d.CreatedAt, SettledBy: d.SettledBy, SettledWhy: d.SettledWhy}
	if d.TransactionID != uuid.Nil {
		s.TransactionID = &d.TransactionID
	}
	if !d.SettledAt.IsZero() {
		s.SettledAt = &d.SettledAt
	}
	return s
}

func (p *program) onDeadLetters(ctx context.Context, do func(*database.DeadLetters) error) error {
	return p.withStore(ctx, func(db *database.DB) error { return do(database.NewDeadLetters(db, systemClock)) })
}

func (p *program) listDeadLetters(ctx context.Context, filter account.DeadLetterFilter, before string, limit int) error {
	page, err := pageBefore(before, limit)
	if err != nil {
		return err
	}
	return p.onDeadLetters(ctx, func(store *database.DeadLetters) error {
		found, err := store.FindDeadLetters(ctx, filter, page)
		if err != nil {
			return err
		}
		list := make([]deadLetter, 0, len(found))
		for _, d := range found {
			list = append(list, shown(d))
		}
		return p.print(map[string]any{"data": list}, func(w io.Writer) {
			for _, d := range list {
				fmt.Fprintf(w, "%s  %s  %-9s %-10s %-12s %2d tries  %s\n", d.ID, d.CreatedAt.Format(time.RFC3339), d.Status, d.Source, d.SourceName, d.Tries, d.Reason)
			}
			fmt.Fprintf(w, "%d dead letters\n", len(list))
		})
	})
}

func (p *program) showDeadLetter(ctx context.Context, id string) error {
	return p.onDeadLetters(ctx, func(store *database.DeadLetters) error {
		parsed, err := parseID(id)
		if err != nil {
			return err
		}
		found, err := store.FindDeadLetter(ctx, parsed)
		if err != nil {
			return err
		}
		one := shown(found)
		one.Payload = found.Payload
		return p.print(one, func(w io.Writer) {
			fmt.Fprintf(w, "id          %s\nsource      %s %s %s\nstatus      %s\nreason      %s\nlast error  %q\ntries       %d\nsince       %s\npayload     %q\n",
				one.ID, one.Source, one.SourceName, one.SourceID, one.Status, one.Reason, one.LastError, one.Tries, one.CreatedAt.Format(time.RFC3339), one.Payload)
			if one.SettledBy != "" {
				fmt.Fprintf(w, "settled by  %s: %q\n", one.SettledBy, one.SettledWhy)
			}
		})
	})
}

// settleDeadLetters settles each in a commit of its own, with an audit row, and stops at the first that cannot be.
func (p *program) settleDeadLetters(ctx context.Context, act settlingCommand, ids []string, filter account.DeadLetterFilter, reason string) error {
	return p.onDeadLetters(ctx, func(store *database.DeadLetters) error {
		wanted, err := deadLetterIDs(ctx, store, ids, filter)
		if err != nil {
			return err
		}
		by := account.Operator{Name: operator(), Reason: reason}
		done := make([]uuid.UUID, 0, len(wanted))
		for _, id := range wanted {
			if err := act.settle(store, ctx, id, by); err != nil {
				return fmt.Errorf("%s (%d %s before it): %w", id, len(done), act.status, err)
			}
			done = append(done, id)
		}
		return p.print(map[string]any{string(act.status): done}, func(w io.Writer) { fmt.Fprintf(w, "%d %s\n", len(done), act.status) })
	})
}

// deadLetterIDs reads the ids that were given, or else finds all that the filter names, the oldest first.
func deadLetterIDs(ctx context.Context, store *database.DeadLetters, given []string, filter account.DeadLetterFilter) ([]uuid.UUID, error) {
	var ids []uuid.UUID
	for _, text := range given {
		id, err := parseID(text)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	if len(given) > 0 {
		return ids, nil
	}
	for page := (account.Page{Limit: listedAtOnce}); ; page.Before = ids[len(ids)-1] {
		found, err := store.FindDeadLetters(ctx, filter, page)
		if err != nil {
			return nil, err
		}
		for _, d := range found {
			ids = append(ids, d.ID)
		}
		if len(found) < page.Limit {
			slices.Reverse(ids)
			return ids, nil
		}
	}
}

// operator names who acts, for the audit: the user of the operating system where it can be told.
func operator() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return "operator:" + u.Username
	}
	return "operator"
}
