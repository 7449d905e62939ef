package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestF20_DatabaseAwayAtInitiate: away before anything is read, and then without space when our row is to be written.
func TestF20_DatabaseAwayAtInitiate(t *testing.T) {
	eachProxiedRig(t, func(t *testing.T, r *rig, n *network) {
		c, account, other := funded(r)
		r.quiet()
		before := r.rows()
		for _, away := range []func() func(){n.databaseFull, n.databaseDown} {
			back := away()
			for _, q := range creations(account, other)[:3] {
				body := strings.Replace(q.body, "{", "{"+largeMetadata(), 1)
				a := c.do("POST", q.path, body, "Idempotency-Key", q.name)
				requireProblem(t, a, 503, "database_unavailable", "")
				require.Regexp(t, "^[12]$", a.header.Get("Retry-After"))
				require.Len(t, r.payments(), 1, "nothing may reach the provider")
			}
			back()
			r.until(func() bool { return c.do("GET", "/account/"+account, "").status == 200 }, "the database is back")
			require.Equal(t, before, r.rows())
			require.Equal(t, "100.00 0.00 100.00", c.balance(account))
		}
		for _, q := range creations(account, other) {
			a := c.do("POST", q.path, q.body, "Idempotency-Key", q.name)
			require.Equal(t, q.status, a.status, "%s: %s", q.name, a.body)
			require.Empty(t, a.header.Get("Idempotency-Replayed"))
		}
		require.Len(t, r.payments(), 3)
		require.Equal(t, "90.00 10.00 80.00", c.balance(account))
	})
}

// largeMetadata is a member of a body that makes the row of its transaction larger than 20 KiB, so that it needs new pages.
func largeMetadata() string {
	members := make([]string, 45)
	for i := range members {
		members[i] = fmt.Sprintf(`"%d":%q`, i, strings.Repeat("x", 480))
	}
	return `"metadata":{` + strings.Join(members, ",") + "},"
}

func TestF25_DefiniteRefusal(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c, account, _ := funded(r)
		before := r.rows()
		failures := 0
		for scenario, code := range map[string]string{"decline": "declined", "no such scenario": "invalid"} {
			metadata := fmt.Sprintf(`"metadata":{"mock_scenario":%q}`, scenario)
			for kind, own := range map[string]string{"deposit": `"money_source":"card"`, "withdraw": `"external_target":{"routing_number":"021000021"}`} {
				key := kind + " " + scenario
				path, body := "/account/"+account+"/"+kind, fmt.Sprintf(`{"amount":"10.00","currency":"EUR",%s,%s}`, own, metadata)
				first := c.do("POST", path, body, "Idempotency-Key", key)
				require.Equal(t, 200, first.status, "%s", first.body)
				require.Equal(t, "failed", first.text(t, "status"))
				require.Equal(t, code, first.json(t)["failure"].(map[string]any)["code"])
				require.Empty(t, first.text(t, "payment_id"))
				require.Empty(t, first.text(t, "completed_at"))
				require.Equal(t, "100.00 0.00 100.00", c.balance(account))
				id := first.text(t, "id")
				require.EqualValues(t, 1, r.count("SELECT COUNT(*) FROM payment_events WHERE transaction_id = ? AND to_status = 'failed'", id))
				require.EqualValues(t, 2, r.count("SELECT COUNT(*) FROM payment_events WHERE transaction_id = ?", id))
				require.EqualValues(t, 1, r.count("SELECT COUNT(*) FROM provider_calls WHERE transaction_id = ?", id))
				require.Zero(t, r.count("SELECT COUNT(*) FROM holds WHERE transaction_id = ? AND status = 'active'", id))
				requireReplay(t, first, c.do("POST", path, body, "Idempotency-Key", key))
				failures++
			}
		}
		after := r.rows()
		require.Equal(t, before["transactions"]+int64(failures), after["transactions"])
		require.Equal(t, before["payments at the bank"], after["payments at the bank"])
		require.Equal(t, before["entries"], after["entries"])
		require.Equal(t, before["reviews"], after["reviews"])
		// Hours later nobody has asked the provider again.
		r.advance(3 * time.Hour)
		_, err := r.app.Sweep.RunOnce(t.Context())
		require.NoError(t, err)
		require.Equal(t, after, r.rows())
	})
}

// TestPreferWait holds an answer until its transaction is terminal, until the time is over, or not at all: of the request
// itself and of a poll.
func TestPreferWait(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c, account, other := funded(r)
		c.waitOnRequest(t, account, other)
		require.Equal(t, "104.00 0.00 104.00", c.balance(account))
		c.waitOnStatus(t, account, other)
		require.Equal(t, "114.00 0.00 114.00", c.balance(account))
	})
}

