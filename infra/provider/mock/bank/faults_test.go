package bank_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestF24_Stored500: the first key gets its 500 for ever, and nothing is created; another key for the same transaction is served.
func TestF24_Stored500(t *testing.T) {
	r := open(t)
	in := body("stored_500")
	for _, replayed := range []bool{false, true, true} {
		got := r.call(t, http.MethodPost, "/payments", "first", in)
		assert.Equal(t, http.StatusInternalServerError, got.status)
		assert.Equal(t, replayed, got.replayed)
	}
	require.Empty(t, r.ledger(t).Payments)
	assert.Equal(t, http.StatusCreated, r.call(t, http.MethodPost, "/payments", "second", in).status)
}

// TestF26_ComesBackLater: the first calls are turned away and leave nothing, not even their key.
func TestF26_ComesBackLater(t *testing.T) {
	for scenario, status := range map[string]int{"rate_limited": http.StatusTooManyRequests, "unavailable": http.StatusServiceUnavailable} {
		r := open(t)
		in := body(scenario)
		for range 2 {
			require.Equal(t, status, r.call(t, http.MethodPost, "/payments", "key", in).status)
		}
		require.Empty(t, r.ledger(t).Payments)
		got := r.call(t, http.MethodPost, "/payments", "key", in)
		assert.Equal(t, http.StatusCreated, got.status)
		assert.False(t, got.replayed)
	}
}

// TestF23_F29_TheAnswerIsSpoiled: the payment is there, its first answer is not to be used, and a repeat gets the right one.
func TestF23_F29_TheAnswerIsSpoiled(t *testing.T) {
	for _, scenario := range []string{"drop_answer", "garbled", "other_answer"} {
		r := open(t)
		in := body(scenario)
		first, err := r.try(t.Context(), http.MethodPost, "/payments", "key", in)
		if scenario == "other_answer" {
			require.NoError(t, err)
			require.True(t, strings.HasPrefix(first.ID, "other_"), first.raw)
		} else {
			require.Error(t, err, scenario)
		}
		payments := r.ledger(t).Payments
		require.Len(t, payments, 1)
		again := r.call(t, http.MethodPost, "/payments", "key", in)
		assert.True(t, again.replayed)
		assert.Equal(t, payments[0].ID, again.ID)
	}
}

// TestF48_F49_F50_SpoiledDeliveries: each webhook comes twice as it must not be taken, and then as it must.
func TestF48_F49_F50_SpoiledDeliveries(t *testing.T) {
	for _, scenario := range []string{"forged", "out_of_time"} {
		r := open(t)
		r.customer.wary = true
		p := r.create(t, scenario)
		for range 3 { // the backoff is below a second, which a timestamp in whole seconds does not show
			_, err := r.bank.Step(t.Context())
			require.NoError(t, err)
			r.clock.forward(200 * time.Millisecond)
		}
		require.Equal(t, []string{"payment.pending"}, types(r.customer.of(p.ID)), scenario)
		assert.Equal(t, 2, r.customer.forged, scenario)
	}
}

// TestF37_ChangedBody: the second copy has the id of the first and another amount.
func TestF37_ChangedBody(t *testing.T) {
	r := open(t)
	p := r.create(t, "changed_body")
	r.step(t)
	got := r.customer.of(p.ID)
	require.Len(t, got, 2)
	assert.Equal(t, got[0].id, got[1].id)
	assert.Equal(t, got[0].Data.Amount+1, got[1].Data.Amount)
}

// TestF55_F66_OddWebhooks: one of a type that nobody knows, and one that names an account that is not ours.
func TestF55_F66_OddWebhooks(t *testing.T) {
	r := open(t)
	odd, other := r.create(t, "unknown_type"), r.create(t, "other_account")
	r.step(t)
	r.clock.forward(autocomplete)
	r.step(t)
	assert.Equal(t, []string{"payment.pending", "payment.completed", "payment.looked_at"}, types(r.customer.of(odd.ID)))
	for _, n := range r.customer.of(other.ID) {
		assert.Contains(t, n.body, `"account_id":"00000000-0000-4000-8000-000000000001"`)
	}
}

// TestLookUpsLagAndLie: one shows an old state for a while, the other speaks of another payment twice.
func TestLookUpsLagAndLie(t *testing.T) {
	r := open(t)
	p := r.create(t, "lagging")
	r.clock.forward(autocomplete)
	r.step(t)
	require.Equal(t, "pending", r.state(t, p.ID))
	r.clock.forward(5 * time.Second)
	require.Equal(t, "completed", r.state(t, p.ID))

	p = r.create(t, "lying")
	for range 2 {
		require.NotEqual(t, p.ID, r.call(t, http.MethodGet, "/payments/"+p.ID, "", "").ID)
	}
	require.Equal(t, p.ID, r.call(t, http.MethodGet, "/payments/"+p.ID, "", "").ID)
}

// TestKeysEndAfterADay: as at other banks, a key that is older stands for a new request.
func TestKeysEndAfterADay(t *testing.T) {
	r := open(t)
	in := body("")
	first := r.call(t, http.MethodPost, "/payments", "key", in)
	r.clock.forward(24*time.Hour - time.Second)
	require.Equal(t, first.ID, r.call(t, http.MethodPost, "/payments", "key", in).ID)
	r.clock.forward(time.Second)
	require.NotEqual(t, first.ID, r.call(t, http.MethodPost, "/payments", "key", in).ID)
}

// TestScenarioByAPI: what is set for all is what payments get that ask for none.
func TestScenarioByAPI(t *testing.T) {
	r := open(t)
	require.Equal(t, http.StatusUnprocessableEntity, r.call(t, http.MethodPut, "/scenario", "", `{"name":"nothing"}`).status)
	require.Equal(t, http.StatusOK, r.call(t, http.MethodPut, "/scenario", "", `{"name":"decline"}`).status)
	assert.Equal(t, http.StatusPaymentRequired, r.call(t, http.MethodPost, "/payments", "a", body("")).status)
	assert.Equal(t, http.StatusCreated, r.call(t, http.MethodPost, "/payments", "b", body("duplicate")).status)
	require.Equal(t, http.StatusOK, r.call(t, http.MethodPut, "/scenario", "", `{"name":""}`).status)
	assert.Equal(t, http.StatusCreated, r.call(t, http.MethodPost, "/payments", "c", body("")).status)
}
