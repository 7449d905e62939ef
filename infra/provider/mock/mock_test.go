package mock_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"florin/domain/account"
	"florin/infra/provider/mock"
	"florin/infra/provider/mock/bank"
	"florin/infra/provider/providertest"
)

const (
	apiKey      = "key-of-the-test"
	secret      = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
	nextSecret  = "whsec_ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA="
	otherSecret = "whsec_eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHg="
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func fixedClock() time.Time { return noon }

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestProviderSuite(t *testing.T) {
	providertest.Run(t, openHarness)
}

// wire stands between client and bank: it keeps what came over and meets one call with a fault.
type wire struct {
	bank http.Handler

	mu       sync.Mutex
	fault    providertest.Fault
	attempts [][]byte
}

func (w *wire) inject(fault providertest.Fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fault = fault
}

func (w *wire) sent() [][]byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.attempts
}

func (w *wire) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	begins := r.URL.Path == "/payments" || r.URL.Path == "/payouts"
	if r.Method != http.MethodPost || !(begins || strings.HasSuffix(r.URL.Path, "/refunds")) {
		w.bank.ServeHTTP(out, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	w.mu.Lock()
	fault := w.fault
	w.fault = ""
	if begins {
		w.attempts = append(w.attempts, body)
	}
	w.mu.Unlock()
	w.meet(fault, out, r)
}

func (w *wire) meet(fault providertest.Fault, out http.ResponseWriter, r *http.Request) {
	switch fault {
	case "":
		w.bank.ServeHTTP(out, r)
		return
	case providertest.FaultRefuse:
		out.WriteHeader(http.StatusPaymentRequired)
		_, _ = io.WriteString(out, `{"error":{"code":"declined","message":"No."}}`)
		return
	case providertest.FaultBusy:
		out.Header().Set("Retry-After", "2")
		out.WriteHeader(http.StatusTooManyRequests)
		return
	case providertest.FaultRedirect:
		http.Redirect(out, r, r.URL.Path, http.StatusTemporaryRedirect)
		return
	}
	accepted := httptest.NewRecorder()
	w.bank.ServeHTTP(accepted, r)
	switch fault {
	case providertest.FaultServerError:
		out.WriteHeader(http.StatusInternalServerError)
	case providertest.FaultHang:
		<-r.Context().Done()
	case providertest.FaultLoseReply:
		panic(http.ErrAbortHandler)
	case providertest.FaultGarbage:
		_, _ = io.WriteString(out, `{"id":`)
	case providertest.FaultFlood:
		for r.Context().Err() == nil {
			_, _ = out.Write(bytes.Repeat([]byte{' '}, 1<<16))
		}
	case providertest.FaultOtherAmount:
		out.WriteHeader(accepted.Code)
		_, _ = io.WriteString(out, strings.Replace(accepted.Body.String(), `"amount":1000`, `"amount":1001`, 1))
	}
}

func openHarness(t *testing.T) providertest.Harness {
	w := &wire{}
	url := serve(t, w)
	w.bank = openBank(t).Handler()
	client := openClient(t, mock.Config{BaseURL: url})
	return providertest.Harness{
		Provider: client,
		Now:      fixedClock,
		Inject:   w.inject,
		Attempts: w.sent,
		Target:   account.ExternalTarget{BankAccountNumber: "DE02120300000000202051"},
		Failure:  account.Failure{Code: "declined", Message: "No."},
		Complete: func(t testing.TB, id string) { post(t, url+"/payments/"+id+"/complete", "") },
		Fail: func(t testing.TB, id, code string) {
			post(t, url+"/payments/"+id+"/fail", fmt.Sprintf(`{"code":%q,"message":"No."}`, code))
		},
		CompleteRefund:  func(t testing.TB, id string) { post(t, url+"/refunds/"+id+"/complete", "") },
		FailRefund:      func(t testing.TB, id string) { post(t, url+"/refunds/"+id+"/fail", "") },
		Settle:          func() {},
		Payments:        func(t testing.TB, id string) int { return countPayments(t, url, id) },
		Render:          render,
		Sign:            sign,
		SignatureHeader: standardwebhooks.HeaderWebhookSignature,
		Unhandled:       []byte(`{"type":"customer.created","timestamp":"2026-01-01T00:00:00Z","data":{"refund_id":"re_1"}}`),
	}
}

func openBank(t *testing.T) *bank.Bank {
	t.Helper()
	b, err := bank.New(bank.Config{
		LedgerPath:     filepath.Join(t.TempDir(), "bank.jsonl"),
		APIKey:         apiKey,
		WebhookSecrets: []string{secret},
		Autocomplete:   bank.AutocompleteOff,
		Now:            fixedClock,
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	return b
}

func openClient(t testing.TB, cfg mock.Config) *mock.Client {
	t.Helper()
	cfg.APIKey, cfg.Now = apiKey, fixedClock
	if cfg.WebhookSecrets == nil {
		cfg.WebhookSecrets = []string{nextSecret, secret}
	}
	client, err := mock.New(cfg)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client
}

func serve(t *testing.T, handler http.Handler) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

func post(t testing.TB, url, body string) {
	t.Helper()
	call(t, http.MethodPost, url, body)
}

func countPayments(t testing.TB, url, transactionID string) int {
	t.Helper()
	var list struct {
		Data []json.RawMessage `json:"data"`
	}
	raw := call(t, http.MethodGet, url+"/payments?transaction_id="+transactionID, "")
	require.NoError(t, json.Unmarshal(raw, &list))
	return len(list.Data)
}

func call(t testing.TB, method, url, body string) []byte {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+apiKey)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	raw, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode, string(raw))
	return raw
}

// render writes the body with fields of a later version, which a reader passes over.
func render(event account.PaymentReceivedEvent) []byte {
	failure := "null"
	if event.Failure != nil {
		failure = fmt.Sprintf(`{"code":%q,"message":%q}`, event.Failure.Code, event.Failure.Message)
	}
	return fmt.Appendf(nil,
		`{"type":%q,"timestamp":%q,"later":[1],"data":{"payment_id":%q,"transaction_id":%q,"amount":%d,"currency":%q,"failure":%s,"x":{}}}`,
		event.Kind, event.OccurredAt.Format(time.RFC3339), event.PaymentID, event.TransactionID, event.Amount, event.Currency, failure)
}

func sign(t testing.TB, body []byte, how providertest.Signing) http.Header {
	t.Helper()
	key := secret
	if how.Forged {
		key = otherSecret
	}
	signer, err := standardwebhooks.NewWebhook(key)
	require.NoError(t, err)
	signature, err := signer.Sign("evt_1", how.At, body)
	require.NoError(t, err)
	decoys := strings.Repeat("v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc= ", how.Decoys)
	header := http.Header{}
	header.Set(standardwebhooks.HeaderWebhookID, "evt_1")
	header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(how.At.Unix(), 10))
	header.Set(standardwebhooks.HeaderWebhookSignature, decoys+signature)
	return header
}
