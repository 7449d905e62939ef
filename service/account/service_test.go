package account_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/domain/account"
	"florin/domain/errs"
	"florin/domain/ledger"
	accountsvc "florin/service/account"
)

func TestDepositPublishesInitiatedPendingCompleted(t *testing.T) {
	b := newBench(t)
	id := b.open("USD")
	out, err := b.svc.Deposit(t.Context(), accountsvc.DepositRequest{Call: b.call(id, "100.00", "USD"), MoneySource: "Cash"})
	require.NoError(t, err)
	b.confirm(out.Transaction)

	require.Len(t, b.bus.Events, 3)
	assert.Equal(t, account.PaymentStatusInitiated, b.bus.Events[0].Status)
	assert.Equal(t, account.PaymentStatusPending, b.bus.Events[1].Status)
	assert.Equal(t, account.PaymentStatusCompleted, b.bus.Events[2].Status)
	for i, e := range b.bus.Events {
		assert.Equal(t, i+1, e.Seq)
		assert.Equal(t, int64(10000), e.Amount)
		assert.Equal(t, "deposit", e.Metadata["operation"])
	}
	assert.Equal(t, "100.00", b.store.account(id).Available().Decimal())
}

func TestNothingMovesBeforeTheConfirmation(t *testing.T) {
	b := newBench(t)
	id := b.open("EUR")
	out, err := b.svc.Deposit(t.Context(), accountsvc.DepositRequest{Call: b.call(id, "5", "EUR")})
	require.NoError(t, err)
	assert.Equal(t, account.PaymentStatusPending, out.Transaction.Status())
	assert.True(t, b.store.account(id).Posted().IsZero())
	assert.Empty(t, b.store.postings)
}

func TestWithdrawHoldsThenDebits(t *testing.T) {
	b := newBench(t)
	id := b.open("EUR")
	b.fund(id, "10.00", "EUR")
	out, err := b.svc.Withdraw(t.Context(), accountsvc.WithdrawRequest{Call: b.call(id, "4.00", "EUR"), Target: account.ExternalTarget{BankAccountNumber: "DE89370400440532013000"}})
	require.NoError(t, err)
	assert.Equal(t, "4.00", b.store.account(id).Held().Decimal())
	assert.Equal(t, "6.00", b.store.account(id).Available().Decimal())

	_, err = b.svc.Withdraw(t.Context(), accountsvc.WithdrawRequest{Call: b.call(id, "6.01", "EUR"), Target: account.ExternalTarget{RoutingNumber: "1"}})
	require.ErrorIs(t, err, account.ErrInsufficientFunds)

	b.confirm(out.Transaction)
	assert.Equal(t, "6.00", b.store.account(id).Posted().Decimal())
	assert.True(t, b.store.account(id).Held().IsZero())
}

func TestF77_RefusedPayoutReleasesTheHold(t *testing.T) {
	b := newBench(t)
	id := b.open("EUR")
	b.fund(id, "10.00", "EUR")
	b.bank.initiate = func(uuid.UUID, string) (account.Initiation, error) {
		return account.Initiation{}, &account.ProviderError{Class: account.ErrProviderRefused, Code: "declined", Message: "No."}
	}
	out, err := b.svc.Withdraw(t.Context(), accountsvc.WithdrawRequest{Call: b.call(id, "4.00", "EUR"), Target: account.ExternalTarget{RoutingNumber: "1"}})
	require.NoError(t, err)
	assert.Equal(t, account.PaymentStatusFailed, out.Transaction.Status())
	assert.Equal(t, "declined", out.Transaction.Failure().Code)
	assert.Equal(t, "10.00", b.store.account(id).Available().Decimal())
}

