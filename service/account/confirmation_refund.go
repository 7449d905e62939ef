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
	amount, ok := c.amountTaken()
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
	case len(c.takenFor(account.TypeRefund).standing) > 0:
		c.park("what the refund took before has not come back yet")
		return nil
	default:
		return c.takeBack(ctx, account.TypeRefund, "refund_above_captured")
	}
}

// refundNamed is the refund of ours that the event is about: by the provider's id, by ours, or, where the event has only an id
// that we do not know yet, the one of that amount that still waits for its id. Where one waits and its amount is another, it is
// unsure which of the two it is.
func (c *confirmation) refundNamed(amount money.Money) (ours *account.Transaction, unsure bool) {
	var waiting *account.Transaction
	for _, f := range c.unit.Followers(c.transaction.ID) {
		switch {
		case f.Type != account.TypeRefund || (c.turn() > 1 && f.Status().Terminal()):
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
	rest, err := left(c.unit, c.transaction, false)
	if err != nil {
		return err
	}
	if rest.Minor() < r.Amount.Minor() {
		// Something else has taken the payment back meanwhile: the account pays for both.
		r.MoneySource = account.SourceBalance
		c.alerts = append(c.alerts, "refund_above_captured")
		c.review("refund_above_captured", r.ID,
			"More was given back than was left of the payment; the account has paid for it.")
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

// refundFailed releases the hold of a refund that is still open, and gives the money of a completed
// one back. One of the provider's doing that was never made has moved nothing. Should it have been
// made, and its end be heard before its beginning, both are booked with the beginning.
func (c *confirmation) refundFailed(ctx context.Context) error {
	r, unsure := c.refundNamed(money.Money{})
	standing := c.takenFor(account.TypeRefund).standing
	if len(standing) == 0 && r != nil && r.Status() == account.PaymentStatusCompleted &&
		reversalOf(c.unit, r) == nil {
		standing = []*account.Transaction{r}
	}
	switch {
	case len(standing) > 0:
		return c.giveBackAll(ctx, standing)
	case r == nil && (unsure || c.event.FollowID != uuid.Nil):
		c.park("the refund is not known yet")
		return nil
	case r == nil:
		c.effect(c.transaction.ID)
		c.verdict(account.InboxProcessed, "the refund was not made")
		return nil
	case r.Status().Terminal():
		c.verdict(account.InboxProcessed, "already "+string(r.Status()))
		return nil
	}
	if r.PaymentID == "" {
		r.PaymentID = c.event.Ref
	}
	c.effect(r.ID)
	c.verdict(account.InboxProcessed, "refund failed")
	return c.fail(ctx, r)
}
