package eventbustest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"

	"florin/domain/account"
	"florin/pkg/eventbus"
)

func testEveryName(t *testing.T, h Harness) {
	first, second := Subscribe(t, h, "first", nil), Subscribe(t, h, "second", nil)
	a, b := Events(3), Events(3)
	sent := []account.PaymentEvent{a[0], b[0], a[1], b[1], b[2], a[2]}
	require.NoError(t, h.Publish(t.Context(), sent...))
	for _, s := range []*Subscriber{first, second} {
		got := s.AwaitAll(sent)
		if h.Capabilities.Ordered {
			requireOrdered(t, got)
		}
		assert.ElementsMatch(t, sent, distinct(got), "every event must come as it was published")
		s.Stop()
	}
}

func testEnds(t *testing.T, h Harness) {
	s := Subscribe(t, h, "ends", nil)
	require.NoError(t, h.Publish(t.Context(), Events(2)...))
	s.Await(2)
	s.Stop()
	before := len(s.Got())
	other := Subscribe(t, h, "other", nil)
	require.NoError(t, h.Publish(t.Context(), Events(2)...))
	other.Await(2)
	assert.Len(t, s.Got(), before, "nothing may be delivered after the subscription has ended")
	other.Stop()
}

func testIsolation(t *testing.T, h Harness) {
	stuck := Subscribe(t, h, "stuck", func(ctx context.Context, _ account.PaymentEvent) error {
		<-ctx.Done()
		return ctx.Err()
	})
	free := Subscribe(t, h, "free", nil)
	for range 3 {
		require.NoError(t, h.Publish(t.Context(), Events(2)...))
	}
	free.Await(6)
	assert.Len(t, stuck.Await(1), 1)
	free.Stop()
	stuck.Stop()
}

func testConcurrentPublishers(t *testing.T, h Harness) {
	const publishers, each = 8, 10
	s := Subscribe(t, h, "concurrent", nil)
	var group sync.WaitGroup
	failures := make(chan error, publishers*each)
	for range publishers {
		group.Go(func() {
			for range each {
				for _, e := range Events(3) {
					if err := h.Publish(t.Context(), e); err != nil {
						failures <- err
					}
				}
			}
		})
	}
	group.Wait()
	close(failures)
	for err := range failures {
		require.NoError(t, err)
	}
	got := s.Await(publishers * each * 3)
	if h.Capabilities.Ordered {
		requireOrdered(t, got)
	}
	assert.Len(t, distinct(got), publishers*each*3)
	s.Stop()
}

func testRedelivers(t *testing.T, h Harness) {
	if !h.Capabilities.Redelivers {
		return
	}
	var calls atomic.Int64
	s := Subscribe(t, h, "redelivers", func(_ context.Context, e account.PaymentEvent) error {
		if e.Seq == 2 && calls.Add(1) <= 2 {
			return errors.New("not now")
		}
		return nil
	})
	sent := Events(3)
	require.NoError(t, h.Publish(t.Context(), sent...))
	got := s.Await(5)
	if h.Capabilities.Ordered {
		assert.Equal(t, []account.PaymentEvent{sent[0], sent[1], sent[1], sent[1], sent[2]}, got,
			"a failed event must come again, the same, before any later one of its transaction")
	}
	assert.ElementsMatch(t, sent, distinct(got))
	s.Stop()
}

func testPanic(t *testing.T, h Harness) {
	if !h.Capabilities.Redelivers {
		return
	}
	var panicked atomic.Bool
	s := Subscribe(t, h, "panics", func(context.Context, account.PaymentEvent) error {
		if panicked.CompareAndSwap(false, true) {
			panic("poison")
		}
		return nil
	})
	sent := Events(1)
	require.NoError(t, h.Publish(t.Context(), sent...))
	assert.Equal(t, []account.PaymentEvent{sent[0], sent[0]}, s.Await(2))
	s.Stop()
}

