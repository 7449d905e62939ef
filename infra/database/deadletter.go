package database

import (
	"github.com/google/uuid"

	"florin/domain/account"
)

// deadLetterRow is a row of dead_letters.
type deadLetterRow struct {
	ID            uuid.UUID `gorm:"column:id;primaryKey"`
	Source        string
	SourceName    string    `gorm:"column:source_name"`
	SourceID      uuid.UUID `gorm:"column:source_id"`
	TransactionID nullID    `gorm:"column:transaction_id"`
	Reason        string
	LastError     string `gorm:"column:last_error"`
	Tries         int
	Payload       string
	Status        string
	Created       moment `gorm:"column:created_at"`
	Settled       moment `gorm:"column:settled_at"`
	SettledBy     string `gorm:"column:settled_by"`
	SettledWhy    string `gorm:"column:settled_why"`
	NextAttemptAt moment `gorm:"column:next_attempt_at"`
	Fence         int64
}

func (deadLetterRow) TableName() string { return "dead_letters" }

func deadLetterToRow(d account.DeadLetter) deadLetterRow {
	return deadLetterRow{ID: d.ID, Source: string(d.Source), SourceName: d.SourceName, SourceID: d.SourceID,
		TransactionID: nullID(d.TransactionID), Reason: d.Reason, LastError: d.LastError, Tries: d.Tries, Payload: d.Payload,
		Status: string(d.Status), Created: momentOf(d.CreatedAt), Settled: momentOf(d.SettledAt), SettledBy: d.SettledBy,
		SettledWhy: d.SettledWhy}
}

func (r deadLetterRow) toDeadLetter() account.DeadLetter {
	return account.DeadLetter{ID: r.ID, Source: account.DeadLetterSource(r.Source), SourceName: r.SourceName, SourceID: r.SourceID,
		TransactionID: uuid.UUID(r.TransactionID), Reason: r.Reason, LastError: r.LastError, Tries: r.Tries, Payload: r.Payload,
		Status: account.DeadLetterStatus(r.Status), CreatedAt: r.Created.at, SettledAt: r.Settled.at, SettledBy: r.SettledBy,
		SettledWhy: r.SettledWhy}
}
