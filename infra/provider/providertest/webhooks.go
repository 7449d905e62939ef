package providertest

import (
	"bytes"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/domain/account"
)

// window is how far a webhook's time may be from our clock, on either side.
const window = 300 * time.Second

func newEvent(h Harness, kind account.ReceivedKind) account.PaymentReceivedEvent {
	event := account.PaymentReceivedEvent{
		Kind:          kind,
		PaymentID:     "pay_4711",
		TransactionID: uuid.New(),
		Amount:        1234,
		Currency:      "EUR",
		OccurredAt:    h.Now().UTC().Truncate(time.Second),
	}
	if kind == account.ReceivedFailed {
		event.Failure = &h.Failure
	}
	return event
}

func testWebhookAuthentic(t *testing.T, h Harness) {
	for _, kind := range []account.ReceivedKind{
		account.ReceivedPending, account.ReceivedCompleted, account.ReceivedFailed,
	} {
		want := newEvent(h, kind)
		raw := h.Render(want)
		header := h.Sign(t, raw, Signing{At: h.Now()})
		assert.True(t, h.Provider.SignsWebhook(header))
		got, err := h.Provider.ParseWebhook(raw, header)
		require.NoError(t, err, kind)
		assert.Equal(t, h.Provider.Name(), got.Provider)
		assert.NotEmpty(t, got.EventID)
		assert.Equal(t, kind, got.Kind)
		assert.NotEmpty(t, got.Type)
		assert.Equal(t, want.PaymentID, got.PaymentID)
		assert.Equal(t, want.TransactionID, got.TransactionID)
		assert.Equal(t, want.Amount, got.Amount)
		assert.Equal(t, want.Currency, got.Currency)
		assert.Equal(t, want.Failure, got.Failure)
		assert.Equal(t, want.OccurredAt, got.OccurredAt)
		assert.Equal(t, account.CauseWebhook, got.Cause)
		require.Equal(t, raw, got.Raw)

		raw[0] ^= 1 // a server reuses its buffer
		assert.NotEqual(t, raw, got.Raw, "the event keeps its own copy of the body")
	}
	assert.False(t, h.Provider.SignsWebhook(http.Header{}))
}

func testF48NotAuthentic(t *testing.T, h Harness) {
	raw := h.Render(newEvent(h, account.ReceivedCompleted))
	good := h.Sign(t, raw, Signing{At: h.Now()})
	_, err := h.Provider.ParseWebhook(raw, good)
	require.NoError(t, err)

	for i := range raw {
		flipped := bytes.Clone(raw)
		flipped[i] ^= 1
		refused(t, h, flipped, good)
	}
	refused(t, h, append(bytes.Clone(raw), ' '), good)
	refused(t, h, raw[:len(raw)-1], good)
	refused(t, h, nil, good)
	refused(t, h, raw, http.Header{})
	refused(t, h, raw, h.Sign(t, raw, Signing{At: h.Now(), Forged: true}))

	signature := good.Get(h.SignatureHeader)
	for _, bad := range []string{"", " ", signature[:len(signature)-2], "v0," + signature, "v1,", "v1", "zz;=\x00"} {
		header := good.Clone()
		header.Set(h.SignatureHeader, bad)
		refused(t, h, raw, header)
	}
	for name := range good { // each signed header is needed, and its value too
		header := good.Clone()
		header.Del(name)
		refused(t, h, raw, header)
		header.Set(name, "1"+good.Get(name))
		refused(t, h, raw, header)
	}
}

func testF49F50Window(t *testing.T, h Harness) {
	raw := h.Render(newEvent(h, account.ReceivedCompleted))
	for _, test := range []struct {
		off  time.Duration
		good bool
	}{
		{-window, true}, {-window - time.Second, false}, {-24 * time.Hour, false},
		{window, true}, {window + time.Second, false}, {365 * 24 * time.Hour, false},
	} {
		header := h.Sign(t, raw, Signing{At: h.Now().Add(test.off)})
		_, err := h.Provider.ParseWebhook(raw, header)
		if test.good {
			require.NoError(t, err, test.off)
			continue
		}
		require.ErrorIs(t, err, account.ErrWebhookNotAuthentic, test.off)
		require.ErrorIs(t, err, account.ErrWebhookOutOfTime, test.off)
		_, err = h.Provider.ParseWebhook(raw, h.Sign(t, raw, Signing{At: h.Now().Add(test.off), Forged: true}))
		require.NotErrorIs(t, err, account.ErrWebhookOutOfTime, "a forged one says nothing of a clock")
	}
}

// testF53ManySignatures: sixteen signatures are looked at, not the ten thousandth.
func testF53ManySignatures(t *testing.T, h Harness) {
	raw := h.Render(newEvent(h, account.ReceivedCompleted))
	_, err := h.Provider.ParseWebhook(raw, h.Sign(t, raw, Signing{At: h.Now(), Decoys: 3}))
	require.NoError(t, err)
	refused(t, h, raw, h.Sign(t, raw, Signing{At: h.Now(), Decoys: 16}))
	refused(t, h, raw, h.Sign(t, raw, Signing{At: h.Now(), Decoys: 10_000}))
}

func testF55Unhandled(t *testing.T, h Harness) {
	got, err := h.Provider.ParseWebhook(h.Unhandled, h.Sign(t, h.Unhandled, Signing{At: h.Now()}))
	require.NoError(t, err)
	assert.Equal(t, account.ReceivedIgnored, got.Kind)
	assert.NotEmpty(t, got.Type)
	assert.NotEmpty(t, got.EventID)
}

func testWebhookMalformed(t *testing.T, h Harness) {
	for _, body := range []string{"", "{", "\x00\xff", "{}{}"} {
		raw := []byte(body)
		_, err := h.Provider.ParseWebhook(raw, h.Sign(t, raw, Signing{At: h.Now()}))
		require.ErrorIs(t, err, account.ErrWebhookMalformed, body)
		require.NotErrorIs(t, err, account.ErrWebhookNotAuthentic, body)
	}
}

// testF132Unusable: what is authentic, and nothing that we can use, is an event that says so: any
// other answer than 200 would bring it back for days.
func testF132Unusable(t *testing.T, h Harness) {
	for _, body := range []string{"[]", "null", `"payment.completed"`, "7", `{"type":""}`,
		`{"type":7}`, `{"type":"a\u0000b"}`,
		`{"id":"evt_thin","object":"v2.core.event","type":7,"created":"2026-01-01T12:00:00.000Z"}`} {
		raw := []byte(body)
		got, err := h.Provider.ParseWebhook(raw, h.Sign(t, raw, Signing{At: h.Now()}))
		require.NoError(t, err, body)
		assert.Equal(t, account.ReceivedIgnored, got.Kind, body)
		require.NotNil(t, got.Failure, body)
		assert.Equal(t, account.UnusableEvent, got.Failure.Code, body)
		assert.NotEmpty(t, got.EventID, body)
		assert.NotEmpty(t, got.Type, body)
		assert.Equal(t, raw, got.Raw)
	}
}

func refused(t *testing.T, h Harness, raw []byte, header http.Header) {
	t.Helper()
	got, err := h.Provider.ParseWebhook(raw, header)
	require.ErrorIs(t, err, account.ErrWebhookNotAuthentic)
	require.Zero(t, got)
}