func TestF76_UnknownOutcomeKeepsTheHoldAndTheKey(t *testing.T) {
	b := newBench(t)
	id := b.open("EUR")
	b.fund(id, "10.00", "EUR")
	b.bank.initiate = func(uuid.UUID, string) (account.Initiation, error) {
		return account.Initiation{}, &account.ProviderError{Class: account.ErrProviderUnknown, Cause: errors.New("timeout")}
	}
	out, err := b.svc.Withdraw(t.Context(), accountsvc.WithdrawRequest{Call: b.call(id, "4.00", "EUR"), Target: account.ExternalTarget{RoutingNumber: "1"}})
	require.NoError(t, err)
	assert.Equal(t, account.PaymentStatusInitiated, out.Transaction.Status())
	assert.Equal(t, "4.00", b.store.account(id).Held().Decimal())

	b.bank.initiate = accepts
	require.NoError(t, b.svc.Resume(t.Context(), b.store.transaction(out.Transaction.ID)))
	assert.Equal(t, account.PaymentStatusPending, b.store.transaction(out.Transaction.ID).Status())
	require.Len(t, b.bank.withdraws, 2)
	assert.Equal(t, b.bank.withdraws[0], b.bank.withdraws[1], "a repeat is the same instruction")
}

func TestF32_ExpiryFailsOnlyWhatTheProviderGaveUp(t *testing.T) {
	b := newBench(t)
	id := b.open("EUR")
	out, err := b.svc.Deposit(t.Context(), accountsvc.DepositRequest{Call: b.call(id, "5", "EUR")})
	require.NoError(t, err)
	b.now = b.now.Add(25 * time.Hour)
	state := account.PaymentReport{Kind: account.ReceivedPending, PaymentID: out.Transaction.PaymentID, Amount: 500, Currency: "EUR"}
	b.bank.report = func(account.PaymentRef) (account.PaymentReport, error) { return state, nil }
	require.NoError(t, b.svc.Resume(t.Context(), b.store.transaction(out.Transaction.ID)))
	assert.Equal(t, account.PaymentStatusPending, b.store.transaction(out.Transaction.ID).Status())

	state.Kind = account.ReceivedFailed
	require.NoError(t, b.svc.Resume(t.Context(), b.store.transaction(out.Transaction.ID)))
	failed := b.store.transaction(out.Transaction.ID)
	assert.Equal(t, account.PaymentStatusFailed, failed.Status())
	assert.Equal(t, "expired", failed.Failure().Code)
}

func TestF38_DifferentEventsForOneFactCreditOnce(t *testing.T) {
	b := newBench(t)
	id := b.open("EUR")
	out, err := b.svc.Deposit(t.Context(), accountsvc.DepositRequest{Call: b.call(id, "5", "EUR")})
	require.NoError(t, err)
	b.confirm(out.Transaction)
	b.confirm(out.Transaction)
	assert.Equal(t, "5.00", b.store.account(id).Posted().Decimal())
	require.Len(t, b.bus.Events, 3)
}

func TestF39_LateProcessingDoesNotPullBack(t *testing.T) {
	b := newBench(t)
	id := b.open("EUR")
	out, err := b.svc.Deposit(t.Context(), accountsvc.DepositRequest{Call: b.call(id, "5", "EUR")})
	require.NoError(t, err)
	b.confirm(out.Transaction)
	require.NoError(t, b.handler.HandlePaymentReceived(t.Context(), b.webhook(account.ReceivedPending, out.Transaction, 500, "EUR")))
	assert.Equal(t, account.PaymentStatusCompleted, b.store.transaction(out.Transaction.ID).Status())
}

func TestMoneyThatDoesNotFit(t *testing.T) {
	for _, tc := range []struct {
		name             string
		minor            int64
		code             string
		status           account.PaymentStatus
		posted, suspense string
		review           string
	}{
		{"F44_less", 300, "EUR", account.PaymentStatusCompleted, "3.00", "", ""},
		{"F45_more", 700, "EUR", account.PaymentStatusCompleted, "5.00", "2.00 EUR", "surplus"},
		{"F46_other_currency", 500, "USD", account.PaymentStatusPending, "0.00", "5.00 USD", "other_currency"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t)
			id := b.open("EUR")
			out, err := b.svc.Deposit(t.Context(), accountsvc.DepositRequest{Call: b.call(id, "5", "EUR")})
			require.NoError(t, err)
			event := b.webhook(account.ReceivedCompleted, out.Transaction, tc.minor, tc.code)
			for range 2 {
				require.NoError(t, b.handler.HandlePaymentReceived(t.Context(), event))
			}
			assert.Equal(t, tc.status, b.store.transaction(out.Transaction.ID).Status())
			assert.Equal(t, tc.posted, b.store.account(id).Posted().Decimal())
			suspense := ""
			for _, p := range b.store.postings {
				for _, e := range p.Entries() {
					if e.System != nil && e.System.Code == "suspense" {
						suspense += e.Amount.String()
					}
				}
			}
			assert.Equal(t, tc.suspense, suspense)
			if tc.review != "" {
				require.Len(t, b.store.reviews, 1)
				assert.Equal(t, tc.review, b.store.reviews[0].Kind)
			}
		})
	}
}

