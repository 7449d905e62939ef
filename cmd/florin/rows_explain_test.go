package main

import (
	"encoding/json"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/domain/currency"
	"florin/domain/money"
)

// explained is the answer to GET /account/:id/explain.
type explained struct {
	Posted struct {
		Amount string
		ByKind []struct {
			Type, Direction, Amount string
			Count                   int
		} `json:"by_kind"`
		Earlier struct{ Amount string }
		Newest  []struct {
			Amount       string
			BalanceAfter string `json:"balance_after"`
		}
	}
	Held struct {
		Amount string
		Holds  []struct {
			TransactionID string `json:"transaction_id"`
			Status        string
			Amount        string
			NextStep      string `json:"next_step"`
			NextAttemptAt string `json:"next_attempt_at"`
		}
		Other struct{ Amount string }
	}
	Available string
}

// TestExplanationEqualsTheBalance: the parts add up to the figures, and the figures are those of the balance.
func TestExplanationEqualsTheBalance(t *testing.T) {
	eachProxiedRig(t, func(t *testing.T, r *rig, n *network) {
		c, other := r.user(), r.user()
		euros, theirs := c.open("EUR"), other.open("EUR")
		c.fund(euros, "100.00", "EUR")
		c.fund(euros, "0.50", "EUR")
		require.Equal(t, 200, c.transfer(euros, theirs, "10.00", "EUR").status)
		require.Equal(t, 200, other.transfer(theirs, euros, "3.00", "EUR").status)
		sent := c.withdraw(euros, "20.00", "EUR").text(t, "id")
		n.bank.cut()
		unsent := c.withdraw(euros, "1.25", "EUR").text(t, "id")

		var e explained
		answer := c.do("GET", "/account/"+euros+"/explain", "")
		require.Equal(t, 200, answer.status, "%s", answer.body)
		require.NoError(t, json.Unmarshal(answer.body, &e))
		require.Equal(t, c.balance(euros), e.Posted.Amount+" "+e.Held.Amount+" "+e.Available)
		require.Equal(t, "93.50 21.25 72.25", c.balance(euros))
		var kinds []string
		posted, held := cents(t, e.Posted.Earlier.Amount), cents(t, e.Held.Other.Amount)
		for _, k := range e.Posted.ByKind {
			kinds = append(kinds, k.Type+" "+k.Direction+" "+k.Amount)
			posted += cents(t, k.Amount)
		}
		assert.Equal(t, []string{"deposit in 100.50", "transfer out -10.00", "transfer in 3.00"}, kinds)
		for _, h := range e.Held.Holds {
			held += cents(t, h.Amount)
			assert.NotEmpty(t, h.NextAttemptAt)
		}
		assert.Equal(t, cents(t, e.Posted.Amount), posted)
		assert.Equal(t, cents(t, e.Held.Amount), held)
		require.Len(t, e.Posted.Newest, 4)
		assert.Equal(t, "3.00 93.50", e.Posted.Newest[0].Amount+" "+e.Posted.Newest[0].BalanceAfter)
		require.Len(t, e.Held.Holds, 2)
		assert.Equal(t, []string{sent, "pending", "await_provider", unsent, "initiated", "send"}, []string{e.Held.Holds[0].TransactionID, e.Held.Holds[0].Status,
			e.Held.Holds[0].NextStep, e.Held.Holds[1].TransactionID, e.Held.Holds[1].Status, e.Held.Holds[1].NextStep})
		n.bank.heal()

		other.do("GET", "/account/"+euros+"/explain", "").refused(t, 404, "not_found")
		c.do("GET", "/account/"+uuid.NewString()+"/explain", "").refused(t, 404, "not_found")
	})
}

func cents(t *testing.T, amount string) int64 {
	m, err := money.Parse(amount, currency.EUR)
	require.NoError(t, err)
	return m.Minor()
}
