package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/infra/database"
)

// signed is an authentic completion of a new deposit of 100.00 EUR that is still pending, with its headers.
func (r *rig) signed(id string) (c *client, account, transaction, body string, header http.Header) {
	c = r.user()
	account = c.open("EUR")
	d := c.deposit(account, "100.00", "EUR")
	r.quiet()
	body = event("payment.completed", d.text(r.t, "payment_id"), d.text(r.t, "id"), 10000, "EUR")
	return c, account, d.text(r.t, "id"), body, r.sign(id, body)
}

// sendWebhook posts what may be no authentic webhook, and returns the status. Nothing of what was sent may come back.
func (r *rig) sendWebhook(body string, header http.Header) int {
	r.t.Helper()
	response, answer := r.raw("POST", "/webhook/mock", []byte(body), header)
	r.contract.Check(r.t, response.Request, response, answer)
	if response.StatusCode >= 400 {
		require.NotContains(r.t, string(answer), "payment.completed")
		require.NotContains(r.t, string(answer), "pay_")
	}
	return response.StatusCode
}

func with(header http.Header, name string, values ...string) http.Header {
	changed := header.Clone()
	changed[http.CanonicalHeaderKey(name)] = values
	return changed
}

func TestF48_WebhookThatIsNotAuthenticIsOnlyCounted(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c, euros, id, body, good := r.signed("evt_48")
		inbox := r.count("SELECT COUNT(*) FROM inbox")
		signature := good.Get("webhook-signature")
		flipped := []byte(body)
		flipped[len(flipped)/2] ^= 1
		for name, forged := range map[string]struct {
			body   string
			header http.Header
		}{
			"no signature":      {body, with(good, "webhook-signature")},
			"wrong signature":   {body, with(good, "webhook-signature", "v1,"+strings.Repeat("A", 43)+"=")},
			"truncated":         {body, with(good, "webhook-signature", signature[:len(signature)-1])},
			"another id":        {body, with(good, "webhook-id", "evt_49")},
			"another time":      {body, with(good, "webhook-timestamp", fmt.Sprint(r.app.Clock().Unix()+1))},
			"one bit flipped":   {string(flipped), good},
			"another amount":    {strings.Replace(body, "10000", "99999", 1), good},
			"serialised anew":   {strings.ReplaceAll(body, `":`, `": `), good},
			"a byte more":       {body + "\n", good},
			"a byte less":       {body[:len(body)-1], good},
			"a user's own word": {body, with(with(good, "webhook-signature"), "Authorization", "Bearer "+c.token)},
		} {
			assert.Equal(t, 400, r.sendWebhook(forged.body, forged.header), name)
		}
		require.EqualValues(t, 11, r.metric(`florin_webhooks_total{provider="mock",verdict="not_authentic"}`))
		require.Equal(t, inbox, r.count("SELECT COUNT(*) FROM inbox"))
		require.Equal(t, "pending", c.status(id))
		require.Equal(t, "0.00 0.00 0.00", c.balance(euros))

		require.Equal(t, 200, r.sendWebhook(body, good), "as it was signed it is believed")
		require.Equal(t, "100.00 0.00 100.00", c.balance(euros))
		r.complete(c.do("GET", "/transaction/"+id, "").text(t, "payment_id"))
	})
}

func TestF49_OldWebhookIsRefusedAndARecentOneHarmless(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c, euros, id, body, header := r.signed("evt_49")
		require.Equal(t, 200, r.sendWebhook(body, header))
		r.advance(290 * time.Second)
		require.Equal(t, 200, r.sendWebhook(body, header), "inside of the window it is known")
		r.advance(15 * time.Second)
		require.Equal(t, 400, r.sendWebhook(body, header), "outside of it nobody looks")
		require.Equal(t, "100.00 0.00 100.00", c.balance(euros))
		require.Equal(t, []string{"initiated", "pending", "completed"}, r.history(id))

		old := r.signAt("evt_49_old", body, r.app.Clock().Add(-305*time.Second))
		require.Equal(t, 400, r.sendWebhook(body, old))
		require.Empty(t, r.inbox("evt_49_old"))
		r.complete(c.do("GET", "/transaction/"+id, "").text(t, "payment_id"))
	})
}

