package relay_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"florin/domain/account"
	"florin/infra/database"
	"florin/infra/database/databasetest"
	"florin/pkg/eventbus"
	"florin/pkg/eventbus/eventbustest"
	"florin/service/relay"
)

// unit is a unit of work of which only the events matter.
type unit struct {
	account.UnitOfWork
	events []account.PaymentEvent
}

func (u *unit) AddEvent(e account.PaymentEvent) { u.events = append(u.events, e) }

func TestDatabaseBus(t *testing.T) {
	for _, dialect := range []database.Dialect{database.SQLite, database.Postgres} {
		t.Run(string(dialect), func(t *testing.T) {
			t.Parallel()
			eventbustest.Run(t, func(t *testing.T) eventbustest.Harness { return openBus(t, dialect) })
		})
	}
}

// openBus runs the bus as the program does: a relay woken by commits, and subscribers woken by the relay.
func openBus(t *testing.T, dialect database.Dialect) eventbustest.Harness {
	db := databasetest.Open(t, dialect, database.Options{})
	b := &bench{t: t, db: db, log: database.NewLog(db, time.Now), leases: database.NewLeases(db, time.Now)}
	settings := relay.Settings{Holder: "server", Now: time.Now, RetryMin: time.Millisecond, RetryMax: time.Millisecond,
		Interval:   20 * time.Millisecond, // who stands by learns of a free lease by looking
		EventRetry: eventbustest.Retry, DeadLetters: &eventbustest.DeadLetters{}, Logger: slog.New(slog.DiscardHandler)}
	subscriptions := relay.NewSubscriptions(b.log, b.leases, settings)
	r := relay.New(b.log, b.leases, settings, subscriptions.Moved)
	bus := database.NewBus(subscriptions.Subscribe)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		assert.NoError(t, <-ended)
	})
	return eventbustest.Harness{
		Bus:          bus,
		Capabilities: bus.Capabilities(),
		DeadLetters:  settings.DeadLetters.(*eventbustest.DeadLetters),
		Publish: func(ctx context.Context, events ...account.PaymentEvent) error {
			u := &unit{}
			for _, e := range events {
				if err := bus.PublishPaymentEvent(account.WithUnit(ctx, u), e); err != nil {
					return err
				}
			}
			batch, err := databasetest.CommitBatch(ctx, db, u.events...)
			if err == nil {
				r.Committed(batch)
			}
			return err
		},
		Recorded: func() []account.PaymentEvent {
			for head := int64(0); head < 3; {
				var err error
				head, err = b.log.Head(t.Context())
				require.NoError(t, err)
			}
			return b.loggedEvents()
		},
	}
}

// crashingLog loses the first move of a cursor, as a kill between the handler and the cursor does.
type crashingLog struct {
	relay.Log
	crashed bool
}

func (l *crashingLog) MoveCursor(ctx context.Context, move eventbus.CursorMove) error {
	if !l.crashed {
		l.crashed = true
		return errors.New("killed")
	}
	return l.Log.MoveCursor(ctx, move)
}

func TestF108_HandledEventComesAgainWhenTheCursorWasNotMoved(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		events := eventbustest.Events(3)
		got := &collector{}
		subscriptions := relay.NewSubscriptions(b.log, b.leases, b.settings("first"))
		require.NoError(t, subscriptions.Prepare(t.Context(), "sink"))
		b.commit(events...)
		b.moveAll(b.relay("first"))

		first := relay.NewDurable(&crashingLog{Log: b.log}, b.leases, b.settings("first"), "sink", got.handle)
		_, err := first.RunOnce(t.Context())
		require.ErrorContains(t, err, "killed")
		require.Equal(t, events, got.events())

		b.clock.Advance(time.Minute) // the dead server's lease runs out
		second := relay.NewDurable(b.log, b.leases, b.settings("second"), "sink", got.handle)
		handled, err := second.RunOnce(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 3, handled)
		assert.Equal(t, slices.Concat(events, events), got.events(), "a repeat has the same id and seq")
		handled, err = second.RunOnce(t.Context())
		require.NoError(t, err)
		assert.Zero(t, handled)
	})
}

