package oracle

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestI27_WhatTheCheckFinds: each way in which the books can differ from what clients know is found.
func TestI27_WhatTheCheckFinds(t *testing.T) {
	mine, yours := &Account{ID: "mine", Currency: "EUR"}, &Account{ID: "yours", Currency: "EUR"}
	paid := Payment{ID: "pay_1", TransactionID: "t1", Amount: 100, Currency: "EUR", State: "completed"}
	d := func(o Outcome) *Operation {
		return &Operation{ID: "op-1", Kind: Deposit, From: mine, Amount: 100, Outcome: o, Transaction: "t1"}
	}
	depositRow := Row{ID: "t1", Type: Deposit, Status: "completed", AccountID: "mine", PaymentID: "pay_1", Amount: 100, Op: "op-1"}
	sound := func() *Books {
		return &Books{ByOp: map[string][]Row{"op-1": {depositRow}},
			Clearing: map[string]int64{"pay_1 EUR": 100}, Posted: map[string]int64{"mine": 100}}
	}
	for name, c := range map[string]struct {
		operation *Operation
		payments  []Payment
		spoil     func(b *Books)
		finding   string // "" for none
	}{
		"sound":                 {d(Acked), []Payment{paid}, func(*Books) {}, ""},
		"unknown and there":     {d(Unknown), []Payment{paid}, func(*Books) {}, ""},
		"unknown and not there": {d(Unknown), nil, func(b *Books) { *b = Books{} }, ""},
		"lost":                  {d(Acked), nil, func(b *Books) { *b = Books{} }, "lost: "},
		"refused and there":     {d(Refused), []Payment{paid}, func(*Books) {}, "refused, and transaction t1 is in the books"},
		"doubled here":          {d(Acked), []Payment{paid}, func(b *Books) { b.ByOp["op-1"] = append(b.ByOp["op-1"], depositRow) }, "doubled: transactions"},
		"doubled at the bank":   {d(Acked), []Payment{paid, {ID: "pay_2", TransactionID: "t1", State: "pending"}}, func(*Books) {}, "doubled: the bank has"},
		"balance":               {d(Acked), []Payment{paid}, func(b *Books) { b.Posted["mine"] = 101 }, "I27: account mine"},
		"balance of another":    {d(Acked), []Payment{paid}, func(b *Books) { b.Posted["yours"] = 1 }, "I27: account yours"},
		"asked by nobody":       {d(Acked), []Payment{paid}, func(b *Books) { b.ByOp["op-9"] = []Row{{ID: "t9"}} }, "asked for by nobody"},
		"another id":            {&Operation{ID: "op-1", Kind: Deposit, From: mine, Amount: 100, Outcome: Acked, Transaction: "t0"}, []Payment{paid}, func(*Books) {}, "as another transaction"},
		"another amount":        {&Operation{ID: "op-1", Kind: Deposit, From: mine, Amount: 90, Outcome: Acked, Transaction: "t1"}, []Payment{paid}, func(b *Books) { b.Posted["mine"] = 90 }, "is not what was asked for"},
		"not yet completed": {d(Acked), []Payment{paid}, func(b *Books) {
			b.ByOp["op-1"] = []Row{{ID: "t1", Type: Deposit, Status: "pending", AccountID: "mine", Amount: 100}}
		}, "is pending and must be completed"},
		"the bank has less": {d(Acked), []Payment{paid}, func(b *Books) { b.Clearing["pay_1 EUR"] = 99 }, "bank: clearing of pay_1 EUR is 100, and ours is 99"},
		"the bank has none": {d(Acked), []Payment{paid}, func(b *Books) { b.Clearing["pay_9 EUR"] = 1 }, "bank: clearing of pay_9 EUR is nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			b := sound()
			c.spoil(b)
			v := Compare(b, []*Account{mine, yours}, []*Operation{c.operation}, Ledger{Payments: c.payments})
			if c.finding == "" {
				require.Empty(t, v.Findings)
				return
			}
			require.NotEmpty(t, v.Findings)
			require.Contains(t, v.Findings[0], c.finding)
		})
	}
}
