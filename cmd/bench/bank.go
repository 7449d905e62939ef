package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/valyala/fasthttp"
)

// The bank's settings as both sides know them. They protect a database that ends with this process.
const (
	bankKey           = "key-of-the-bank-of-the-benchmark"
	bankWebhookSecret = "whsec_dGhlIGJlbmNobWFyaydzIG93biB3ZWJob29rIHNlY3JldA==" //nolint:gosec // of a bank without money, for this process alone
)

// bank is a payment provider as cheap as one can be: it takes every payment at once, remembers none, and leaves the confirming
// to whoever holds it. So a deposit is measured by the server's own work.
type bank struct {
	listener net.Listener
	server   fasthttp.Server
	signer   *standardwebhooks.Webhook
	stopped  chan error
}

// openBank starts the bank on a free loopback port.
func openBank() (*bank, error) {
	signer, err := standardwebhooks.NewWebhook(bankWebhookSecret)
	if err != nil {
		return nil, fmt.Errorf("open bank: %w", err)
	}
	b := &bank{signer: signer, stopped: make(chan error, 1)}
	if b.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("open bank: %w", err)
	}
	b.server = fasthttp.Server{Handler: serveBank, NoDefaultServerHeader: true, NoDefaultDate: true}
	go func() { b.stopped <- b.server.Serve(b.listener) }()
	return b, nil
}

func (b *bank) url() string { return "http://" + b.listener.Addr().String() }

func (b *bank) close() error {
	return errors.Join(b.server.Shutdown(), <-b.stopped)
}

// payment is what the server asks the bank for, and the webhook's subject.
type payment struct {
	TransactionID string `json:"transaction_id"`
	Amount        int64  `json:"amount"` // minor units
	Currency      string `json:"currency"`
}

// id is derived, so that a call which is repeated gets the same payment from a bank that remembers nothing.
func (p payment) id() string { return "pay_" + strings.ReplaceAll(p.TransactionID, "-", "") }

func serveBank(ctx *fasthttp.RequestCtx) {
	var p payment
	if !ctx.IsPost() || string(ctx.Path()) != "/payments" || json.Unmarshal(ctx.PostBody(), &p) != nil || p.TransactionID == "" {
		// It cannot tell what became of a payment. Nobody asks but the reconciler, and not before 15 s.
		ctx.SetStatusCode(fasthttp.StatusServiceUnavailable)
		return
	}
	ctx.SetStatusCode(fasthttp.StatusCreated)
	ctx.SetContentType("application/json")
	fmt.Fprintf(ctx, `{"id":%q,"transaction_id":%q,"amount":%d,"currency":%q,"state":"pending","failure":null,"next_action":null,"updated_at":%q}`,
		p.id(), p.TransactionID, p.Amount, p.Currency, time.Now().UTC().Format(time.RFC3339Nano))
}

// confirm is the body and the headers of the webhook that says that the payment has been made. The event id is the payment's,
// so that one that is sent again is known.
func (b *bank) confirm(p payment) (body string, headers []header, err error) {
	at := time.Now().UTC()
	body = fmt.Sprintf(`{"type":"payment.completed","timestamp":%q,"data":{"payment_id":%q,"transaction_id":%q,"amount":%d,"currency":%q,"failure":null}}`,
		at.Format(time.RFC3339Nano), p.id(), p.TransactionID, p.Amount, p.Currency)
	id := "evt_" + p.id()
	signature, err := b.signer.Sign(id, at, []byte(body))
	if err != nil {
		return "", nil, fmt.Errorf("sign webhook: %w", err)
	}
	return body, []header{
		{standardwebhooks.HeaderWebhookID, id},
		{standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(at.Unix(), 10)},
		{standardwebhooks.HeaderWebhookSignature, signature},
	}, nil
}
