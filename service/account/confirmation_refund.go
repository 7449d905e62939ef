package account

import (
	"context"

	"github.com/google/uuid"

	"florin/domain/account"
	"florin/domain/money"
)

// refund is what a provider says of a refund: that it is done, or that its money has come back. It is ours where we started it,
// and the provider's own doing otherwise.
func (c *confirmation) refund(ctx context.Context) error {
	t := c.transaction
	if t.Type != account.TypeDeposit {
		c.quarantine("refund_of_nothing", "a refund of what is no deposit")
		return nil
	}
	if c.event.Ref == "" && c.event.FollowID == uuid.Nil {
		c.quarantine("unreadable_event", "the event does not name its refund")
		return nil
	}
	if c.event.Kind == account.ReceivedRefundFailed {
		return c.refundFailed(ctx)
	}
	amount, ok := c.amountIn(t)
	if !ok {
		return nil
	}
	ours, unsure := c.refundNamed(amount)
	switch {
	case ours != nil:
		return c.refundOfOurs(ctx, ours, amount)
	case unsure:
		c.park("a refund of ours is not known to the provider yet")
		return nil
	default:
		return c.takeBack(ctx, account.TypeRefund, amount, "refund_above_captured")
	}
}

// refundNamed is the refund of ours that the event is about: by the provider's id, by ours, or, where the event has only an id
// that we do not know yet, the one of that amount that still waits for its id. Where one waits and its amount is another, it is
// unsure which of the two it is.
func (c *confirmation) refundNamed(amount money.Money) (ours *account.Transaction, unsure bool) {
	var waiting *account.Transaction
	for _, f := range c.unit.Followers(c.transaction.ID) {
		switch {
		case f.Type != account.TypeRefund:
		case c.event.Ref != "" && f.PaymentID == c.event.Ref:
			return f, false
		case f.ID == c.event.FollowID && (f.PaymentID == "" || c.event.Ref == ""):
			return f, false
		case f.PaymentID == "" && !f.Status().Terminal():
			unsure = true
			if waiting == nil && f.Amount == amount {
				waiting = f
			}
		}
	}
	if c.event.FollowID != uuid.Nil {
		return nil, false
	}
	return waiting, unsure && waiting == nil
}

// refundOfOurs turns the hold into a debit, once. A refund that had failed here and was made all the same is debited without
// one.
func (c *confirmation) refundOfOurs(ctx context.Context, r *account.Transaction, amount money.Money) error {
	op := &Operation{Transaction: r}
	line := c.chains.refund
	switch {
	case r.Status() == account.PaymentStatusCompleted:
		c.verdict(account.InboxProcessed, "already completed")
		return nil
	case r.Status() == account.PaymentStatusFailed && !c.belief.believed():
		return errAskProvider
	case r.Status() == account.PaymentStatusFailed:
		line = c.chains.takeBack
		c.alerts = append(c.alerts, "paid_after_failed")
		c.review("late_success", r.ID, "The refund was made after it had failed here.")
	case amount != r.Amount:
		c.review("refund_differs", r.ID, "The provider reports another amount than was sent.")
	}
	if r.PaymentID == "" {
		r.PaymentID = c.event.Ref
	}
	op.Hold, _ = c.unit.Hold(r.ID)
	if err := c.run(ctx, line, op); err != nil {
		return err
	}
	c.effect(r.ID)
	c.verdict(account.InboxProcessed, "refunded")
	return nil
}

// refundFailed releases the hold of a refund that is still open, and gives the money of a completed one back.
func (c *confirmation) refundFailed(ctx context.Context) error {
	r, _ := c.refundNamed(money.Money{})
	switch {
	case r == nil:
		c.park("the refund is not known yet")
		return nil
	case r.Status() == account.PaymentStatusFailed:
		c.verdict(account.InboxProcessed, "already failed")
		return nil
	case r.Status() == account.PaymentStatusCompleted:
		return c.giveBack(ctx, account.TypeRefundReversal, r, r.Amount, r.Posted)
	}
	if r.PaymentID == "" {
		r.PaymentID = c.event.Ref
	}
	c.effect(r.ID)
	c.verdict(account.InboxProcessed, "refund failed")
	return c.fail(ctx, r)
}
