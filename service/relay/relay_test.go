package relay_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/domain/account"
	"florin/infra/database"
	"florin/infra/database/databasetest"
	"florin/pkg/eventbus"
	"florin/pkg/eventbus/eventbustest"
	"florin/service/relay"
)

func TestF107_EventsCommittedBeforeARelayExistedGetPositionsInOrder(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		x, y := eventbustest.Events(3), eventbustest.Events(2)
		b.commit(x[0], y[0])
		b.commit(x[1])
		b.commit(x[2], y[1])
		assert.Empty(t, b.logged(), "nothing has a position before a relay ran")

		assert.Equal(t, 5, b.moveAll(b.relay("late")))
		databasetest.CheckLog(t, b.db)
		assert.ElementsMatch(t, append(x, y...), b.loggedEvents(), "the log must give back what was committed")
		for i, e := range b.logged() {
			assert.Equal(t, int64(i+1), e.Position)
		}
		head, err := b.log.Head(t.Context())
		require.NoError(t, err)
		assert.Equal(t, int64(5), head)
	})
}

func TestF112_EventThatCommitsLateIsNotSkipped(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		// The ids and times of the first are lower than those of the second, as a sequence would give them.
		first, second := eventbustest.Events(2), eventbustest.Events(2)
		got := &collector{}
		subscriber := relay.NewDurable(b.log, b.leases, b.settings("one"), "reader", got.handle)
		step := func() {
			_, err := subscriber.RunOnce(t.Context())
			require.NoError(t, err)
		}
		step()
		finish := b.hold(first...)
		r := b.relay("one")
		committed := b.commitBeside(second...)
		if b.db.Dialect() == database.Postgres {
			require.Equal(t, 2, b.moveAll(r), "the committed events need not wait for the open transaction")
			step()
			require.Equal(t, second, got.events())
		}
		finish()
		committed()
		b.moveAll(r)
		step()
		databasetest.CheckLog(t, b.db)
		assert.ElementsMatch(t, append(second, first...), got.events(), "nothing may be skipped, nothing come twice")
	})
}

// hold inserts events in a transaction that stays open until the returned function commits it.
func (b *bench) hold(events ...account.PaymentEvent) (commit func()) {
	b.t.Helper()
	tx := b.db.Writer().WithContext(b.t.Context()).Begin()
	require.NoError(b.t, tx.Error)
	_, err := databasetest.InsertEvents(tx, events...)
	require.NoError(b.t, err)
	return func() { require.NoError(b.t, tx.Commit().Error) }
}

// commitBeside commits while a transaction is held. SQLite has one writer, so there it has to come after: the returned
// function waits for it.
func (b *bench) commitBeside(events ...account.PaymentEvent) (wait func()) {
	b.t.Helper()
	if b.db.Dialect() == database.Postgres {
		b.commit(events...)
		return func() {}
	}
	failed := make(chan error, 1)
	go func() { failed <- databasetest.CommitEvents(b.t.Context(), b.db, events...) }()
	return func() { require.NoError(b.t, receive(b.t, failed)) }
}

func TestF113_PausedRelayMarksNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		b.commit(eventbustest.Events(3)...)
		paused := &pausedQueue{Queue: b.log}
		sleeper := relay.New(paused, b.leases, b.settings("sleeper"), nil)
		var after []eventbus.PositionedEvent
		paused.before = func([]eventbus.WaitingBatch) {
			paused.before = nil
			b.clock.Advance(time.Minute)
			require.Equal(t, 3, b.moveAll(b.relay("other")))
			b.commit(eventbustest.Events(2)...)
			after = b.logged()
		}
		moved, err := sleeper.RunOnce(t.Context())
		require.NoError(t, err)
		assert.Zero(t, moved, "the relay that overslept must not mark")
		require.ErrorIs(t, paused.err, eventbus.ErrFenced)
		assert.Equal(t, after, b.logged())
		assert.True(t, sleeper.StandsBy())

		assert.Equal(t, 2, b.moveAll(b.relay("third"))+b.moveAllAfterLease(), "what still waits is moved by whoever has the lease")
		databasetest.CheckLog(t, b.db)
	})
}

// moveAllAfterLease lets a new relay work when every lease has run out.
func (b *bench) moveAllAfterLease() int {
	b.t.Helper()
	b.clock.Advance(time.Minute)
	return b.moveAll(b.relay("successor"))
}

