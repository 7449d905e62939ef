package relay

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"florin/domain/account"
	"florin/pkg/eventbus"
)

// TestRecentIsBounded where nothing is ever taken, because another server's relay works.
func TestRecentIsBounded(t *testing.T) {
	r := recent{most: 100}
	for id := range int64(1000) {
		r.add(eventbus.CommittedBatch{ID: id, Events: make([]*account.PaymentEvent, 7)})
		assert.LessOrEqual(t, r.count, 100)
		assert.Len(t, r.events, r.count/7)
	}
}
