package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	accountsvc "florin/service/account"
)

const (
	minute = time.Minute
	day    = 24 * time.Hour
)

// loginAgain gets the user a token for the program's present time.
func (c *client) loginAgain() {
	c.login(c.r.stored("SELECT username FROM users WHERE id = ?", c.id))
}

func TestF10_KeyIsForEver(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c, account, other := funded(r)
		var firsts []answer
		for _, q := range creations(account, other) {
			first := c.do("POST", q.path, q.body, "Idempotency-Key", q.name)
			require.Equal(t, q.status, first.status, "%s", first.body)
			firsts = append(firsts, first)
		}
		for _, payment := range firsts[:2] {
			r.complete(payment.text(t, "payment_id"))
			c.await(payment.text(t, "id"), "completed")
		}
		require.Equal(t, "90.00 0.00 90.00", c.balance(account))
		before := r.rows()

		r.advance(29 * day)
		require.NoError(t, r.app.retention().RunOnce(t.Context()))
		c.loginAgain()
		for i, q := range creations(account, other) {
			requireReplay(t, firsts[i], c.do("POST", q.path, q.body, "Idempotency-Key", q.name))
		}

		r.advance(2 * day)
		require.NoError(t, r.app.retention().RunOnce(t.Context()))
		c.loginAgain()
		require.Zero(t, r.count("SELECT COUNT(*) FROM idempotency_keys WHERE response_body IS NOT NULL"))
		for i, q := range creations(account, other) {
			late := c.do("POST", q.path, q.body, "Idempotency-Key", q.name)
			require.Equal(t, "true", late.header.Get("Idempotency-Replayed"), q.name)
			require.Equal(t, firsts[i].text(t, "id"), late.text(t, "id"), q.name)
			if q.name == "open" {
				require.Equal(t, 201, late.status, "%s", late.body)
			} else {
				require.Equal(t, 200, late.status, "%s", late.body)
				require.Equal(t, "completed", late.text(t, "status"), q.name)
			}
			other := strings.Replace(q.body, "EUR", "USD", 1)
			requireProblem(t, c.do("POST", q.path, other, "Idempotency-Key", q.name), 422, "idempotency_key_reused", "")
		}
		require.Equal(t, before, r.rows())
		require.Equal(t, "90.00 0.00 90.00", c.balance(account))
	})
}

// TestF13_PausedFirstCall: the process that runs a key is paused in its provider call for longer than its lease, and wakes.
func TestF13_PausedFirstCall(t *testing.T) {
	eachProxiedRig(t, func(t *testing.T, r *rig, n *network) {
		c, account, other := funded(r)
		for i, q := range creations(account, other)[:2] {
			hash := accountsvc.KeyHash(uuid.MustParse(c.id), q.name)
			key := func(column string) string {
				return r.stored("SELECT COALESCE(CAST("+column+" AS text), '') FROM idempotency_keys WHERE key_hash = ?", hash)
			}
			n.bank.replies.hold()
			zombie := make(chan answer, 1)
			go func() { zombie <- c.do("POST", q.path, q.body, "Idempotency-Key", q.name) }()
			r.until(func() bool { return len(r.payments()) == 2+i }, "the provider has the payment")

			inFlight := c.do("POST", q.path, q.body, "Idempotency-Key", q.name)
			requireProblem(t, inFlight, 409, "idempotency_key_in_flight", "")
			require.Regexp(t, "^[1-7]$", inFlight.header.Get("Retry-After"))
			require.Equal(t, "1", key("fence"))
			require.Empty(t, zombie)

			r.advance(8 * time.Second) // the lease is 7 s
			next := c.do("POST", q.path, q.body, "Idempotency-Key", q.name)
			require.Equal(t, 202, next.status, "%s", next.body)
			require.Equal(t, "true", next.header.Get("Idempotency-Replayed"))
			require.Equal(t, key("resource_id"), next.text(t, "id"))
			require.Contains(t, []string{"initiated", "pending"}, next.text(t, "status"))
			require.Equal(t, "2", key("fence"))
			stored, finished := key("response_body"), key("finished_at")
			require.Equal(t, stored, string(next.body))

			require.Empty(t, zombie)
			n.bank.replies.release()
			late := <-zombie
			require.Equal(t, 202, late.status, "%s", late.body)
			require.Equal(t, next.text(t, "id"), late.text(t, "id"))
			require.Equal(t, "2", key("fence"))
			require.Equal(t, stored, key("response_body"), "the zombie's answer must not be stored")
			require.Equal(t, finished, key("finished_at"))
			requireReplay(t, next, c.do("POST", q.path, q.body, "Idempotency-Key", q.name))
		}
		require.EqualValues(t, 3, r.count("SELECT COUNT(*) FROM transactions"))
		require.Len(t, r.payments(), 3)
		require.Equal(t, "100.00 10.00 90.00", c.balance(account))
	})
}

