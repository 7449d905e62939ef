package bank_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"florin/infra/provider/mock/bank"
)

const (
	apiKey       = "key-of-the-test"
	secret       = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
	nextSecret   = "whsec_ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA="
	autocomplete = time.Minute
	trace        = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"
	patience     = 20 * time.Second // of a test that waits for a condition
	tick         = time.Millisecond
)

func TestMain(m *testing.M) {
	if path := os.Getenv(childLedger); path != "" {
		runChild(path)
		return
	}
	goleak.VerifyTestMain(m)
}

// clock stands still until a test moves it.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) forward(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(by)
}

// rig is a bank behind a real server, with a customer who takes its webhooks.
type rig struct {
	bank     *bank.Bank
	path     string
	url      string
	clock    *clock
	customer *customer
	close    func()
}

func open(t *testing.T, change ...func(*bank.Config)) *rig {
	t.Helper()
	return reopen(t, &rig{
		path:     filepath.Join(t.TempDir(), "bank.jsonl"),
		clock:    &clock{at: time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)},
		customer: newCustomer(t),
	}, change...)
}

// reopen starts a new bank on the ledger of an earlier one.
func reopen(t *testing.T, before *rig, change ...func(*bank.Config)) *rig {
	t.Helper()
	cfg := bank.Config{
		LedgerPath:     before.path,
		APIKey:         apiKey,
		WebhookSecrets: []string{secret, nextSecret},
		WebhookURL:     before.customer.url,
		Autocomplete:   autocomplete,
		Now:            before.clock.now,
	}
	for _, apply := range change {
		apply(&cfg)
	}
	b, err := bank.New(cfg)
	require.NoError(t, err)
	server := httptest.NewServer(b.Handler())
	r := &rig{bank: b, path: before.path, url: server.URL, clock: before.clock, customer: before.customer}
	r.close = sync.OnceFunc(func() {
		server.Close()
		require.NoError(t, b.Close())
	})
	t.Cleanup(r.close)
	return r
}

// run runs the bank's own loop until the test ends.
func (r *rig) run(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.bank.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
}

// step works off all that is due now.
func (r *rig) step(t *testing.T) {
	t.Helper()
	for {
		done, err := r.bank.Step(t.Context())
		require.NoError(t, err)
		if done == 0 {
			return
		}
	}
}

