package bank

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// partRequest is the body of a call about a part of a payment; it may be empty.
type partRequest struct {
	Amount int64 `json:"amount"` // minor units; 0 is all that is left
	// TransactionID is the customer's own id of a refund that it asks for. Such a refund takes its time; the bank's own is
	// done at once.
	TransactionID string `json:"transaction_id,omitempty"`
}

// refundView is a refund as the API shows it.
type refundView struct {
	ID            string    `json:"id"`
	Object        string    `json:"object"`
	PaymentID     string    `json:"payment_id"`
	TransactionID string    `json:"transaction_id,omitempty"`
	Amount        int64     `json:"amount"`
	Currency      string    `json:"currency"`
	State         State     `json:"state"`
	Failure       *Failure  `json:"failure"`
	CreatedAt     time.Time `json:"created_at"`
	UpdatedAt     time.Time `json:"updated_at"`
}

func (p *payment) refundView(r *refund) refundView {
	return refundView{ID: r.ID, Object: "refund", PaymentID: p.ID, TransactionID: r.TransactionID, Amount: r.Amount,
		Currency: p.came().Currency, State: r.State, Failure: r.Failure, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt}
}

func readPart(w http.ResponseWriter, r *http.Request) (partRequest, error) {
	var in partRequest
	if err := decode(w, r, &in); err != nil && !errors.Is(err, io.EOF) {
		return in, err
	}
	if in.Amount < 0 {
		return in, invalid("amount must be positive, in minor units.")
	}
	if in.TransactionID != "" {
		if id, err := uuid.Parse(in.TransactionID); err != nil || id.String() != in.TransactionID {
			return in, invalid("transaction_id is not a UUID in its canonical form.")
		}
	}
	return in, nil
}

// amend changes a copy of a payment and writes it with the notices of the change. The caller holds b.mu.
func (b *Bank) amend(e *entry, answer *storedAnswer, change func(p *payment, now time.Time) ([]*webhook, error)) error {
	now := b.clock()
	after := e.payment
	after.UpdatedAt = now
	notices, err := change(&after, now)
	if err != nil {
		return err
	}
	if err := b.record(record{Payment: &after, Answer: answer, Webhooks: notices, Silent: scenarios[e.Scenario].silent}, true); err != nil {
		return err
	}
	b.nudge()
	return nil
}

// onPayment answers a call that changes the payment in the path.
func (b *Bank) onPayment(kind Kind, change func(p *payment, amount int64, now time.Time) ([]*webhook, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		in, err := readPart(w, r)
		if err != nil {
			b.replyError(w, err)
			return
		}
		view, err := b.changePart(r.PathValue("id"), kind, in.Amount, change)
		if err != nil {
			b.replyError(w, err)
			return
		}
		b.replyDurable(w, view)
	}
}

func (b *Bank) changePart(id string, kind Kind, amount int64, change func(p *payment, amount int64, now time.Time) ([]*webhook, error)) (paymentView, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e, found := b.books.payments[id]
	if !found {
		return paymentView{}, errNotFound
	}
	amount, err := e.part(kind, amount)
	if err != nil {
		return paymentView{}, err
	}
	err = b.amend(e, nil, func(p *payment, now time.Time) ([]*webhook, error) { return change(p, amount, now) })
	return e.view(), err
}

func (b *Bank) postDispute(w http.ResponseWriter, r *http.Request) {
	b.onPayment(KindPayment, func(p *payment, amount int64, now time.Time) ([]*webhook, error) {
		made := dispute{ID: shortID("dp_"), Amount: amount, State: disputeOpen}
		p.Disputes = append(slices.Clone(p.Disputes), made)
		return one(p.disputeNotice(made, now))
	})(w, r)
}

func (b *Bank) postReturn(w http.ResponseWriter, r *http.Request) {
	b.onPayment(KindPayout, func(p *payment, amount int64, now time.Time) ([]*webhook, error) {
		return one(p.giveBack(amount, now))
	})(w, r)
}

// postFee has the bank keep a part of a payment for its work.
func (b *Bank) postFee(w http.ResponseWriter, r *http.Request) {
	b.onPayment(KindPayment, func(p *payment, amount int64, now time.Time) ([]*webhook, error) {
		p.Fee = amount
		return one(p.notice("payment.fee", amount, now, func(d *webhookData) { d.FeeID = "fee_" + p.ID }))
	})(w, r)
}

// postRefund takes a refund. With a transaction_id it is the customer's, wants an Idempotency-Key, and completes as payments do;
// without, it is the bank's own and done at once.
func (b *Bank) postRefund(w http.ResponseWriter, r *http.Request) {
	in, err := readPart(w, r)
	if err != nil {
		b.replyError(w, err)
		return
	}
	key := r.Header.Get("Idempotency-Key")
	if in.TransactionID != "" && (key == "" || len(key) > 255) {
		b.replyError(w, invalid("Idempotency-Key must have 1 to 255 characters."))
		return
	}
	got, err := b.refund(r.PathValue("id"), key, in)
	if err == nil {
		err = b.durable()
	}
	if err != nil {
		b.replyError(w, err)
		return
	}
	if got.replayed {
		w.Header().Set("Idempotency-Replayed", "true")
	}
	b.replyRaw(w, got.status, got.body)
}

