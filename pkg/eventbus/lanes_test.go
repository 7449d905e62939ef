package eventbus_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"florin/domain/account"
	"florin/pkg/eventbus"
	"florin/pkg/eventbus/eventbustest"
)

// lanes are ones whose clock is the test's.
type lanes struct {
	*eventbus.Lanes
	now     time.Time
	letters *eventbustest.DeadLetters
}

func newLanes(handle eventbus.BatchHandler) *lanes {
	l := &lanes{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), letters: &eventbustest.DeadLetters{}}
	l.Lanes = eventbus.NewLanes(eventbus.LaneSettings{Name: "test", Now: func() time.Time { return l.now }, DeadLetters: l.letters,
		Retry: eventbus.Retry{Tries: 3, Min: time.Second, Max: time.Minute}, Logger: slog.New(slog.DiscardHandler)}, handle)
	return l
}

func TestAnEventIsNotTriedBeforeItIsDue(t *testing.T) {
	tries := 0
	l := newLanes(func(_ context.Context, events []eventbus.PositionedEvent) []error {
		tries++
		return eventbus.All(len(events), errors.New("no"))
	})
	l.Add(&eventbus.Item{PositionedEvent: eventbus.PositionedEvent{Event: eventbustest.Events(1)[0]}})
	for _, delay := range []time.Duration{0, time.Second, 2 * time.Second} {
		before := tries
		if delay > 0 {
			l.now = l.now.Add(delay - time.Millisecond)
			_, away := l.Work(t.Context())
			require.NoError(t, away)
			require.Equal(t, before, tries)
			l.now = l.now.Add(time.Millisecond)
		}
		_, away := l.Work(t.Context())
		require.NoError(t, away)
		require.Equal(t, before+1, tries)
	}
	assert.Len(t, l.letters.All(), 1)
	assert.Zero(t, l.Held())
}

// TestNothingIsLostWhereADeadLetterCannotBeStored: the event stays until it can.
func TestNothingIsLostWhereADeadLetterCannotBeStored(t *testing.T) {
	l := newLanes(func(_ context.Context, events []eventbus.PositionedEvent) []error {
		return eventbus.All(len(events), errors.New("no"))
	})
	settled := 0
	l.Add(&eventbus.Item{PositionedEvent: eventbus.PositionedEvent{Event: eventbustest.Events(1)[0]}, Settle: func(bool) { settled++ }})
	l.letters.Fail(errors.New("the database is down"))
	for range 5 {
		_, _ = l.Work(t.Context()) // the errors are as they should be, and what counts is below
		l.now = l.now.Add(time.Hour)
	}
	require.Zero(t, settled)
	l.letters.Fail(nil)
	_, away := l.Work(t.Context())
	require.NoError(t, away)
	assert.Equal(t, 1, settled)
	assert.Len(t, l.letters.All(), 1)
}

// TestF115_EveryEventIsHandledInOrderOrSetAside draws transactions, and events that fail some times, for ever, or because all
// is away.
func TestF115_EveryEventIsHandledInOrderOrSetAside(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		failures := map[string]int{}
		var all []account.PaymentEvent
		for range rapid.IntRange(1, 5).Draw(t, "transactions") {
			events := eventbustest.Events(rapid.IntRange(1, 3).Draw(t, "events"))
			for _, e := range events {
				failures[e.EventID] = rapid.SampledFrom([]int{0, 0, 1, 2, 1000}).Draw(t, "failures")
			}
			all = append(all, events...)
		}
		awayFor := rapid.IntRange(0, 3).Draw(t, "away")
		handled := map[string]int{}
		l := newLanes(func(_ context.Context, events []eventbus.PositionedEvent) []error {
			if awayFor > 0 {
				awayFor--
				return eventbus.All(len(events), eventbus.ErrAway)
			}
			return eventbus.InWaves(events, func(wave []eventbus.PositionedEvent) []error {
				results := make([]error, len(wave))
				for i, e := range wave {
					if failures[e.Event.EventID] > 0 {
						failures[e.Event.EventID]--
						results[i] = errors.New("no")
						continue
					}
					if e.Event.Seq != handled[e.Event.TransactionID]+1 {
						t.Fatalf("event %d after %d", e.Event.Seq, handled[e.Event.TransactionID])
					}
					handled[e.Event.TransactionID]++
				}
				return results
			})
		})
		settled := map[string]int{}
		for _, e := range all {
			l.Add(&eventbus.Item{PositionedEvent: eventbus.PositionedEvent{Event: e}, Settle: func(bool) { settled[e.EventID]++ }})
			if rapid.Bool().Draw(t, "work") {
				_, _ = l.Work(context.Background()) // what failed comes again
			}
		}
		for range 20 {
			_, _ = l.Work(context.Background()) // the same
			l.now = l.now.Add(time.Hour)
		}
		if l.Held() != 0 {
			t.Fatalf("%d events are left", l.Held())
		}
		for _, e := range all {
			if settled[e.EventID] != 1 {
				t.Fatalf("event %d of %s was settled %d times", e.Seq, e.TransactionID, settled[e.EventID])
			}
		}
		total := len(l.letters.All())
		for _, n := range handled {
			total += n
		}
		if total != len(all) {
			t.Fatalf("%d of %d events were handled or set aside", total, len(all))
		}
	})
}
