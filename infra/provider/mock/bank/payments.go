package bank

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
)

// refusal is a definite no to a call, and the body of its answer.
type refusal struct {
	status  int
	code    string
	message string
}

func (r *refusal) Error() string { return r.code + ": " + r.message }

// answer is what a call gets: a status and a body of JSON.
type answer struct {
	status   int
	body     []byte
	replayed bool
	script   scenario // of the payment that the call has created
}

// create takes a payment, or repeats the answer that its key got before. The answer must not leave the bank
// before the ledger is durable. The entry is the payment that this very call created, nil otherwise.
func (b *Bank) create(kind Kind, key string, in createRequest, traceparent string) (answer, *entry, error) {
	print, err := fingerprint(kind, in)
	if err != nil {
		return answer{}, nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if given, found := b.books.answers[key]; found && b.clock().Sub(given.given) < keyLife {
		again, err := b.again(given, print)
		return again, nil, err
	}
	name := b.nameFor(in)
	script, known := scenarios[name]
	if !known {
		return answer{}, nil, unknownScenario()
	}
	switch no, kept := b.refusedFor(script, in.TransactionID); {
	case kept:
		return b.refuse(key, print, no)
	case no != nil:
		return answer{}, nil, no
	}
	return b.accept(kind, key, print, in, name, traceparent)
}

// again is the answer that a key got before.
func (b *Bank) again(given givenAnswer, print string) (answer, error) {
	if given.fingerprint != sha256.Sum256([]byte(print)) {
		return answer{}, &refusal{http.StatusConflict, "idempotency_key_reused", "This idempotency key was used with other parameters."}
	}
	r, err := b.recall(given.at)
	if err != nil {
		return answer{}, err
	}
	return answer{status: r.Answer.Status, body: r.Answer.Body, replayed: true}, nil
}

// recall reads a record of the ledger again.
func (b *Bank) recall(at place) (r record, err error) {
	line, err := b.ledger.read(at)
	if err != nil {
		return r, fmt.Errorf("%w: %w", errBroken, err)
	}
	if err := json.Unmarshal(line, &r); err != nil {
		return r, fmt.Errorf("%w: %w", errBroken, err)
	}
	return r, nil
}

func (b *Bank) refuse(key, print string, no *refusal) (answer, *entry, error) {
	body, err := json.Marshal(errorBody(no))
	if err != nil {
		return answer{}, nil, fmt.Errorf("encode refusal: %w", err)
	}
	stored := &storedAnswer{Key: key, Fingerprint: print, Status: no.status, Body: body}
	if err := b.record(record{Answer: stored}, true); err != nil {
		return answer{}, nil, err
	}
	return answer{status: no.status, body: body}, nil, nil
}

func (b *Bank) accept(kind Kind, key, print string, in createRequest, name, traceparent string) (answer, *entry, error) {
	now, script := b.clock(), scenarios[name]
	metadata, err := in.metadata()
	if err != nil {
		return answer{}, nil, err
	}
	p := &payment{
		ID:            newID(kind),
		Kind:          kind,
		TransactionID: in.TransactionID,
		AccountID:     in.AccountID,
		Amount:        in.Amount,
		Currency:      in.Currency,
		State:         StatePending,
		Target:        in.Target,
		Metadata:      metadata,
		Scenario:      name,
		NamedAccount:  script.account,
		Traceparent:   traceparent,
		DueAt:         script.dueAt(now, b.autocomplete),
		CreatedAt:     now,
		UpdatedAt:     now,
	}
	body, err := json.Marshal(p.view())
	if err != nil {
		return answer{}, nil, fmt.Errorf("encode payment: %w", err)
	}
	r := record{
		Payment: p,
		Answer:  &storedAnswer{Key: key, Fingerprint: print, Status: http.StatusCreated, Body: body},
		Silent:  script.silent,
	}
	if !script.finalFirst {
		notice, err := newWebhook(p, now)
		if err != nil {
			return answer{}, nil, err
		}
		r.Webhooks = []*webhook{notice}
	}
	if err := b.record(r, true); err != nil {
		return answer{}, nil, err
	}
	b.nudge()
	return answer{status: http.StatusCreated, body: body, script: script}, b.books.payments[p.ID], nil
}

// settle moves a pending payment to a final state and queues its webhooks. The caller holds b.mu.
func (b *Bank) settle(e *entry, to State, failure *Failure) error {
	now := b.clock()
	before := e.payment
	after := before
	after.State, after.Failure, after.UpdatedAt = to, failure, now
	script := scenarios[e.Scenario]
	r := record{Payment: &after, Silent: script.silent}
	if to == StateCompleted {
		after.Moved = script.moves(before)
	}
	stages := []*payment{&after}
	if script.finalFirst && before.State == StatePending {
		stages = append(stages, &before)
	}
	for _, stage := range stages {
		notice, err := newWebhook(stage, now)
		if err != nil {
			return err
		}
		r.Webhooks = append(r.Webhooks, notice)
	}
	if to == StateCompleted {
		for _, step := range script.after {
			notices, err := step(&after, now)
			if err != nil {
				return err
			}
			r.Webhooks = append(r.Webhooks, notices...)
		}
	}
	if err := b.record(r, true); err != nil {
		return err
	}
	b.logger.Info("mock bank settled a payment", "payment_id", e.ID, "transaction_id", e.TransactionID, "state", to)
	b.nudge()
	return nil
}

// move is settle on request. Moving a payment to the state that it has changes nothing; a payment in another
// final state stays as it is, except that force completes what had failed or was canceled, as a bank does that
// finds the money after all.
func (b *Bank) move(id string, to State, failure *Failure, force bool) (payment, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e, found := b.books.payments[id]
	if !found {
		return payment{}, errNotFound
	}
	if e.State == to {
		return e.payment, nil
	}
	late := force && to == StateCompleted
	if e.State != StatePending && !late {
		return payment{}, &refusal{http.StatusConflict, "payment_final", "The payment is already " + string(e.State) + "."}
	}
	if err := b.settle(e, to, failure); err != nil {
		return payment{}, err
	}
	return e.payment, nil
}

var errNotFound = &refusal{http.StatusNotFound, "not_found", "No such payment."}

// errBroken is every failure of the ledger: the bank cannot say what is true.
var errBroken = errors.New("mock bank: ledger cannot be used")

// record writes one change and applies it to the books. The caller holds b.mu.
func (b *Bank) record(r record, durable bool) error {
	r.Seq, r.At = b.books.seq+1, b.clock()
	line, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode record: %w", err)
	}
	at, err := b.ledger.append(line, durable)
	if err != nil {
		return fmt.Errorf("%w: %w", errBroken, err)
	}
	b.books.apply(&r, at)
	return nil
}

