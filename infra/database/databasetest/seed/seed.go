// Package seed fills an empty, migrated database with the books of many past payments, on both kinds of database: for tests
// that look at plans, and for the benchmark of growth. It writes whole tables in few statements, under every constraint and
// trigger, and what it writes keeps the invariants of the books.
package seed

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"florin/infra/database"
)

// The amounts, in minor units of the one currency.
const (
	currencyCode = "EUR"
	// Funding is the first deposit on each account. What follows moves at most maxAmount at a time, so no account runs dry
	// before it has sent a million transfers.
	Funding   = 100_000_000
	maxAmount = 100
)

// stage is how many transactions one commit writes.
const stage = 100_000

// Plan says what books there are to be. The first transactions fund the accounts, so there are at least as many as accounts.
// After those, two in ten are deposits and one is a withdrawal through the mock provider, and the others are transfers, spread
// evenly.
type Plan struct {
	Users, Accounts, Transactions int
	// Start is the time before the first transaction; Every is how long each happens after the one before. Both are in whole
	// seconds, and all of it must be past.
	Start time.Time
	Every time.Duration
	// PasswordHash is every user's.
	PasswordHash string
}

// Books are those of a plan. Everything in them is known by its number.
type Books struct{ plan Plan }

// Fill writes the books of a plan, which takes some 100 microseconds for each transaction. The statements are long: a PostgreSQL database of a million rows
// wants to be opened with a StatementTimeout of minutes. A failure leaves what was committed.
func Fill(ctx context.Context, db *database.DB, plan Plan) (*Books, error) {
	if plan.Users < 1 || plan.Accounts < 2 || plan.Accounts < plan.Users || plan.Transactions < plan.Accounts ||
		plan.Every < time.Second || plan.Every%time.Second != 0 || plan.Start.Nanosecond() != 0 {
		return nil, errors.New("seed: at least one user and two accounts, an account for each user, a transaction for each account, " +
			"and times in whole seconds")
	}
	b := &Books{plan: plan}
	s := statements{Plan: plan, expressions: postgres{}}
	if db.Dialect() == database.SQLite {
		s.expressions = sqlite{}
	}
	writer := db.Writer().WithContext(ctx)
	if err := run(writer, s.people()); err != nil {
		return nil, err
	}
	for done := 0; done < plan.Transactions; {
		first, last := done+1, min(done+stage, plan.Transactions)
		if err := run(writer, s.payments(first, last)); err != nil {
			return nil, err
		}
		done = last
	}
	for _, text := range s.finish() {
		if err := writer.Exec(text).Error; err != nil {
			return nil, fmt.Errorf("seed: %w", err)
		}
	}
	return b, nil
}

// run is one commit.
func run(writer *gorm.DB, list []string) error {
	err := writer.Transaction(func(tx *gorm.DB) error {
		for _, text := range list {
			if err := tx.Exec(text).Error; err != nil {
				return fmt.Errorf("%w in %s", err, text)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("seed: %w", err)
	}
	return nil
}

// The parts of the ids, which keep those of different kinds apart. Events take theirs from partEvent on.
const (
	partUser = iota + 1
	partAccount
	partTransaction
	partInbox
	partCall
	partSession
	partEvent
)

// id is laid out as a UUIDv7: the milliseconds since 1970, then what makes it unique.
func id(at time.Time, part, number int) uuid.UUID {
	var id uuid.UUID
	text := fmt.Sprintf("%012x7%03x8%015x", at.UnixMilli(), part, number)
	if _, err := hex.Decode(id[:], []byte(text)); err != nil {
		panic(err) // every verb is hexadecimal
	}
	return id
}

// Username is the name of a user, 0 to Users-1.
func (b *Books) Username(user int) string { return fmt.Sprintf("seeded%d", user) }

// User is the id of a user, 0 to Users-1.
func (b *Books) User(user int) uuid.UUID { return id(b.plan.Start, partUser, user) }

// Account is the id of an account, 0 to Accounts-1.
func (b *Books) Account(account int) uuid.UUID { return id(b.plan.Start, partAccount, account) }

// Owner is the number of the user who has the account.
func (b *Books) Owner(account int) int { return account % b.plan.Users }

// Transaction is the id of a transaction, 1 to Transactions.
func (b *Books) Transaction(n int) uuid.UUID { return id(b.At(n), partTransaction, n) }

// At is when a transaction happened.
func (b *Books) At(n int) time.Time { return b.plan.Start.Add(time.Duration(n) * b.plan.Every) }

// HasPayment says whether a transaction goes through the provider; the others are transfers.
func (b *Books) HasPayment(n int) bool { return n <= b.plan.Accounts || n%5 == 0 || n%10 == 3 }

// PaymentID is the provider's name for a deposit or a withdrawal.
func (b *Books) PaymentID(n int) string { return fmt.Sprintf("pay_%d", n) }
