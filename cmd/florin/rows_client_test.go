package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	accountsvc "florin/service/account"
)

// funded is a user with 100.00 EUR on the first of two accounts.
func funded(r *rig) (c *client, account, other string) {
	c = r.user()
	account, other = c.open("EUR"), c.open("EUR")
	c.fund(account, "100.00", "EUR")
	return c, account, other
}

func TestF1_F2_RequestOrAnswerLost(t *testing.T) {
	eachProxiedRig(t, func(t *testing.T, r *rig, n *network) {
		c, account, other := funded(r)
		requests := creations(account, other)
		before := r.rows()
		n.front.cut()
		for _, q := range requests {
			_, err := c.send(t.Context(), q.path, q.body, "Idempotency-Key", q.name)
			require.Error(t, err, q.name)
		}
		n.front.heal()
		require.Equal(t, before, r.rows(), "a request that did not arrive")
		require.Equal(t, "100.00 0.00 100.00", c.balance(account))
		for _, q := range requests {
			retry := c.do("POST", q.path, q.body, "Idempotency-Key", q.name)
			require.Equal(t, q.status, retry.status, "%s: %s", q.name, retry.body)
			require.Empty(t, retry.header.Get("Idempotency-Replayed"), q.name)
		}
		require.Equal(t, before["transactions"]+3, r.count("SELECT COUNT(*) FROM transactions"))
		require.Equal(t, "90.00 10.00 80.00", c.balance(account))

		for _, q := range requests {
			for _, passes := range []int64{0, 200} { // of the answer: nothing, or a part of its headers
				c.loseAnswer(t, n, q, fmt.Sprintf("%s-%d", q.name, passes), passes)
			}
		}
		after := r.rows()
		require.Equal(t, before["transactions"]+3+6, after["transactions"])
		require.Equal(t, before["payments at the bank"]+2+4, after["payments at the bank"])
		require.Equal(t, before["idempotency_keys"]+4+8, after["idempotency_keys"])
		require.Equal(t, "70.00 30.00 40.00", c.balance(account))
		require.Equal(t, "30.00 0.00 30.00", c.balance(other))
	})
}

// loseAnswer sends a request, loses its answer after so many bytes, and requires the same answer of a retry.
func (c *client) loseAnswer(t *testing.T, n *network, q request, key string, passes int64) {
	n.front.replies.limitData(passes)
	_, err := c.send(t.Context(), q.path, q.body, "Idempotency-Key", key)
	require.Error(t, err, key)
	n.front.replies.unlimit()

	hash := accountsvc.KeyHash(uuid.MustParse(c.id), key)
	lost := c.r.stored("SELECT response_body FROM idempotency_keys WHERE key_hash = ?", hash)
	again := c.do("POST", q.path, q.body, "Idempotency-Key", key)
	require.Equal(t, q.status, again.status, "%s: %s", key, again.body)
	require.Equal(t, lost, string(again.body), key)
	require.Equal(t, "true", again.header.Get("Idempotency-Replayed"), key)
	require.Equal(t, c.r.stored("SELECT resource_id FROM idempotency_keys WHERE key_hash = ?", hash), again.text(t, "id"), key)
	requireReplay(t, again, c.do("POST", q.path, q.body, "Idempotency-Key", key))
}

// atOnce sends the request with one key 64 times at once and requires one first answer, and the same or 409 for the others.
func (c *client) atOnce(t *testing.T, q request, key string, sent func()) (first answer, conflicts int) {
	const clients = 64
	answers := make([]answer, clients)
	var running sync.WaitGroup
	for i := range answers {
		running.Go(func() { answers[i] = c.do("POST", q.path, q.body, "Idempotency-Key", key) })
	}
	sent()
	running.Wait()
	firsts := 0
	for _, a := range answers {
		if a.status == q.status && a.header.Get("Idempotency-Replayed") == "" {
			firsts++
			first = a
		}
	}
	require.Equal(t, 1, firsts, q.name)
	for _, a := range answers {
		switch {
		case a.status == 409:
			conflicts++
			requireProblem(t, a, 409, "idempotency_key_in_flight", "")
			require.Regexp(t, "^[1-7]$", a.header.Get("Retry-After"))
		case a.header.Get("Idempotency-Replayed") != "":
			requireReplay(t, first, a)
		default:
			require.Equal(t, first, a)
		}
	}
	return first, conflicts
}

