package database_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"florin/domain/account"
	"florin/infra/database"
	"florin/infra/database/databasetest"
)

func TestOriginsAreForgotten(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		k := newBookkeeper(t, db)
		user, from := k.funded(100)
		origins := database.NewDepositFailures(db)
		for _, at := range []time.Time{noon.Add(-time.Hour), noon} {
			made := k.transaction(account.TypeDeposit, user, from, eur(1))
			k.do(account.Needs{}, func(u account.UnitOfWork) error {
				u.AddTransaction(made)
				return move(u, made, k.now, account.CauseRequest, account.PaymentStatusInitiated)
			})
			require.NoError(t, origins.NoteOrigin(t.Context(), made.ID, "192.0.2.1", at))
		}
		removed, err := origins.PurgeOrigins(t.Context(), noon)
		require.NoError(t, err)
		require.Equal(t, 1, removed)
		require.Equal(t, 1, count(t, db, "SELECT COUNT(*) FROM deposit_origins"))
	})
}
