package oracle

import "fmt"

// Verdict is what a comparison found.
type Verdict struct {
	Findings []string
	Lost     int // operations that were acknowledged and are not there
	Doubled  int // operations that are there twice, here or at the bank
	Differs  int // payments on which the bank and the books differ
}

func (v *Verdict) find(format string, args ...any) {
	v.Findings = append(v.Findings, fmt.Sprintf(format, args...))
}

// Compare holds the books against what the clients know (I27) and against what the bank says (I21). It notes in an operation that is
// unknown for good that the books say what became of it.
func Compare(b *Books, accounts []*Account, operations []*Operation, ledger Ledger) Verdict {
	var v Verdict
	v.compareWithBank(b, ledger)
	payments := map[string]Payment{}
	for _, p := range ledger.Payments {
		if earlier, twice := payments[p.TransactionID]; twice {
			v.find("doubled: the bank has payments %s and %s for transaction %s", earlier.ID, p.ID, p.TransactionID)
			v.Doubled++
		}
		payments[p.TransactionID] = p
	}
	model := map[string]int64{}
	known := map[string]bool{}
	for _, o := range operations {
		known[o.ID] = true
		if r, found := v.place(o, b.ByOp[o.ID]); found {
			v.expect(o, r, payments[r.ID], model)
		}
	}
	for op, rows := range b.ByOp {
		if !known[op] {
			v.find("transaction %s of operation %q was asked for by nobody", rows[0].ID, op)
		}
	}
	for _, a := range accounts {
		if have := b.Posted[a.ID] + b.Owed[a.ID]; have != model[a.ID] {
			v.find("I27: account %s (%s) has %d, %d of it owed, and the model says %d", a.ID, a.Currency, b.Posted[a.ID], -b.Owed[a.ID], model[a.ID])
		}
	}
	return v
}

// place finds an operation in the books: what was accepted is there once, what was refused is not there, and what is unknown is
// there once or not at all.
func (v *Verdict) place(o *Operation, rows []Row) (Row, bool) {
	switch {
	case len(rows) > 1:
		v.find("doubled: transactions %s and %s: %s", rows[0].ID, rows[1].ID, o)
		v.Doubled++
	case o.Outcome == Acked && len(rows) == 0:
		v.find("lost: %s", o)
		v.Lost++
	case o.Outcome == Refused && len(rows) == 1:
		v.find("refused, and transaction %s is in the books: %s", rows[0].ID, o)
	case o.Outcome == Acked && rows[0].ID != o.Transaction:
		v.find("acknowledged as another transaction than %s: %s", rows[0].ID, o)
	}
	o.FoundByLookup = o.Outcome == Unknown
	if len(rows) == 0 {
		return Row{}, false
	}
	return rows[0], true
}

// expect adds to the model what an operation that is in the books must have moved, by what was asked and what the bank says, and
// holds its row to it.
func (v *Verdict) expect(o *Operation, r Row, p Payment, model map[string]int64) {
	if r.Type != o.Kind || r.Amount != o.Amount || r.AccountID != o.From.ID || (o.To != nil && r.CounterpartyID != o.To.ID) {
		v.find("transaction %s is not what was asked for: %s", r.ID, o)
	}
	completed := p.Came() > 0
	switch o.Kind {
	case Deposit:
		model[o.From.ID] += o.kept(p)
	case Withdraw:
		if completed {
			model[o.From.ID] -= o.Amount - p.Back()
		}
	case Transfer:
		completed = true
		model[o.From.ID] -= o.Amount
		if o.To.Currency == o.From.Currency {
			model[o.To.ID] += o.Amount
		} else {
			model[o.To.ID] += r.CounterpartyAmount // the exact product, says I16
		}
	}
	if o.Scenario == "paid_then_failed" {
		return // how it stands depends on which of the bank's two words was heard; what it moved is nothing
	}
	status := "failed"
	if completed {
		status = "completed"
	}
	if r.Status != status {
		v.find("transaction %s is %s and must be %s, the bank has it %q: %s", r.ID, r.Status, status, p.State, o)
	}
}

func (v *Verdict) compareWithBank(b *Books, ledger Ledger) {
	theirs, fees := map[string]int64{}, map[string]int64{}
	for _, p := range ledger.Payments {
		currency := p.Currency
		if p.Moved != nil {
			currency = p.Moved.Currency
		}
		if net := p.Came() - p.Back(); net != 0 {
			theirs[p.ID+" "+currency] = net
		}
		if p.Fee != 0 {
			fees[p.ID] = p.Fee
		}
	}
	v.differences("bank: clearing", theirs, b.Clearing)
	v.differences("bank: fees", fees, b.Fees)
}

func (v *Verdict) differences(what string, theirs, ours map[string]int64) {
	for name, sum := range theirs {
		if ours[name] != sum {
			v.find("%s of %s is %d, and ours is %d", what, name, sum, ours[name])
			v.Differs++
		}
	}
	for name, sum := range ours {
		if _, there := theirs[name]; !there {
			v.find("%s of %s is nothing, and ours is %d", what, name, sum)
			v.Differs++
		}
	}
}
