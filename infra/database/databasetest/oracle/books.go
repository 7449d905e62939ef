package oracle

import (
	"context"
	"encoding/json"
	"fmt"

	"florin/infra/database"
)

// Row is a transaction as the books have it.
type Row struct {
	ID, Type, Status, AccountID, CounterpartyID, PaymentID, Metadata string
	Amount, CounterpartyAmount                                       int64
	Op                                                               string
}

// Books is what the database says, as far as it is compared.
type Books struct {
	ByOp map[string][]Row
	// Clearing is what came in or went out, by the bank's payment; Fees what the bank kept of it.
	Clearing, Fees map[string]int64
	// Posted and Owed are by account; Owed is negative.
	Posted, Owed map[string]int64
}

// Read reads the books in one go; nothing may move them meanwhile.
func Read(ctx context.Context, db *database.DB) (*Books, error) {
	var rows []Row
	err := db.Reader().WithContext(ctx).Raw(`SELECT CAST(id AS text) AS id, type, status, COALESCE(CAST(account_id AS text), '') AS account_id,
		COALESCE(CAST(counterparty_account_id AS text), '') AS counterparty_id, COALESCE(payment_id, '') AS payment_id, metadata, amount,
		COALESCE(counterparty_amount, 0) AS counterparty_amount FROM transactions`).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("read transactions: %w", err)
	}
	b := &Books{ByOp: map[string][]Row{}}
	for _, r := range rows {
		var metadata struct{ Op string }
		if err := json.Unmarshal([]byte(r.Metadata), &metadata); err != nil {
			return nil, fmt.Errorf("metadata of transaction %s: %w", r.ID, err)
		}
		r.Op = metadata.Op
		if ordered(r.Type) {
			b.ByOp[r.Op] = append(b.ByOp[r.Op], r)
		}
	}
	for into, query := range map[*map[string]int64]string{
		&b.Posted: "SELECT CAST(id AS text) AS name, posted AS sum FROM accounts WHERE kind = 'user'",
		&b.Owed:   "SELECT CAST(debtor_id AS text) AS name, CAST(SUM(amount) AS bigint) AS sum FROM entries WHERE debtor_id IS NOT NULL GROUP BY 1",
		&b.Clearing: `SELECT CASE WHEN t.type IN ('deposit', 'withdraw', 'unmatched') THEN t.payment_id
				WHEN t.type IN ('refund_reversal', 'chargeback_reversal') THEN g.payment_id ELSE p.payment_id END || ' ' || e.currency AS name,
			CAST(SUM(CASE WHEN a.code LIKE 'provider%' THEN -e.amount ELSE e.amount END) AS bigint) AS sum
			FROM entries e JOIN accounts a ON a.id = e.account_id JOIN transactions t ON t.id = e.transaction_id
			LEFT JOIN transactions p ON p.id = t.linked_transaction_id LEFT JOIN transactions g ON g.id = p.linked_transaction_id
			WHERE a.code LIKE '%clearing:mock' AND t.type <> 'fee' GROUP BY 1 HAVING SUM(e.amount) <> 0`,
		&b.Fees: `SELECT p.payment_id AS name, CAST(SUM(t.amount) AS bigint) AS sum FROM transactions t
			JOIN transactions p ON p.id = t.linked_transaction_id WHERE t.type = 'fee' GROUP BY 1`,
	} {
		if *into, err = sums(ctx, db, query); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// ordered says that a client asks for such a transaction; the others follow from what a provider says.
func ordered(kind string) bool { return kind == Deposit || kind == Withdraw || kind == Transfer }

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