// TestF5_ManyIdenticalRequestsAtOnce: as they come, and then all of them in one batch of the group commit.
func TestF5_ManyIdenticalRequestsAtOnce(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c, account, other := funded(r)
		before := r.rows()
		for _, q := range creations(account, other) {
			first, _ := c.atOnce(t, q, q.name, func() {})
			requireReplay(t, first, c.do("POST", q.path, q.body, "Idempotency-Key", q.name))

			release := r.blockLedger()
			first, conflicts := c.atOnce(t, q, q.name+" in one batch", func() {
				r.until(func() bool { return r.queued() == 64 }, "64 operations wait for one commit")
				release()
			})
			// Of a payment the first call still runs when its batch is committed; the others are finished by it.
			if q.status == 202 {
				require.Equal(t, 63, conflicts, q.name)
			} else {
				require.Zero(t, conflicts, q.name)
			}
			requireReplay(t, first, c.do("POST", q.path, q.body, "Idempotency-Key", q.name+" in one batch"))
		}
		after := r.rows()
		require.Equal(t, before["transactions"]+6, after["transactions"])
		require.Equal(t, before["payments at the bank"]+4, after["payments at the bank"])
		require.Equal(t, before["accounts"]+2, after["accounts"])
		require.Equal(t, "80.00 20.00 60.00", c.balance(account))
		require.Equal(t, "20.00 0.00 20.00", c.balance(other))
	})
}

func TestF6_F7_SameKeyForAnotherRequest(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c, account, other := funded(r)
		c.fund(other, "100.00", "EUR")
		for _, q := range creations(account, other) {
			first := c.do("POST", q.path, q.body, "Idempotency-Key", q.name)
			require.Equal(t, q.status, first.status, "%s", first.body)
			r.quiet()
			before, balance := r.rows(), c.balance(account)
			others := []string{
				strings.Replace(q.body, "10.00", "10.01", 1),
				strings.Replace(q.body, "EUR", "USD", 1),
				strings.Replace(q.body, "{", `{"metadata":{"order":"1"},`, 1),
			}
			if q.name == "open" {
				others = []string{strings.Replace(q.body, "EUR", "USD", 1), strings.Replace(q.body, "Savings", "savings", 1), `{"currency":"EUR"}`}
			}
			for _, body := range others {
				requireProblem(t, c.do("POST", q.path, body, "Idempotency-Key", q.name), 422, "idempotency_key_reused", "")
			}
			for _, elsewhere := range append(creations(account, other), creations(other, account)...) {
				if elsewhere.path != q.path {
					requireProblem(t, c.do("POST", elsewhere.path, elsewhere.body, "Idempotency-Key", q.name), 422, "idempotency_key_reused", "")
				}
			}
			require.Equal(t, before, r.rows(), q.name)
			require.Equal(t, balance, c.balance(account), q.name)
			requireReplay(t, first, c.do("POST", q.path, q.body, "Idempotency-Key", q.name))
		}
	})
}

