package mock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/google/uuid"

	"florin/domain/account"
)

// refundBody is what asks for a refund; it comes from the instruction alone.
type refundBody struct {
	Amount        int64     `json:"amount"`
	TransactionID uuid.UUID `json:"transaction_id"`
}

// refund is a refund as the bank answers it.
type refund struct {
	ID            string       `json:"id"`
	PaymentID     string       `json:"payment_id"`
	TransactionID string       `json:"transaction_id"`
	Amount        int64        `json:"amount"`
	Currency      string       `json:"currency"`
	State         string       `json:"state"`
	Failure       *failureBody `json:"failure"`
	UpdatedAt     time.Time    `json:"updated_at"`

	transactionID uuid.UUID
}

// refundKindOf is what each state of a refund is in our words.
var refundKindOf = map[string]account.ReceivedKind{
	"pending":   account.ReceivedPending,
	"completed": account.ReceivedRefunded,
	"failed":    account.ReceivedRefundFailed,
}

func (r refund) checked() (refund, error) {
	if refundKindOf[r.State] == "" || !validID(r.ID) || !validID(r.PaymentID) || r.Amount <= 0 || !validCurrency(r.Currency) || r.UpdatedAt.IsZero() {
		return refund{}, unknown("bad_answer", errors.New("the answer is not a refund"))
	}
	if r.TransactionID != "" { // the bank's own refunds have none
		id, err := parseUUID(r.TransactionID)
		if err != nil {
			return refund{}, unknown("bad_answer", err)
		}
		r.transactionID = id
	}
	return r, nil
}

func (r refund) report() account.PaymentReport {
	report := account.PaymentReport{PaymentID: r.ID, TransactionID: r.transactionID, Kind: refundKindOf[r.State], Amount: r.Amount,
		Currency: r.Currency, OccurredAt: r.UpdatedAt.UTC().Truncate(time.Microsecond)}
	if report.Kind == account.ReceivedRefundFailed {
		report.Failure = r.Failure.inOurWords()
	}
	return report
}

// RefundPayment implements account.PaymentProvider.
func (c *Client) RefundPayment(ctx context.Context, in account.RefundInstruction) (account.Initiation, error) {
	made, err := c.refund(ctx, in)
	if err != nil {
		return account.Initiation{}, fmt.Errorf("mock provider: refund payment: %w", err)
	}
	return account.Initiation{PaymentID: made.ID, Report: made.report()}, nil
}

func (c *Client) refund(ctx context.Context, in account.RefundInstruction) (refund, error) {
	if !validID(in.PaymentID) {
		return refund{}, &account.ProviderError{Class: account.ErrProviderRefused, Code: "invalid", Message: "The provider has no such payment."}
	}
	body, err := json.Marshal(refundBody{Amount: in.Amount.Minor(), TransactionID: in.TransactionID})
	if err != nil {
		return refund{}, unknown("", fmt.Errorf("encode request: %w", err))
	}
	got, err := c.call(ctx, http.MethodPost, c.base.JoinPath("payments", in.PaymentID, "refunds"), in.IdempotencyKey, body)
	if err != nil {
		return refund{}, err
	}
	if got.status != http.StatusOK && got.status != http.StatusCreated {
		return refund{}, c.refundError(got)
	}
	var made refund
	if err := json.Unmarshal(got.body, &made); err != nil {
		return refund{}, unknown("bad_answer", fmt.Errorf("read answer: %w", err))
	}
	if made, err = made.checked(); err != nil {
		return refund{}, err
	}
	if made.transactionID != in.TransactionID || made.PaymentID != in.PaymentID || made.Amount != in.Amount.Minor() ||
		made.Currency != in.Amount.Currency().Code() {
		return refund{}, unknown("answer_mismatch", errors.New("the answer is about another refund, payment, amount or currency"))
	}
	return made, nil
}

