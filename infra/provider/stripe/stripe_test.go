package stripe_test

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"florin/domain/account"
	"florin/domain/currency"
	"florin/domain/errs"
	"florin/domain/money"
	"florin/infra/provider/providertest"
	"florin/infra/provider/stripe"
	"florin/infra/provider/stripe/stripetest"
)

const (
	secret      = "whsec_of_the_endpoint_00000000"
	nextSecret  = "whsec_of_the_endpoint_11111111"
	otherSecret = "whsec_of_another_endpoint_0000"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestProviderSuite(t *testing.T) { providertest.Run(t, openHarness) }

func openHarness(t *testing.T) providertest.Harness {
	b := newBench(t)
	return providertest.Harness{
		Provider: b.client,
		Now:      b.now,
		Inject: func(f providertest.Fault) {
			b.stripe.Inject("/v1/", stripetest.Fault(f))
		},
		Target: account.ExternalTarget{ProviderAccount: b.payee},
		Complete: func(_ testing.TB, id string) {
			if strings.HasPrefix(id, "po_") {
				b.stripe.PayOut(id)
				return
			}
			b.stripe.Pay(id)
		},
		Fail: func(_ testing.TB, id, code string) {
			b.stripe.Decline(id, code)
			b.stripe.Cancel(id)
		},
		CompleteRefund: func(testing.TB, string) {},
		FailRefund:     func(_ testing.TB, id string) { b.stripe.FailRefund(id) },
		Settle:         func() { b.advance(2 * time.Minute) },
		Attempts: func() [][]byte {
			var bodies [][]byte
			for _, a := range b.stripe.Attempts() {
				if a.Path == "/v1/payment_intents" || a.Path == "/v1/transfers" {
					bodies = append(bodies, a.Body)
				}
			}
			return bodies
		},
		Payments: func(_ testing.TB, id string) int {
			return len(b.stripe.Find("payment_intent", "florin_transaction_id", id)) + len(b.stripe.Find("transfer", "florin_transaction_id", id))
		},
		Render:          render,
		Failure:         account.Failure{Code: "canceled", Message: "The payment was canceled."},
		Sign:            sign,
		SignatureHeader: "Stripe-Signature",
		Unhandled:       stripetest.Render("evt_1", "customer.created", "", noon, map[string]any{"id": "cus_1", "object": "customer"}),
	}
}

// render writes the event that states the fact, with fields of a later version, which a reader passes over.
func render(event account.PaymentReceivedEvent) []byte {
	kind, status := "payment_intent.processing", "processing"
	switch event.Kind {
	case account.ReceivedCompleted:
		kind, status = "payment_intent.succeeded", "succeeded"
	case account.ReceivedFailed:
		kind, status = "payment_intent.canceled", "canceled"
	}
	return stripetest.Render("evt_1", kind, "", event.OccurredAt, map[string]any{
		"id": event.PaymentID, "object": "payment_intent", "status": status, "amount": event.Amount, "amount_received": event.Amount,
		"currency": strings.ToLower(event.Currency), "metadata": map[string]any{"florin_transaction_id": event.TransactionID.String()},
		"added_later": map[string]any{"x": []int{1}},
	})
}

func sign(_ testing.TB, body []byte, how providertest.Signing) http.Header {
	key := secret
	if how.Forged {
		key = otherSecret
	}
	decoy := hex.EncodeToString([]byte(strings.Repeat("x", 32)))
	header := http.Header{}
	header.Set("Stripe-Signature", fmt.Sprintf("t=%d,%sv1=%s", how.At.Unix(), strings.Repeat("v1="+decoy+",", how.Decoys), stripetest.Signature(body, key, how.At)))
	return header
}

// bench is the adapter and the stand-in that it speaks to.
type bench struct {
	t        *testing.T
	stripe   *stripetest.Server
	url      string
	client   *stripe.Client
	accounts accounts
	payee    string // an account that was onboarded and is complete
	offset   atomic.Int64
}

func newBench(t *testing.T, tune ...func(*stripe.Config)) *bench {
	b := &bench{t: t, accounts: accounts{}}
	b.stripe = stripetest.New(b.now)
	server := httptest.NewServer(b.stripe)
	t.Cleanup(server.Close)
	b.url = server.URL
	b.payee = b.onboard(true)
	cfg := stripe.Config{APIKey: stripetest.APIKey, WebhookSecrets: []string{nextSecret, secret}, BaseURL: server.URL,
		SuccessURL: "https://shop.example/paid", CancelURL: "https://shop.example/back", PayoutAccounts: b.accounts, Now: b.now}
	for _, f := range tune {
		f(&cfg)
	}
	client, err := stripe.New(cfg)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	b.client = client
	return b
}

func (b *bench) now() time.Time { return noon.Add(time.Duration(b.offset.Load())) }

func (b *bench) advance(d time.Duration) { b.offset.Add(int64(d)) }

func (b *bench) onboard(complete bool) string {
	id := b.stripe.NewAccount(complete)
	b.accounts[id] = account.PayoutAccount{Provider: stripe.Name, ID: id, UserID: uuid.New(), Complete: complete, PayoutsEnabled: complete}
	return id
}

func (b *bench) deposit(minor int64, code, flow string) account.DepositInstruction {
	id := uuid.New()
	return account.DepositInstruction{IdempotencyKey: "florin_" + id.String() + "_1_deposit", TransactionID: id, AccountID: uuid.New(), UserID: uuid.New(),
		Amount: money.New(minor, currency.MustParse(code)), MoneySource: "card", PaymentFlow: flow, Metadata: map[string]string{"order": "4711"}}
}

func (b *bench) withdrawal(minor int64, code string) account.WithdrawInstruction {
	id := uuid.New()
	return account.WithdrawInstruction{IdempotencyKey: "florin_" + id.String() + "_1_withdraw", TransactionID: id, AccountID: uuid.New(), UserID: uuid.New(),
		Amount: money.New(minor, currency.MustParse(code)), Target: account.ExternalTarget{ProviderAccount: b.payee}}
}

// paid is a deposit that was paid. It returns the intent's id.
func (b *bench) paid(in account.DepositInstruction) string {
	made, err := b.client.InitiateDeposit(b.t.Context(), in)
	require.NoError(b.t, err)
	b.stripe.Pay(made.PaymentID)
	return made.PaymentID
}

// last is the newest event of a type, as its webhook is parsed.
func (b *bench) last(kind string) account.PaymentReceivedEvent {
	events := b.stripe.Events()
	for i := len(events) - 1; i >= 0; i-- {
		if events[i].Type == kind {
			got, err := b.client.ParseWebhook(events[i].Body, stripetest.Sign(events[i].Body, secret, b.now()))
			require.NoError(b.t, err)
			return got
		}
	}
	require.Fail(b.t, "no event "+kind)
	return account.PaymentReceivedEvent{}
}

// consult is the facts of the newest event of a type, which must want it.
func (b *bench) consult(kind string) []account.PaymentReceivedEvent {
	event := b.last(kind)
	require.Equal(b.t, account.ReceivedConsult, event.Kind)
	facts, err := b.client.Consult(b.t.Context(), event)
	require.NoError(b.t, err)
	again, err := b.client.Consult(b.t.Context(), event)
	require.NoError(b.t, err)
	require.Equal(b.t, facts, again, "it is repeatable")
	return facts
}

// accounts is a store of payout accounts, by the provider's id.
type accounts map[string]account.PayoutAccount

func (a accounts) FindPayoutAccount(_ context.Context, provider string, userID uuid.UUID) (account.PayoutAccount, error) {
	for _, one := range a {
		if one.Provider == provider && one.UserID == userID {
			return one, nil
		}
	}
	return account.PayoutAccount{}, errs.Missing("Payout account")
}

func (a accounts) FindPayoutAccountByID(_ context.Context, _, id string) (account.PayoutAccount, error) {
	one, ok := a[id]
	if !ok {
		return one, errs.Missing("Payout account")
	}
	return one, nil
}

func (a accounts) ListPayoutAccounts(_ context.Context, _, after string, limit int) ([]account.PayoutAccount, error) {
	var list []account.PayoutAccount
	for _, id := range slices.Sorted(maps.Keys(a)) {
		if id > after && len(list) < limit {
			list = append(list, a[id])
		}
	}
	return list, nil
}

func (a accounts) AddPayoutAccount(_ context.Context, one account.PayoutAccount) (account.PayoutAccount, error) {
	a[one.ID] = one
	return one, nil
}

func (a accounts) UpdatePayoutAccount(_ context.Context, one account.PayoutAccount) error {
	a[one.ID] = one
	return nil
}

func discarded() *log.Logger { return log.New(io.Discard, "", 0) }

// requireClass checks that the error is of this class and of no other.
func requireClass(t *testing.T, err, class error) {
	t.Helper()
	require.ErrorIs(t, err, class)
	for _, other := range []error{account.ErrProviderRefused, account.ErrProviderRetryable, account.ErrProviderUnknown, account.ErrProviderNotFound} {
		if !errors.Is(class, other) {
			require.NotErrorIs(t, err, other)
		}
	}
}

// classed is an error of this class and of no other.
func classed(t *testing.T, err, class error) *account.ProviderError {
	t.Helper()
	requireClass(t, err, class)
	var said *account.ProviderError
	require.ErrorAs(t, err, &said)
	return said
}
