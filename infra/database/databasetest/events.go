package databasetest

import (
	"context"
	"encoding/json"
	"testing"

	"gorm.io/gorm"

	"florin/domain/account"
	"florin/infra/database"
	"florin/pkg/eventbus"
)

// InsertEvents writes payment events as one batch, in plain SQL, with bare transactions for them to belong to, in the
// transaction of the caller, and returns the id of the batch. It is for tests of the log; the rows keep none of the other
// invariants.
func InsertEvents(tx *gorm.DB, events ...account.PaymentEvent) (batch int64, err error) {
	err = tx.Raw("INSERT INTO event_batches (events, at) VALUES (?, ?) RETURNING id", len(events), events[0].At).Scan(&batch).Error
	if err != nil {
		return 0, err
	}
	for i, e := range events {
		payload, err := json.Marshal(e)
		if err != nil {
			return 0, err
		}
		err = tx.Exec(`INSERT INTO transactions (id, type, status, version, amount, currency, provider, next_attempt_at, created_at, updated_at)
			VALUES (?, 'deposit', 'initiated', 1, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`,
			e.TransactionID, e.Amount, e.Currency, e.Provider, e.At, e.At, e.At).Error
		if err != nil {
			return 0, err
		}
		var from *account.PaymentStatus
		if e.From != "" {
			from = &e.From
		}
		err = tx.Exec(`INSERT INTO payment_events (batch_id, n, id, transaction_id, seq, from_status, to_status, cause, payload, at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			batch, i+1, e.EventID, e.TransactionID, e.Seq, from, e.Status, e.Cause, string(payload), e.At).Error
		if err != nil {
			return 0, err
		}
	}
	return batch, nil
}

// CommitEvents is InsertEvents in a transaction of its own.
func CommitEvents(ctx context.Context, db *database.DB, events ...account.PaymentEvent) error {
	_, err := CommitBatch(ctx, db, events...)
	return err
}

// CommitBatch is CommitEvents, with what a ledger tells of such a commit.
func CommitBatch(ctx context.Context, db *database.DB, events ...account.PaymentEvent) (batch eventbus.CommittedBatch, err error) {
	for i := range events {
		batch.Events = append(batch.Events, &events[i])
	}
	err = db.Writer().WithContext(ctx).Transaction(func(tx *gorm.DB) (err error) {
		batch.ID, err = InsertEvents(tx, events...)
		return err
	})
	return batch, err
}

// CheckLog fails the test unless positions are 1..n without gap or repeat (I10), nothing is left without one, and per
// transaction they grow with seq (I11).
func CheckLog(t testing.TB, db *database.DB) {
	t.Helper()
	var rows []struct {
		TransactionID string
		Seq           int
		Position      *int64
	}
	err := db.Reader().Raw(`SELECT e.transaction_id, e.seq, b.position + e.n - 1 AS position
		FROM payment_events e JOIN event_batches b ON b.id = e.batch_id ORDER BY b.position IS NULL, b.position, e.n`).Scan(&rows).Error
	if err != nil {
		t.Fatalf("read log: %v", err)
	}
	last := map[string]int{}
	for i, r := range rows {
		if r.Position == nil || *r.Position != int64(i+1) {
			t.Fatalf("I10: row %d of the log has position %v", i+1, r.Position)
		}
		if r.Seq != last[r.TransactionID]+1 {
			t.Fatalf("I11: position %d is seq %d of transaction %s, after seq %d", i+1, r.Seq, r.TransactionID, last[r.TransactionID])
		}
		last[r.TransactionID] = r.Seq
	}
}
