package bank

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/propagation"

	"florin/pkg/telemetry"
)

// maxBody bounds a request to the bank and what it reads of an answer to a webhook.
const maxBody = 64 << 10

// Handler is the bank's API. The server around it sets the timeouts; its write timeout must be longer than its
// callers' patience, or the scenarios that hold an answer back end early.
func (b *Bank) Handler() http.Handler {
	api := http.NewServeMux()
	api.HandleFunc("POST /payments", b.postCreate(KindPayment))
	api.HandleFunc("POST /payouts", b.postCreate(KindPayout))
	api.HandleFunc("GET /payments", b.getPayments)
	api.HandleFunc("GET /payments/{id}", b.getPayment)
	api.HandleFunc("POST /payments/{id}/complete", b.postMove(StateCompleted))
	api.HandleFunc("POST /payments/{id}/fail", b.postMove(StateFailed))
	api.HandleFunc("POST /payments/{id}/cancel", b.postMove(StateCanceled))
	api.HandleFunc("POST /payments/{id}/refunds", b.postRefund)
	api.HandleFunc("POST /payments/{id}/disputes", b.postDispute)
	api.HandleFunc("POST /payments/{id}/return", b.postReturn)
	api.HandleFunc("POST /payments/{id}/fee", b.postFee)
	api.HandleFunc("GET /refunds", b.getRefunds)
	api.HandleFunc("GET /refunds/{id}", b.getRefund)
	api.HandleFunc("POST /refunds/{id}/complete", b.postRefundMove(StateCompleted))
	api.HandleFunc("POST /refunds/{id}/fail", b.postRefundMove(StateFailed))
	api.HandleFunc("POST /disputes/{id}/won", b.postDisputeEnd(disputeWon))
	api.HandleFunc("POST /disputes/{id}/lost", b.postDisputeEnd(disputeLost))
	api.HandleFunc("POST /disputes/{id}/reopen", b.postDisputeEnd(disputeOpen))
	api.HandleFunc("GET /events", b.getEvents)
	api.HandleFunc("GET /ledger", b.getLedger)
	api.HandleFunc("PUT /scenario", b.putScenario)

	root := http.NewServeMux()
	root.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		b.reply(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	root.Handle("/", b.authenticated(api))
	return root
}

func (b *Bank) authenticated(next http.Handler) http.Handler {
	want := sha256.Sum256([]byte(b.apiKey))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, found := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		got := sha256.Sum256([]byte(token))
		if !found || subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			b.replyError(w, &refusal{http.StatusUnauthorized, "unauthenticated", "The API key is missing or wrong."})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// createRequest is the body of POST /payments and POST /payouts.
type createRequest struct {
	TransactionID string            `json:"transaction_id"`
	AccountID     string            `json:"account_id,omitempty"`
	Amount        int64             `json:"amount"` // minor units of Currency
	Currency      string            `json:"currency"`
	MoneySource   string            `json:"money_source,omitempty"` // payments alone
	PaymentFlow   string            `json:"payment_flow,omitempty"` // payments alone
	Target        *target           `json:"external_target,omitempty"`
	Metadata      map[string]string `json:"metadata,omitempty"`
}

func (in createRequest) metadata() (json.RawMessage, error) {
	if len(in.Metadata) == 0 {
		return nil, nil
	}
	text, err := json.Marshal(in.Metadata)
	if err != nil {
		return nil, fmt.Errorf("encode metadata: %w", err)
	}
	return text, nil
}

// target is where a payout goes; at least one field is set.
type target struct {
	BankAccountNumber     string `json:"bank_account_number,omitempty"`
	RoutingNumber         string `json:"routing_number,omitempty"`
	ExternalWalletAddress string `json:"external_wallet_address,omitempty"`
}

// moveRequest is the body of complete and fail; it may be empty.
type moveRequest struct {
	Code    string `json:"code"`    // fail alone; "declined" when empty
	Message string `json:"message"` // fail alone
	Force   bool   `json:"force"`   // complete alone: also what had failed or was canceled
}

// paymentView is a payment as the API shows it.
type paymentView struct {
	ID            string          `json:"id"`
	Object        Kind            `json:"object"`
	TransactionID string          `json:"transaction_id"`
	AccountID     string          `json:"account_id,omitempty"`
	Amount        int64           `json:"amount"`
	Currency      string          `json:"currency"`
	State         State           `json:"state"`
	Failure       *Failure        `json:"failure"`
	Moved         *moved          `json:"moved,omitempty"`
	Returned      int64           `json:"returned,omitempty"`
	Fee           int64           `json:"fee,omitempty"`
	Refunds       []refundView    `json:"refunds,omitempty"`
	Disputes      []dispute       `json:"disputes,omitempty"`
	Metadata      json.RawMessage `json:"metadata,omitempty"`
	CreatedAt     time.Time       `json:"created_at"`
	UpdatedAt     time.Time       `json:"updated_at"`
}

func (p *payment) view() paymentView {
	view := paymentView{
		ID: p.ID, Object: p.Kind, TransactionID: p.TransactionID, AccountID: p.AccountID,
		Amount: p.Amount, Currency: p.Currency, State: p.State, Failure: p.Failure, Metadata: p.Metadata,
		Moved: p.Moved, Returned: p.Returned, Fee: p.Fee, Disputes: p.Disputes,
		CreatedAt: p.CreatedAt, UpdatedAt: p.UpdatedAt,
	}
	for i := range p.Refunds {
		view.Refunds = append(view.Refunds, p.refundView(&p.Refunds[i]))
	}
	return view
}

func (b *Bank) postCreate(kind Kind) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		key := r.Header.Get("Idempotency-Key")
		if key == "" || len(key) > 255 {
			b.replyError(w, invalid("Idempotency-Key must have 1 to 255 characters."))
			return
		}
		var in createRequest
		if err := decode(w, r, &in); err != nil {
			b.replyError(w, err)
			return
		}
		if err := in.check(kind); err != nil {
			b.replyError(w, err)
			return
		}
		got, created, err := b.create(kind, key, in, traceparent(r.Header))
		if err == nil {
			err = b.durable()
		}
		if err != nil {
			b.replyError(w, err)
			return
		}
		if created != nil {
			b.holdBack(r, created, got.script)
			if b.spoilAnswer(w, r, got.script, got) {
				return
			}
		}
		if got.replayed {
			w.Header().Set("Idempotency-Replayed", "true")
		}
		b.replyRaw(w, got.status, got.body)
	}
}

