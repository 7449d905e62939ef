package database

import (
	"github.com/google/uuid"

	"florin/domain/account"
)

// effectRow is a row of effects. It is never changed.
type effectRow struct {
	Provider      string    `gorm:"column:provider;primaryKey"`
	Ref           string    `gorm:"column:ref;primaryKey"`
	Effect        string    `gorm:"column:effect;primaryKey"`
	TransactionID uuid.UUID `gorm:"column:transaction_id"`
	Created       moment    `gorm:"column:created_at"`
}

func (effectRow) TableName() string { return "effects" }

func effectToRow(e account.Effect) effectRow {
	return effectRow{Provider: e.Provider, Ref: e.Ref, Effect: e.Effect, TransactionID: e.TransactionID, Created: momentOf(e.CreatedAt)}
}

func (r effectRow) key() account.EffectKey {
	return account.EffectKey{Provider: r.Provider, Ref: r.Ref, Effect: r.Effect}
}
