package webapi

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/domain/account"
	"florin/domain/errs"
	"florin/domain/integrity"
	"florin/domain/user"
	"florin/service/deadletter"
	usersvc "florin/service/user"
	"florin/webapi/contract"
	webuser "florin/webapi/user"
)

var boss = uuid.MustParse("0198c0de-0000-7000-8000-0000000000ff") // an administrator: see fakeVerifier

// fakeLetters answers with what a test puts into it and keeps what it was asked.
type fakeLetters struct {
	filter account.DeadLetterFilter
	page   account.Page
	ids    []uuid.UUID
	by     []account.Operator
	found  []account.DeadLetter
	many   []deadletter.Settled
	err    error
}

func (f *fakeLetters) FindDeadLetters(_ context.Context, filter account.DeadLetterFilter, page account.Page) ([]account.DeadLetter, error) {
	f.filter, f.page = filter, page
	return f.found[:min(len(f.found), page.Limit)], f.err
}

func (f *fakeLetters) FindDeadLetter(context.Context, uuid.UUID) (account.DeadLetter, error) {
	return f.one(), f.err
}

func (f *fakeLetters) Redrive(_ context.Context, id uuid.UUID, by account.Operator) (account.DeadLetter, error) {
	f.ids, f.by = append(f.ids, id), append(f.by, by)
	return f.one(), f.err
}

func (f *fakeLetters) Discard(ctx context.Context, id uuid.UUID, by account.Operator) (account.DeadLetter, error) {
	return f.Redrive(ctx, id, by)
}

func (f *fakeLetters) RedriveMany(_ context.Context, ids []uuid.UUID, by account.Operator) ([]deadletter.Settled, error) {
	f.ids, f.by = append(f.ids, ids...), append(f.by, by)
	return f.many, f.err
}

func (f *fakeLetters) one() account.DeadLetter {
	if len(f.found) == 0 {
		return account.DeadLetter{}
	}
	return f.found[0]
}

// fakeProof answers with the state that a test puts into it.
type fakeProof struct{ state integrity.State }

func (f *fakeProof) State(context.Context) (integrity.State, error) { return f.state, nil }

// fakeUsers shows the zero user.
type fakeUsers struct{ webuser.Service }

func (fakeUsers) Inspect(context.Context, usersvc.Administration) (user.User, error) {
	return user.User{}, nil
}

// newAdminServer serves the admin side in place of the public one, with its own document as the contract.
func newAdminServer(t *testing.T) (*testServer, *fakeLetters) {
	t.Helper()
	letters := &fakeLetters{}
	s := newTestServer(t, func(d *Deps) {
		d.DeadLetters = letters
		d.Users = webuser.New(fakeUsers{}, nil)
		d.Integrity = &fakeProof{integrity.State{Position: 41, Head: 42, BrokenCount: 1, ProvedAt: noon, FullAt: noon, FullTook: time.Second,
			Broken: []integrity.Finding{{ID: payment, Invariant: "I3", Subject: "account " + payment.String(), Detail: "posted=1", Accounts: []uuid.UUID{payment}, FoundAt: noon}}}}
		d.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "florin_up 1") })
		d.Profiles = d.Metrics
		d.RequireHTTPS = true // which is the public side's
	})
	document, err := Document(s.AdminRoutes)
	require.NoError(t, err)
	s.contract, err = contract.Load(document)
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s.base = "http://" + listener.Addr().String()
	served := make(chan error, 1)
	go func() { served <- s.ServeAdmin(listener) }()
	t.Cleanup(func() { // before the server's own, which ends it
		require.NoError(t, s.Shutdown(context.Background()))
		require.NoError(t, <-served)
	})
	return s, letters
}

// undescribed sends a request that no document speaks of.
func (s *testServer) undescribed(t *testing.T, who uuid.UUID, method, target string) answer {
	t.Helper()
	s.contract = &contract.Contract{}
	r, err := http.NewRequest(method, s.base+target, nil)
	require.NoError(t, err)
	if who != uuid.Nil {
		r.Header.Set("Authorization", "Bearer "+who.String())
	}
	response, err := client.Do(r)
	require.NoError(t, err)
	defer response.Body.Close()
	read, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return answer{status: response.StatusCode, header: response.Header, body: string(read)}
}

