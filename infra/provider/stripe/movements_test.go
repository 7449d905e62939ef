package stripe_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"florin/domain/account"
	"florin/infra/provider/stripe"
	"florin/infra/provider/stripe/stripetest"
)

// movements is what the client lists, added up: "effect ref currency" to the amount, without what is 0. It returns the pages too.
func (b *bench) movements() (sums map[string]int64, pages [][]account.Movement) {
	b.t.Helper()
	sums = map[string]int64{}
	for cursor := ""; ; {
		page, next, err := b.client.ListMovements(b.t.Context(), cursor)
		require.NoError(b.t, err)
		pages = append(pages, page)
		for _, m := range page {
			key := fmt.Sprintf("%s %s %s", m.Effect, m.Ref, m.Currency)
			if sums[key] += m.Amount; sums[key] == 0 {
				delete(sums, key)
			}
		}
		if next == "" {
			return sums, pages
		}
		require.NotEqual(b.t, cursor, next)
		cursor = next
	}
}

// TestI21_WhatALineHasMoved, for what the stand-in does and for what it does not. OURS is our metadata.
func TestI21_WhatALineHasMoved(t *testing.T) {
	const (
		charge = `"id":"ch_1","object":"charge","status":"succeeded","amount":1000,"currency":"eur","payment_intent":"pi_1"`
		refund = `"id":"re_1","object":"refund","amount":1000,"currency":"eur","payment_intent":"pi_1"`
		claim  = `"id":"dp_1","object":"dispute","status":"needs_response","amount":1000,"currency":"eur","payment_intent":"pi_1","metadata":{}`
		whose  = `"charge":{"id":"ch_1","metadata":OURS}`
		theirs = `"charge":{"id":"ch_1","metadata":{}}`
	)
	for name, test := range map[string]struct {
		line, source string
		want         map[string]int64
	}{
		"payment":               {`"type":"charge","amount":1000,"fee":59`, charge + `,"metadata":OURS`, map[string]int64{"payment pi_1 EUR": 1000, "fee txn_1 EUR": -59}},
		"a part is captured":    {`"type":"charge","amount":700,"fee":0`, charge + `,"metadata":OURS`, map[string]int64{"payment pi_1 EUR": 700}},
		"debit under way":       {`"type":"payment","amount":1000,"fee":35`, strings.Replace(charge, "succeeded", "pending", 1) + `,"metadata":OURS`, nil},
		"debit failed":          {`"type":"payment_failure_refund","amount":-1000,"fee":0`, strings.Replace(charge, "succeeded", "failed", 1) + `,"metadata":OURS`, map[string]int64{"payment pi_1 EUR": -1000}},
		"debit failed, refund":  {`"type":"payment_failure_refund","amount":-1000,"fee":0`, refund + `,"status":"succeeded",` + whose, map[string]int64{"payment pi_1 EUR": -1000}},
		"refund of ours":        {`"type":"refund","amount":-1000,"fee":0`, refund + `,"status":"succeeded","metadata":OURS,` + theirs, map[string]int64{"refund re_1 EUR": -1000}},
		"refund at a Dashboard": {`"type":"payment_refund","amount":-1000,"fee":0`, refund + `,"status":"succeeded","metadata":{},` + whose, map[string]int64{"refund re_1 EUR": -1000}},
		"refund under way":      {`"type":"refund","amount":-1000,"fee":0`, refund + `,"status":"pending",` + whose, nil},
		"refund waits":          {`"type":"refund","amount":-1000,"fee":0`, refund + `,"status":"requires_action",` + whose, nil},
		"refund failed":         {`"type":"refund_failure","amount":1000,"fee":0`, refund + `,"status":"failed",` + whose, map[string]int64{"refund re_1 EUR": 1000}},
		"dispute":               {`"type":"adjustment","amount":-1000,"fee":1500`, claim + `,` + whose, map[string]int64{"dispute dp_1 EUR": -1000, "fee txn_1 EUR": -1500}},
		"dispute won":           {`"type":"adjustment","amount":1000,"fee":-1500`, claim + `,` + whose, map[string]int64{"dispute dp_1 EUR": 1000, "fee txn_1 EUR": 1500}},
		"not ours":              {`"type":"charge","amount":1000,"fee":59`, charge + `,"metadata":{"florin_transaction_id":"4711"}`, nil},
		"refund not ours":       {`"type":"refund","amount":-1000,"fee":0`, refund + `,"status":"succeeded",` + theirs, nil},
		"dispute not ours":      {`"type":"adjustment","amount":-1000,"fee":1500`, claim + `,` + theirs, nil},
		"without an intent":     {`"type":"charge","amount":1000,"fee":0`, `"id":"ch_1","object":"charge","status":"succeeded","amount":1000,"currency":"eur","payment_intent":null,"metadata":OURS`, nil},
		"to the owner's bank":   {`"type":"payout","amount":-1000,"fee":0`, `"id":"po_1","object":"payout","amount":1000,"currency":"eur","status":"paid","metadata":OURS`, nil},
		"top-up":                {`"type":"topup","amount":1000,"fee":0`, `"id":"tu_1","object":"topup","amount":1000,"currency":"eur","status":"succeeded","metadata":{}`, nil},
		"reversal":              {`"type":"transfer_refund","amount":1000,"fee":0`, `"id":"trr_1","object":"transfer_reversal","amount":1000,"currency":"eur","metadata":OURS`, nil},
		"transfer not ours":     {`"type":"transfer","amount":-1000,"fee":0`, `"id":"tr_1","object":"transfer","amount":1000,"currency":"eur","destination":"acct_1","metadata":{}`, nil},
		"fee of no payment":     {`"type":"stripe_fee","amount":-200,"fee":0`, "", nil},
	} {
		t.Run(name, func(t *testing.T) { requireMoved(t, "eur", test.line, test.source, test.want) })
	}
	// The balance may be kept in another currency than the payment's, and Stripe's units may be others than ours.
	converted := charge + `,"amount_captured":700,"metadata":OURS`
	requireMoved(t, "usd", `"type":"charge","amount":756,"fee":52`, converted, map[string]int64{"payment pi_1 EUR": 700, "fee txn_1 USD": -52})
	requireMoved(t, "usd", `"type":"refund","amount":-1080,"fee":0`, refund+`,"status":"succeeded",`+whose, map[string]int64{"refund re_1 EUR": -1000})
	krona := strings.Replace(charge, "eur", "isk", 1) + `,"metadata":OURS`
	requireMoved(t, "isk", `"type":"charge","amount":100000,"fee":2950`, krona, map[string]int64{"payment pi_1 ISK": 1000})
}