// TestF108_LostAnswerOfTheCursorIsLookedUp: the same process goes on after a failed move, from what is stored.
func TestF108_LostAnswerOfTheCursorIsLookedUp(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		got := &collector{}
		s := relay.NewDurable(&crashingLog{Log: b.log}, b.leases, b.settings("one"), "sink", got.handle)
		_, err := s.RunOnce(t.Context())
		require.NoError(t, err)
		events := eventbustest.Events(2)
		b.commit(events...)
		b.moveAll(b.relay("one"))
		_, err = s.RunOnce(t.Context())
		require.Error(t, err)
		handled, err := s.RunOnce(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 2, handled)
		assert.Equal(t, slices.Concat(events, events), got.events())
	})
}

func TestDurableSubscriberRunsOnOneServerAndIsTakenOver(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		left, right := &collector{}, &collector{}
		one := relay.NewDurable(b.log, b.leases, b.settings("one"), "sink", left.handle)
		two := relay.NewDurable(b.log, b.leases, b.settings("two"), "sink", right.handle)
		step := func(s *relay.Subscriber) int {
			n, err := s.RunOnce(t.Context())
			require.NoError(t, err)
			return n
		}
		step(one)
		r := b.relay("one")
		first, second := eventbustest.Events(2), eventbustest.Events(3)
		b.commit(first...)
		b.moveAll(r)
		assert.Zero(t, step(two), "the other server holds the lease")
		assert.Equal(t, 2, step(one))

		b.clock.Advance(time.Minute)
		b.commit(second...)
		b.moveAll(r)
		assert.Equal(t, 3, step(two), "whoever finds the lease run out goes on from the stored cursor")
		assert.Zero(t, step(one))
		assert.Equal(t, first, left.events())
		assert.Equal(t, second, right.events())
	})
}

// TestF113_SubscriberThatOversleptMovesNoCursor pauses a server in its handler until another has taken over, which has or has
// not got anywhere with the same events.
func TestF113_SubscriberThatOversleptMovesNoCursor(t *testing.T) {
	for name, failure := range map[string]error{"successor done": nil, "successor failing": errors.New("not now")} {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, b *bench) { subscriberOversleeps(t, b, failure) })
		})
	}
}

func subscriberOversleeps(t *testing.T, b *bench, failure error) {
	successor := &collector{fail: failure}
	two := relay.NewDurable(b.log, b.leases, b.settings("two"), "sink", successor.handle)
	events := eventbustest.Events(3)
	calls := 0
	one := relay.NewDurable(b.log, b.leases, b.settings("one"), "sink", func(ctx context.Context, e eventbus.PositionedEvent) error {
		if calls++; calls == 3 {
			b.clock.Advance(time.Minute)
			_, err := two.RunOnce(ctx)
			require.ErrorIs(t, err, failure)
		}
		return nil
	})
	_, err := one.RunOnce(t.Context())
	require.NoError(t, err)
	b.commit(events...)
	b.moveAll(b.relay("one"))
	handled, err := one.RunOnce(t.Context())
	require.NoError(t, err)
	assert.Zero(t, handled, "its cursor must not count")
	assert.Equal(t, 3, calls)

	successor.fail = nil
	b.clock.Advance(time.Second) // the retry is due
	_, err = two.RunOnce(t.Context())
	require.NoError(t, err)
	assert.Equal(t, events, successor.events(), "the successor gets all of them, once")
	cursor, err := b.log.OpenCursor(t.Context(), "sink", 0)
	require.NoError(t, err)
	assert.Equal(t, int64(3), cursor)
}

// TestI25_CursorIsBehindTheHeadAndStateIsTheFold fails some events on the way and compares the consumer's state with the
// fold of all events.
func TestI25_CursorIsBehindTheHeadAndStateIsTheFold(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		state, expected := map[string]int{}, map[string]int{}
		calls := 0
		s := b.settings("one")
		s.Batch = 4
		subscriber := relay.NewDurable(b.log, b.leases, s, "fold", func(_ context.Context, e eventbus.PositionedEvent) error {
			state[e.Event.TransactionID] = max(state[e.Event.TransactionID], e.Event.Seq)
			if calls++; calls%3 == 0 {
				return errors.New("handled, but not acknowledged")
			}
			return nil
		})
		_, err := subscriber.RunOnce(t.Context())
		require.NoError(t, err)
		for range 5 {
			events := eventbustest.Events(3)
			b.commit(events...)
			expected[events[0].TransactionID] = 3
		}
		b.moveAll(b.relay("one"))
		for handled := 0; handled < 15; {
			b.clock.Advance(time.Millisecond)
			n, _ := subscriber.RunOnce(t.Context())
			handled += n
			lags, err := b.log.Lags(t.Context())
			require.NoError(t, err)
			require.Len(t, lags, 1)
			require.Equal(t, handled == 15, lags[0].Since.IsZero(), "who is behind has been since some time")
			require.Equal(t, eventbus.Lag{Name: "fold", Events: int64(15 - handled), Since: lags[0].Since}, lags[0])
		}
		assert.Equal(t, expected, state)
	})
}

