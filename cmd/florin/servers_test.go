package main

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/infra/database"
	"florin/infra/database/databasetest"
)

// TestTwoServersOnOnePostgres starts two servers at once on an empty database, and moves money through both: deposits at
// one are awaited at the other, transfers run both ways between two accounts, the same key is used at both.
func TestTwoServersOnOnePostgres(t *testing.T) {
	t.Parallel()
	url := secret(databasetest.EmptyURL(t, database.Postgres))
	first := &rig{t: t}
	second := &rig{t: t}
	var building sync.WaitGroup
	bank := make(chan string, 1)
	building.Go(func() {
		first.configure(database.Postgres, func(c *Config, _ *Options) { c.DatabaseURL = url })
		first.start()
		bank <- "http://" + first.app.bankListener.Addr().String()
	})
	building.Go(func() {
		second.configure(database.Postgres, func(c *Config, _ *Options) { c.DatabaseURL = url; c.MockBankURL = "http://127.0.0.1:1" })
		second.start()
	})
	building.Wait()
	require.False(t, t.Failed())
	// The second server is told of the first one's bank now that it has an address.
	second.stop()
	second.configure(database.Postgres, func(c *Config, _ *Options) { c.DatabaseURL = url; c.MockBankURL = <-bank })
	second.start()
	defer func() {
		first.check()
		second.stop()
		first.stop()
	}()

	here := first.user()
	there := &client{r: second, id: here.id, token: here.token}
	a, b := here.open("EUR"), there.open("EUR")
	here.fund(a, "500.00", "EUR")
	here.fund(b, "500.00", "EUR")

	d := here.deposit(a, "1.00", "EUR")
	var waited sync.WaitGroup
	waited.Go(func() {
		status := there.do("GET", "/transaction/"+d.text(t, "id")+"/status", "", "Prefer", "wait=20")
		assert.Equal(t, "completed", status.text(t, "status"), "a wait at one server ends with what the other one did")
	})
	first.complete(d.text(t, "payment_id"))
	waited.Wait()

	var sent, replayed atomic.Int64
	var clients sync.WaitGroup
	for n := range 16 {
		clients.Go(func() {
			from, to, c := a, b, here
			if n%2 == 1 {
				from, to, c = b, a, there
			}
			for i := range 20 {
				key := fmt.Sprintf("k-%d-%d", n, i)
				got := c.transfer(from, to, "1.00", "EUR", "Idempotency-Key", key)
				assert.Equal(t, 200, got.status, "%s", got.body)
				other := here
				if c == here {
					other = there
				}
				again := other.transfer(from, to, "1.00", "EUR", "Idempotency-Key", key)
				assert.Equal(t, got.body, again.body)
				assert.Equal(t, "true", again.header.Get("Idempotency-Replayed"))
				sent.Add(1)
				replayed.Add(1)
			}
		})
	}
	clients.Wait()
	assert.Equal(t, int64(16*20), sent.Load())
	assert.Equal(t, int64(16*20), first.count("SELECT COUNT(*) FROM transactions WHERE type = 'transfer'"))
	assert.Equal(t, "501.00 0.00 501.00", here.balance(a))
	assert.Equal(t, "500.00 0.00 500.00", there.balance(b))
}

// TestI28_EverySnapshotSumsToZero looks at the books while deposits and transfers run.
func TestI28_EverySnapshotSumsToZero(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c := r.user()
		a, b := c.open("EUR"), c.open("USD")
		c.fund(a, "100.00", "EUR")
		var clients sync.WaitGroup
		stop := make(chan struct{})
		for range 4 {
			clients.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					default:
					}
					if i%5 == 0 {
						r.complete(c.deposit(a, "1.00", "EUR").text(t, "payment_id"))
						continue
					}
					got := c.transfer(a, b, "0.10", "EUR")
					assert.Contains(t, []int{200, 422}, got.status, "%s", got.body)
				}
			})
		}
		for range 10 {
			checks, err := database.Verify(t.Context(), r.app.DB, r.app.Clock(), nil)
			require.NoError(t, err)
			require.Empty(t, database.Broken(checks))
		}
		close(stop)
		clients.Wait()
	})
}
