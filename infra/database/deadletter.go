package database

import (
	"github.com/google/uuid"

	"florin/domain/account"
)

// deadLetterRow is a row of dead_letters.
type deadLetterRow struct {
	ID        uuid.UUID `gorm:"column:id;primaryKey"`
	Source    string
	SourceID  uuid.UUID `gorm:"column:source_id"`
	Reason    string
	LastError string `gorm:"column:last_error"`
	Tries     int
	Payload   string
	Status    string
	Created   moment `gorm:"column:created_at"`
	Settled   moment `gorm:"column:settled_at"`
}

func (deadLetterRow) TableName() string { return "dead_letters" }

func deadLetterToRow(d account.DeadLetter) deadLetterRow {
	return deadLetterRow{ID: d.ID, Source: d.Source, SourceID: d.SourceID, Reason: d.Reason, LastError: d.LastError, Tries: d.Tries,
		Payload: d.Payload, Status: d.Status, Created: momentOf(d.CreatedAt), Settled: momentOf(d.SettledAt)}
}
