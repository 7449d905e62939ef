package stripe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/stripe/stripe-go/v76"

	"florin/domain/account"
	"florin/domain/errs"
)

// Consult implements account.PaymentProvider: it asks what an event means that does not say so itself. What a charge cost is
// in its balance transaction; what was refunded is listed; and before a failed payout is reported, its transfer is taken back.
func (c *Client) Consult(ctx context.Context, event account.PaymentReceivedEvent) ([]account.PaymentReceivedEvent, error) {
	facts, err := c.consult(ctx, event)
	if err != nil {
		return nil, fmt.Errorf("stripe: consult on %s: %w", event.Type, err)
	}
	for i := range facts {
		if facts[i].Owner == account.OwnerAsk { // this was the asking
			facts[i].Owner = account.OwnerUnsaid
		}
		facts[i].Provider, facts[i].Type, facts[i].Cause = Name, event.Type, account.CauseReport
		facts[i].EventID = fmt.Sprintf("%s/%s/%s", event.EventID, facts[i].Kind, orText(facts[i].Ref, facts[i].PaymentID))
		if facts[i].OccurredAt.IsZero() {
			facts[i].OccurredAt = event.OccurredAt
		}
	}
	return facts, nil
}

func (c *Client) consult(ctx context.Context, event account.PaymentReceivedEvent) ([]account.PaymentReceivedEvent, error) {
	e, err := readEnvelope(event.Raw)
	if err != nil {
		return nil, unknown("unreadable_event", err)
	}
	if e.Account != "" {
		return c.consultConnected(ctx, e, event)
	}
	switch e.Type {
	case "checkout.session.completed", "checkout.session.async_payment_succeeded", "checkout.session.async_payment_failed":
		return c.consultSession(ctx, e)
	case "charge.succeeded", "charge.updated":
		return c.consultFee(ctx, e)
	case "charge.refunded":
		return c.consultRefunds(ctx, e)
	case "charge.refund.updated", "refund.created", "refund.updated", "refund.failed":
		return c.consultRefund(ctx, e)
	case "charge.dispute.funds_withdrawn":
		return c.consultDispute(ctx, e, event, account.ReceivedDisputed)
	case "charge.dispute.funds_reinstated":
		return c.consultDispute(ctx, e, event, account.ReceivedDisputeWon)
	case "charge.dispute.closed":
		d, err := object[dispute](e)
		if err != nil {
			return nil, unknown("unreadable_event", err)
		}
		return c.consultDispute(ctx, e, event, closedAs(d))
	case "transfer.reversed":
		return c.consultTransfer(ctx, e)
	default:
		return nil, nil
	}
}

// consultConnected is for events of connected accounts: one that we never onboarded is foreign.
func (c *Client) consultConnected(ctx context.Context, e envelope, event account.PaymentReceivedEvent) ([]account.PaymentReceivedEvent, error) {
	known, err := c.accounts.FindPayoutAccountByID(ctx, Name, e.Account)
	if o, unreadable := object[owned](e); errs.KindOf(err) == errs.NotFound && unreadable == nil &&
		o.Metadata.others() {
		return []account.PaymentReceivedEvent{others(event)}, nil
	}
	if errs.KindOf(err) == errs.NotFound {
		return []account.PaymentReceivedEvent{foreign(event, "foreign_account", "an account that was not onboarded here")}, nil
	}
	if err != nil {
		return nil, err
	}
	switch e.Type {
	case "payout.paid", "payout.failed", "payout.canceled":
		return c.consultPayout(ctx, e, event)
	case "account.updated":
		now, err := c.GetPayoutAccount(ctx, known.ID)
		if err != nil {
			return nil, err
		}
		known.Complete, known.PayoutsEnabled, known.UpdatedAt = now.Complete, now.PayoutsEnabled, now.UpdatedAt
		return nil, c.accounts.UpdatePayoutAccount(ctx, known)
	default:
		return nil, nil // what else happens on it is between the payee and Stripe
	}
}