func TestF8_I18_KeysArePerUserAndStandForOneTransaction(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		ada, adas, adasOther := funded(r)
		bob, bobs, bobsOther := funded(r)
		before := r.rows()
		answers := map[uuid.UUID]answer{}
		hers, his := creations(adas, adasOther), creations(bobs, bobsOther)
		for i := range hers {
			for _, key := range []string{"one " + hers[i].name, "two " + hers[i].name} {
				first := ada.do("POST", hers[i].path, hers[i].body, "Idempotency-Key", key)
				require.Equal(t, hers[i].status, first.status, "%s", first.body)
				if hers[i].name != "open" { // her route under her key tells him nothing
					requireProblem(t, bob.do("POST", hers[i].path, hers[i].body, "Idempotency-Key", key), 404, "not_found", "")
				}
				second := bob.do("POST", his[i].path, his[i].body, "Idempotency-Key", key)
				require.Equal(t, his[i].status, second.status, "%s", second.body)
				require.Empty(t, second.header.Get("Idempotency-Replayed"))
				for _, of := range []string{ada.id, adas, adasOther, first.text(t, "id")} {
					require.NotContains(t, string(second.body), of)
				}
				requireReplay(t, first, ada.do("POST", hers[i].path, hers[i].body, "Idempotency-Key", key))
				requireReplay(t, second, bob.do("POST", his[i].path, his[i].body, "Idempotency-Key", key))
				answers[accountsvc.KeyHash(uuid.MustParse(ada.id), key)] = first
				answers[accountsvc.KeyHash(uuid.MustParse(bob.id), key)] = second
			}
		}
		r.requireKeys(t, answers)
		require.Equal(t, before["transactions"]+12, r.count("SELECT COUNT(*) FROM transactions"))
		// Two keys for each request; opening an account is the same request for both users.
		require.EqualValues(t, 7, r.count("SELECT COUNT(DISTINCT fingerprint) FROM idempotency_keys"))
	})
}

// requireKeys requires that the keys are all there are, each finished with its answer and for a transaction of its own.
func (r *rig) requireKeys(t *testing.T, answers map[uuid.UUID]answer) {
	require.EqualValues(t, len(answers), r.count("SELECT COUNT(*) FROM idempotency_keys"))
	require.EqualValues(t, len(answers), r.count("SELECT COUNT(DISTINCT resource_id) FROM idempotency_keys"))
	for hash, a := range answers {
		var row struct {
			ResourceID, ResponseBody string
			ResponseStatus           int
		}
		require.NoError(t, r.app.DB.Reader().WithContext(t.Context()).Raw(`SELECT resource_id, response_status, response_body FROM idempotency_keys
			WHERE key_hash = ? AND finished_at IS NOT NULL AND locked_until IS NULL AND fence = 1`, hash).Scan(&row).Error)
		require.Equal(t, a.text(t, "id"), row.ResourceID)
		require.Equal(t, a.status, row.ResponseStatus)
		require.Equal(t, string(a.body), row.ResponseBody)
	}
}

// wire sends bytes that no HTTP client would, and returns the answer to them.
func (r *rig) wire(request string) answer {
	r.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	require.NoError(r.t, err)
	defer func() { _ = conn.Close() }()
	_, err = io.WriteString(conn, request)
	require.NoError(r.t, err)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(r.t, err)
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	require.NoError(r.t, err)
	return answer{response.StatusCode, response.Header, body}
}

// TestF9_F11_RefusedTriesUseNoKeyUp: neither a key that is malformed nor a request that is refused leaves anything behind.
func TestF9_F11_RefusedTriesUseNoKeyUp(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c, account, other := funded(r)
		before := r.rows()
		for _, q := range creations(account, other) {
			c.requireMalformedKeys(t, q)
			c.requireRefusals(t, q, account, other)
		}
		require.Equal(t, before, r.rows())
		for _, q := range creations(account, other) {
			a := c.do("POST", q.path, q.body, "Idempotency-Key", q.name)
			require.Equal(t, q.status, a.status, "%s: %s", q.name, a.body)
			require.Empty(t, a.header.Get("Idempotency-Replayed"), q.name)
		}
		for _, key := range []string{"k", strings.Repeat("~", 255), `!"#$%&'()*+,-./:;<=>?@[\]^_{|}`, "two words"} {
			require.Equal(t, 202, c.deposit(account, "1.00", "EUR", "Idempotency-Key", key).status, key)
		}
		require.Equal(t, 202, c.deposit(account, "1.00", "EUR").status) // a missing key is allowed
		require.Equal(t, before["transactions"]+3+5, r.count("SELECT COUNT(*) FROM transactions"))
		require.Equal(t, "90.00 10.00 80.00", c.balance(account))
	})
}

