package main

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"florin/pkg/eventbus"
	"florin/pkg/telemetry"
	accountsvc "florin/service/account"
)

// canaries are secrets that must be found nowhere. The IBAN is a withdrawal's target, whose own column holds it sealed.
type canaries struct{ password, token, refresh, iban string }

func (c canaries) all() map[string]string {
	return map[string]string{"the password": c.password, "the access token": c.token, "the refresh token": c.refresh, "the IBAN": c.iban,
		"the signing secret": rigWebhookSecret, "the bank's key": rigBankKey, "the key of tokens": "a secret of the rig, long enough to sign"}
}

// TestS46_CanariesAreFoundNowhere puts secrets into every input, where they belong and where they do not, and looks for them
// in all that the program tells or keeps. What a provider sent and where a payout goes is kept sealed; metadata are the
// client's own to write and to read.
func TestS46_CanariesAreFoundNowhere(t *testing.T) {
	var victims sync.Map
	logs := sync.Map{} // journal by data folder
	eachRig(t, func(t *testing.T, r *rig) {
		kept, _ := logs.Load(r.config.DataDir)
		log := kept.(*journal)
		c := &client{r: r}
		secrets := canaries{password: "canary-password-" + uuid.NewString(), iban: "DE89370400440532013000"}
		var problems strings.Builder
		told := func(a answer) answer {
			if a.status >= 400 {
				fmt.Fprintf(&problems, "%d %v %s\n", a.status, a.header, a.body)
			}
			return a
		}
		told(c.do("POST", "/user", fmt.Sprintf(`{"username":"canary","email":"canary@example.com","password":%q}`, secrets.password)))
		in := c.do("POST", "/auth/login", fmt.Sprintf(`{"identity":"canary","password":%q}`, secrets.password))
		require.Equal(t, 200, in.status, "%s", in.body)
		secrets.token, secrets.refresh = in.text(t, "access_token"), in.text(t, "refresh_token")
		c.token = secrets.token
		euros := c.open("EUR")
		c.fund(euros, "100.00", "EUR")

		for _, scenario := range []string{"", "decline"} {
			w := c.do("POST", "/account/"+euros+"/withdraw", fmt.Sprintf(`{"amount":"1.00","currency":"EUR","external_target":
				{"bank_account_number":%q,"routing_number":%q},"metadata":{"mock_scenario":%q}}`, secrets.iban, secrets.iban, scenario), "Idempotency-Key", "key "+scenario)
			require.Contains(t, []int{200, 202}, w.status, "%s", w.body)
			require.NotContains(t, string(w.body), secrets.iban)
			require.NotContains(t, string(c.do("GET", "/transaction/"+w.text(t, "id")+"/timeline", "").body), secrets.iban)
		}
		for _, secret := range secrets.all() {
			r.everywhere(c, euros, secret, told)
		}
		r.poisonWith(c, euros, secrets, &victims)

		shown := map[string]string{"logs": log.String(), "metrics": r.metrics(), "problems": problems.String(),
			"events":       strings.Join(r.column("SELECT payload FROM payment_events"), "\n"),
			"inbox":        strings.Join(r.column("SELECT event_id || type || reason || payment_id FROM inbox"), "\n"),
			"dead letters": strings.Join(r.column("SELECT reason || last_error || payload FROM dead_letters"), "\n"),
			"payloads":     strings.Join(r.column("SELECT payload FROM inbox"), "\n"),
			"targets":      strings.Join(r.column("SELECT external_target FROM transactions WHERE external_target IS NOT NULL"), "\n"),
			"reviews":      strings.Join(r.column("SELECT kind || detail FROM reviews"), "\n"),
			"audit":        strings.Join(r.column("SELECT actor || action || subject || reason || detail FROM audit"), "\n"),
			"calls":        strings.Join(r.column("SELECT operation || outcome FROM provider_calls"), "\n"),
			"answers":      strings.Join(r.column("SELECT fingerprint || COALESCE(response_body, '') FROM idempotency_keys"), "\n"),
			"users":        strings.Join(r.column("SELECT username || email || password_hash FROM users WHERE username IS NOT NULL"), "\n"),
		}
		for where, text := range shown {
			require.NotEmpty(t, strings.TrimSpace(text), "nothing to search in %s", where)
			for what, secret := range secrets.all() {
				if at := strings.Index(text, secret); at >= 0 {
					t.Errorf("%s shows in %s: …%s…", what, where, text[max(0, at-120):min(len(text), at+len(secret)+40)])
				}
			}
		}
	}, func(config *Config, o *Options) {
		log := &journal{}
		logs.Store(config.DataDir, log)
		o.Log = telemetry.NewLogger(log, slog.LevelDebug)
		o.Limits = accountsvc.Limits{Tries: 1}
		o.EventBus = func(bus eventbus.Publisher) eventbus.Publisher { return poisoner{bus, &victims} }
	})
}