func (c *Client) consultSession(ctx context.Context, e envelope) ([]account.PaymentReceivedEvent, error) {
	told, err := object[session](e)
	if err != nil || !validID(told.ID) {
		return nil, unknown("unreadable_event", errNotPayment)
	}
	raw, err := c.question(ctx, how{}, func(api *resources, p stripe.Params) (*stripe.APIResponse, error) {
		got, err := api.CheckoutSessions.Get(told.ID, &stripe.CheckoutSessionParams{Params: p})
		if err != nil {
			return nil, err
		}
		return got.LastResponse, nil
	})
	if err != nil {
		return nil, err
	}
	now, err := read[session](raw, "checkout.session")
	if err != nil {
		return nil, err
	}
	r, err := now.report(when(int64(e.Created), c.now()))
	if err != nil {
		return nil, unknown("bad_answer", err)
	}
	var fact account.PaymentReceivedEvent
	take(&fact, r, now.Metadata)
	fact.OccurredAt = r.OccurredAt
	return []account.PaymentReceivedEvent{fact}, nil
}

// consultFee asks what Stripe kept of the charge.
func (c *Client) consultFee(ctx context.Context, e envelope) ([]account.PaymentReceivedEvent, error) {
	told, err := object[charge](e)
	if err != nil {
		return nil, unknown("unreadable_event", err)
	}
	raw, err := c.question(ctx, how{}, func(api *resources, p stripe.Params) (*stripe.APIResponse, error) {
		got, err := api.BalanceTransactions.Get(string(told.BalanceTransaction), &stripe.BalanceTransactionParams{Params: p})
		if err != nil {
			return nil, err
		}
		return got.LastResponse, nil
	})
	if err != nil {
		return nil, err
	}
	b, err := read[balanceTransaction](raw, "balance_transaction")
	if err != nil {
		return nil, err
	}
	return c.fee(ctx, b, string(told.PaymentIntent), told.Metadata)
}

// fee is what Stripe kept, as a fact of the payment; none where it is nothing.
func (c *Client) fee(ctx context.Context, b balanceTransaction, paymentID string, known meta) ([]account.PaymentReceivedEvent, error) {
	if b.Fee <= 0 || !validID(b.ID) {
		return nil, nil
	}
	owner, err := c.ownerOf(ctx, paymentID, known)
	if err != nil {
		return nil, err
	}
	if owner.others() {
		return ofOthers(paymentID, ""), nil
	}
	r, err := fact(account.ReceivedFee, paymentID, owner.id(metaTransaction), b.Fee, b.Currency, when(b.Created, c.now()))
	if err != nil {
		return nil, unknown("bad_answer", err)
	}
	var event account.PaymentReceivedEvent
	take(&event, r, owner)
	event.Ref, event.OccurredAt = b.ID, r.OccurredAt
	return []account.PaymentReceivedEvent{event}, nil
}

// ofOthers is the one fact of an event about a payment of another program.
func ofOthers(paymentID, ref string) []account.PaymentReceivedEvent {
	return []account.PaymentReceivedEvent{others(account.PaymentReceivedEvent{PaymentID: paymentID, Ref: ref})}
}

