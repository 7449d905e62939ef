package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"florin/infra/database"
	"florin/infra/database/databasetest"
	"florin/infra/provider/mock/bank"
	"florin/service/auth"
	"florin/service/reconcile"
	"florin/service/sweep"
	"florin/webapi/contract"
)

const (
	rigWebhookSecret = "whsec_c2VjcmV0LW9mLXRoZS1yaWctMzItYnl0ZXMtbG9uZyE="
	rigBankKey       = "rig-bank-api-key"
	rigPassword      = "correct horse battery"
	// rigPatience is how long a rig waits for what must come.
	rigPatience = 20 * time.Second
)

// rig is the whole program on port 0 with a database and a bank of its own, as a client and a provider see it. When its
// test ends, the program is stopped, the invariants are checked and the books are compared with the bank's.
type rig struct {
	t        *testing.T
	app      *App
	url      string
	http     *http.Client
	contract *contract.Contract
	offset   atomic.Int64 // of the program's clock, in nanoseconds
	users    atomic.Int64
	// foreign says that the test sends events that the bank knows nothing of, so the books cannot equal the bank's.
	foreign bool
	config  Config
	options Options
}

// eachRig runs the test against the whole program, on SQLite and on PostgreSQL.
func eachRig(t *testing.T, test func(t *testing.T, r *rig), tune ...func(*Config, *Options)) {
	for _, dialect := range []database.Dialect{database.SQLite, database.Postgres} {
		t.Run(string(dialect), func(t *testing.T) {
			t.Parallel()
			test(t, newRig(t, dialect, tune...))
		})
	}
}

func newRig(t *testing.T, dialect database.Dialect, tune ...func(*Config, *Options)) *rig {
	r := &rig{t: t}
	r.configure(dialect, tune...)
	r.start()
	t.Cleanup(func() {
		if r.app != nil {
			r.check()
			r.stop()
		}
	})
	return r
}

// configure settles with what the program starts.
func (r *rig) configure(dialect database.Dialect, tune ...func(*Config, *Options)) {
	t := r.t
	r.config = Config{
		HTTPAddr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0", DataDir: t.TempDir(),
		JWTSecrets:       []secret{"a secret of the rig, long enough to sign"},
		DataKeys:         []secret{"a key of the rig that is long enough to seal with"},
		PayloadRetention: 90 * 24 * time.Hour,
		AdminPassword:    secret(rigPassword),
		PaymentProvider:  "mock", PaymentDeadline: 24 * time.Hour, AmountLimit: "1000000000.00",
		OpenDeposits: 100_000, OpenAccounts: 100_000, // one user stands for many
		MockBankAPIKey: []secret{rigBankKey}, MockWebhookSecrets: []secret{rigWebhookSecret},
		MockAutocomplete: bank.AutocompleteOff, FXSource: "fixed", RateLimit: "off", RegistrationLimit: "10/m",
	}
	r.options = Options{
		Clock: func() time.Time { return systemClock().Add(time.Duration(r.offset.Load())) },
		Log:   slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
		// A hundred users are as many hashes; that they cost what they must is auth's own test.
		Passwords: auth.NewPasswords(auth.Cost{MemoryKiB: 8, Passes: 1}, 2, 0),
		Sweep:     sweep.Config{Every: 50 * time.Millisecond},
		// Once at the start; tests that want more say when.
		Reconcile: reconcile.Config{Look: time.Hour},
	}
	if dialect == database.SQLite {
		r.options.Database.ConnWait = 10 * time.Second // a race detector or a busy machine is no reason to fail
	} else {
		// Hundreds of programs start in a run, and a connection costs PostgreSQL more than most tests do.
		r.options.Database.Writers, r.options.Database.Readers = 3, 3
	}
	for _, f := range tune {
		f(&r.config, &r.options)
	}
	if r.config.DatabaseURL == "" {
		r.config.DatabaseURL = secret(databasetest.URL(t, dialect))
	}
}

