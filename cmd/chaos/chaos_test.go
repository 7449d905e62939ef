package main

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"florin/infra/database"
)

// testSeed is the short run's. Another one is as good.
const testSeed = 20260101

// TestF96_F113_F122_I21_I27_KilledUnderLoad is the short form of make chaos: a few kills of the server and one of PostgreSQL under
// load, with everything checked behind them. What it does not check is how long anything took.
func TestF96_F113_F122_I21_I27_KilledUnderLoad(t *testing.T) {
	program, err := buildServer(t.Context(), t.TempDir())
	require.NoError(t, err)
	for _, dialect := range []database.Dialect{database.SQLite, database.Postgres} {
		t.Run(string(dialect), func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
			defer cancel()
			s := settings{seed: testSeed, kills: 3, pgKills: 1, clients: 8, short: true}
			r, err := torment(ctx, s, dialect, program, t.Logf)
			require.NoError(t, err)
			r.print(t.Output())
			require.Empty(t, r.Findings)
			require.Positive(t, r.Acked)
			require.Equal(t, 3, r.Kills)
			require.Equal(t, 1, r.Checks)
			require.Positive(t, r.BankPayments)
		})
	}
}

func TestASeedReplaysItsSchedule(t *testing.T) {
	s := settings{seed: 7, kills: 100, pgKills: 10}
	for dialect, wanted := range map[database.Dialect]map[victim]int{
		database.SQLite:   {theServer: 100},
		database.Postgres: {theServer: 100, thePostgres: 10},
	} {
		first := plan(s, dialect, s.random(0))
		require.Equal(t, first, plan(s, dialect, s.random(0)))
		other := settings{seed: 8, kills: 100, pgKills: 10}
		require.NotEqual(t, first, plan(other, dialect, other.random(0)))
		kills := map[victim]int{}
		for _, c := range first {
			require.LessOrEqual(t, len(c), stepsInCycle)
			for _, step := range c {
				kills[step.kills]++
			}
		}
		require.Equal(t, wanted, kills)
	}
}

// TestI27_WhatTheCheckFinds: each way in which the books can differ from what clients know is found.
func TestI27_WhatTheCheckFinds(t *testing.T) {
	mine, yours := &account{id: "mine", currency: "EUR"}, &account{id: "yours", currency: "EUR"}
	paid := bankPayment{ID: "pay_1", TransactionID: "t1", Amount: 100, Currency: "EUR", State: "completed"}
	d := func(o outcome) *operation {
		return &operation{id: "op-1", kind: deposit, from: mine, amount: 100, outcome: o, transaction: "t1"}
	}
	depositRow := row{ID: "t1", Type: deposit, Status: "completed", AccountID: "mine", PaymentID: "pay_1", Amount: 100, op: "op-1"}
	sound := func() *books {
		return &books{byOp: map[string][]row{"op-1": {depositRow}}, byID: map[string]row{"t1": depositRow},
			clearing: map[string]int64{"pay_1 EUR": 100}, posted: map[string]int64{"mine": 100}}
	}
	for name, c := range map[string]struct {
		operation *operation
		payments  []bankPayment
		spoil     func(b *books)
		finding   string // "" for none
	}{
		"sound":                 {d(acked), []bankPayment{paid}, func(*books) {}, ""},
		"unknown and there":     {d(unknown), []bankPayment{paid}, func(*books) {}, ""},
		"unknown and not there": {d(unknown), nil, func(b *books) { *b = books{} }, ""},
		"lost":                  {d(acked), nil, func(b *books) { *b = books{} }, "lost: "},
		"refused and there":     {d(refused), []bankPayment{paid}, func(*books) {}, "refused, and transaction t1 is in the books"},
		"doubled here":          {d(acked), []bankPayment{paid}, func(b *books) { b.byOp["op-1"] = append(b.byOp["op-1"], depositRow) }, "doubled: transactions"},
		"doubled at the bank":   {d(acked), []bankPayment{paid, {ID: "pay_2", TransactionID: "t1", State: "pending"}}, func(*books) {}, "doubled: the bank has"},
		"balance":               {d(acked), []bankPayment{paid}, func(b *books) { b.posted["mine"] = 101 }, "I27: account mine"},
		"balance of another":    {d(acked), []bankPayment{paid}, func(b *books) { b.posted["yours"] = 1 }, "I27: account yours"},
		"asked by nobody":       {d(acked), []bankPayment{paid}, func(b *books) { b.byOp["op-9"] = []row{{ID: "t9"}} }, "asked for by nobody"},
		"another id":            {&operation{id: "op-1", kind: deposit, from: mine, amount: 100, outcome: acked, transaction: "t0"}, []bankPayment{paid}, func(*books) {}, "as another transaction"},
		"another amount":        {&operation{id: "op-1", kind: deposit, from: mine, amount: 90, outcome: acked, transaction: "t1"}, []bankPayment{paid}, func(b *books) { b.posted["mine"] = 90 }, "is not what was asked for"},
		"not yet completed": {d(acked), []bankPayment{paid}, func(b *books) {
			b.byOp["op-1"] = []row{{ID: "t1", Type: deposit, Status: "pending", AccountID: "mine", Amount: 100}}
		}, "is pending and must be completed"},
		"the bank has less": {d(acked), []bankPayment{paid}, func(b *books) { b.clearing["pay_1 EUR"] = 99 }, "bank: clearing of pay_1 EUR is 100, and ours is 99"},
		"the bank has none": {d(acked), []bankPayment{paid}, func(b *books) { b.clearing["pay_9 EUR"] = 1 }, "bank: clearing of pay_9 EUR is nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			w := &world{accounts: []*account{mine, yours}, history: &history{operations: []*operation{c.operation}}, result: &result{}}
			b := sound()
			c.spoil(b)
			w.compare(b, bankLedger{Payments: c.payments})
			if c.finding == "" {
				require.Empty(t, w.history.findings)
				return
			}
			require.NotEmpty(t, w.history.findings)
			require.Contains(t, w.history.findings[0], c.finding)
		})
	}
}
