package stripe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/stripe/stripe-go/v76"

	"florin/domain/account"
)

var _ account.MovementLister = (*Client)(nil)

// maxPayoutsAsked bounds the questions about payouts of one ListMovements: a page ends where it has asked so many.
const maxPayoutsAsked = 20

// expanded is what comes with each balance transaction: what it is about, and of a refund or a dispute its charge, which has our
// metadata.
var expanded = []string{"data.source", "data.source.charge"}

// ListMovements implements account.MovementLister: the balance transactions of our own account, the newest first. It has the money
// that is ours alone: what names no transaction of ours in its metadata, or its charge's, is another program's on the same account.
// A page may be empty and not the last.
func (c *Client) ListMovements(ctx context.Context, cursor string) ([]account.Movement, string, error) {
	page, next, err := c.movements(ctx, cursor)
	if err != nil {
		return nil, "", fmt.Errorf("stripe: list movements: %w", err)
	}
	return page, next, nil
}

func (c *Client) movements(ctx context.Context, cursor string) ([]account.Movement, string, error) {
	if cursor != "" && !validID(cursor) {
		return nil, "", unknown("bad_cursor", errors.New("the cursor is not one of ours"))
	}
	got, err := c.page(ctx, how{}, cursor, func(api *resources, p stripe.ListParams) (*stripe.APIResponse, error) {
		it := api.BalanceTransactions.List(&stripe.BalanceTransactionListParams{ListParams: p, Expand: stripe.StringSlice(expanded)})
		return it.BalanceTransactionList().LastResponse, it.Err()
	})
	if err != nil {
		return nil, "", err
	}
	var page []account.Movement
	asked := 0
	for _, raw := range got.Data {
		line, err := read[balanceLine](raw, "balance_transaction")
		if err == nil && !validID(line.ID) {
			err = mismatch()
		}
		if err != nil {
			return nil, "", err
		}
		moved := line.movements()
		if sent, ours := line.sent(); ours {
			if moved, err = c.paidOut(ctx, line, sent); err != nil {
				return nil, "", err
			}
			asked++
		}
		page = append(page, moved...)
		if asked == maxPayoutsAsked {
			return page, line.ID, nil
		}
	}
	if !got.HasMore {
		return page, "", nil
	}
	next, err := got.last()
	return page, next, err
}

// balanceLine is a balance transaction with what it is about.
type balanceLine struct {
	balanceTransaction
	Source json.RawMessage `json:"source"`
}

// source is what a balance transaction is about, as far as our books know of such a thing.
type source struct {
	Object         string       `json:"object"`
	ID             string       `json:"id"`
	Amount         int64        `json:"amount"`
	AmountCaptured int64        `json:"amount_captured"` // of a charge
	Currency       string       `json:"currency"`
	Status         string       `json:"status"`
	PaymentIntent  ref          `json:"payment_intent"`
	Metadata       meta         `json:"metadata"`
	Charge         sourceCharge `json:"charge"` // of a refund or a dispute
}

type sourceCharge struct {
	Metadata meta `json:"metadata"`
}

func (s source) ours() bool {
	return s.Metadata.id(metaTransaction) != uuid.Nil || s.Charge.Metadata.id(metaTransaction) != uuid.Nil
}

// pending says that Stripe counts the money already and our books do not yet: a direct debit or a refund that may still fail.
func (s source) pending() bool { return s.Status == "pending" || s.Status == "requires_action" }

// movements is what the line has moved of a payment, a refund or a dispute, with what Stripe kept. All else is between Stripe and
// its account's owner, and no clearing account knows of it: payouts of the balance to the owner's own bank, top-ups, reserves, fees
// that belong to no payment. Transfers are paidOut's, and what a reversal brings back is counted with its transfer.
func (b balanceLine) movements() []account.Movement {
	var s source
	if json.Unmarshal(b.Source, &s) != nil || !s.ours() || s.pending() {
		return nil
	}
	effect, of := account.MovementRefund, s.ID
	switch {
	case s.Object == "charge", b.Type == "payment_failure_refund": // the latter takes back a direct debit that has failed
		effect, of = account.MovementPayment, string(s.PaymentIntent)
	case s.Object == "dispute":
		effect = account.MovementDispute
	case s.Object != "refund":
		return nil
	}
	amount, code := b.moved(s)
	return append(b.line(effect, of, amount, code, b.Created), b.kept()...)
}

