package mock

import (
	"crypto/hmac"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"florin/domain/account"
)

const (
	webhookWindow = 300 // seconds that a webhook's time may differ from our clock, on either side
	maxSignatures = 16  // that are looked at in one header
	maxTurns      = 1 << 20
)

// webhookBody is the body of a webhook. Fields that it does not name are passed over.
type webhookBody struct {
	Type      string          `json:"type"`
	Timestamp string          `json:"timestamp"`
	Data      json.RawMessage `json:"data"`
}

type webhookData struct {
	PaymentID           string       `json:"payment_id"`
	TransactionID       *string      `json:"transaction_id"`
	AccountID           *string      `json:"account_id"`
	RefundID            string       `json:"refund_id"`
	RefundTransactionID *string      `json:"refund_transaction_id"`
	DisputeID           string       `json:"dispute_id"`
	FeeID               string       `json:"fee_id"`
	Turn                int          `json:"turn"` // which time the same thing happens; 0 is the first
	Amount              int64        `json:"amount"`
	Currency            string       `json:"currency"`
	Failure             *failureBody `json:"failure"`

	transactionID, accountID, refundTransactionID uuid.UUID
}

// ref is the part of the payment that the event is about, by the bank's id.
func (d webhookData) ref(kind account.ReceivedKind) string {
	switch kind {
	case account.ReceivedRefunded, account.ReceivedRefundFailed:
		return d.RefundID
	case account.ReceivedDisputed, account.ReceivedDisputeWon, account.ReceivedDisputeLost:
		return d.DisputeID
	case account.ReceivedFee:
		return d.FeeID
	default:
		return ""
	}
}

// SignsWebhook implements account.PaymentProvider.
func (c *Client) SignsWebhook(header http.Header) bool {
	return len(header.Values(standardwebhooks.HeaderWebhookSignature)) > 0
}

// ParseWebhook implements account.PaymentProvider. The event keeps no reference to raw.
func (c *Client) ParseWebhook(raw []byte, header http.Header) (account.PaymentReceivedEvent, error) {
	id, at, err := c.authenticate(raw, header)
	if err != nil {
		return account.PaymentReceivedEvent{}, fmt.Errorf("mock provider: %w: %w", account.ErrWebhookNotAuthentic, err)
	}
	event, err := parseEvent(raw, at)
	if err != nil {
		return account.PaymentReceivedEvent{}, fmt.Errorf("mock provider: %w: %w", account.ErrWebhookMalformed, err)
	}
	event.EventID = id
	return event, nil
}

// authenticate checks time and signature and returns the id and the time of the attempt. The work is bounded by
// the body and maxSignatures, whatever the headers hold.
func (c *Client) authenticate(raw []byte, header http.Header) (string, time.Time, error) {
	id, err := only(header, standardwebhooks.HeaderWebhookID)
	if err != nil {
		return "", time.Time{}, err
	}
	// A dot would let an id run over into the time that is signed behind it.
	if !validID(id) {
		return "", time.Time{}, errors.New("the id is not one")
	}
	stamp, err := only(header, standardwebhooks.HeaderWebhookTimestamp)
	if err != nil {
		return "", time.Time{}, err
	}
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || strconv.FormatInt(seconds, 10) != stamp {
		return "", time.Time{}, errors.New("the timestamp is not a number of seconds")
	}
	signatures, err := only(header, standardwebhooks.HeaderWebhookSignature)
	if err != nil {
		return "", time.Time{}, err
	}
	at := time.Unix(seconds, 0).UTC()
	if err := c.verify(id, at, raw, signatures); err != nil {
		return "", time.Time{}, err
	}
	if now := c.now().Unix(); seconds < now-webhookWindow || seconds > now+webhookWindow {
		return "", time.Time{}, account.ErrWebhookOutOfTime
	}
	return strings.Clone(id), at, nil
}

func (c *Client) verify(id string, at time.Time, raw []byte, signatures string) error {
	wanted := make([][]byte, 0, 2)
	for _, signer := range *c.signers.Load() {
		signature, err := signer.Sign(id, at, raw)
		if err != nil {
			return fmt.Errorf("sign: %w", err)
		}
		wanted = append(wanted, []byte(signature))
	}
	rest := signatures
	for range maxSignatures {
		var signature string
		var more bool
		signature, rest, more = strings.Cut(rest, " ")
		for _, want := range wanted {
			if hmac.Equal([]byte(signature), want) {
				return nil
			}
		}
		if !more {
			break
		}
	}
	return errors.New("no signature matches")
}

