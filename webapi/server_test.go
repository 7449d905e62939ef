package webapi

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"florin/domain/account"
	"florin/domain/currency"
	"florin/domain/errs"
	"florin/domain/money"
	"florin/domain/user"
	accountsvc "florin/service/account"
	webauth "florin/webapi/auth"
	"florin/webapi/contract"
	"florin/webapi/decode"
	"florin/webapi/health"
	"florin/webapi/middleware"
	"florin/webapi/problem"
	webuser "florin/webapi/user"
)

var (
	ada     = uuid.MustParse("0198c0de-0000-7000-8000-0000000000aa")
	bob     = uuid.MustParse("0198c0de-0000-7000-8000-0000000000bb")
	adasEUR = uuid.MustParse("0198c0de-0000-7000-8000-0000000000a1")
	bobsUSD = uuid.MustParse("0198c0de-0000-7000-8000-0000000000b1")
	payment = uuid.MustParse("0198c0de-0000-7000-8000-000000000001")
	noon    = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
)

// testServer is the real server over fakes of the services. Every answer is checked against the document.
type testServer struct {
	*Server
	base     string
	contract *contract.Contract
	accounts *fakeAccounts
	received *fakeReceived
	verdicts *counter
}

func newTestServer(t *testing.T, change ...func(*Deps)) *testServer {
	t.Helper()
	s := newTestServerOver(t, change...)
	var err error
	s.contract, err = theContract()
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s.base = "http://" + listener.Addr().String()
	served := make(chan error, 1)
	go func() { served <- s.ServePublic(listener) }()
	t.Cleanup(func() {
		require.NoError(t, s.Shutdown(context.Background()))
		require.NoError(t, <-served)
	})
	return s
}

// newTestServerOver serves nothing yet.
func newTestServerOver(t testing.TB, change ...func(*Deps)) *testServer {
	t.Helper()
	cursors, err := decode.NewCursors([]byte(strings.Repeat("k", 32)))
	require.NoError(t, err)
	off, err := middleware.NewLimiter("off", nil)
	require.NoError(t, err)
	s := &testServer{accounts: &fakeAccounts{}, received: &fakeReceived{}, verdicts: &counter{}}
	deps := Deps{
		Accounts: s.accounts, Users: webuser.New(nil,
			nil), Auth: webauth.New(nil), Health: health.New(nil),
		Verifier: fakeVerifier{}, Received: s.received, Cursors: cursors, Limiter: off, WebhookLimiter: off,
		Providers:    map[string]account.PaymentProvider{"mock": fakeProvider{name: "mock"}, "stripe": fakeProvider{name: "stripe"}},
		CountWebhook: s.verdicts.count, Log: slog.New(slog.DiscardHandler), Clock: func() time.Time { return noon },
		Guides: []Guide{
			{Name: "errors", Path: "errors.md", About: "All of <them>", Markdown: []byte("# Error codes\n\nAll of `them`. More.\n\n| code | status | meaning |\n|---|--:|---|\n| `insufficient_funds` | 422 | <too little> [see](providers/mock.md#scenarios) |\n")},
			{Name: "mock", Path: "providers/mock.md", Markdown: []byte("# The bank\n\n<script>alert(1)</script>\n\n[codes](../errors.md#insufficient_funds), [why](../adr/0001.md), [ours](../../cmd/x.go)\n")},
		},
		Walk: Walk{Script: "url=here\necho '<done>'\n", URL: "url=here\n"},
	}
	for _, c := range change {
		c(&deps)
	}
	s.Server, err = NewServer(deps)
	require.NoError(t, err)
	return s
}

// theContract is made once: the document does not depend on what a test puts into the server.
var theContract = sync.OnceValues(func() (*contract.Contract, error) {
	document, err := Document(routes(handlers{docs: &docs{}}))
	if err != nil {
		return nil, err
	}
	return contract.Load(document)
})

// client follows no redirects and keeps no connection, so that a server's end is not waited for.
var client = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// answer is a response with its body read.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) problem(t *testing.T) problem.Problem {
	t.Helper()
	require.Equal(t, problem.ContentType, a.header.Get("Content-Type"), a.body)
	var p problem.Problem
	require.NoError(t, json.Unmarshal([]byte(a.body), &p))
	require.Equal(t, a.status, p.Status)
	return p
}