func TestF50_WebhookOfTheFutureIsRefused(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c, euros, id, body, _ := r.signed("evt_50")
		now := r.app.Clock()
		require.Equal(t, 400, r.sendWebhook(body, r.signAt("evt_50", body, now.Add(320*time.Second))))
		require.Empty(t, r.inbox("evt_50"))
		require.Equal(t, "0.00 0.00 0.00", c.balance(euros))
		require.Equal(t, 200, r.sendWebhook(body, r.signAt("evt_50", body, now.Add(290*time.Second))), "clocks differ a little")
		require.Equal(t, "100.00 0.00 100.00", c.balance(euros))
		r.complete(c.do("GET", "/transaction/"+id, "").text(t, "payment_id"))
	})
}

func TestF53_HeaderAbuse(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c, euros, id, body, good := r.signed("evt_53")
		signature, stamp := good.Get("webhook-signature"), good.Get("webhook-timestamp")
		wrong := "v1," + strings.Repeat("A", 43) + "= "
		for name, abuse := range map[string]http.Header{
			"no time":              with(good, "webhook-timestamp"),
			"two times":            with(good, "webhook-timestamp", stamp, stamp),
			"time in hex":          with(good, "webhook-timestamp", "0x1"),
			"time with a sign":     with(good, "webhook-timestamp", "+"+stamp),
			"endless time":         with(good, "webhook-timestamp", strings.Repeat("9", 4000)),
			"no id":                with(good, "webhook-id"),
			"two ids":              with(good, "webhook-id", "evt_53", "evt_53"),
			"endless id":           with(good, "webhook-id", strings.Repeat("e", 4000)),
			"id with a dot":        with(good, "webhook-id", "evt.53"),
			"signature twice":      with(good, "webhook-signature", signature, signature),
			"only v0":              with(good, "webhook-signature", "v0"+signature[2:]),
			"no base64":            with(good, "webhook-signature", "v1,%%%%"),
			"the seventeenth":      with(good, "webhook-signature", strings.Repeat(wrong, 16)+signature),
			"hundreds, none right": with(good, "webhook-signature", strings.Repeat(wrong, 250)),
			"many empty":           with(good, "webhook-signature", "v1,"+strings.Repeat(" ", 4000)+signature),
		} {
			require.Equal(t, 400, r.sendWebhook(body, abuse), name)
		}
		// More headers than the server reads at all.
		response, _ := r.raw("POST", "/webhook/mock", []byte(body), with(good, "webhook-signature", strings.Repeat(wrong, 10_000)))
		require.Equal(t, 431, response.StatusCode)
		require.Empty(t, r.inbox("evt_53"))
		require.Equal(t, "0.00 0.00 0.00", c.balance(euros))

		require.Equal(t, 200, r.sendWebhook(body, with(good, "webhook-signature", strings.Repeat(wrong, 15)+signature)), "the sixteenth counts")
		require.Equal(t, "100.00 0.00 100.00", c.balance(euros))
		r.complete(c.do("GET", "/transaction/"+id, "").text(t, "payment_id"))
	})
}

// zeros is a body of n bytes that takes no memory.
func zeros(n int64) io.Reader { return io.LimitReader(nothing{}, n) }

type nothing struct{}

func (nothing) Read(p []byte) (int, error) { return len(p), nil }

