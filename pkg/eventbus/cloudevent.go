package eventbus

//go:generate go run ./eventschema ../../docs/events

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"florin/domain/account"
	"florin/pkg/telemetry"
)

// What an event of ours carries in every CloudEvent. The rules of the version are in docs/events/README.md.
const (
	CloudEventSource = "/florin"
	// CloudEventType is the beginning of the type; the status follows.
	CloudEventType = "florin.payment."
	// CloudEventSchema names the schema of the data; its last part is the version.
	CloudEventSchema = schemaPrefix + "1"

	schemaPrefix = "urn:florin:payment-event:"
	dataVersion  = 1
)

var (
	// ErrNewerEvent is a CloudEvent of ours that this program is too old to read. It is to be kept until a newer one reads
	// it, never dropped.
	ErrNewerEvent = errors.New("event is of a newer version")
	// ErrNotPaymentEvent is what is no payment event of ours, whatever reads it.
	ErrNotPaymentEvent = errors.New("not a payment event")
)

// CloudEvent is a payment event in the structured JSON form of CloudEvents 1.0.
type CloudEvent struct {
	SpecVersion     string    `json:"specversion" enum:"1.0"`
	ID              string    `json:"id" format:"uuid" description:"The event's id. A repeat has the same."`
	Source          string    `json:"source" enum:"/florin"`
	Type            string    `json:"type" enum:"florin.payment.initiated,florin.payment.pending,florin.payment.completed,florin.payment.failed"`
	Subject         string    `json:"subject" format:"uuid" description:"The transaction."`
	Time            time.Time `json:"time"`
	DataContentType string    `json:"datacontenttype" enum:"application/json"`
	DataSchema      string    `json:"dataschema" enum:"urn:florin:payment-event:1" description:"Names the schema of data; the last part is its version."`
	// Seq is an integer of CloudEvents, which has 32 bits; a position may need more, so it is text.
	Seq         int         `json:"seq" minimum:"1" description:"1, 2, … per transaction, without a gap."`
	Position    string      `json:"position,omitempty" pattern:"^[1-9][0-9]*$" description:"The place in the log of all events: a decimal number that grows."`
	TraceParent string      `json:"traceparent,omitempty" description:"W3C trace context of the call that began the transaction."`
	TraceState  string      `json:"tracestate,omitempty" description:"What tracing systems say of that trace, where they do."`
	Data        PaymentData `json:"data"`
}

// PaymentData is the data of a CloudEvent: a PaymentEvent as it is shown outside.
type PaymentData struct {
	EventID               string            `json:"event_id" format:"uuid"`
	TransactionID         string            `json:"transaction_id" format:"uuid"`
	AccountID             string            `json:"account_id,omitempty" format:"uuid" description:"Missing where no user's account is concerned."`
	UserID                string            `json:"user_id,omitempty" format:"uuid"`
	Direction             string            `json:"direction,omitempty" enum:"in,out" description:"As account_id sees it."`
	CounterpartyAccountID string            `json:"counterparty_account_id,omitempty" format:"uuid" description:"The other account of a transfer."`
	CounterpartyUserID    string            `json:"counterparty_user_id,omitempty" format:"uuid" description:"Never shown to a user."`
	Amount                int64             `json:"amount" minimum:"1" description:"Minor units of currency."`
	Currency              string            `json:"currency" pattern:"^[A-Z]{3}$"`
	Status                string            `json:"status" enum:"initiated,pending,completed,failed"`
	From                  string            `json:"from,omitempty" enum:"initiated,pending,failed" description:"The status before; missing in the first event."`
	Provider              string            `json:"provider"`
	Cause                 string            `json:"cause" description:"What made it move."`
	Seq                   int               `json:"seq" minimum:"1"`
	Timestamp             int64             `json:"timestamp" description:"Unix seconds of at."`
	At                    time.Time         `json:"at" description:"Never before the transaction's previous event."`
	Metadata              map[string]string `json:"metadata,omitempty" description:"operation is the type of the transaction."`
}

