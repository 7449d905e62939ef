package account_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"florin/domain/account"
	"florin/domain/currency"
	"florin/domain/ledger"
	"florin/domain/money"
)

func open(t require.TestingT, c currency.Currency) *account.Account {
	a, err := account.New(uuid.New(), uuid.New(), "", c, time.Unix(0, 0).UTC())
	require.NoError(t, err)
	return a
}

// TestI5_NoWalkOverspends drives two accounts with random operations beside a model in plain integers.
func TestI5_NoWalkOverspends(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := open(t, currency.EUR), open(t, currency.EUR)
		now := time.Unix(1_700_000_000, 0).UTC()
		var posted, held, other int64
		var holds []*account.Hold
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(-5, 5).Draw(t, "clock")) * time.Second)
			n := rapid.Int64Range(1, 1000).Draw(t, "amount")
			amount := money.New(n, currency.EUR)
			switch rapid.IntRange(0, 4).Draw(t, "operation") {
			case 0:
				require.NoError(t, a.Deposit(uuid.New(), amount, now))
				posted += n
			case 1:
				hold, err := a.Hold(uuid.New(), amount, now)
				if posted-held < n {
					require.ErrorIs(t, err, account.ErrInsufficientFunds)
					continue
				}
				require.NoError(t, err)
				holds, held = append(holds, hold), held+n
			case 2, 3:
				if len(holds) == 0 {
					continue
				}
				hold := holds[len(holds)-1]
				holds, held = holds[:len(holds)-1], held-hold.Amount.Minor()
				if rapid.Bool().Draw(t, "paid") {
					require.NoError(t, a.Withdraw(hold, now))
					posted -= hold.Amount.Minor()
				} else {
					require.NoError(t, a.Release(hold, now))
				}
				require.ErrorIs(t, a.Release(hold, now), account.ErrHoldEnded)
				require.ErrorIs(t, a.Withdraw(hold, now), account.ErrHoldEnded)
			case 4:
				err := a.Transfer(b, uuid.New(), amount, amount, now)
				if posted-held < n {
					require.ErrorIs(t, err, account.ErrInsufficientFunds)
					continue
				}
				require.NoError(t, err)
				posted, other = posted-n, other+n
			}
			require.Equal(t, posted, a.Posted().Minor())
			require.Equal(t, held, a.Held().Minor())
			require.Equal(t, other, b.Posted().Minor())
			require.GreaterOrEqual(t, a.Available().Sign(), 0)
		}
		checkLines(t, a)
	})
}

// checkLines: an account's own lines count up without a gap, carry the balance, and never run back in time.
func checkLines(t *rapid.T, a *account.Account) {
	var balance int64
	var last time.Time
	for i, happening := range a.Pull() {
		e := happening.Entry
		balance += e.Amount.Minor()
		require.Equal(t, int64(i+1), e.AccountSeq)
		require.Equal(t, balance, e.BalanceAfter)
		require.False(t, e.At.Before(last))
		last = e.At
	}
	require.Empty(t, a.Pull())
}

func TestOverflowOfABalanceIsRefused(t *testing.T) {
	a := open(t, currency.EUR)
	require.NoError(t, a.Deposit(uuid.New(), money.New(1<<62, currency.EUR), time.Time{}))
	require.Error(t, a.Deposit(uuid.New(), money.New(1<<62, currency.EUR), time.Time{}))
	require.Equal(t, int64(1<<62), a.Posted().Minor())
}

func TestI2_PostingsSumToZeroPerCurrency(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var entries []ledger.Entry
		sums := map[string]int64{}
		for range rapid.IntRange(0, 6).Draw(t, "lines") {
			c := rapid.SampledFrom([]currency.Currency{currency.EUR, currency.USD}).Draw(t, "currency")
			n := rapid.Int64Range(-3, 3).Filter(func(n int64) bool { return n != 0 }).Draw(t, "amount")
			sums[c.Code()] += n
			entries = append(entries, ledger.Entry{AccountID: uuid.New(), Amount: money.New(n, c)})
		}
		_, err := ledger.NewPosting(entries...)
		if sums["EUR"] == 0 && sums["USD"] == 0 {
			require.NoError(t, err)
		} else {
			require.ErrorIs(t, err, ledger.ErrUnbalanced)
		}
	})
}

func TestCloseWantsAnEmptyAccount(t *testing.T) {
	a := open(t, currency.EUR)
	require.NoError(t, a.Deposit(uuid.New(), money.New(1, currency.EUR), time.Time{}))
	require.Error(t, a.Close(time.Time{}))
	b := open(t, currency.EUR)
	require.NoError(t, b.Close(time.Time{}))
	require.ErrorIs(t, b.CheckActive(), account.ErrAccountClosed)
}
