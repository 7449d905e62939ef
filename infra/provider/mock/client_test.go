package mock_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"

	"florin/domain/account"
	"florin/domain/currency"
	"florin/domain/money"
	"florin/infra/provider/mock"
	"florin/infra/provider/providertest"
)

func deposit() account.DepositInstruction {
	id := uuid.New()
	return account.DepositInstruction{IdempotencyKey: id.String(), TransactionID: id, AccountID: uuid.New(),
		Amount: money.New(1000, currency.MustParse("EUR")), MoneySource: "Cash"}
}

func TestNewRefuses(t *testing.T) {
	good := mock.Config{BaseURL: "http://bank.test", APIKey: apiKey, WebhookSecrets: []string{secret}}
	_, err := mock.New(good)
	require.NoError(t, err)
	for name, spoil := range map[string]func(*mock.Config){
		"no address":       func(c *mock.Config) { c.BaseURL = "" },
		"no host":          func(c *mock.Config) { c.BaseURL = "bank" },
		"other scheme":     func(c *mock.Config) { c.BaseURL = "ftp://bank.test" },
		"no key":           func(c *mock.Config) { c.APIKey = "" },
		"no secrets":       func(c *mock.Config) { c.WebhookSecrets = nil },
		"empty secret":     func(c *mock.Config) { c.WebhookSecrets = []string{secret, ""} },
		"empty key inside": func(c *mock.Config) { c.WebhookSecrets = []string{"whsec_"} },
		"short secret":     func(c *mock.Config) { c.WebhookSecrets = []string{"whsec_c2hvcnQ="} },
		"not base64":       func(c *mock.Config) { c.WebhookSecrets = []string{"whsec_!"} },
	} {
		bad := good
		spoil(&bad)
		_, err := mock.New(bad)
		require.Error(t, err, name)
		assert.NotContains(t, err.Error(), secret, name)
	}
}

func TestErrorClasses(t *testing.T) {
	for name, test := range map[string]struct {
		status     int
		retryAfter string
		body       string
		class      error
		code       string
		wait       time.Duration
	}{
		"declined":            {402, "", `{"error":{"code":"declined","message":"No."}}`, account.ErrProviderRefused, "declined", 0},
		"invalid":             {422, "", `{"error":{"code":"unknown_scenario","message":"No."}}`, account.ErrProviderRefused, "invalid", 0},
		"hostile code":        {400, "", `{"error":{"code":"<script>","message":"No."}}`, account.ErrProviderRefused, "failed", 0},
		"a gateway's 400":     {400, "", `<html>`, account.ErrProviderUnknown, "bad_answer", 0},
		"request timeout":     {408, "", ``, account.ErrProviderRetryable, "", 0},
		"in flight":           {409, "1", `{"error":{"code":"in_flight"}}`, account.ErrProviderRetryable, "in_flight", time.Second},
		"key reused":          {409, "", `{"error":{"code":"idempotency_key_reused"}}`, account.ErrProviderUnknown, "idempotency_key_reused", 0},
		"too early":           {425, "", ``, account.ErrProviderRetryable, "", 0},
		"busy, by date":       {429, "Thu, 01 Jan 2026 12:00:30 GMT", ``, account.ErrProviderRetryable, "", 30 * time.Second},
		"busy, past":          {429, "Thu, 01 Jan 2026 11:00:00 GMT", ``, account.ErrProviderRetryable, "", 0},
		"busy, absurd":        {429, "2000000000", ``, account.ErrProviderRetryable, "", time.Hour},
		"busy, nonsense":      {429, "-5", ``, account.ErrProviderRetryable, "", 0},
		"wrong key":           {401, "", `{"error":{"code":"unauthenticated"}}`, account.ErrProviderUnknown, "provider_credentials", 0},
		"forbidden":           {403, "", ``, account.ErrProviderUnknown, "provider_credentials", 0},
		"wrong address":       {404, "", `{"error":{"code":"not_found"}}`, account.ErrProviderUnknown, "provider_address", 0},
		"redirect":            {302, "", ``, account.ErrProviderUnknown, "bad_answer", 0},
		"server error":        {500, "", `{"error":{"code":"declined"}}`, account.ErrProviderUnknown, "bad_answer", 0},
		"unavailable":         {503, "3", ``, account.ErrProviderUnknown, "bad_answer", 0},
		"no content":          {204, "", ``, account.ErrProviderUnknown, "bad_answer", 0},
		"empty payment":       {201, "", `{}`, account.ErrProviderUnknown, "bad_answer", 0},
		"payment is an array": {201, "", `[]`, account.ErrProviderUnknown, "bad_answer", 0},
	} {
		t.Run(name, func(t *testing.T) {
			url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if test.retryAfter != "" {
					w.Header().Set("Retry-After", test.retryAfter)
				}
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			}))
			_, err := openClient(t, mock.Config{BaseURL: url}).InitiateDeposit(t.Context(), deposit())
			require.ErrorIs(t, err, test.class)
			var said *account.ProviderError
			require.ErrorAs(t, err, &said)
			assert.Equal(t, test.class, said.Class)
			assert.Equal(t, test.code, said.Code)
			assert.Equal(t, test.wait, said.RetryAfter)
		})
	}
}

