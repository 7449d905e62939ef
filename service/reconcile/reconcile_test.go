package reconcile_test

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/domain/account"
	"florin/infra/database"
	"florin/infra/database/databasetest"
	"florin/service/reconcile"
)

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// lister is a provider with a list of events, two to a page, of which each is a minute older than the next.
type lister struct {
	account.PaymentProvider
	events []account.PaymentReceivedEvent
	err    error
}

func (l *lister) ListEvents(_ context.Context, cursor string) ([]account.PaymentReceivedEvent, string, error) {
	from := 0
	if cursor != "" {
		from, _ = strconv.Atoi(cursor)
	}
	to := min(from+2, len(l.events))
	return l.events[from:to], strconv.Itoa(to), l.err
}

// taker remembers the events that it was handed, and refuses the one named.
type taker struct {
	taken  []string
	refuse string
}

func (r *taker) PublishPaymentReceived(_ context.Context, e account.PaymentReceivedEvent) error {
	if e.EventID == r.refuse {
		return errors.New("the database is away")
	}
	if e.Cause != account.CauseListing {
		return errors.New("the source is not told")
	}
	r.taken = append(r.taken, e.Provider+" "+e.EventID)
	return nil
}

type counts struct{ listed int }

func (c *counts) Listed(_ string, events int) { c.listed += events }
func (c *counts) Alert(string)                {}

type bundle struct {
	service *reconcile.Service
	store   *database.Reconciliations
	leases  *database.Leases
	list    *lister
	taken   *taker
	counts  *counts
	now     time.Time
}

func newBundle(t *testing.T, db *database.DB, ages ...time.Duration) *bundle {
	b := &bundle{now: noon, list: &lister{}, taken: &taker{}, counts: &counts{}}
	for i, age := range ages {
		b.list.events = append(b.list.events, account.PaymentReceivedEvent{EventID: "evt_" + strconv.Itoa(i), OccurredAt: noon.Add(-age)})
	}
	clock := func() time.Time { return b.now }
	b.store, b.leases = database.NewReconciliations(db, clock), database.NewLeases(db, clock)
	b.service = reconcile.New(reconcile.Config{Store: b.store, Leases: b.leases, Received: b.taken, Clock: clock, Meter: b.counts,
		Providers: map[string]account.PaymentProvider{"a": &lister{err: errors.New("no answer")}, "b": b.list},
		Log:       slog.New(slog.NewTextHandler(t.Output(), nil))})
	return b
}

func (b *bundle) mark(t *testing.T) account.Mark {
	t.Helper()
	marks, err := b.store.FindMarks(t.Context())
	require.NoError(t, err)
	return marks["b"]
}

// TestF64_TheMarkMovesBehindWhatIsApplied, never before; a provider that fails keeps no other waiting; and what is young is left to
// its webhook.
func TestF64_TheMarkMovesBehindWhatIsApplied(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		b := newBundle(t, db, time.Hour, time.Hour, time.Hour, 10*time.Second)
		b.taken.refuse = "evt_2"
		worked, err := b.service.RunOnce(t.Context())
		require.True(t, worked)
		require.ErrorContains(t, err, "no answer")
		require.ErrorContains(t, err, "the database is away")
		require.Equal(t, "2", b.mark(t).Cursor, "behind the first page, and before what could not be applied")

		b.taken.refuse = ""
		worked, err = b.service.RunOnce(t.Context())
		require.NoError(t, err)
		require.False(t, worked, "what has failed rests")
		b.now = b.now.Add(31 * time.Second)
		_, err = b.service.RunOnce(t.Context())
		require.ErrorContains(t, err, "no answer")
		require.Equal(t, []string{"b evt_0", "b evt_1", "b evt_2"}, b.taken.taken)
		require.Equal(t, "2", b.mark(t).Cursor, "the page has an event whose webhook may still come")

		b.now = b.now.Add(31 * time.Second)
		_, err = b.service.RunOnce(t.Context())
		require.ErrorContains(t, err, "no answer")
		require.Contains(t, b.taken.taken, "b evt_3")
		require.Equal(t, "4", b.mark(t).Cursor)
		require.Equal(t, b.now, b.mark(t).ListedAt)
	})
}

// ours is a store whose clearing accounts say what the test wants.
type ours struct {
	*database.Reconciliations
	movements []account.Movement
}

func (o ours) OurMovements(_ context.Context, _ string, each func(account.Movement) error) error {
	for _, m := range o.movements {
		if err := each(m); err != nil {
			return err
		}
	}
	return nil
}

type movementList []account.Movement

func (l movementList) ListMovements(context.Context, string) ([]account.Movement, string, error) {
	return l, "", nil
}