// requireMoved lists a balance transaction with a source, "" for none.
func requireMoved(t *testing.T, currency, line, source string, want map[string]int64) {
	t.Helper()
	about := "null"
	if source != "" {
		about = "{" + strings.ReplaceAll(source, "OURS", fmt.Sprintf(`{"florin_transaction_id":%q}`, uuid.New())) + "}"
	}
	one := fmt.Sprintf(`{"id":"txn_1","object":"balance_transaction","created":1767268800,"currency":%q,%s,"source":%s}`, currency, line, about)
	b := listing(t, one)
	got, pages := b.movements()
	if want == nil {
		want = map[string]int64{}
	}
	require.Equal(t, want, got, one)
	for _, m := range pages[0] {
		require.Equal(t, time.Unix(1767268800, 0).UTC(), m.ChangedAt)
	}
}

// listing is a bench whose Stripe has this page and no other.
func listing(t *testing.T, data string) *bench {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		if r.URL.Path != "/v1/balance_transactions" || query.Get("expand[0]") != "data.source" || query.Get("expand[1]") != "data.source.charge" {
			t.Errorf("asked for %s", r.URL)
		}
		_, _ = fmt.Fprintf(w, `{"object":"list","has_more":false,"data":[%s]}`, data)
	}))
	t.Cleanup(server.Close)
	return newBench(t, func(c *stripe.Config) { c.BaseURL = server.URL })
}

func TestMovementsThatCannotBeRead(t *testing.T) {
	for _, data := range []string{`7`, `{"id":"txn_1","object":"charge"}`, `{"id":"../x","object":"balance_transaction"}`} {
		_, _, err := listing(t, data).client.ListMovements(t.Context(), "")
		requireClass(t, err, account.ErrProviderUnknown)
	}
	b := newBench(t)
	_, _, err := b.client.ListMovements(t.Context(), "../x")
	requireClass(t, err, account.ErrProviderUnknown)
	b.stripe.Inject("", stripetest.Down)
	_, _, err = b.client.ListMovements(t.Context(), "")
	requireClass(t, err, account.ErrProviderUnknown)
}

