package database

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"florin/domain/account"
)

// inboxRow is a row of inbox.
type inboxRow struct {
	ID            uuid.UUID `gorm:"column:id;primaryKey"`
	Provider      string
	EventID       string `gorm:"column:event_id"`
	Kind          string
	Type          string
	PaymentID     string `gorm:"column:payment_id"`
	TransactionID nullID `gorm:"column:transaction_id"`
	Payload       string
	Status        string
	Reason        string
	Tries         int
	Fence         int64
	NextAttemptAt moment `gorm:"column:next_attempt_at"`
	TraceParent   string `gorm:"column:trace_parent"`
	Received      moment `gorm:"column:received_at"`
	Processed     moment `gorm:"column:processed_at"`
}

func (inboxRow) TableName() string { return "inbox" }

// receivedJSON is the part of a PaymentReceivedEvent that has no column. The transaction is the one that the provider
// names, whatever the event turned out to be about. Headers are not kept: they carry signatures.
type receivedJSON struct {
	TransactionID string       `json:"transaction_id,omitempty"`
	AccountID     string       `json:"account_id,omitempty"`
	Ref           string       `json:"ref,omitempty"`
	FollowID      string       `json:"follow_id,omitempty"`
	Turn          int          `json:"turn,omitempty"`
	Owner         string       `json:"owner,omitempty"`
	Card          string       `json:"card,omitempty"`
	Amount        int64        `json:"amount"`
	Currency      string       `json:"currency"`
	Failure       *failureJSON `json:"failure,omitempty"`
	OccurredAt    time.Time    `json:"occurred_at,omitzero"`
	Cause         string       `json:"cause"`
	Raw           string       `json:"raw,omitempty"`
	// RawBytes is the body where it is no UTF-8 text, which JSON could not carry unchanged.
	RawBytes []byte `json:"raw_base64,omitempty"`
}

type failureJSON struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

func inboxToRow(r *account.InboxRecord) (inboxRow, error) {
	payload, err := encodeJSON(receivedToJSON(r.Event))
	if err != nil {
		return inboxRow{}, fmt.Errorf("payload of event %q: %w", r.Event.EventID, err)
	}
	return inboxRow{
		ID: r.ID, Provider: r.Event.Provider, EventID: r.Event.EventID, Kind: string(r.Event.Kind), Type: r.Event.Type,
		PaymentID: r.Event.PaymentID, TransactionID: nullID(r.Event.TransactionID), Payload: payload,
		Status: string(r.Status), Reason: r.Reason, Tries: r.Tries, Fence: r.Fence, NextAttemptAt: momentOf(r.NextAttemptAt),
		TraceParent: r.TraceParent, Received: momentOf(r.ReceivedAt), Processed: momentOf(r.ProcessedAt),
	}, nil
}

func receivedToJSON(e account.PaymentReceivedEvent) receivedJSON {
	stored := receivedJSON{TransactionID: idText(e.TransactionID), AccountID: idText(e.AccountID), Ref: e.Ref, FollowID: idText(e.FollowID),
		Turn: e.Turn, Owner: string(e.Owner),
		Amount: e.Amount, Currency: e.Currency, Card: e.Card, OccurredAt: momentOf(e.OccurredAt).at, Cause: string(e.Cause)}
	if e.Failure != nil {
		stored.Failure = &failureJSON{Code: e.Failure.Code, Message: e.Failure.Message}
	}
	if utf8.Valid(e.Raw) {
		stored.Raw = string(e.Raw)
	} else {
		stored.RawBytes = e.Raw
	}
	return stored
}

func idText(id uuid.UUID) string {
	if id == uuid.Nil {
		return ""
	}
	return id.String()
}

// idFromText is uuid.Nil for an empty text.
func idFromText(text string) (uuid.UUID, error) {
	if text == "" {
		return uuid.Nil, nil
	}
	return uuid.Parse(text)
}

func (r inboxRow) toRecord() (*account.InboxRecord, error) {
	var stored receivedJSON
	if err := json.Unmarshal([]byte(r.Payload), &stored); err != nil {
		return nil, fmt.Errorf("payload of inbox row %s: %w", r.ID, err)
	}
	event := account.PaymentReceivedEvent{
		Provider: r.Provider, EventID: r.EventID, Kind: account.ReceivedKind(r.Kind), Type: r.Type, PaymentID: r.PaymentID,
		TransactionID: uuid.UUID(r.TransactionID), Ref: stored.Ref, Amount: stored.Amount, Currency: stored.Currency, OccurredAt: stored.OccurredAt,
		Card: stored.Card, Turn: stored.Turn, Owner: account.Owner(stored.Owner), Cause: account.Cause(stored.Cause),
		Raw: stored.RawBytes,
	}
	var errAccount, errFollow error
	event.AccountID, errAccount = idFromText(stored.AccountID)
	event.FollowID, errFollow = idFromText(stored.FollowID)
	if err := errors.Join(errAccount, errFollow); err != nil {
		return nil, fmt.Errorf("payload of inbox row %s: %w", r.ID, err)
	}
	if stored.Raw != "" {
		event.Raw = []byte(stored.Raw)
	}
	if stored.Failure != nil {
		event.Failure = &account.Failure{Code: stored.Failure.Code, Message: stored.Failure.Message}
	}
	return &account.InboxRecord{
		ID: r.ID, Event: event, Status: account.InboxStatus(r.Status), Reason: r.Reason, Tries: r.Tries, Fence: r.Fence,
		NextAttemptAt: r.NextAttemptAt.at, TraceParent: r.TraceParent, ReceivedAt: r.Received.at, ProcessedAt: r.Processed.at,
	}, nil
}

// settled is the row as it stood, with what may move taken from the other: equal to it when nothing else has changed. The
// payload stays as it was received, also when the event is found to be of another transaction than it names.
func (r inboxRow) settled(now inboxRow) inboxRow {
	r.Payload = now.Payload
	r.TransactionID, r.Status, r.Reason, r.Tries, r.Fence = now.TransactionID, now.Status, now.Reason, now.Tries, now.Fence
	r.NextAttemptAt, r.Processed = now.NextAttemptAt, now.Processed
	return r
}
