package relay_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"florin/domain/account"
	"florin/infra/database"
	"florin/infra/database/databasetest"
	"florin/pkg/eventbus"
	"florin/service/relay"
)

// TestMain also proves that every loop, subscriber and waiter has ended with its context.
func TestMain(m *testing.M) {
	throwawayServer := goleak.IgnoreAnyFunction("os/exec.(*Cmd).Wait")
	goleak.VerifyTestMain(m, throwawayServer)
}

// clock stands still unless a test moves it.
type clock struct {
	mu   sync.Mutex
	now  time.Time
	step time.Duration // added with every look
}

func newClock() *clock { return &clock{now: time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(c.step)
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// bench is one database with what relays and subscribers need.
type bench struct {
	t      *testing.T
	db     *database.DB
	clock  *clock
	log    *database.Log
	leases *database.Leases
}

// onBoth runs the test on both databases.
func onBoth(t *testing.T, run func(t *testing.T, b *bench)) {
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		c := newClock()
		run(t, &bench{t: t, db: db, clock: c, log: database.NewLog(db, c.Now), leases: database.NewLeases(db, c.Now)})
	})
}

// settings are of a server of that name, whose loops are only ever woken.
func (b *bench) settings(holder string) relay.Settings {
	return relay.Settings{Holder: holder, Now: b.clock.Now, Interval: time.Hour, RetryMin: time.Millisecond, RetryMax: time.Millisecond,
		EventRetry: eventbus.Retry{Min: time.Millisecond, Max: time.Millisecond}, Logger: slog.New(slog.DiscardHandler)}
}

func (b *bench) relay(holder string) *relay.Relay {
	return relay.New(b.log, b.leases, b.settings(holder), nil)
}

func (b *bench) commit(events ...account.PaymentEvent) {
	b.t.Helper()
	require.NoError(b.t, databasetest.CommitEvents(b.t.Context(), b.db, events...))
}

// moveAll relays until nothing waits.
func (b *bench) moveAll(r *relay.Relay) (total int) {
	b.t.Helper()
	for {
		moved, err := r.RunOnce(b.t.Context())
		require.NoError(b.t, err)
		if total += moved; moved == 0 {
			return total
		}
	}
}

// logged is the whole log in order.
func (b *bench) logged() []eventbus.PositionedEvent {
	b.t.Helper()
	events, err := b.log.ReadAfter(b.t.Context(), 0, 1_000_000)
	require.NoError(b.t, err)
	return events
}

func (b *bench) loggedEvents() []account.PaymentEvent {
	var events []account.PaymentEvent
	for _, e := range b.logged() {
		events = append(events, e.Event)
	}
	return events
}

// pausedQueue calls before each time when a relay has read and is about to mark.
type pausedQueue struct {
	relay.Queue
	before func(ids []eventbus.WaitingBatch)
	err    error // of the last mark
	nudges int
}

func (q *pausedQueue) AssignPositions(ctx context.Context, fence int64, ids []eventbus.WaitingBatch) (last int64, err error) {
	if q.before != nil {
		q.before(ids)
	}
	last, q.err = q.Queue.AssignPositions(ctx, fence, ids)
	return last, q.err
}

func (q *pausedQueue) NudgeRelay(ctx context.Context) error {
	q.nudges++
	return q.Queue.NudgeRelay(ctx)
}

// collector is a handler that keeps what it gets and can be told to fail.
type collector struct {
	mu   sync.Mutex
	got  []eventbus.PositionedEvent
	fail error
}

func (c *collector) handle(_ context.Context, e eventbus.PositionedEvent) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fail != nil {
		return c.fail
	}
	c.got = append(c.got, e)
	return nil
}

func (c *collector) events() []account.PaymentEvent {
	c.mu.Lock()
	defer c.mu.Unlock()
	events := []account.PaymentEvent{}
	for _, e := range c.got {
		events = append(events, e.Event)
	}
	return events
}
