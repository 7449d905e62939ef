package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/user"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"florin/domain/account"
	"florin/infra/database"
)

func (p *program) deadLettersCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "dead-letters", Short: "Look after events that could not be worked off", Args: cobra.NoArgs,
		Long: "An event of a provider that failed too often is a dead letter: kept, with its reason, until somebody redrives or discards it.",
	}
	all := false
	list := &cobra.Command{
		Use: "list", Short: "List the open ones, oldest first", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return p.listDeadLetters(c.Context(), all) },
	}
	list.Flags().BoolVar(&all, "all", false, "the settled ones too")
	show := &cobra.Command{
		Use: "show ID", Short: "Show one with its payload", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return p.showDeadLetter(c.Context(), args[0]) },
	}
	var reason string
	redrive := &cobra.Command{
		Use: "redrive ID...", Short: "Have a running server work them off once more", Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return p.settleDeadLetters(c.Context(), args, reason, "redriven", (*database.DeadLetters).Redrive)
		},
	}
	discard := &cobra.Command{
		Use: "discard ID...", Short: "Give them up", Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return p.settleDeadLetters(c.Context(), args, reason, "discarded", (*database.DeadLetters).Discard)
		},
	}
	for _, settling := range []*cobra.Command{redrive, discard} {
		settling.Flags().StringVar(&reason, "reason", "", "why, for the audit (required)")
		_ = settling.MarkFlagRequired("reason") // fails only for a flag that does not exist
	}
	c.AddCommand(list, show, redrive, discard)
	return c
}

// deadLetter is one as it is printed. The payload is a provider's own words: shown on request only.
type deadLetter struct {
	ID        uuid.UUID  `json:"id"`
	Source    string     `json:"source"`
	SourceID  uuid.UUID  `json:"source_id"`
	Status    string     `json:"status"`
	Reason    string     `json:"reason"`
	LastError string     `json:"last_error"`
	Tries     int        `json:"tries"`
	CreatedAt time.Time  `json:"created_at"`
	SettledAt *time.Time `json:"settled_at"`
	Payload   string     `json:"payload,omitempty"`
}

func shown(d account.DeadLetter) deadLetter {
	s := deadLetter{ID: d.ID, Source: d.Source, SourceID: d.SourceID, Status: d.Status, Reason: d.Reason, LastError: d.LastError,
		Tries: d.Tries, CreatedAt: d.CreatedAt}
	if !d.SettledAt.IsZero() {
		s.SettledAt = &d.SettledAt
	}
	return s
}

// onDeadLetters opens the store for one command.
func (p *program) onDeadLetters(ctx context.Context, do func(*database.DeadLetters) error) (err error) {
	db, err := p.openStore(ctx, slog.LevelWarn)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return do(database.NewDeadLetters(db, systemClock))
}

func (p *program) listDeadLetters(ctx context.Context, settled bool) error {
	return p.onDeadLetters(ctx, func(store *database.DeadLetters) error {
		found, err := store.List(ctx, settled)
		if err != nil {
			return err
		}
		list := make([]deadLetter, 0, len(found))
		for _, d := range found {
			list = append(list, shown(d))
		}
		return p.print(map[string]any{"data": list}, func(w io.Writer) {
			for _, d := range list {
				fmt.Fprintf(w, "%s  %s  %-9s %2d tries  %s\n", d.ID, d.CreatedAt.Format(time.RFC3339), d.Status, d.Tries, d.Reason)
			}
			fmt.Fprintf(w, "%d dead letters\n", len(list))
		})
	})
}

func (p *program) showDeadLetter(ctx context.Context, id string) error {
	return p.onDeadLetters(ctx, func(store *database.DeadLetters) error {
		parsed, err := uuid.Parse(id)
		if err != nil {
			return fmt.Errorf("%q is not an id", id)
		}
		found, err := store.Find(ctx, parsed)
		if err != nil {
			return err
		}
		one := shown(found)
		one.Payload = found.Payload
		return p.print(one, func(w io.Writer) {
			fmt.Fprintf(w, "id          %s\nsource      %s %s\nstatus      %s\nreason      %s\nlast error  %s\ntries       %d\nsince       %s\npayload     %q\n",
				one.ID, one.Source, one.SourceID, one.Status, one.Reason, one.LastError, one.Tries, one.CreatedAt.Format(time.RFC3339), one.Payload)
		})
	})
}

// settleDeadLetters settles each in a commit of its own, with an audit row, and stops at the first that cannot be.
func (p *program) settleDeadLetters(ctx context.Context, ids []string, reason, verb string,
	settle func(store *database.DeadLetters, ctx context.Context, id uuid.UUID, by database.Operator) error) error {
	return p.onDeadLetters(ctx, func(store *database.DeadLetters) error {
		by := database.Operator{Name: operator(), Reason: reason}
		done := make([]uuid.UUID, 0, len(ids))
		for _, id := range ids {
			parsed, err := uuid.Parse(id)
			if err != nil {
				return fmt.Errorf("%q is not an id (%d %s before it)", id, len(done), verb)
			}
			if err := settle(store, ctx, parsed, by); err != nil {
				return fmt.Errorf("%s (%d %s before it): %w", id, len(done), verb, err)
			}
			done = append(done, parsed)
		}
		return p.print(map[string]any{verb: done}, func(w io.Writer) { fmt.Fprintf(w, "%d %s\n", len(done), verb) })
	})
}

// operator names who acts, for the audit: the user of the operating system where it can be told.
func operator() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return "operator:" + u.Username
	}
	return "operator"
}
