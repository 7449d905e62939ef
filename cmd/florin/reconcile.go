package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"florin/domain/account"
	"florin/infra/database"
	"florin/pkg/eventbus"
	"florin/pkg/telemetry"
	accountsvc "florin/service/account"
	"florin/service/reconcile"
)

// buildReconciler joins what compares us with the providers.
func (a *App) buildReconciler(tuned reconcile.Config) error {
	tuned.Store, tuned.Leases = database.NewReconciliations(a.DB, a.Clock), database.NewLeases(a.DB, a.Clock)
	tuned.Received = eventbus.NewReceived(accountsvc.NewPaymentEventHandler(a.Service))
	tuned.Providers, tuned.Listers = a.providers, map[string]account.MovementLister{}
	for _, provider := range a.clients() {
		if lister, lists := provider.(account.MovementLister); lists {
			tuned.Listers[provider.Name()] = lister
		}
	}
	tuned.Clock, tuned.Log, tuned.Meter = a.Clock, a.Log, a.Metrics
	tuned.Holder = serverName()
	a.Reconciler = reconcile.New(tuned)
	return a.Metrics.ObserveReconciliation(telemetry.Reconciled{MarkAge: a.Reconciler.MarkAges, Differences: a.Reconciler.OpenDifferences})
}

// requestLook is the pause between two looks whether a server has done what was asked for.
const requestLook = 200 * time.Millisecond

func (p *program) reconcileCommand() *cobra.Command {
	var wait time.Duration
	var reason string
	c := &cobra.Command{
		Use: "reconcile", Short: "Have a running server compare the books with the providers now", Args: cobra.NoArgs,
		Long: "Asks a running server to list the providers' events and to compare our clearing accounts with their own lists, waits for it,\n" +
			"and prints what it found. The exit code is 1 when there are differences.",
		RunE: func(c *cobra.Command, _ []string) error { return p.reconcile(c.Context(), wait, reason) },
	}
	c.Flags().DurationVar(&wait, "wait", 5*time.Minute, "how long to wait for the server")
	c.Flags().StringVar(&reason, "reason", "asked for by command", "why, for the audit")
	return c
}

// errDrift ends a command whose finding was printed already.
var errDrift = errors.New("our clearing accounts differ from a provider's own list")

func (p *program) reconcile(ctx context.Context, wait time.Duration, reason string) (err error) {
	db, err := p.openStore(ctx, slog.LevelWarn)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	store := database.NewReconciliations(db, systemClock)
	asked, err := store.AddRequest(ctx, account.Operator{Name: operator(), Reason: reason})
	if err != nil {
		return err
	}
	if err := p.awaitRequest(ctx, store, asked.ID, wait); err != nil {
		return err
	}
	found, err := reconciled(ctx, store, asked.RequestedAt)
	if err != nil {
		return err
	}
	if err := p.print(found, found.table); err != nil {
		return err
	}
	if len(found.Differences) > 0 {
		return errDrift
	}
	return nil
}

// awaitRequest looks until a server has done it, with progress in seconds.
func (p *program) awaitRequest(ctx context.Context, store *database.Reconciliations, id uuid.UUID, wait time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	show, started := p.progress("waiting for a server"), time.Now()
	tick := time.NewTicker(requestLook)
	defer tick.Stop()
	for {
		asked, err := store.FindRequest(ctx, id)
		switch {
		case err != nil && ctx.Err() == nil:
			return err
		case err == nil && asked.Failure != "":
			return errors.New(asked.Failure)
		case err == nil && !asked.DoneAt.IsZero():
			return nil
		}
		show(int(time.Since(started).Seconds()), int(wait.Seconds()))
		select {
		case <-ctx.Done():
			return fmt.Errorf("no server has done it within %s; is one running? The next one that starts will", wait)
		case <-tick.C:
		}
	}
}

// comparison is what a run has found, as it is printed. Amounts are minor units of the currency; null where a side has nothing.
type comparison struct {
	Runs        []comparedRun     `json:"runs"`
	Differences []shownDifference `json:"differences"`
}

type comparedRun struct {
	Provider    string    `json:"provider"`
	StartedAt   time.Time `json:"started_at"`
	Matched     int64     `json:"matched"`
	UnderWay    int64     `json:"under_way"`
	Differences int64     `json:"differences"`
	Found       int64     `json:"found"`
	Closed      int64     `json:"closed"`
}

type shownDifference struct {
	Provider  string    `json:"provider"`
	Effect    string    `json:"effect"`
	Ref       string    `json:"ref"`
	Currency  string    `json:"currency"`
	Ours      *int64    `json:"ours"`
	Theirs    *int64    `json:"theirs"`
	ReviewID  uuid.UUID `json:"review_id"`
	CreatedAt time.Time `json:"created_at"`
}

// reconciled reads what the runs since a time have found.
func reconciled(ctx context.Context, store *database.Reconciliations, since time.Time) (comparison, error) {
	found := comparison{Runs: []comparedRun{}, Differences: []shownDifference{}}
	runs, err := store.FindRuns(ctx, "", 20)
	if err != nil {
		return comparison{}, err
	}
	for _, r := range runs {
		if !r.EndedAt.Before(since) {
			found.Runs = append(found.Runs, comparedRun{r.Provider, r.StartedAt, r.Matched, r.UnderWay, r.Differences, r.Found, r.Closed})
		}
	}
	differences, err := store.FindDifferences(ctx, account.Page{Limit: listedAtOnce})
	if err != nil {
		return comparison{}, err
	}
	for _, d := range differences {
		found.Differences = append(found.Differences, shownDifference{d.Provider, string(d.Effect), d.Ref, d.Currency, d.Ours, d.Theirs, d.ReviewID, d.CreatedAt})
	}
	return found, nil
}

func (c comparison) table(w io.Writer) {
	for _, r := range c.Runs {
		fmt.Fprintf(w, "%-8s %s  %d alike, %d under way, %d differ (%d new), %d gone\n", r.Provider, r.StartedAt.Format(time.RFC3339), r.Matched,
			r.UnderWay, r.Differences, r.Found, r.Closed)
	}
	side := func(n *int64) string {
		if n == nil {
			return "-"
		}
		return fmt.Sprint(*n)
	}
	for _, d := range c.Differences {
		fmt.Fprintf(w, "%-8s %-8s %-28s %s  here %s, there %s  review %s\n", d.Provider, d.Effect, d.Ref, d.Currency, side(d.Ours), side(d.Theirs), d.ReviewID)
	}
	fmt.Fprintf(w, "%d differences\n", len(c.Differences))
}
