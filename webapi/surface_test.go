package webapi

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"florin/domain/account"
	"florin/domain/user"
	usersvc "florin/service/user"
	"florin/webapi/middleware"
	"florin/webapi/payout"
	webuser "florin/webapi/user"
)

func TestF48_WebhookVerdicts(t *testing.T) {
	const event = `{"type": "payment.completed"}`
	cases := []struct {
		name, path, body string
		headers          []string
		down             error
		status           int
		code, verdict    string
	}{
		{"stored", "/webhook/payment", event, []string{"X-Sign-Mock: good"}, nil, 200, "", "mock stored"},
		{"stored, named", "/webhook/stripe", event, []string{"X-Sign-Stripe: good"}, nil, 200, "", "stripe stored"},
		{"two could have signed", "/webhook/payment", event, []string{"X-Sign-Mock: bad", "X-Sign-Stripe: good"}, nil, 200, "", "stripe stored"},
		{"forged", "/webhook/payment", event, []string{"X-Sign-Mock: bad"}, nil, 400, "webhook_not_authentic", "mock not_authentic"},
		{"unsigned", "/webhook/payment", event, nil, nil, 400, "webhook_not_authentic", "unknown not_authentic"},
		{"another provider's", "/webhook/stripe", event, []string{"X-Sign-Mock: good"}, nil, 400, "webhook_not_authentic", "stripe not_authentic"},
		{"not parseable", "/webhook/payment", `{"type`, []string{"X-Sign-Mock: good"}, nil, 400, "webhook_malformed", "mock malformed"},
		{"not stored", "/webhook/payment", event, []string{"X-Sign-Mock: good"}, errors.New("no disk"), 503, "webhook_not_stored", "mock not_stored"},
		{"no such provider", "/webhook/paypal", event, []string{"X-Sign-Mock: good"}, nil, 404, "not_found", ""},
		{"too large", "/webhook/mock", strings.Repeat(" ", 256<<10+1), []string{"X-Sign-Mock: good"}, nil, 413, "body_too_large", ""},
		{"encoded", "/webhook/mock", event, []string{"X-Sign-Mock: good", "Content-Encoding: gzip"}, nil, 415, "unsupported_encoding", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := newTestServer(t)
			s.received.err = c.down
			a := s.do(t, uuid.Nil, "POST", c.path, c.body, c.headers...)
			require.Equal(t, c.status, a.status, a.body)
			require.NotContains(t, a.body, "payment.completed")
			if c.verdict == "" {
				require.Empty(t, s.verdicts.seen)
			} else {
				require.Equal(t, []string{c.verdict}, s.verdicts.seen)
			}
			if c.status != 200 {
				require.Equal(t, c.code, a.problem(t).Code)
				require.Empty(t, s.received.events)
				require.Equal(t, c.status == 503, a.header.Get("Retry-After") != "")
				return
			}
			require.JSONEq(t, `{"received":true}`, a.body)
			require.Len(t, s.received.events, 1)
			got := s.received.events[0]
			require.Equal(t, c.body, string(got.Raw))
			require.Equal(t, account.CauseWebhook, got.Cause)
			require.Equal(t, strings.Fields(c.verdict)[0], got.Provider)
		})
	}
}

func TestS51_UserTokenOpensNoWebhook(t *testing.T) {
	s := newTestServer(t)
	require.Equal(t, 400, s.do(t, ada, "POST", "/webhook/payment", `{}`).status)
	require.Equal(t, 200, s.do(t, uuid.Nil, "POST", "/webhook/payment", `{}`, "X-Sign-Mock: good", "Authorization: Bearer nonsense").status)
}

// TestF16_WebhookBytesOutliveTheRequest sends another request over the same server before looking at the first's bytes.
func TestF16_WebhookBytesOutliveTheRequest(t *testing.T) {
	s := newTestServer(t)
	for _, body := range []string{`{"n":1}`, `{"n":2}`, `{"n":3}`} {
		s.do(t, uuid.Nil, "POST", "/webhook/mock", body, "X-Sign-Mock: good")
	}
	for i, body := range []string{`{"n":1}`, `{"n":2}`, `{"n":3}`} {
		require.Equal(t, body, string(s.received.events[i].Raw))
	}
}

func TestF56_LargeNestedAndEncodedBodies(t *testing.T) {
	s := newTestServer(t)
	require.Equal(t, 413, s.do(t, ada, "POST", depositPath(), strings.Repeat(" ", 64<<10+1)).status)
	require.Equal(t, 400, s.do(t, ada, "POST", depositPath(), `{"metadata":`+strings.Repeat("[", 60_000)).status)
	require.Equal(t, 415, s.do(t, ada, "POST", depositPath(), depositBody, "Content-Encoding: gzip").status)
	require.Equal(t, 415, s.do(t, ada, "POST", depositPath(), depositBody, "Content-Type: text/plain").status)
	require.Empty(t, s.accounts.calls)
}

// TestS1_EveryRouteAsksForWhatItsAccessSays goes through the table without a credential and with a bad one.
func TestS1_EveryRouteAsksForWhatItsAccessSays(t *testing.T) {
	s := newTestServer(t)
	checked := 0
	for _, route := range s.Routes {
		if route.Access != User && route.Access != Admin {
			continue
		}
		path := strings.ReplaceAll(route.Path, ":id", payment.String())
		for _, headers := range [][]string{nil, {"Authorization: Bearer nonsense"}, {"Authorization: Basic eDp5"}} {
			a := s.do(t, uuid.Nil, route.Method, path, "", headers...)
			require.Equal(t, 401, a.status, route.Method+" "+path)
			require.NotEmpty(t, a.header.Get("WWW-Authenticate"))
			a.problem(t)
		}
		checked++
	}
	require.Greater(t, checked, 15)
}