// TestEventsThatNobodyWantsArePassedOver, and none that somebody began to want before it was committed.
func TestEventsThatNobodyWantsArePassedOver(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		r, got, wanted := b.relay("one"), &collector{}, false
		log := &headLog{Log: b.log}
		s := relay.NewEphemeral(log, b.settings("one"), "waiters", func(context.Context, int64) (bool, error) { return !wanted, nil }, got.handle)
		step := func() {
			_, err := s.RunOnce(t.Context())
			require.NoError(t, err)
		}
		step()
		b.commit(eventbustest.Events(3)...)
		b.moveAll(r)
		step()
		require.Empty(t, got.events())

		events := eventbustest.Events(2)
		log.before = func() { // somebody comes before the look at the head
			log.before = nil
			wanted = true
			b.commit(events...)
			b.moveAll(r)
		}
		step()
		require.Equal(t, events, got.events())
	})
}

// TestADurableSubscriberPassesOverWithItsCursor: the next server begins behind what nobody wanted, and what somebody wants is not
// passed over.
func TestADurableSubscriberPassesOverWithItsCursor(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		r, got, wanted := b.relay("one"), &collector{}, false
		server := func(holder string) *relay.Subscriber {
			pass := func(context.Context, int64) (bool, error) { return !wanted, nil }
			return relay.NewDurableBatch(b.log, b.leases, b.settings(holder), "fold", pass, func(ctx context.Context, events []eventbus.PositionedEvent) []error {
				for _, e := range events {
					require.NoError(t, got.handle(ctx, e))
				}
				return make([]error, len(events))
			})
		}
		require.NoError(t, relay.NewSubscriptions(b.log, b.leases, b.settings("one")).Prepare(t.Context(), "fold"))
		first := server("first")
		b.commit(eventbustest.Events(3)...)
		b.moveAll(r)
		_, err := first.RunOnce(t.Context())
		require.NoError(t, err)
		cursor, err := b.log.OpenCursor(t.Context(), "fold", 0)
		require.NoError(t, err)
		require.Equal(t, int64(3), cursor)

		wanted = true
		events := eventbustest.Events(2)
		b.commit(events...)
		b.moveAll(r)
		b.clock.Advance(time.Minute) // the first server is gone
		_, err = server("second").RunOnce(t.Context())
		require.NoError(t, err)
		require.Equal(t, events, got.events())
	})
}

// headLog calls before ahead of a look at the head.
type headLog struct {
	relay.Log
	before func()
}

func (l *headLog) Head(ctx context.Context) (int64, error) {
	if l.before != nil {
		l.before()
	}
	return l.Log.Head(ctx)
}

func TestEphemeralSubscriberBeginsAtTheHeadAndKeepsNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		r := b.relay("one")
		b.commit(eventbustest.Events(2)...)
		b.moveAll(r)
		got := &collector{}
		s := relay.NewEphemeral(b.log, b.settings("one"), "waiters", nil, got.handle)
		_, err := s.RunOnce(t.Context())
		require.NoError(t, err)
		events := eventbustest.Events(3)
		b.commit(events...)
		b.moveAll(r)
		n, err := s.RunOnce(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 3, n)
		assert.Equal(t, events, got.events())
		assert.Equal(t, []int64{3, 4, 5}, []int64{got.got[0].Position, got.got[1].Position, got.got[2].Position})
		lags, err := b.log.Lags(t.Context())
		require.NoError(t, err)
		assert.Empty(t, lags)
	})
}

