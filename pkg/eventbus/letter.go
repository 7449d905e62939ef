package eventbus

import (
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"florin/domain/account"
)

// letterPayload is what the dead letter of a subscriber's event keeps: all that is needed to hand it over again.
type letterPayload struct {
	Position int64                `json:"position"`
	Event    account.PaymentEvent `json:"event"`
}

// NewLetter returns the open dead letter of an event that a subscriber could not take. Position is 0 for a bus that has
// none. What the letter says of the failure is left to the caller.
func NewLetter(subscriber string, e PositionedEvent) (account.DeadLetter, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return account.DeadLetter{}, err
	}
	eventID, err := uuid.Parse(e.Event.EventID)
	if err != nil {
		return account.DeadLetter{}, fmt.Errorf("dead letter of event %q: %w", e.Event.EventID, err)
	}
	// An event without a transaction that can be read holds up no other.
	transactionID, _ := uuid.Parse(e.Event.TransactionID)
	payload, err := json.Marshal(letterPayload(e))
	if err != nil {
		return account.DeadLetter{}, fmt.Errorf("dead letter of event %s: %w", eventID, err)
	}
	return account.DeadLetter{ID: id, Source: account.DeadSubscriber, SourceName: subscriber, SourceID: eventID,
		TransactionID: transactionID, Payload: string(payload), Status: account.DeadLetterOpen}, nil
}

// EventOf returns the event of a letter that NewLetter made.
func EventOf(letter account.DeadLetter) (PositionedEvent, error) {
	var payload letterPayload
	if err := json.Unmarshal([]byte(letter.Payload), &payload); err != nil {
		return PositionedEvent{}, fmt.Errorf("event of dead letter %s: %w", letter.ID, err)
	}
	return PositionedEvent(payload), nil
}