// testIdempotentFold makes each event come at least twice and checks the state of a consumer that knows an event by
// transaction and Seq against the state without repeats.
func testIdempotentFold(t *testing.T, h Harness) {
	if !h.Capabilities.Redelivers || !h.Capabilities.Ordered {
		return
	}
	var mu sync.Mutex
	var state map[string]account.PaymentEvent
	seen := map[string]bool{}
	s := Subscribe(t, h, "fold", func(_ context.Context, e account.PaymentEvent) error {
		mu.Lock()
		defer mu.Unlock()
		state = fold(state, e)
		if !seen[e.EventID] {
			seen[e.EventID] = true
			return errors.New("done, but not acknowledged")
		}
		return nil
	})
	var expected map[string]account.PaymentEvent
	for range 5 {
		events := Events(3)
		require.NoError(t, h.Publish(t.Context(), events...))
		for _, e := range events {
			expected = fold(expected, e)
		}
	}
	s.Await(30)
	s.Stop()
	assert.Equal(t, expected, state)
}

// testGroup lets two of one name work side by side, and then one leave.
func testGroup(t *testing.T, h Harness) {
	if !h.Capabilities.Groups {
		return
	}
	first := Subscribe(t, h, "group", nil)
	second := start(t, h, "group", nil)
	var sent []account.PaymentEvent
	for range 20 {
		events := Events(3)
		require.NoError(t, h.Publish(t.Context(), events...))
		sent = append(sent, events...)
	}
	got := awaitBoth(t, first, second, sent)
	assert.Len(t, got, len(distinct(got)), "each event goes to one of the group")
	first.Stop()
	second.waitLive(h)
	after := Events(3)
	require.NoError(t, h.Publish(t.Context(), after...))
	assert.Subset(t, second.AwaitAll(after), after, "who is left must take over")
	second.Stop()
}

// awaitBoth waits until the two have got all of the events between them.
func awaitBoth(t *testing.T, first, second *Subscriber, events []account.PaymentEvent) []account.PaymentEvent {
	t.Helper()
	deadline := time.After(patience)
	for {
		grew, grewToo := first.changes(), second.changes()
		got := append(first.Got(), second.Got()...)
		if len(distinct(got)) >= len(events) {
			return got
		}
		select {
		case <-grew:
		case <-grewToo:
		case <-deadline:
			require.FailNow(t, "events did not come", "%d of %d", len(distinct(got)), len(events))
		}
	}
}

func testDurable(t *testing.T, h Harness) {
	if !h.Capabilities.Durable {
		return
	}
	before := Subscribe(t, h, "durable", nil)
	require.NoError(t, h.Publish(t.Context(), Events(2)...))
	before.Await(2)
	before.Stop()
	missed := Events(3)
	require.NoError(t, h.Publish(t.Context(), missed...))
	after := start(t, h, "durable", nil)
	got := after.AwaitAll(missed)
	assert.Subset(t, got, missed)
	requireOrdered(t, onlyOf(got, missed[0].TransactionID))
	after.Stop()
}

// onlyOf is the deliveries of one transaction.
func onlyOf(got []account.PaymentEvent, transaction string) []account.PaymentEvent {
	var of []account.PaymentEvent
	for _, e := range got {
		if e.TransactionID == transaction {
			of = append(of, e)
		}
	}
	return of
}

func testRecorded(t *testing.T, h Harness) {
	if !h.Capabilities.Recorded {
		return
	}
	sent := Events(3)
	require.NoError(t, h.Publish(t.Context(), sent...))
	assert.Equal(t, sent, h.Recorded())
}

// testEndLosesNothing ends a subscription in the middle of a stream of events and goes on with another of the name.
func testEndLosesNothing(t *testing.T, h Harness) {
	if !h.Capabilities.Durable {
		return
	}
	before := Subscribe(t, h, "ending", nil)
	var sent []account.PaymentEvent
	for n := range 30 {
		events := Events(3)
		require.NoError(t, h.Publish(t.Context(), events...))
		sent = append(sent, events...)
		if n == 10 {
			before.Await(5)
			go before.cancel()
		}
	}
	before.Stop()
	after := start(t, h, "ending", nil)
	got := before.Got()
	for n := 0; len(distinct(got)) < len(sent); n++ {
		got = append(before.Got(), after.Await(len(sent)-len(distinct(before.Got()))+n)...)
	}
	if h.Capabilities.Ordered {
		requireOrdered(t, got)
	}
	assert.ElementsMatch(t, sent, distinct(got))
	after.Stop()
}