// TestFollowAfterMissesNothingBeforeItsFirstLook: what happened between learning the position and the first look comes too.
func TestFollowAfterMissesNothingBeforeItsFirstLook(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		b.commit(eventbustest.Events(3)...)
		b.moveAll(b.relay("one"))
		subscriptions := relay.NewSubscriptions(b.log, b.leases, b.settings("one"))
		ctx, cancel := context.WithCancel(t.Context())
		var seen []int64
		require.NoError(t, subscriptions.FollowAfter(ctx, "streams", 1, nil, func(_ context.Context, e eventbus.PositionedEvent) error {
			if seen = append(seen, e.Position); len(seen) == 2 {
				cancel()
			}
			return nil
		}))
		assert.Equal(t, []int64{2, 3}, seen)
	})
}

func TestFailedEventStaysFirstAndTheCursorBeforeIt(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		got := &collector{}
		s := relay.NewDurable(b.log, b.leases, b.settings("one"), "sink", func(ctx context.Context, e eventbus.PositionedEvent) error {
			if e.Position == 2 && got.fail == nil && len(got.got) == 1 {
				got.fail = errors.New("once")
				defer func() { got.fail = nil }()
			}
			return got.handle(ctx, e)
		})
		_, err := s.RunOnce(t.Context())
		require.NoError(t, err)
		events := eventbustest.Events(3)
		b.commit(events...)
		b.moveAll(b.relay("one"))
		n, err := s.RunOnce(t.Context())
		require.ErrorContains(t, err, "position 2")
		assert.Equal(t, 1, n)
		cursor, err := b.log.OpenCursor(t.Context(), "sink", 0)
		require.NoError(t, err)
		assert.Equal(t, int64(1), cursor)
	})
}

func TestSubscriptionsEndWithTheirLoops(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		subscriptions := relay.NewSubscriptions(b.log, b.leases, b.settings("one"))
		r := relay.New(b.log, b.leases, b.settings("one"), subscriptions.Moved)
		require.NoError(t, subscriptions.Prepare(t.Context(), "durable"))
		events := eventbustest.Events(3)
		b.commit(events...)
		seen := make(chan int64, 10)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 2)
		go func() {
			ended <- subscriptions.Subscribe(ctx, "durable", func(context.Context, account.PaymentEvent) error {
				seen <- 1
				return nil
			})
		}()
		go func() { ended <- r.Run(ctx) }()
		for range events {
			receive(t, seen)
		}
		cancel()
		require.NoError(t, receive(t, ended))
		require.NoError(t, receive(t, ended))
	})
}

// TestCursorsDoNotWaitForTheDiskAndPositionsDo: a client that has seen a position must find it again.
func TestCursorsDoNotWaitForTheDiskAndPositionsDo(t *testing.T) {
	t.Parallel()
	c := newClock()
	db := databasetest.Open(t, database.Postgres, database.Options{})
	b := &bench{t: t, db: db, clock: c, log: database.NewLog(db, c.Now), leases: database.NewLeases(db, c.Now)}
	s := relay.NewDurable(b.log, b.leases, b.settings("one"), "reader", func(context.Context, eventbus.PositionedEvent) error { return nil })
	_, err := s.RunOnce(t.Context())
	require.NoError(t, err)
	commits := databasetest.WatchCommits(t, db, "log_head", "subscribers", "event_batches")
	b.commit(eventbustest.Events(2)...)
	require.Equal(t, 2, b.moveAll(b.relay("one")))
	settled, err := s.RunOnce(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2, settled)
	assert.Equal(t, []string{"event_batches on", "log_head on", "subscribers off"}, commits())
}

// TestF117_NothingOfARolledBackTransactionLeaves and TestPublishNeedsAUnit: an event leaves if and only if its
// transaction commits.
func TestF117_NothingOfARolledBackTransactionLeaves(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		err := b.db.Writer().Transaction(func(tx *gorm.DB) error {
			_, err := databasetest.InsertEvents(tx, eventbustest.Events(2)...)
			require.NoError(t, err)
			return errors.New("refused")
		})
		require.Error(t, err)
		assert.Zero(t, b.moveAll(b.relay("one")))
		assert.Empty(t, b.logged())
	})
}

func TestPublishNeedsAUnit(t *testing.T) {
	bus := database.NewBus(nil)
	event := eventbustest.Events(1)[0]
	require.ErrorIs(t, bus.PublishPaymentEvent(t.Context(), event), database.ErrNoUnitOfWork)
	u := &unit{}
	require.NoError(t, bus.PublishPaymentEvent(account.WithUnit(t.Context(), u), event))
	assert.Equal(t, []account.PaymentEvent{event}, u.events)
}