func (c *client) waitOnRequest(t *testing.T, account, other string) {
	r, q := c.r, creations(account, other)[0]
	held := make(chan answer, 1)
	go func() { held <- c.do("POST", q.path, q.body, "Idempotency-Key", "k", "Prefer", "wait=20") }()
	r.until(func() bool { return len(r.payments()) == 2 && r.app.Waiters.Count() == 1 }, "the request waits")
	requireProblem(t, c.do("POST", q.path, q.body, "Idempotency-Key", "k"), 409, "idempotency_key_in_flight", "")
	require.Empty(t, held)
	r.complete(r.payments()[1].ID)
	first := <-held
	require.Equal(t, 200, first.status, "%s", first.body)
	require.Equal(t, "completed", first.text(t, "status"))
	require.Equal(t, "wait=20", first.header.Get("Preference-Applied"))
	require.Equal(t, "110.00 0.00 110.00", c.balance(account), "never completed before the balance shows it")
	again := c.do("POST", q.path, q.body, "Idempotency-Key", "k")
	requireReplay(t, first, again)
	require.Empty(t, again.header.Get("Preference-Applied"))

	began := time.Now()
	over := c.do("POST", q.path, q.body, "Prefer", "wait=1", "Idempotency-Key", "over")
	require.Equal(t, 202, over.status, "%s", over.body)
	require.Equal(t, "pending", over.text(t, "status"))
	require.Equal(t, "wait=1", over.header.Get("Preference-Applied"))
	require.GreaterOrEqual(t, time.Since(began), time.Second)
	requireReplay(t, over, c.do("POST", q.path, q.body, "Idempotency-Key", "over"))

	// What is terminal at once is not held, and more than 30 s is 30 s.
	for asked, applied := range map[string]string{"wait=31": "wait=30", "wait=999999999": "wait=30", "wait=30": "wait=30", "wait=0": "wait=0",
		`respond-async, wait="7"; foo=bar`: "wait=7", "respond-async": ""} {
		x := c.transfer(account, other, "1.00", "EUR", "Prefer", asked)
		require.Equal(t, 200, x.status, "%s", x.body)
		require.Equal(t, applied, x.header.Get("Preference-Applied"), asked)
	}
	// What cannot be read is as if it were not sent, and so is a second wait (RFC 7240, section 2).
	for _, wrong := range []string{"wait", "wait=", "wait=x", "wait=-1", "wait=1.5", "wait=1e1", "wait=99999999999999999999"} {
		ignored := c.do("POST", q.path, q.body, "Prefer", wrong, "Idempotency-Key", "over")
		requireReplay(t, over, ignored)
		require.Empty(t, ignored.header.Get("Preference-Applied"), wrong)
	}
	twice := c.do("POST", q.path, q.body, "Prefer", "wait=0", "Prefer", "wait=1", "Idempotency-Key", "over")
	require.Equal(t, "wait=0", twice.header.Get("Preference-Applied"))
}

func (c *client) waitOnStatus(t *testing.T, account, other string) {
	r := c.r
	for i, settle := range []func(string){r.complete, r.fail} {
		q := creations(account, other)[i] // a deposit that completes, a withdrawal that fails
		open := c.do("POST", q.path, q.body)
		require.Equal(t, 202, open.status, "%s", open.body)
		path := open.header.Get("Location")
		now := c.do("GET", path, "")
		require.Equal(t, "pending", now.text(t, "status"))
		require.Empty(t, now.header.Get("Preference-Applied"))
		require.Equal(t, 304, c.do("GET", path, "", "If-None-Match", now.header.Get("ETag")).status)

		held := make(chan answer, 3)
		for range cap(held) {
			go func() { held <- c.do("GET", path, "", "Prefer", "wait=20") }()
		}
		r.until(func() bool { return r.app.Waiters.Count() == cap(held) }, "three wait")
		require.Empty(t, held)
		settle(open.text(t, "payment_id"))
		status := map[int]string{0: "completed", 1: "failed"}[i]
		for range cap(held) {
			done := <-held
			assert.Equal(t, 200, done.status, "%s", done.body)
			assert.Equal(t, status, done.text(t, "status"))
			assert.Equal(t, "wait=20", done.header.Get("Preference-Applied"))
			assert.NotEqual(t, now.header.Get("ETag"), done.header.Get("ETag"))
		}
		r.until(func() bool { return r.app.Waiters.Count() == 0 }, "nobody waits")
		// What is terminal is not held.
		require.Equal(t, status, c.do("GET", path, "", "Prefer", "wait=30").text(t, "status"))
	}
	open := c.deposit(account, "5.00", "EUR")
	path, began := open.header.Get("Location"), time.Now()
	over := c.do("GET", path, "", "Prefer", "wait=1")
	require.Equal(t, 200, over.status)
	require.Equal(t, "pending", over.text(t, "status"))
	require.Equal(t, "wait=1", over.header.Get("Preference-Applied"))
	require.GreaterOrEqual(t, time.Since(began), time.Second)
	require.Empty(t, c.do("GET", path, "", "Prefer", "wait=soon").header.Get("Preference-Applied"))
	requireProblem(t, r.user().do("GET", path, "", "Prefer", "wait=20"), 404, "not_found", "")
}