// TestI21_AnotherAmountShowsBothSides, and lines of one thing are added up.
func TestI21_AnotherAmountShowsBothSides(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		b := newBundle(t, db)
		old := noon.Add(-time.Hour)
		line := func(ref string, amount int64) account.Movement {
			return account.Movement{MovementKey: account.MovementKey{Effect: account.MovementPayment, Ref: ref, Currency: "EUR"}, Amount: amount, ChangedAt: old}
		}
		service := reconcile.New(reconcile.Config{Store: ours{b.store, []account.Movement{line("pay_1", 90), line("pay_2", 70)}}, Leases: b.leases,
			Received: b.taken, Clock: func() time.Time { return b.now }, Meter: b.counts, Log: slog.New(slog.DiscardHandler),
			Listers: map[string]account.MovementLister{"b": movementList{line("pay_1", 100), line("pay_2", 30), line("pay_2", 40)}}})
		_, err := service.RunOnce(t.Context())
		require.NoError(t, err)
		found, err := service.State(t.Context(), account.Page{Limit: 10})
		require.NoError(t, err)
		require.EqualValues(t, 1, found.Runs[0].Matched)
		require.Len(t, found.Differences, 1)
		require.Equal(t, "pay_1", found.Differences[0].Ref)
		require.EqualValues(t, 90, *found.Differences[0].Ours)
		require.EqualValues(t, 100, *found.Differences[0].Theirs)
	})
}

// TestF128_ARunSaysOfWhichTimeItSpeaks: what is too young to count was not compared, and where all
// is, nothing was.
func TestF128_ARunSaysOfWhichTimeItSpeaks(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		b := newBundle(t, db)
		line := func(ref string, age time.Duration) account.Movement {
			key := account.MovementKey{Effect: account.MovementPayment, Ref: ref, Currency: "EUR"}
			return account.Movement{MovementKey: key, Amount: 7700, ChangedAt: noon.Add(-age)}
		}
		run := func(books, list []account.Movement) account.ReconciliationRun {
			t.Helper()
			service := reconcile.New(reconcile.Config{Store: ours{b.store, books},
				Leases: b.leases, Received: b.taken,
				Clock: func() time.Time { return b.now }, Meter: b.counts,
				Log:     slog.New(slog.DiscardHandler),
				Listers: map[string]account.MovementLister{"b": movementList(list)}})
			_, err := service.Request(t.Context(), account.Operator{Name: "operator:ada",
				Reason: "to see"})
			require.NoError(t, err)
			_, err = service.RunOnce(t.Context())
			require.NoError(t, err)
			found, err := service.State(t.Context(), account.Page{Limit: 10})
			require.NoError(t, err)
			b.now = b.now.Add(time.Millisecond) // the last run is the newest
			return found.Runs[0]
		}
		require.False(t, run(nil, nil).Compared(), "nothing is there")

		lost := run(nil, []account.Movement{line("pay_1", time.Minute)})
		require.Zero(t, lost.Differences)
		require.EqualValues(t, 1, lost.UnderWay)
		require.False(t, lost.Compared(), "paid since the backup")

		young := []account.Movement{line("pay_1", time.Minute)}
		require.False(t, run(young, young).Compared(), "no time of it is over")

		old := line("pay_0", time.Hour)
		both := run([]account.Movement{old}, []account.Movement{old, line("pay_1", time.Minute)})
		require.True(t, both.Compared())
		require.Equal(t, []time.Time{noon.Add(-time.Hour), both.StartedAt.Add(-5 * time.Minute),
			noon.Add(-time.Minute)},
			[]time.Time{both.CoversFrom, both.CoversTo, both.ListUntil})
		require.EqualValues(t, 1, both.UnderWay)
	})
}

func TestOneServerWorksAtATime(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		b := newBundle(t, db, time.Hour)
		fence, ok, err := b.leases.Acquire(t.Context(), "reconcile", "another", time.Minute)
		require.NoError(t, err)
		require.True(t, ok)
		worked, err := b.service.RunOnce(t.Context())
		require.NoError(t, err)
		require.False(t, worked)
		require.Empty(t, b.taken.taken)
		require.NoError(t, b.leases.Release(t.Context(), "reconcile", fence))
		worked, err = b.service.RunOnce(t.Context())
		require.True(t, worked)
		require.ErrorContains(t, err, "no answer")
		require.Len(t, b.taken.taken, 1)
		assert.Equal(t, 1, b.counts.listed)

		// Who comes back with an older fence moves nothing.
		require.ErrorIs(t, b.store.MoveMark(t.Context(), account.MarkMove{Provider: "b", To: "0", Fence: fence}), account.ErrLeaseLost)
		require.Equal(t, "1", b.mark(t).Cursor)
	})
}

// TestARequestIsAnswered also when a provider fails, and says so.
func TestARequestIsAnswered(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		b := newBundle(t, db)
		_, err := b.store.AddRequest(t.Context(), account.Operator{Name: "operator:ada"})
		require.ErrorContains(t, err, "reason_required")
		asked, err := b.service.Request(t.Context(), account.Operator{Name: "operator:ada", Reason: "to see"})
		require.NoError(t, err)
		_, err = b.service.RunOnce(t.Context())
		require.Error(t, err)
		done, err := b.store.FindRequest(t.Context(), asked.ID)
		require.NoError(t, err)
		require.Equal(t, b.now, done.DoneAt)
		require.NotEmpty(t, done.Failure)
	})
}
