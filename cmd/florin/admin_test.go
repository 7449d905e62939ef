package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/infra/notify/email/emailtest"
	"florin/pkg/eventbus"
	accountsvc "florin/service/account"
)

// administer sends a request to the admin listener, with a token or without.
func (r *rig) administer(token, method, path, body string) answer {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), method, r.app.AdminURL()+path, strings.NewReader(body))
	require.NoError(r.t, err)
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := r.http.Do(request)
	require.NoError(r.t, err)
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	require.NoError(r.t, err)
	return answer{response.StatusCode, response.Header, content}
}

// TestF62_PoisonIsRedrivenOverTheAdminListenerOnce: a poisonous event becomes a dead letter, which an administrator, who logged
// in at the public listener, redrives twice at the admin one. The deposit is credited once, and the audit has one act (S30, I26).
func TestF62_PoisonIsRedrivenOverTheAdminListenerOnce(t *testing.T) {
	var victims sync.Map
	eachRig(t, func(t *testing.T, r *rig) {
		boss := r.admin().token
		c := r.user()
		euros := c.open("EUR")
		d := c.deposit(euros, "100.00", "EUR")
		id := d.text(t, "id")
		r.quiet()
		victims.Store(id, true)
		r.complete(d.text(t, "payment_id"))
		r.until(func() bool { return r.count("SELECT COUNT(*) FROM dead_letters WHERE status = 'open'") == 1 }, "it is given up")
		letter := r.column("SELECT id FROM dead_letters")[0]
		path := "/admin/dead-letters/" + letter

		require.Equal(t, 401, r.administer("", "GET", "/admin/dead-letters", "").status)
		require.Equal(t, 403, r.administer(c.token, "GET", "/admin/dead-letters", "").status)
		require.Equal(t, 403, r.administer(c.token, "POST", path+"/redrive", `{"reason":"mine"}`).status)
		require.Equal(t, 404, c.do("GET", "/admin/dead-letters", "").status, "the public side knows nothing of it")
		listed := r.administer(boss, "GET", "/admin/dead-letters?status=open", "")
		require.Equal(t, 200, listed.status, "%s", listed.body)
		var page struct {
			Data []struct{ ID, Source, Reason string }
		}
		require.NoError(t, json.Unmarshal(listed.body, &page))
		require.Len(t, page.Data, 1)
		assert.Equal(t, []string{letter, "inbox", "internal"}, []string{page.Data[0].ID, page.Data[0].Source, page.Data[0].Reason})
		assert.Contains(t, r.metrics(), `florin_dead_letters{source="inbox"} 1`)

		victims.Delete(id)
		require.Equal(t, 422, r.administer(boss, "POST", path+"/redrive", `{"reason":" "}`).status)
		require.Equal(t, "0.00 0.00 0.00", c.balance(euros))
		redriven := r.administer(boss, "POST", path+"/redrive", `{"reason":"the handler is mended"}`)
		require.Equal(t, 200, redriven.status, "%s", redriven.body)
		c.await(id, "completed")
		require.Equal(t, 409, r.administer(boss, "POST", path+"/redrive", `{"reason":"again"}`).status)
		require.Equal(t, 409, r.administer(boss, "POST", path+"/discard", `{"reason":"again"}`).status)
		r.quiet()
		require.Equal(t, "100.00 0.00 100.00", c.balance(euros))
		require.EqualValues(t, 1, r.count("SELECT COUNT(*) FROM audit WHERE action LIKE 'dead_letter.%' AND subject = ? AND reason <> '' AND ip <> ''", letter))
		assert.Contains(t, r.metrics(), `florin_dead_letters{source="inbox"} 0`)
	}, func(_ *Config, o *Options) {
		o.Log = slog.New(slog.DiscardHandler)
		o.Limits = accountsvc.Limits{Tries: 1}
		o.EventBus = func(bus eventbus.Publisher) eventbus.Publisher { return poisoner{bus, &victims} }
	})
}

// TestF118_MailsFollowPaymentsAndNeverBlockThem: the mail server is silent at first, and money flows; then it is mended.
func TestF118_MailsFollowPaymentsAndNeverBlockThem(t *testing.T) {
	var log journal
	servers := sync.Map{} // *emailtest.Server by data folder
	eachRig(t, func(t *testing.T, r *rig) {
		kept, _ := servers.Load(r.config.DataDir)
		server := kept.(*emailtest.Server)
		c := r.user()
		euros := c.open("EUR")
		c.fund(euros, "100.00", "EUR")
		require.Equal(t, "100.00 0.00 100.00", c.balance(euros))
		r.until(func() bool { return r.count("SELECT COUNT(*) FROM mails WHERE status = 'pending' AND tries = 1") == 1 }, "the mail is tried")
		server.Behave(emailtest.Accept)
		r.advance(3 * time.Minute)
		r.until(func() bool { return r.count("SELECT COUNT(*) FROM mails WHERE status = 'sent'") == 1 }, "the mail is sent")
		taken := server.Messages()
		require.Len(t, taken, 1)
		assert.Equal(t, "Your deposit is completed: 100.00 EUR", taken[0].Subject)
		event := r.column("SELECT event_id FROM mails")[0]
		assert.Equal(t, fmt.Sprintf("<%s@florin.example>", event), taken[0].Header.Get("Message-Id"))
		for where, text := range map[string]string{"logs": log.String(), "metrics": r.metrics(), "mail": taken[0].Raw,
			"dead letters": strings.Join(r.column("SELECT last_error || payload FROM dead_letters"), "\n")} {
			assert.NotContains(t, text, "hunter2-canary", where) // S46
		}
	}, func(c *Config, o *Options) {
		server := emailtest.Start(t)
		server.Behave(emailtest.RefuseForNow)
		servers.Store(c.DataDir, server)
		c.SMTPURL, c.MailFrom = secret(server.URL("robot", "hunter2-canary")), "no-reply@florin.example"
		o.Log = slog.New(slog.NewTextHandler(&log, nil))
	})
}
