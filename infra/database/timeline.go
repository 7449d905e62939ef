package database

import (
	"context"
	"slices"
	"strconv"

	"github.com/google/uuid"

	"florin/domain/account"
	"florin/domain/errs"
)

// FindTimeline implements account.Books. What happened at the same time stands in the order in which one thing causes
// another: the call, the provider's call, its webhook, the change, the entries, and what follows.
func (b *Books) FindTimeline(ctx context.Context, transactionID uuid.UUID) ([]account.TimelineItem, error) {
	var items []account.TimelineItem
	for _, part := range []func(context.Context, uuid.UUID) ([]account.TimelineItem, error){
		b.apiCall, b.providerCalls, b.webhooks, b.stateChanges, b.postings, b.linked,
	} {
		found, err := part(ctx, transactionID)
		if err != nil {
			return nil, toErrs("find timeline", err)
		}
		items = append(items, found...)
	}
	slices.SortStableFunc(items, func(a, b account.TimelineItem) int { return a.At.Compare(b.At) })
	return items, nil
}

func (b *Books) apiCall(ctx context.Context, id uuid.UUID) ([]account.TimelineItem, error) {
	var rows []transactionRow
	if err := b.reader(ctx).Where("id = ?", id).Find(&rows).Error; err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, errs.Missing("Transaction")
	}
	row := rows[0]
	var cause []string
	if err := b.reader(ctx).Model(&eventRow{}).Where("transaction_id = ? AND seq = 1", id).Pluck("cause", &cause).Error; err != nil {
		return nil, err
	}
	if !slices.Contains(cause, string(account.CauseRequest)) {
		return nil, nil // nobody called: it was the provider's doing
	}
	return []account.TimelineItem{{
		At: row.Created.at, Kind: "api_call", Summary: row.Type + " requested", TraceParent: row.TraceParent,
		Detail: map[string]string{"request_id": row.RequestID, "provider": row.Provider},
	}}, nil
}

func (b *Books) providerCalls(ctx context.Context, id uuid.UUID) ([]account.TimelineItem, error) {
	var rows []providerCallRow
	if err := b.reader(ctx).Where("transaction_id = ?", id).Order("started_at, id").Find(&rows).Error; err != nil {
		return nil, err
	}
	items := make([]account.TimelineItem, 0, len(rows))
	for _, row := range rows {
		items = append(items, account.TimelineItem{
			At: row.Started.at, Kind: "provider_call", Summary: row.Operation + ": " + row.Outcome, TraceParent: row.TraceParent,
			Detail: map[string]string{
				"operation": row.Operation, "outcome": row.Outcome, "attempt": strconv.Itoa(row.Attempt),
				"duration_ms": strconv.FormatInt(row.Ended.at.Sub(row.Started.at).Milliseconds(), 10),
			},
		})
	}
	return items, nil
}

func (b *Books) webhooks(ctx context.Context, id uuid.UUID) ([]account.TimelineItem, error) {
	var rows []inboxRow
	err := b.reader(ctx).Where("transaction_id = ?", id).Order("received_at, id").Find(&rows).Error
	if err != nil {
		return nil, err
	}
	items := make([]account.TimelineItem, 0, len(rows))
	for _, row := range rows {
		// Of the payload nothing is shown but how it was learned: the rest is the provider's, and nobody's to see here.
		record, err := b.db.recordOf(row)
		if err != nil {
			return nil, err
		}
		items = append(items, account.TimelineItem{
			At: row.Received.at, Kind: string(record.Event.Cause), Summary: row.Kind + " " + row.Status, TraceParent: row.TraceParent,
			Detail: map[string]string{"event_id": row.EventID, "type": row.Type, "status": row.Status, "reason": row.Reason},
		})
	}
	return items, nil
}

func (b *Books) stateChanges(ctx context.Context, id uuid.UUID) ([]account.TimelineItem, error) {
	var rows []eventRow
	if err := b.reader(ctx).Where("transaction_id = ?", id).Order("seq").Find(&rows).Error; err != nil {
		return nil, err
	}
	items := make([]account.TimelineItem, 0, len(rows))
	for _, row := range rows {
		items = append(items, account.TimelineItem{
			At: row.At.at, Kind: "state_change", Summary: row.ToStatus,
			Detail: map[string]string{"event_id": row.ID.String(), "seq": strconv.Itoa(row.Seq), "from": string(row.FromStatus),
				"to": row.ToStatus, "cause": row.Cause},
		})
	}
	return items, nil
}

func (b *Books) postings(ctx context.Context, id uuid.UUID) ([]account.TimelineItem, error) {
	var rows []struct {
		Entry entryRow `gorm:"embedded"`
		Kind  string
		Code  nullText
	}
	err := b.reader(ctx).Table("entries").Select("entries.*, a.kind, a.code").Joins("JOIN accounts a ON a.id = entries.account_id").
		Where("entries.transaction_id = ?", id).Order("entries.line").Scan(&rows).Error
	if err != nil {
		return nil, err
	}
	items := make([]account.TimelineItem, 0, len(rows))
	for _, row := range rows {
		amount, err := moneyFromRow(row.Entry.Amount, row.Entry.Currency)
		if err != nil {
			return nil, err
		}
		name := string(row.Code)
		if row.Kind == "user" {
			name = row.Entry.AccountID.String()
		}
		items = append(items, account.TimelineItem{
			At: row.Entry.PostedAt.at, Kind: "entry", Summary: amount.String() + " on " + name,
			Detail: map[string]string{"account": name, "amount": amount.Decimal(), "currency": row.Entry.Currency, "line": strconv.Itoa(row.Entry.Line)},
		})
	}
	return items, nil
}

// linked is what follows the transaction, and what it follows.
func (b *Books) linked(ctx context.Context, id uuid.UUID) ([]account.TimelineItem, error) {
	var rows []transactionRow
	err := b.reader(ctx).Where(`user_id IS NOT NULL AND (linked_transaction_id = ?
		OR id = (SELECT linked_transaction_id FROM transactions WHERE id = ?))`, id, id).Order("id").Find(&rows).Error
	if err != nil {
		return nil, err
	}
	items := make([]account.TimelineItem, 0, len(rows))
	for _, row := range rows {
		amount, err := moneyFromRow(row.Amount, row.Currency)
		if err != nil {
			return nil, err
		}
		what := "followed by "
		if uuid.UUID(row.LinkedTransactionID) != id {
			what = "follows "
		}
		items = append(items, account.TimelineItem{
			At: row.Created.at, Kind: "linked", Summary: what + row.Type + " of " + amount.String(), TraceParent: row.TraceParent,
			Detail: map[string]string{"transaction_id": row.ID.String(), "type": row.Type, "status": row.Status},
		})
	}
	return items, nil
}