// TestF56_HugeBodiesTakeNoMemory runs on one database after the other, because it counts what the process allocates.
func TestF56_HugeBodiesTakeNoMemory(t *testing.T) {
	const huge, times = int64(50 << 20), 6
	for _, dialect := range []database.Dialect{database.SQLite, database.Postgres} {
		t.Run(string(dialect), func(t *testing.T) {
			r := newRig(t, dialect)
			c := r.user()
			euros := c.open("EUR")
			deposit := "/account/" + euros + "/deposit"
			post := func(path string, body io.Reader, length int64, headers ...string) int {
				request, err := http.NewRequestWithContext(context.Background(), "POST", r.url+path, body)
				require.NoError(t, err)
				request.ContentLength = length // -1: in chunks, of unknown length
				request.Header.Set("Content-Type", "application/json")
				request.Header.Set("Authorization", "Bearer "+c.token)
				for i := 0; i+1 < len(headers); i += 2 {
					request.Header.Set(headers[i], headers[i+1])
				}
				response, err := r.http.Do(request)
				require.NoError(t, err)
				_, err = io.Copy(io.Discard, response.Body)
				require.NoError(t, errors.Join(err, response.Body.Close()))
				require.Equal(t, "application/problem+json", response.Header.Get("Content-Type"))
				return response.StatusCode
			}
			before := allocated()
			for range times {
				for _, path := range []string{"/webhook/mock", deposit} {
					require.Equal(t, 413, post(path, zeros(huge), huge))
					require.Equal(t, 413, post(path, zeros(huge), -1))
				}
			}
			require.Less(t, allocated()-before, huge/2, "of %d bodies of %d bytes", times*4, huge)

			nested := strings.Repeat("[", 100_000)
			require.Equal(t, 400, r.sendWebhook(nested, r.sign("evt_nested", nested)))
			require.Equal(t, 413, post(deposit, strings.NewReader(nested), int64(len(nested))))
			require.Equal(t, 400, post(deposit, strings.NewReader(nested[:60_000]), 60_000))
			var bomb bytes.Buffer
			packer := gzip.NewWriter(&bomb)
			_, err := io.Copy(packer, zeros(huge))
			require.NoError(t, errors.Join(err, packer.Close()))
			for _, path := range []string{"/webhook/mock", deposit} {
				require.Equal(t, 415, post(path, bytes.NewReader(bomb.Bytes()), int64(bomb.Len()), "Content-Encoding", "gzip"))
			}
			require.Zero(t, r.count("SELECT COUNT(*) FROM transactions"))
			require.Zero(t, r.count("SELECT COUNT(*) FROM inbox"))
		})
	}
}

func allocated() int64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.TotalAlloc)
}

// TestF57_S26_SlowAndIdleConnectionsDisturbNobody: that they are closed in the end, by the read timeout, webapi/middleware tests.
func TestF57_S26_SlowAndIdleConnectionsDisturbNobody(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c := r.user()
		euros := c.open("EUR")
		address := strings.TrimPrefix(r.url, "http://")
		var open []net.Conn
		defer func() {
			for _, conn := range open {
				_ = conn.Close()
			}
		}()
		for i := range 1000 {
			conn, err := net.Dial("tcp", address)
			require.NoError(t, err)
			open = append(open, conn)
			switch i % 4 {
			case 0: // a body of which only the beginning comes
				_, err = fmt.Fprintf(conn, "POST /webhook/mock HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
			case 1: // headers that do not end
				_, err = fmt.Fprintf(conn, "POST /account/%s/deposit HTTP/1.1\r\nHost: x\r\n", euros)
			}
			require.NoError(t, err)
		}
		for i := range 20 {
			for j := i; j < len(open); j += 80 { // one byte more of every slow body
				_, _ = open[j].Write([]byte(" "))
			}
			began := time.Now()
			d := c.deposit(euros, "1.00", "EUR")
			require.Equal(t, 202, d.status, "%s", d.body)
			r.complete(d.text(t, "payment_id"))
			c.await(d.text(t, "id"), "completed")
			require.Less(t, time.Since(began), 2*time.Second)
		}
		require.Equal(t, "20.00 0.00 20.00", c.balance(euros))
	}, func(c *Config, _ *Options) { c.ConnectionsPerAddress = 4096 }) // clients and attacker have one address here
}
