package sqlline_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/infra/database"
	"florin/infra/database/databasetest"
	"florin/infra/database/databasetest/sqlline"
)

// TestLinesKeepTheBooks runs every line from several clients on few accounts: nothing is lost, nothing deadlocks.
func TestLinesKeepTheBooks(t *testing.T) {
	books, err := sqlline.Open(t.Context(), databasetest.EmptyURL(t, database.Postgres), 4)
	require.NoError(t, err)
	const clients, rounds = 4, 25
	var running sync.WaitGroup
	for n := range clients {
		client, err := books.Client(t.Context())
		require.NoError(t, err)
		defer client.Close(t.Context())
		running.Go(func() {
			from, to := n%4, (n+1)%4
			for range rounds {
				assert.NoError(t, client.Transfer(t.Context(), from, to))
				assert.NoError(t, client.TransferPipelined(t.Context(), to, from))
				assert.NoError(t, client.Credit(t.Context(), to))
				assert.NoError(t, client.TransferMany(t.Context(), []sqlline.Pair{{From: from, To: to}, {From: to, To: from}, {From: 0, To: 3}}))
			}
		})
	}
	running.Wait()
	require.NoError(t, books.Check(t.Context(), clients*rounds))
	require.ErrorContains(t, books.Check(t.Context(), clients*rounds+1), "grown by 100")
}
