package stream_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"florin/domain/account"
	"florin/domain/errs"
	"florin/pkg/eventbus"
	"florin/service/stream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const ada, bob = "ada", "bob"

// memoryLog is a log in memory. Its reads can be held up and made to fail.
type memoryLog struct {
	mu     sync.Mutex
	events []eventbus.PositionedEvent
	reads  int
	before func() // called before each read
	err    error
}

func (l *memoryLog) Head(context.Context) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return int64(len(l.events)), l.err
}

func (l *memoryLog) ReadAfter(_ context.Context, position int64, limit int) ([]eventbus.PositionedEvent, error) {
	l.mu.Lock()
	before := l.before
	l.reads++
	l.mu.Unlock()
	if before != nil {
		before()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return nil, l.err
	}
	rest := l.events[min(position, int64(len(l.events))):]
	return rest[:min(len(rest), limit)], nil
}

func (l *memoryLog) add(users ...string) []eventbus.PositionedEvent {
	l.mu.Lock()
	defer l.mu.Unlock()
	begin := len(l.events)
	for _, user := range users {
		l.events = append(l.events, eventbus.PositionedEvent{Position: int64(len(l.events) + 1),
			Event: account.PaymentEvent{EventID: uuid.NewString(), UserID: user, AccountID: user + "'s", Metadata: map[string]string{}}})
	}
	return l.events[begin:len(l.events):len(l.events)]
}

// rig is a hub over a log in memory.
type rig struct {
	*memoryLog
	hub   *stream.Hub
	meter *meter
}

func newRig(t *testing.T, limits stream.Limits, before ...string) *rig {
	t.Helper()
	r := &rig{memoryLog: &memoryLog{}, meter: &meter{ended: map[string]int{}}}
	r.add(before...)
	hub, err := stream.NewHub(t.Context(), r.memoryLog, limits, r.meter)
	require.NoError(t, err)
	r.hub = hub
	return r
}

// happen adds events and hands them out, as the reader of the log does.
func (r *rig) happen(t *testing.T, users ...string) {
	t.Helper()
	for _, e := range r.add(users...) {
		require.NoError(t, r.hub.HandleEvent(t.Context(), e))
	}
}

func (r *rig) open(t *testing.T, user string, after ...int64) *stream.Stream {
	t.Helper()
	where := stream.After{}
	if len(after) > 0 {
		where = stream.After{Position: after[0], Given: true}
	}
	s, err := r.hub.Open(t.Context(), user, where)
	require.NoError(t, err)
	return s
}

type meter struct {
	mu     sync.Mutex
	opened int
	ended  map[string]int
}

func (m *meter) StreamOpened() { m.mu.Lock(); m.opened++; m.mu.Unlock() }
func (m *meter) StreamEnded(reason string) {
	m.mu.Lock()
	m.ended[reason]++
	m.mu.Unlock()
}

// caughtUp is the positions that CatchUp shows.
func caughtUp(t *testing.T, s *stream.Stream) (positions []int64) {
	t.Helper()
	require.NoError(t, s.CatchUp(func(position int64, _ account.PaymentEvent) error {
		positions = append(positions, position)
		return nil
	}))
	return positions
}

// live is the positions that wait.
func live(s *stream.Stream) (positions []int64) {
	for {
		select {
		case e := <-s.Events():
			positions = append(positions, e.Position)
		default:
			return positions
		}
	}
}

func TestStreamWithoutIDBeginsNow(t *testing.T) {
	r := newRig(t, stream.Limits{}, ada, ada)
	s := r.open(t, ada)
	assert.Equal(t, int64(2), s.Start())
	r.happen(t, ada, bob)
	assert.Empty(t, caughtUp(t, s), "what is live already is not read again")
	r.happen(t, ada)
	assert.Equal(t, []int64{3, 5}, live(s))
	assert.Equal(t, stream.EndedByClient, s.Close())
	r.happen(t, ada)
	assert.Empty(t, live(s))
	assert.Zero(t, r.hub.Count())
}

func TestBothSidesHearAndEachSeesHisOwn(t *testing.T) {
	r := newRig(t, stream.Limits{})
	atAda, atBob, atEve := r.open(t, ada), r.open(t, bob), r.open(t, "eve")
	e := r.add(ada)[0]
	e.Event.CounterpartyUserID, e.Event.CounterpartyAccountID = bob, "bob's"
	e.Event.Metadata = map[string]string{account.OperationKey: "transfer", "secret": "of ada"}
	require.NoError(t, r.hub.HandleEvent(t.Context(), e))
	sent, received := (<-atAda.Events()).Event, (<-atBob.Events()).Event
	assert.Equal(t, []string{ada, "ada's", "bob's", ""}, []string{sent.UserID, sent.AccountID, sent.CounterpartyAccountID, sent.CounterpartyUserID})
	assert.Equal(t, []string{bob, "bob's", "ada's", ""}, []string{received.UserID, received.AccountID, received.CounterpartyAccountID, received.CounterpartyUserID})
	assert.Equal(t, map[string]string{account.OperationKey: "transfer"}, received.Metadata)
	assert.Equal(t, "in", received.Direction)
	assert.Empty(t, live(atEve))

	own := r.add(ada)[0]
	own.Event.CounterpartyUserID = ada
	require.NoError(t, r.hub.HandleEvent(t.Context(), own))
	assert.Len(t, live(atAda), 1, "who sends to himself hears of it once")
}

