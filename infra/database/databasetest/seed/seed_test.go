package seed_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"florin/domain/account"
	"florin/infra/database"
	"florin/infra/database/databasetest"
	"florin/infra/database/databasetest/seed"
)

// TestSeededBooksAreSound also reads what was written the way the program does, so that the names by number are the ids.
func TestSeededBooksAreSound(t *testing.T) {
	t.Parallel()
	plan := seed.Plan{Users: 3, Accounts: 40, Transactions: 700, Every: 30 * time.Second, PasswordHash: "x",
		Start: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		ctx := t.Context()
		books, err := seed.Fill(ctx, db, plan)
		require.NoError(t, err)
		databasetest.CheckInvariants(t, db, books.At(701))

		stored := database.NewBooks(db)
		var total int64
		for n := range plan.Accounts {
			a, err := stored.FindAccount(ctx, books.User(books.Owner(n)), books.Account(n))
			require.NoError(t, err)
			then, err := stored.PostedAt(ctx, a, books.At(700))
			require.NoError(t, err)
			require.Equal(t, a.Posted(), then)
			total += then.Minor()
		}
		require.Greater(t, total, int64(40*seed.Funding), "later deposits")
		for _, n := range []int{1, 40, 41, 43, 45, 699, 700} {
			one, err := stored.TransactionStatus(ctx, books.Transaction(n))
			require.NoError(t, err)
			require.Equal(t, account.PaymentStatusCompleted, one)
			paid, err := stored.FindTransactionByPayment(ctx, "mock", books.PaymentID(n))
			require.Equal(t, books.HasPayment(n), err == nil)
			if err == nil {
				require.Equal(t, books.Transaction(n), paid.ID)
				require.Equal(t, books.At(n), paid.CreatedAt)
			}
		}
		page, err := stored.FindTransactions(ctx, books.Account(7), account.TransactionFilter{}, account.Page{Limit: 100})
		require.NoError(t, err)
		require.Greater(t, len(page), 10)
		events, err := database.NewLog(db, func() time.Time { return books.At(701) }).ReadAfter(ctx, 0, 10_000)
		require.NoError(t, err)
		require.Equal(t, int64(len(events)), events[len(events)-1].Position)
		require.Equal(t, books.Transaction(700).String(), events[len(events)-1].Event.TransactionID)
	})
}