// reply is an answer of the bank.
type reply struct {
	status   int
	raw      string
	replayed bool
	payment
	Error struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

type payment struct {
	ID            string `json:"id"`
	TransactionID string `json:"transaction_id"`
	Amount        int64  `json:"amount"`
	Currency      string `json:"currency"`
	State         string `json:"state"`
	Failure       *struct {
		Code string `json:"code"`
	} `json:"failure"`
}

func (r *rig) call(t *testing.T, method, path, key, body string) reply {
	t.Helper()
	got, err := r.try(t.Context(), method, path, key, body)
	require.NoError(t, err)
	return got
}

func (r *rig) try(ctx context.Context, method, path, key, body string) (reply, error) {
	request, err := http.NewRequestWithContext(ctx, method, r.url+path, strings.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	request.GetBody = nil // no silent repeats
	request.Header.Set("Authorization", "Bearer "+apiKey)
	request.Header.Set("Idempotency-Key", key)
	request.Header.Set("Traceparent", trace)
	request.Header.Set("Tracestate", "vendor=a")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return reply{}, err
	}
	raw, err := io.ReadAll(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return reply{}, err
	}
	got := reply{status: response.StatusCode, raw: string(raw), replayed: response.Header.Get("Idempotency-Replayed") == "true"}
	return got, json.Unmarshal(raw, &got)
}

// body is a create request for a new transaction under the scenario.
func body(scenario string) string { return bodyOf(uuid.NewString(), 1000, scenario) }

func bodyOf(transactionID string, amount int64, scenario string) string {
	metadata := ""
	if scenario != "" {
		metadata = fmt.Sprintf(`,"metadata":{"mock_scenario":%q}`, scenario)
	}
	return fmt.Sprintf(`{"transaction_id":%q,"amount":%d,"currency":"EUR"%s}`, transactionID, amount, metadata)
}

func (r *rig) create(t *testing.T, scenario string) payment {
	t.Helper()
	got := r.call(t, http.MethodPost, "/payments", uuid.NewString(), body(scenario))
	require.Equal(t, http.StatusCreated, got.status, got.raw)
	return got.payment
}

func (r *rig) state(t *testing.T, id string) string {
	t.Helper()
	return r.call(t, http.MethodGet, "/payments/"+id, "", "").State
}

type export struct {
	Payments        []payment `json:"payments"`
	PendingWebhooks int       `json:"pending_webhooks"`
}

func (r *rig) ledger(t *testing.T) export {
	t.Helper()
	var all export
	require.NoError(t, json.Unmarshal([]byte(r.call(t, http.MethodGet, "/ledger", "", "").raw), &all))
	return all
}

// notice is one attempt at a webhook as the customer got it.
type notice struct {
	id, stamp, signature, trace, state string
	body                               string
	Type                               string `json:"type"`
	Data                               struct {
		PaymentID     string `json:"payment_id"`
		TransactionID string `json:"transaction_id"`
		Amount        int64  `json:"amount"`
		Currency      string `json:"currency"`
		Failure       *struct {
			Code string `json:"code"`
		} `json:"failure"`
	} `json:"data"`
}

// customer is the server that webhooks go to. It checks every signature and keeps every attempt.
type customer struct {
	url string

	mu     sync.Mutex
	got    []notice
	forged int                                              // attempts that were refused because their signature or time does not hold
	wary   bool                                             // refuses those in place of failing the test
	answer func(http.ResponseWriter, *http.Request, notice) // 204 when nil
}

// refuses says whether a wary customer takes the attempt for forged.
func (c *customer) refuses(signer *standardwebhooks.Webhook, raw []byte, header http.Header) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.wary {
		return false
	}
	stamp := header.Get("Webhook-Timestamp")
	late := stamp != fmt.Sprint(time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC).Unix())
	if late || signer.VerifyIgnoringTimestamp(raw, header) != nil {
		c.forged++
		return true
	}
	return false
}

func newCustomer(t *testing.T) *customer {
	c := &customer{}
	signers := []*standardwebhooks.Webhook{}
	for _, key := range []string{secret, nextSecret} {
		signer, err := standardwebhooks.NewWebhook(key)
		require.NoError(t, err)
		signers = append(signers, signer)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		if c.refuses(signers[0], raw, r.Header) {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		for _, signer := range signers {
			assert.NoError(t, signer.VerifyIgnoringTimestamp(raw, r.Header))
		}
		n := notice{id: r.Header.Get("Webhook-Id"), stamp: r.Header.Get("Webhook-Timestamp"),
			signature: r.Header.Get("Webhook-Signature"), trace: r.Header.Get("Traceparent"), state: r.Header.Get("Tracestate"), body: string(raw)}
		assert.NoError(t, json.Unmarshal(raw, &n))
		c.mu.Lock()
		c.got = append(c.got, n)
		answer := c.answer
		c.mu.Unlock()
		if answer != nil {
			answer(w, r, n)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(server.Close)
	c.url = server.URL
	return c
}

func (c *customer) answers(with func(http.ResponseWriter, *http.Request, notice)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answer = with
}

func (c *customer) status(code int) {
	c.answers(func(w http.ResponseWriter, _ *http.Request, _ notice) { w.WriteHeader(code) })
}

// of is the attempts for a payment, in the order of arrival.
func (c *customer) of(paymentID string) []notice {
	c.mu.Lock()
	defer c.mu.Unlock()
	var found []notice
	for _, n := range c.got {
		if n.Data.PaymentID == paymentID {
			found = append(found, n)
		}
	}
	return found
}

func types(list []notice) []string {
	var names []string
	for _, n := range list {
		names = append(names, n.Type)
	}
	return names
}
