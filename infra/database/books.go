package database

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"florin/domain/account"
	"florin/domain/currency"
	"florin/domain/errs"
	"florin/domain/money"
)

// Books implements account.Books on the reader's handle. Every list is read through an index, a page at a time.
type Books struct{ db *DB }

// NewBooks returns the books of a database.
func NewBooks(db *DB) *Books { return &Books{db: db} }

func (b *Books) reader(ctx context.Context) *gorm.DB { return b.db.Reader().WithContext(ctx) }

// found names what was looked for where there is no row, and wraps any other error.
func found(operation, what string, err error) error {
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return errs.Missing(what)
	}
	return toErrs(operation, err)
}

// paged is a page of what a query finds, newest first.
func paged(query *gorm.DB, page account.Page) *gorm.DB {
	if page.Before != uuid.Nil {
		query = query.Where("id < ?", page.Before)
	}
	return query.Order("id DESC").Limit(page.Limit)
}

// narrowed keeps what has these values in these columns, of which the names are the program's own; "" is any value.
func narrowed(query *gorm.DB, columns map[string]string, transactionID uuid.UUID) *gorm.DB {
	for column, value := range columns {
		if value != "" {
			query = query.Where(column+" = ?", value)
		}
	}
	if transactionID != uuid.Nil {
		query = query.Where("transaction_id = ?", transactionID)
	}
	return query
}

// FindAccount implements account.Books.
func (b *Books) FindAccount(ctx context.Context, userID, accountID uuid.UUID) (*account.Account, error) {
	var row accountRow
	if err := b.reader(ctx).Where("id = ? AND user_id = ? AND kind = 'user'", accountID, userID).Take(&row).Error; err != nil {
		return nil, found("find account", "Account", err)
	}
	return row.toAccount()
}

// FindAccounts implements account.Books.
func (b *Books) FindAccounts(ctx context.Context, userID uuid.UUID, page account.Page) ([]*account.Account, error) {
	query := b.reader(ctx).Where("user_id = ? AND kind = 'user'", userID)
	var rows []accountRow
	if err := paged(query, page).Find(&rows).Error; err != nil {
		return nil, toErrs("find accounts", err)
	}
	return accountsFromRows(rows)
}

// SumAccounts implements account.Books. A sum beyond int64 is an error.
func (b *Books) SumAccounts(ctx context.Context, userID uuid.UUID) ([]account.Total, error) {
	var rows []struct {
		Currency     string
		Posted, Held int64
	}
	err := b.reader(ctx).Raw(`SELECT currency, CAST(SUM(posted) AS bigint) AS posted, CAST(SUM(held) AS bigint) AS held
		FROM accounts WHERE user_id = ? AND kind = 'user' GROUP BY currency ORDER BY currency`, userID).Scan(&rows).Error
	if err != nil {
		return nil, toErrs("sum accounts", err)
	}
	totals := make([]account.Total, 0, len(rows))
	for _, row := range rows {
		c, err := currency.Parse(row.Currency)
		if err != nil {
			return nil, toErrs("sum accounts", err)
		}
		totals = append(totals, account.Total{Currency: c, Posted: money.New(row.Posted, c), Held: money.New(row.Held, c)})
	}
	return totals, nil
}

// PostedAt implements account.Books.
func (b *Books) PostedAt(ctx context.Context, a *account.Account, at time.Time) (money.Money, error) {
	last, err := b.lastEntry(ctx, a.ID, "posted_at <= ?", at)
	if err != nil {
		return money.Money{}, toErrs("balance at a time", err)
	}
	return money.New(last.BalanceAfter.Int64, a.Currency), nil
}

// lastEntry is the account's last entry up to a time, the zero row where there is none. Times never run backwards on an
// account, so whatever is asked by time is asked by sequence number.
func (b *Books) lastEntry(ctx context.Context, accountID uuid.UUID, upTo string, at time.Time) (entryRow, error) {
	var row entryRow
	err := b.reader(ctx).Where("account_id = ? AND account_seq IS NOT NULL AND "+upTo, accountID, momentOf(at)).
		Order("posted_at DESC, account_seq DESC").Limit(1).Find(&row).Error
	return row, err
}

// HasOpenTransactions implements account.Books.
func (b *Books) HasOpenTransactions(ctx context.Context, accountID uuid.UUID) (bool, error) {
	var open []uuid.UUID
	err := b.reader(ctx).Model(&transactionRow{}).
		Where("account_id = ? AND next_attempt_at IS NOT NULL", accountID).Limit(1).Pluck("id", &open).Error
	return len(open) > 0, toErrs("find open transactions", err)
}

// FindTransaction implements account.Books.
func (b *Books) FindTransaction(ctx context.Context, userID, transactionID uuid.UUID) (*account.Transaction, uuid.UUID, error) {
	var row transactionRow
	err := b.reader(ctx).Select("transactions.*").Joins("LEFT JOIN accounts c ON c.id = transactions.counterparty_account_id").
		Where("transactions.id = ? AND (transactions.user_id = ? OR c.user_id = ?)", transactionID, userID, userID).Take(&row).Error
	if err != nil {
		return nil, uuid.Nil, found("find transaction", "Transaction", err)
	}
	t, err := b.db.transactionOf(row)
	if err != nil {
		return nil, uuid.Nil, err
	}
	if t.UserID != userID {
		return t, t.CounterpartyID, nil
	}
	return t, t.AccountID, nil
}

