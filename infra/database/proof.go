package database

import (
	"fmt"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"florin/domain/account"
)

// proof looks for what breaks an invariant of some transactions and of the accounts that they touch. It says the same as the
// queries of Verify about the whole books, once every event was looked at: what an account has posted follows from its last
// entry, and each entry from the one before.
type proof struct {
	*facts
	broken []brokenRule
}

// brokenRule is an invariant that does not hold, with what it is about.
type brokenRule struct {
	id string
	Violation
}

// prove looks at the transactions and accounts in a snapshot.
func prove(tx *gorm.DB, transactions, accounts []uuid.UUID) (*proof, error) {
	read, err := readFacts(tx, transactions, accounts)
	if err != nil {
		return nil, err
	}
	p := &proof{facts: read}
	for _, id := range p.touched {
		t, known := p.transactions[id]
		if !known {
			p.ofTransaction("I9", id, "no row of the transaction")
			continue
		}
		p.entriesOf(t)
		p.historyOf(t)
		p.holdOf(t)
		p.conversionOf(t)
	}
	for id, a := range p.accounts {
		p.balanceOf(id, a)
	}
	return p, p.takenBack(tx)
}

func (p *proof) ofTransaction(rule string, id uuid.UUID, format string, args ...any) {
	p.broken = append(p.broken, brokenRule{rule, Violation{Text: fmt.Sprintf("transaction_id=%s ", id) + fmt.Sprintf(format, args...), TransactionID: id}})
}

// entriesOf is I2, I3 for the chain of entries, I7, I15, I22 and I23.
func (p *proof) entriesOf(t transactionRow) {
	entries := p.entries[t.ID]
	if (t.Status == string(account.PaymentStatusCompleted)) != (len(entries) > 0) {
		p.ofTransaction("I7", t.ID, "status=%s entries=%d", t.Status, len(entries))
	}
	sums := map[string]int64{}
	for _, e := range entries {
		sums[e.Entry.Currency] += e.Entry.Amount
		p.entryOf(t, e)
	}
	for currency, sum := range sums {
		if sum != 0 {
			p.ofTransaction("I2", t.ID, "currency=%s total=%d", currency, sum)
		}
	}
	if owner, known := p.accounts[uuid.UUID(t.AccountID)]; known && (uuid.UUID(t.UserID) == uuid.Nil || owner.UserID != t.UserID) {
		p.ofTransaction("I23", t.ID, "user_id=%s owner=%s", uuid.UUID(t.UserID), uuid.UUID(owner.UserID))
	}
}

func (p *proof) entryOf(t transactionRow, e entryFact) {
	row := e.Entry
	numbered := row.AccountSeq != 0
	if e.Kind == "" || string(e.AccountCurrency) != row.Currency || row.Amount == 0 || e.ofUser() != numbered {
		p.ofTransaction("I15", t.ID, "line=%d amount=%d currency=%s account_currency=%s", row.Line, row.Amount, row.Currency, e.AccountCurrency)
	}
	if e.wantsReview() && !p.reviewed[t.ID] {
		p.ofTransaction("I22", t.ID, "line=%d code=%s", row.Line, e.Code)
	}
	if e.ofUser() && row.Amount < 0 && (uuid.UUID(t.UserID) == uuid.Nil || e.Owner != t.UserID) {
		p.ofTransaction("I23", t.ID, "line=%d user_id=%s owner=%s", row.Line, uuid.UUID(t.UserID), uuid.UUID(e.Owner))
	}
	if _, debtor := p.accounts[uuid.UUID(row.DebtorID)]; (e.Code == "receivable") != debtor || debtor != (uuid.UUID(row.DebtorID) != uuid.Nil) {
		p.ofTransaction("I3", t.ID, "line=%d code=%s debtor_id=%s", row.Line, e.Code, uuid.UUID(row.DebtorID))
	}
	if !numbered {
		return
	}
	first := row.AccountSeq == 1
	if first == e.BalanceBefore.Valid || e.BalanceBefore.Int64+row.Amount != row.BalanceAfter.Int64 || row.PostedAt.at.Before(e.PostedBefore.at) {
		p.broken = append(p.broken, brokenRule{"I3", Violation{AccountID: row.AccountID, TransactionID: t.ID,
			Text: fmt.Sprintf("account_id=%s account_seq=%d amount=%d balance_before=%d balance_after=%d", row.AccountID, row.AccountSeq, row.Amount,
				e.BalanceBefore.Int64, row.BalanceAfter.Int64)}})
	}
}

