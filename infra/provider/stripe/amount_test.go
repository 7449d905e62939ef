package stripe

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"florin/domain/account"
	"florin/domain/currency"
	"florin/domain/errs"
	"florin/domain/money"
)

// TestAmountsOfEveryCurrency: every currency of ISO 4217 is one that Stripe counts in a way that we know, both ways exact,
// or is refused.
func TestAmountsOfEveryCurrency(t *testing.T) {
	// The digits that Stripe counts otherwise than ISO does, written down once more, by hand.
	otherDigits := map[string]int{"MGA": 0, "ISK": 2, "UGX": 2}
	supported := 0
	for _, cur := range currency.All() {
		u, ok := units[cur.Code()]
		one := money.New(pow10(cur.Digits()), cur) // one whole unit goes everywhere
		got, err := toStripe(account.TypeDeposit, one)
		if !ok {
			require.Equal(t, "currency_not_supported", errs.CodeOf(err), cur)
			require.Equal(t, errs.Refused, errs.KindOf(err))
			continue
		}
		supported++
		require.NoError(t, err, cur)
		digits, special := otherDigits[cur.Code()]
		if !special {
			digits = cur.Digits()
		}
		assert.Equal(t, digits, u.digits, cur)
		assert.Equal(t, pow10(digits), got, cur)
		ours, code, err := fromStripe(got, strings.ToLower(cur.Code()))
		require.NoError(t, err)
		assert.Equal(t, one.Minor(), ours, cur)
		assert.Equal(t, cur.Code(), code)
		_, err = toStripe(account.TypeWithdraw, one)
		require.NoError(t, err, cur)
	}
	assert.Equal(t, len(units), supported, "the table names only currencies that exist")
}

func pow10(n int) int64 {
	p := int64(1)
	for range n {
		p *= 10
	}
	return p
}

func TestAmountGranularity(t *testing.T) {
	for _, test := range []struct {
		kind   account.Type
		code   string
		minor  int64
		sent   int64 // 0 where it is refused
		reason string
	}{
		{account.TypeDeposit, "EUR", 1234, 1234, ""},
		{account.TypeDeposit, "JPY", 500, 500, ""},
		{account.TypeDeposit, "ISK", 5, 500, ""},
		{account.TypeWithdraw, "ISK", 5, 500, ""},
		{account.TypeDeposit, "UGX", 5, 500, ""},
		{account.TypeDeposit, "MGA", 500, 5, ""},
		{account.TypeDeposit, "MGA", 520, 0, "amount_granularity"},
		{account.TypeDeposit, "KWD", 5120, 5120, ""},
		{account.TypeDeposit, "KWD", 5124, 0, "amount_granularity"},
		{account.TypeRefund, "KWD", 5124, 0, "amount_granularity"},
		{account.TypeDeposit, "HUF", 1045, 1045, ""},
		{account.TypeWithdraw, "HUF", 1000, 1000, ""},
		{account.TypeWithdraw, "HUF", 1045, 0, "amount_granularity"},
		{account.TypeDeposit, "TWD", 80045, 80045, ""},
		{account.TypeWithdraw, "TWD", 80045, 0, "amount_granularity"},
		{account.TypeDeposit, "EUR", maxMinor, maxMinor, ""},
		{account.TypeDeposit, "EUR", maxMinor + 1, 0, "amount_out_of_range"},
		{account.TypeDeposit, "ISK", 1 << 62, 0, "amount_granularity"}, // beyond int64 in Stripe's unit
		{account.TypeDeposit, "CLF", 10000, 0, "currency_not_supported"},
	} {
		got, err := toStripe(test.kind, money.New(test.minor, currency.MustParse(test.code)))
		assert.Equal(t, test.sent, got, "%s %d", test.code, test.minor)
		if test.reason == "" {
			assert.NoError(t, err)
			continue
		}
		assert.Equal(t, test.reason, errs.CodeOf(err), "%s %d", test.code, test.minor)
		assert.Equal(t, errs.Refused, errs.KindOf(err))
	}
	_, _, err := fromStripe(550, "isk")
	require.Error(t, err, "half a króna has no exact form")
	_, _, err = fromStripe(550, "xxx")
	require.Error(t, err)
}

// TestAmountsRoundTrip: what Stripe takes comes back as it was.
func TestAmountsRoundTrip(t *testing.T) {
	all := currency.All()
	rapid.Check(t, func(r *rapid.T) {
		m := money.New(rapid.Int64Range(1, 1<<50).Draw(r, "minor"), rapid.SampledFrom(all).Draw(r, "currency"))
		kind := rapid.SampledFrom([]account.Type{account.TypeDeposit, account.TypeWithdraw, account.TypeRefund}).Draw(r, "kind")
		sent, err := toStripe(kind, m)
		if err != nil {
			return
		}
		back, code, err := fromStripe(sent, strings.ToLower(m.Currency().Code()))
		require.NoError(r, err)
		require.Equal(r, m.Minor(), back)
		require.Equal(r, m.Currency().Code(), code)
	})
}
