package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"florin/domain/currency"
	"florin/domain/fx"
)

// moodyRates is a source of rates that a test tells what to say.
type moodyRates struct {
	mu  sync.Mutex
	say func(from, to currency.Currency) (fx.Rate, error)
}

func (m *moodyRates) Rate(_ context.Context, from, to currency.Currency) (fx.Rate, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.say(from, to)
}

func (m *moodyRates) says(say func(from, to currency.Currency) (fx.Rate, error)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.say = say
}

// quotes makes the source say one value for every pair.
func (m *moodyRates) quotes(value string) {
	m.says(func(from, to currency.Currency) (fx.Rate, error) {
		return fx.NewRate(from, to, value, "moody", time.Now())
	})
}

func TestF91_RateThatCannotBeUsedPostsNothing(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		rates := r.options.Rates.(*moodyRates)
		c := r.user()
		euros, dollars := c.open("EUR"), c.open("USD")
		rates.quotes("1.0840")
		c.fund(euros, "100.00", "EUR")
		x := c.transfer(euros, dollars, "50.00", "EUR")
		require.Equal(t, 200, x.status, "%s", x.body)
		conversion, ok := x.json(t)["conversion"].(map[string]any)
		require.True(t, ok, "%s", x.body)
		require.Equal(t, "1.0840 moody 54.20", fmt.Sprint(conversion["rate"], " ", conversion["source"], " ", conversion["converted_amount"]))
		used := c.do("GET", "/transaction/"+x.text(t, "id"), "").json(t)["conversion"]
		require.Equal(t, any(conversion), used, "the rate is stored with what it was used for")

		stored := r.count("SELECT COUNT(*) FROM transactions")
		bad := func(say func(from, to currency.Currency) (fx.Rate, error)) func() { return func() { rates.says(say) } }
		for name, when := range map[string]struct {
			source func()
			status int
			code   string
		}{
			"down":    {bad(func(_, _ currency.Currency) (fx.Rate, error) { return fx.Rate{}, errors.New("no route to host") }), 503, "rates_unavailable"},
			"missing": {bad(func(from, to currency.Currency) (fx.Rate, error) { return fx.Rate{}, fx.NoRate(from, to) }), 422, "no_rate"},
			"nothing": {bad(func(_, _ currency.Currency) (fx.Rate, error) { return fx.Rate{}, nil }), 503, "rates_unavailable"},
			"another pair": {bad(func(from, to currency.Currency) (fx.Rate, error) {
				return fx.NewRate(to, from, "1.0840", "moody", time.Now())
			}), 503, "rates_unavailable"},
			"stale": {bad(func(from, to currency.Currency) (fx.Rate, error) {
				old := &moodyRates{say: func(from, to currency.Currency) (fx.Rate, error) {
					return fx.NewRate(from, to, "1.0840", "moody", r.app.Clock().Add(-25*time.Hour))
				}}
				return fx.NewGuard(old, 24*time.Hour, r.app.Clock).Rate(context.Background(), from, to)
			}), 503, "rates_unavailable"},
			"zero":          {func() { rates.quotes("0") }, 503, "rates_unavailable"},
			"not a number":  {func() { rates.quotes("NaN") }, 503, "rates_unavailable"},
			"negative":      {func() { rates.quotes("-1.0840") }, 503, "rates_unavailable"},
			"ten times":     {func() { rates.quotes("10.840") }, 503, "rates_unavailable"},
			"a tenth":       {func() { rates.quotes("0.10840") }, 503, "rates_unavailable"},
			"beyond belief": {func() { rates.quotes("1e400") }, 503, "rates_unavailable"},
		} {
			when.source()
			for _, money := range []answer{c.transfer(euros, dollars, "10.00", "EUR"), c.deposit(dollars, "10.00", "EUR")} {
				require.Equal(t, when.status, money.status, "%s: %s", name, money.body)
				money.refused(t, when.status, when.code)
			}
		}
		require.Equal(t, stored, r.count("SELECT COUNT(*) FROM transactions"))
		require.Equal(t, "50.00 0.00 50.00", c.balance(euros))
		require.Equal(t, "54.20 0.00 54.20", c.balance(dollars))

		rates.quotes("1.0900")
		require.Equal(t, 200, c.transfer(euros, dollars, "10.00", "EUR").status, "and it heals")
		require.Equal(t, "65.10 0.00 65.10", c.balance(dollars))
	}, func(_ *Config, o *Options) { o.Rates = &moodyRates{} })
}

// TestF92_PingPongNeverGains sends money to and fro between currencies of 2, 0 and 3 decimals, by either side's amount.
func TestF92_PingPongNeverGains(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c := r.user()
		euros := c.open("EUR")
		c.fund(euros, "10.00", "EUR")
		for _, code := range []string{"JPY", "KWD", "USD"} {
			abroad := c.open(code)
			for round := range 8 {
				before := c.minor(euros)
				amount := fmt.Sprintf("%d.%02d", round%3, 7+round*11) // small and odd, so that rounding shows
				out := c.transfer(euros, abroad, amount, "EUR")
				require.Equal(t, 200, out.status, "%s", out.body)
				there := c.available(abroad)
				var back answer
				if round%2 == 0 {
					back = c.transfer(abroad, euros, there, code)
				} else { // the amount is the destination's: what is asked for in euros is what was sent, less a cent
					back = c.transfer(abroad, euros, minus(t, amount, 1), "EUR")
				}
				if back.status == 422 { // it no longer buys a cent, or that cent costs more than there is
					require.Contains(t, []string{"amount_too_small", "insufficient_funds"}, back.text(t, "code"))
				} else {
					require.Equal(t, 200, back.status, "%s", back.body)
				}
				require.LessOrEqual(t, c.minor(euros), before, "%s there and back by %s", amount, code)
			}
			for c.minor(abroad) > 0 { // what is left there comes home, and still nobody has gained
				if home := c.transfer(abroad, euros, c.available(abroad), code); home.status != 200 {
					home.refused(t, 422, "amount_too_small")
					break
				}
			}
			require.LessOrEqual(t, c.minor(euros), int64(1000), code)
		}
		require.Positive(t, c.minor(euros))
		require.Empty(t, r.column("SELECT currency FROM entries GROUP BY currency HAVING SUM(amount) <> 0"))
		held := r.column("SELECT currency FROM accounts WHERE kind = 'system' AND code = 'fx_position' ORDER BY currency")
		require.Equal(t, []string{"EUR", "JPY", "KWD", "USD"}, held)
	})
}

// available is what the account has, as text.
func (c *client) available(account string) string {
	return c.do("GET", "/account/"+account+"/balance", "").text(c.r.t, "available")
}

// minor is what is posted on the account, in minor units.
func (c *client) minor(account string) int64 {
	return c.r.count("SELECT posted FROM accounts WHERE id = ?", account)
}

// minus takes cents off an amount of two decimals.
func minus(t *testing.T, amount string, cents int64) string {
	var whole, part int64
	_, err := fmt.Sscanf(amount, "%d.%d", &whole, &part)
	require.NoError(t, err)
	left := whole*100 + part - cents
	return fmt.Sprintf("%d.%02d", left/100, left%100)
}