// do sends a request as the user (uuid.Nil for nobody) with further headers as "Name: value".
func (s *testServer) do(t *testing.T, who uuid.UUID, method, target, body string, headers ...string) answer {
	t.Helper()
	r, err := http.NewRequest(method, s.base+target, strings.NewReader(body))
	require.NoError(t, err)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if who != uuid.Nil {
		r.Header.Set("Authorization", "Bearer "+who.String())
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Content-Type" {
			r.Header.Del(name)
		}
		r.Header[http.CanonicalHeaderKey(name)] = append(r.Header[http.CanonicalHeaderKey(name)], value)
	}
	response, err := client.Do(r)
	require.NoError(t, err)
	defer response.Body.Close()
	read, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	s.contract.Check(t, r, response, read)
	return answer{status: response.StatusCode, header: response.Header, body: string(read)}
}

// raw sends bytes that no HTTP client would, and returns the start of the answer.
func (s *testServer) raw(t *testing.T, request string) string {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.base, "http://"))
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, request)
	require.NoError(t, err)
	start := make([]byte, 64)
	_, err = io.ReadFull(conn, start)
	require.NoError(t, err)
	return string(start)
}

type fakeVerifier struct{}

func (fakeVerifier) Verify(_ context.Context, token string) (user.Principal, error) {
	id, err := uuid.Parse(token)
	if err != nil {
		return user.Principal{}, errs.New(errs.Unauthenticated, "invalid_token", "not a token")
	}
	if id == boss {
		return user.Principal{UserID: id, Role: user.RoleAdmin}, nil
	}
	return user.Principal{UserID: id, Role: user.RoleUser}, nil
}

// fakeAccounts answers with what a test puts into it and keeps what it was asked.
type fakeAccounts struct {
	calls    []accountsvc.Call
	target   account.ExternalTarget
	deposit  accountsvc.DepositRequest
	transfer accountsvc.TransferRequest
	refund   accountsvc.RefundRequest
	cancel   accountsvc.CancelRequest
	opened   accountsvc.OpenAccountRequest
	outcome  accountsvc.Outcome
	opening  accountsvc.AccountOutcome
	waited   time.Duration
	page     account.Page
	filter   account.TransactionFilter
	entries  []account.EntryLine
	found    []*account.Transaction
	held     []*account.Account
	totals   []account.Total
	timeline []account.TimelineItem
	// operators are those who froze and unfroze.
	operators []account.Operator
	err       error
}

func (f *fakeAccounts) keep(c accountsvc.Call) (accountsvc.Outcome, error) {
	f.calls = append(f.calls, c)
	return f.outcome, f.err
}

func (f *fakeAccounts) Deposit(_ context.Context, r accountsvc.DepositRequest) (accountsvc.Outcome, error) {
	f.deposit = r
	return f.keep(r.Call)
}

func (f *fakeAccounts) Withdraw(_ context.Context, r accountsvc.WithdrawRequest) (accountsvc.Outcome, error) {
	f.target = r.Target
	return f.keep(r.Call)
}

func (f *fakeAccounts) Transfer(_ context.Context, r accountsvc.TransferRequest) (accountsvc.Outcome, error) {
	f.transfer = r
	return f.keep(r.Call)
}

func (f *fakeAccounts) RefundTransaction(_ context.Context, r accountsvc.RefundRequest) (accountsvc.Outcome, error) {
	f.refund = r
	return f.keep(r.Call)
}

func (f *fakeAccounts) CancelTransaction(_ context.Context, r accountsvc.CancelRequest) (accountsvc.Outcome, error) {
	f.cancel = r
	return f.keep(r.Call)
}

func (f *fakeAccounts) OpenAccount(_ context.Context, r accountsvc.OpenAccountRequest) (accountsvc.AccountOutcome, error) {
	f.opened = r
	return f.opening, f.err
}

func (f *fakeAccounts) CloseAccount(_ context.Context, userID, id uuid.UUID, _ string) (*account.Account, error) {
	return f.Account(context.Background(), userID, id)
}

func (f *fakeAccounts) FreezeAccount(_ context.Context, id uuid.UUID, by account.Operator) (*account.Account, error) {
	f.operators = append(f.operators, by)
	return anAccount(id, 100_00, 20_00), f.err
}

func (f *fakeAccounts) UnfreezeAccount(ctx context.Context, id uuid.UUID, by account.Operator) (*account.Account, error) {
	return f.FreezeAccount(ctx, id, by)
}

func (f *fakeAccounts) Account(_ context.Context, userID, id uuid.UUID) (*account.Account, error) {
	if userID != ada || id != adasEUR {
		return nil, errs.Missing("Account")
	}
	return anAccount(id, 100_00, 20_00), f.err
}

func (f *fakeAccounts) ExplainAccount(ctx context.Context, userID, id uuid.UUID) (*account.Explanation, error) {
	a, err := f.Account(ctx, userID, id)
	return &account.Explanation{Account: a, Newest: f.entries}, err
}

