package database

import (
	"context"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"florin/domain/account"
	"florin/domain/money"
)

// ExplainAccount implements account.Books.
func (b *Books) ExplainAccount(ctx context.Context, userID, accountID uuid.UUID) (*account.Explanation, error) {
	var e *account.Explanation
	err := b.db.snapshot(ctx, func(tx *gorm.DB) error {
		var row accountRow
		if err := tx.Where("id = ? AND user_id = ? AND kind = 'user'", accountID, userID).Take(&row).Error; err != nil {
			return found("explain account", "Account", err)
		}
		a, err := row.toAccount()
		if err != nil {
			return err
		}
		e = &account.Explanation{Account: a}
		if err := explainPosted(tx, e, row.EntrySeq); err != nil {
			return err
		}
		return explainHeld(tx, e)
	})
	return e, toErrs("explain account", err)
}

// explainPosted adds up a bounded number of entries; what the older ones come to is the balance after the last of them.
func explainPosted(tx *gorm.DB, e *account.Explanation, lastSeq int64) error {
	a := e.Account
	e.EarlierCount = max(0, lastSeq-account.ExplainedEntries)
	var before int64
	err := tx.Raw("SELECT balance_after FROM entries WHERE account_id = ? AND account_seq = ? AND account_seq IS NOT NULL", a.ID, e.EarlierCount).
		Scan(&before).Error
	if err != nil {
		return err
	}
	e.Earlier = money.New(before, a.Currency)
	var kinds []struct {
		Type          string
		Incoming      bool
		Count, Amount int64
	}
	err = tx.Raw(`SELECT t.type, e.amount > 0 AS incoming, COUNT(*) AS count, CAST(SUM(e.amount) AS bigint) AS amount
		FROM entries e JOIN transactions t ON t.id = e.transaction_id
		WHERE e.account_id = ? AND e.account_seq > ? AND e.account_seq IS NOT NULL GROUP BY t.type, e.amount > 0 ORDER BY t.type, e.amount > 0`,
		a.ID, e.EarlierCount).Scan(&kinds).Error
	if err != nil {
		return err
	}
	for _, k := range kinds {
		e.Kinds = append(e.Kinds, account.EntryKind{Type: account.Type(k.Type), In: k.Incoming, Count: k.Count, Amount: money.New(k.Amount, a.Currency)})
	}
	var newest []entryLineRow
	err = tx.Raw(`SELECT e.*, t.type FROM entries e JOIN transactions t ON t.id = e.transaction_id
		WHERE e.account_id = ? AND e.account_seq IS NOT NULL ORDER BY e.account_seq DESC LIMIT ?`, a.ID, account.ExplainedNewest).Scan(&newest).Error
	if err != nil {
		return err
	}
	e.Newest, err = convertAll(newest, entryLineRow.toLine)
	return err
}

func explainHeld(tx *gorm.DB, e *account.Explanation) error {
	a := e.Account
	var all struct{ Count, Amount int64 }
	err := tx.Raw(`SELECT COUNT(*) AS count, CAST(COALESCE(SUM(amount - captured - released), 0) AS bigint) AS amount
		FROM holds WHERE account_id = ? AND status = 'active'`, a.ID).Scan(&all).Error
	if err != nil {
		return err
	}
	var rows []struct {
		TransactionID            uuid.UUID
		Type, Status, Provider   string
		Amount                   int64
		Sent                     bool
		CreatedAt, NextAttemptAt moment
	}
	err = tx.Raw(`SELECT h.transaction_id, t.type, t.status, t.provider, h.amount - h.captured - h.released AS amount,
			t.payment_id IS NOT NULL AS sent, h.created_at, t.next_attempt_at
		FROM holds h JOIN transactions t ON t.id = h.transaction_id
		WHERE h.account_id = ? AND h.status = 'active' ORDER BY h.transaction_id LIMIT ?`, a.ID, account.ExplainedHolds).Scan(&rows).Error
	if err != nil {
		return err
	}
	e.OtherHoldsCount = all.Count
	for _, r := range rows {
		all.Amount -= r.Amount
		e.OtherHoldsCount--
		e.Holds = append(e.Holds, account.ExplainedHold{TransactionID: r.TransactionID, Type: account.Type(r.Type), Status: account.PaymentStatus(r.Status),
			Provider: r.Provider, Amount: money.New(r.Amount, a.Currency), Sent: r.Sent, CreatedAt: r.CreatedAt.at, NextAttemptAt: r.NextAttemptAt.at})
	}
	e.OtherHolds = money.New(all.Amount, a.Currency)
	return nil
}
