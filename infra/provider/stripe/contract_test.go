package stripe_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"florin/domain/account"
	"florin/domain/currency"
	"florin/domain/money"
	"florin/infra/provider/stripe"
)

// stripeMock is the vendor's own server, which checks requests against the description of the API. It keeps no state.
const stripeMock = "github.com/stripe/stripe-mock@v0.203.0"

// TestRequestsAreWhatStripeTakes sends every kind of request that the adapter makes. What stripe-mock answers is about other
// payments, so answers are not believed; that a request is not taken would be a refusal.
func TestRequestsAreWhatStripeTakes(t *testing.T) {
	base := startStripeMock(t)
	var sent []string
	b := newBench(t, func(c *stripe.Config) {
		c.BaseURL = base
		c.APIKey = "sk_test_123"
		c.HTTPClient = &http.Client{Transport: statuses{t, &sent}}
	})
	ctx := t.Context()
	for _, flow := range []string{"", stripe.FlowCheckout} {
		_, _ = b.client.InitiateDeposit(ctx, b.deposit(1234, "EUR", flow))
	}
	_, _ = b.client.InitiateWithdraw(ctx, b.withdrawal(1234, "EUR"))
	_, _ = b.client.RefundPayment(ctx, account.RefundInstruction{IdempotencyKey: "k", TransactionID: uuid.New(), DepositID: uuid.New(),
		PaymentID: "pi_1", Amount: money.New(500, currency.EUR)})
	for _, ref := range []account.PaymentRef{
		{Type: account.TypeDeposit, PaymentID: "pi_1"}, {Type: account.TypeDeposit, TransactionID: uuid.New(), CreatedAt: noon},
		{Type: account.TypeWithdraw, TransactionID: uuid.New()}, {Type: account.TypeRefund, PaymentID: "re_1"},
		{Type: account.TypeRefund, TransactionID: uuid.New(), CreatedAt: noon},
	} {
		_, _ = b.client.GetPaymentStatus(ctx, ref)
		_, _ = b.client.CancelPayment(ctx, ref)
	}
	_, _ = b.client.CreatePayoutAccount(ctx, "account", uuid.New())
	_, _ = b.client.OnboardingLink(ctx, "link", "acct_1")
	_, _ = b.client.GetPayoutAccount(ctx, "acct_1")
	_, _, _ = b.client.ListEvents(ctx, "")
	_, _, _ = b.client.ListMovements(ctx, "")
	b.client.Steps(ctx)
	require.GreaterOrEqual(t, len(sent), 25)
	for _, one := range sent {
		t.Log(one)
	}
	for _, call := range []string{
		"POST /v1/payment_intents", "POST /v1/checkout/sessions", "POST /v1/transfers", "POST /v1/payouts", "POST /v1/refunds", "POST /v1/accounts",
		"POST /v1/account_links", "GET /v1/payment_intents", "GET /v1/checkout/sessions", "GET /v1/transfers", "GET /v1/refunds", "GET /v1/events",
		"POST /v1/payment_intents/pi_1/cancel", "POST /v1/checkout/sessions/cs_1/expire", "POST /v1/transfers/tr_1/reversals", "POST /v1/payouts/po_1/cancel",
		"GET /v1/balance_transactions", "GET /v1/balance_transactions/txn_1", "GET /v1/payouts", "GET /v1/payouts/po_1", "GET /v1/accounts/acct_1", "GET /v1/charges/ch_1",
	} {
		require.Contains(t, sent, call+" 200")
	}
}

// statuses notes what was asked and fails the test where it was not taken.
type statuses struct {
	t    *testing.T
	sent *[]string
}

func (s statuses) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	*s.sent = append(*s.sent, fmt.Sprintf("%s %s %d", r.Method, r.URL.Path, response.StatusCode))
	if response.StatusCode != http.StatusOK {
		s.t.Errorf("%s %s?%s: %d", r.Method, r.URL.Path, r.URL.RawQuery, response.StatusCode)
	}
	return response, nil
}

func (s statuses) CloseIdleConnections() {
	if transport, ok := http.DefaultTransport.(*http.Transport); ok {
		transport.CloseIdleConnections()
	}
}

// startStripeMock installs the server and runs it on loopback until the test ends.
func startStripeMock(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	require.NoError(t, err)
	bin := filepath.Join(cache, "florin", "stripe-mock-0.203.0")
	program := filepath.Join(bin, "stripe-mock")
	if _, err := os.Stat(program); errors.Is(err, os.ErrNotExist) {
		install := exec.CommandContext(t.Context(), "go", "install", stripeMock)
		install.Dir = t.TempDir() // not in this module
		install.Env = append(os.Environ(), "GOBIN="+bin, "CGO_ENABLED=0", "GOFLAGS=")
		out, err := install.CombinedOutput()
		require.NoError(t, err, "stripe-mock cannot be had: %s", out)
	}
	plain, secure := freePort(t), freePort(t)
	run := exec.CommandContext(context.Background(), program, "-http-addr", plain, "-https-addr", secure)
	require.NoError(t, run.Start())
	t.Cleanup(func() {
		require.NoError(t, run.Process.Kill())
		_ = run.Wait()
	})
	require.Eventually(t, func() bool {
		conn, err := net.DialTimeout("tcp", plain, time.Second)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	}, 20*time.Second, 20*time.Millisecond, "stripe-mock listens")
	return "http://" + plain
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	return l.Addr().String()
}
