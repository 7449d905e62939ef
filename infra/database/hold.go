package database

import (
	"fmt"

	"github.com/google/uuid"

	"florin/domain/account"
	"florin/domain/currency"
	"florin/domain/money"
)

// holdRow is a row of holds.
type holdRow struct {
	TransactionID uuid.UUID `gorm:"column:transaction_id;primaryKey"`
	AccountID     uuid.UUID `gorm:"column:account_id"`
	Currency      string
	Amount        int64
	Captured      int64
	Released      int64
	Status        string
	Created       moment `gorm:"column:created_at"`
	Ended         moment `gorm:"column:ended_at"`
}

// The statuses of a hold.
const (
	holdActive = "active"
	holdEnded  = "ended"
)

func (holdRow) TableName() string { return "holds" }

func holdToRow(h *account.Hold) holdRow {
	row := holdRow{
		TransactionID: h.TransactionID, AccountID: h.AccountID, Currency: h.Amount.Currency().Code(), Amount: h.Amount.Minor(),
		Captured: h.Captured.Minor(), Released: h.Released.Minor(), Status: holdActive,
		Created: momentOf(h.CreatedAt), Ended: momentOf(h.EndedAt),
	}
	if !h.Active() {
		row.Status = holdEnded
	}
	return row
}

func (r holdRow) toHold() (*account.Hold, error) {
	c, err := currency.Parse(r.Currency)
	if err != nil {
		return nil, fmt.Errorf("row of hold %s: %w", r.TransactionID, err)
	}
	return &account.Hold{
		TransactionID: r.TransactionID, AccountID: r.AccountID, Amount: money.New(r.Amount, c),
		Captured: money.New(r.Captured, c), Released: money.New(r.Released, c), CreatedAt: r.Created.at, EndedAt: r.Ended.at,
	}, nil
}

// settled is the row as it stood, with what may move taken from the other: equal to it when nothing else has changed.
func (r holdRow) settled(now holdRow) holdRow {
	r.Captured, r.Released, r.Status, r.Ended = now.Captured, now.Released, now.Status, now.Ended
	return r
}