// MarshalCloudEvent writes the event as structured CloudEvents 1.0 JSON. The same event at the same position always
// gives the same bytes. A position of 0 is one that is not known and is left out.
func MarshalCloudEvent(position int64, e account.PaymentEvent) ([]byte, error) {
	c := CloudEvent{
		SpecVersion: "1.0", ID: e.EventID, Source: CloudEventSource, Type: CloudEventType + string(e.Status),
		Subject: e.TransactionID, Time: e.At.UTC(), DataContentType: "application/json", DataSchema: CloudEventSchema,
		Seq: e.Seq,
		Data: PaymentData{
			EventID: e.EventID, TransactionID: e.TransactionID, AccountID: e.AccountID, UserID: e.UserID, Direction: e.Direction,
			CounterpartyAccountID: e.CounterpartyAccountID, CounterpartyUserID: e.CounterpartyUserID,
			Amount: e.Amount, Currency: e.Currency, Status: string(e.Status), From: string(e.From), Provider: e.Provider,
			Cause: string(e.Cause), Seq: e.Seq, Timestamp: e.Timestamp, At: e.At.UTC(), Metadata: e.Metadata,
		},
	}
	c.TraceParent, c.TraceState = telemetry.SplitCarried(e.TraceParent)
	if position > 0 {
		c.Position = strconv.FormatInt(position, 10)
	}
	body, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("marshal event %s: %w", e.EventID, err)
	}
	return body, nil
}

// UnmarshalCloudEvent reads what MarshalCloudEvent has written, here or in another version of the program; the position
// is 0 where it has none. Members that it does not know are passed over. ErrNewerEvent for an event of a later version,
// ErrNotPaymentEvent for all that is none of ours.
func UnmarshalCloudEvent(body []byte) (account.PaymentEvent, int64, error) {
	// What the version is must be known before anything is read by its rules.
	var head struct {
		SpecVersion string `json:"specversion"`
		Source      string `json:"source"`
		Type        string `json:"type"`
		DataSchema  string `json:"dataschema"`
	}
	if err := json.Unmarshal(body, &head); err != nil {
		return account.PaymentEvent{}, 0, fmt.Errorf("%w: %w", ErrNotPaymentEvent, err)
	}
	if head.SpecVersion != "1.0" || head.Source != CloudEventSource || !strings.HasPrefix(head.Type, CloudEventType) {
		return account.PaymentEvent{}, 0, fmt.Errorf("%w: type %q of %q", ErrNotPaymentEvent, head.Type, head.Source)
	}
	version, err := strconv.Atoi(strings.TrimPrefix(head.DataSchema, schemaPrefix))
	switch {
	case err != nil || version < 1:
		return account.PaymentEvent{}, 0, fmt.Errorf("%w: schema %q", ErrNotPaymentEvent, head.DataSchema)
	case version > dataVersion:
		return account.PaymentEvent{}, 0, fmt.Errorf("%w: %d, and this reads %d", ErrNewerEvent, version, dataVersion)
	}
	var c CloudEvent
	if err := json.Unmarshal(body, &c); err != nil {
		return account.PaymentEvent{}, 0, fmt.Errorf("%w: %w", ErrNotPaymentEvent, err)
	}
	return c.event()
}

func (c CloudEvent) event() (account.PaymentEvent, int64, error) {
	d := c.Data
	e := account.PaymentEvent{
		EventID: d.EventID, TransactionID: d.TransactionID, AccountID: d.AccountID, UserID: d.UserID, Direction: d.Direction,
		CounterpartyAccountID: d.CounterpartyAccountID, CounterpartyUserID: d.CounterpartyUserID,
		Amount: d.Amount, Currency: d.Currency, Status: account.PaymentStatus(d.Status), From: account.PaymentStatus(d.From),
		Provider: d.Provider, Cause: account.Cause(d.Cause), Seq: d.Seq, Timestamp: d.Timestamp, At: d.At.UTC(),
		Metadata: d.Metadata, TraceParent: strings.TrimSuffix(c.TraceParent+" "+c.TraceState, " "),
	}
	var position int64
	var err error
	if c.Position != "" {
		position, err = strconv.ParseInt(c.Position, 10, 64)
	}
	agrees := c.ID == d.EventID && c.Subject == d.TransactionID && c.Seq == d.Seq && c.Type == CloudEventType+d.Status
	if err != nil || position < 0 || !agrees || d.Seq < 1 || !e.Status.Valid() {
		return account.PaymentEvent{}, 0, fmt.Errorf("%w: event %q contradicts itself", ErrNotPaymentEvent, c.ID)
	}
	return e, position, nil
}
