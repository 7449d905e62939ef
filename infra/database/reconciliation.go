package database

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"florin/domain/account"
	"florin/domain/user"
)

// Reconciliations implements account.Reconciliations.
type Reconciliations struct {
	db  *DB
	now account.Clock
}

var _ account.Reconciliations = (*Reconciliations)(nil)

// NewReconciliations returns what is reconciled, of an open, migrated database.
func NewReconciliations(db *DB, now account.Clock) *Reconciliations {
	return &Reconciliations{db: db, now: now}
}

func (r *Reconciliations) reader(ctx context.Context) *gorm.DB { return r.db.Reader().WithContext(ctx) }

// FindMarks implements account.Reconciliations.
func (r *Reconciliations) FindMarks(ctx context.Context) (map[string]account.Mark, error) {
	var rows []struct {
		Provider, Mark string
		ListedAt       moment
	}
	err := r.reader(ctx).Raw("SELECT provider, mark, listed_at FROM provider_marks").Scan(&rows).Error
	marks := make(map[string]account.Mark, len(rows))
	for _, row := range rows {
		marks[row.Provider] = account.Mark{Cursor: row.Mark, ListedAt: row.ListedAt.at}
	}
	return marks, toErrs("find marks", err)
}

// MoveMark implements account.Reconciliations.
func (r *Reconciliations) MoveMark(ctx context.Context, move account.MarkMove) error {
	moved := r.db.Writer().WithContext(ctx).Exec(`INSERT INTO provider_marks (provider, mark, fence, listed_at) VALUES (?, ?, ?, ?)
		ON CONFLICT (provider) DO UPDATE SET mark = excluded.mark, fence = excluded.fence, listed_at = excluded.listed_at
		WHERE provider_marks.fence <= excluded.fence`, move.Provider, move.To, move.Fence, momentOf(r.now()))
	if moved.Error == nil && moved.RowsAffected == 0 {
		return account.ErrLeaseLost
	}
	return toErrs("move mark", moved.Error)
}

// UnknownEvents implements account.Reconciliations.
func (r *Reconciliations) UnknownEvents(ctx context.Context, provider string, ids []string) (map[string]bool, error) {
	unknown := make(map[string]bool, len(ids))
	if len(ids) == 0 {
		return unknown, nil
	}
	for _, id := range ids {
		unknown[id] = true
	}
	var known []string
	err := r.reader(ctx).Raw("SELECT event_id FROM inbox WHERE provider = ? AND event_id IN ?", provider, ids).Scan(&known).Error
	for _, id := range known {
		delete(unknown, id)
	}
	return unknown, toErrs("find unknown events", err)
}

// ourMovements nets what the clearing accounts say by what a provider calls it: what takes a payment back without a name of its own
// belongs to the payment, what takes a refund or a dispute back belongs to that.
const ourMovements = `SELECT
		CASE t.type WHEN 'deposit' THEN 'payment' WHEN 'unmatched' THEN 'payment' WHEN 'correction' THEN 'payment'
			WHEN 'withdraw' THEN 'payout' WHEN 'payout_return' THEN 'payout' WHEN 'refund' THEN 'refund' WHEN 'refund_reversal' THEN 'refund'
			WHEN 'chargeback' THEN 'dispute' WHEN 'chargeback_reversal' THEN 'dispute' ELSE t.type END AS effect,
		COALESCE(CASE WHEN t.type IN ('correction', 'payout_return', 'refund_reversal', 'chargeback_reversal') AND p.type <> 'unmatched'
			THEN p.payment_id ELSE t.payment_id END, 'transaction:' || t.id) AS ref,
		e.currency AS currency, CAST(-SUM(e.amount) AS bigint) AS amount, MAX(e.posted_at) AS changed_at
	FROM accounts a JOIN entries e ON e.account_id = a.id JOIN transactions t ON t.id = e.transaction_id
		LEFT JOIN transactions p ON p.id = t.linked_transaction_id
	WHERE a.kind = 'system' AND a.code IN (?, ?)
	GROUP BY 1, 2, 3`

// OurMovements implements account.Reconciliations.
func (r *Reconciliations) OurMovements(ctx context.Context, provider string, each func(account.Movement) error) error {
	err := r.db.snapshot(ctx, func(tx *gorm.DB) error {
		rows, err := tx.Raw(ourMovements, "provider_clearing:"+provider, "payout_clearing:"+provider).Rows()
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var m account.Movement
			var changed moment
			if err := rows.Scan(&m.Effect, &m.Ref, &m.Currency, &m.Amount, &changed); err != nil {
				return err
			}
			m.ChangedAt = changed.at
			if err := each(m); err != nil {
				return err
			}
		}
		return rows.Err()
	})
	return toErrs("read our movements", err)
}

// AddRequest implements account.Reconciliations.
func (r *Reconciliations) AddRequest(ctx context.Context, by account.Operator) (account.ReconciliationRequest, error) {
	if err := by.CheckReason(); err != nil {
		return account.ReconciliationRequest{}, err
	}
	id, errID := uuid.NewV7()
	auditID, errAudit := uuid.NewV7()
	if err := errors.Join(errID, errAudit); err != nil {
		return account.ReconciliationRequest{}, err
	}
	asked := account.ReconciliationRequest{ID: id, RequestedAt: momentOf(r.now()).at}
	err := r.db.inTx(ctx, func(tx *gorm.DB) error {
		if err := tx.Exec("INSERT INTO reconciliation_requests (id, requested_at) VALUES (?, ?)", id, asked.RequestedAt).Error; err != nil {
			return err
		}
		return appendAudit(tx, user.Audit{ID: auditID, Actor: by.Name, Action: "reconciliation.requested", Subject: id.String(), Reason: by.Reason,
			Address: by.Address, Request: by.Request, At: asked.RequestedAt})
	})
	return asked, toErrs("ask for a reconciliation", err)
}

type requestRow struct {
	ID          uuid.UUID
	RequestedAt moment
	DoneAt      moment
	Failure     string
}

func (r requestRow) toRequest() (account.ReconciliationRequest, error) {
	return account.ReconciliationRequest{ID: r.ID, RequestedAt: r.RequestedAt.at, DoneAt: r.DoneAt.at, Failure: r.Failure}, nil
}

// FindRequest implements account.Reconciliations.
func (r *Reconciliations) FindRequest(ctx context.Context, id uuid.UUID) (account.ReconciliationRequest, error) {
	var row requestRow
	err := r.reader(ctx).Table("reconciliation_requests").Where("id = ?", id).Take(&row).Error
	if err != nil {
		return account.ReconciliationRequest{}, found("find request", "request", err)
	}
	return row.toRequest()
}

// OpenRequests implements account.Reconciliations.
func (r *Reconciliations) OpenRequests(ctx context.Context) ([]account.ReconciliationRequest, error) {
	var rows []requestRow
	err := r.reader(ctx).Table("reconciliation_requests").Where("done_at IS NULL").Order("requested_at").Limit(100).Find(&rows).Error
	if err != nil {
		return nil, toErrs("find requests", err)
	}
	return convertAll(rows, requestRow.toRequest)
}

// FinishRequests implements account.Reconciliations.
func (r *Reconciliations) FinishRequests(ctx context.Context, ids []uuid.UUID, failure string) error {
	err := r.db.Writer().WithContext(ctx).Exec("UPDATE reconciliation_requests SET done_at = ?, failure = ? WHERE id IN ? AND done_at IS NULL",
		momentOf(r.now()), failure, ids).Error
	return toErrs("finish requests", err)
}
