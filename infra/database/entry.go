package database

import (
	"database/sql"
	"fmt"

	"github.com/google/uuid"

	"florin/domain/account"
	"florin/domain/ledger"
)

// entryRow is a row of entries. It is never changed.
type entryRow struct {
	TransactionID uuid.UUID     `gorm:"column:transaction_id;primaryKey"`
	Line          int           `gorm:"column:line;primaryKey;autoIncrement:false"`
	AccountID     uuid.UUID     `gorm:"column:account_id"`
	Currency      string        `gorm:"column:currency"`
	Amount        int64         `gorm:"column:amount"`
	AccountSeq    nullCount     `gorm:"column:account_seq"`
	BalanceAfter  sql.NullInt64 `gorm:"column:balance_after"`
	DebtorID      nullID        `gorm:"column:debtor_id"`
	PostedAt      moment        `gorm:"column:posted_at"`
}

func (entryRow) TableName() string { return "entries" }

func entryToRow(transactionID uuid.UUID, line int, e ledger.Entry) entryRow {
	return entryRow{
		TransactionID: transactionID, Line: line, AccountID: e.AccountID, Currency: e.Amount.Currency().Code(), Amount: e.Amount.Minor(),
		AccountSeq: nullCount(e.AccountSeq), BalanceAfter: sql.NullInt64{Int64: e.BalanceAfter, Valid: e.AccountSeq != 0},
		DebtorID: nullID(e.DebtorID), PostedAt: momentOf(e.At),
	}
}

// entryLineRow is an entry with the type of its transaction.
type entryLineRow struct {
	Entry entryRow `gorm:"embedded"`
	Type  string
}

func (r entryLineRow) toLine() (account.EntryLine, error) {
	amount, err := moneyFromRow(r.Entry.Amount, r.Entry.Currency)
	if err != nil {
		return account.EntryLine{}, fmt.Errorf("entry %d of transaction %s: %w", r.Entry.Line, r.Entry.TransactionID, err)
	}
	after, err := moneyFromRow(r.Entry.BalanceAfter.Int64, r.Entry.Currency)
	if err != nil {
		return account.EntryLine{}, fmt.Errorf("entry %d of transaction %s: %w", r.Entry.Line, r.Entry.TransactionID, err)
	}
	return account.EntryLine{
		TransactionID: r.Entry.TransactionID, TransactionType: account.Type(r.Type), AccountSeq: int64(r.Entry.AccountSeq),
		Amount: amount, BalanceAfter: after, PostedAt: r.Entry.PostedAt.at,
	}, nil
}