func TestF113_RelayWithoutSuccessorRenewsAndGoesOn(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		r := b.relay("alone")
		for range 3 {
			b.commit(eventbustest.Events(1)...)
			require.Equal(t, 1, b.moveAll(r))
			b.clock.Advance(time.Hour)
		}
		databasetest.CheckLog(t, b.db)
	})
}

func TestF114_OnlyExactIDsAreMarked(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		lower, read := eventbustest.Events(2), eventbustest.Events(3)
		commitLower := func() { b.commit(lower...) }
		if b.db.Dialect() == database.Postgres { // where a lower id can commit later
			commitLower = b.hold(lower...)
		}
		b.commit(read...)
		q := &pausedQueue{Queue: b.log}
		q.before = func(batches []eventbus.WaitingBatch) {
			q.before = nil
			require.Len(t, batches, 1)
			commitLower()
		}
		r := relay.New(q, b.leases, b.settings("one"), nil)
		moved, err := r.RunOnce(t.Context())
		require.NoError(t, err)
		require.Equal(t, 3, moved)
		assert.Equal(t, read, b.loggedEvents(), "what committed in between was not read and must not be marked")
		assert.Equal(t, 2, b.moveAll(r))
		assert.Equal(t, slices.Concat(read, lower), b.loggedEvents())
		databasetest.CheckLog(t, b.db)
	})
}

func (b *bench) assign(batches []eventbus.WaitingBatch) error {
	_, err := b.log.AssignPositions(b.t.Context(), 1, batches)
	return err
}

func TestF114_BatchWithAMarkedEventIsRefusedWhole(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		events := eventbustest.Events(3)
		for _, e := range events {
			b.commit(e)
		}
		batches, err := b.log.Waiting(t.Context(), 10)
		require.NoError(t, err)
		require.NoError(t, b.assign(batches[:1]))
		require.ErrorIs(t, b.assign(batches), eventbus.ErrStale)
		assert.Equal(t, events[:1], b.loggedEvents())
		require.NoError(t, b.assign(batches[1:]))
		databasetest.CheckLog(t, b.db)
	})
}

func TestI11_TimeRunsBackwardsAndBatchesAreTiny(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		events := eventbustest.Events(3)
		events[0].At, events[2].At = events[2].At, events[0].At
		b.commit(events[0], events[1])
		b.commit(events[2])
		s := b.settings("one")
		s.Batch = 1
		assert.Equal(t, 3, b.moveAll(relay.New(b.log, b.leases, s, nil)))
		databasetest.CheckLog(t, b.db)
	})
}

// TestI10_RelaysRaceAndHandOver lets two relays work at the same time while the lease runs out under them again and again
// and events keep coming.
func TestI10_RelaysRaceAndHandOver(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		const transactions, each = 1000, 2
		b.clock.step = time.Second // a lease of 10 s lasts a few looks
		var publish, work sync.WaitGroup
		for range 4 {
			publish.Go(func() {
				for range transactions / 4 / 25 {
					var batch []account.PaymentEvent
					for range 25 {
						batch = append(batch, eventbustest.Events(each)...)
					}
					assert.NoError(t, databasetest.CommitEvents(t.Context(), b.db, batch...))
				}
			})
		}
		published := make(chan struct{})
		counts := make([]int, 2)
		for i := range counts {
			s := b.settings([]string{"left", "right"}[i])
			s.Batch = 50
			r := relay.New(b.log, b.leases, s, nil)
			work.Go(func() {
				for last := false; ; {
					moved, err := r.RunOnce(t.Context())
					if !assert.NoError(t, err) {
						return
					}
					counts[i] += moved
					if moved == 0 && last && !r.StandsBy() {
						return
					}
					select {
					case <-published:
						last = true
					default:
					}
				}
			})
		}
		publish.Wait()
		close(published)
		work.Wait()
		t.Logf("left moved %d, right %d", counts[0], counts[1])
		assert.Equal(t, transactions*each, counts[0]+counts[1], "every event is moved once")
		assert.Len(t, b.logged(), transactions*each)
		databasetest.CheckLog(t, b.db)
	})
}

func TestRelayRunIsWokenAndGivesItsLeaseBack(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		moved := make(chan int, 10)
		s := b.settings("one")
		s.Hooks.Moved = func(n int) { moved <- n }
		r := relay.New(b.log, b.leases, s, nil)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- r.Run(ctx) }()
		for range 2 {
			b.commit(eventbustest.Events(2)...)
			for range 100 {
				r.Committed(eventbus.CommittedBatch{}) // never blocks
			}
			for n := 0; n < 2; n += receive(t, moved) {
			}
		}
		cancel()
		require.NoError(t, receive(t, ended))
		b.commit(eventbustest.Events(1)...)
		assert.Equal(t, 1, b.moveAll(b.relay("next")), "the lease must be free at once")
	})
}

