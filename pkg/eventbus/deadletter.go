package eventbus

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"time"

	"github.com/google/uuid"

	"florin/domain/account"
)

// DeadLetters keeps events that a subscriber cannot take.
type DeadLetters interface {
	// AddDeadLetter stores an open one, and answers false where one of its source is open already. An event counts as set
	// aside only after it returned without an error.
	AddDeadLetter(ctx context.Context, d account.DeadLetter) (added bool, err error)
	// HeldTransactions are those of which the subscriber has a dead letter that is open, or redriven and not handed over yet.
	HeldTransactions(ctx context.Context, subscriber string) ([]uuid.UUID, error)
}

// The reasons of a subscriber's dead letters.
const (
	ReasonTriesUsedUp = "tries_used_up"
	ReasonUnreadable  = "unreadable"
	// ReasonBehind is an event that was never tried, because an earlier one of its transaction was set aside.
	ReasonBehind = "earlier_event_set_aside"
)

// newDeadLetter is the item as it is kept. The payload is the CloudEvent, or what came where that cannot be read.
func newDeadLetter(subscriber string, item *Item, reason string, tries int, failure error, now time.Time) (account.DeadLetter, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return account.DeadLetter{}, err
	}
	payload := item.Raw
	if payload == nil {
		if payload, err = MarshalCloudEvent(item.Position, item.Event); err != nil {
			return account.DeadLetter{}, err
		}
	}
	// What cannot be read has no id of its own: the same bytes are the same dead letter.
	source, err := uuid.Parse(item.Event.EventID)
	if err != nil {
		source = uuid.NewHash(sha256.New(), uuid.Nil, payload, 8)
	}
	transaction, err := uuid.Parse(item.Event.TransactionID)
	if err != nil {
		transaction = uuid.Nil
	}
	text := reason
	if failure != nil {
		text = failure.Error()
	}
	const longest = 2000 // a panic brings its stack along
	return account.DeadLetter{
		ID: id, Source: account.DeadSubscriber, SourceName: subscriber, SourceID: source, TransactionID: transaction, Reason: reason,
		LastError: plain(text[:min(len(text), longest)]), Tries: tries, Payload: printable(payload), Status: account.DeadLetterOpen,
		CreatedAt: now.UTC().Truncate(time.Microsecond),
	}, nil
}

// plain is a text as databases take it.
func plain(text string) string { return strings.ToValidUTF8(strings.ReplaceAll(text, "\x00", ""), "") }

// printable is what came, in base64 where it is no text.
func printable(payload []byte) string {
	if text := string(payload); plain(text) == text {
		return text
	}
	return "base64:" + base64.StdEncoding.EncodeToString(payload)
}