// ownerOf is the metadata of the payment: what came with the event where it has it, or the intent's.
func (c *Client) ownerOf(ctx context.Context, paymentID string, known meta) (meta, error) {
	if known.id(metaTransaction) != uuid.Nil {
		return known, nil
	}
	if !validID(paymentID) {
		return nil, nil
	}
	get := func(api *resources, p stripe.Params) (*stripe.APIResponse, error) {
		got, err := api.PaymentIntents.Get(paymentID, &stripe.PaymentIntentParams{Params: p})
		if err != nil {
			return nil, err
		}
		return got.LastResponse, nil
	}
	raw, err := c.question(ctx, how{}, get)
	if errors.Is(err, account.ErrProviderNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	got, err := read[intent](raw, "payment_intent")
	return got.Metadata, err
}

func (c *Client) consultRefunds(ctx context.Context, e envelope) ([]account.PaymentReceivedEvent, error) {
	told, err := object[charge](e)
	if err != nil || !validID(told.ID) {
		return nil, unknown("unreadable_event", errNotPayment)
	}
	found, err := c.refundsOf(ctx, func(p *stripe.RefundListParams) { p.Charge = stripe.String(told.ID) })
	if err != nil {
		return nil, err
	}
	var facts []account.PaymentReceivedEvent
	for i := len(found) - 1; i >= 0; i-- { // the oldest first
		one, err := c.refundFact(ctx, found[i], told.Metadata)
		if err != nil {
			return nil, err
		}
		facts = append(facts, one...)
	}
	return facts, nil
}

func (c *Client) consultRefund(ctx context.Context, e envelope) ([]account.PaymentReceivedEvent, error) {
	told, err := object[refund](e)
	if err != nil || !validID(told.ID) {
		return nil, unknown("unreadable_event", errNotPayment)
	}
	raw, err := c.question(ctx, how{}, func(api *resources, p stripe.Params) (*stripe.APIResponse, error) {
		got, err := api.Refunds.Get(told.ID, &stripe.RefundParams{Params: p})
		if err != nil {
			return nil, err
		}
		return got.LastResponse, nil
	})
	if err != nil {
		return nil, err
	}
	return c.refundFact(ctx, raw, nil)
}

// refundFact is one refund as a fact of its payment; none while it is pending, or of a payment that has no intent.
func (c *Client) refundFact(ctx context.Context, raw json.RawMessage, known meta) ([]account.PaymentReceivedEvent, error) {
	r, err := read[refund](raw, "refund")
	if err != nil {
		return nil, err
	}
	if r.PaymentIntent == "" {
		return nil, nil
	}
	owner := r.Metadata
	if owner.id(metaTransaction) == uuid.Nil {
		if owner, err = c.ownerOf(ctx, string(r.PaymentIntent), known); err != nil {
			return nil, err
		}
	}
	if owner.others() {
		return ofOthers(string(r.PaymentIntent), r.ID), nil
	}
	report, err := r.report(when(r.Created, c.now()))
	if err != nil {
		return nil, unknown("bad_answer", err)
	}
	if report.Kind == account.ReceivedPending {
		return nil, nil
	}
	var event account.PaymentReceivedEvent
	takeRefund(&event, r, report)
	event.OccurredAt = report.OccurredAt
	if event.TransactionID == uuid.Nil {
		event.TransactionID, event.AccountID = owner.id(metaTransaction), owner.id(metaAccount)
	}
	return []account.PaymentReceivedEvent{event}, nil
}

// consultDispute gives what the dispute moved, and what Stripe took for it.
func (c *Client) consultDispute(ctx context.Context, e envelope, event account.PaymentReceivedEvent, kind account.ReceivedKind) ([]account.PaymentReceivedEvent, error) {
	d, err := object[dispute](e)
	if err != nil {
		return nil, unknown("unreadable_event", err)
	}
	if kind == account.ReceivedIgnored {
		return nil, nil
	}
	if d.PaymentIntent == "" {
		if d.PaymentIntent, err = c.intentOfCharge(ctx, string(d.Charge)); err != nil || d.PaymentIntent == "" {
			return nil, err
		}
	}
	owner, err := c.ownerOf(ctx, string(d.PaymentIntent), nil)
	if err != nil {
		return nil, err
	}
	if owner.others() {
		return ofOthers(string(d.PaymentIntent), d.ID), nil
	}
	moved := account.PaymentReceivedEvent{OccurredAt: event.OccurredAt}
	if err := takeDispute(&moved, d, kind); err != nil {
		return nil, unknown("unreadable_event", err)
	}
	moved.TransactionID, moved.AccountID = owner.id(metaTransaction), owner.id(metaAccount)
	facts := []account.PaymentReceivedEvent{moved}
	for _, b := range d.BalanceTransactions {
		fees, err := c.fee(ctx, b, string(d.PaymentIntent), owner)
		if err != nil {
			return nil, err
		}
		facts = append(facts, fees...)
	}
	return facts, nil
}

func (c *Client) intentOfCharge(ctx context.Context, id string) (ref, error) {
	if !validID(id) {
		return "", unknown("unreadable_event", errNotPayment)
	}
	raw, err := c.question(ctx, how{}, func(api *resources, p stripe.Params) (*stripe.APIResponse, error) {
		got, err := api.Charges.Get(id, &stripe.ChargeParams{Params: p})
		if err != nil {
			return nil, err
		}
		return got.LastResponse, nil
	})
	if err != nil {
		return "", err
	}
	got, err := read[charge](raw, "charge")
	return got.PaymentIntent, err
}

// consultPayout is for payouts of onboarded accounts. Those that we did not make are between the payee and Stripe.
func (c *Client) consultPayout(ctx context.Context, e envelope, event account.PaymentReceivedEvent) ([]account.PaymentReceivedEvent, error) {
	told, err := object[payout](e)
	if err != nil {
		return nil, unknown("unreadable_event", err)
	}
	id, transferID := told.Metadata.id(metaTransaction), told.Metadata[metaTransfer]
	if id == uuid.Nil || !validID(transferID) {
		return nil, nil
	}
	sent, err := c.getTransfer(ctx, transferID)
	if errors.Is(err, account.ErrProviderNotFound) || err == nil && (string(sent.Destination) != e.Account || sent.Metadata.id(metaTransaction) != id) {
		return []account.PaymentReceivedEvent{foreign(event, "foreign_payout", "a payout that names a transfer which was not made for it")}, nil
	}
	if err != nil {
		return nil, err
	}
	return c.payoutFacts(ctx, sent, told.ID)
}

func (c *Client) consultTransfer(ctx context.Context, e envelope) ([]account.PaymentReceivedEvent, error) {
	told, err := object[transfer](e)
	if err != nil || !validID(told.ID) {
		return nil, unknown("unreadable_event", errNotPayment)
	}
	sent, err := c.getTransfer(ctx, told.ID)
	if err != nil {
		return nil, err
	}
	return c.payoutFacts(ctx, sent, "")
}

// payoutFacts is how a withdrawal stands. A payout that failed after it was paid was completed first, and then its money came
// back; both are told, in that order, because the first may have been missed.
func (c *Client) payoutFacts(ctx context.Context, sent transfer, payoutID string) ([]account.PaymentReceivedEvent, error) {
	got, err := c.withdrawalOf(ctx, sent, payoutID)
	if err != nil {
		return nil, err
	}
	event := func(kind account.ReceivedKind) account.PaymentReceivedEvent {
		var one account.PaymentReceivedEvent
		r := got.report
		r.Kind = kind
		if kind == account.ReceivedCompleted {
			r.Failure = nil
		}
		take(&one, r, sent.Metadata)
		return one
	}
	switch got.report.Kind {
	case account.ReceivedPending:
		return nil, nil
	case account.ReceivedCompleted:
		facts := []account.PaymentReceivedEvent{event(account.ReceivedCompleted)}
		if sent.back() { // somebody has taken the money back from the payee's balance
			facts = append(facts, event(account.ReceivedPayoutReturned))
		}
		return facts, nil
	}
	if got.payout == nil || got.payout.Status == "canceled" {
		return []account.PaymentReceivedEvent{event(account.ReceivedFailed)}, nil
	}
	paid, err := c.wasPaid(ctx, sent, *got.payout)
	if err != nil {
		return nil, err
	}
	if paid {
		return []account.PaymentReceivedEvent{event(account.ReceivedCompleted), event(account.ReceivedPayoutReturned)}, nil
	}
	return []account.PaymentReceivedEvent{event(account.ReceivedFailed)}, nil
}

// wasPaid asks Stripe's own record whether the payout was paid before it failed: the payout itself does not tell.
func (c *Client) wasPaid(ctx context.Context, sent transfer, p payout) (bool, error) {
	span := &stripe.RangeQueryParams{GreaterThanOrEqual: max(1, time.Unix(p.Created, 0).Add(-lookBack).Unix())}
	found, err := c.list(ctx, how{account: string(sent.Destination)}, func(api *resources, lp stripe.ListParams) (*stripe.APIResponse, error) {
		it := api.Events.List(&stripe.EventListParams{ListParams: lp, CreatedRange: span, Type: stripe.String("payout.paid")})
		return it.EventList().LastResponse, it.Err()
	}, func(raw json.RawMessage) bool {
		e, err := readEnvelope(raw)
		if err != nil {
			return false
		}
		told, err := object[payout](e)
		return err == nil && told.ID == p.ID
	})
	return len(found) > 0, err
}