// TestS29_EveryAdminRouteIsForAdministrators goes through the table as nobody, as a user and as an administrator, also with
// the headers by which some servers let a client change the method.
func TestS29_EveryAdminRouteIsForAdministrators(t *testing.T) {
	s, letters := newAdminServer(t)
	letters.found = []account.DeadLetter{letter(1)}
	for _, route := range s.AdminRoutes {
		letters.by = nil
		path := strings.ReplaceAll(route.Path, ":id", payment.String())
		require.Equal(t, Admin, route.Access, path)
		for _, override := range []string{"", "X-HTTP-Method-Override: GET", "X-HTTP-Method: GET", "X-Method-Override: GET"} {
			headers := slices.DeleteFunc([]string{override}, func(h string) bool { return h == "" })
			nobody := s.do(t, uuid.Nil, route.Method, path, `{"reason":"x"}`, headers...)
			require.Equal(t, 401, nobody.status, path)
			assert.NotEmpty(t, nobody.header.Get("WWW-Authenticate"))
			assert.Equal(t, "invalid_token", s.do(t, uuid.Nil, route.Method, path, "", append(headers, "Authorization: Bearer nonsense")...).problem(t).Code)
			user := s.do(t, ada, route.Method, path, `{"reason":"x"}`, headers...)
			require.Equal(t, 403, user.status, path)
			assert.Equal(t, "forbidden", user.problem(t).Code)
		}
		require.Empty(t, letters.by, "nothing was done")
		assert.NotContains(t, []int{401, 403, 404, 405}, s.do(t, boss, route.Method, path, `{"reason":"x"}`).status, path)
	}
	// A POST that says it were a GET is a POST.
	letters.by = nil
	require.Equal(t, 200, s.do(t, boss, "POST", "/admin/dead-letters/"+payment.String()+"/redrive", `{"reason":"x"}`, "X-HTTP-Method-Override: GET").status)
	require.Len(t, letters.by, 1)
}

func TestS29_WhatIsNotOpenByNameIsDenied(t *testing.T) {
	s, _ := newAdminServer(t)
	for _, open := range []string{"/healthz", "/metrics", "/debug/pprof", "/debug/pprof/heap"} {
		require.Equal(t, 200, s.undescribed(t, uuid.Nil, "GET", open).status, open)
	}
	for _, path := range []string{"/", "/admin", "/admin/", "/admin/everything", "/console", "/metrics/", "/METRICS", "/user", "/account", "//admin/dead-letters"} {
		for _, method := range []string{"GET", "POST", "PUT", "DELETE"} {
			require.Equal(t, 401, s.undescribed(t, uuid.Nil, method, path).status, "%s %s", method, path)
			require.Equal(t, 403, s.undescribed(t, ada, method, path).status, "%s %s", method, path)
			require.Contains(t, []int{404, 405}, s.undescribed(t, boss, method, path).status, "%s %s", method, path)
		}
	}
	require.Equal(t, 401, s.undescribed(t, uuid.Nil, "POST", "/metrics").status)
}

// TestS31_ThePublicSideHasNoneOfIt: no metrics, profiles, lists of routes or administrators' routes.
func TestS31_ThePublicSideHasNoneOfIt(t *testing.T) {
	s := newTestServer(t, func(d *Deps) {
		d.Metrics = http.NotFoundHandler()
		d.Profiles = http.NotFoundHandler()
	})
	paths := []string{"/metrics", "/debug/pprof", "/debug/pprof/heap", "/debug/vars", "/routes", "/admin", "/console", "/admin/openapi.json"}
	for _, route := range s.AdminRoutes {
		paths = append(paths, strings.ReplaceAll(route.Path, ":id", payment.String()))
	}
	for _, path := range paths {
		for _, who := range []uuid.UUID{uuid.Nil, ada, boss} {
			a := s.do(t, who, "GET", path, "")
			require.Equal(t, 404, a.status, path)
			require.Equal(t, "route_not_found", a.problem(t).Code)
		}
	}
	document, err := s.Document()
	require.NoError(t, err)
	require.NotContains(t, string(document), "/admin")
}

