package database

import (
	"github.com/google/uuid"

	"florin/domain/account"
)

// reviewRow is a row of reviews.
type reviewRow struct {
	ID            uuid.UUID `gorm:"column:id;primaryKey"`
	Kind          string
	TransactionID nullID `gorm:"column:transaction_id"`
	InboxID       nullID `gorm:"column:inbox_id"`
	Detail        string
	Status        string
	Created       moment `gorm:"column:created_at"`
	Settled       moment `gorm:"column:settled_at"`
	Outcome       string
	SettledBy     string `gorm:"column:settled_by"`
	SettledWhy    string `gorm:"column:settled_why"`
	SettlementID  nullID `gorm:"column:settlement_id"`
}

func (reviewRow) TableName() string { return "reviews" }

// reviewToRow is a review as it is written; one without a status is open.
func reviewToRow(r account.Review) reviewRow {
	if r.Status == "" {
		r.Status = account.ReviewOpen
	}
	return reviewRow{ID: r.ID, Kind: r.Kind, TransactionID: nullID(r.TransactionID), InboxID: nullID(r.InboxID), Detail: r.Detail,
		Status: string(r.Status), Created: momentOf(r.CreatedAt), Settled: momentOf(r.SettledAt), Outcome: string(r.Outcome),
		SettledBy: r.SettledBy, SettledWhy: r.SettledWhy, SettlementID: nullID(r.SettlementID)}
}

func (r reviewRow) toReview() account.Review {
	return account.Review{ID: r.ID, Kind: r.Kind, TransactionID: uuid.UUID(r.TransactionID), InboxID: uuid.UUID(r.InboxID), Detail: r.Detail,
		Status: account.ReviewStatus(r.Status), CreatedAt: r.Created.at, SettledAt: r.Settled.at, SettledBy: r.SettledBy,
		SettledWhy: r.SettledWhy, Outcome: account.ReviewOutcome(r.Outcome), SettlementID: uuid.UUID(r.SettlementID)}
}

// settled is the row as it stood, with what may move taken from the other: equal to it when nothing else has changed.
func (r reviewRow) settled(now reviewRow) reviewRow {
	r.Status, r.Settled, r.Outcome = now.Status, now.Settled, now.Outcome
	r.SettledBy, r.SettledWhy, r.SettlementID = now.SettledBy, now.SettledWhy, now.SettlementID
	return r
}
