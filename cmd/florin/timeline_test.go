package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestTheReceiverSeesNothingOfTheSender reads a transfer with conversion from both sides.
func TestTheReceiverSeesNothingOfTheSender(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		sender, receiver := r.user(), r.user()
		from, to := sender.open("EUR"), receiver.open("USD")
		sender.fund(from, "20.00", "EUR")
		sent := sender.do("POST", "/account/"+from+"/transfer", `{"amount":"10.84","currency":"USD","destination_account_id":"`+to+`","metadata":{"note":"private"}}`,
			"X-Request-Id", "request-of-the-sender")
		require.Equal(t, 200, sent.status, "%s", sent.body)
		id := sent.text(t, "id")
		assert.Contains(t, string(sender.do("GET", "/transaction/"+id+"/timeline", "").body), "request-of-the-sender")
		for _, path := range []string{"/transaction/" + id, "/transaction/" + id + "/status", "/transaction/" + id + "/timeline", "/account/" + to + "/transactions", "/account/" + to + "/entries"} {
			seen := receiver.do("GET", path, "")
			require.Equal(t, 200, seen.status, "%s: %s", path, seen.body)
			for _, private := range []string{"request-of-the-sender", "private", sender.id, "EUR", "10.01"} {
				assert.NotContains(t, string(seen.body), private, path)
			}
		}
	})
}
