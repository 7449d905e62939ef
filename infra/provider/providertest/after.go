package providertest

import (
	"context"
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/domain/account"
	"florin/domain/currency"
	"florin/domain/money"
)

// captured is a deposit that was paid, with its id at the provider.
func captured(t *testing.T, h Harness, minor int64) (account.DepositInstruction, string) {
	t.Helper()
	in := newDeposit(minor)
	made, err := h.Provider.InitiateDeposit(t.Context(), in)
	require.NoError(t, err)
	h.Complete(t, made.PaymentID)
	return in, made.PaymentID
}

func newRefund(deposit account.DepositInstruction, paymentID string, minor int64) account.RefundInstruction {
	id := uuid.New()
	return account.RefundInstruction{IdempotencyKey: id.String() + ":1:refund", TransactionID: id, DepositID: deposit.TransactionID,
		PaymentID: paymentID, Amount: money.New(minor, currency.EUR)}
}

// refundRefused requires that the refund is refused for good.
func refundRefused(t *testing.T, h Harness, in account.RefundInstruction) {
	t.Helper()
	got, err := h.Provider.RefundPayment(t.Context(), in)
	requireClass(t, err, account.ErrProviderRefused)
	assert.Zero(t, got)
}

// refundRefs are the ways to name a refund.
func refundRefs(in account.RefundInstruction, id string) map[string]account.PaymentRef {
	return map[string]account.PaymentRef{
		"refund id":      {Type: account.TypeRefund, PaymentID: id},
		"transaction id": {Type: account.TypeRefund, TransactionID: in.TransactionID},
		"both":           {Type: account.TypeRefund, PaymentID: id, TransactionID: in.TransactionID},
	}
}

func testRefund(t *testing.T, h Harness) {
	deposit, payment := captured(t, h, 1000)
	in := newRefund(deposit, payment, 400)
	made, err := h.Provider.RefundPayment(t.Context(), in)
	require.NoError(t, err)
	require.NotEmpty(t, made.PaymentID)
	require.NotEqual(t, payment, made.PaymentID, "a refund has an id of its own")
	assert.Contains(t, []account.ReceivedKind{account.ReceivedPending, account.ReceivedRefunded}, made.Report.Kind)
	assert.Equal(t, in.TransactionID, made.Report.TransactionID)
	again, err := h.Provider.RefundPayment(t.Context(), in)
	require.NoError(t, err)
	assert.Equal(t, made.PaymentID, again.PaymentID, "the same key is the same refund")

	h.CompleteRefund(t, made.PaymentID)
	for name, ref := range refundRefs(in, made.PaymentID) {
		report, err := h.Provider.GetPaymentStatus(t.Context(), ref)
		require.NoError(t, err, name)
		assert.Equal(t, account.ReceivedRefunded, report.Kind, name)
		assert.Equal(t, made.PaymentID, report.PaymentID, name)
		assert.Equal(t, in.TransactionID, report.TransactionID, name)
		assert.Equal(t, int64(400), report.Amount, name)
		assert.Equal(t, "EUR", report.Currency, name)
	}
	refundRefused(t, h, newRefund(deposit, payment, 601))
	_, err = h.Provider.RefundPayment(t.Context(), newRefund(deposit, payment, 600))
	require.NoError(t, err, "all that is left")
	refundRefused(t, h, newRefund(deposit, payment, 1))

	_, err = h.Provider.GetPaymentStatus(t.Context(), account.PaymentRef{Type: account.TypeRefund, TransactionID: uuid.New()})
	require.ErrorIs(t, err, account.ErrProviderNotFound)
}

func testRefundOfWhatIsNotPaid(t *testing.T, h Harness) {
	in := newDeposit(1000)
	made, err := h.Provider.InitiateDeposit(t.Context(), in)
	require.NoError(t, err)
	refundRefused(t, h, newRefund(in, made.PaymentID, 1000))
	refundRefused(t, h, newRefund(in, "../ledger", 1000))
}

// testRefundUnknown: whatever became of the answer, the refund is made once: what is left shows it.
func testRefundUnknown(t *testing.T, h Harness) {
	for _, fault := range []Fault{FaultHang, FaultLoseReply, FaultServerError, FaultGarbage, FaultOtherAmount} {
		t.Run(string(fault), func(t *testing.T) {
			deposit, payment := captured(t, h, 3000)
			in := newRefund(deposit, payment, 1000)
			h.Inject(fault)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			_, err := h.Provider.RefundPayment(ctx, in)
			requireClass(t, err, account.ErrProviderUnknown)
			made, err := h.Provider.RefundPayment(t.Context(), in)
			require.NoError(t, err)
			found, err := h.Provider.GetPaymentStatus(t.Context(), account.PaymentRef{Type: account.TypeRefund, TransactionID: in.TransactionID})
			require.NoError(t, err)
			assert.Equal(t, made.PaymentID, found.PaymentID)
			refundRefused(t, h, newRefund(deposit, payment, 2001))
			_, err = h.Provider.RefundPayment(t.Context(), newRefund(deposit, payment, 2000))
			require.NoError(t, err)
		})
	}
}

