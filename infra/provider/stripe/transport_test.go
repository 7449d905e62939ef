package stripe_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"florin/domain/account"
	"florin/infra/provider/stripe"
	"florin/infra/provider/stripe/stripetest"
)

// nowhere is a name that leads nowhere (RFC 2606).
const nowhere = "http://stripe.invalid"

// TestF28_SlowAnswersEndWithTheCall: an answer that comes byte by byte holds nobody for longer than the call may take.
func TestF28_SlowAnswersEndWithTheCall(t *testing.T) {
	for _, fault := range []stripetest.Fault{stripetest.Hang, stripetest.Drip} {
		b := newBench(t, func(c *stripe.Config) { c.HTTPClient = &http.Client{Timeout: 150 * time.Millisecond} })
		in := b.deposit(1000, "EUR", "")
		b.stripe.Inject("/v1/payment_intents", fault)
		_, err := b.client.InitiateDeposit(t.Context(), in)
		requireClass(t, err, account.ErrProviderUnknown)
		got, err := b.client.InitiateDeposit(t.Context(), in)
		require.NoError(t, err, fault)
		require.Equal(t, []string{got.PaymentID}, b.stripe.Kind("payment_intent"), fault)
	}
}

// TestF31_NotReached: no name, nobody there, and a certificate that nobody vouches for are all unknown, and none is worked
// around.
func TestF31_NotReached(t *testing.T) {
	stranger := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a stranger was told something") }))
	stranger.Config.ErrorLog = discarded()
	t.Cleanup(stranger.Close)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for _, base := range []string{nowhere, gone.URL, stranger.URL} {
		b := newBench(t, func(c *stripe.Config) { c.BaseURL = base })
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		_, err := b.client.InitiateDeposit(ctx, b.deposit(1000, "EUR", ""))
		cancel()
		require.Equal(t, "no_answer", classed(t, err, account.ErrProviderUnknown).Code, base)
		require.NotContains(t, err.Error(), stripetest.APIKey)
	}
}

// TestF31_S36_NotEvenThroughAProxy: variables that name a proxy are not followed. Go reads them once in a process, and spares loopback
// addresses, so a process of its own calls a name.
func TestF31_S36_NotEvenThroughAProxy(t *testing.T) {
	if os.Getenv("FLORIN_TEST_BEHIND_A_PROXY") != "" {
		b := newBench(t, func(c *stripe.Config) { c.BaseURL = nowhere })
		_, err := b.client.InitiateDeposit(t.Context(), b.deposit(1000, "EUR", ""))
		requireClass(t, err, account.ErrProviderUnknown)
		return
	}
	var called atomic.Int64
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called.Add(1) }))
	t.Cleanup(proxy.Close)
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
	child.Env = append(os.Environ(), "FLORIN_TEST_BEHIND_A_PROXY=1", "NO_PROXY=", "no_proxy=")
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"} {
		child.Env = append(child.Env, name+"="+proxy.URL)
	}
	out, err := child.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Zero(t, called.Load())
}

// TestF83_PayeeThatIsGone: an account that was closed before the transfer is refused for good; one that cuts us off between the
// transfer and the payout has the transfer taken back.
func TestF83_PayeeThatIsGone(t *testing.T) {
	b := newBench(t)
	in := b.withdrawal(1000, "EUR")
	in.Target.ProviderAccount = "acct_deleted"
	_, err := b.client.InitiateWithdraw(t.Context(), in)
	requireClass(t, err, account.ErrProviderRefused)
	require.Empty(t, b.stripe.Kind("transfer"))

	b.stripe.CutOff(b.payee)
	_, err = b.client.InitiateWithdraw(t.Context(), b.withdrawal(1000, "EUR"))
	require.Equal(t, "payouts_disabled", classed(t, err, account.ErrProviderRefused).Code)
	require.Empty(t, b.stripe.Kind("payout"))
	require.Equal(t, true, b.stripe.Get(b.stripe.Kind("transfer")[0])["reversed"])
}
