package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/infra/database"
)

// quick sends a request of the user without a look at the contract, for storms. It may be called from any goroutine.
func (c *client) quick(method, path, body string) answer {
	header := http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + c.token}}
	response, content, err := c.r.try(context.Background(), method, path, []byte(body), header)
	if !assert.NoError(c.r.t, err) {
		return answer{}
	}
	return answer{response.StatusCode, response.Header, content}
}

func transferBody(to, amount, currency string) string {
	return fmt.Sprintf(`{"amount":%q,"currency":%q,"destination_account_id":%q}`, amount, currency, to)
}

func TestF87_StormsInBothDirectionsKeepTheTotal(t *testing.T) {
	const clients, each = 32, 40
	eachRig(t, func(t *testing.T, r *rig) {
		ada, bob := r.user(), r.user()
		hers, his := ada.open("EUR"), bob.open("EUR")
		ada.fund(hers, "1000.00", "EUR")
		bob.fund(his, "1000.00", "EUR")
		var seen tally
		atOnce(clients, func(i int) {
			sender, from, to, amount := ada, hers, his, "0.03"
			if i%2 == 1 {
				sender, from, to, amount = bob, his, hers, "0.02"
			}
			for range each {
				seen.add(sender.quick("POST", "/account/"+from+"/transfer", transferBody(to, amount, "EUR")).outcome(t))
			}
		})
		require.Equal(t, map[string]int{"200": clients * each}, seen.seen)
		// 640 times 0.03 went one way and 640 times 0.02 the other.
		require.Equal(t, "993.60 0.00 993.60", ada.balance(hers))
		require.Equal(t, "1006.40 0.00 1006.40", bob.balance(his))
		require.EqualValues(t, clients*each, r.count("SELECT COUNT(*) FROM transactions WHERE type = 'transfer' AND status = 'completed'"))
	})
}

func TestF88_TransferToItselfIsRefused(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c := r.user()
		euros := c.open("EUR")
		c.fund(euros, "10.00", "EUR")
		refusal := c.transfer(euros, euros, "1.00", "EUR")
		refusal.refused(t, 422, "same_account")
		require.Contains(t, string(refusal.body), `"field":"destination_account_id"`)
		require.Equal(t, "10.00 0.00 10.00", c.balance(euros))
		require.Zero(t, r.count("SELECT COUNT(*) FROM transactions WHERE type = 'transfer'"))
	})
}

func TestF89_HundredSpendersOfTheLastSevenUnits(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		ada, bob := r.user(), r.user()
		hers, his := ada.open("EUR"), bob.open("EUR")
		ada.fund(hers, "0.07", "EUR")
		var seen tally
		atOnce(100, func(int) { seen.add(ada.transfer(hers, his, "0.01", "EUR").outcome(t)) })
		require.Equal(t, map[string]int{"200": 7, "422 insufficient_funds": 93}, seen.seen)
		require.Equal(t, "0.00 0.00 0.00", ada.balance(hers))
		require.Equal(t, "0.07 0.00 0.07", bob.balance(his))
		require.EqualValues(t, 7, r.count("SELECT COUNT(*) FROM transactions WHERE type = 'transfer'"))
	})
}

// TestF93_DestinationsThatCannotReceiveAreOneRefusal: the answer tells nothing about the accounts of other people.
func TestF93_DestinationsThatCannotReceiveAreOneRefusal(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		ada, bob := r.user(), r.user()
		hers, closed, frozen := ada.open("EUR"), bob.open("EUR"), bob.open("EUR")
		ada.fund(hers, "10.00", "EUR")
		require.Equal(t, 200, bob.do("POST", "/account/"+closed+"/close", "{}").status)
		require.Equal(t, 200, r.freeze(r.admin(), "freeze", frozen).status)
		system := r.column("SELECT id FROM accounts WHERE kind = 'system' AND code = 'provider_clearing:mock'")
		require.Len(t, system, 1)

		refusals := map[string]bool{}
		for name, destination := range map[string]string{
			"unknown": uuid.NewString(), "closed": closed, "frozen": frozen, "the system's": system[0], "none": uuid.Nil.String(),
		} {
			refusal := ada.transfer(hers, destination, "1.00", "EUR")
			refusal.refused(t, 422, "destination_unavailable")
			body := refusal.json(t)
			delete(body, "request_id")
			told, err := json.Marshal(body)
			require.NoError(t, err)
			refusals[string(told)] = true
			require.NotContains(t, string(refusal.body), destination, name)
		}
		require.Len(t, refusals, 1, "they differ: %v", refusals)
		require.Equal(t, "10.00 0.00 10.00", ada.balance(hers))
		require.Zero(t, r.count("SELECT COUNT(*) FROM transactions WHERE type = 'transfer'"))
	})
}

// TestF101_SixtyFourWritersOverHTTP is about the one writer of an SQLite file.
func TestF101_SixtyFourWritersOverHTTP(t *testing.T) {
	const writers, rounds = 64, 4
	r := newRig(t, database.SQLite)
	ada, bob := r.user(), r.user()
	hers, his := ada.open("EUR"), bob.open("EUR")
	ada.fund(hers, "1000.00", "EUR")
	var seen tally
	atOnce(writers, func(i int) {
		for range rounds {
			switch i % 4 {
			case 0: // reads before it writes: balance, hold, row
				seen.add("withdraw " + ada.quick("POST", "/account/"+hers+"/withdraw",
					`{"amount":"1.00","currency":"EUR","external_target":{"bank_account_number":"DE89370400440532013000"}}`).outcome(t))
			case 1:
				seen.add("transfer " + ada.quick("POST", "/account/"+hers+"/transfer", transferBody(his, "1.00", "EUR")).outcome(t))
			case 2:
				seen.add("deposit " + bob.quick("POST", "/account/"+his+"/deposit", `{"amount":"1.00","currency":"EUR","money_source":"card"}`).outcome(t))
			case 3:
				seen.add("account " + bob.quick("POST", "/account", `{"currency":"EUR"}`).outcome(t))
			}
		}
	})
	const of = writers / 4 * rounds
	require.Equal(t, map[string]int{"withdraw 202": of, "transfer 200": of, "deposit 202": of, "account 201": of}, seen.seen)
	require.Equal(t, "936.00 64.00 872.00", ada.balance(hers))
	require.Equal(t, "64.00 0.00 64.00", bob.balance(his))
}
