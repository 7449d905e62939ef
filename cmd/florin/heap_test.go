package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestTheHeapGrowsToItsRoomAndBeyondByAShare: small heaps fill the room, large ones by a share.
func TestTheHeapGrowsToItsRoomAndBeyondByHalf(t *testing.T) {
	for _, c := range []struct {
		live, roots uint64
		want        int
	}{
		{0, 0, leastGrowth},
		{1 << 20, 0, mostGrowth},
		{8 << 20, 2 << 20, 140},
		{14 << 20, 2 << 20, 50},
		{17 << 20, 3 << 20, leastGrowth},
		{22 << 20, 0, leastGrowth},
		{100 << 20, 4 << 20, leastGrowth},
	} {
		assert.Equal(t, c.want, growth(22<<20, c.live, c.roots), "%d live", c.live)
	}
}