// TestS49_AdminDocumentIsTheAdminRoutes compares both ways. Undescribed are the routes that machines ask, whose formats are
// those of Prometheus and of pprof.
func TestS49_AdminDocumentIsTheAdminRoutes(t *testing.T) {
	s, _ := newAdminServer(t)
	undescribed := map[string]string{
		"GET /healthz":       "as on the public side, where it is described",
		"GET /metrics":       "the text format of Prometheus",
		"GET /debug/pprof":   "what go tool pprof reads",
		"GET /debug/pprof/*": "what go tool pprof reads",
	}
	var registered []string
	for _, route := range s.admin.GetRoutes(true) {
		line := route.Method + " " + documentPath(route.Path)
		if _, known := undescribed[line]; !known && route.Method != fiber.MethodHead {
			registered = append(registered, line)
		}
	}
	slices.Sort(registered)
	documented := slices.Sorted(slices.Values(s.contract.Paths))
	require.Equal(t, registered, documented)
	for _, route := range s.AdminRoutes {
		require.NotEmpty(t, route.Operation.Summary, route.Path)
		require.NotEmpty(t, route.Operation.Description, route.Path)
	}
	a := s.do(t, boss, "GET", "/admin/openapi.json", "")
	require.Equal(t, 200, a.status)
	_, err := contract.Load([]byte(a.body))
	require.NoError(t, err)
}

func letter(n int) account.DeadLetter {
	return account.DeadLetter{ID: uuid.MustParse(fmt.Sprintf("0198c0de-0000-7000-8000-%012d", n)), Source: account.DeadDelivery, SourceName: "email",
		SourceID: payment, TransactionID: payment, Reason: "refused", LastError: "550 no such user", Tries: 9, Payload: `{"secret":1}`,
		Status: account.DeadLetterOpen, CreatedAt: noon}
}

func TestDeadLettersAreListedAndRead(t *testing.T) {
	s, letters := newAdminServer(t)
	letters.found = []account.DeadLetter{letter(3), letter(2), letter(1)}
	a := s.do(t, boss, "GET", "/admin/dead-letters?limit=2&status=open&source=delivery&source_name=email&transaction_id="+payment.String(), "")
	require.Equal(t, 200, a.status, a.body)
	assert.Equal(t, account.DeadLetterFilter{Status: "open", Source: "delivery", SourceName: "email", TransactionID: payment}, letters.filter)
	assert.Equal(t, 3, letters.page.Limit)
	assert.NotContains(t, a.body, "secret", "payloads are shown one at a time")
	_, cursor, found := strings.Cut(a.body, `"next_cursor":"`)
	require.True(t, found, a.body)
	cursor, _, _ = strings.Cut(cursor, `"`)
	next := s.do(t, boss, "GET", "/admin/dead-letters?limit=2&status=open&source=delivery&source_name=email&transaction_id="+payment.String()+"&cursor="+cursor, "")
	require.Equal(t, 200, next.status, next.body)
	assert.Equal(t, letter(2).ID, letters.page.Before)
	assert.Equal(t, "invalid_cursor", s.do(t, boss, "GET", "/admin/dead-letters?cursor="+cursor, "").problem(t).Code, "of another list")
	for _, wrong := range []string{"status=new", "source=mail", "transaction_id=7", "limit=0", "sort=x"} {
		assert.Equal(t, 400, s.do(t, boss, "GET", "/admin/dead-letters?"+wrong, "").status, wrong)
	}

	one := s.do(t, boss, "GET", "/admin/dead-letters/"+letter(3).ID.String(), "")
	require.Equal(t, 200, one.status, one.body)
	assert.Contains(t, one.body, `"payload":"{\"secret\":1}"`)
	letters.err = errs.Missing("dead letter")
	assert.Equal(t, "not_found", s.do(t, boss, "GET", "/admin/dead-letters/"+letter(3).ID.String(), "").problem(t).Code)
}

