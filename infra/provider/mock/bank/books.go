package bank

import (
	"container/heap"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// State is where a payment stands at the bank.
type State string

// The states of a payment. All but StatePending are final.
const (
	StatePending   State = "pending"
	StateCompleted State = "completed"
	StateFailed    State = "failed"
	StateCanceled  State = "canceled"
	StateReturned  State = "returned" // of a payout that was paid and came back whole
)

// Kind tells money coming in from money going out.
type Kind string

// The kinds of a payment.
const (
	KindPayment Kind = "payment"
	KindPayout  Kind = "payout"
)

// Failure is why a payment failed.
type Failure struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// errTornLine is a line that is not a whole record.
var errTornLine = errors.New("line is not a record")

// payment is one payment as a line of the ledger holds it. Each change writes the whole payment again; the last
// line about it is the present.
type payment struct {
	ID            string          `json:"id"`
	Kind          Kind            `json:"kind"`
	TransactionID string          `json:"transaction_id"`
	AccountID     string          `json:"account_id,omitempty"`
	Amount        int64           `json:"amount"`
	Currency      string          `json:"currency"`
	State         State           `json:"state"`
	Failure       *Failure        `json:"failure,omitempty"`
	Moved         *moved          `json:"moved,omitempty"` // what came or was paid, where it is not what was asked
	Returned      int64           `json:"returned,omitempty"`
	Returns       int             `json:"returns,omitempty"` // how often that was, from 2 on
	Fee           int64           `json:"fee,omitempty"`
	Refunds       []refund        `json:"refunds,omitempty"`
	Disputes      []dispute       `json:"disputes,omitempty"`
	Target        *target         `json:"external_target,omitempty"`
	Metadata      json.RawMessage `json:"metadata,omitempty"` // as text: nobody reads it, and a map for each would be most of the memory
	Scenario      string          `json:"scenario,omitempty"`
	NamedAccount  string          `json:"named_account,omitempty"` // the customer's account as the webhooks name it
	Traceparent   string          `json:"traceparent,omitempty"`
	DueAt         *time.Time      `json:"due_at,omitempty"` // when it settles by itself
	CreatedAt     time.Time       `json:"created_at"`
	UpdatedAt     time.Time       `json:"updated_at"`
}

// storedAnswer is the first answer to an idempotency key, and the fingerprint of the request that it answered.
type storedAnswer struct {
	Key         string          `json:"key"`
	Fingerprint string          `json:"fingerprint"`
	Status      int             `json:"status"`
	Body        json.RawMessage `json:"body"`
}

// webhook is a notice that the customer has not taken yet. Its body and id never change.
type webhook struct {
	ID        string          `json:"id"`
	Body      json.RawMessage `json:"body"`
	CreatedAt time.Time       `json:"created_at"`

	attempts int
}

// record is one line of the ledger and one atomic change: a torn line is a change that did not happen.
type record struct {
	Seq       int64         `json:"seq"`
	At        time.Time     `json:"at"`
	Payment   *payment      `json:"payment,omitempty"`
	Answer    *storedAnswer `json:"answer,omitempty"`
	Webhooks  []*webhook    `json:"webhooks,omitempty"`
	Silent    bool          `json:"silent,omitempty"`     // the webhooks are not sent
	PaymentID string        `json:"payment_id,omitempty"` // of Delivered and Abandoned
	Delivered string        `json:"delivered,omitempty"`  // webhook id
	Abandoned string        `json:"abandoned,omitempty"`  // webhook id, after the last attempt
}

// entry is a payment with the webhooks that wait for it, in the order of delivery.
type entry struct {
	payment
	outbox    []*webhook
	scheduled bool            // is in the deliveries heap, or its first webhook is on its way
	watchers  []chan struct{} // closed when the payment is final and the outbox empty
}

// givenAnswer is what the memory keeps of a stored answer; its body stays in the ledger.
type givenAnswer struct {
	fingerprint [sha256.Size]byte
	at          place
	given       time.Time
}

// toldEvent is the webhook with the index in the record at the place.
type toldEvent struct {
	at    place
	index int
}

// books is the bank's memory: all of the ledger, applied. Live changes and replay go the same way, through
// apply.
type books struct {
	seq             int64
	events          []toldEvent // all that there ever were, in their order
	payments        map[string]*entry
	order           []*entry // by creation
	byTransaction   map[string][]*entry
	answers         map[string]givenAnswer
	settlements     agenda
	deliveries      agenda
	pendingWebhooks int
	settled         int // payments that left StatePending since the start
}

func newBooks() books {
	return books{
		payments:      make(map[string]*entry),
		byTransaction: make(map[string][]*entry),
		answers:       make(map[string]givenAnswer),
	}
}

// replay applies one line of the ledger file.
func (k *books) replay(line []byte, at place) error {
	var r record
	if err := json.Unmarshal(line, &r); err != nil {
		return fmt.Errorf("%w: %w", errTornLine, err)
	}
	if r.Seq != k.seq+1 {
		return fmt.Errorf("record %d follows record %d", r.Seq, k.seq)
	}
	k.apply(&r, at)
	return nil
}

// apply takes a record into the books, which stands at the place in the ledger.
func (k *books) apply(r *record, at place) {
	k.seq = r.Seq
	if r.Answer != nil {
		k.answers[r.Answer.Key] = givenAnswer{fingerprint: sha256.Sum256([]byte(r.Answer.Fingerprint)), at: at, given: r.At}
	}
	if r.Payment == nil {
		k.take(r.PaymentID, r.Delivered+r.Abandoned)
		return
	}
	e, found := k.payments[r.Payment.ID]
	if !found {
		e = &entry{}
		k.payments[r.Payment.ID] = e
		k.order = append(k.order, e)
		k.byTransaction[r.Payment.TransactionID] = append(k.byTransaction[r.Payment.TransactionID], e)
	}
	if found && e.State == StatePending && r.Payment.State != StatePending {
		k.settled++
	}
	known := len(e.Refunds)
	e.payment = *r.Payment
	for _, asked := range e.Refunds[known:] {
		if asked.DueAt != nil {
			heap.Push(&k.settlements, task{at: *asked.DueAt, seq: r.Seq, entry: e})
		}
	}
	if !found && e.DueAt != nil {
		heap.Push(&k.settlements, task{at: *e.DueAt, seq: r.Seq, entry: e})
	}
	for i := range r.Webhooks {
		k.events = append(k.events, toldEvent{at: at, index: i})
	}
	if !r.Silent {
		e.outbox = append(e.outbox, r.Webhooks...)
		k.pendingWebhooks += len(r.Webhooks)
	}
	k.schedule(e, r.At)
}

// take removes a webhook that was delivered or given up.
func (k *books) take(paymentID, webhookID string) {
	e := k.payments[paymentID]
	if e == nil {
		return
	}
	kept := slices.DeleteFunc(e.outbox, func(w *webhook) bool { return w.ID == webhookID })
	k.pendingWebhooks -= len(e.outbox) - len(kept)
	e.outbox = kept
	e.notify()
}

// schedule puts the entry's first webhook on the agenda, unless it is there or on its way.
func (k *books) schedule(e *entry, at time.Time) {
	if e.scheduled || len(e.outbox) == 0 {
		return
	}
	e.scheduled = true
	heap.Push(&k.deliveries, task{at: at, seq: k.seq, entry: e})
}

func (e *entry) quiet() bool { return e.State != StatePending && len(e.outbox) == 0 }

func (e *entry) notify() {
	if !e.quiet() {
		return
	}
	for _, watcher := range e.watchers {
		close(watcher)
	}
	e.watchers = nil
}

// task is something to do for an entry at a time; seq keeps equal times in order.
type task struct {
	at    time.Time
	seq   int64
	entry *entry
}

// agenda is a heap of tasks, the earliest first.
type agenda []task

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, j int) bool {
	if a[i].at.Equal(a[j].at) {
		return a[i].seq < a[j].seq
	}
	return a[i].at.Before(a[j].at)
}
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)   { *a = append(*a, x.(task)) }
func (a *agenda) Pop() any {
	last := (*a)[len(*a)-1]
	(*a)[len(*a)-1] = task{} // let the entry go
	*a = (*a)[:len(*a)-1]
	return last
}

// due takes the first task that is due at now.
func (a *agenda) due(now time.Time) (task, bool) {
	if len(*a) == 0 || (*a)[0].at.After(now) {
		return task{}, false
	}
	return heap.Pop(a).(task), true
}

// next is when the first task is due, the zero time when there is none.
func (a agenda) next() time.Time {
	if len(a) == 0 {
		return time.Time{}
	}
	return a[0].at
}
