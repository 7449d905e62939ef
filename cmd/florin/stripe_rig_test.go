package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"florin/infra/database"
	"florin/infra/provider/breaker"
	"florin/infra/provider/stripe/stripetest"
)

const (
	rigStripeSecret  = "whsec_of_the_rig_0000000000"
	rigStripeSecret2 = "whsec_of_the_rig_1111111111"
)

// stripeRig is a rig whose deposits and withdrawals go through the stand-in for Stripe.
type stripeRig struct {
	*rig
	stripe    *stripetest.Server
	delivered int
}

// eachStripeRig is eachRig with Stripe as the provider. When the test ends, the money that Stripe has of us is in our books.
func eachStripeRig(t *testing.T, test func(t *testing.T, r *stripeRig), tune ...func(*Config, *Options)) {
	for _, dialect := range []database.Dialect{database.SQLite, database.Postgres} {
		t.Run(string(dialect), func(t *testing.T) {
			t.Parallel()
			s := &stripeRig{}
			s.rig = newRig(t, dialect, append([]func(*Config, *Options){func(c *Config, o *Options) {
				s.stripe = stripetest.New(o.Clock)
				server := httptest.NewServer(s.stripe)
				t.Cleanup(server.Close)
				c.PaymentProvider, c.StripeAPIKey, c.StripeAPIBase = "stripe", secret(stripetest.APIKey), server.URL
				c.StripeWebhookSecrets = []secret{rigStripeSecret}
				c.StripeSuccessURL, c.StripeCancelURL = "https://shop.example/paid", "https://shop.example/back"
				o.Breaker = breaker.Config{Failures: 1000}
			}, impatient}, tune...)...)
			s.foreign = true // the mock bank knows nothing of it
			test(t, s)
		})
	}
}

// deliver sends every event that was not sent yet, in order, as Stripe would.
func (s *stripeRig) deliver() {
	s.t.Helper()
	events := s.stripe.Events()
	for _, e := range events[s.delivered:] {
		require.Equal(s.t, 200, s.hook(e.Body), e.Type)
	}
	s.delivered = len(events)
}

// hook posts a webhook that is authentic at the program's time. It may be called from any goroutine.
func (s *stripeRig) hook(body []byte) int {
	return s.post(body, stripetest.Sign(body, rigStripeSecret, s.app.Clock()))
}

func (s *stripeRig) post(body []byte, header http.Header) int {
	header.Set("Content-Type", "application/json")
	response, content, err := s.try(context.Background(), http.MethodPost, "/webhook/stripe", body, header)
	if err != nil {
		s.t.Errorf("webhook: %v", err)
		return 0
	}
	s.contract.Check(s.t, response.Request, response, content)
	return response.StatusCode
}

// verdictOf is "status: reason" of an event of Stripe.
func (s *stripeRig) verdictOf(event string) string {
	rows := s.column("SELECT status || ': ' || reason FROM inbox WHERE provider = 'stripe' AND event_id = ?", event)
	if len(rows) != 1 {
		return fmt.Sprint(rows)
	}
	return rows[0]
}

// begun is a deposit that waits for its payer, with its intent.
func (s *stripeRig) begun(c *client, account, amount, currency string) (id, intent string) {
	s.t.Helper()
	d := c.deposit(account, amount, currency)
	require.Equal(s.t, 202, d.status, "%s", d.body)
	require.Equal(s.t, "pending", d.text(s.t, "status"), "%s", d.body)
	return d.text(s.t, "id"), d.text(s.t, "payment_id")
}

// settled is a deposit that was begun, paid and told.
func (s *stripeRig) settled(c *client, account, amount, currency string) (id, intent string) {
	id, intent = s.begun(c, account, amount, currency)
	s.stripe.Pay(intent)
	s.deliver()
	s.becomes(id, "completed")
	return id, intent
}

// statusOf is the transaction's status, read past every token.
func (s *stripeRig) statusOf(id string) string {
	return s.stored("SELECT status FROM transactions WHERE id = ?", id)
}

// becomes waits until the transaction has the status.
func (s *stripeRig) becomes(id, status string) {
	s.t.Helper()
	s.until(func() bool { return s.statusOf(id) == status }, "transaction %s is %s", id, status)
}

// event is a webhook's body that the stand-in did not emit.
func (s *stripeRig) event(id, kind string, object map[string]any) []byte {
	return stripetest.Render(id, kind, "", s.app.Clock(), object)
}

// intentOf is an intent as an event carries it.
func intentOf(id, transaction string, received int64, currency string) map[string]any {
	return map[string]any{"id": id, "object": "payment_intent", "status": "succeeded", "amount": received, "amount_received": received,
		"currency": currency, "metadata": map[string]any{"florin_transaction_id": transaction}}
}

// payee onboards the user, to the end.
func (s *stripeRig) payee(c *client) {
	s.t.Helper()
	require.Equal(s.t, 200, c.do("POST", "/stripe/account/onboard", "").status)
	accounts := s.stripe.Kind("account")
	s.stripe.SetAccount(accounts[len(accounts)-1], true, true)
	status := c.do("GET", "/stripe/account/onboard/status", "")
	require.Equal(s.t, "true", status.text(s.t, "is_complete"), "%s", status.body)
}

func (s *stripeRig) payOut(c *client, account, amount, currency string) answer {
	return c.do("POST", "/account/"+account+"/withdraw", fmt.Sprintf(`{"amount":%q,"currency":%q}`, amount, currency))
}

// quick lets a breaker open at once.
func quick(_ *Config, o *Options) {
	o.Breaker = breaker.Config{Failures: 3, Pause: time.Minute}
}