func (r *rig) start() {
	app, err := NewApp(context.Background(), r.config, r.options)
	require.NoError(r.t, err)
	app.Start()
	r.app, r.url = app, app.PublicURL()
	r.http = &http.Client{Timeout: 40 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	r.contract = r.loadContract()
}

var (
	contractOnce sync.Once
	contractOf   *contract.Contract
)

// loadContract asks the first program of the run for the document: it is made of the same routes in all of them.
func (r *rig) loadContract() *contract.Contract {
	contractOnce.Do(func() {
		_, document := r.raw(http.MethodGet, "/openapi.json", nil, nil)
		loaded, err := contract.Load(document)
		require.NoError(r.t, err)
		contractOf = loaded
	})
	require.NotNil(r.t, contractOf, "the document could not be loaded")
	return contractOf
}

// stop ends the program in order, as SIGTERM does.
func (r *rig) stop() {
	r.http.CloseIdleConnections()
	require.NoError(r.t, r.app.Stop())
	r.app = nil
}

// restart ends the program and starts it again on the same data.
func (r *rig) restart() {
	r.stop()
	r.start()
}

// advance moves the program's clock, which is also the bank's.
func (r *rig) advance(d time.Duration) { r.offset.Add(int64(d)) }

// answer is a response with its whole body.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// json is the body as a JSON object.
func (a answer) json(t testing.TB) map[string]any {
	var object map[string]any
	require.NoError(t, json.Unmarshal(a.body, &object), "%s", a.body)
	return object
}

// text is a member of the body, "" for null.
func (a answer) text(t testing.TB, name string) string {
	value := a.json(t)[name]
	if value == nil {
		return ""
	}
	return fmt.Sprint(value)
}

// raw sends anything, and checks nothing.
func (r *rig) raw(method, path string, body []byte, header http.Header) (*http.Response, []byte) {
	response, content, err := r.try(context.Background(), method, path, body, header)
	require.NoError(r.t, err)
	return response, content
}

// try sends anything and returns what becomes of it. It may be called from any goroutine.
func (r *rig) try(ctx context.Context, method, path string, body []byte, header http.Header) (*http.Response, []byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, r.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	request.GetBody = nil // the transport must not repeat what carries an Idempotency-Key
	maps.Copy(request.Header, header)
	response, err := r.http.Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	return response, content, err
}

// client is a user who is logged in.
type client struct {
	r     *rig
	id    string
	token string
}

// user registers and logs in a new user.
func (r *rig) user() *client {
	name := fmt.Sprintf("user%d-%s", r.users.Add(1), uuid.NewString()[:8])
	c := &client{r: r}
	created := c.do("POST", "/user", fmt.Sprintf(`{"username":%q,"email":"%s@example.com","password":%q}`, name, name, rigPassword))
	require.Equal(r.t, 201, created.status, "%s", created.body)
	c.id = created.text(r.t, "id")
	c.login(name)
	return c
}

func (c *client) login(name string) {
	in := c.do("POST", "/auth/login", fmt.Sprintf(`{"identity":%q,"password":%q}`, name, rigPassword))
	require.Equal(c.r.t, 200, in.status, "%s", in.body)
	c.token = in.text(c.r.t, "access_token")
}

// do sends a request of the user; headers are name, value, name, value. The answer must be as the OpenAPI document says.
// It may be called from any goroutine.
func (c *client) do(method, path, body string, headers ...string) answer {
	header := http.Header{}
	if body != "" {
		header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		header.Set("Authorization", "Bearer "+c.token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		header.Add(headers[i], headers[i+1])
	}
	response, content, err := c.r.try(context.Background(), method, path, []byte(body), header)
	if err != nil {
		c.r.t.Errorf("%s %s: %v", method, path, err)
		return answer{}
	}
	c.r.contract.Check(c.r.t, response.Request, response, content)
	return answer{response.StatusCode, response.Header, content}
}

// open opens an account and returns its id.
func (c *client) open(currency string) string {
	opened := c.do("POST", "/account", fmt.Sprintf(`{"currency":%q}`, currency))
	require.Equal(c.r.t, 201, opened.status, "%s", opened.body)
	return opened.text(c.r.t, "id")
}

func (c *client) deposit(account, amount, currency string, headers ...string) answer {
	return c.do("POST", "/account/"+account+"/deposit", fmt.Sprintf(`{"amount":%q,"currency":%q,"money_source":"card"}`, amount, currency), headers...)
}

// depositWith is a deposit in a scenario of the mock bank.
func (c *client) depositWith(scenario, account, amount, currency string, headers ...string) answer {
	return c.do("POST", "/account/"+account+"/deposit", fmt.Sprintf(`{"amount":%q,"currency":%q,"money_source":"card","metadata":{"mock_scenario":%q}}`,
		amount, currency, scenario), headers...)
}

func (c *client) withdraw(account, amount, currency string, headers ...string) answer {
	return c.do("POST", "/account/"+account+"/withdraw", fmt.Sprintf(
		`{"amount":%q,"currency":%q,"external_target":{"bank_account_number":"DE89370400440532013000"}}`, amount, currency), headers...)
}

func (c *client) transfer(from, to, amount, currency string, headers ...string) answer {
	return c.do("POST", "/account/"+from+"/transfer", fmt.Sprintf(
		`{"amount":%q,"currency":%q,"destination_account_id":%q}`, amount, currency, to), headers...)
}

// fund deposits and has the bank complete it.
func (c *client) fund(account, amount, currency string) {
	d := c.deposit(account, amount, currency)
	require.Contains(c.r.t, []int{200, 202}, d.status, "%s", d.body)
	c.r.complete(d.text(c.r.t, "payment_id"))
	c.await(d.text(c.r.t, "id"), "completed")
}

// balance is "posted held available" of the account.
func (c *client) balance(account string) string {
	b := c.do("GET", "/account/"+account+"/balance", "")
	require.Equal(c.r.t, 200, b.status, "%s", b.body)
	return b.balance(c.r.t)
}

// balance is the same of an answer.
func (a answer) balance(t testing.TB) string {
	return a.text(t, "posted") + " " + a.text(t, "held") + " " + a.text(t, "available")
}

// status is the transaction's status.
func (c *client) status(transaction string) string {
	return c.do("GET", "/transaction/"+transaction+"/status", "").text(c.r.t, "status")
}

// await waits until the transaction has the status.
func (c *client) await(transaction, status string) {
	c.r.t.Helper()
	c.r.until(func() bool { return c.status(transaction) == status }, "transaction %s is %s", transaction, status)
}

// until waits for what must come.
func (r *rig) until(done func() bool, what string, args ...any) {
	r.t.Helper()
	require.Eventually(r.t, done, rigPatience, 15*time.Millisecond, "never: "+fmt.Sprintf(what, args...))
}

// bank calls the mock bank's own API.
func (r *rig) bank(method, path, body string) answer {
	request, err := http.NewRequestWithContext(context.Background(), method, "http://"+r.app.bankListener.Addr().String()+path, strings.NewReader(body))
	require.NoError(r.t, err)
	request.Header.Set("Authorization", "Bearer "+rigBankKey)
	response, err := r.http.Do(request)
	require.NoError(r.t, err)
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	require.NoError(r.t, err)
	return answer{response.StatusCode, response.Header, content}
}

// complete has the bank complete a payment or payout; its webhook follows.
func (r *rig) complete(payment string) {
	done := r.bank("POST", "/payments/"+payment+"/complete", "{}")
	require.Equal(r.t, 200, done.status, "%s", done.body)
}

// fail has the bank fail a payment or payout; its webhook follows.
func (r *rig) fail(payment string) {
	done := r.bank("POST", "/payments/"+payment+"/fail", `{"code":"declined","message":"Not today."}`)
	require.Equal(r.t, 200, done.status, "%s", done.body)
}

// event is a body of the mock's webhook.
func event(kind, payment, transaction string, minor int64, currency string) string {
	return fmt.Sprintf(`{"type":%q,"timestamp":"2026-01-01T00:00:00Z","data":{"payment_id":%q,"transaction_id":%q,"amount":%d,"currency":%q,"failure":null}}`,
		kind, payment, transaction, minor, currency)
}

// sign makes the headers of a webhook that is authentic at the program's time.
func (r *rig) sign(id, body string) http.Header {
	return r.signAt(id, body, r.app.Clock())
}

func (r *rig) signAt(id, body string, at time.Time) http.Header {
	wh, err := standardwebhooks.NewWebhook(rigWebhookSecret)
	require.NoError(r.t, err)
	signature, err := wh.Sign(id, at, []byte(body))
	require.NoError(r.t, err)
	header := http.Header{}
	header.Set("Content-Type", "application/json")
	header.Set("webhook-id", id)
	header.Set("webhook-timestamp", fmt.Sprint(at.Unix()))
	header.Set("webhook-signature", signature)
	return header
}

// webhook posts an authentic webhook and returns the status of the answer. It may be called from any goroutine.
func (r *rig) webhook(id, body string) int {
	response, content, err := r.try(context.Background(), http.MethodPost, "/webhook/mock", []byte(body), r.sign(id, body))
	if err != nil {
		r.t.Errorf("webhook: %v", err)
		return 0
	}
	r.contract.Check(r.t, response.Request, response, content)
	return response.StatusCode
}

// count is the answer to a query for one number.
func (r *rig) count(query string, args ...any) int64 {
	var n int64
	require.NoError(r.t, r.app.DB.Reader().WithContext(context.Background()).Raw(query, args...).Row().Scan(&n))
	return n
}

// quiet waits until nothing is under way: no event without position, no webhook on its way, and what a clock that was moved has
// made due long ago is asked about.
func (r *rig) quiet() {
	r.t.Helper()
	r.until(func() bool {
		return r.count("SELECT COUNT(*) FROM event_batches WHERE position IS NULL") == 0 &&
			r.count("SELECT COUNT(*) FROM inbox WHERE status = 'received'") == 0 &&
			r.count("SELECT COUNT(*) FROM transactions WHERE next_attempt_at < ?", r.app.Clock().Add(-time.Minute)) == 0 &&
			(r.app.Bank == nil || r.app.Bank.PendingWebhooks() == 0)
	}, "nothing is under way")
}

// check proves the books: the invariants, and that the bank's books say the same.
func (r *rig) check() {
	if r.t.Failed() {
		return
	}
	r.quiet()
	databasetest.CheckInvariants(r.t, r.app.DB, r.app.Clock())
	if !r.foreign && r.app.Bank != nil {
		r.compareWithBank()
	}
}

// compareWithBank: what the bank has kept of what it took in and paid out, payment by payment, is what our clearing accounts say.
func (r *rig) compareWithBank() {
	var ledger struct {
		Payments []ledgerPayment `json:"payments"`
	}
	require.NoError(r.t, json.Unmarshal(r.bank("GET", "/ledger", "").body, &ledger))
	theirs, fees := map[string]int64{}, map[string]int64{}
	for _, p := range ledger.Payments {
		if net, currency := p.net(); net != 0 {
			theirs[p.ID+" "+currency] = net
		}
		if p.Fee != 0 {
			fees[p.ID] = p.Fee
		}
	}
	require.Equal(r.t, theirs, r.sums(`SELECT CASE WHEN t.type IN ('deposit', 'withdraw', 'unmatched') THEN t.payment_id
			WHEN t.type IN ('refund_reversal', 'chargeback_reversal') THEN g.payment_id ELSE p.payment_id END || ' ' || e.currency AS name,
		CAST(SUM(CASE WHEN a.code LIKE 'provider%' THEN -e.amount ELSE e.amount END) AS bigint) AS sum
		FROM entries e JOIN accounts a ON a.id = e.account_id JOIN transactions t ON t.id = e.transaction_id
		LEFT JOIN transactions p ON p.id = t.linked_transaction_id LEFT JOIN transactions g ON g.id = p.linked_transaction_id
		WHERE a.code LIKE '%clearing:mock' AND t.type <> 'fee' GROUP BY 1 HAVING SUM(e.amount) <> 0`), "the bank's books and ours")
	require.Equal(r.t, fees, r.sums(`SELECT p.payment_id AS name, CAST(SUM(t.amount) AS bigint) AS sum FROM transactions t
		JOIN transactions p ON p.id = t.linked_transaction_id WHERE t.type = 'fee' GROUP BY 1`), "the bank's fees and ours")
}

// ledgerPayment is a payment or a payout in the bank's ledger.
type ledgerPayment struct {
	ID       string `json:"id"`
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
	State    string `json:"state"`
	Moved    *struct {
		Amount   int64  `json:"amount"`
		Currency string `json:"currency"`
	} `json:"moved"`
	Returned int64 `json:"returned"`
	Fee      int64 `json:"fee"`
	Refunds  []struct {
		ID     string `json:"id"`
		Amount int64  `json:"amount"`
		State  string `json:"state"`
	} `json:"refunds"`
	Disputes []struct {
		ID     string `json:"id"`
		Amount int64  `json:"amount"`
		State  string `json:"state"`
	} `json:"disputes"`
}

// net is what is left of the payment at the bank.
func (p ledgerPayment) net() (int64, string) {
	net, currency := p.Amount, p.Currency
	if p.Moved != nil {
		net, currency = p.Moved.Amount, p.Moved.Currency
	}
	if p.State != string(bank.StateCompleted) {
		return 0, currency
	}
	net -= p.Returned
	for _, refund := range p.Refunds {
		if refund.State == "completed" {
			net -= refund.Amount
		}
	}
	for _, dispute := range p.Disputes {
		if dispute.State != "won" {
			net -= dispute.Amount
		}
	}
	return net, currency
}

// sums is the answer to a query for names and sums.
func (r *rig) sums(query string) map[string]int64 {
	var rows []struct {
		Name string
		Sum  int64
	}
	require.NoError(r.t, r.app.DB.Reader().WithContext(context.Background()).Raw(query).Scan(&rows).Error)
	sums := map[string]int64{}
	for _, row := range rows {
		sums[row.Name] = row.Sum
	}
	return sums
}
