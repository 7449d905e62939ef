package eventbus

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"florin/domain/account"
)

const (
	cloudEventSource = "/florin"
	cloudEventType   = "florin.payment." // the status follows
	cloudEventSchema = "urn:florin:payment-event:"
)

var (
	// ErrNewerEvent is a CloudEvent of ours that this program is too old to read. It is kept, never dropped.
	ErrNewerEvent = errors.New("event is of a newer version")
	// ErrNotPaymentEvent is what is no payment event of ours, whatever reads it.
	ErrNotPaymentEvent = errors.New("not a payment event")
)

type cloudEvent struct {
	SpecVersion     string               `json:"specversion"`
	ID              string               `json:"id"`
	Source          string               `json:"source"`
	Type            string               `json:"type"`
	Subject         string               `json:"subject"`
	Time            time.Time            `json:"time"`
	DataContentType string               `json:"datacontenttype"`
	DataSchema      string               `json:"dataschema"`
	Seq             int                  `json:"seq"`
	Position        string               `json:"position,omitempty"`
	Data            account.PaymentEvent `json:"data"`
}

// MarshalCloudEvent writes the event as structured CloudEvents 1.0 JSON. A position of 0 is left out.
func MarshalCloudEvent(position int64, e account.PaymentEvent) ([]byte, error) {
	c := cloudEvent{SpecVersion: "1.0", ID: e.EventID, Source: cloudEventSource, Type: cloudEventType + string(e.Status),
		Subject: e.TransactionID, Time: e.At.UTC(), DataContentType: "application/json", DataSchema: cloudEventSchema + "1",
		Seq: e.Seq, Data: e}
	if position > 0 {
		c.Position = strconv.FormatInt(position, 10)
	}
	body, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("marshal event %s: %w", e.EventID, err)
	}
	return body, nil
}

// UnmarshalCloudEvent reads what MarshalCloudEvent wrote. ErrNewerEvent, ErrNotPaymentEvent.
func UnmarshalCloudEvent(body []byte) (account.PaymentEvent, int64, error) {
	var c cloudEvent
	if err := json.Unmarshal(body, &c); err != nil {
		return account.PaymentEvent{}, 0, fmt.Errorf("%w: %w", ErrNotPaymentEvent, err)
	}
	version, err := strconv.Atoi(strings.TrimPrefix(c.DataSchema, cloudEventSchema))
	if err != nil || c.SpecVersion != "1.0" || c.Source != cloudEventSource || c.Data.EventID == "" {
		return account.PaymentEvent{}, 0, fmt.Errorf("%w: type %q of %q", ErrNotPaymentEvent, c.Type, c.Source)
	}
	if version > 1 {
		return account.PaymentEvent{}, 0, fmt.Errorf("%w: %d", ErrNewerEvent, version)
	}
	var position int64
	if c.Position != "" {
		if position, err = strconv.ParseInt(c.Position, 10, 64); err != nil {
			return account.PaymentEvent{}, 0, fmt.Errorf("%w: %w", ErrNotPaymentEvent, err)
		}
	}
	return c.Data, position, nil
}
