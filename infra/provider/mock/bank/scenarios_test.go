package bank_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/infra/provider/mock/bank"
)

func TestScenarioNames(t *testing.T) {
	assert.Equal(t, []string{"changed_body", "decline", "decline_later", "dispute", "dispute_lost", "dispute_won", "drop", "drop_answer", "duplicate",
		"early", "fee", "forged", "garbled", "lagging", "late", "lying", "other_account", "other_answer", "out_of_time", "paid_then_failed",
		"partial_capture", "rate_limited", "refund", "refund_fails", "reorder", "return", "slow_answer", "stored_500", "timeout_but_charged",
		"unavailable", "unknown_type", "wrong_amount", "wrong_currency"},
		bank.Scenarios())
}

// TestF25_Decline: the refusal is stored under its key like any answer, and nothing is created.
func TestF25_Decline(t *testing.T) {
	r := open(t)
	in := body("decline")
	for _, replayed := range []bool{false, true} {
		got := r.call(t, http.MethodPost, "/payments", "key", in)
		assert.Equal(t, http.StatusPaymentRequired, got.status)
		assert.Equal(t, "declined", got.Error.Code)
		assert.Equal(t, replayed, got.replayed)
	}
	r.step(t)
	assert.Equal(t, export{Payments: []payment{}}, r.ledger(t))
}

func TestDeclineLater(t *testing.T) {
	r := open(t)
	p := r.create(t, "decline_later")
	require.Equal(t, "pending", p.State)
	r.step(t)
	r.clock.forward(autocomplete)
	r.step(t)
	got := r.customer.of(p.ID)
	require.Equal(t, []string{"payment.pending", "payment.failed"}, types(got))
	assert.Equal(t, "declined", got[1].Data.Failure.Code)
	assert.Equal(t, "failed", r.state(t, p.ID))
}

// TestF36_Duplicate: each webhook comes three times under one id, two of them at the same time.
func TestF36_Duplicate(t *testing.T) {
	r := open(t)
	met := make(chan struct{})
	arrivals := 0
	r.customer.answers(func(_ http.ResponseWriter, _ *http.Request, n notice) {
		if n.Type != "payment.pending" {
			return
		}
		r.customer.mu.Lock()
		arrivals++
		both := arrivals == 2
		r.customer.mu.Unlock()
		if both {
			close(met)
		}
		<-met // the first is answered only when the second is here
	})
	p := r.create(t, "duplicate")
	r.step(t)
	r.clock.forward(autocomplete)
	r.step(t)
	got := r.customer.of(p.ID)
	require.Equal(t, []string{"payment.pending", "payment.pending", "payment.pending",
		"payment.completed", "payment.completed", "payment.completed"}, types(got))
	for i := range 3 {
		assert.Equal(t, got[0].id, got[i].id)
		assert.Equal(t, got[3].id, got[3+i].id)
	}
}

func TestLate(t *testing.T) {
	r := open(t)
	p := r.create(t, "late")
	r.clock.forward(5*autocomplete - 1000)
	r.step(t)
	require.Equal(t, "pending", r.state(t, p.ID))
	r.clock.forward(1000)
	r.step(t)
	assert.Equal(t, "completed", r.state(t, p.ID))
}

// TestF34_Early: when the create call answers "pending", the customer has taken payment.completed already, even
// where nothing completes by itself.
func TestF34_Early(t *testing.T) {
	r := open(t, func(cfg *bank.Config) { cfg.Autocomplete = bank.AutocompleteOff })
	r.run(t)
	p := r.create(t, "early")
	assert.Equal(t, normal, types(r.customer.of(p.ID)))
	assert.Equal(t, "pending", p.State)
	assert.Equal(t, "completed", r.state(t, p.ID))
}

func TestF39_Reorder(t *testing.T) {
	r := open(t)
	p := r.create(t, "reorder")
	r.step(t)
	require.Empty(t, r.customer.of(p.ID))
	r.clock.forward(autocomplete)
	r.step(t)
	assert.Equal(t, []string{"payment.completed", "payment.pending"}, types(r.customer.of(p.ID)))
}

// TestF23_TimeoutButCharged: the first call gets no answer however long it waits, a repeat gets it at once, and
// the payment completes.
func TestF23_TimeoutButCharged(t *testing.T) {
	r := open(t)
	in := body("timeout_but_charged")
	ctx, giveUp := context.WithCancel(t.Context())
	held := make(chan error, 1)
	go func() {
		_, err := r.try(ctx, http.MethodPost, "/payments", "key", in)
		held <- err
	}()
	require.Eventually(t, func() bool { return len(r.ledger(t).Payments) == 1 }, patience, tick)
	got := r.call(t, http.MethodPost, "/payments", "key", in)
	assert.Equal(t, http.StatusCreated, got.status)
	assert.True(t, got.replayed)
	assert.Empty(t, held, "the first call still waits")
	giveUp()
	require.ErrorIs(t, <-held, context.Canceled)

	r.clock.forward(autocomplete)
	r.step(t)
	assert.Equal(t, "completed", r.state(t, got.ID))
	assert.Equal(t, normal, types(r.customer.of(got.ID)))
}

// TestHeldAnswersEndWithTheBank: a held call is cut when the bank stops, so that its server can shut down.
func TestHeldAnswersEndWithTheBank(t *testing.T) {
	r := open(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.bank.Run(ctx) }()
	held := make(chan error, 1)
	go func() {
		_, err := r.try(context.Background(), http.MethodPost, "/payments", uuid.NewString(), body("timeout_but_charged"))
		held <- err
	}()
	require.Eventually(t, func() bool { return len(r.ledger(t).Payments) == 1 }, patience, tick)
	stop()
	require.NoError(t, <-ended)
	require.Error(t, <-held)
}