// holdBack blocks the answer as the scenario says. It cuts the connection without an answer when the bank stops
// or the caller has gone.
func (b *Bank) holdBack(r *http.Request, created *entry, script scenario) {
	var ready <-chan struct{} // nil blocks for ever
	switch {
	case script.webhooksFirst:
		ready = b.watch(created)
	case script.holdAnswer:
	default:
		return
	}
	select {
	case <-ready:
	case <-r.Context().Done():
		panic(http.ErrAbortHandler)
	case <-b.halt:
		panic(http.ErrAbortHandler)
	}
}

// watch returns a channel that is closed once the payment is final and all its webhooks are taken.
func (b *Bank) watch(e *entry) <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	watcher := make(chan struct{})
	e.watchers = append(e.watchers, watcher)
	e.notify()
	return watcher
}

func (b *Bank) getPayment(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	e, found := b.books.payments[r.PathValue("id")]
	var view paymentView
	if found {
		view = b.seen(e)
	}
	b.mu.Unlock()
	if !found {
		b.replyError(w, errNotFound)
		return
	}
	b.replyDurable(w, view)
}

// getPayments lists the payments of one transaction, the oldest first; the list may be empty.
func (b *Bank) getPayments(w http.ResponseWriter, r *http.Request) {
	transactionID := r.URL.Query().Get("transaction_id")
	if transactionID == "" {
		b.replyError(w, invalid("transaction_id is required."))
		return
	}
	list := []paymentView{}
	b.mu.Lock()
	for _, e := range b.books.byTransaction[transactionID] {
		list = append(list, b.seen(e))
	}
	b.mu.Unlock()
	b.replyDurable(w, map[string]any{"data": list})
}

func (b *Bank) postMove(to State) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in moveRequest
		if err := decode(w, r, &in); err != nil && !errors.Is(err, io.EOF) {
			b.replyError(w, err)
			return
		}
		var failure *Failure
		if to == StateFailed {
			failure = &Failure{Code: in.Code, Message: in.Message}
			if failure.Code == "" {
				failure.Code, failure.Message = "declined", "The payment was declined."
			}
		}
		moved, err := b.move(r.PathValue("id"), to, failure, in.Force)
		if err != nil {
			b.replyError(w, err)
			return
		}
		b.replyDurable(w, moved.view())
	}
}

// ledgerPerPage bounds a page of the ledger.
const ledgerPerPage = 50

