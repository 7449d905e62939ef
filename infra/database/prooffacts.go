package database

import (
	"database/sql"
	"slices"

	"github.com/google/uuid"
	"gorm.io/gorm"
)

// facts is what a proof of some transactions looks at. Whatever is read is read by keys: the cost is that of what was touched.
type facts struct {
	transactions map[uuid.UUID]transactionRow // the touched ones and what they follow
	touched      []uuid.UUID
	entries      map[uuid.UUID][]entryFact
	holds        map[uuid.UUID]holdRow
	events       map[uuid.UUID][]eventFact
	accounts     map[uuid.UUID]accountFact
	reviewed     map[uuid.UUID]bool
}

// entryFact is an entry with its account, and with the account's entry before it.
type entryFact struct {
	Entry           entryRow `gorm:"embedded"`
	Kind            nullText
	Code            nullText
	AccountCurrency nullText
	Owner           nullID
	BalanceBefore   sql.NullInt64
	PostedBefore    moment
}

type eventFact struct {
	TransactionID uuid.UUID
	Seq           int
	FromStatus    nullText
	ToStatus      string
	At            moment
	Position      nullCount
}

// accountFact is a user's account with what its entries and holds say.
type accountFact struct {
	ID          uuid.UUID
	UserID      nullID
	Posted      int64
	Held        int64
	Receivable  int64
	EntrySeq    int64
	LastSeq     int64
	LastBalance int64
	ActiveHolds int64
	Owed        int64
}

