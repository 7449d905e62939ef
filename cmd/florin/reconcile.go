package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
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
			"and prints what it found and of which time: what moved in the last minutes is under way and not compared.\n" +
			"The exit code is 1 when there are differences, and when nothing could be compared yet.",
		RunE: func(c *cobra.Command, _ []string) error { return p.reconcile(c.Context(), wait, reason) },
	}
	c.Flags().DurationVar(&wait, "wait", 5*time.Minute, "how long to wait for the server")
	c.Flags().StringVar(&reason, "reason", "asked for by command", "why, for the audit")
	return c
}

// errDrift ends a command whose finding was printed already.
var errDrift = errors.New("our clearing accounts differ from a provider's own list")

// errNotCompared ends a command that could not say whether anything differs, which was printed
// already.
var errNotCompared = errors.New("nothing was compared yet")

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
	if !found.compared() {
		return errNotCompared
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
	// Compared is false where the run has seen nothing of a time that is over; its 0 differences
	// mean nothing then.
	Compared   bool       `json:"compared"`
	CoversFrom *time.Time `json:"covers_from"`
	CoversTo   *time.Time `json:"covers_to"`
	ListUntil  *time.Time `json:"list_until"` // the newest movement in the provider's list
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
			found.Runs = append(found.Runs, comparedRun{Provider: r.Provider,
				StartedAt: r.StartedAt, Matched: r.Matched, UnderWay: r.UnderWay,
				Differences: r.Differences, Found: r.Found, Closed: r.Closed,
				Compared:   r.Compared(),
				CoversFrom: timeOrNil(r.CoversFrom), CoversTo: timeOrNil(r.CoversTo),
				ListUntil: timeOrNil(r.ListUntil)})
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

func timeOrNil(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	return &at
}

// compared says whether something was compared, and no provider has movements of which nothing was:
// nobody knows whether it differs. One that neither side has ever used keeps nobody waiting.
func (c comparison) compared() bool {
	return slices.ContainsFunc(c.Runs, func(r comparedRun) bool { return r.Compared }) &&
		!slices.ContainsFunc(c.Runs, func(r comparedRun) bool {
			return !r.Compared &&
				(r.UnderWay > 0 || r.Matched > 0)
		})
}

// span is the time of which the run speaks.
func (r comparedRun) span() string {
	return r.CoversFrom.UTC().Format(time.RFC3339) + " to " + r.CoversTo.UTC().Format(time.RFC3339)
}

func (c comparison) table(w io.Writer) {
	for _, r := range c.Runs {
		switch {
		case !r.Compared && r.UnderWay > 0:
			fmt.Fprintf(w, "%-8s nothing compared yet: %d under way, too young to count\n",
				r.Provider, r.UnderWay)
		case !r.Compared:
			fmt.Fprintf(w, "%-8s nothing compared yet\n", r.Provider)
		default:
			fmt.Fprintf(w, "%-8s %s  %d alike, %d differ (%d new), %d gone\n", r.Provider,
				r.span(), r.Matched, r.Differences, r.Found, r.Closed)
			if r.UnderWay > 0 {
				fmt.Fprintf(w, "%-8s after that: %d under way, not compared yet\n", r.Provider,
					r.UnderWay)
			}
		}
		if r.ListUntil != nil {
			fmt.Fprintf(w, "%-8s the provider's list reaches to %s\n", r.Provider,
				r.ListUntil.UTC().Format(time.RFC3339))
		}
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
	switch {
	case len(c.Differences) > 0:
		fmt.Fprintf(w, "%d differences\n", len(c.Differences))
	case c.compared():
		fmt.Fprintln(w, "0 differences in the time that was compared")
	default:
		fmt.Fprintln(w,
			"nothing compared yet: run it again when the last movements are older than five minutes")
	}
}
