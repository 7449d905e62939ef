package mock_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/domain/account"
	"florin/infra/provider/mock"
	"florin/infra/provider/providertest"
)

const completedBody = `{"type":"payment.completed","timestamp":"2026-01-01T11:59:00.123456789+01:00",` +
	`"data":{"payment_id":"pay_1","transaction_id":"0b8f4f0e-0a1c-4f43-9d57-6d6f2c7f1a11","amount":10000,"currency":"USD","failure":null}}`

func replace(text, old, with string) string {
	if old == "" {
		return text
	}
	return strings.Replace(text, old, with, 1)
}

func TestParseWebhookIsStrictOnMoneyAndIDs(t *testing.T) {
	client := openClient(t, mock.Config{BaseURL: "http://bank.test"})
	for name, test := range map[string]struct {
		old, with string
		good      bool
	}{
		"as documented":          {"", "", true},
		"no transaction id":      {`"0b8f4f0e-0a1c-4f43-9d57-6d6f2c7f1a11"`, "null", true},
		"time that is no time":   {"2026-01-01T11", "yesterday", true},
		"fraction":               {"10000", "10000.5", false},
		"exponent":               {"10000", "1e4", false},
		"text":                   {"10000", `"10000"`, false},
		"negative":               {"10000", "-1", false},
		"zero":                   {"10000", "0", false},
		"beyond int64":           {"10000", "9223372036854775808", false},
		"null amount":            {"10000", "null", false},
		"short currency":         {"USD", "US", false},
		"lower-case currency":    {"USD", "usd", false},
		"no payment id":          {"pay_1", "", false},
		"payment id with spaces": {"pay_1", "pay 1", false},
		"transaction id in braces": {"0b8f4f0e-0a1c-4f43-9d57-6d6f2c7f1a11",
			"{0b8f4f0e-0a1c-4f43-9d57-6d6f2c7f1a11}", false},
		"transaction id cut": {"0b8f4f0e-", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			raw := []byte(replace(completedBody, test.old, test.with))
			got, err := client.ParseWebhook(raw, sign(t, raw, providertest.Signing{At: noon}))
			require.NoError(t, err)
			if !test.good { // a person is to look at it
				require.Equal(t, account.ReceivedForeign, got.Kind)
				require.Zero(t, got.Amount)
				return
			}
			assert.Equal(t, int64(10000), got.Amount)
			assert.Equal(t, "evt_1", got.EventID)
		})
	}
}

func TestParseWebhookTimeIsUTCMicroseconds(t *testing.T) {
	client := openClient(t, mock.Config{BaseURL: "http://bank.test"})
	raw := []byte(completedBody)
	got, err := client.ParseWebhook(raw, sign(t, raw, providertest.Signing{At: noon}))
	require.NoError(t, err)
	assert.Equal(t, time.Date(2026, 1, 1, 10, 59, 0, 123456000, time.UTC), got.OccurredAt)
	assert.Equal(t, uuid.MustParse("0b8f4f0e-0a1c-4f43-9d57-6d6f2c7f1a11"), got.TransactionID)
}

// TestF53_HeaderAbuse: headers that are doubled, odd or hostile are refused.
func TestF53_HeaderAbuse(t *testing.T) {
	client := openClient(t, mock.Config{BaseURL: "http://bank.test"})
	raw := []byte(completedBody)
	good := sign(t, raw, providertest.Signing{At: noon})
	for _, name := range []string{standardwebhooks.HeaderWebhookID, standardwebhooks.HeaderWebhookTimestamp, standardwebhooks.HeaderWebhookSignature} {
		doubled := good.Clone()
		doubled.Add(name, good.Get(name))
		_, err := client.ParseWebhook(raw, doubled)
		require.ErrorIs(t, err, account.ErrWebhookNotAuthentic, name)
		for _, value := range []string{"", " ", "+" + good.Get(name), "a.b", "9223372036854775807", "-9223372036854775808", strings.Repeat("x", 1<<16)} {
			odd := good.Clone()
			odd.Set(name, value)
			_, err := client.ParseWebhook(raw, odd)
			require.ErrorIs(t, err, account.ErrWebhookNotAuthentic, name)
		}
	}
}

// FuzzParseWebhook: whatever comes, the answer is an event, "not authentic" or "malformed"; an event has a valid
// signature; and an event that moves money has a payment and a positive amount.
func FuzzParseWebhook(f *testing.F) {
	client, err := mock.New(mock.Config{BaseURL: "http://bank.test", APIKey: apiKey, WebhookSecrets: []string{secret}, Now: fixedClock})
	require.NoError(f, err)
	signer, err := standardwebhooks.NewWebhook(secret)
	require.NoError(f, err)
	known := sign(f, []byte(completedBody), providertest.Signing{At: noon})
	for _, body := range []string{completedBody, "", "{}", `{"type":"payment.failed","data":{}}`, `{"type":"x"}`, strings.Repeat("[", 1000)} {
		f.Add([]byte(body), "evt_1", "1767268800", known.Get(standardwebhooks.HeaderWebhookSignature), true)
		f.Add([]byte(body), "evt.1", "-1", "v1,", false)
	}
	f.Fuzz(func(t *testing.T, raw []byte, id, stamp, signature string, resign bool) {
		header := http.Header{"Webhook-Id": {id}, "Webhook-Timestamp": {stamp}, "Webhook-Signature": {signature}}
		if resign {
			header = sign(t, raw, providertest.Signing{At: noon})
		}
		event, err := client.ParseWebhook(raw, header)
		if err != nil {
			malformed := errors.Is(err, account.ErrWebhookMalformed)
			require.NotEqual(t, malformed, errors.Is(err, account.ErrWebhookNotAuthentic))
			require.False(t, resign && !malformed, "a signed body is authentic")
			return
		}
		require.NoError(t, signer.VerifyIgnoringTimestamp(raw, header))
		require.Equal(t, raw, event.Raw)
		if event.Kind != account.ReceivedIgnored && event.Kind != account.ReceivedForeign {
			require.NotEmpty(t, event.PaymentID)
			require.Positive(t, event.Amount)
			require.Len(t, event.Currency, 3)
		}
	})
}

// BenchmarkParseWebhook is the check of one signature and the reading of its event.
func BenchmarkParseWebhook(b *testing.B) {
	client := openClient(b, mock.Config{BaseURL: "http://bank.test", WebhookSecrets: []string{secret}})
	raw := []byte(completedBody)
	header := sign(b, raw, providertest.Signing{At: noon})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.ParseWebhook(raw, header); err != nil {
			b.Fatal(err)
		}
	}
}
