package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// shop is a user's server that takes webhooks, over real HTTP, and believes none that is not signed with its secret.
type shop struct {
	t      *testing.T
	server *httptest.Server

	mu      sync.Mutex
	secret  string
	status  int
	names   []string       // of the events, as they came first
	ids     map[string]int // how often each webhook id came
	forged  int
	seen    []string // "status" of each body's data
	headers []http.Header
}

func newShop(t *testing.T) *shop {
	s := &shop{t: t, status: 200, ids: map[string]int{}}
	s.server = httptest.NewServer(s)
	t.Cleanup(s.server.Close)
	return s
}

func (s *shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.headers = append(s.headers, r.Header.Clone())
	verifier, err := standardwebhooks.NewWebhook(s.secret)
	if err != nil || verifier.VerifyIgnoringTimestamp(body, r.Header) != nil {
		s.forged++
		w.WriteHeader(400)
		return
	}
	if s.status == 200 {
		if s.ids[r.Header.Get("webhook-id")]++; s.ids[r.Header.Get("webhook-id")] == 1 {
			var event struct {
				Type string `json:"type"`
				Data struct {
					Status string `json:"status"`
				} `json:"data"`
			}
			if err := json.Unmarshal(body, &event); err != nil {
				s.t.Errorf("body: %v", err)
			}
			s.names = append(s.names, event.Type)
			s.seen = append(s.seen, event.Data.Status)
		}
	}
	w.WriteHeader(s.status)
	_, _ = io.WriteString(w, "canary-of-the-answer")
}

func (s *shop) set(secret string, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secret, s.status = secret, status
}

func (s *shop) statuses() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.seen, " ")
}

func allowPrivate(c *Config, o *Options) {
	c.WebhookAllowPrivate = true
	o.Webhooks.Every = 50 * time.Millisecond
}

// TestAUsersServerHearsOfADeposit is the whole way: an endpoint over the API, a deposit that the bank confirms by webhook, and
// its events, signed, at the user's own server.
func TestAUsersServerHearsOfADeposit(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c, s := r.user(), newShop(t)
		created := c.do("POST", "/webhook-endpoints", fmt.Sprintf(`{"url":%q,"description":"shop"}`, s.server.URL+"/hook"), "Idempotency-Key", "hook")
		require.Equal(t, 201, created.status, "%s", created.body)
		id, secret := created.text(t, "id"), created.text(t, "secret")
		require.Equal(t, "/webhook-endpoints/"+id, created.header.Get("Location"))
		s.set(secret, 200)
		again := c.do("POST", "/webhook-endpoints", fmt.Sprintf(`{"url":%q,"description":"shop"}`, s.server.URL+"/hook"), "Idempotency-Key", "hook")
		require.Equal(t, string(created.body), string(again.body))
		require.Equal(t, "true", again.header.Get("Idempotency-Replayed"))
		require.Equal(t, "/webhook-endpoints/"+id, again.header.Get("Location"))

		account := c.open("EUR")
		c.fund(account, "100.00", "EUR")
		r.until(func() bool { return s.statuses() == "initiated pending completed" }, "the shop has heard of the deposit: %s", s.statuses())
		require.Zero(t, s.forged)

		list := c.do("GET", "/webhook-endpoints/"+id+"/deliveries?limit=2", "")
		require.Equal(t, 200, list.status, "%s", list.body)
		r.until(func() bool {
			list = c.do("GET", "/webhook-endpoints/"+id+"/deliveries?limit=2", "")
			return strings.Count(string(list.body), `"status":"delivered"`) == 2
		}, "the deliveries are recorded")
		next := c.do("GET", "/webhook-endpoints/"+id+"/deliveries?limit=2&cursor="+list.text(t, "next_cursor"), "")
		require.Equal(t, 200, next.status)
		require.Contains(t, string(next.body), `"event":"deposit.initiated"`)
		require.Contains(t, string(next.body), `"next_cursor":null`)
		for _, shown := range []answer{list, next, c.do("GET", "/webhook-endpoints", ""), c.do("GET", "/webhook-endpoints/"+id, "")} {
			assert.NotContains(t, string(shown.body), strings.TrimPrefix(secret, "whsec_"), "a secret is shown once")
			assert.NotContains(t, string(shown.body), "canary-of-the-answer", "S34: of an answer's body nothing is shown")
		}

		// A new secret: both sign, so the shop may take its time.
		rotated := c.do("POST", "/webhook-endpoints/"+id+"/rotate-secret", "")
		require.Equal(t, 200, rotated.status, "%s", rotated.body)
		require.NotEmpty(t, rotated.text(t, "old_secrets_expire_at"))
		c.deposit(account, "1.00", "EUR")
		r.until(func() bool { return strings.Count(s.statuses(), "pending") == 2 }, "the shop knows the old secret only")
		s.set(rotated.text(t, "secret"), 200)
		c.deposit(account, "1.00", "EUR")
		r.until(func() bool { return strings.Count(s.statuses(), "pending") == 3 }, "the shop knows the new secret only")
		require.Zero(t, s.forged)
	}, allowPrivate)
}