// only returns the one value of a header; several would leave open which of them was signed.
func only(header http.Header, name string) (string, error) {
	values := header.Values(name)
	if len(values) != 1 || values[0] == "" {
		return "", fmt.Errorf("%d values of the header %s", len(values), name)
	}
	return values[0], nil
}

// parseEvent reads an authentic body. A type that moves nothing here is ReceivedIgnored, with as much of its data
// as can be read. What is no event is that too, with a failure, and one of money that cannot be
// read is ReceivedForeign. The bank would send it again for ever after any other answer than 200;
// only what is no JSON is an error.
func parseEvent(raw []byte, sentAt time.Time) (account.PaymentReceivedEvent, error) {
	if !json.Valid(raw) {
		return account.PaymentReceivedEvent{}, errors.New("the body is not JSON")
	}
	var body webhookBody
	unreadable := json.Unmarshal(raw, &body)
	named := body.Type != "" && len(body.Type) <= 128 && plainText(body.Type) == body.Type
	if unreadable != nil || !named {
		return account.PaymentReceivedEvent{Provider: Name, Kind: account.ReceivedIgnored,
			Type: "unknown", OccurredAt: sentAt,
			Cause: account.CauseWebhook, Raw: slices.Clone(raw),
			Failure: &account.Failure{Code: account.UnusableEvent,
				Message: "the body is not an event with a type"}}, nil
	}
	event := account.PaymentReceivedEvent{
		Provider:   Name,
		Kind:       account.ReceivedIgnored,
		Type:       body.Type,
		OccurredAt: occurredAt(body.Timestamp, sentAt),
		Cause:      account.CauseWebhook,
		Raw:        slices.Clone(raw),
	}
	switch kind := account.ReceivedKind(body.Type); kind {
	case account.ReceivedPending, account.ReceivedCompleted, account.ReceivedFailed, account.ReceivedRefunded, account.ReceivedRefundFailed,
		account.ReceivedDisputed, account.ReceivedDisputeWon, account.ReceivedDisputeLost, account.ReceivedPayoutReturned, account.ReceivedFee:
		event.Kind = kind
	}
	data, err := readData(body.Data)
	if err != nil {
		if event.Kind != account.ReceivedIgnored { // it speaks of money, and does not say of which
			event.Kind = account.ReceivedForeign
			event.Failure = &account.Failure{Code: "unreadable_event",
				Message: "the event's data cannot be read"}
		}
		return event, nil
	}
	event.PaymentID, event.TransactionID, event.AccountID = data.PaymentID, data.transactionID, data.accountID
	event.Ref, event.FollowID, event.Turn = data.ref(event.Kind), data.refundTransactionID,
		data.Turn
	event.Amount, event.Currency = data.Amount, data.Currency
	if event.Kind == account.ReceivedFailed || event.Kind == account.ReceivedRefundFailed {
		event.Failure = data.Failure.inOurWords()
	}
	return event, nil
}

// readData reads the part about the payment and refuses what cannot be one. A transaction id may be absent: the
// bank may tell of a payment that is not from us.
func readData(raw json.RawMessage) (webhookData, error) {
	var data webhookData
	if err := json.Unmarshal(raw, &data); err != nil {
		return webhookData{}, fmt.Errorf("read data: %w", err)
	}
	if !validID(data.PaymentID) {
		return webhookData{}, errors.New("payment_id is not an id")
	}
	for _, id := range []string{data.RefundID, data.DisputeID, data.FeeID} {
		if id != "" && !validID(id) {
			return webhookData{}, errors.New("the id of a refund, dispute or fee is not one")
		}
	}
	if data.Amount <= 0 {
		return webhookData{}, errors.New("amount is not positive")
	}
	if data.Turn < 0 || data.Turn > maxTurns {
		return webhookData{}, errors.New("turn is no count")
	}
	if !validCurrency(data.Currency) {
		return webhookData{}, errors.New("currency is not a code")
	}
	for from, into := range map[*string]*uuid.UUID{
		data.TransactionID: &data.transactionID, data.AccountID: &data.accountID, data.RefundTransactionID: &data.refundTransactionID,
	} {
		if from == nil || *from == "" {
			continue
		}
		id, err := parseUUID(*from)
		if err != nil {
			return webhookData{}, err
		}
		*into = id
	}
	return data, nil
}

// occurredAt is the time that the body states, or the time of the attempt where it states none that can be read.
func occurredAt(stated string, sentAt time.Time) time.Time {
	at, err := time.Parse(time.RFC3339, stated)
	if err != nil {
		return sentAt
	}
	return at.UTC().Truncate(time.Microsecond)
}