func (c *client) requireMalformedKeys(t *testing.T, q request) {
	const name = "Idempotency-Key: "
	for _, lines := range []string{
		name + "\r\n",
		name + "   \r\n",
		name + strings.Repeat("k", 256) + "\r\n",
		name + "a\x01b\r\n",
		name + "a\tb\r\n",
		name + "a\x7fb\r\n",
		name + "schlüssel\r\n",
		name + "one\r\n" + name + "two\r\n",
		name + "one\r\n" + name + "one\r\n",
		name + "one\r\n" + strings.ToLower(name) + "\r\n",
	} {
		a := c.r.wire(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: florin\r\nConnection: close\r\nAuthorization: Bearer %s\r\n"+
			"Content-Type: application/json\r\nContent-Length: %d\r\n%s\r\n%s", q.path, c.token, len(q.body), lines, q.body))
		if strings.ContainsAny(lines, "\x01\x7f") { // no header at all may hold these
			requireProblem(t, a, 400, "malformed_request", "")
		} else {
			requireProblem(t, a, 400, "invalid_idempotency_key", "Idempotency-Key")
		}
		page, anchor, _ := strings.Cut(a.text(t, "type"), "#")
		response, text := c.r.raw("GET", page, nil, nil)
		require.Equal(t, 200, response.StatusCode)
		require.Contains(t, string(text), `id="`+anchor+`"`)
	}
}

// requireRefusals sends the request with its name for a key and with one fault after the other.
func (c *client) requireRefusals(t *testing.T, q request, account, other string) {
	missing := uuid.NewString()
	for i, w := range []struct {
		path, body string
		status     int
	}{
		{q.path, q.body[:len(q.body)-1], 400},
		{q.path, strings.Replace(q.body, "{", `{"status":"completed",`, 1), 400},
		{q.path, strings.Replace(q.body, `"EUR"`, `"XXX"`, 1), 422},
		{strings.Replace(q.path, account, missing, 1), q.body, 404},
		{q.path, strings.Replace(q.body, "10.00", "0.00", 1), 422},
		{q.path, strings.Replace(q.body, "10.00", "100.01", 1), 422}, // more than there is
		{q.path, strings.Replace(q.body, other, missing, 1), 422},
	} {
		if w.path == q.path && w.body == q.body || q.name == "deposit" && i == 5 {
			continue // this kind of request has nothing of the sort
		}
		a := c.do("POST", w.path, w.body, "Idempotency-Key", q.name)
		require.Equal(t, w.status, a.status, "%s %d: %s", q.name, i, a.body)
	}
}

func TestF14_RefusedBeforeTheKeyIsRead(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c, account, other := funded(r)
		before := r.rows()
		large := `{"metadata":{"x":"` + strings.Repeat("x", 64<<10) + `"}}`
		exhausted := func() bool { return c.do("GET", "/account/"+account, "").status == 429 }
		for _, q := range creations(account, other) {
			post := func(token, contentType, body string) int {
				header := http.Header{"Idempotency-Key": {q.name}}
				if token != "" {
					header.Set("Authorization", "Bearer "+token)
				}
				header.Set("Content-Type", contentType)
				response, content := r.raw("POST", q.path, []byte(body), header)
				r.contract.Check(t, response.Request, response, content)
				return response.StatusCode
			}
			require.Equal(t, 401, post("", "application/json", q.body), q.name)
			require.Equal(t, 401, post("x"+c.token, "application/json", q.body), q.name)
			require.Equal(t, 413, post(c.token, "application/json", large), q.name)
			require.Equal(t, 415, post(c.token, "text/plain", q.body), q.name)
			r.until(exhausted, "the user is over the rate")
			require.Equal(t, 429, post(c.token, "application/json", q.body), q.name)
			r.advance(minute)
			require.Equal(t, before["idempotency_keys"], r.count("SELECT COUNT(*) FROM idempotency_keys"), q.name)
		}
		require.Equal(t, before, r.rows())
		for _, q := range creations(account, other) {
			a := c.do("POST", q.path, q.body, "Idempotency-Key", q.name)
			require.Equal(t, q.status, a.status, "%s: %s", q.name, a.body)
			require.Empty(t, a.header.Get("Idempotency-Replayed"), q.name)
		}
		require.Equal(t, "90.00 10.00 80.00", c.balance(account))
	}, func(c *Config, _ *Options) { c.RateLimit = "30/m" })
}