func TestF46_TheRightMoneyIsStillCreditedAfterTheWrong(t *testing.T) {
	b := newBench(t)
	id := b.open("EUR")
	out, err := b.svc.Deposit(t.Context(), accountsvc.DepositRequest{Call: b.call(id, "5", "EUR")})
	require.NoError(t, err)
	for _, code := range []string{"USD", "EUR", "USD", "EUR"} {
		require.NoError(t, b.handler.HandlePaymentReceived(t.Context(), b.webhook(account.ReceivedCompleted, out.Transaction, 500, code)))
	}
	assert.Equal(t, "5.00", b.store.account(id).Posted().Decimal())
	assert.Equal(t, account.PaymentStatusCompleted, b.store.transaction(out.Transaction.ID).Status())
	require.Len(t, b.store.postings, 2, "one credit, one unmatched")
}

func TestF35_UnknownPaymentIsParkedThenReviewed(t *testing.T) {
	b := newBench(t)
	ghost := &account.Transaction{ID: uuid.Must(uuid.NewV7())}
	event := b.webhook(account.ReceivedCompleted, ghost, 500, "EUR")
	require.NoError(t, b.handler.HandlePaymentReceived(t.Context(), event))
	row := b.store.inbox[account.InboxKey{Provider: "mock", EventID: event.EventID}]
	assert.Equal(t, account.InboxParked, row.Status)
	assert.False(t, row.NextAttemptAt.IsZero())

	b.now = b.now.Add(73 * time.Hour)
	require.NoError(t, b.svc.Retry(t.Context(), &row))
	row = b.store.inbox[account.InboxKey{Provider: "mock", EventID: event.EventID}]
	assert.Equal(t, account.InboxQuarantined, row.Status)
	require.Len(t, b.store.reviews, 1)
	assert.Equal(t, "unknown_payment", b.store.reviews[0].Kind)
	assert.Empty(t, b.store.postings)
}

func TestF42_LateSuccessIsBelievedOnlyWhenTheProviderConfirms(t *testing.T) {
	b := newBench(t)
	id := b.open("EUR")
	out, err := b.svc.Deposit(t.Context(), accountsvc.DepositRequest{Call: b.call(id, "5", "EUR")})
	require.NoError(t, err)
	require.NoError(t, b.handler.HandlePaymentReceived(t.Context(), b.webhook(account.ReceivedFailed, out.Transaction, 500, "EUR")))
	event := b.webhook(account.ReceivedCompleted, out.Transaction, 500, "EUR")
	require.NoError(t, b.handler.HandlePaymentReceived(t.Context(), event))
	key := account.InboxKey{Provider: "mock", EventID: event.EventID}
	row := b.store.inbox[key]
	require.Equal(t, account.InboxReceived, row.Status)
	require.True(t, b.store.account(id).Posted().IsZero())

	b.bank.report = func(account.PaymentRef) (account.PaymentReport, error) {
		return account.PaymentReport{Kind: account.ReceivedCompleted, PaymentID: event.PaymentID, Amount: 500, Currency: "EUR"}, nil
	}
	require.NoError(t, b.svc.Retry(t.Context(), &row))
	assert.Equal(t, account.PaymentStatusCompleted, b.store.transaction(out.Transaction.ID).Status())
	assert.Equal(t, "5.00", b.store.account(id).Posted().Decimal())
	require.Len(t, b.store.reviews, 1)
	assert.Equal(t, "late_success", b.store.reviews[0].Kind)
}