// everywhere puts a secret into every input that may refuse it: fields, headers, queries, paths, and webhooks. Left out is
// X-Request-Id, which is there to be found again.
func (r *rig) everywhere(c *client, euros, secret string, told func(answer) answer) {
	quoted := fmt.Sprintf("%q", secret)
	bodies := map[string][]string{
		"/user": {`{"username":` + quoted + `,"email":"e@example.com","password":"x"}`, `{"username":"ok-name","email":` + quoted + `,"password":"some-password"}`,
			`{"username":"x","email":"x","password":` + quoted + `}`, `{` + quoted + `:1}`, quoted, secret},
		"/auth/login": {`{"identity":` + quoted + `,"password":` + quoted + `}`, `{"identity":"canary","password":` + quoted + `x`,
			`{"identity":"canary","password":[` + quoted + `]}`},
		"/auth/refresh": {`{"refresh_token":"x` + secret + `"}`},
		"/account":      {`{"currency":` + quoted + `}`, `{"currency":"EUR",` + quoted + `:` + quoted + `}`},
		"/account/" + euros + "/deposit": {`{"amount":` + quoted + `,"currency":"EUR","money_source":"card"}`,
			`{"amount":"1.00","currency":` + quoted + `,"money_source":"card"}`, `{"amount":"1.00","currency":"EUR","money_source":"card","provider":` + quoted + `}`,
			`{"amount":"1.00","currency":"EUR","money_source":"card","quote_id":` + quoted + `}`, `{"amount":"1.00","currency":"EUR","money_source":{` + quoted + `:1}}`,
			`{"amount":"1.00","currency":"EUR","money_source":"card","metadata":{` + quoted + `:` + quoted + `,` + quoted + `:1}}`},
		"/account/" + euros + "/withdraw": {`{"amount":"1000000","currency":"EUR","external_target":{"bank_account_number":` + quoted + `}}`,
			`{"amount":"1.00","currency":"EUR","external_target":{` + quoted + `:` + quoted + `}}`},
		"/account/" + euros + "/transfer": {`{"amount":"1.00","currency":"EUR","destination_account_id":` + quoted + `}`},
		"/webhook/mock":                   {quoted, `{"type":` + quoted + `}`},
	}
	for path, list := range bodies {
		for _, body := range list {
			refusal := c.do("POST", path, body)
			require.GreaterOrEqual(r.t, refusal.status, 400, "%s %s", path, body)
			if !strings.Contains(body, quoted+":") { // the name of a field that is not known is told to its sender
				told(refusal)
			}
		}
	}
	for _, header := range []string{"Authorization", "Prefer", "Content-Type", "Content-Encoding", "Traceparent", "Cookie",
		"Accept", "Origin", "X-Forwarded-For", "If-None-Match", "Idempotency-Key", "X-" + strings.Repeat("a", 20)} {
		stranger := &client{r: r}
		told(stranger.do("POST", "/account", `{"currency":"XXX"}`, "Authorization", "Bearer x"+secret))
		told(c.do("POST", "/account", `{"currency":"XXX"}`, header, secret))
		told(c.do("GET", "/transaction/"+uuid.NewString()+"/status", "", header, secret))
	}
	told(c.do("GET", "/account/"+euros+"/transactions?cursor="+url.QueryEscape(secret), ""))
	c.do("GET", "/account/"+euros+"/balance?"+url.QueryEscape(secret)+"=1", "") // like the name of a field
	c.do("GET", "/account/"+url.PathEscape(secret), "")                         // a problem names the path it is about, to him who asked for it
	c.do("GET", "/"+url.PathEscape(secret), "")
	body := fmt.Sprintf(`{"type":"payment.completed","timestamp":%s,"data":{"payment_id":"pay_x","transaction_id":%s,"amount":1,"currency":%s}}`, quoted, quoted, quoted)
	for status, header := range map[int]http.Header{200: r.sign("evt_unreadable", body),
		400: with(r.sign("evt_forged", body), "webhook-signature", secret)} {
		response, content := r.raw("POST", "/webhook/mock", []byte(body), header)
		told(answer{response.StatusCode, response.Header, content})
		require.Equal(r.t, status, response.StatusCode)
	}
	broken := body + "{"
	response, content := r.raw("POST", "/webhook/mock", []byte(broken), r.sign("evt_malformed",
		broken))
	told(answer{response.StatusCode, response.Header, content})
	require.Equal(r.t, 400, response.StatusCode)
}

// poisonWith has authentic events carry the secrets: some are stored as ignored, one becomes a dead letter, some end in a review.
func (r *rig) poisonWith(c *client, euros string, secrets canaries, victims *sync.Map) {
	for what, secret := range secrets.all() {
		name := plainName(what)
		body := fmt.Sprintf(`{"type":"customer.created","timestamp":"2026-01-01T00:00:00Z","data":{"note":%q}}`, secret)
		require.Equal(r.t, 200, r.webhook("evt_note_"+name, body))
	}
	d := c.deposit(euros, "3.00", "EUR")
	victims.Store(d.text(r.t, "id"), true)
	r.quiet()
	body := event("payment.completed", d.text(r.t, "payment_id"), d.text(r.t, "id"), 300, "EUR")
	for _, secret := range secrets.all() {
		body = strings.Replace(body, `"data":{`, fmt.Sprintf(`"data":{"note":%q,`, secret), 1)
	}
	require.Equal(r.t, 200, r.webhook("evt_poison", body))
	r.advance(2 * time.Second)
	r.until(func() bool { return r.inbox("evt_poison") == "dead: internal" }, "it is given up")
	victims.Delete(d.text(r.t, "id"))
	r.complete(d.text(r.t, "payment_id"))
	c.await(d.text(r.t, "id"), "completed")
	for what, secret := range secrets.all() {
		name := plainName(what)
		body := event("payment.failed", d.text(r.t, "payment_id"), d.text(r.t, "id"), 300, "EUR")
		body = strings.Replace(body, `"failure":null`, fmt.Sprintf(`"failure":{"code":"declined","message":%q}`, secret), 1)
		require.Equal(r.t, 200, r.webhook("evt_late_"+name, body)) // which ends in a review, once the bank was asked
	}
	r.advance(2 * time.Second)
	r.until(func() bool { return r.count("SELECT COUNT(*) FROM reviews") > 0 }, "a person is asked")
}

func plainName(what string) string { return strings.NewReplacer(" ", "_", "'", "").Replace(what) }
