package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestS72_PersonalDataSealedRotatedErased follows a payout and an event from the request to what is
// left of them when their user has left: sealed in the store, opened after a change of keys, and
// erased.
func TestS72_PersonalDataSealedRotatedErased(t *testing.T) {
	const iban, name = "DE89370400440532013000", "Ada Lovelace"
	eachRig(t, func(t *testing.T, r *rig) {
		c := r.user()
		euros := c.open("EUR")
		c.fund(euros, "100.00", "EUR")
		w := c.do("POST", "/account/"+euros+"/withdraw", fmt.Sprintf(`{"amount":"100.00","currency":"EUR",
			"external_target":{"bank_account_number":%q},"metadata":{"payee":%q}}`, iban, name), "Idempotency-Key", "once")
		require.Equal(t, 202, w.status, "%s", w.body)
		id := w.text(t, "id")
		r.complete(w.text(t, "payment_id"))
		c.await(id, "completed")
		lies := func() string {
			return strings.Join(r.column(`SELECT external_target FROM transactions WHERE external_target IS NOT NULL
				UNION ALL SELECT payload FROM inbox`), "\n")
		}
		require.NotContains(t, lies(), iban)
		require.NotContains(t, lies(), `"raw"`)
		seals := r.count("SELECT COUNT(*) FROM inbox WHERE payload LIKE 's1.%'")
		require.Positive(t, seals)
		require.Equal(t, seals, r.count("SELECT COUNT(*) FROM inbox"))

		// A newer key: what was sealed under the older one is sealed anew, and then that one may
		// go.
		first := lies()
		r.config.DataKeys = append([]secret{"a newer key of the rig, long enough to seal"}, r.config.DataKeys...)
		r.restart()
		require.NoError(t, r.app.privacy().RunOnce(t.Context()))
		for _, line := range strings.Split(first, "\n") {
			require.NotContains(t, lies(), line)
		}
		r.config.DataKeys = r.config.DataKeys[:1]
		r.restart()
		shown := c.do("GET", "/transaction/"+id, "")
		require.Equal(t, 200, shown.status, "%s", shown.body)
		require.Contains(t, string(shown.body), "3000")
		require.NotContains(t, string(shown.body), iban)
		require.Zero(t, r.alerts("data_key"))

		require.Equal(t, 204, c.do("DELETE", "/user/"+c.id, fmt.Sprintf(`{"password":%q}`, rigPassword)).status)
		require.NoError(t, r.app.privacy().RunOnce(t.Context()))
		target, _, err := r.app.vault.Open(r.stored("SELECT external_target FROM transactions WHERE id = ?", id), "target of transaction "+id)
		require.NoError(t, err)
		require.Contains(t, string(target), "3000")
		require.NotContains(t, string(target), iban[:18])
		require.Equal(t, "{}", r.stored("SELECT metadata FROM transactions WHERE id = ?", id))
		require.Zero(t, r.count("SELECT COUNT(*) FROM inbox WHERE transaction_id = ? AND raw_erased_at IS NULL", id))
		require.Zero(t, r.count("SELECT COUNT(*) FROM idempotency_keys WHERE response_body LIKE ?", "%"+name+"%"))
	})
}

// TestS72_AnEventThatComesAgainAfterItsBytesAreErasedIsKnown: nothing can be compared any more, and
// nothing is put aside.
func TestS72_AnEventThatComesAgainAfterItsBytesAreErasedIsKnown(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c := r.user()
		euros := c.open("EUR")
		id, payment := c.paid(euros, "100.00", "EUR")
		body := event("payment.completed", payment, id, 10000, "EUR")
		require.Equal(t, 200, r.webhook("evt_old", body))
		c.await(id, "completed")
		r.advance(91 * 24 * time.Hour)
		require.NoError(t, r.app.privacy().RunOnce(t.Context()))
		require.EqualValues(t, 1, r.count("SELECT COUNT(*) FROM inbox WHERE event_id = 'evt_old' AND raw_erased_at IS NOT NULL"))
		require.Equal(t, 200, r.webhook("evt_old", body))
		require.Equal(t, 200, r.webhook("evt_old", event("payment.completed", payment, id, 99999, "EUR")))
		require.Zero(t, r.alerts("webhook_conflict"))
		require.Zero(t, r.count("SELECT COUNT(*) FROM inbox WHERE event_id LIKE 'evt_old#%'"))
		require.EqualValues(t, 1, r.count("SELECT COUNT(*) FROM transactions WHERE id = ? AND status = 'completed'", id))
	})
}
