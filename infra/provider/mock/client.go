// Package mock is the client of the mock bank (infra/provider/mock/bank): a payment provider with a real HTTP API,
// real signed webhooks and no real money.
package mock

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"go.opentelemetry.io/otel/propagation"

	"florin/domain/account"
	"florin/infra/provider/mock/internal/whsec"
	"florin/pkg/crashpoint"
	"florin/pkg/telemetry"
)

// Name is the provider's name in rows, routes and metrics.
const Name = "mock"

const (
	callTimeout = 10 * time.Second // of a whole call, where the context and the HTTP client set none
	maxAnswer   = 64 << 10
	maxList     = 4 << 20 // of an answer that is a page of many things
)

// Config is what a Client needs. BaseURL, APIKey and WebhookSecrets are required.
type Config struct {
	// BaseURL is the bank's address, http or https, without a query.
	BaseURL string
	APIKey  string
	// WebhookSecrets are whsec_<base64> keys of 24 to 64 bytes; a webhook signed with any one is authentic.
	WebhookSecrets []string
	// HTTPClient makes the calls; nil is one of the Client's own. It is copied: redirects are never followed,
	// and without a timeout it gets one of 10 s.
	HTTPClient *http.Client
	// Now is the clock that webhooks are checked by; nil is the system's.
	Now func() time.Time
}

// Client is the mock bank as an account.PaymentProvider. Its look-ups do not lag: a payment that the bank does
// not know was not accepted before the question, though a call that is still on its way may yet be.
type Client struct {
	base    *url.URL
	apiKey  string
	http    http.Client
	now     func() time.Time
	signers atomic.Pointer[[]*standardwebhooks.Webhook]
}

var _ account.PaymentProvider = (*Client)(nil)

// New returns a client of the bank at cfg.BaseURL. It makes no call.
func New(cfg Config) (*Client, error) {
	base, err := url.Parse(cfg.BaseURL)
	if err != nil || base.Host == "" || (base.Scheme != "http" && base.Scheme != "https") || base.RawQuery != "" {
		return nil, errors.New("mock provider: BaseURL is not the address of a bank")
	}
	if cfg.APIKey == "" {
		return nil, errors.New("mock provider: APIKey is empty")
	}
	c := &Client{base: base, apiKey: cfg.APIKey, now: cfg.Now}
	if c.now == nil {
		c.now = time.Now
	}
	if err := c.SetWebhookSecrets(cfg.WebhookSecrets); err != nil {
		return nil, err
	}
	if cfg.HTTPClient != nil {
		c.http = *cfg.HTTPClient
	} else {
		c.http.Transport = newTransport()
	}
	if c.http.Timeout == 0 {
		c.http.Timeout = callTimeout
	}
	c.http.Transport = telemetry.Outgoing(cmp.Or(c.http.Transport, http.DefaultTransport), telemetry.Peer{Traced: true})
	c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return c, nil
}

// newTransport goes straight to the bank: proxy variables of the environment are ignored.
func newTransport() *http.Transport {
	dial := (&net.Dialer{Timeout: 2 * time.Second}).DialContext
	if crashpoint.Enabled {
		dial = dialMortal(dial)
	}
	return &http.Transport{
		DialContext:           dial,
		TLSHandshakeTimeout:   5 * time.Second,
		ResponseHeaderTimeout: callTimeout,
		MaxConnsPerHost:       32, // a call takes a millisecond: more would only be idle later
		MaxIdleConnsPerHost:   32,
		IdleConnTimeout:       60 * time.Second,
	}
}

// SetWebhookSecrets replaces the secrets that webhooks are checked with, for rotation without a restart. On an
// error the old ones stay.
func (c *Client) SetWebhookSecrets(secrets []string) error {
	signers, err := whsec.Parse(secrets)
	if err != nil {
		return fmt.Errorf("mock provider: %w", err)
	}
	c.signers.Store(&signers)
	return nil
}

// Close gives idle connections up.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Name implements account.PaymentProvider.
func (c *Client) Name() string { return Name }

