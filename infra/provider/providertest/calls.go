package providertest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/domain/account"
	"florin/domain/currency"
	"florin/domain/money"
)

// patience bounds a call that is meant to hang.
const patience = 200 * time.Millisecond

func newDeposit(minor int64) account.DepositInstruction {
	id := uuid.New()
	return account.DepositInstruction{
		IdempotencyKey: id.String() + ":1:collect",
		TransactionID:  id,
		AccountID:      uuid.New(),
		UserID:         uuid.New(),
		Amount:         money.New(minor, currency.MustParse("EUR")),
		MoneySource:    "Cash",
		Metadata:       map[string]string{"b": "2", "a": "1", "order": "4711"},
	}
}

func newWithdraw(h Harness, minor int64) account.WithdrawInstruction {
	id := uuid.New()
	return account.WithdrawInstruction{
		IdempotencyKey: id.String() + ":1:pay",
		TransactionID:  id,
		AccountID:      uuid.New(),
		UserID:         uuid.New(),
		Amount:         money.New(minor, currency.MustParse("JPY")),
		Target:         h.Target,
	}
}

func testDeposit(t *testing.T, h Harness) {
	in := newDeposit(1234)
	got, err := h.Provider.InitiateDeposit(t.Context(), in)
	require.NoError(t, err)
	require.NotEmpty(t, got.PaymentID)
	assert.Equal(t, got.PaymentID, got.Report.PaymentID)
	assert.Equal(t, in.TransactionID, got.Report.TransactionID)
	assert.Equal(t, account.ReceivedPending, got.Report.Kind)
	assert.Equal(t, int64(1234), got.Report.Amount)
	assert.Equal(t, "EUR", got.Report.Currency)
	assert.Equal(t, time.UTC, got.Report.OccurredAt.Location())
}

func testWithdraw(t *testing.T, h Harness) {
	in := newWithdraw(h, 500)
	got, err := h.Provider.InitiateWithdraw(t.Context(), in)
	require.NoError(t, err)
	again, err := h.Provider.InitiateWithdraw(t.Context(), in)
	require.NoError(t, err)
	assert.Equal(t, got.PaymentID, again.PaymentID)
	assert.Equal(t, 1, h.Payments(t, in.TransactionID.String()))

	h.Complete(t, got.PaymentID)
	report, err := h.Provider.GetPaymentStatus(t.Context(),
		account.PaymentRef{Type: account.TypeWithdraw, PaymentID: got.PaymentID, TransactionID: in.TransactionID})
	require.NoError(t, err)
	assert.Equal(t, account.ReceivedCompleted, report.Kind)
	assert.Equal(t, int64(500), report.Amount)
	assert.Equal(t, "JPY", report.Currency)
}

func testF22SameKey(t *testing.T, h Harness) {
	in := newDeposit(1000)
	first, err := h.Provider.InitiateDeposit(t.Context(), in)
	require.NoError(t, err)
	second, err := h.Provider.InitiateDeposit(t.Context(), in)
	require.NoError(t, err)
	assert.Equal(t, first.PaymentID, second.PaymentID)
	assert.Equal(t, 1, h.Payments(t, in.TransactionID.String()))

	other := in
	other.Amount = money.New(1001, in.Amount.Currency())
	_, err = h.Provider.InitiateDeposit(t.Context(), other)
	requireClass(t, err, account.ErrProviderUnknown) // the key has a payment, so it is no refusal
	assert.Equal(t, 1, h.Payments(t, in.TransactionID.String()))
}

func testF23Unknown(t *testing.T, h Harness) {
	for _, fault := range []Fault{FaultHang, FaultLoseReply, FaultServerError} {
		t.Run(string(fault), func(t *testing.T) {
			in := newDeposit(1000)
			h.Inject(fault)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			_, err := h.Provider.InitiateDeposit(ctx, in)
			requireClass(t, err, account.ErrProviderUnknown)

			repeated, err := h.Provider.InitiateDeposit(t.Context(), in)
			require.NoError(t, err)
			found, err := h.Provider.GetPaymentStatus(t.Context(), account.PaymentRef{TransactionID: in.TransactionID})
			require.NoError(t, err)
			assert.Equal(t, repeated.PaymentID, found.PaymentID)
			assert.Equal(t, 1, h.Payments(t, in.TransactionID.String()))
		})
	}
}

func testF25Refused(t *testing.T, h Harness) {
	in := newDeposit(1000)
	h.Inject(FaultRefuse)
	_, err := h.Provider.InitiateDeposit(t.Context(), in)
	requireClass(t, err, account.ErrProviderRefused)
	var said *account.ProviderError
	require.ErrorAs(t, err, &said)
	assert.Equal(t, "declined", said.Code)
	assert.NotEmpty(t, said.Message)
	assert.Zero(t, h.Payments(t, in.TransactionID.String()))
}

func testF26Busy(t *testing.T, h Harness) {
	in := newDeposit(1000)
	h.Inject(FaultBusy)
	_, err := h.Provider.InitiateDeposit(t.Context(), in)
	requireClass(t, err, account.ErrProviderRetryable)
	var said *account.ProviderError
	require.ErrorAs(t, err, &said)
	assert.Equal(t, busyFor, said.RetryAfter)

	_, err = h.Provider.InitiateDeposit(t.Context(), in)
	require.NoError(t, err)
	assert.Equal(t, 1, h.Payments(t, in.TransactionID.String()))
}

