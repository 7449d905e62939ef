package eventbustest

import (
	"context"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"florin/domain/account"
	"florin/pkg/eventbus"
)

// patience is how long a test waits for what must happen before it fails.
const patience = time.Minute

// probeKey marks events that only show that a subscription is live.
const probeKey = "eventbustest_probe"

// Events returns the first n events of a new transaction, as a transaction would make them. They pass the state
// machine for up to three.
func Events(n int) []account.PaymentEvent {
	path := []account.PaymentStatus{"", account.PaymentStatusInitiated, account.PaymentStatusPending, account.PaymentStatusCompleted}
	transaction := uuid.Must(uuid.NewV7()).String()
	start := time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC)
	events := make([]account.PaymentEvent, n)
	for i := range events {
		at := start.Add(time.Duration(i) * time.Second)
		events[i] = account.PaymentEvent{
			EventID: uuid.Must(uuid.NewV7()).String(), TransactionID: transaction,
			AccountID: uuid.NewString(), UserID: uuid.NewString(), Amount: 12345, Currency: "EUR",
			Status: path[min(i+1, 3)], From: path[min(i, 2)], Provider: "mock", Timestamp: at.Unix(),
			Metadata: map[string]string{"operation": "deposit"}, Seq: i + 1, Cause: account.CauseRequest, At: at,
		}
	}
	return events
}

// Subscriber is one live subscription that notes what it gets. Probes are neither noted nor refused.
type Subscriber struct {
	t      *testing.T
	cancel context.CancelFunc
	ended  chan error
	live   chan struct{}
	once   sync.Once

	mu     sync.Mutex
	got    []account.PaymentEvent
	grew   chan struct{} // closed and replaced with each event
	handle eventbus.Handler
}

// Subscribe starts a subscription and returns when it is live. The handler may be nil; its error is the bus's.
func Subscribe(t *testing.T, h Harness, name string, handle eventbus.Handler) *Subscriber {
	t.Helper()
	s := start(t, h, name, handle)
	s.waitLive(h)
	return s
}

func start(t *testing.T, h Harness, name string, handle eventbus.Handler) *Subscriber {
	ctx, cancel := context.WithCancel(context.Background())
	s := &Subscriber{t: t, cancel: cancel, ended: make(chan error, 1), live: make(chan struct{}), grew: make(chan struct{}), handle: handle}
	entered := make(chan struct{})
	go func() {
		close(entered)
		s.ended <- h.Bus.SubscribePaymentEvents(ctx, name, s.receive)
	}()
	<-entered
	t.Cleanup(cancel)
	return s
}

// waitLive publishes probes until the first arrives: "from now on" has no other sign that every bus can give.
func (s *Subscriber) waitLive(h Harness) {
	s.t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		probe := Events(1)
		probe[0].Metadata = map[string]string{probeKey: "yes"}
		require.NoError(s.t, h.Publish(context.Background(), probe...))
		select {
		case <-s.live:
			return
		case err := <-s.ended:
			require.FailNow(s.t, "subscription ended", "%v", err)
		case <-deadline:
			require.FailNow(s.t, "subscription did not become live")
		case <-tick.C:
		}
	}
}

func (s *Subscriber) receive(ctx context.Context, event account.PaymentEvent) error {
	if event.Metadata[probeKey] != "" {
		s.once.Do(func() { close(s.live) })
		return nil
	}
	s.mu.Lock()
	s.got = append(s.got, event)
	close(s.grew)
	s.grew = make(chan struct{})
	s.mu.Unlock()
	if s.handle != nil {
		return s.handle(ctx, event)
	}
	return nil
}

// Got is what has come so far.
func (s *Subscriber) Got() []account.PaymentEvent {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.got)
}

// changes is closed with the next delivery.
func (s *Subscriber) changes() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.grew
}

// Await waits until at least n deliveries were made, repeats included, and returns them all.
func (s *Subscriber) Await(n int) []account.PaymentEvent {
	s.t.Helper()
	deadline := time.After(patience)
	for {
		s.mu.Lock()
		got, grew := slices.Clone(s.got), s.grew
		s.mu.Unlock()
		if len(got) >= n {
			return got
		}
		select {
		case <-grew:
		case err := <-s.ended:
			require.FailNow(s.t, "subscription ended", "after %d of %d deliveries: %v", len(got), n, err)
		case <-deadline:
			require.FailNow(s.t, "events did not come", "%d of %d deliveries", len(got), n)
		}
	}
}

// AwaitAll waits until each of the events was delivered at least once, and returns all deliveries.
func (s *Subscriber) AwaitAll(events []account.PaymentEvent) []account.PaymentEvent {
	s.t.Helper()
	for n := len(events); ; n++ {
		got := s.Await(n)
		missing := slices.ContainsFunc(events, func(e account.PaymentEvent) bool {
			return !slices.ContainsFunc(got, func(g account.PaymentEvent) bool { return g.EventID == e.EventID })
		})
		if !missing {
			return got
		}
		n = max(n, len(got))
	}
}

// Stop ends the subscription and waits until it has ended, as it must: without an error.
func (s *Subscriber) Stop() {
	s.t.Helper()
	s.cancel()
	select {
	case err := <-s.ended:
		require.NoError(s.t, err)
	case <-time.After(patience):
		require.FailNow(s.t, "subscription did not end with its context")
	}
}

// requireOrdered checks that within each transaction no event comes before one with a lower Seq has come.
func requireOrdered(t *testing.T, got []account.PaymentEvent) {
	t.Helper()
	last := map[string]int{}
	for _, e := range got {
		require.LessOrEqual(t, e.Seq, last[e.TransactionID]+1, "event %d of transaction %s came before an earlier one", e.Seq, e.TransactionID)
		last[e.TransactionID] = max(last[e.TransactionID], e.Seq)
	}
}

// distinct drops repeats, keeping the first of each.
func distinct(got []account.PaymentEvent) []account.PaymentEvent {
	seen := map[string]bool{}
	var first []account.PaymentEvent
	for _, e := range got {
		if !seen[e.EventID] {
			seen[e.EventID] = true
			first = append(first, e)
		}
	}
	return first
}

// fold is the state of a consumer that drops what it has seen: the last Seq and status per transaction.
func fold(state map[string]account.PaymentEvent, e account.PaymentEvent) map[string]account.PaymentEvent {
	next := maps.Clone(state)
	if next == nil {
		next = map[string]account.PaymentEvent{}
	}
	if e.Seq > next[e.TransactionID].Seq {
		next[e.TransactionID] = e
	}
	return next
}