func TestS30_DeadLettersAreSettledByNameAndReason(t *testing.T) {
	s, letters := newAdminServer(t)
	settled := letter(1)
	settled.Status, settled.SettledAt, settled.SettledBy, settled.SettledWhy = account.DeadLetterRedriven, noon, boss.String(), "mended"
	letters.found = []account.DeadLetter{settled}
	for _, act := range []string{"redrive", "discard"} {
		path := "/admin/dead-letters/" + settled.ID.String() + "/" + act
		a := s.do(t, boss, "POST", path, `{"reason":"mended"}`, "X-Request-Id: req-1")
		require.Equal(t, 200, a.status, a.body)
		by := letters.by[len(letters.by)-1]
		assert.Equal(t, account.Operator{Name: boss.String(), Reason: "mended", Address: "127.0.0.1", Request: "req-1"}, by)
		for _, wrong := range []string{"", `{}x`, `{"reason":1}`, `{"why":"x"}`} {
			assert.Equal(t, 400, s.do(t, boss, "POST", path, wrong).status, wrong)
		}
		assert.Equal(t, 400, s.do(t, boss, "POST", path+"?force=true", `{"reason":"mended"}`).status)
		letters.err = errs.InField("reason", "reason_required", "why")
		assert.Equal(t, 422, s.do(t, boss, "POST", path, `{"reason":""}`).status)
		letters.err = errs.New(errs.Conflict, "already_settled", "before")
		assert.Equal(t, 409, s.do(t, boss, "POST", path, `{"reason":"again"}`).status)
		letters.err = nil
	}

	letters.ids = nil
	letters.many = []deadletter.Settled{{ID: letter(1).ID}, {ID: letter(2).ID, Err: errs.New(errs.Conflict, "already_settled", "before")}}
	a := s.do(t, boss, "POST", "/admin/dead-letters/redrive", fmt.Sprintf(`{"ids":[%q,%q],"reason":"mended"}`, letter(1).ID, letter(2).ID))
	require.Equal(t, 200, a.status, a.body)
	assert.JSONEq(t, fmt.Sprintf(`{"data":[{"id":%q,"status":"redriven","code":null},{"id":%q,"status":"refused","code":"already_settled"}]}`,
		letter(1).ID, letter(2).ID), a.body)
	assert.Equal(t, []uuid.UUID{letter(1).ID, letter(2).ID}, letters.ids)
	assert.Equal(t, 400, s.do(t, boss, "POST", "/admin/dead-letters/redrive", `{"ids":["x"],"reason":"mended"}`).status)
}

func TestIntegrityIsShown(t *testing.T) {
	s, _ := newAdminServer(t)
	a := s.do(t, boss, "GET", "/admin/integrity", "")
	require.Equal(t, 200, a.status, a.body)
	id := payment.String()
	assert.JSONEq(t, `{"sound":false,"proved_position":41,"proved_at":"2026-01-01T12:00:00Z","lag_events":1,
		"full_pass":{"ended_at":"2026-01-01T12:00:00Z","took_ms":1000},"broken_count":1,"broken":[{"id":"`+id+`","invariant":"I3",
		"subject":"account `+id+`","detail":"posted=1","accounts":["`+id+`"],"found_at":"2026-01-01T12:00:00Z"}]}`, a.body)
	assert.Equal(t, 400, s.do(t, boss, "GET", "/admin/integrity?all=1", "").status)
}

func TestAccountsAreFrozenByNameAndReason(t *testing.T) {
	s, _ := newAdminServer(t)
	for i, act := range []string{"freeze", "unfreeze"} {
		path := "/admin/accounts/" + payment.String() + "/" + act
		require.Equal(t, 200, s.do(t, boss, "POST", path, `{"reason":"a court order"}`, "X-Request-Id: req-1").status)
		require.Len(t, s.accounts.operators, i+1)
		assert.Equal(t, account.Operator{Name: boss.String(), Reason: "a court order", Address: "127.0.0.1", Request: "req-1"}, s.accounts.operators[i])
		for _, wrong := range []string{"", `{}x`, `{"reason":1}`, `{"why":"x"}`} {
			assert.Equal(t, 400, s.do(t, boss, "POST", path, wrong).status, wrong)
		}
	}
}
