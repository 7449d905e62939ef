package main

import (
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/domain/account"
	"florin/domain/currency"
	"florin/domain/money"
	"florin/infra/provider/mock"
)

// TestBankIsOneToTheServersOwnClient: the server's adapter takes the bank's answers and webhooks for a bank's.
func TestBankIsOneToTheServersOwnClient(t *testing.T) {
	b, err := openBank()
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, b.close()) })
	client, err := mock.New(mock.Config{BaseURL: b.url(), APIKey: bankKey, WebhookSecrets: []string{bankWebhookSecret}})
	require.NoError(t, err)
	t.Cleanup(client.Close)
	in := account.DepositInstruction{TransactionID: uuid.New(), AccountID: uuid.New(), IdempotencyKey: "k",
		Amount: money.New(123, currency.MustParse("EUR")), MoneySource: "card"}

	got, err := client.InitiateDeposit(t.Context(), in)
	require.NoError(t, err)
	assert.Equal(t, account.ReceivedPending, got.Report.Kind)
	again, err := client.InitiateDeposit(t.Context(), in)
	require.NoError(t, err)
	assert.Equal(t, got.PaymentID, again.PaymentID, "the same instruction is the same payment")

	body, headers, err := b.confirm(payment{in.TransactionID.String(), 123, "EUR"})
	require.NoError(t, err)
	sent := http.Header{}
	for _, h := range headers {
		sent.Set(h.name, h.value)
	}
	event, err := client.ParseWebhook([]byte(body), sent)
	require.NoError(t, err)
	assert.Equal(t, account.ReceivedCompleted, event.Kind)
	assert.Equal(t, got.PaymentID, event.PaymentID)
	assert.Equal(t, in.TransactionID, event.TransactionID)
	assert.EqualValues(t, 123, event.Amount)

	_, err = client.GetPaymentStatus(t.Context(), account.PaymentRef{PaymentID: got.PaymentID})
	assert.NotErrorIs(t, err, account.ErrProviderNotFound, "it does not claim to know that there is none")
	assert.Error(t, err)
}