func TestF15_ClientHangsUpMidRequest(t *testing.T) {
	eachProxiedRig(t, func(t *testing.T, r *rig, n *network) {
		c, account, other := funded(r)
		requests := creations(account, other)
		before := r.rows()
		for _, q := range requests {
			// What the request is on the wire is what a refused twin of the same length is.
			began := n.front.requests.bytes()
			twin, err := c.send(t.Context(), q.path, strings.Replace(q.body, "EUR", "XXX", 1), "Idempotency-Key", q.name)
			require.NoError(t, err)
			require.Equal(t, 422, twin.status)
			size := n.front.requests.bytes() - began
			for _, arrives := range []int64{1, size / 4, size / 2, size - int64(len(q.body)), size - 2, size - 1} {
				n.front.requests.limitData(arrives)
				_, err := c.send(t.Context(), q.path, q.body, "Idempotency-Key", q.name)
				require.Error(t, err, "%s cut after %d of %d bytes", q.name, arrives, size)
			}
			n.front.requests.unlimit()
		}
		require.Equal(t, before, r.rows())

		for i, q := range requests[:2] {
			// All arrived; the client goes while the provider is being called.
			n.bank.replies.hold()
			ctx, hangUp := context.WithCancel(t.Context())
			over := make(chan error, 1)
			go func() {
				_, err := c.send(ctx, q.path, q.body, "Idempotency-Key", q.name)
				over <- err
			}()
			r.until(func() bool { return len(r.payments()) == int(before["payments at the bank"])+i+1 }, "the provider has the payment")
			hangUp()
			require.ErrorIs(t, <-over, context.Canceled)
			n.bank.replies.release()

			hash := accountsvc.KeyHash(uuid.MustParse(c.id), q.name)
			r.until(func() bool {
				return r.count("SELECT COUNT(*) FROM idempotency_keys WHERE key_hash = ? AND finished_at IS NOT NULL", hash) == 1
			}, "the request is finished without its client")
			again := c.do("POST", q.path, q.body, "Idempotency-Key", q.name)
			require.Equal(t, 202, again.status, "%s", again.body)
			require.Equal(t, "true", again.header.Get("Idempotency-Replayed"))
			require.Equal(t, "pending", again.text(t, "status"))
			require.Equal(t, r.payments()[len(r.payments())-1].TransactionID, again.text(t, "id"))
		}
		require.Equal(t, before["transactions"]+2, r.count("SELECT COUNT(*) FROM transactions"))
		require.Equal(t, "100.00 10.00 90.00", c.balance(account))
	})
}

// TestReplaysAreTheFirstAnswer: whatever became of the transaction since, of the program, and of how the request is spelled.
func TestReplaysAreTheFirstAnswer(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c, account, other := funded(r)
		requests := append(creations(account, other), request{"declined", "/account/" + account + "/deposit",
			`{"amount":"10.00","currency":"EUR","money_source":"card","metadata":{"mock_scenario":"decline"}}`, 200})
		var firsts []answer
		for _, q := range requests {
			first := c.do("POST", q.path, q.body, "Idempotency-Key", q.name)
			require.Equal(t, q.status, first.status, "%s", first.body)
			require.Empty(t, first.header.Get("Idempotency-Replayed"))
			requireReplay(t, first, c.do("POST", q.path, q.body, "Idempotency-Key", q.name))
			firsts = append(firsts, first)
		}
		r.complete(firsts[0].text(t, "payment_id"))
		c.await(firsts[0].text(t, "id"), "completed")
		r.fail(firsts[1].text(t, "payment_id"))
		c.await(firsts[1].text(t, "id"), "failed")
		before := r.rows()
		require.Equal(t, "100.00 0.00 100.00", c.balance(account))
		r.restart()
		for i, q := range requests {
			requireReplay(t, firsts[i], c.do("POST", q.path, q.body, "Idempotency-Key", q.name))
			spaced := strings.NewReplacer("{", " {\n", ",", " ,\t", `"10.00"`, "10.00").Replace(q.body)
			requireReplay(t, firsts[i], c.do("POST", q.path, spaced, "Idempotency-Key", q.name, "Prefer", "wait=5"))
		}
		backwards := `{"money_source":"card","currency":"EUR","amount":"10.00"}`
		requireReplay(t, firsts[0], c.do("POST", requests[0].path, backwards, "Idempotency-Key", "deposit"))
		require.Equal(t, before, r.rows())
		require.Equal(t, "100.00 0.00 100.00", c.balance(account))
	})
}