// TestI21_WhatWithdrawalsHaveMoved: by the payout, as far as the transfer's money is not back.
func TestI21_WhatWithdrawalsHaveMoved(t *testing.T) {
	b := newBench(t)
	sent := func(minor int64) (payout, transfer string) {
		in := b.withdrawal(minor, "EUR")
		made, err := b.client.InitiateWithdraw(t.Context(), in)
		require.NoError(t, err)
		return made.PaymentID, b.stripe.Find("transfer", "florin_transaction_id", in.TransactionID.String())[0]
	}
	want := map[string]int64{}
	require.Empty(t, first(b.movements()))

	_, _ = sent(100) // on its way
	away, _ := sent(200)
	b.stripe.SendOut(away)
	arrived, _ := sent(1000)
	b.stripe.PayOut(arrived)
	want["payout "+arrived+" EUR"] = -1000
	parted, transfer := sent(2000)
	b.stripe.PayOut(parted)
	b.stripe.Reverse(transfer, 500)
	want["payout "+parted+" EUR"] = -1500
	taken, transfer := sent(3000)
	b.stripe.PayOut(taken)
	b.stripe.Reverse(transfer, 3000)
	require.Equal(t, want, first(b.movements()), "what is back has moved nothing")

	failed, _ := sent(4000)
	b.stripe.FailPayout(failed, "account_closed")
	want["payout "+failed+" EUR"] = -4000
	require.Equal(t, want, first(b.movements()), "its money is still with the payee")
	b.consult("payout.failed")
	delete(want, "payout "+failed+" EUR")
	require.Equal(t, want, first(b.movements()))

	b.stripe.Inject("/v1/payouts", stripetest.Busy)
	_, err := b.client.InitiateWithdraw(t.Context(), b.withdrawal(5000, "EUR"))
	require.Error(t, err)
	transfers := b.stripe.Kind("transfer")
	want["payout "+transfers[len(transfers)-1]+" EUR"] = -5000
	require.Equal(t, want, first(b.movements()), "a transfer without its payout goes under its own id")

	b.payee = b.onboard(true)
	payout, transfer := sent(6000)
	b.stripe.PayOut(payout)
	b.stripe.CutOff(b.payee)
	want["payout "+transfer+" EUR"] = -6000
	require.Equal(t, want, first(b.movements()), "so does one into an account that we do not reach")
}

func first(sums map[string]int64, _ [][]account.Movement) map[string]int64 { return sums }

// TestI21_APayoutMayHaveJustArrived until the day of its arrival is over: Stripe does not tell the time.
func TestI21_APayoutMayHaveJustArrived(t *testing.T) {
	b := newBench(t)
	made, err := b.client.InitiateWithdraw(t.Context(), b.withdrawal(1000, "EUR"))
	require.NoError(t, err)
	changed := func() time.Time {
		_, pages := b.movements()
		require.Len(t, pages[0], 1)
		return pages[0][0].ChangedAt
	}
	b.stripe.PayOut(made.PaymentID)
	require.Equal(t, noon.Add(12*time.Hour), changed())
	b.advance(72 * time.Hour)
	b.stripe.Reverse(b.stripe.Kind("transfer")[0], 100)
	require.Equal(t, noon.Add(72*time.Hour), changed(), "a reversal has a time")
}

// TestI21_MovementsComeByThePage: none is missing and none comes twice, and no page asks too much.
func TestI21_MovementsComeByThePage(t *testing.T) {
	b := newBench(t)
	const payouts, payments = 45, 60
	for range payouts {
		made, err := b.client.InitiateWithdraw(t.Context(), b.withdrawal(100, "EUR"))
		require.NoError(t, err)
		b.stripe.PayOut(made.PaymentID)
	}
	_, err := b.client.InitiateWithdraw(t.Context(), b.withdrawal(100, "EUR"))
	require.NoError(t, err)
	transfers := b.stripe.Kind("transfer")
	b.stripe.Reverse(transfers[len(transfers)-1], 100)
	for range payments {
		b.paid(b.deposit(1000, "EUR", ""))
	}
	before := b.stripe.Calls()
	sums, pages := b.movements()
	require.Len(t, sums, payouts+2*payments, "each payment has a fee")
	for key, amount := range sums {
		want := map[string]int64{"payout": -100, "payment": 1000, "fee": -59}[strings.Fields(key)[0]]
		require.Equal(t, want, amount, key)
	}
	require.Len(t, pages, 3)
	require.Equal(t, payouts+len(pages), b.stripe.Calls()-before, "what is back is not asked about")
}