// InitiateDeposit implements account.PaymentProvider.
func (c *Client) InitiateDeposit(ctx context.Context, in account.DepositInstruction) (account.Initiation, error) {
	got, err := c.create(ctx, "payments", in.IdempotencyKey, createBody{
		TransactionID: in.TransactionID,
		AccountID:     in.AccountID,
		Amount:        in.Amount.Minor(),
		Currency:      in.Amount.Currency().Code(),
		MoneySource:   in.MoneySource,
		PaymentFlow:   in.PaymentFlow,
		Metadata:      in.Metadata,
	})
	if err != nil {
		return account.Initiation{}, fmt.Errorf("mock provider: initiate deposit: %w", err)
	}
	return got, nil
}

// InitiateWithdraw implements account.PaymentProvider.
func (c *Client) InitiateWithdraw(ctx context.Context, in account.WithdrawInstruction) (account.Initiation, error) {
	got, err := c.create(ctx, "payouts", in.IdempotencyKey, createBody{
		TransactionID: in.TransactionID,
		AccountID:     in.AccountID,
		Amount:        in.Amount.Minor(),
		Currency:      in.Amount.Currency().Code(),
		Target: &targetBody{
			BankAccountNumber:     in.Target.BankAccountNumber,
			RoutingNumber:         in.Target.RoutingNumber,
			ExternalWalletAddress: in.Target.ExternalWalletAddress,
		},
		Metadata: in.Metadata,
	})
	if err != nil {
		return account.Initiation{}, fmt.Errorf("mock provider: initiate withdrawal: %w", err)
	}
	return got, nil
}

func (c *Client) create(ctx context.Context, path, key string, in createBody) (account.Initiation, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return account.Initiation{}, unknown("", fmt.Errorf("encode request: %w", err))
	}
	got, err := c.call(ctx, http.MethodPost, c.base.JoinPath(path), key, body)
	if err != nil {
		return account.Initiation{}, err
	}
	if got.status != http.StatusOK && got.status != http.StatusCreated {
		return account.Initiation{}, c.classify(got)
	}
	payment, err := decodePayment(got.body)
	if err != nil {
		return account.Initiation{}, err
	}
	if payment.transactionID != in.TransactionID || payment.Amount != in.Amount || payment.Currency != in.Currency {
		return account.Initiation{}, unknown("answer_mismatch",
			errors.New("the answer is about another transaction, amount or currency"))
	}
	return account.Initiation{PaymentID: payment.ID, NextAction: payment.nextAction(), Report: payment.report()}, nil
}

// GetPaymentStatus implements account.PaymentProvider. By our transaction id it reports, of several payments, the
// one that has the money, else the one that may still get it, else the newest.
func (c *Client) GetPaymentStatus(ctx context.Context, ref account.PaymentRef) (account.PaymentReport, error) {
	report, err := c.status(ctx, ref)
	if err != nil {
		return account.PaymentReport{}, fmt.Errorf("mock provider: get payment status: %w", err)
	}
	return report, nil
}

func (c *Client) status(ctx context.Context, ref account.PaymentRef) (account.PaymentReport, error) {
	if ref.Type == account.TypeRefund {
		refund, err := c.findRefund(ctx, ref)
		return refund.report(), err
	}
	payment, err := c.find(ctx, ref)
	return payment.report(), err
}

func (c *Client) find(ctx context.Context, ref account.PaymentRef) (payment, error) {
	switch {
	case ref.PaymentID != "":
		return c.findByID(ctx, ref)
	case ref.TransactionID != uuid.Nil:
		return c.findByTransaction(ctx, ref.TransactionID)
	default:
		return payment{}, unknown("", errors.New("the reference names no payment"))
	}
}

func (c *Client) findByID(ctx context.Context, ref account.PaymentRef) (payment, error) {
	if !validID(ref.PaymentID) {
		return payment{}, account.ErrProviderNotFound // the bank gives no such ids
	}
	got, err := c.call(ctx, http.MethodGet, c.base.JoinPath("payments", ref.PaymentID), "", nil)
	if err != nil {
		return payment{}, err
	}
	if got.status != http.StatusOK {
		return payment{}, c.lookupError(got)
	}
	found, err := decodePayment(got.body)
	if err != nil {
		return payment{}, err
	}
	if found.ID != ref.PaymentID || (ref.TransactionID != uuid.Nil && found.transactionID != ref.TransactionID) {
		return payment{}, unknown("answer_mismatch", errors.New("the answer is about another payment"))
	}
	return found, nil
}