// getLedger exports every payment as the bank has it, in the order of creation, for comparison with other books: all of them, or
// with after, which is 0 for the start, a page with the cursor behind it, "" behind the last.
func (b *Bank) getLedger(w http.ResponseWriter, r *http.Request) {
	export := struct {
		Payments        []paymentView `json:"payments"`
		PendingWebhooks int           `json:"pending_webhooks"`
		Next            string        `json:"next,omitempty"`
	}{Payments: []paymentView{}}
	text := r.URL.Query().Get("after")
	after, err := strconv.Atoi(text)
	if text != "" && (err != nil || after < 0) {
		b.replyError(w, invalid("after is not a cursor."))
		return
	}
	b.mu.Lock()
	order := b.books.order[min(after, len(b.books.order)):]
	if text != "" && len(order) > ledgerPerPage {
		order = order[:ledgerPerPage]
		export.Next = strconv.Itoa(after + ledgerPerPage)
	}
	for _, e := range order {
		export.Payments = append(export.Payments, e.view())
	}
	export.PendingWebhooks = b.books.pendingWebhooks
	b.mu.Unlock()
	b.replyDurable(w, export)
}

func (in createRequest) check(kind Kind) error {
	id, err := uuid.Parse(in.TransactionID)
	if err != nil || id.String() != in.TransactionID {
		return invalid("transaction_id is not a UUID in its canonical form.")
	}
	if in.Amount <= 0 {
		return invalid("amount must be positive, in minor units.")
	}
	if len(in.Currency) != 3 || strings.Trim(in.Currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return invalid("currency is not a code of three capital letters.")
	}
	empty := in.Target == nil || *in.Target == target{}
	if kind == KindPayout && empty {
		return invalid("external_target is required.")
	}
	if kind == KindPayment && in.Target != nil {
		return invalid("external_target is for payouts.")
	}
	return nil
}

func invalid(message string) *refusal {
	return &refusal{http.StatusUnprocessableEntity, "invalid", message}
}

// decode reads one JSON object into into. It returns io.EOF for an empty body and otherwise a *refusal.
func decode(w http.ResponseWriter, r *http.Request, into any) error {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return &refusal{http.StatusRequestEntityTooLarge, "too_large", "The body is too large or was cut short."}
	}
	if len(raw) == 0 {
		return io.EOF
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return &refusal{http.StatusBadRequest, "malformed", "The body cannot be read."}
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return &refusal{http.StatusBadRequest, "malformed", "The body has more than one value."}
	}
	return nil
}

// traceparent is the caller's W3C trace context as one text, "" when it has none that can be passed on.
func traceparent(header http.Header) string {
	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.HeaderCarrier(header))
	return telemetry.Carried(ctx)
}

// durable blocks until all that the bank has decided so far is on disk: no answer may say more than that.
func (b *Bank) durable() error {
	if err := b.ledger.durable(); err != nil {
		return errors.Join(errBroken, err)
	}
	return nil
}

func (b *Bank) replyDurable(w http.ResponseWriter, body any) {
	if err := b.durable(); err != nil {
		b.replyError(w, err)
		return
	}
	b.reply(w, http.StatusOK, body)
}

func (b *Bank) reply(w http.ResponseWriter, status int, body any) {
	raw, err := json.Marshal(body)
	if err != nil {
		b.replyError(w, err)
		return
	}
	b.replyRaw(w, status, raw)
}

func (b *Bank) replyRaw(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if _, err := w.Write(body); err != nil {
		b.logger.Debug("mock bank could not answer", "error", err)
	}
}

// errorBody is {"error":{"code","message"}}.
func errorBody(no *refusal) map[string]any {
	return map[string]any{"error": map[string]string{"code": no.code, "message": no.message}}
}

func (b *Bank) replyError(w http.ResponseWriter, err error) {
	var no *refusal
	switch {
	case errors.As(err, &no):
	case errors.Is(err, io.EOF):
		no = &refusal{http.StatusBadRequest, "malformed", "The body is empty."}
	case errors.Is(err, errBroken):
		b.logger.Error("mock bank cannot answer", "error", err)
		no = &refusal{http.StatusServiceUnavailable, "unavailable", "The ledger cannot be written."}
	default:
		b.logger.Error("mock bank cannot answer", "error", err)
		no = &refusal{http.StatusInternalServerError, "internal", "Something went wrong."}
	}
	if no.status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "1")
	}
	b.reply(w, no.status, errorBody(no))
}
