package database

import (
	"database/sql"
	"fmt"
	"time"

	"github.com/google/uuid"

	"florin/domain/account"
	"florin/domain/currency"
	"florin/domain/ledger"
	"florin/domain/money"
)

// accountRow is a row of accounts. Posted is NULL on system accounts alone.
type accountRow struct {
	ID          uuid.UUID `gorm:"column:id;primaryKey"`
	Kind        string
	UserID      nullID   `gorm:"column:user_id"`
	Code        nullText `gorm:"column:code"`
	Name        string
	Currency    string
	Status      string
	Posted      sql.NullInt64
	Held        int64
	Receivable  int64
	EntrySeq    int64  `gorm:"column:entry_seq"`
	LastEntryAt moment `gorm:"column:last_entry_at"`
	Created     moment `gorm:"column:created_at"`
	Updated     moment `gorm:"column:updated_at"`
	Closed      moment `gorm:"column:closed_at"`
}

func (accountRow) TableName() string { return "accounts" }

func accountToRow(a *account.Account) accountRow {
	s := a.State()
	return accountRow{
		ID: a.ID, Kind: "user", UserID: nullID(a.UserID), Name: a.Name, Currency: a.Currency.Code(), Status: string(s.Status),
		Posted: sql.NullInt64{Int64: s.Posted, Valid: true}, Held: s.Held, Receivable: s.Owed, EntrySeq: s.EntrySeq, LastEntryAt: momentOf(s.LastEntryAt),
		Created: momentOf(a.CreatedAt), Updated: momentOf(a.UpdatedAt), Closed: momentOf(a.ClosedAt),
	}
}

func (r accountRow) toAccount() (*account.Account, error) {
	c, err := currency.Parse(r.Currency)
	if err != nil {
		return nil, fmt.Errorf("row of account %s: %w", r.ID, err)
	}
	a := &account.Account{
		ID: r.ID, UserID: uuid.UUID(r.UserID), Name: r.Name, Currency: c,
		CreatedAt: r.Created.at, UpdatedAt: r.Updated.at, ClosedAt: r.Closed.at,
	}
	a.Restore(account.State{
		Status: account.Status(r.Status), Posted: r.Posted.Int64, Held: r.Held, Owed: r.Receivable, EntrySeq: r.EntrySeq, LastEntryAt: r.LastEntryAt.at,
	})
	return a, nil
}

// settled is the row as it stood, with what may move taken from the other: equal to it when nothing else has changed.
func (r accountRow) settled(now accountRow) accountRow {
	r.Name, r.Status, r.Posted, r.Held, r.EntrySeq = now.Name, now.Status, now.Posted, now.Held, now.EntrySeq
	r.Receivable, r.LastEntryAt, r.Updated, r.Closed = now.Receivable, now.LastEntryAt, now.Updated, now.Closed
	return r
}

func accountsFromRows(rows []accountRow) ([]*account.Account, error) {
	accounts := make([]*account.Account, 0, len(rows))
	for _, row := range rows {
		a, err := row.toAccount()
		if err != nil {
			return nil, err
		}
		accounts = append(accounts, a)
	}
	return accounts, nil
}

func systemAccountToRow(s ledger.SystemAccount, at time.Time) accountRow {
	return accountRow{
		ID: s.ID(), Kind: "system", Code: nullText(s.Code), Currency: s.Currency.Code(), Status: string(account.StatusActive),
		Created: momentOf(at), Updated: momentOf(at),
	}
}

// moneyFromRow reads an amount and the code of its currency; both empty are the zero Money.
func moneyFromRow(minor int64, code string) (money.Money, error) {
	if code == "" && minor == 0 {
		return money.Money{}, nil
	}
	c, err := currency.Parse(code)
	if err != nil {
		return money.Money{}, err
	}
	return money.New(minor, c), nil
}
