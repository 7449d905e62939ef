package account

import (
	"context"

	"github.com/google/uuid"

	"florin/domain/account"
	"florin/domain/money"
)

// beginReturn opens the refund of money that belongs to no payment. The sweep sends it like any call that was never answered, and
// the money stays in suspense until the provider says that it is gone.
func (s *settling) beginReturn(ctx context.Context, stands money.Money) error {
	t := newReturn(s.id, s.transaction, stands, s.now, s.limits)
	event, err := t.Move(account.PaymentStatusInitiated, s.now, account.CauseReview, nil)
	if err != nil {
		return err
	}
	s.moves = append(s.moves, typedMove{t.Type, account.Move{To: account.PaymentStatusInitiated}})
	s.unit.AddTransaction(t)
	return s.bus.PublishPaymentEvent(ctx, event)
}

// isReturn says whether t gives unmatched money back to its payer: by our decision, or of the
// provider's own doing.
func isReturn(t, of *account.Transaction) bool {
	return (t.Type == account.TypeRefund || t.Type == account.TypeChargeback) &&
		t.AccountID == uuid.Nil && of.Type == account.TypeUnmatched && t.LinkedID == of.ID
}

// returnNamed is the refund of unmatched money that the event names by our id. It is among what follows the payment that the
// money came with.
func (c *confirmation) returnNamed() (*account.Transaction, bool) {
	if c.event.FollowID == uuid.Nil {
		return nil, false
	}
	r, ok := c.unit.Transaction(c.event.FollowID)
	return r, ok && r.Type == account.TypeRefund && r.AccountID == uuid.Nil
}

// returnToPayer is what the provider says of the refund of unmatched money: it is done, once, or it has failed and a person must
// decide again.
func (c *confirmation) returnToPayer(ctx context.Context) error {
	r, ok := c.returnNamed()
	switch {
	case c.unit.Effect(c.fact()):
		c.verdict(account.InboxProcessed, "effect already applied")
		return nil
	case !ok || !isReturn(r, c.transaction):
		c.quarantine("refund_of_nothing", "a refund of unmatched money that we did not ask for")
		return nil
	case r.PaymentID == "":
		r.PaymentID = c.event.Ref
	}
	if c.event.Kind == account.ReceivedRefundFailed {
		return c.returnFailed(ctx, r)
	}
	amount, ok := c.amountIn(c.transaction)
	switch {
	case !ok:
		return nil
	case amount != r.Amount || r.Status() == account.PaymentStatusFailed:
		c.quarantine("refund_differs", "the refund of unmatched money is not the one that was asked for")
		return nil
	}
	posting, err := returnPosting(r.Provider, r.Amount, c.now)
	if err != nil {
		return err
	}
	c.unit.AddPosting(r.ID, posting)
	c.subject = r
	c.effect(r.ID)
	c.verdict(account.InboxProcessed, "returned to the payer")
	return c.moveOf(ctx, r, account.PaymentStatusCompleted, nil)
}

// returnFailed ends a refund that did not reach the payer. One that had been completed is for a person to look at.
func (c *confirmation) returnFailed(ctx context.Context, r *account.Transaction) error {
	if r.Status() == account.PaymentStatusFailed {
		c.verdict(account.InboxProcessed, "already failed")
		return nil
	}
	if r.Status() == account.PaymentStatusCompleted {
		c.quarantine("return_failed", "the refund of unmatched money came back after it was completed")
		return nil
	}
	c.alerts = append(c.alerts, "return_failed")
	c.review("return_failed", c.transaction.ID, "The provider could not give the money back to its payer.")
	c.effect(r.ID)
	c.verdict(account.InboxProcessed, "refund failed")
	return c.fail(ctx, r)
}