// TestF119_AWebhookOutlivesARestart: the shop is down, the program is stopped and started again, and then both are there.
func TestF119_AWebhookOutlivesARestart(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c, s := r.user(), newShop(t)
		created := c.do("POST", "/webhook-endpoints", fmt.Sprintf(`{"url":%q,"events":["deposit.completed"]}`, s.server.URL))
		require.Equal(t, 201, created.status, "%s", created.body)
		id := created.text(t, "id")
		s.set(created.text(t, "secret"), 503)
		c.fund(c.open("EUR"), "100.00", "EUR")
		deliveries := func() answer { return c.do("GET", "/webhook-endpoints/"+id+"/deliveries", "") }
		r.until(func() bool { return strings.Contains(string(deliveries().body), "answered 503") }, "an attempt has failed")
		r.restart()
		s.set(created.text(t, "secret"), 200)
		require.Empty(t, s.statuses())
		r.advance(10 * time.Minute) // within the life of a token
		r.until(func() bool { return s.statuses() == "completed" }, "the shop has heard of it")
		r.until(func() bool { return strings.Contains(string(deliveries().body), `"status":"delivered"`) }, "it is recorded")

		var page struct {
			Data []struct{ ID string }
		}
		require.NoError(t, json.Unmarshal(deliveries().body, &page))
		require.Len(t, page.Data, 1)
		resent := c.do("POST", "/webhook-endpoints/"+id+"/deliveries/"+page.Data[0].ID+"/resend", "")
		require.Equal(t, 202, resent.status, "%s", resent.body)
		require.Equal(t, "pending", resent.text(t, "status"))
		s.mu.Lock()
		require.Len(t, s.ids, 1)
		s.mu.Unlock()
		r.until(func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return len(s.ids) == 1 && s.ids[resent.text(t, "webhook_id")] == 2
		}, "it comes again as the same webhook")

		for _, line := range []string{"florin_webhook_backlog 0", `florin_webhook_deliveries_total{outcome="delivered"} 2`,
			"florin_webhook_delivery_duration_seconds_count 2", "florin_webhook_backlog_age_seconds 0"} {
			r.until(func() bool {
				_, metrics := fetch(t, r.app.AdminURL()+"/metrics")
				return strings.Contains(metrics, line)
			}, "%s", line)
		}
		off := c.do("PUT", "/webhook-endpoints/"+id, `{"status":"disabled"}`)
		require.Equal(t, "owner", off.text(t, "disabled_reason"))
		refused := c.do("POST", "/webhook-endpoints/"+id+"/deliveries/"+page.Data[0].ID+"/resend", "{}")
		require.Equal(t, 409, refused.status)
		require.Equal(t, "endpoint_disabled", refused.text(t, "code"))
		require.Equal(t, 204, c.do("DELETE", "/webhook-endpoints/"+id, "").status)
		require.Equal(t, 404, deliveries().status)
	}, allowPrivate)
}

// TestS34_PrivateURLsAreRefusedByTheAPI unless the setting allows them.
func TestS34_PrivateURLsAreRefusedByTheAPI(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c := r.user()
		for _, url := range []string{"http://example.com/", "https://127.0.0.1/", "https://localhost/", "https://169.254.169.254/", "https://[::1]/",
			"https://10.0.0.1/", "https://user@example.com/", "https://example.com:22/", "https://2130706433/"} {
			refused := c.do("POST", "/webhook-endpoints", fmt.Sprintf(`{"url":%q}`, url))
			require.Equal(t, 422, refused.status, "%s: %s", url, refused.body)
			require.Equal(t, "url_not_allowed", refused.text(t, "code"), url)
			require.Contains(t, string(refused.body), `"field":"url"`)
		}
		require.Equal(t, 400, c.do("POST", "/webhook-endpoints", `{"url":"https://example.com","secret":"mine"}`).status)
		require.Equal(t, 422, c.do("POST", "/webhook-endpoints", `{}`).status)
		good := c.do("POST", "/webhook-endpoints", `{"url":"https://example.com"}`)
		require.Equal(t, 201, good.status, "%s", good.body)
		require.Equal(t, 422, c.do("PUT", "/webhook-endpoints/"+good.text(t, "id"), `{"url":"https://127.0.0.1/"}`).status)
	})
}