func (c *Client) findByTransaction(ctx context.Context, id uuid.UUID) (payment, error) {
	target := c.base.JoinPath("payments")
	target.RawQuery = url.Values{"transaction_id": {id.String()}}.Encode()
	got, err := c.call(ctx, http.MethodGet, target, "", nil)
	if err != nil {
		return payment{}, err
	}
	if got.status != http.StatusOK {
		return payment{}, c.lookupError(got)
	}
	list, err := decodeList(got.body)
	if err != nil {
		return payment{}, err
	}
	if len(list) == 0 {
		return payment{}, account.ErrProviderNotFound
	}
	best := list[0]
	for _, next := range list {
		if next.transactionID != id {
			return payment{}, unknown("answer_mismatch", errors.New("the answer is about another transaction"))
		}
		if next.weight() >= best.weight() {
			best = next
		}
	}
	return best, nil
}

// CancelPayment implements account.PaymentProvider. A payment that was final already is reported as it is.
func (c *Client) CancelPayment(ctx context.Context, ref account.PaymentRef) (account.PaymentReport, error) {
	report, err := c.cancel(ctx, ref)
	if err != nil {
		return account.PaymentReport{}, fmt.Errorf("mock provider: cancel payment: %w", err)
	}
	return report, nil
}

func (c *Client) cancel(ctx context.Context, ref account.PaymentRef) (account.PaymentReport, error) {
	found, err := c.find(ctx, ref)
	if err != nil {
		return account.PaymentReport{}, err
	}
	byID := account.PaymentRef{PaymentID: found.ID, TransactionID: found.transactionID}
	got, err := c.call(ctx, http.MethodPost, c.base.JoinPath("payments", found.ID, "cancel"), "", nil)
	if err != nil {
		return account.PaymentReport{}, err
	}
	switch got.status {
	case http.StatusOK, http.StatusConflict: // a conflict says that it was final; which final state, the look-up says
	default:
		return account.PaymentReport{}, c.lookupError(got)
	}
	now, err := c.findByID(ctx, byID)
	if err != nil {
		return account.PaymentReport{}, err
	}
	return now.report(), nil
}

// answered is an answer of the bank, whole and within its bound.
type answered struct {
	status int
	header http.Header
	body   []byte
}

// call makes one call. Its error is of class ErrProviderUnknown: whatever went wrong on the way, the bank may
// have done what it was asked.
func (c *Client) call(ctx context.Context, method string, target *url.URL, key string, body []byte) (answered, error) {
	return c.callFor(ctx, method, target, key, body, maxAnswer)
}

// callFor is call with another bound of the answer.
func (c *Client) callFor(ctx context.Context, method string, target *url.URL, key string, body []byte, limit int) (answered, error) {
	request, err := http.NewRequestWithContext(ctx, method, target.String(), bytes.NewReader(body))
	if err != nil {
		return answered{}, unknown("", fmt.Errorf("make request: %w", err))
	}
	// Without GetBody the transport does not repeat a call by itself: attempts are the caller's to count.
	request.GetBody = nil
	request.Header.Set("Authorization", "Bearer "+c.apiKey)
	request.Header.Set("Accept", "application/json")
	if len(body) > 0 {
		request.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		request.Header.Set("Idempotency-Key", key)
	}
	telemetry.Inject(ctx, propagation.HeaderCarrier(request.Header))
	if crashpoint.Enabled && key != "" {
		request = request.WithContext(dyingWhenSent(ctx))
	}
	response, err := c.http.Do(request)
	if err != nil {
		return answered{}, unknown("no_answer", err)
	}
	defer func() { _ = response.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(response.Body, int64(limit)+1))
	if err != nil {
		return answered{}, unknown("no_answer", fmt.Errorf("read answer: %w", err))
	}
	if len(raw) > limit {
		return answered{}, unknown("bad_answer", fmt.Errorf("the answer is larger than %d KiB", limit>>10))
	}
	return answered{status: response.StatusCode, header: response.Header, body: raw}, nil
}

// validID says whether s is an id as the bank gives them: it goes into our rows, logs and URLs.
func validID(s string) bool {
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
	return s != "" && len(s) <= 128 && strings.Trim(s, allowed) == ""
}