// FindTransactions implements account.Books: those that the account sent or started, and those that it received. A range of time
// is read off the index, so that an old one costs no more than a new one.
func (b *Books) FindTransactions(ctx context.Context, accountID uuid.UUID, filter account.TransactionFilter, page account.Page) ([]*account.Transaction, error) {
	narrow, args := narrowing(filter, page)
	side := func(column string) string {
		return `SELECT * FROM (SELECT * FROM transactions WHERE ` + column + ` = ?` + narrow + ` ORDER BY created_at DESC, id DESC LIMIT ?) AS ` + column
	}
	all := append(append([]any{accountID}, args...), page.Limit)
	all = append(append(all, all...), page.Limit)
	var rows []transactionRow
	err := b.reader(ctx).Raw(side("account_id")+" UNION ALL "+side("counterparty_account_id")+" ORDER BY created_at DESC, id DESC LIMIT ?", all...).
		Scan(&rows).Error
	if err != nil {
		return nil, toErrs("find transactions", err)
	}
	return b.db.transactionsOf(rows)
}

func narrowing(filter account.TransactionFilter, page account.Page) (where string, args []any) {
	add := func(condition string, values ...any) {
		where += " AND " + condition
		args = append(args, values...)
	}
	if page.Before != uuid.Nil {
		add("(created_at, id) < ((SELECT last.created_at FROM transactions last WHERE last.id = ?), ?)", page.Before, page.Before)
	}
	if filter.Type != "" {
		add("type = ?", string(filter.Type))
	}
	if filter.Status != "" {
		add("status = ?", string(filter.Status))
	}
	if !filter.From.IsZero() {
		add("created_at >= ?", momentOf(filter.From))
	}
	if !filter.To.IsZero() {
		add("created_at < ?", momentOf(filter.To))
	}
	return where, args
}

// FindEntries implements account.Books.
func (b *Books) FindEntries(ctx context.Context, accountID uuid.UUID, filter account.EntryFilter) ([]account.EntryLine, error) {
	query := b.reader(ctx).Table("entries").Select("entries.*, t.type").Joins("JOIN transactions t ON t.id = entries.transaction_id").
		Where("entries.account_id = ? AND entries.account_seq IS NOT NULL", accountID)
	if filter.BeforeSeq > 0 {
		query = query.Where("entries.account_seq < ?", filter.BeforeSeq)
	}
	if !filter.From.IsZero() {
		before, err := b.lastEntry(ctx, accountID, "posted_at < ?", filter.From)
		if err != nil {
			return nil, toErrs("find entries", err)
		}
		query = query.Where("entries.account_seq > ?", int64(before.AccountSeq))
	}
	if !filter.To.IsZero() {
		last, err := b.lastEntry(ctx, accountID, "posted_at < ?", filter.To)
		if err != nil {
			return nil, toErrs("find entries", err)
		}
		query = query.Where("entries.account_seq <= ?", int64(last.AccountSeq))
	}
	var rows []entryLineRow
	if err := query.Order("entries.account_seq DESC").Limit(filter.Limit).Scan(&rows).Error; err != nil {
		return nil, toErrs("find entries", err)
	}
	return convertAll(rows, entryLineRow.toLine)
}

// FindTransactionByPayment implements account.Books.
func (b *Books) FindTransactionByPayment(ctx context.Context, provider, paymentID string) (*account.Transaction, error) {
	var row transactionRow
	// The last two conditions are those of the index, without which neither database uses it.
	err := b.reader(ctx).Where(`provider = ? AND payment_id = ? AND payment_id IS NOT NULL AND type IN ('deposit', 'withdraw')`, provider, paymentID).
		Take(&row).Error
	if err != nil {
		return nil, found("find transaction by payment", "Transaction", err)
	}
	return b.db.transactionOf(row)
}

// FindFollowUp implements account.Books.
func (b *Books) FindFollowUp(ctx context.Context, provider, ref string) (*account.Transaction, error) {
	var row transactionRow
	err := b.reader(ctx).Where(`provider = ? AND payment_id = ? AND payment_id IS NOT NULL
		AND type IN ('refund', 'refund_reversal', 'chargeback', 'chargeback_reversal', 'payout_return', 'correction', 'fee')
		AND type IN ('refund', 'chargeback')`, provider, ref).Take(&row).Error
	if err != nil {
		return nil, found("find what follows a payment", "Transaction", err)
	}
	return b.db.transactionOf(row)
}

// TransactionStatus implements account.Books.
func (b *Books) TransactionStatus(ctx context.Context, transactionID uuid.UUID) (account.PaymentStatus, error) {
	var status []string
	if err := b.reader(ctx).Model(&transactionRow{}).Where("id = ?", transactionID).Pluck("status", &status).Error; err != nil {
		return "", toErrs("transaction status", err)
	}
	if len(status) == 0 {
		return "", errs.Missing("Transaction")
	}
	return account.PaymentStatus(status[0]), nil
}
