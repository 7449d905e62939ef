package eventbustest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/domain/account"
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

func testGroup(t *testing.T, h Harness) {
	if !h.Capabilities.Groups {
		return
	}
	var working atomic.Int64
	handle := func(context.Context, account.PaymentEvent) error {
		if working.Add(1) > 1 {
			t.Error("two of one group worked at the same time")
		}
		working.Add(-1)
		return nil
	}
	first := Subscribe(t, h, "group", handle)
	standby := start(t, h, "group", handle)
	for n := range 20 { // one by one, so that whoever listens has its chance
		require.NoError(t, h.Publish(t.Context(), Events(1)...))
		first.Await(n + 1)
	}
	assert.Empty(t, standby.Got(), "only one of a group may work")
	first.Stop()
	standby.waitLive(h)
	after := Events(3)
	require.NoError(t, h.Publish(t.Context(), after...))
	assert.Subset(t, standby.AwaitAll(after), after, "who stood by must take over")
	standby.Stop()
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
