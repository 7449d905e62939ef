package stripe

import (
	"testing"

	"github.com/stretchr/testify/require"

	"florin/domain/account"
)

// TestF148_TheTurnOfADispute is how often the money went that way, by the record in the event, in
// whichever order that is.
func TestF148_TheTurnOfADispute(t *testing.T) {
	for name, c := range map[string]struct {
		amounts            []int64
		taken, given, lost int
	}{
		"no record":                  {nil, 0, 0, 0},
		"taken":                      {[]int64{-1000}, 1, 0, 1},
		"taken, with a fee on top":   {[]int64{-1000, -1500}, 1, 0, 1},
		"given back":                 {[]int64{-1000, 1000}, 1, 1, 0},
		"given back in two":          {[]int64{-1000, 600, 400}, 1, 1, 0},
		"taken again":                {[]int64{-1000, 1000, -1000}, 2, 1, 2},
		"a line of nothing between":  {[]int64{-1000, 0, -1000, 1000}, 1, 1, 0},
		"given back for the second":  {[]int64{-1000, 1000, -1000, 1000}, 2, 2, 0},
		"given before it was taken?": {[]int64{1000, -1000}, 1, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			turns := func(backwards bool) [3]int {
				var d dispute
				for i := range c.amounts {
					at := i
					if backwards { // by their time, whatever their place is
						at = len(c.amounts) - 1 - i
					}
					d.BalanceTransactions = append(d.BalanceTransactions,
						balanceTransaction{Amount: c.amounts[at], Created: int64(1000 + at)})
				}
				return [3]int{d.turn(account.ReceivedDisputed), d.turn(account.ReceivedDisputeWon),
					d.turn(account.ReceivedDisputeLost)}
			}
			require.Equal(t, [3]int{c.taken, c.given, c.lost}, turns(false))
			require.Equal(t, turns(false), turns(true))
		})
	}
}
