package stripe

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"florin/domain/account"
	"florin/infra/provider/stripe/stripetest"
)

// fixture is an event as the vendor's documentation has it, with ids of no payment of anybody's.
func fixture(name string) []byte {
	ids := map[string]string{"transaction": uuid.NewString(), "account": uuid.NewString(), "user": uuid.NewString()}
	for _, kind := range []string{"intent", "session", "charge", "fee", "refund", "dispute", "withdrawn", "reinstated", "payout", "transfer", "connected"} {
		ids[kind] = kind + "_1"
	}
	return stripetest.Fixture(name, "evt_1", time.Unix(1767268800, 0), ids)
}

// TestFixturesAreRead: every type that we handle has a fixture, and no fixture is put aside.
func TestFixturesAreRead(t *testing.T) {
	c := &Client{now: time.Now}
	have := map[string]bool{}
	for _, name := range stripetest.Fixtures() {
		event, err := c.parse(fixture(name), time.Unix(1767268800, 0))
		require.NoError(t, err, name)
		require.NotEqual(t, account.ReceivedForeign, event.Kind, name)
		have[stripetest.FixtureType(name)] = true
		_, handled := translations[event.Type]
		require.True(t, handled || event.Kind == account.ReceivedIgnored, name)
	}
	for kind := range translations {
		require.True(t, have[kind], "%s has no fixture", kind)
	}
}

// TestF54_FixturesOfOtherVersions: where a version has an object for an id, or leaves out what another one has, the event says
// the same.
func TestF54_FixturesOfOtherVersions(t *testing.T) {
	c := &Client{now: time.Now}
	for _, name := range stripetest.Fixtures() {
		raw := string(fixture(name))
		want, err := c.parse([]byte(raw), time.Unix(1767268800, 0))
		require.NoError(t, err)
		for _, pair := range [][2]string{
			{`"payment_intent": "intent_1"`, `"payment_intent": {"id": "intent_1", "object": "payment_intent"}`},
			{`"charge": "charge_1"`, `"charge": {"id": "charge_1", "object": "charge"}`},
			{`"balance_transaction": "fee_1"`, `"balance_transaction": {"id": "fee_1", "object": "balance_transaction"}`},
			{`"destination": "connected_1"`, `"destination": {"id": "connected_1", "object": "account"}`},
			{stripetest.APIVersion, "2011-01-01"},
			{`"pending_webhooks": 1`, `"pending_webhooks": 1, "context": "x", "reason": {"type": "request"}`},
		} {
			got, err := c.parse([]byte(strings.ReplaceAll(raw, pair[0], pair[1])), time.Unix(1767268800, 0))
			require.NoError(t, err, name)
			got.Raw = want.Raw
			require.Equal(t, want, got, "%s with %s", name, pair[1])
		}
	}
}