// readFacts reads what the proof of the transactions and accounts needs.
func readFacts(tx *gorm.DB, transactions, accounts []uuid.UUID) (*facts, error) {
	if tx.Name() == string(Postgres) {
		// Some hundred ids are enough for the planner to read a small table or its index whole, and to go on doing so when it has
		// grown.
		for _, way := range []string{"seqscan", "hashjoin", "mergejoin"} {
			if err := tx.Exec("SET LOCAL enable_" + way + " = off").Error; err != nil {
				return nil, err
			}
		}
	}
	f := &facts{transactions: map[uuid.UUID]transactionRow{}, touched: sorted(transactions), entries: map[uuid.UUID][]entryFact{},
		holds: map[uuid.UUID]holdRow{}, events: map[uuid.UUID][]eventFact{}, accounts: map[uuid.UUID]accountFact{}, reviewed: map[uuid.UUID]bool{}}
	steps := []func(tx *gorm.DB) error{f.readTransactions, f.readEntries, f.readHolds, f.readEvents,
		func(tx *gorm.DB) error { return f.readAccounts(tx, accounts) }, f.readReviews}
	for _, step := range steps {
		if err := step(tx); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func (f *facts) readTransactions(tx *gorm.DB) error {
	for wanted := f.touched; len(wanted) > 0; {
		var rows []transactionRow
		if err := tx.Where("id IN ?", wanted).Find(&rows).Error; err != nil {
			return err
		}
		wanted = nil
		for _, row := range rows {
			f.transactions[row.ID] = row
		}
		// What follows a payment is held against it, and against what that follows in its turn.
		for _, row := range rows {
			if parent := uuid.UUID(row.LinkedTransactionID); parent != uuid.Nil {
				if _, known := f.transactions[parent]; !known {
					wanted = append(wanted, parent)
				}
			}
		}
		wanted = sorted(wanted)
	}
	return nil
}

func (f *facts) readEntries(tx *gorm.DB) error {
	if len(f.touched) == 0 {
		return nil
	}
	var rows []entryFact
	err := tx.Raw(`SELECT e.*, a.kind, a.code, a.currency AS account_currency, a.user_id AS owner, p.balance_after AS balance_before, p.posted_at AS posted_before
		FROM entries e LEFT JOIN accounts a ON a.id = e.account_id
		LEFT JOIN entries p ON p.account_id = e.account_id AND p.account_seq = e.account_seq - 1 AND p.account_seq IS NOT NULL
		WHERE e.transaction_id IN ? ORDER BY e.transaction_id, e.line`, f.touched).Scan(&rows).Error
	for _, row := range rows {
		f.entries[row.Entry.TransactionID] = append(f.entries[row.Entry.TransactionID], row)
	}
	return err
}

func (f *facts) readHolds(tx *gorm.DB) error {
	if len(f.touched) == 0 {
		return nil
	}
	var rows []holdRow
	err := tx.Where("transaction_id IN ?", f.touched).Find(&rows).Error
	for _, row := range rows {
		f.holds[row.TransactionID] = row
	}
	return err
}

func (f *facts) readEvents(tx *gorm.DB) error {
	if len(f.touched) == 0 {
		return nil
	}
	var rows []eventFact
	err := tx.Raw(`SELECT e.transaction_id, e.seq, e.from_status, e.to_status, e.at,
			(SELECT b.position FROM event_batches b WHERE b.id = e.batch_id) + e.n - 1 AS position
		FROM payment_events e WHERE e.transaction_id IN ? ORDER BY e.transaction_id, e.seq`, f.touched).Scan(&rows).Error
	for _, row := range rows {
		f.events[row.TransactionID] = append(f.events[row.TransactionID], row)
	}
	return err
}

// readAccounts reads the accounts named, and those that the transactions and their entries speak of.
func (f *facts) readAccounts(tx *gorm.DB, also []uuid.UUID) error {
	wanted := slices.Clone(also)
	for _, id := range f.touched {
		wanted = append(wanted, f.accountsOf(id)...)
	}
	if wanted = sorted(wanted); len(wanted) == 0 {
		return nil
	}
	var rows []accountFact
	err := tx.Raw(`SELECT a.id, a.user_id, a.posted, a.held, a.receivable, a.entry_seq,
			COALESCE((SELECT e.account_seq FROM entries e WHERE e.account_id = a.id AND e.account_seq IS NOT NULL ORDER BY e.account_seq DESC LIMIT 1), 0) AS last_seq,
			COALESCE((SELECT e.balance_after FROM entries e WHERE e.account_id = a.id AND e.account_seq IS NOT NULL ORDER BY e.account_seq DESC LIMIT 1), 0) AS last_balance,
			CAST(COALESCE((SELECT SUM(h.amount - h.captured - h.released) FROM holds h WHERE h.account_id = a.id AND h.status = 'active'), 0) AS bigint) AS active_holds,
			CAST(COALESCE((SELECT -SUM(d.amount) FROM entries d WHERE d.debtor_id = a.id AND d.debtor_id IS NOT NULL), 0) AS bigint) AS owed
		FROM accounts a WHERE a.id IN ? AND a.kind = 'user'`, wanted).Scan(&rows).Error
	for _, row := range rows {
		f.accounts[row.ID] = row
	}
	return err
}

// accountsOf are the accounts that a transaction and its entries speak of; system accounts too.
func (f *facts) accountsOf(transactionID uuid.UUID) []uuid.UUID {
	t := f.transactions[transactionID]
	ids := []uuid.UUID{uuid.UUID(t.AccountID), uuid.UUID(t.CounterpartyAccountID)}
	for _, e := range f.entries[transactionID] {
		ids = append(ids, e.Entry.AccountID, uuid.UUID(e.Entry.DebtorID))
	}
	return sorted(ids)
}

// readReviews reads which of the transactions that have money in suspense or owed have a review, or were
// booked by one.
func (f *facts) readReviews(tx *gorm.DB) error {
	var wanted []uuid.UUID
	for id, entries := range f.entries {
		if slices.ContainsFunc(entries, entryFact.wantsReview) {
			wanted = append(wanted, id)
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	var ids []uuid.UUID
	err := tx.Raw(`SELECT transaction_id FROM reviews WHERE transaction_id IN ? AND transaction_id IS NOT NULL
		UNION SELECT settlement_id FROM reviews WHERE settlement_id IN ? AND settlement_id IS NOT NULL`, sorted(wanted), sorted(wanted)).Scan(&ids).Error
	for _, id := range ids {
		f.reviewed[id] = true
	}
	return err
}

func (e entryFact) wantsReview() bool { return e.Code == "suspense" || e.Code == "receivable" }

func (e entryFact) ofUser() bool { return e.Kind == "user" }
