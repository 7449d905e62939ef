package database

import (
	"github.com/google/uuid"

	"florin/domain/account"
)

// providerCallRow is a row of provider_calls.
type providerCallRow struct {
	ID            uuid.UUID `gorm:"column:id;primaryKey"`
	TransactionID uuid.UUID `gorm:"column:transaction_id"`
	Attempt       int
	Operation     string
	Outcome       string
	TraceParent   string `gorm:"column:trace_parent"`
	Started       moment `gorm:"column:started_at"`
	Ended         moment `gorm:"column:ended_at"`
}

func (providerCallRow) TableName() string { return "provider_calls" }

func providerCallToRow(c account.ProviderCall) providerCallRow {
	return providerCallRow{ID: c.ID, TransactionID: c.TransactionID, Attempt: c.Attempt, Operation: c.Operation, Outcome: c.Outcome,
		TraceParent: c.TraceParent, Started: momentOf(c.StartedAt), Ended: momentOf(c.EndedAt)}
}
