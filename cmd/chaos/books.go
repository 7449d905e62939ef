package main

import (
	"context"
	"encoding/json"
	"fmt"

	"florin/infra/database"
)

// row is a transaction as the books have it.
type row struct {
	ID, Type, Status, AccountID, CounterpartyID, PaymentID, Metadata string
	Amount, PostedAmount, CounterpartyAmount                         int64
	op                                                               string
}

// books is what the database says, as far as it is compared.
type books struct {
	byOp map[string][]row
	byID map[string]row
	// clearing is what came in or went out, by the bank's payment; fees what the bank kept of it.
	clearing, fees map[string]int64
	// posted and owed are by account; owed is negative.
	posted, owed map[string]int64
}

func readBooks(ctx context.Context, db *database.DB) (*books, error) {
	var rows []row
	err := db.Reader().WithContext(ctx).Raw(`SELECT CAST(id AS text) AS id, type, status, COALESCE(CAST(account_id AS text), '') AS account_id,
		COALESCE(CAST(counterparty_account_id AS text), '') AS counterparty_id, COALESCE(payment_id, '') AS payment_id, metadata, amount,
		COALESCE(posted_amount, 0) AS posted_amount, COALESCE(counterparty_amount, 0) AS counterparty_amount FROM transactions`).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("read transactions: %w", err)
	}
	b := &books{byOp: map[string][]row{}, byID: map[string]row{}}
	for _, r := range rows {
		var metadata struct{ Op string }
		if err := json.Unmarshal([]byte(r.Metadata), &metadata); err != nil {
			return nil, fmt.Errorf("metadata of transaction %s: %w", r.ID, err)
		}
		r.op = metadata.Op
		b.byID[r.ID] = r
		if ordered(r.Type) {
			b.byOp[r.op] = append(b.byOp[r.op], r)
		}
	}
	for into, query := range map[*map[string]int64]string{
		&b.posted: "SELECT CAST(id AS text) AS name, posted AS sum FROM accounts WHERE kind = 'user'",
		&b.owed:   "SELECT CAST(debtor_id AS text) AS name, CAST(SUM(amount) AS bigint) AS sum FROM entries WHERE debtor_id IS NOT NULL GROUP BY 1",
		&b.clearing: `SELECT CASE WHEN t.type IN ('deposit', 'withdraw', 'unmatched') THEN t.payment_id
				WHEN t.type IN ('refund_reversal', 'chargeback_reversal') THEN g.payment_id ELSE p.payment_id END || ' ' || e.currency AS name,
			CAST(SUM(CASE WHEN a.code LIKE 'provider%' THEN -e.amount ELSE e.amount END) AS bigint) AS sum
			FROM entries e JOIN accounts a ON a.id = e.account_id JOIN transactions t ON t.id = e.transaction_id
			LEFT JOIN transactions p ON p.id = t.linked_transaction_id LEFT JOIN transactions g ON g.id = p.linked_transaction_id
			WHERE a.code LIKE '%clearing:mock' AND t.type <> 'fee' GROUP BY 1 HAVING SUM(e.amount) <> 0`,
		&b.fees: `SELECT p.payment_id AS name, CAST(SUM(t.amount) AS bigint) AS sum FROM transactions t
			JOIN transactions p ON p.id = t.linked_transaction_id WHERE t.type = 'fee' GROUP BY 1`,
	} {
		if *into, err = sums(ctx, db, query); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// ordered says that a client asks for such a transaction; the others follow from what a provider says.
func ordered(kind string) bool { return kind == deposit || kind == withdraw || kind == transfer }

func sums(ctx context.Context, db *database.DB, query string) (map[string]int64, error) {
	var rows []struct {
		Name string
		Sum  int64
	}
	if err := db.Reader().WithContext(ctx).Raw(query).Scan(&rows).Error; err != nil {
		return nil, fmt.Errorf("read sums: %w", err)
	}
	byName := make(map[string]int64, len(rows))
	for _, r := range rows {
		byName[r.Name] = r.Sum
	}
	return byName, nil
}

// compare holds the books against what the clients know (I27) and what the bank says (I21).
func (w *world) compare(b *books, ledger bankLedger) {
	w.compareWithBank(b, ledger)
	payments := map[string]bankPayment{}
	for _, p := range ledger.Payments {
		if earlier, twice := payments[p.TransactionID]; twice {
			w.history.find("doubled: the bank has payments %s and %s for transaction %s", earlier.ID, p.ID, p.TransactionID)
			w.result.Doubled++
		}
		payments[p.TransactionID] = p
	}
	model := map[string]int64{}
	known := map[string]bool{}
	for _, o := range w.history.operations {
		known[o.id] = true
		if r, found := w.place(o, b.byOp[o.id]); found {
			w.expect(o, r, payments[r.ID], model)
		}
	}
	for op, rows := range b.byOp {
		if !known[op] {
			w.history.find("transaction %s of operation %q was asked for by nobody", rows[0].ID, op)
		}
	}
	for _, a := range w.accounts {
		if have := b.posted[a.id] + b.owed[a.id]; have != model[a.id] {
			w.history.find("I27: account %s (%s) has %d of which %d is owed, and the model says %d", a.id, a.currency, b.posted[a.id], -b.owed[a.id], model[a.id])
		}
	}
}

// place finds an operation in the books: what was accepted is there once, what was refused is not there, and what is unknown is
// there once or not at all.
func (w *world) place(o *operation, rows []row) (row, bool) {
	switch {
	case len(rows) > 1:
		w.history.find("doubled: transactions %s and %s: %s", rows[0].ID, rows[1].ID, o)
		w.result.Doubled++
	case o.outcome == acked && len(rows) == 0:
		w.history.find("lost: %s", o)
		w.result.Lost++
	case o.outcome == refused && len(rows) == 1:
		w.history.find("refused, and transaction %s is in the books: %s", rows[0].ID, o)
	case o.outcome == acked && rows[0].ID != o.transaction:
		w.history.find("acknowledged as another transaction than %s: %s", rows[0].ID, o)
	}
	if o.outcome == unknown {
		o.foundByLookup = true
	}
	if len(rows) == 0 {
		return row{}, false
	}
	return rows[0], true
}

// expect adds to the model what an operation that is in the books must have moved, by what was asked and what the bank says, and
// holds its row to it.
func (w *world) expect(o *operation, r row, p bankPayment, model map[string]int64) {
	if r.Type != o.kind || r.Amount != o.amount || r.AccountID != o.from.id || (o.to != nil && r.CounterpartyID != o.to.id) {
		w.history.find("transaction %s is not what was asked for: %s", r.ID, o)
	}
	completed := p.came() > 0
	switch o.kind {
	case deposit:
		model[o.from.id] += min(p.came(), o.amount) - p.back()
	case withdraw:
		if completed {
			model[o.from.id] -= o.amount - p.back()
		}
	case transfer:
		completed = true
		model[o.from.id] -= o.amount
		if o.to.currency == o.from.currency {
			model[o.to.id] += o.amount
		} else {
			model[o.to.id] += r.CounterpartyAmount // the exact product, says I16
		}
	}
	if o.scenario == "paid_then_failed" {
		return // how it stands depends on which of the bank's two words was heard; what it moved is nothing
	}
	status := "failed"
	if completed {
		status = "completed"
	}
	if r.Status != status {
		w.history.find("transaction %s is %s and must be %s, the bank has it %q: %s", r.ID, r.Status, status, p.State, o)
	}
}

func (w *world) compareWithBank(b *books, ledger bankLedger) {
	theirs, fees := map[string]int64{}, map[string]int64{}
	for _, p := range ledger.Payments {
		currency := p.Currency
		if p.Moved != nil {
			currency = p.Moved.Currency
		}
		if net := p.came() - p.back(); net != 0 {
			theirs[p.ID+" "+currency] = net
		}
		if p.Fee != 0 {
			fees[p.ID] = p.Fee
		}
	}
	w.result.BankPayments = len(ledger.Payments)
	w.differences("bank: clearing", theirs, b.clearing)
	w.differences("bank: fees", fees, b.fees)
}

func (w *world) differences(what string, theirs, ours map[string]int64) {
	for name, sum := range theirs {
		if ours[name] != sum {
			w.history.find("%s of %s is %d, and ours is %d", what, name, sum, ours[name])
			w.result.BankDiffers++
		}
	}
	for name, sum := range ours {
		if _, there := theirs[name]; !there {
			w.history.find("%s of %s is nothing, and ours is %d", what, name, sum)
			w.result.BankDiffers++
		}
	}
}