func TestS42_MethodsAndUnknownRoutes(t *testing.T) {
	s := newTestServer(t)
	a := s.do(t, ada, "DELETE", "/accounts", "")
	require.Equal(t, 405, a.status)
	require.Contains(t, a.header.Get("Allow"), "GET")
	a.problem(t)
	for _, method := range []string{"TRACE", "CONNECT", "BREW"} {
		require.Equal(t, 405, s.do(t, ada, method, "/accounts", "").status, method)
	}
	for _, path := range []string{"/nothing", "/accounts/", "/Accounts", "/metrics", "/debug/pprof/", "/transaction"} {
		a := s.do(t, ada, "GET", path, "")
		require.Equal(t, 404, a.status, path)
		a.problem(t)
	}
	head := s.do(t, ada, "HEAD", "/accounts", "")
	require.Equal(t, 200, head.status)
	require.Empty(t, head.body)
}

func TestDocsAreServedFromTheProgram(t *testing.T) {
	s := newTestServer(t)
	page := s.do(t, uuid.Nil, "GET", "/docs", "")
	require.Equal(t, 200, page.status)
	policy := page.header.Get("Content-Security-Policy")
	require.Contains(t, policy, "script-src 'self' 'sha256-")
	require.NotContains(t, strings.Split(policy, "style-src")[0], "unsafe-inline")
	require.NotRegexp(t, `(src|href)="(https?:)?//`, page.body)
	require.Contains(t, page.body, `"/openapi.json"`)
	for _, asset := range []string{"swagger-ui.css", "swagger-ui-bundle.js", "swagger-ui-standalone-preset.js", "favicon-32x32.png"} {
		require.Contains(t, page.body, "/docs/"+asset)
		a := s.do(t, uuid.Nil, "GET", "/docs/"+asset, "", "Accept-Encoding: gzip")
		require.Equal(t, 200, a.status, asset)
		require.NotEmpty(t, a.body)
	}
	s.do(t, uuid.Nil, "GET", "/docs/nothing.js", "").problem(t)
	document := s.do(t, uuid.Nil, "GET", "/openapi.json", "")
	require.Equal(t, "application/json", document.header.Get("Content-Type"))
	require.Contains(t, document.body, `"openapi":"3.1.0"`)
	require.Equal(t, "default-src 'none'; frame-ancestors 'none'", document.header.Get("Content-Security-Policy"))
}

func TestS25_CallersAreLimited(t *testing.T) {
	limiter, err := middleware.NewLimiter("2/h", func() time.Time { return noon })
	require.NoError(t, err)
	s := newTestServer(t, func(d *Deps) { d.Limiter, d.WebhookLimiter = limiter, limiter })
	require.Equal(t, 200, s.do(t, ada, "GET", "/accounts", "").status)
	require.Equal(t, 200, s.do(t, ada, "GET", "/accounts", "").status)
	a := s.do(t, ada, "GET", "/accounts", "")
	require.Equal(t, 429, a.status)
	require.NotEmpty(t, a.header.Get("Retry-After"))
	require.Equal(t, 200, s.do(t, bob, "GET", "/accounts", "").status, "another user has a limit of his own")
	require.Equal(t, 401, s.do(t, uuid.Nil, "GET", "/accounts", "", "Authorization: Bearer x").status)
	require.Equal(t, 401, s.do(t, uuid.Nil, "GET", "/accounts", "", "Authorization: Bearer y").status)
	require.Equal(t, 429, s.do(t, uuid.Nil, "GET", "/accounts", "", "Authorization: Bearer z").status, "guessing is limited by address")
	require.Equal(t, http.StatusOK, s.do(t, uuid.Nil, "GET", "/healthz", "").status, "health always answers")
}

// registrar counts what reaches the services.
type registrar struct {
	webuser.Service
	users int
}

// onboarder counts what reaches the provider.
type onboarder struct {
	payout.Service
	asked int
}

func (r *registrar) Register(context.Context, usersvc.Registration, user.Origin) (user.User, error) {
	r.users++
	return user.User{}, nil
}

func (o *onboarder) Onboard(context.Context, uuid.UUID) (string, error) {
	o.asked++
	return "https://stripe.example/x", nil
}

// TestS62_RegistrationsAndOnboardingsAreLimitedByAddress: whoever asks, before anything is done.
func TestS62_RegistrationsAndOnboardingsAreLimitedByAddress(t *testing.T) {
	few := func() *middleware.Limiter {
		limiter, err := middleware.NewLimiter("2/h", func() time.Time { return noon })
		require.NoError(t, err)
		return limiter
	}
	r, o := &registrar{}, &onboarder{}
	s := newTestServer(t, func(d *Deps) {
		d.Users, d.Payouts = webuser.New(r, few()), payout.New(o, few())
	})
	const body = `{"username":"someone","email":"s@example.com","password":"a-long-enough-secret"}`
	for _, status := range []int{201, 201, 429, 429} {
		a := s.do(t, uuid.Nil, "POST", "/user", body)
		require.Equal(t, status, a.status, a.body)
		require.Equal(t, status == 429, a.header.Get("Retry-After") != "")
	}
	require.Equal(t, 400, s.do(t, uuid.Nil, "POST", "/user", `{"x":1}`).status, "what is malformed costs nothing")
	for i, who := range []uuid.UUID{ada, bob, ada, bob} {
		a := s.do(t, who, "POST", "/stripe/account/onboard", "")
		require.Equal(t, []int{200, 200, 429, 429}[i], a.status, a.body)
	}
	require.Equal(t, []int{2, 2}, []int{r.users, o.asked})
}