// TestF29_AnswerAboutSomethingElse: each field that could lead money astray is checked against what was sent.
func TestF29_AnswerAboutSomethingElse(t *testing.T) {
	in := deposit()
	const good = `{"id":"pay_1","transaction_id":"%T","amount":1000,"currency":"EUR","state":"pending","updated_at":"2026-01-01T00:00:00Z"}`
	for name, swap := range map[string][2]string{
		"none":              {"", ""},
		"other transaction": {"%T", uuid.NewString()},
		"no transaction":    {"%T", ""},
		"other amount":      {"1000", "1001"},
		"fraction":          {"1000", "1000.5"},
		"amount as text":    {"1000", `"1000"`},
		"other currency":    {"EUR", "USD"},
		"no id":             {"pay_1", ""},
		"id with a path":    {"pay_1", "../x"},
		"unknown state":     {"pending", "sleeping"},
		"padded to 70 KB":   {"}", "}" + strings.Repeat(" ", 70_000)},
	} {
		body := replace(replace(good, swap[0], swap[1]), "%T", in.TransactionID.String())
		url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(w, body)
		}))
		_, err := openClient(t, mock.Config{BaseURL: url}).InitiateDeposit(t.Context(), in)
		if name == "none" {
			require.NoError(t, err)
			continue
		}
		require.ErrorIs(t, err, account.ErrProviderUnknown, name)
	}
}

func TestF31_NobodyAnswers(t *testing.T) {
	client := openClient(t, mock.Config{BaseURL: "http://127.0.0.1:1"})
	_, err := client.InitiateDeposit(t.Context(), deposit())
	require.ErrorIs(t, err, account.ErrProviderUnknown)
	_, err = client.GetPaymentStatus(t.Context(), account.PaymentRef{TransactionID: uuid.New()})
	require.ErrorIs(t, err, account.ErrProviderUnknown)
	require.NotErrorIs(t, err, account.ErrProviderNotFound)
}

// TestF31_LookUpIsNotRedirected: a stranger's answer is no answer, even where it would be a good one.
func TestF31_LookUpIsNotRedirected(t *testing.T) {
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/stranger") {
			http.Redirect(w, r, "/stranger"+r.URL.Path, http.StatusFound)
			return
		}
		_, _ = io.WriteString(w, `{"id":"pay_1","transaction_id":"`+uuid.NewString()+
			`","amount":1000,"currency":"EUR","state":"completed","updated_at":"2026-01-01T00:00:00Z"}`)
	}))
	client := openClient(t, mock.Config{BaseURL: url})
	_, err := client.GetPaymentStatus(t.Context(), account.PaymentRef{PaymentID: "pay_1"})
	require.ErrorIs(t, err, account.ErrProviderUnknown)
	_, err = openClient(t, mock.Config{BaseURL: url + "/stranger"}).
		GetPaymentStatus(t.Context(), account.PaymentRef{PaymentID: "pay_1"})
	require.NoError(t, err)
}

func TestClientTimeout(t *testing.T) {
	url := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}))
	client := openClient(t, mock.Config{BaseURL: url, HTTPClient: &http.Client{Timeout: 50 * time.Millisecond}})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, err := client.InitiateDeposit(ctx, deposit())
	require.ErrorIs(t, err, account.ErrProviderUnknown)
	require.NoError(t, ctx.Err(), "the client's own timeout ended the call")
}

// TestStatusOfSeveralPayments: two payments of one transaction (two attempts) are told by the one with the money.
func TestStatusOfSeveralPayments(t *testing.T) {
	h := openHarness(t)
	first := deposit()
	second := first
	second.IdempotencyKey += ":2"
	one, err := h.Provider.InitiateDeposit(t.Context(), first)
	require.NoError(t, err)
	two, err := h.Provider.InitiateDeposit(t.Context(), second)
	require.NoError(t, err)
	require.NotEqual(t, one.PaymentID, two.PaymentID)
	ref := account.PaymentRef{TransactionID: first.TransactionID}

	h.Fail(t, two.PaymentID, "declined")
	report, err := h.Provider.GetPaymentStatus(t.Context(), ref)
	require.NoError(t, err)
	assert.Equal(t, one.PaymentID, report.PaymentID)

	h.Complete(t, one.PaymentID)
	report, err = h.Provider.GetPaymentStatus(t.Context(), ref)
	require.NoError(t, err)
	assert.Equal(t, account.ReceivedCompleted, report.Kind)
}

func TestTraceparentIsSent(t *testing.T) {
	var got string
	url := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Get("Traceparent") }))
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled})
	ctx := trace.ContextWithSpanContext(context.Background(), span)
	_, err := openClient(t, mock.Config{BaseURL: url}).InitiateDeposit(ctx, deposit())
	require.Error(t, err)
	assert.Equal(t, "00-01000000000000000000000000000000-0200000000000000-01", got)
}

// TestF52_Rotation: both secrets hold during the overlap, the old one not after it.
func TestF52_Rotation(t *testing.T) {
	client := openClient(t, mock.Config{BaseURL: "http://bank.test", WebhookSecrets: []string{secret}})
	raw := render(account.PaymentReceivedEvent{Kind: account.ReceivedCompleted, PaymentID: "pay_1", TransactionID: uuid.New(),
		Amount: 1, Currency: "EUR", OccurredAt: noon})
	header := sign(t, raw, providertest.Signing{At: noon})
	accepted := func() error {
		_, err := client.ParseWebhook(raw, header)
		return err
	}
	require.NoError(t, accepted())
	require.NoError(t, client.SetWebhookSecrets([]string{nextSecret, secret}))
	require.NoError(t, accepted())
	require.Error(t, client.SetWebhookSecrets([]string{nextSecret, ""}))
	require.NoError(t, accepted(), "a bad list changes nothing")
	require.NoError(t, client.SetWebhookSecrets([]string{nextSecret}))
	require.ErrorIs(t, accepted(), account.ErrWebhookNotAuthentic)
}
