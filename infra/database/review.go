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
}

func (reviewRow) TableName() string { return "reviews" }

func reviewToRow(r account.Review) reviewRow {
	return reviewRow{ID: r.ID, Kind: r.Kind, TransactionID: nullID(r.TransactionID), InboxID: nullID(r.InboxID), Detail: r.Detail,
		Status: "open", Created: momentOf(r.CreatedAt)}
}