func testF27Identical(t *testing.T, h Harness) {
	deposit, withdraw := newDeposit(1000), newWithdraw(h, 1000)
	for range 8 { // map order would differ in one of eight
		_, err := h.Provider.InitiateDeposit(t.Context(), deposit)
		require.NoError(t, err)
	}
	for range 2 {
		_, err := h.Provider.InitiateWithdraw(t.Context(), withdraw)
		require.NoError(t, err)
	}
	attempts := h.Attempts()
	require.Len(t, attempts, 10)
	for _, attempt := range attempts[:8] {
		assert.Equal(t, string(attempts[0]), string(attempt))
	}
	assert.Equal(t, string(attempts[8]), string(attempts[9]))
}

func testF29NotBelieved(t *testing.T, h Harness) {
	for _, fault := range []Fault{FaultGarbage, FaultFlood, FaultOtherAmount} {
		t.Run(string(fault), func(t *testing.T) {
			h.Inject(fault)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			got, err := h.Provider.InitiateDeposit(ctx, newDeposit(1000))
			requireClass(t, err, account.ErrProviderUnknown)
			assert.Zero(t, got)
			assert.NoError(t, ctx.Err(), "it is given up for what it is, and not for its time")
		})
	}
}

func testF31Redirect(t *testing.T, h Harness) {
	in := newDeposit(1000)
	h.Inject(FaultRedirect)
	_, err := h.Provider.InitiateDeposit(t.Context(), in)
	requireClass(t, err, account.ErrProviderUnknown)
	assert.Len(t, h.Attempts(), 1)
}

func testStatus(t *testing.T, h Harness) {
	in := newDeposit(777)
	made, err := h.Provider.InitiateDeposit(t.Context(), in)
	require.NoError(t, err)
	refs := map[string]account.PaymentRef{
		"payment id":     {PaymentID: made.PaymentID},
		"transaction id": {TransactionID: in.TransactionID},
		"both":           {PaymentID: made.PaymentID, TransactionID: in.TransactionID},
	}
	check := func(kind account.ReceivedKind, code string) {
		for name, ref := range refs {
			report, err := h.Provider.GetPaymentStatus(t.Context(), ref)
			require.NoError(t, err, name)
			assert.Equal(t, kind, report.Kind, name)
			assert.Equal(t, made.PaymentID, report.PaymentID, name)
			assert.Equal(t, in.TransactionID, report.TransactionID, name)
			assert.Equal(t, int64(777), report.Amount, name)
			if code != "" {
				require.NotNil(t, report.Failure, name)
				assert.Equal(t, code, report.Failure.Code, name)
			} else {
				assert.Nil(t, report.Failure, name)
			}
		}
	}
	check(account.ReceivedPending, "")
	h.Fail(t, made.PaymentID, "insufficient_funds")
	check(account.ReceivedFailed, "insufficient_funds")

	_, err = h.Provider.GetPaymentStatus(t.Context(), account.PaymentRef{PaymentID: made.PaymentID, TransactionID: uuid.New()})
	requireClass(t, err, account.ErrProviderUnknown)
}

func testNotFound(t *testing.T, h Harness) {
	for _, ref := range []account.PaymentRef{
		{PaymentID: "pay_unknown"}, {TransactionID: uuid.New()}, {PaymentID: "../ledger"},
	} {
		_, err := h.Provider.GetPaymentStatus(t.Context(), ref)
		require.ErrorIs(t, err, account.ErrProviderNotFound)
		_, err = h.Provider.CancelPayment(t.Context(), ref)
		require.ErrorIs(t, err, account.ErrProviderNotFound)
	}
}

func testCancel(t *testing.T, h Harness) {
	open, err := h.Provider.InitiateDeposit(t.Context(), newDeposit(1000))
	require.NoError(t, err)
	for range 2 { // a cancelation whose answer was lost is sent again
		report, err := h.Provider.CancelPayment(t.Context(), account.PaymentRef{PaymentID: open.PaymentID})
		require.NoError(t, err)
		assert.Equal(t, account.ReceivedFailed, report.Kind)
		require.NotNil(t, report.Failure)
		assert.Equal(t, "canceled", report.Failure.Code)
	}

	in := newDeposit(1000)
	paid, err := h.Provider.InitiateDeposit(t.Context(), in)
	require.NoError(t, err)
	h.Complete(t, paid.PaymentID)
	report, err := h.Provider.CancelPayment(t.Context(), account.PaymentRef{TransactionID: in.TransactionID})
	require.NoError(t, err)
	assert.Equal(t, account.ReceivedCompleted, report.Kind, "what is paid is reported as paid")
}

// requireClass checks that the error is of this class and of no other.
func requireClass(t *testing.T, err, class error) {
	t.Helper()
	require.ErrorIs(t, err, class)
	for _, other := range []error{
		account.ErrProviderRefused, account.ErrProviderRetryable, account.ErrProviderUnknown, account.ErrProviderNotFound,
	} {
		if !errors.Is(class, other) {
			require.NotErrorIs(t, err, other)
		}
	}
}