func TestRelayGoesOnAfterAnError(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		q := &failingQueue{Queue: b.log, failures: 3}
		failed, moved := make(chan string, 10), make(chan int, 10)
		s := b.settings("one")
		s.Hooks.Failed = func(name string, err error) { failed <- name }
		s.Hooks.Moved = func(n int) { moved <- n }
		r := relay.New(q, b.leases, s, nil)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		b.commit(eventbustest.Events(1)...)
		go func() { ended <- r.Run(ctx) }()
		for range 3 {
			assert.Equal(t, "relay", receive(t, failed))
		}
		assert.Equal(t, 1, receive(t, moved))
		cancel()
		require.NoError(t, receive(t, ended))
	})
}

type failingQueue struct {
	relay.Queue
	failures int
}

func (q *failingQueue) Waiting(ctx context.Context, limit int) ([]eventbus.WaitingBatch, error) {
	if q.failures > 0 {
		q.failures--
		return nil, errors.New("database is away")
	}
	return q.Queue.Waiting(ctx, limit)
}

// TestRelayKnowsWhatItsProcessCommitted, at the positions that the log gives it, as far as no other server's is between.
func TestRelayKnowsWhatItsProcessCommitted(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		var last int64
		var known []eventbus.PositionedEvent
		r := relay.New(b.log, b.leases, b.settings("one"), func(position int64, events []eventbus.PositionedEvent) { last, known = position, events })
		commit := func(n int) eventbus.CommittedBatch {
			batch, err := databasetest.CommitBatch(t.Context(), b.db, eventbustest.Events(n)...)
			require.NoError(t, err)
			return batch
		}
		r.Committed(commit(3))
		r.Committed(commit(2))
		require.Equal(t, 5, b.moveAll(r))
		assert.EqualValues(t, 5, last)
		assert.Equal(t, b.logged(), known)

		r.Committed(commit(1))
		commit(2) // another server's
		r.Committed(commit(1))
		require.Equal(t, 4, b.moveAll(r))
		assert.EqualValues(t, 9, last)
		assert.Equal(t, b.logged()[5:6], known)

		commit(1)
		require.Equal(t, 1, b.moveAll(r))
		assert.Empty(t, known)

		// What another server's relay moves is forgotten some time.
		for id := range int64(10_000) {
			r.Committed(eventbus.CommittedBatch{ID: 1000 + id, Events: make([]*account.PaymentEvent, 1)})
		}
		r.Committed(commit(1))
		require.Equal(t, 1, b.moveAll(r))
		assert.Equal(t, b.logged()[10:], known)
	})
}

// TestStandbyPassesOnOnlyItsOwnWakes: a nudge that were answered with a nudge would go round for ever.
func TestStandbyPassesOnOnlyItsOwnWakes(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		worker := b.relay("worker")
		b.commit(eventbustest.Events(1)...)
		require.Equal(t, 1, b.moveAll(worker))
		looked, nudged := make(chan struct{}, 100), make(chan struct{}, 100)
		standby := relay.New(&watchedQueue{Queue: b.log, looked: looked, nudged: nudged}, b.leases, b.settings("standby"), nil)
		b.commit(eventbustest.Events(1)...)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- standby.Run(ctx) }()
		receive(t, looked) // the first look, woken by nobody
		standby.Nudged()
		receive(t, looked)
		standby.Committed(eventbus.CommittedBatch{})
		receive(t, looked)
		receive(t, nudged)
		cancel()
		require.NoError(t, receive(t, ended))
		assert.Empty(t, nudged, "one nudge, for the one commit of this process")
		assert.Equal(t, 1, b.moveAll(worker))
	})
}

type watchedQueue struct {
	relay.Queue
	looked, nudged chan struct{}
}

func (q *watchedQueue) Waiting(ctx context.Context, limit int) ([]eventbus.WaitingBatch, error) {
	defer func() { q.looked <- struct{}{} }()
	return q.Queue.Waiting(ctx, limit)
}

func (q *watchedQueue) NudgeRelay(ctx context.Context) error {
	q.nudged <- struct{}{}
	return q.Queue.NudgeRelay(ctx)
}

// receive waits for a value as long as a test may wait for what must happen.
func receive[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(20 * time.Second):
		require.FailNow(t, "nothing came")
		panic("unreachable")
	}
}