func (f *fakeAccounts) Accounts(_ context.Context, _ uuid.UUID, page account.Page) ([]*account.Account, error) {
	f.page = page
	return f.held[:min(len(f.held), page.Limit)], f.err
}

func (f *fakeAccounts) Totals(context.Context, uuid.UUID) ([]account.Total, error) {
	return f.totals, f.err
}

func (f *fakeAccounts) BalanceAt(_ context.Context, userID, id uuid.UUID, _ time.Time) (*account.Account, money.Money, error) {
	a, err := f.Account(context.Background(), userID, id)
	return a, money.New(42_00, currency.EUR), err
}

func (f *fakeAccounts) Transactions(_ context.Context, _, _ uuid.UUID, filter account.TransactionFilter, page account.Page) ([]*account.Transaction, error) {
	f.filter, f.page = filter, page
	return f.found[:min(len(f.found), page.Limit)], f.err
}

// Entries pages as a store does: newest first, below the cursor.
func (f *fakeAccounts) Entries(_ context.Context, _, _ uuid.UUID, filter account.EntryFilter) (*account.Account, []account.EntryLine, error) {
	below := slices.DeleteFunc(slices.Clone(f.entries), func(e account.EntryLine) bool {
		return filter.BeforeSeq != 0 && e.AccountSeq >= filter.BeforeSeq
	})
	return nil, below[:min(len(below), filter.Limit)], f.err
}

func (f *fakeAccounts) Transaction(_ context.Context, userID, id uuid.UUID) (*account.Transaction, uuid.UUID, error) {
	if userID != ada || f.outcome.Transaction == nil || id != payment {
		return nil, uuid.Nil, errs.Missing("Transaction")
	}
	return f.outcome.Transaction, adasEUR, f.err
}

func (f *fakeAccounts) Timeline(context.Context, uuid.UUID, uuid.UUID) ([]account.TimelineItem, error) {
	return f.timeline, f.err
}

func (f *fakeAccounts) WaitTerminal(ctx context.Context, userID, id uuid.UUID, wait time.Duration) (*account.Transaction, uuid.UUID, error) {
	f.waited = wait
	return f.Transaction(ctx, userID, id)
}

// fakeProvider signs with a header that is its name, and takes the signature "good".
type fakeProvider struct {
	account.PaymentProvider
	name string
}

func (p fakeProvider) Name() string { return p.name }

func (p fakeProvider) SignsWebhook(h http.Header) bool { return h.Get("X-Sign-"+p.name) != "" }

func (p fakeProvider) ParseWebhook(raw []byte, h http.Header) (account.PaymentReceivedEvent, error) {
	if h.Get("X-Sign-"+p.name) != "good" {
		return account.PaymentReceivedEvent{}, account.ErrWebhookNotAuthentic
	}
	if !json.Valid(raw) {
		return account.PaymentReceivedEvent{}, account.ErrWebhookMalformed
	}
	return account.PaymentReceivedEvent{EventID: "evt_1", Kind: account.ReceivedCompleted}, nil
}

type fakeReceived struct {
	mu     sync.Mutex
	events []account.PaymentReceivedEvent
	err    error
}

func (f *fakeReceived) PublishPaymentReceived(_ context.Context, e account.PaymentReceivedEvent) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return f.err
	}
	f.events = append(f.events, e)
	return nil
}

type counter struct {
	mu   sync.Mutex
	seen []string
}

func (c *counter) count(provider, verdict string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = append(c.seen, provider+" "+verdict)
}

func anAccount(id uuid.UUID, posted, held int64) *account.Account {
	a := &account.Account{ID: id, UserID: ada, Name: "Savings", Currency: currency.EUR, CreatedAt: noon, UpdatedAt: noon}
	a.Restore(account.State{Status: account.StatusActive, Posted: posted, Held: held})
	return a
}

func aDeposit(status account.PaymentStatus) *account.Transaction {
	amount := money.New(100_00, currency.EUR)
	t := &account.Transaction{ID: payment, Type: account.TypeDeposit, UserID: ada, AccountID: adasEUR, Amount: amount, Posted: amount,
		Provider: "mock", PaymentID: "pay_1", MoneySource: "card", CreatedAt: noon, UpdatedAt: noon}
	var failure *account.Failure
	if status == account.PaymentStatusFailed {
		failure = &account.Failure{Code: "declined", Message: "The card was declined."}
	}
	if status == account.PaymentStatusCompleted {
		t.CompletedAt = noon
	}
	t.RestoreStatus(status, 2, failure)
	return t
}