// historyOf is I8, I9 and I11.
func (p *proof) historyOf(t transactionRow) {
	events := p.events[t.ID]
	var before eventFact
	for i, e := range events {
		legal := account.CanMove(account.PaymentStatus(e.FromStatus), account.PaymentStatus(e.ToStatus))
		if e.Seq != i+1 || !legal || string(e.FromStatus) != before.ToStatus || e.At.at.Before(before.At.at) {
			p.ofTransaction("I8", t.ID, "seq=%d from_status=%s to_status=%s before=%s", e.Seq, e.FromStatus, e.ToStatus, before.ToStatus)
		}
		if e.Position != 0 && i > 0 && (before.Position == 0 || before.Position >= e.Position) {
			p.ofTransaction("I11", t.ID, "seq=%d position=%d before=%d", e.Seq, e.Position, before.Position)
		}
		before = e
	}
	if before.ToStatus != t.Status || before.Seq != t.Version {
		p.ofTransaction("I9", t.ID, "status=%s version=%d to_status=%s seq=%d", t.Status, t.Version, before.ToStatus, before.Seq)
	}
}

// holdOf is I12 and I13.
func (p *proof) holdOf(t transactionRow) {
	hold, exists := p.holds[t.ID]
	active := exists && hold.Status == holdActive
	open := !account.PaymentStatus(t.Status).Terminal()
	holds := t.Type == string(account.TypeWithdraw) || t.Type == string(account.TypeRefund)
	holds = holds && uuid.UUID(t.AccountID) != uuid.Nil // money that is given back from suspense is on no account
	// A piece of a refund may cost its account nothing: there is nothing to hold.
	holds = holds && (t.Type == string(account.TypeWithdraw) || t.PostedAmount != 0)
	if active && !open || open && holds && (!active || hold.AccountID != uuid.UUID(t.AccountID)) {
		p.ofTransaction("I12", t.ID, "type=%s status=%s hold=%s", t.Type, t.Status, hold.Status)
	}
	ended := hold.Captured + hold.Released
	if ended > hold.Amount || exists && !active && ended != hold.Amount {
		p.ofTransaction("I13", t.ID, "amount=%d captured=%d released=%d status=%s", hold.Amount, hold.Captured, hold.Released, hold.Status)
	}
}

// conversionOf is I16.
func (p *proof) conversionOf(t transactionRow) {
	if t.Conversion != "" {
		if fault := faultOfConversion(t); fault != "" {
			p.ofTransaction("I16", t.ID, "fault=%s", fault)
			return
		}
	}
	followed, follows := p.transactions[uuid.UUID(t.LinkedTransactionID)]
	if !follows || t.Type == string(account.TypeFee) || t.Type == string(account.TypeUnmatched) || t.Provider == account.ProviderInternal {
		return
	}
	if (t.Conversion == "") != (followed.Conversion == "") {
		p.ofTransaction("I16", t.ID, "fault=the payment that it follows has another conversion")
		return
	}
	if t.Conversion == "" {
		return
	}
	mine, errMine := decodeConversion(t.Conversion)
	theirs, errTheirs := decodeConversion(followed.Conversion)
	if errMine != nil || errTheirs != nil || mine.Rate().Value() != theirs.Rate().Value() {
		p.ofTransaction("I16", t.ID, "fault=the payment that it follows has another rate")
	}
}

// takenBack is I17, of the payments that what was touched follows.
func (p *proof) takenBack(tx *gorm.DB) error {
	var followed []uuid.UUID
	for _, t := range p.transactions {
		followed = append(followed, uuid.UUID(t.LinkedTransactionID))
	}
	if followed = sorted(followed); len(followed) == 0 {
		return nil
	}
	rows, err := tx.Raw(takenBackSQL("p.id IN ?"), followed).Rows()
	if err != nil {
		return err
	}
	defer rows.Close()
	found, err := describe(rows)
	for _, v := range found {
		p.broken = append(p.broken, brokenRule{"I17", v})
	}
	return err
}

// balanceOf is I3 for the account itself, I4 and I5.
func (p *proof) balanceOf(id uuid.UUID, a accountFact) {
	add := func(rule, format string, args ...any) {
		p.broken = append(p.broken, brokenRule{rule, Violation{Text: fmt.Sprintf("account_id=%s ", id) + fmt.Sprintf(format, args...), AccountID: id}})
	}
	if a.Posted != a.LastBalance || a.EntrySeq != a.LastSeq || a.Receivable != a.Owed {
		add("I3", "posted=%d last_balance=%d entry_seq=%d last_seq=%d receivable=%d owed=%d", a.Posted, a.LastBalance, a.EntrySeq, a.LastSeq, a.Receivable, a.Owed)
	}
	if a.Held != a.ActiveHolds {
		add("I4", "held=%d active_holds=%d", a.Held, a.ActiveHolds)
	}
	if a.Posted < a.Held {
		add("I5", "posted=%d held=%d", a.Posted, a.Held)
	}
}
