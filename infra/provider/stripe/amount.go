package stripe

import (
	"fmt"
	"math"
	"strings"

	"florin/domain/account"
	"florin/domain/currency"
	"florin/domain/errs"
	"florin/domain/money"
)

// unit is how Stripe counts a currency.
type unit struct {
	// digits is how many decimals Stripe's smallest unit has; ISO 4217 may say another number.
	digits int
	// step is what an amount of a charge, in that unit, must be a multiple of; payoutStep the same of a payout.
	step, payoutStep int64
}

// The currencies that Stripe takes, by how it counts them, after https://docs.stripe.com/currencies, whose sections are named
// below, and for ISK https://support.stripe.com/questions/deprecation-of-fractional-isk-charges-and-refunds. The page lists
// UGX as a zero-decimal currency too; its special case is what holds, as shops that sent whole units found out by charging a
// hundredth (https://github.com/woocommerce/woocommerce-gateway-stripe/pull/2723). The list of names is that of stripe-go v76
// with what the page has added since; withdrawn codes are left out, because our own list has none.
const (
	// countedInHundredths have two decimals.
	countedInHundredths = "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BWP BYN BZD CAD CDF CHF CNY COP CRC CVE " +
		"CZK DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GIP GMD GTQ GYD HKD HNL HTG IDR ILS INR JMD KES KGS KHR KYD KZT LAK LBP LKR LRD " +
		"LSL MAD MDL MKD MMK MNT MOP MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD " +
		"SCR SEK SGD SHP SLE SOS SRD SVC SZL THB TJS TOP TRY TTD TZS UAH USD UYU UZS WST XCD XCG YER ZAR ZMW"
	// countedWhole have none (#zero-decimal). MGA is one of them, although ISO gives it two.
	countedWhole = "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF"
	// countedWholeInHundredths have no decimals any more, but their amounts are still sent with two, which are zeros
	// (#special-cases).
	countedWholeInHundredths = "ISK UGX"
	// paidOutWhole are charged with two decimals, and paid out in whole units sent with two zeros (#special-cases).
	paidOutWhole = "HUF TWD"
	// countedInThousandths have three decimals, of which the last is a zero (#three-decimal).
	countedInThousandths = "BHD JOD KWD OMR TND"
)

// maxMinor is what Stripe takes at the very most, in any currency: twelve digits. Lower limits are Stripe's own to apply.
const maxMinor = 999_999_999_999

var units = unitTable()

func unitTable() map[string]unit {
	table := map[string]unit{}
	for list, u := range map[string]unit{
		countedInHundredths:      {2, 1, 1},
		countedWhole:             {0, 1, 1},
		countedWholeInHundredths: {2, 100, 100},
		paidOutWhole:             {2, 1, 100},
		countedInThousandths:     {3, 10, 10},
	} {
		for _, code := range strings.Fields(list) {
			table[code] = u
		}
	}
	return table
}

// CheckPayment implements account.PaymentChecker: what Stripe cannot carry is refused before anything is stored.
func (c *Client) CheckPayment(kind account.Type, amount money.Money, flow string) error {
	if _, err := toStripe(kind, amount); err != nil {
		return err
	}
	if kind != account.TypeDeposit {
		return nil
	}
	switch flow {
	case "", FlowIntent:
		return nil
	case FlowCheckout:
		if c.success == "" || c.back == "" {
			return errs.InField("payment_flow", "payment_flow_unavailable", "Checkout is not configured on this server.")
		}
		return nil
	default:
		return errs.InField("payment_flow", "unknown_payment_flow", "The payment flow is payment_intent or checkout.")
	}
}

// toStripe is an amount as Stripe counts it. What has no exact form there is errs.Refused.
func toStripe(kind account.Type, amount money.Money) (int64, error) {
	u, ok := units[amount.Currency().Code()]
	if !ok {
		return 0, errs.InField("currency", "currency_not_supported", "The provider does not take this currency.")
	}
	minor, exact := rescale(amount.Minor(), u.digits-amount.Currency().Digits())
	step := u.step
	if kind == account.TypeWithdraw {
		step = u.payoutStep
	}
	if !exact || minor%step != 0 {
		return 0, errs.InField("amount", "amount_granularity",
			fmt.Sprintf("The provider takes amounts in %s only in steps of %s.", amount.Currency().Code(), stepText(amount.Currency(), u, step)))
	}
	if minor > maxMinor {
		return 0, errs.InField("amount", "amount_out_of_range", "The amount is above what the provider takes.")
	}
	return minor, nil
}

// fromStripe is an amount that Stripe states, in our minor units. It fails where our list does not have the currency, or
// where the amount has no exact form in it.
func fromStripe(minor int64, code string) (int64, string, error) {
	cur, err := currency.Parse(strings.ToUpper(code))
	if err != nil {
		return 0, "", fmt.Errorf("currency %q", plainCode(code))
	}
	u, ok := units[cur.Code()]
	if !ok {
		// Stripe may take more than we know of; what it does not list is counted as ISO does.
		u.digits = cur.Digits()
	}
	ours, exact := rescale(minor, cur.Digits()-u.digits)
	if !exact {
		return 0, "", fmt.Errorf("amount %d %s has no exact form", minor, cur.Code())
	}
	return ours, cur.Code(), nil
}

// rescale multiplies by ten to the power of by, and says whether the result is exact.
func rescale(n int64, by int) (int64, bool) {
	for ; by > 0; by-- {
		if n > math.MaxInt64/10 || n < math.MinInt64/10 {
			return 0, false
		}
		n *= 10
	}
	for ; by < 0; by++ {
		if n%10 != 0 {
			return 0, false
		}
		n /= 10
	}
	return n, true
}

// stepText is a step in the currency's own units.
func stepText(cur currency.Currency, u unit, step int64) string {
	minor, exact := rescale(step, cur.Digits()-u.digits)
	if !exact { // the step is below what we can state
		minor = 1
	}
	return money.New(minor, cur).Decimal()
}
