package bank

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestChaosDrawsTheSameAgain: a payment draws the same scenario from the same seed each time, about half draw none, everything that
// settles is drawn by some, and what a payment asks for goes first.
func TestChaosDrawsTheSameAgain(t *testing.T) {
	draw := func(seed uint64) []string {
		b := &Bank{chaos: seed}
		names := []string{}
		for i := range 2000 {
			names = append(names, b.nameFor(createRequest{TransactionID: fmt.Sprint(i)}))
		}
		return names
	}
	first := draw(7)
	require.Equal(t, first, draw(7))
	require.NotEqual(t, first, draw(8))
	counts := map[string]int{}
	for _, name := range first {
		counts[name]++
	}
	require.InDelta(t, 1000, counts[""], 150)
	require.Len(t, counts, len(scenarios)-1, "all but wrong_currency")
	require.Equal(t, "decline", (&Bank{chaos: 7}).nameFor(createRequest{Metadata: map[string]string{ScenarioKey: "decline"}}))
	require.Empty(t, (&Bank{}).nameFor(createRequest{}))
}
