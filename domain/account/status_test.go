package account_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"florin/domain/account"
	"florin/domain/currency"
	"florin/domain/money"
)

var statuses = []account.PaymentStatus{
	account.PaymentStatusInitiated, account.PaymentStatusPending, account.PaymentStatusCompleted, account.PaymentStatusFailed,
}

func newTransaction() *account.Transaction {
	return &account.Transaction{ID: uuid.New(), Type: account.TypeDeposit, AccountID: uuid.New(), UserID: uuid.New(),
		Amount: money.New(100, currency.EUR), Posted: money.New(100, currency.EUR), Provider: "mock"}
}

func TestI8_EveryWalkThroughTheStatusesIsLegalAndGapless(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tx := newTransaction()
		now := time.Unix(1_700_000_000, 0).UTC()
		last := account.PaymentEvent{}
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			to := rapid.SampledFrom(statuses).Draw(t, "to")
			now = now.Add(time.Duration(rapid.IntRange(-100, 100).Draw(t, "clock")) * time.Second)
			var failure *account.Failure
			if to == account.PaymentStatusFailed {
				failure = &account.Failure{Code: "declined"}
			}
			from, version := tx.Status(), tx.Version()
			event, err := tx.Move(to, now, account.CauseWebhook, failure)
			if !account.CanMove(from, to) {
				require.ErrorIs(t, err, account.ErrIllegalMove)
				require.Equal(t, from, tx.Status())
				require.Equal(t, version, tx.Version())
				continue
			}
			require.NoError(t, err)
			require.Equal(t, last.Seq+1, event.Seq)
			require.Equal(t, last.Status, event.From)
			require.False(t, event.At.Before(last.At), "time runs backwards")
			require.Equal(t, to == account.PaymentStatusFailed, tx.Failure() != nil)
			last = event
		}
	})
}

func TestCompletedIsFinal(t *testing.T) {
	for _, to := range statuses {
		require.False(t, account.CanMove(account.PaymentStatusCompleted, to), "completed to %s", to)
	}
}

func TestFailureIsGivenExactlyWhenItFails(t *testing.T) {
	tx := newTransaction()
	_, err := tx.Move(account.PaymentStatusInitiated, time.Time{}, account.CauseRequest, &account.Failure{Code: "x"})
	require.ErrorIs(t, err, account.ErrIllegalMove)
	_, err = tx.Move(account.PaymentStatusInitiated, time.Time{}, account.CauseRequest, nil)
	require.NoError(t, err)
	_, err = tx.Move(account.PaymentStatusFailed, time.Time{}, account.CauseReply, nil)
	require.ErrorIs(t, err, account.ErrIllegalMove)
}

func TestTargetsNeverPrintWhole(t *testing.T) {
	target := account.ExternalTarget{BankAccountNumber: "DE89370400440532013000", RoutingNumber: "123"}
	require.Equal(t, "****3000", target.Masked().BankAccountNumber)
	require.Equal(t, "****", target.Masked().RoutingNumber)
	require.NotContains(t, target.String(), "0532")
}