func TestF20_NothingReachesTheProviderWithoutOurRow(t *testing.T) {
	b := newBench(t)
	id := b.open("EUR")
	b.store.down = errs.New(errs.Unavailable, "database_unavailable", "down")
	_, err := b.svc.Deposit(t.Context(), accountsvc.DepositRequest{Call: b.call(id, "5", "EUR")})
	require.Equal(t, errs.Unavailable, errs.KindOf(err))
	assert.Empty(t, b.bank.deposits)
}

func TestF58_WebhookIsNotAcknowledgedWhenItCannotBeStored(t *testing.T) {
	b := newBench(t)
	id := b.open("EUR")
	out, err := b.svc.Deposit(t.Context(), accountsvc.DepositRequest{Call: b.call(id, "5", "EUR")})
	require.NoError(t, err)
	event := b.webhook(account.ReceivedCompleted, out.Transaction, 500, "EUR")
	b.store.down = errs.New(errs.Unavailable, "database_unavailable", "down")
	require.Equal(t, errs.Unavailable, errs.KindOf(b.handler.HandlePaymentReceived(t.Context(), event)))
	b.store.down = nil
	require.NoError(t, b.handler.HandlePaymentReceived(t.Context(), event))
	assert.Equal(t, "5.00", b.store.account(id).Posted().Decimal())
}

func TestTransferIsOneTransactionWithTwoEntries(t *testing.T) {
	b := newBench(t)
	from, to := b.open("EUR"), b.open("USD")
	b.fund(from, "10.00", "EUR")
	b.bus.Events = nil
	out, err := b.svc.Transfer(t.Context(), accountsvc.TransferRequest{Call: b.call(from, "10.00", "EUR"), DestinationID: to})
	require.NoError(t, err)
	assert.Equal(t, account.PaymentStatusCompleted, out.Transaction.Status())
	assert.Equal(t, "0.00", b.store.account(from).Posted().Decimal())
	assert.Equal(t, "10.84", b.store.account(to).Posted().Decimal())
	require.Len(t, b.bus.Events, 2)
	assert.Equal(t, account.ProviderInternal, b.bus.Events[0].Provider)
	entries := b.store.postings[out.Transaction.ID].Entries()
	require.Len(t, entries, 4)
	_, err = ledger.NewPosting(entries...)
	require.NoError(t, err)
}

func TestTransferRefusals(t *testing.T) {
	b := newBench(t)
	from, to := b.open("EUR"), b.open("USD")
	for name, tc := range map[string]struct {
		destination  uuid.UUID
		amount, code string
		want         string
	}{
		"F88_self":          {from, "1", "EUR", "same_account"},
		"F93_unknown":       {uuid.New(), "1", "EUR", "destination_unavailable"},
		"F18_third":         {to, "1", "GBP", "currency_mismatch"},
		"F18_too_precise":   {to, "1.001", "EUR", "too_many_decimals"},
		"F18_zero":          {to, "0", "EUR", "invalid_amount"},
		"F18_negative":      {to, "-1", "EUR", "invalid_amount"},
		"F18_above_limit":   {to, "1000000000.01", "EUR", "amount_out_of_range"},
		"F89_without_funds": {to, "0.01", "EUR", "insufficient_funds"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := b.svc.Transfer(t.Context(), accountsvc.TransferRequest{Call: b.call(from, tc.amount, tc.code), DestinationID: tc.destination})
			require.Equal(t, tc.want, errs.CodeOf(err))
		})
	}
	assert.Empty(t, b.bus.Events)
}

func TestDryRunStoresNothing(t *testing.T) {
	b := newBench(t)
	id := b.open("USD")
	call := b.call(id, "100.00", "EUR")
	call.DryRun = true
	out, err := b.svc.Deposit(t.Context(), accountsvc.DepositRequest{Call: call})
	require.NoError(t, err)
	assert.Equal(t, "108.40", out.Balances[0].Available.Decimal())
	assert.Empty(t, b.store.transactions)
	assert.Empty(t, b.bus.Events)
	assert.Empty(t, b.bank.deposits)
}
