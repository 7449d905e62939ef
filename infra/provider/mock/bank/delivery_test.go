package bank_test

import (
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/infra/provider/mock/bank"
)

var normal = []string{"payment.pending", "payment.completed"}

func TestAutocomplete(t *testing.T) {
	r := open(t)
	p := r.create(t, "")
	r.step(t)
	require.Equal(t, normal[:1], types(r.customer.of(p.ID)))
	r.clock.forward(autocomplete - time.Microsecond)
	r.step(t)
	require.Equal(t, "pending", r.state(t, p.ID))
	r.clock.forward(time.Microsecond)
	r.step(t)
	require.Equal(t, "completed", r.state(t, p.ID))

	got := r.customer.of(p.ID)
	require.Equal(t, normal, types(got))
	assert.Equal(t, `{"type":"payment.completed","timestamp":"2026-01-01T12:01:00Z","data":{"payment_id":"`+p.ID+
		`","transaction_id":"`+p.TransactionID+`","amount":1000,"currency":"EUR","failure":null}}`, got[1].body)
	assert.NotEqual(t, got[0].id, got[1].id)
	assert.Equal(t, trace, got[1].trace, "one trace runs from the request to the webhook")
	assert.Equal(t, "vendor=a", got[1].state)
	assert.Zero(t, r.bank.PendingWebhooks())
}

func TestAutocompleteOff(t *testing.T) {
	r := open(t, func(cfg *bank.Config) { cfg.Autocomplete = bank.AutocompleteOff })
	p := r.create(t, "")
	r.clock.forward(1000 * time.Hour)
	r.step(t)
	assert.Equal(t, "pending", r.state(t, p.ID))
	r.call(t, http.MethodPost, "/payments/"+p.ID+"/complete", "", "")
	r.step(t)
	assert.Equal(t, normal, types(r.customer.of(p.ID)))
}

func TestCanceledIsToldAsFailed(t *testing.T) {
	r := open(t)
	p := r.create(t, "")
	r.call(t, http.MethodPost, "/payments/"+p.ID+"/cancel", "", "")
	r.step(t)
	got := r.customer.of(p.ID)
	require.Equal(t, []string{"payment.pending", "payment.failed"}, types(got))
	assert.Equal(t, "canceled", got[1].Data.Failure.Code)
	r.clock.forward(autocomplete)
	r.step(t)
	assert.Equal(t, "canceled", r.state(t, p.ID), "what is canceled does not complete by itself")
}

// TestRetriedUntilTaken: whatever is not 2xx comes again, later each time, with the same id and body under a
// fresh time and signature; and a redirect is not followed.
func TestRetriedUntilTaken(t *testing.T) {
	r := open(t)
	p := r.create(t, "")
	refusals := []int{500, 301, 302, 307, 404, 410, 429, 199 + 101, 503}
	for i, status := range refusals {
		r.customer.answers(func(w http.ResponseWriter, _ *http.Request, _ notice) {
			w.Header().Set("Location", r.customer.url+"/elsewhere")
			w.WriteHeader(status)
		})
		r.step(t)
		require.Len(t, r.customer.of(p.ID), i+1, status)
		r.clock.forward(49 * time.Millisecond)
		r.step(t)
		require.Len(t, r.customer.of(p.ID), i+1, "too early for another attempt")
		r.clock.forward(5 * time.Second)
	}
	r.customer.status(http.StatusOK)
	r.step(t)
	got := r.customer.of(p.ID)
	require.Len(t, got, len(refusals)+1)
	for _, n := range got[1:] {
		assert.Equal(t, got[0].id, n.id)
		assert.Equal(t, got[0].body, n.body)
	}
	last := got[len(got)-1]
	assert.NotEqual(t, got[0].signature, last.signature)
	assert.Equal(t, strconv.FormatInt(r.clock.now().Unix(), 10), last.stamp)
	assert.Zero(t, r.bank.PendingWebhooks())
}

