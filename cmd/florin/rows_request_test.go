package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// TestF17_UnreadableBodies: what is not exactly a request of the contract is refused before anything acts on it. Every wrong
// body comes with a key, which it must not use up.
func TestF17_UnreadableBodies(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c, account, other := funded(r)
		before := r.rows()
		for _, q := range creations(account, other) {
			// swap puts a value, as JSON, in the place of the currency's.
			swap := func(value string) string { return strings.Replace(q.body, `"EUR"`, value, 1) }
			with := func(member string) string { return strings.Replace(q.body, "{", "{"+member+",", 1) }
			refusals := map[string]string{
				"":                               "invalid_json",
				"null":                           "wrong_type",
				"[" + q.body + "]":               "wrong_type",
				`"` + q.name + `"`:               "wrong_type",
				q.body[:len(q.body)-1]:           "invalid_json",
				q.body + "{}":                    "invalid_json",
				q.body + "x":                     "invalid_json",
				q.body + "\x00":                  "invalid_json",
				swap("NaN"):                      "invalid_json",
				swap("Infinity"):                 "invalid_json",
				swap("'EUR'"):                    "invalid_json",
				swap("\"EU\xff\""):               "invalid_json",
				swap("978"):                      "wrong_type",
				swap("true"):                     "wrong_type",
				swap(`["EUR"]`):                  "wrong_type",
				swap(`{"code":"EUR"}`):           "wrong_type",
				with(`"currency":"USD"`):         "duplicate_field",
				with(`"curr\u0065ncy":"EUR"`):    "duplicate_field",
				with(`"status":"completed"`):     "unknown_field",
				with(`"Currency":"EUR"`):         "unknown_field",
				with(`"user_id":"` + c.id + `"`): "unknown_field",
				with(`"balance":{"posted":"1000000.00"}`):                                  "unknown_field",
				with(`"x":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000)):       "invalid_json",
				with(`"x":` + strings.Repeat(`{"x":`, 32) + "1" + strings.Repeat("}", 32)): "invalid_json",
			}
			if q.name != "open" {
				amount := func(value string) string { return strings.Replace(q.body, `"10.00"`, value, 1) }
				for _, value := range []string{"NaN", "+1", ".5", "1.", "01", "0x10", "1,5", "1_000", "-"} {
					refusals[amount(value)] = "invalid_json"
				}
				for _, value := range []string{"true", "[10]", `{"value":"10.00"}`} {
					refusals[amount(value)] = "wrong_type"
				}
				refusals[with(`"metadata":{"a":"1","a":"2"}`)] = "duplicate_field"
				refusals[with(`"metadata":{"a":1}`)] = "wrong_type"
				refusals[with(`"metadata":"a"`)] = "wrong_type"
			}
			for body, code := range refusals {
				a := c.do("POST", q.path, body, "Content-Type", "application/json", "Idempotency-Key", q.name)
				require.Equal(t, 400, a.status, "%s %s: %s", q.name, body, a.body)
				require.Equal(t, code, a.text(t, "code"), "%s %s", q.name, body)
			}
		}
		require.Equal(t, before, r.rows())
		for _, q := range creations(account, other) {
			require.Equal(t, q.status, c.do("POST", q.path, q.body, "Idempotency-Key", q.name).status, q.name)
		}
	})
}

// TestF18_AmountsThatAreRefused: none is rounded, none is stored, and the field is named.
func TestF18_AmountsThatAreRefused(t *testing.T) {
	refused := []struct{ account, currency, amount, code string }{
		{"EUR", "EUR", `"0"`, "invalid_amount"},
		{"EUR", "EUR", `0`, "invalid_amount"},
		{"EUR", "EUR", `"0.00"`, "invalid_amount"},
		{"EUR", "EUR", `-0`, "invalid_amount"},
		{"EUR", "EUR", `"-0.01"`, "invalid_amount"},
		{"EUR", "EUR", `-10`, "invalid_amount"},
		{"EUR", "EUR", `""`, "invalid_amount"},
		{"EUR", "EUR", `" 1"`, "invalid_amount"},
		{"EUR", "EUR", `"1,00"`, "invalid_amount"},
		{"EUR", "EUR", `"1e2"`, "invalid_amount"},
		{"EUR", "EUR", `1e400`, "invalid_amount"},
		{"EUR", "EUR", `"1e400"`, "invalid_amount"},
		{"EUR", "EUR", `1E-400`, "invalid_amount"},
		{"EUR", "EUR", `"NaN"`, "invalid_amount"},
		{"EUR", "EUR", `"Infinity"`, "invalid_amount"},
		{"EUR", "EUR", `"0x10"`, "invalid_amount"},
		{"EUR", "EUR", `"١٢"`, "invalid_amount"},
		{"EUR", "EUR", `"` + strings.Repeat("9", 1000) + `"`, "invalid_amount"},
		{"EUR", "EUR", `"1000000000.01"`, "amount_out_of_range"},
		{"EUR", "EUR", `1000000000.01`, "amount_out_of_range"},
		{"EUR", "EUR", `"92233720368547758.07"`, "amount_out_of_range"},
		{"EUR", "EUR", `"92233720368547758.08"`, "amount_out_of_range"},
		{"EUR", "EUR", `"184467440737095516.17"`, "amount_out_of_range"},
		{"EUR", "EUR", `184467440737095516.17`, "inexact_amount"},
		{"EUR", "EUR", `"0.001"`, "too_many_decimals"},
		{"EUR", "EUR", `10.000`, "too_many_decimals"},
		{"JPY", "JPY", `"1.0"`, "too_many_decimals"},
		{"JPY", "JPY", `1.5`, "too_many_decimals"},
		{"JPY", "JPY", `"1000000001"`, "amount_out_of_range"},
		{"KWD", "KWD", `"0.0001"`, "too_many_decimals"},
		{"KWD", "KWD", `"1000000000.001"`, "amount_out_of_range"},
		{"ISK", "ISK", `"0.5"`, "too_many_decimals"},
		{"UGX", "UGX", `"0.5"`, "too_many_decimals"},
		{"EUR", "IDR", `"0.01"`, "amount_too_small"}, // 0.0000006 EUR
		{"KWD", "UGX", `"1"`, "amount_too_small"},    // 0.00008 KWD
	}
	eachRig(t, func(t *testing.T, r *rig) {
		c := r.user()
		accounts := map[string]string{}
		for _, currency := range []string{"EUR", "JPY", "KWD", "ISK", "UGX", "IDR"} {
			accounts[currency] = c.open(currency)
		}
		c.fund(accounts["EUR"], "100.00", "EUR")
		c.fund(accounts["IDR"], "100.00", "IDR")
		c.fund(accounts["UGX"], "100", "UGX")
		before := r.rows()
		for _, row := range refused {
			body := fmt.Sprintf(`{"amount":%s,"currency":%q,`, row.amount, row.currency)
			account := "/account/" + accounts[row.account]
			requireProblem(t, c.do("POST", account+"/deposit", body+`"money_source":"card"}`, "Idempotency-Key", "k"), 422, row.code, "amount")
			// A withdrawal is debited and so rounded up: never to 0. A transfer is refused on its way to the destination.
			from := accounts["EUR"]
			if row.currency != row.account {
				from = accounts[row.currency]
			} else {
				a := c.do("POST", account+"/withdraw", body+`"external_target":{"routing_number":"021000021"}}`, "Idempotency-Key", "k")
				requireProblem(t, a, 422, row.code, "amount")
			}
			if to := accounts[row.account]; to != from {
				a := c.do("POST", "/account/"+from+"/transfer", body+fmt.Sprintf(`"destination_account_id":%q}`, to), "Idempotency-Key", "k")
				requireProblem(t, a, 422, row.code, "amount")
			}
		}
		require.Equal(t, before, r.rows())
		require.Equal(t, "100.00 0.00 100.00", c.balance(accounts["EUR"]))

		// The nearest amounts that are in order.
		for currency, amounts := range map[string][]string{"EUR": {"0.01", "1000000000.00", "7"}, "JPY": {"1", "1000000000"},
			"KWD": {"0.001", "1000000000.000"}, "ISK": {"1"}, "UGX": {"1"}} {
			for _, amount := range amounts {
				require.Equal(t, 202, c.deposit(accounts[currency], amount, currency).status, "%s %s", amount, currency)
			}
		}
		w := c.withdraw(accounts["EUR"], "0.01", "IDR")
		require.Equal(t, 202, w.status, "%s", w.body)
		require.Equal(t, "0.01", w.text(t, "posted_amount"))
		require.Equal(t, "100.00 0.01 99.99", c.balance(accounts["EUR"]))
	})
}

// TestF19_AccountThatCannotTakePart: no provider is called, and nothing is stored.
func TestF19_AccountThatCannotTakePart(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c, account, other := funded(r)
		_, stranger, _ := funded(r)
		closed, frozen, exotic := c.open("EUR"), c.open("EUR"), c.open("MNT")
		require.Equal(t, 200, c.do("POST", "/account/"+closed+"/close", "").status)
		c.fund(frozen, "100.00", "EUR")
		r.quiet()
		require.Equal(t, 200, r.freeze(r.admin(), "freeze", frozen).status)
		before := r.rows()
		for _, row := range []struct {
			account string
			status  int
			code    string
		}{
			{closed, 422, "account_closed"},
			{frozen, 422, "account_frozen"},
			{exotic, 422, "no_rate"},
			{stranger, 404, "not_found"},
			{uuid.NewString(), 404, "not_found"},
		} {
			for _, q := range creations(row.account, other)[:3] {
				for _, dry := range []string{"", "?dry_run=true"} {
					requireProblem(t, c.do("POST", q.path+dry, q.body, "Idempotency-Key", "k"), row.status, row.code, "")
				}
			}
		}
		// A destination is refused for one reason, whatever it is.
		for _, destination := range []string{closed, frozen, uuid.NewString()} {
			q := creations(account, destination)[2]
			requireProblem(t, c.do("POST", q.path, q.body, "Idempotency-Key", "k"), 422, "destination_unavailable", "destination_account_id")
		}
		requireProblem(t, c.transfer(account, exotic, "10.00", "EUR", "Idempotency-Key", "k"), 422, "no_rate", "")
		requireProblem(t, c.transfer(account, other, "10.00", "USD", "Idempotency-Key", "k"), 422, "currency_mismatch", "currency")
		require.Equal(t, before, r.rows())
		for _, id := range []string{account, frozen} {
			require.Equal(t, "100.00 0.00 100.00", c.balance(id))
		}
		require.Equal(t, 202, c.deposit(account, "10.00", "EUR", "Idempotency-Key", "k").status)
	})
}

// TestDryRunStoresNothing: it answers with what then really happens.
func TestDryRunStoresNothing(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c := r.user()
		euros, dollars := c.open("EUR"), c.open("USD")
		bob := r.user()
		his := bob.open("EUR")
		c.fund(euros, "100.00", "EUR")
		before := r.rows()
		balances := func(a answer) map[string]string {
			shown := map[string]string{}
			list, ok := a.json(t)["balances"].([]any)
			require.True(t, ok, "%s", a.body)
			for _, one := range list {
				b := one.(map[string]any)
				shown[b["account_id"].(string)] = fmt.Sprint(b["posted"], " ", b["held"], " ", b["available"], " ", b["currency"])
			}
			return shown
		}
		for _, row := range []struct {
			path, body     string
			status, posted string
			conversion     bool
			balances       map[string]string
		}{
			{"/account/" + dollars + "/deposit", `{"amount":"10.00","currency":"EUR","money_source":"card"}`, "initiated", "10.84", true,
				map[string]string{dollars: "10.84 0.00 10.84 USD"}},
			{"/account/" + euros + "/withdraw", `{"amount":"10.00","currency":"EUR","external_target":{"routing_number":"021000021"}}`, "initiated", "10.00", false,
				map[string]string{euros: "100.00 10.00 90.00 EUR"}},
			{"/account/" + euros + "/transfer", fmt.Sprintf(`{"amount":"10.00","currency":"EUR","destination_account_id":%q}`, dollars), "completed", "10.00", true,
				map[string]string{euros: "90.00 0.00 90.00 EUR", dollars: "10.84 0.00 10.84 USD"}},
			{"/account/" + euros + "/transfer", fmt.Sprintf(`{"amount":"10.00","currency":"EUR","destination_account_id":%q}`, his), "completed", "10.00", false,
				map[string]string{euros: "90.00 0.00 90.00 EUR"}},
		} {
			dry := c.do("POST", row.path+"?dry_run=true", row.body, "Idempotency-Key", "k", "Prefer", "wait=5")
			require.Equal(t, 200, dry.status, "%s", dry.body)
			require.Equal(t, row.status, dry.text(t, "status"))
			require.Equal(t, row.posted, dry.text(t, "posted_amount"))
			require.Equal(t, row.conversion, dry.json(t)["conversion"] != nil)
			require.Equal(t, row.balances, balances(dry))
			require.Empty(t, dry.header.Get("Location"))
			require.Empty(t, dry.header.Get("Idempotency-Replayed"))
			require.Equal(t, 404, c.do("GET", "/transaction/"+dry.text(t, "id"), "").status)
			require.Equal(t, before, r.rows())
		}
		requireProblem(t, c.do("POST", "/account/"+euros+"/transfer?dry_run=true",
			fmt.Sprintf(`{"amount":"100.01","currency":"EUR","destination_account_id":%q}`, his)), 422, "insufficient_funds", "")
		requireProblem(t, c.do("POST", "/account/"+euros+"/transfer?dry_run=perhaps", `{}`), 400, "invalid_parameter", "dry_run")
		require.Equal(t, before, r.rows())
		require.Equal(t, "100.00 0.00 100.00", c.balance(euros))
		require.Equal(t, "0.00 0.00 0.00", c.balance(dollars))

		// The key is as good as new, and a dry run with a key that is used up is still one.
		first := c.transfer(euros, dollars, "10.00", "EUR", "Idempotency-Key", "k")
		require.Equal(t, 200, first.status, "%s", first.body)
		require.Empty(t, first.header.Get("Idempotency-Replayed"))
		require.Equal(t, "90.00 0.00 90.00", c.balance(euros))
		require.Equal(t, "10.84 0.00 10.84", c.balance(dollars))
		after := r.rows()
		dry := c.do("POST", "/account/"+euros+"/transfer?dry_run=true",
			fmt.Sprintf(`{"amount":"20.00","currency":"EUR","destination_account_id":%q}`, his), "Idempotency-Key", "k")
		require.Equal(t, 200, dry.status, "%s", dry.body)
		require.Equal(t, map[string]string{euros: "70.00 0.00 70.00 EUR"}, balances(dry))
		require.Equal(t, after, r.rows())
	})
}