// moved is the line's amount in the currency of the payment, which is the one in our books. Stripe may keep its balance in another.
func (b balanceLine) moved(s source) (int64, string) {
	amount := s.Amount
	if s.AmountCaptured > 0 {
		amount = s.AmountCaptured
	}
	switch {
	case strings.EqualFold(b.Currency, s.Currency):
		amount = b.Amount
	case b.Amount < 0:
		amount = -amount
	}
	return amount, s.Currency
}

// kept is the fee that is in the line, in the currency of the balance. It is below zero where Stripe gives one back.
func (b balanceLine) kept() []account.Movement {
	if b.Fee == 0 {
		return nil
	}
	return b.line(account.MovementFee, b.ID, -b.Fee, b.Currency, b.Created)
}

// line is a movement; none of a charge without an intent, or where the amount has no form in our units. Our books cannot have those
// either: the event of the latter is a dead letter, with an alert.
func (b balanceLine) line(effect account.MovementEffect, of string, minor int64, code string, changedAt int64) []account.Movement {
	amount, iso, err := fromStripe(minor, code)
	if err != nil || !validID(of) {
		return nil
	}
	return []account.Movement{{MovementKey: account.MovementKey{Effect: effect, Ref: of, Currency: iso}, Amount: amount, ChangedAt: when(changedAt, time.Time{})}}
}

// sentTransfer is a transfer with when it was reversed.
type sentTransfer struct {
	transfer
	Reversals struct {
		Data []struct {
			Created int64 `json:"created"`
		} `json:"data"`
	} `json:"reversals"`
}

// sent is the transfer of a withdrawal of ours that the line is about. One that is back has moved nothing.
func (b balanceLine) sent() (sentTransfer, bool) {
	var t sentTransfer
	if json.Unmarshal(b.Source, &t) != nil || t.Object != "transfer" || !validID(t.ID) || !validID(string(t.Destination)) {
		return sentTransfer{}, false
	}
	return t, t.Metadata.id(metaTransaction) != uuid.Nil && !t.back()
}

// changedAt is when the transfer, or the payout made of it, changed last. Of a payout Stripe tells only the day of its arrival:
// until that is over, it may have just arrived.
func (t sentTransfer) changedAt(b balanceLine, arrival int64) int64 {
	at := b.Created
	for _, r := range t.Reversals.Data {
		at = max(at, r.Created)
	}
	if arrival > 0 {
		at = max(at, arrival+secondsOfDay)
	}
	return at
}

const secondsOfDay = 24 * 60 * 60

// paidOut is what a withdrawal has moved: what is not back of its transfer, under the id of the payout, which is in the payee's
// account. While the payout is on its way our books have the money as held. A transfer whose payout is not there, or in an account
// out of our reach, goes under its own id: so much is certain, that its money has left our balance.
func (c *Client) paidOut(ctx context.Context, b balanceLine, sent sentTransfer) ([]account.Movement, error) {
	of, changedAt := sent.ID, sent.changedAt(b, 0)
	raw, err := c.findPayoutRaw(ctx, sent.transfer)
	switch {
	case errors.Is(err, account.ErrProviderNotFound), codeOf(err) == codeNoAccess:
	case err != nil:
		return nil, err
	default:
		made, err := read[payout](raw, "payout")
		if err != nil {
			return nil, err
		}
		if made.Status == "pending" || made.Status == "in_transit" {
			return nil, nil
		}
		of, changedAt = made.ID, sent.changedAt(b, made.ArrivalDate)
	}
	return append(b.line(account.MovementPayout, of, b.Amount+sent.AmountReversed, b.Currency, changedAt), b.kept()...), nil
}