func (b *Bank) clock() time.Time { return b.now().UTC().Truncate(time.Microsecond) }

// fingerprint is the same for two requests that ask for the same thing, however they are spaced.
func fingerprint(kind Kind, in createRequest) (string, error) {
	canonical, err := json.Marshal(in)
	if err != nil {
		return "", fmt.Errorf("fingerprint request: %w", err)
	}
	sum := sha256.Sum256(append([]byte(kind+"\n"), canonical...))
	return hex.EncodeToString(sum[:]), nil
}

func newID(kind Kind) string {
	prefix := "pay_"
	if kind == KindPayout {
		prefix = "po_"
	}
	return shortID(prefix)
}

// webhookBody is the body of a webhook, as the customer's API documents it.
type webhookBody struct {
	Type      string      `json:"type"`
	Timestamp time.Time   `json:"timestamp"`
	Data      webhookData `json:"data"`
}

type webhookData struct {
	PaymentID     string `json:"payment_id"`
	TransactionID string `json:"transaction_id"`
	AccountID     string `json:"account_id,omitempty"` // the customer's own, where a scenario names one
	RefundID      string `json:"refund_id,omitempty"`
	// RefundTransactionID is the customer's own id of a refund that it asked for.
	RefundTransactionID string   `json:"refund_transaction_id,omitempty"`
	DisputeID           string   `json:"dispute_id,omitempty"`
	FeeID               string   `json:"fee_id,omitempty"`
	Turn                int      `json:"turn,omitempty"` // of a dispute or a return, from 2 on
	Amount              int64    `json:"amount"`
	Currency            string   `json:"currency"`
	Failure             *Failure `json:"failure"`
}

// newWebhook is the notice of the payment as it is. A canceled payment is told as a failed one with the code
// "canceled", because the customer's API has no type for it.
func newWebhook(p *payment, now time.Time) (*webhook, error) {
	state, failure := p.State, p.Failure
	if state == StateCanceled {
		state, failure = StateFailed, &Failure{Code: "canceled", Message: "The payment was canceled."}
	}
	data := p.data()
	data.Failure = failure
	return newNotice("payment."+string(state), data, now)
}

// data is what every webhook about the payment has.
func (p *payment) data() webhookData {
	data := webhookData{PaymentID: p.ID, TransactionID: p.TransactionID, AccountID: p.NamedAccount, Amount: p.Amount, Currency: p.Currency}
	if p.Moved != nil {
		data.Amount, data.Currency = p.Moved.Amount, p.Moved.Currency
	}
	return data
}

func newNotice(kind string, data webhookData, now time.Time) (*webhook, error) {
	body, err := json.Marshal(webhookBody{Type: kind, Timestamp: now, Data: data})
	if err != nil {
		return nil, fmt.Errorf("encode webhook: %w", err)
	}
	return &webhook{ID: shortID("evt_"), Body: body, CreatedAt: now}, nil
}

func shortID(prefix string) string { return prefix + strings.ReplaceAll(uuid.NewString(), "-", "") }
