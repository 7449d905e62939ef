package providertest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"florin/domain/account"
)

// movementsOf is all that the provider lists, added up, without fees and without what has moved nothing.
func movementsOf(t *testing.T, lister account.MovementLister) map[account.MovementKey]int64 {
	t.Helper()
	sums := map[account.MovementKey]int64{}
	for cursor := ""; ; {
		page, next, err := lister.ListMovements(t.Context(), cursor)
		require.NoError(t, err)
		for _, m := range page {
			require.False(t, m.ChangedAt.IsZero(), "%v", m)
			if m.Effect == account.MovementFee {
				continue
			}
			if sums[m.MovementKey] += m.Amount; sums[m.MovementKey] == 0 {
				delete(sums, m.MovementKey)
			}
		}
		if next == "" {
			return sums
		}
		cursor = next
	}
}

// testListMovements: what was moved is listed under the id that the payment has here, what is open or has come back is not.
func testListMovements(t *testing.T, h Harness) {
	lister, ok := h.Provider.(account.MovementLister)
	if !ok {
		t.Skip("the provider lists no movements")
	}
	require.Empty(t, movementsOf(t, lister))
	deposit, payment := captured(t, h, 1000)
	back, err := h.Provider.RefundPayment(t.Context(), newRefund(deposit, payment, 300))
	require.NoError(t, err)
	h.CompleteRefund(t, back.PaymentID)
	failing, err := h.Provider.RefundPayment(t.Context(), newRefund(deposit, payment, 200))
	require.NoError(t, err)
	h.FailRefund(t, failing.PaymentID)
	payout, err := h.Provider.InitiateWithdraw(t.Context(), newWithdraw(h, 500))
	require.NoError(t, err)
	h.Complete(t, payout.PaymentID)
	_, err = h.Provider.InitiateDeposit(t.Context(), newDeposit(70))
	require.NoError(t, err)
	_, err = h.Provider.InitiateWithdraw(t.Context(), newWithdraw(h, 80))
	require.NoError(t, err)

	require.Equal(t, map[account.MovementKey]int64{
		{Effect: account.MovementPayment, Ref: payment, Currency: "EUR"}:         1000,
		{Effect: account.MovementRefund, Ref: back.PaymentID, Currency: "EUR"}:   -300,
		{Effect: account.MovementPayout, Ref: payout.PaymentID, Currency: "JPY"}: -500,
	}, movementsOf(t, lister))
}