// TestNothingIsMissedBetweenBacklogAndLive has more happen with every page that is read, also beyond what the buffer takes.
func TestNothingIsMissedBetweenBacklogAndLive(t *testing.T) {
	r := newRig(t, stream.Limits{Page: 4, Buffer: 3})
	for range 25 {
		r.happen(t, ada, bob)
	}
	rounds := 0
	r.before = func() {
		if rounds++; rounds < 20 {
			r.happen(t, ada, bob, bob)
		}
	}
	s := r.open(t, ada, 5)
	got := caughtUp(t, s)
	got = append(got, live(s)...)
	r.happen(t, bob, ada)
	got = append(got, live(s)...)
	var want []int64
	for _, e := range r.events {
		if e.Event.UserID == ada && e.Position > 5 {
			want = append(want, e.Position)
		}
	}
	assert.Equal(t, want, got)
	assert.Greater(t, rounds, 19)
	s.Close()
}

// TestAnotherServerIsAhead resumes with an id that this server's reader has not reached yet.
func TestAnotherServerIsAhead(t *testing.T) {
	r := newRig(t, stream.Limits{}, ada)
	ahead := r.add(ada, ada, bob, ada)
	s := r.open(t, ada, 3)
	assert.Empty(t, caughtUp(t, s))
	for _, e := range ahead {
		require.NoError(t, r.hub.HandleEvent(t.Context(), e))
		require.NoError(t, r.hub.HandleEvent(t.Context(), e), "a repeat is passed over")
	}
	assert.Equal(t, []int64{5}, live(s))
	position, idle := s.Idle()
	assert.True(t, idle)
	assert.Equal(t, int64(5), position)
}

func TestWhatIsRefused(t *testing.T) {
	r := newRig(t, stream.Limits{PerUser: 2, Total: 3, Backlog: 10})
	for range 12 {
		r.happen(t, bob)
	}
	refused := func(user string, after int64, kind errs.Kind, code string) {
		t.Helper()
		_, err := r.hub.Open(t.Context(), user, stream.After{Position: after, Given: after >= 0})
		require.Error(t, err)
		assert.Equal(t, kind, errs.KindOf(err))
		assert.Equal(t, code, errs.CodeOf(err))
	}
	refused(ada, 13, errs.Malformed, "invalid_last_event_id")
	refused(ada, 1, errs.Refused, "events_too_old")
	first := r.open(t, ada, 2)
	r.open(t, ada, 12)
	refused(ada, -1, errs.Limited, "too_many_streams")
	r.open(t, bob)
	refused("eve", -1, errs.Unavailable, "streams_full")
	first.Close()
	r.open(t, "eve")
	r.hub.Close()
	refused(ada, -1, errs.Unavailable, "stopping")
}

func TestSlowReaderIsEndedAlone(t *testing.T) {
	r := newRig(t, stream.Limits{Buffer: 2})
	slow, brisk := r.open(t, ada), r.open(t, ada)
	r.happen(t, ada, bob, ada)
	assert.Equal(t, []int64{1, 3}, live(brisk))
	require.NoError(t, slow.Context().Err())
	r.happen(t, ada)
	require.Error(t, slow.Context().Err())
	_, idle := slow.Idle()
	assert.False(t, idle, "who has missed something must not be told that he has not")
	assert.Equal(t, stream.EndedSlow, slow.Close())
	assert.Equal(t, []int64{4}, live(brisk))
	r.hub.Close()
	assert.Equal(t, stream.EndedShutdown, brisk.Close())
	assert.Equal(t, map[string]int{stream.EndedSlow: 1, stream.EndedShutdown: 1}, r.meter.ended)
	assert.Equal(t, 2, r.meter.opened)
}

func TestCatchUpReportsItsFailures(t *testing.T) {
	r := newRig(t, stream.Limits{}, ada, ada)
	down := errors.New("the database is away")
	s := r.open(t, ada, 0)
	r.err = down
	require.ErrorIs(t, s.CatchUp(nil), down)
	r.err = nil
	gone := errors.New("gone")
	require.ErrorIs(t, r.open(t, ada, 0).CatchUp(func(int64, account.PaymentEvent) error { return gone }), gone)
}

// TestCatchUpEndsWithItsStream also where it waits for its turn, and where it reads.
func TestCatchUpEndsWithItsStream(t *testing.T) {
	r := newRig(t, stream.Limits{Replays: 1, Page: 1}, ada, ada, ada)
	reading, release := make(chan struct{}), make(chan struct{})
	r.before = func() { close(reading); <-release }
	first, second := r.open(t, ada, 0), r.open(t, ada, 0)
	results := make(chan error, 2)
	show := func(int64, account.PaymentEvent) error { return errors.New("shown after the end") }
	go func() { results <- first.CatchUp(show) }()
	<-reading
	go func() { results <- second.CatchUp(show) }()
	r.hub.Close()
	require.NoError(t, <-results, "the one that waits")
	close(release)
	select {
	case err := <-results:
		require.NoError(t, err)
	case <-time.After(10 * time.Second):
		require.Fail(t, "did not end")
	}
}
