package relay

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"

	"florin/pkg/eventbus"
)

// TestI11_OrderIsBySeqWhateverTheOrderOfRows plays any history: transactions with some events positioned, some waiting and
// some not committed yet, read in any order.
func TestI11_OrderIsBySeqWhateverTheOrderOfRows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type event struct {
			transaction uuid.UUID
			seq         int
		}
		events := map[uuid.UUID]event{}
		positioned := map[uuid.UUID]int{}
		reachable := map[uuid.UUID]bool{}
		var waiting []eventbus.WaitingEvent
		for range rapid.IntRange(1, 6).Draw(t, "transactions") {
			transaction := uuid.New()
			length := rapid.IntRange(1, 6).Draw(t, "length")
			done := rapid.IntRange(0, length).Draw(t, "positioned")
			positioned[transaction] = done
			complete := true
			for seq := done + 1; seq <= length; seq++ {
				if !rapid.Bool().Draw(t, "committed") {
					complete = false
					continue
				}
				id := uuid.New()
				events[id] = event{transaction, seq}
				reachable[id] = complete
				waiting = append(waiting, eventbus.WaitingEvent{ID: id, TransactionID: transaction, Seq: seq, Before: done})
			}
		}
		ids := inOrder(rapid.Permutation(waiting).Draw(t, "rows"))
		given := map[uuid.UUID]bool{}
		for _, id := range ids {
			e := events[id]
			if e.seq != positioned[e.transaction]+1 {
				t.Fatalf("seq %d goes when %d have gone", e.seq, positioned[e.transaction])
			}
			positioned[e.transaction]++
			given[id] = true
		}
		for id := range events {
			if given[id] != reachable[id] {
				t.Fatalf("event of seq %d: goes %v, may go %v", events[id].seq, given[id], reachable[id])
			}
		}
	})
}

func TestOrderKeepsTheOrderOfCommitsAcrossTransactions(t *testing.T) {
	first, second := uuid.New(), uuid.New()
	a1, a2, b1 := uuid.New(), uuid.New(), uuid.New()
	assert.Equal(t, []uuid.UUID{a1, b1, a2}, inOrder([]eventbus.WaitingEvent{
		{ID: a2, TransactionID: first, Seq: 2}, {ID: b1, TransactionID: second, Seq: 1}, {ID: a1, TransactionID: first, Seq: 1},
	}))
	assert.Empty(t, inOrder(nil))
}