func testRefundFails(t *testing.T, h Harness) {
	deposit, payment := captured(t, h, 1000)
	in := newRefund(deposit, payment, 1000)
	made, err := h.Provider.RefundPayment(t.Context(), in)
	require.NoError(t, err)
	h.FailRefund(t, made.PaymentID)
	report, err := h.Provider.GetPaymentStatus(t.Context(), account.PaymentRef{Type: account.TypeRefund, PaymentID: made.PaymentID})
	require.NoError(t, err)
	assert.Equal(t, account.ReceivedRefundFailed, report.Kind)
	require.NotNil(t, report.Failure)
	assert.NotEmpty(t, report.Failure.Code)
}

// listed is everything that the provider lists from a cursor on, and the cursor behind it.
func listed(t *testing.T, h Harness, cursor string) ([]account.PaymentReceivedEvent, string) {
	t.Helper()
	var all []account.PaymentReceivedEvent
	for range 100 {
		events, next, err := h.Provider.ListEvents(t.Context(), cursor)
		require.NoError(t, err)
		for i, e := range events {
			require.True(t, i == 0 || !e.OccurredAt.Before(events[i-1].OccurredAt), "the oldest first")
		}
		all = append(all, events...)
		if next == cursor {
			require.Empty(t, events, "behind the last there is nothing")
			return all, cursor
		}
		cursor = next
	}
	require.Fail(t, "the list has no end")
	return nil, ""
}

// factsOf is what an event states, or what the provider says that it states. It is repeatable, and each fact has a name of
// its own.
func factsOf(t *testing.T, h Harness, event account.PaymentReceivedEvent) []account.PaymentReceivedEvent {
	t.Helper()
	if event.Kind != account.ReceivedConsult {
		return []account.PaymentReceivedEvent{event}
	}
	facts, err := h.Provider.Consult(t.Context(), event)
	require.NoError(t, err, event.Type)
	again, err := h.Provider.Consult(t.Context(), event)
	require.NoError(t, err, event.Type)
	require.Equal(t, facts, again, event.Type)
	names := map[string]bool{}
	for _, fact := range facts {
		require.NotEqual(t, account.ReceivedConsult, fact.Kind)
		require.False(t, names[fact.EventID] || fact.EventID == "" || fact.EventID == event.EventID, fact.EventID)
		require.Empty(t, fact.Raw)
		require.NotZero(t, fact.OccurredAt)
		names[fact.EventID] = true
	}
	return facts
}

// testListEvents: what happened is told once, whoever it happened to, and in the words of a webhook.
func testListEvents(t *testing.T, h Harness) {
	deposit, payment := captured(t, h, 1000)
	in := newRefund(deposit, payment, 300)
	refund, err := h.Provider.RefundPayment(t.Context(), in)
	require.NoError(t, err)
	h.CompleteRefund(t, refund.PaymentID)
	out := newWithdraw(h, 500)
	payout, err := h.Provider.InitiateWithdraw(t.Context(), out)
	require.NoError(t, err)
	h.Complete(t, payout.PaymentID)
	h.Settle()

	events, cursor := listed(t, h, "")
	ids, states := map[string]bool{}, map[string]int{}
	for _, e := range events {
		require.Equal(t, h.Provider.Name(), e.Provider)
		require.False(t, ids[e.EventID] || e.EventID == "", "%s twice", e.EventID)
		ids[e.EventID] = true
		hook, err := h.Provider.ParseWebhook(e.Raw, h.Sign(t, e.Raw, Signing{At: h.Now()}))
		require.NoError(t, err)
		hook.EventID, hook.Cause, hook.Raw, hook.OccurredAt = e.EventID, e.Cause, e.Raw, e.OccurredAt
		require.Equal(t, hook, e, "it reads as its webhook does")
		for _, fact := range factsOf(t, h, e) {
			id := fact.PaymentID
			if fact.Ref != "" {
				id = fact.Ref
			}
			states[string(fact.Kind)+" "+id+" "+fact.TransactionID.String()] = int(fact.Amount)
		}
	}
	assert.Equal(t, 1000, states["payment.completed "+payment+" "+deposit.TransactionID.String()])
	assert.Equal(t, 500, states["payment.completed "+payout.PaymentID+" "+out.TransactionID.String()])
	// The refund's event is about the deposit; providers may name it by either of our ids.
	told := states["payment.refunded "+refund.PaymentID+" "+deposit.TransactionID.String()]
	assert.Equal(t, 300, max(told, states["payment.refunded "+refund.PaymentID+" "+in.TransactionID.String()]))

	_, later := captured(t, h, 700)
	h.Settle()
	more, _ := listed(t, h, cursor)
	require.NotEmpty(t, more)
	require.True(t, slices.ContainsFunc(more, func(e account.PaymentReceivedEvent) bool { return e.PaymentID == later }))
	for _, e := range more {
		require.False(t, ids[e.EventID], "%s again", e.EventID)
	}
	_, _, err = h.Provider.ListEvents(t.Context(), "no cursor of ours")
	require.Error(t, err)
}