// TestOnePaymentDoesNotHoldAnother: while the first webhook of one payment is refused, its second one waits, and
// those of others go out.
func TestOnePaymentDoesNotHoldAnother(t *testing.T) {
	r := open(t)
	stuck, free := r.create(t, ""), r.create(t, "")
	r.customer.answers(func(w http.ResponseWriter, _ *http.Request, n notice) {
		if n.Data.PaymentID == stuck.ID {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	r.step(t)
	r.clock.forward(autocomplete)
	r.step(t)
	assert.Equal(t, normal, types(r.customer.of(free.ID)))
	assert.NotContains(t, types(r.customer.of(stuck.ID)), "payment.completed")

	r.customer.status(http.StatusOK)
	r.clock.forward(5 * time.Second)
	r.step(t)
	got := types(r.customer.of(stuck.ID))
	assert.Equal(t, normal, got[len(got)-2:])
}

func TestGivenUpAfterThreeDays(t *testing.T) {
	r := open(t)
	p := r.create(t, "")
	r.customer.status(http.StatusInternalServerError)
	r.step(t)
	r.clock.forward(3*24*time.Hour - time.Second)
	r.step(t)
	require.Equal(t, 2, r.bank.PendingWebhooks())
	r.clock.forward(5 * time.Second)
	r.step(t)
	assert.Equal(t, 1, r.bank.PendingWebhooks(), "the younger webhook has days to go")
	assert.Equal(t, "payment.completed", r.customer.of(p.ID)[len(r.customer.of(p.ID))-1].Type)
}

func TestDeliveriesAtOnceAreBounded(t *testing.T) {
	r := open(t)
	for range 40 {
		r.create(t, "")
	}
	for _, want := range []int{32, 8, 0} {
		done, err := r.bank.Step(t.Context())
		require.NoError(t, err)
		assert.Equal(t, want, done)
	}
}

func TestWebhooksWaitForTheirURL(t *testing.T) {
	r := open(t, func(cfg *bank.Config) { cfg.WebhookURL = "" })
	r.run(t)
	p := r.create(t, "")
	require.Equal(t, 1, r.bank.PendingWebhooks())
	r.bank.SetWebhookURL(r.customer.url)
	require.Eventually(t, func() bool { return r.bank.PendingWebhooks() == 0 }, patience, tick)
	assert.Equal(t, normal[:1], types(r.customer.of(p.ID)))
}

// TestRunUnderLoad: payments that come together are all settled and told, each in order, by the bank's own loop.
func TestRunUnderLoad(t *testing.T) {
	r := open(t, func(cfg *bank.Config) { cfg.Autocomplete, cfg.Now = 5*time.Millisecond, time.Now })
	r.run(t)
	const clients, each = 16, 25
	r.customer.answers(func(w http.ResponseWriter, _ *http.Request, n notice) {
		if n.Data.Amount%7 == 0 && len(r.customer.of(n.Data.PaymentID)) == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	var ids sync.Map
	var calls sync.WaitGroup
	for c := range clients {
		calls.Go(func() {
			for i := range each {
				got, err := r.try(t.Context(), http.MethodPost, "/payments", uuid.NewString(), bodyOf(uuid.NewString(), int64(c*each+i+1), ""))
				assert.NoError(t, err)
				ids.Store(got.ID, true)
			}
		})
	}
	calls.Wait()
	require.Eventually(t, func() bool {
		all := r.ledger(t)
		for _, p := range all.Payments {
			if p.State != "completed" {
				return false
			}
		}
		return len(all.Payments) == clients*each && all.PendingWebhooks == 0
	}, patience, 20*tick)
	count := 0
	ids.Range(func(id, _ any) bool {
		count++
		got := types(r.customer.of(id.(string)))
		if len(got) == 3 { // the first attempt was refused
			got = got[1:]
		}
		return assert.Equal(t, normal, got)
	})
	assert.Equal(t, clients*each, count)
}
