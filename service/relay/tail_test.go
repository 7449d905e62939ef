package relay

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/domain/account"
	"florin/pkg/eventbus"
)

// memoryLog is a log of which each event's Seq is its position.
type memoryLog struct {
	Log
	head  int64
	reads int
}

func (l *memoryLog) ReadAfter(_ context.Context, position int64, limit int) (events []eventbus.PositionedEvent, err error) {
	l.reads++
	for p := position + 1; p <= l.head && len(events) < limit; p++ {
		events = append(events, eventbus.PositionedEvent{Position: p, Event: account.PaymentEvent{Seq: int(p)}})
	}
	return events, nil
}

func read(t *testing.T, l Log, after int64, limit int) (positions []int64) {
	t.Helper()
	events, err := l.ReadAfter(t.Context(), after, limit)
	require.NoError(t, err)
	for _, e := range events {
		require.Equal(t, int(e.Position), e.Event.Seq)
		positions = append(positions, e.Position)
	}
	return positions
}

func TestTailIsReadOnceForAll(t *testing.T) {
	log := &memoryLog{head: 3}
	shared := &tail{Log: log, keep: 10}
	shared.announce(3)
	for range 4 {
		assert.Equal(t, []int64{1, 2, 3}, read(t, shared, 0, 10))
	}
	assert.Equal(t, 1, log.reads)

	log.head = 5
	assert.Equal(t, []int64{3}, read(t, shared, 2, 10), "nobody has heard of more")
	assert.Equal(t, 1, log.reads)
	shared.announce(5)
	assert.Equal(t, []int64{3, 4, 5}, read(t, shared, 2, 10))
	assert.Equal(t, []int64{4, 5}, read(t, shared, 3, 10))
	assert.Equal(t, []int64{1, 2}, read(t, shared, 0, 2), "as many as were asked for")
	assert.Equal(t, 2, log.reads)
}

// eventsOf is the events of the memory log at the positions.
func eventsOf(from, to int64) []eventbus.PositionedEvent {
	events, _ := (&memoryLog{head: to}).ReadAfter(context.Background(), from-1, int(to))
	return events
}

func TestTailNeedNotReadWhatItWasFed(t *testing.T) {
	log := &memoryLog{head: 3}
	shared := &tail{Log: log, keep: 10}
	shared.feed(eventsOf(2, 3))
	shared.announce(3)
	assert.Equal(t, []int64{2, 3}, read(t, shared, 1, 10))
	log.head = 5
	shared.feed(eventsOf(4, 5))
	shared.announce(5)
	assert.Equal(t, []int64{2, 3, 4, 5}, read(t, shared, 1, 10))
	assert.Zero(t, log.reads)

	log.head = 9
	shared.feed(eventsOf(8, 9)) // 6 and 7 are another server's
	shared.announce(9)
	assert.Equal(t, []int64{5, 6, 7, 8, 9}, read(t, shared, 4, 10))
	assert.Equal(t, 1, log.reads)
	shared.feed(eventsOf(8, 9))
	assert.Equal(t, []int64{5, 6, 7, 8, 9}, read(t, shared, 4, 10), "heard of twice")
	assert.Equal(t, 1, log.reads)
}

func TestTailAsksTheLogAtItsEnd(t *testing.T) {
	log := &memoryLog{head: 3}
	shared := &tail{Log: log, keep: 10}
	assert.Equal(t, []int64{1, 2, 3}, read(t, shared, 0, 10))
	log.head = 4 // and the announcement is lost
	assert.Equal(t, []int64{4}, read(t, shared, 3, 10))
}

func TestTailIsNotForThoseFarBehind(t *testing.T) {
	log := &memoryLog{head: 100}
	shared := &tail{Log: log, keep: 10}
	shared.announce(100)
	assert.Len(t, read(t, shared, 90, 10), 10)
	assert.Equal(t, []int64{11, 12}, read(t, shared, 10, 2))
	reads := log.reads
	assert.Len(t, read(t, shared, 90, 10), 10)
	assert.Equal(t, reads, log.reads, "what others hold is still there")
}

// TestTailIsTheLog: whoever reads with whatever limits, from wherever, sees every event once and in order, and what was read
// stays as it was.
func TestTailIsTheLog(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	log := &memoryLog{}
	shared := &tail{Log: log, keep: 7}
	cursors := make([]int64, 5)
	var kept [][]eventbus.PositionedEvent
	for range 20_000 {
		switch who := random.IntN(len(cursors) + 2); {
		case who == len(cursors):
			log.head += int64(random.IntN(4))
		case who > len(cursors):
			if log.head > 0 && random.IntN(2) == 0 {
				shared.feed(eventsOf(1+random.Int64N(log.head), log.head))
			}
			shared.announce(log.head)
		default:
			events, err := shared.ReadAfter(t.Context(), cursors[who], 1+random.IntN(6))
			require.NoError(t, err)
			for _, e := range events {
				cursors[who]++
				require.Equal(t, cursors[who], e.Position)
			}
			kept = append(kept, events)
			if random.IntN(100) == 0 {
				cursors[who] = random.Int64N(log.head + 1) // a new server took over
			}
		}
		require.LessOrEqual(t, len(shared.events), 2*shared.keep)
	}
	for _, events := range kept {
		for i, e := range slices.All(events) {
			require.Equal(t, events[0].Position+int64(i), e.Position)
		}
	}
	for who := range cursors {
		for cursors[who] < log.head {
			got := read(t, shared, cursors[who], 5)
			require.NotEmpty(t, got)
			cursors[who] = got[len(got)-1]
		}
	}
}