// refundError is the error for an answer that is no refund. That the payment is not one that can be refunded is a definite no,
// unlike other conflicts.
func (c *Client) refundError(got answered) error {
	said := errorOf(got)
	if got.status == http.StatusConflict && said.Code == "not_completed" {
		return &account.ProviderError{Class: account.ErrProviderRefused, Code: said.Code, Message: said.Message}
	}
	return c.classify(got)
}

// findRefund looks a refund up by its id, or by ours.
func (c *Client) findRefund(ctx context.Context, ref account.PaymentRef) (refund, error) {
	target := c.base.JoinPath("refunds", ref.PaymentID)
	switch {
	case ref.PaymentID == "" && ref.TransactionID == uuid.Nil:
		return refund{}, unknown("", errors.New("the reference names no refund"))
	case ref.PaymentID == "":
		target.RawQuery = url.Values{"transaction_id": {ref.TransactionID.String()}}.Encode()
	case !validID(ref.PaymentID):
		return refund{}, account.ErrProviderNotFound
	}
	got, err := c.call(ctx, http.MethodGet, target, "", nil)
	if err != nil {
		return refund{}, err
	}
	if got.status != http.StatusOK {
		return refund{}, c.lookupError(got)
	}
	var answer struct {
		refund
		Data []refund `json:"data"`
	}
	if err := json.Unmarshal(got.body, &answer); err != nil {
		return refund{}, unknown("bad_answer", fmt.Errorf("read answer: %w", err))
	}
	found := answer.refund
	if ref.PaymentID == "" {
		if len(answer.Data) == 0 {
			return refund{}, account.ErrProviderNotFound
		}
		found = answer.Data[0]
	}
	if found, err = found.checked(); err != nil {
		return refund{}, err
	}
	if (ref.PaymentID != "" && found.ID != ref.PaymentID) || (ref.TransactionID != uuid.Nil && found.TransactionID != "" && found.transactionID != ref.TransactionID) {
		return refund{}, unknown("answer_mismatch", errors.New("the answer is about another refund"))
	}
	return found, nil
}

// Consult implements account.PaymentProvider. Every event of the bank states its fact.
func (c *Client) Consult(context.Context, account.PaymentReceivedEvent) ([]account.PaymentReceivedEvent, error) {
	return nil, nil
}

// ListEvents implements account.PaymentProvider. The bank keeps every event. The listing does not lag: an event is listed before
// it is sent.
func (c *Client) ListEvents(ctx context.Context, cursor string) ([]account.PaymentReceivedEvent, string, error) {
	events, next, err := c.events(ctx, cursor)
	if err != nil {
		return nil, cursor, fmt.Errorf("mock provider: list events: %w", err)
	}
	return events, next, nil
}

func (c *Client) events(ctx context.Context, cursor string) ([]account.PaymentReceivedEvent, string, error) {
	target := c.base.JoinPath("events")
	target.RawQuery = url.Values{"after": {cursor}}.Encode()
	got, err := c.callFor(ctx, http.MethodGet, target, "", nil, maxList)
	if err != nil {
		return nil, "", err
	}
	if got.status != http.StatusOK {
		return nil, "", c.lookupError(got)
	}
	var page struct {
		Data []struct {
			ID        string          `json:"id"`
			Body      json.RawMessage `json:"body"`
			CreatedAt time.Time       `json:"created_at"`
		} `json:"data"`
		Next string `json:"next"`
	}
	if err := json.Unmarshal(got.body, &page); err != nil || page.Next == "" {
		return nil, "", unknown("bad_answer", fmt.Errorf("read answer: %w", err))
	}
	events := make([]account.PaymentReceivedEvent, 0, len(page.Data))
	for _, listed := range page.Data {
		event, err := parseEvent(listed.Body, listed.CreatedAt)
		if err != nil || !validID(listed.ID) {
			return nil, "", unknown("bad_answer", fmt.Errorf("event %q: %w", listed.ID, err))
		}
		event.EventID = listed.ID
		events = append(events, event)
	}
	return events, page.Next, nil
}
