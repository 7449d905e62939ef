package database_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/domain/account"
	"florin/domain/errs"
	"florin/infra/database"
	"florin/infra/database/databasetest"
)

func TestS68_PayoutAccounts(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		store, ctx := database.NewPayoutAccounts(db), t.Context()
		store.Tell = true
		owner := newUser(t, "payee", "payee@example.com")
		require.NoError(t, database.NewUsers(db).CreateUser(ctx, owner, act("user.created")))
		_, err := store.FindPayoutAccount(ctx, "stripe", owner.ID())
		require.Equal(t, errs.NotFound, errs.KindOf(err))

		// Of many that are opened at once, one stays, and all learn which.
		var adding sync.WaitGroup
		kept := make([]account.PayoutAccount, 16)
		for i := range kept {
			adding.Go(func() {
				one, err := store.AddPayoutAccount(ctx, account.PayoutAccount{Provider: "stripe", ID: "acct_" + uuid.NewString(), UserID: owner.ID(), CreatedAt: userEpoch, UpdatedAt: userEpoch})
				assert.NoError(t, err)
				kept[i] = one
			})
		}
		adding.Wait()
		for _, one := range kept {
			require.Equal(t, kept[0], one)
		}
		var told []string
		require.NoError(t, db.Reader().Raw("SELECT kind || ' ' || address FROM notices").Scan(&told).Error)
		require.Equal(t, []string{"payout_account_added payee@example.com"}, told,
			"S68: the owner is told, once")
		found, err := store.FindPayoutAccountByID(ctx, "stripe", kept[0].ID)
		require.NoError(t, err)
		require.Equal(t, kept[0], found)
		require.Equal(t, userEpoch, found.CreatedAt)
		_, err = store.FindPayoutAccountByID(ctx, "other", kept[0].ID)
		require.Equal(t, errs.NotFound, errs.KindOf(err))

		found.Complete, found.PayoutsEnabled, found.UpdatedAt = true, true, userEpoch.Add(time.Minute)
		require.NoError(t, store.UpdatePayoutAccount(ctx, found))
		late := found
		late.PayoutsEnabled, late.UpdatedAt = false, userEpoch.Add(time.Second)
		require.NoError(t, store.UpdatePayoutAccount(ctx, late), "older news change nothing")
		now, err := store.FindPayoutAccount(ctx, "stripe", owner.ID())
		require.NoError(t, err)
		require.Equal(t, found, now)
	})
}

func TestPayoutAccountsAreListedByID(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		store, ctx := database.NewPayoutAccounts(db), t.Context()
		for i, id := range []string{"acct_b", "acct_B", "acct_a", "acct_c"} {
			owner := newUser(t, fmt.Sprint("payee", i), fmt.Sprintf("payee%d@example.com", i))
			require.NoError(t, database.NewUsers(db).CreateUser(ctx, owner, act("user.created")))
			provider := "stripe"
			if id == "acct_c" {
				provider = "other"
			}
			_, err := store.AddPayoutAccount(ctx, account.PayoutAccount{Provider: provider, ID: id, UserID: owner.ID(), CreatedAt: userEpoch, UpdatedAt: userEpoch})
			require.NoError(t, err)
		}
		var ids []string
		for after := ""; ; {
			page, err := store.ListPayoutAccounts(ctx, "stripe", after, 2)
			require.NoError(t, err)
			if len(page) == 0 {
				break
			}
			for _, one := range page {
				ids = append(ids, one.ID)
				after = one.ID
			}
		}
		require.Len(t, ids, 3)
		require.ElementsMatch(t, []string{"acct_B", "acct_a", "acct_b"}, ids)
	})
}