// testSetsAside has a handler that always fails the second event of one transaction.
func testSetsAside(t *testing.T, h Harness) {
	if !h.Capabilities.SetsAside {
		return
	}
	poison := Events(4)
	var last atomic.Bool // the handler has failed for the last time
	var calls atomic.Int64
	var others atomic.Int64
	s := Subscribe(t, h, "setsaside", func(_ context.Context, e account.PaymentEvent) error {
		if e.EventID == poison[1].EventID {
			last.Store(calls.Add(1) == int64(Retry.Tries))
			return errors.New("poison")
		}
		if e.TransactionID != poison[0].TransactionID && !last.Load() {
			others.Add(1)
		}
		return nil
	})
	other, another := Events(3), Events(3)
	sent := []account.PaymentEvent{poison[0], poison[1], poison[2], other[0], another[0], other[1], other[2], another[1], another[2]}
	require.NoError(t, h.Publish(t.Context(), sent...))
	s.AwaitAll(append(other, another...))
	letters := h.DeadLetters.Await(t, 2)
	assert.Equal(t, int64(6), others.Load(), "other transactions must not wait")
	assert.Equal(t, int64(Retry.Tries), calls.Load())
	assert.NotContains(t, s.Got(), poison[2], "what is behind an event that was set aside must wait too")
	for i, reason := range []string{eventbus.ReasonTriesUsedUp, eventbus.ReasonBehind} {
		kept, _, err := eventbus.UnmarshalCloudEvent([]byte(letters[i].Payload))
		require.NoError(t, err)
		assert.Equal(t, poison[i+1], kept)
		assert.Equal(t, reason, letters[i].Reason)
		assert.Equal(t, poison[i+1].EventID, letters[i].SourceID.String())
		assert.Equal(t, poison[i+1].TransactionID, letters[i].TransactionID.String())
		assert.Equal(t, "open", string(letters[i].Status))
	}
	assert.Equal(t, Retry.Tries, letters[0].Tries)
	assert.Contains(t, letters[0].LastError, "poison")

	h.DeadLetters.Settle()
	require.NoError(t, h.Publish(t.Context(), poison[3]))
	s.AwaitAll(poison[3:])
	s.Stop()
}

// testAway: what an event is not to blame for may last for longer than its tries.
func testAway(t *testing.T, h Harness) {
	if !h.Capabilities.SetsAside {
		return
	}
	var calls atomic.Int64
	s := Subscribe(t, h, "away", func(context.Context, account.PaymentEvent) error {
		if calls.Add(1) <= int64(Retry.Tries)+1 {
			return eventbus.Away("call", errors.New("nobody answers"))
		}
		return nil
	})
	sent := Events(3)
	require.NoError(t, h.Publish(t.Context(), sent...))
	got := s.Await(Retry.Tries + 1 + len(sent))
	requireOrdered(t, got)
	assert.ElementsMatch(t, sent, distinct(got))
	assert.Empty(t, h.DeadLetters.All())
	s.Stop()
}

func testBounded(t *testing.T, h Harness) {
	if !h.Capabilities.Bounded {
		return
	}
	large := Events(1)
	large[0].Metadata = map[string]string{"note": strings.Repeat("x", eventbus.MaxEventBytes)}
	require.ErrorIs(t, h.Publish(t.Context(), large...), eventbus.ErrTooLarge)
	below := Events(1)
	below[0].Metadata = map[string]string{"note": strings.Repeat("<", 1000)}
	s := Subscribe(t, h, "bounded", nil)
	require.NoError(t, h.Publish(t.Context(), below...))
	assert.Equal(t, below, s.Await(1))
	s.Stop()
}

func testTraced(t *testing.T, h Harness) {
	if !h.Capabilities.Traced {
		return
	}
	seen := make(chan trace.TraceID, 1)
	s := Subscribe(t, h, "traced", func(ctx context.Context, _ account.PaymentEvent) error {
		seen <- trace.SpanContextFromContext(ctx).TraceID()
		return nil
	})
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1, 2, 3}, SpanID: trace.SpanID{4, 5}, TraceFlags: trace.FlagsSampled})
	require.NoError(t, h.Publish(trace.ContextWithSpanContext(t.Context(), span), Events(1)...))
	s.Await(1)
	assert.Equal(t, span.TraceID(), <-seen)
	s.Stop()
}
