package notification

import (
	"time"

	"github.com/google/uuid"
)

// Channel names webhooks among the deliveries that can become dead letters.
const Channel = "webhook"

// DeliveryStatus is what became of a delivery.
type DeliveryStatus string

// The statuses of a delivery. Only a pending one is tried; a dead one can be sent again.
const (
	DeliveryPending   DeliveryStatus = "pending"
	DeliveryDelivered DeliveryStatus = "delivered"
	DeliveryDead      DeliveryStatus = "dead"
	DeliveryCanceled  DeliveryStatus = "canceled" // its endpoint was deleted
)

// Delivery is one event on its way to one endpoint. There is one per event and endpoint, however often it is tried.
type Delivery struct {
	ID            uuid.UUID
	EndpointID    uuid.UUID
	EventID       uuid.UUID
	TransactionID uuid.UUID
	Event         string // its name, as in filters
	Body          []byte // the same bytes with every attempt
	TraceParent   string // of the transaction's trace
	CreatedAt     time.Time

	Status        DeliveryStatus
	Since         time.Time // when the schedule began: with the delivery, or when it was last sent again
	Tries         int       // since then
	Attempted     int       // in all
	NextAttemptAt time.Time // zero unless pending
	FinishedAt    time.Time // zero while pending
	Attempts      []Attempt // where they were asked for, oldest first
}

// NewDelivery returns a delivery that is due at once.
func NewDelivery(id, endpointID, eventID, transactionID uuid.UUID, event string, body []byte, traceParent string, at time.Time) Delivery {
	return Delivery{ID: id, EndpointID: endpointID, EventID: eventID, TransactionID: transactionID, Event: event, Body: body,
		TraceParent: traceParent, CreatedAt: at, Status: DeliveryPending, Since: at, NextAttemptAt: at}
}

// WebhookID is the same with every attempt and with no other delivery: by it a receiver knows a repeat. It has no full stop,
// which separates the parts of what is signed.
func (d Delivery) WebhookID() string { return d.EventID.String() + "_" + d.EndpointID.String() }

// Succeed ends the delivery with an attempt that was one.
func (d *Delivery) Succeed(at time.Time) {
	d.Tries, d.Attempted = d.Tries+1, d.Attempted+1
	d.end(DeliveryDelivered, at)
}

// Fail counts an attempt that was no success and sets the time of the next one, or ends the delivery as dead where the schedule
// has no more. See NextAttempt.
func (d *Delivery) Fail(at time.Time, wish time.Duration, spread func(time.Duration) time.Duration) {
	d.Tries, d.Attempted = d.Tries+1, d.Attempted+1
	next, more := NextAttempt(d.Since, at, d.Tries, wish, spread)
	if !more {
		d.end(DeliveryDead, at)
		return
	}
	d.NextAttemptAt = next
}

func (d *Delivery) end(status DeliveryStatus, at time.Time) {
	d.Status, d.NextAttemptAt, d.FinishedAt = status, time.Time{}, at
}

// Attempt is one request of a delivery and its answer. Of the answer's body nothing is kept.
type Attempt struct {
	Number    int // 1, 2, … of its delivery
	URL       string
	Header    map[string]string // as it was sent
	StartedAt time.Time
	Took      time.Duration
	Answer    *Answer // nil where none came
	Failure   string  // why it was no success, in words for the owner; "" for one
}

// Answer is what an endpoint answered.
type Answer struct {
	Status      int
	ContentType string
	Bytes       int64         // of the body, as far as it was read
	RetryAfter  time.Duration // the endpoint's own wish, 0 for none
}

// Success says that the endpoint has taken the event.
func (a *Answer) Success() bool { return a != nil && a.Status >= 200 && a.Status <= 299 }

// Gone says that the endpoint wants nothing more.
func (a *Answer) Gone() bool { return a != nil && a.Status == 410 }