func (b *Bank) refund(id, key string, in partRequest) (answer, error) {
	print := fmt.Sprintf("refund %s %d %s", id, in.Amount, in.TransactionID)
	b.mu.Lock()
	defer b.mu.Unlock()
	if given, found := b.books.answers[key]; found && key != "" {
		return b.again(given, print)
	}
	e, found := b.books.payments[id]
	if !found {
		return answer{}, errNotFound
	}
	amount, err := e.part(KindPayment, in.Amount)
	if err != nil {
		return answer{}, err
	}
	now := b.clock()
	made := refund{ID: shortID("re_"), TransactionID: in.TransactionID, Amount: amount, State: StateCompleted, CreatedAt: now, UpdatedAt: now}
	if in.TransactionID != "" {
		made.State, made.DueAt = StatePending, scenario{}.dueAt(now, b.autocomplete)
	}
	body, err := json.Marshal(e.refundView(&made))
	if err != nil {
		return answer{}, fmt.Errorf("encode refund: %w", err)
	}
	var stored *storedAnswer
	if key != "" {
		stored = &storedAnswer{Key: key, Fingerprint: print, Status: http.StatusCreated, Body: body}
	}
	err = b.amend(e, stored, func(p *payment, now time.Time) ([]*webhook, error) {
		p.Refunds = append(slices.Clone(p.Refunds), made)
		if made.State == StatePending {
			return nil, nil
		}
		return one(p.refundNotice(made, now))
	})
	return answer{status: http.StatusCreated, body: body}, err
}

// settleRefunds completes what is due. The caller holds b.mu.
func (b *Bank) settleRefunds(e *entry) error {
	for i, r := range e.Refunds {
		if r.State != StatePending || r.DueAt == nil || r.DueAt.After(b.clock()) {
			continue
		}
		err := b.amend(e, nil, func(p *payment, now time.Time) ([]*webhook, error) {
			return one(p.moveRefund(i, StateCompleted, nil, now))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// findRefund returns the payment and the index of its refund.
func (b *Bank) findRefund(is func(refund) bool) (*entry, int, bool) {
	for _, e := range b.books.order {
		if i := slices.IndexFunc(e.Refunds, is); i >= 0 {
			return e, i, true
		}
	}
	return nil, 0, false
}

func (b *Bank) getRefund(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	b.mu.Lock()
	e, i, found := b.findRefund(func(r refund) bool { return r.ID == id })
	var view refundView
	if found {
		view = e.refundView(&e.Refunds[i])
	}
	b.mu.Unlock()
	if !found {
		b.replyError(w, errNotFound)
		return
	}
	b.replyDurable(w, view)
}

// getRefunds lists the refund that the customer knows by its own id; the list may be empty.
func (b *Bank) getRefunds(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("transaction_id")
	if id == "" {
		b.replyError(w, invalid("transaction_id is required."))
		return
	}
	list := []refundView{}
	b.mu.Lock()
	if e, i, found := b.findRefund(func(r refund) bool { return r.TransactionID == id }); found {
		list = append(list, e.refundView(&e.Refunds[i]))
	}
	b.mu.Unlock()
	b.replyDurable(w, map[string]any{"data": list})
}

// postRefundMove completes a pending refund, or fails one that is pending or completed.
func (b *Bank) postRefundMove(to State) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id := r.PathValue("id")
		view, err := b.changeRefund(id, to)
		if err != nil {
			b.replyError(w, err)
			return
		}
		b.replyDurable(w, view)
	}
}

func (b *Bank) changeRefund(id string, to State) (refundView, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e, i, found := b.findRefund(func(r refund) bool { return r.ID == id })
	switch {
	case !found:
		return refundView{}, errNotFound
	case e.Refunds[i].State == to:
		return e.refundView(&e.Refunds[i]), nil
	case e.Refunds[i].State == StateFailed:
		return refundView{}, &refusal{http.StatusConflict, "refund_final", "The refund has failed."}
	}
	var failure *Failure
	if to == StateFailed {
		failure = refundFailure()
	}
	err := b.amend(e, nil, func(p *payment, now time.Time) ([]*webhook, error) { return one(p.moveRefund(i, to, failure, now)) })
	return e.refundView(&e.Refunds[i]), err
}

func (b *Bank) postDisputeEnd(to disputeState) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		view, err := b.changeDispute(r.PathValue("id"), to)
		if err != nil {
			b.replyError(w, err)
			return
		}
		b.replyDurable(w, view)
	}
}

func (b *Bank) changeDispute(id string, to disputeState) (paymentView, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.books.order {
		i := slices.IndexFunc(e.Disputes, func(d dispute) bool { return d.ID == id })
		switch {
		case i < 0:
			continue
		case e.Disputes[i].State == to:
			return e.view(), nil
		case e.Disputes[i].State == disputeLost && to == disputeOpen:
			return paymentView{}, &refusal{http.StatusConflict, "dispute_final", "The dispute is over."}
		}
		err := b.amend(e, nil, func(p *payment, now time.Time) ([]*webhook, error) { return one(p.moveDispute(i, to, now)) })
		return e.view(), err
	}
	return paymentView{}, errNotFound
}

// eventsPerPage bounds a page of events.
const eventsPerPage = 100

// getEvents lists the webhooks that there ever were, behind the cursor, whether they were taken or not.
func (b *Bank) getEvents(w http.ResponseWriter, r *http.Request) {
	after, err := strconv.Atoi(r.URL.Query().Get("after"))
	if r.URL.Query().Get("after") == "" {
		after, err = 0, nil
	}
	if err != nil || after < 0 {
		b.replyError(w, invalid("after is not a cursor."))
		return
	}
	page := struct {
		Data []webhook `json:"data"`
		Next string    `json:"next"`
	}{Data: []webhook{}}
	b.mu.Lock()
	after = min(after, len(b.books.events))
	told := b.books.events[after:min(after+eventsPerPage, len(b.books.events))]
	b.mu.Unlock()
	for _, event := range told {
		r, err := b.recall(event.at)
		if err != nil {
			b.replyError(w, err)
			return
		}
		page.Data = append(page.Data, *r.Webhooks[event.index])
	}
	page.Next = strconv.Itoa(after + len(page.Data))
	b.replyDurable(w, page)
}
