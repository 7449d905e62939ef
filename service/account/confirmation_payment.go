package account

import (
	"context"

	"florin/domain/account"
	"florin/domain/currency"
	"florin/domain/money"
)

// pending moves an initiated payment; anything later is stale news.
func (c *confirmation) pending(ctx context.Context) error {
	t := c.transaction
	if t.Status() != account.PaymentStatusInitiated || c.otherPayment() {
		c.verdict(account.InboxProcessed, "stale")
		return nil
	}
	c.takePaymentID()
	t.NextAttemptAt, t.Tries = c.now.Add(pollAfter(0)), 0
	c.verdict(account.InboxProcessed, "pending")
	return c.move(ctx, account.PaymentStatusPending, nil)
}

// completed credits or debits once; money that does not fit its transaction is kept apart, never dropped.
func (c *confirmation) completed(ctx context.Context) error {
	t := c.transaction
	cur, err := currency.Parse(c.event.Currency)
	if err != nil || c.event.Amount <= 0 {
		c.quarantine("unreadable_amount", "amount or currency cannot be booked")
		return nil
	}
	came := money.New(c.event.Amount, cur)
	isDeposit := t.Type == account.TypeDeposit
	switch {
	case isDeposit && (t.Status() == account.PaymentStatusCompleted || c.otherPayment()):
		return c.keepApart(ctx, came, "second_capture")
	case t.Status() == account.PaymentStatusCompleted:
		c.quarantine("completed_again", "another payout of a completed withdrawal")
		return nil
	case isDeposit && came.Currency() != t.Amount.Currency():
		return c.keepApart(ctx, came, "other_currency")
	case t.Status() == account.PaymentStatusFailed:
		return c.late(ctx, came)
	default:
		return c.complete(ctx, came)
	}
}

// late is the door from failed to completed. It opens only on the provider's word when asked. A payout that was made although its
// hold was released is debited all the same: the books follow the money.
func (c *confirmation) late(ctx context.Context, came money.Money) error {
	if !c.belief.believed() {
		return errAskProvider
	}
	a, ok := c.unit.Account(c.transaction.AccountID)
	switch {
	case !ok:
		return ErrInconsistent
	case c.transaction.Type == account.TypeWithdraw:
		c.alerts = append(c.alerts, "paid_after_failed")
	case a.Status() == account.StatusClosed:
		return c.keepApart(ctx, came, "late_success_closed_account")
	}
	c.review("late_success", c.transaction.ID, "The payment succeeded after it had failed here.")
	return c.complete(ctx, came)
}

func (c *confirmation) complete(ctx context.Context, came money.Money) error {
	t := c.transaction
	c.takePaymentID()
	op := &Operation{Transaction: t}
	line := c.chains.deposit
	if t.Type == account.TypeWithdraw {
		op.Hold, _ = c.unit.Hold(t.ID)
		line = c.chains.withdraw
		if t.Status() == account.PaymentStatusFailed {
			line = c.chains.takeBack
		} else if came != t.Amount {
			c.review("payout_differs", t.ID, "The provider reports another amount than was sent.")
		}
	}
	if err := c.run(ctx, line, op); err != nil {
		return err
	}
	c.effect(t.ID)
	c.verdict(account.InboxProcessed, "completed")
	if op.Surplus.IsPositive() {
		return c.unmatched(ctx, op.Surplus, "surplus")
	}
	return nil
}

// run takes an operation on the payment's account through its chain.
func (c *confirmation) run(ctx context.Context, line chain, op *Operation) error {
	a, ok := c.unit.Account(op.Transaction.AccountID)
	if !ok {
		return ErrInconsistent
	}
	from := op.Transaction.Status()
	if op.Event == nil {
		op.Event = &c.event
	}
	op.Account, op.Cause, op.Now, op.Unit, op.ReviewID = a, c.event.Cause, c.now, c.unit,
		c.reviewID()
	if err := line.run(ctx, op); err != nil {
		return err
	}
	c.subject = op.Transaction
	c.moves = append(c.moves, typedMove{op.Transaction.Type, account.Move{From: from, To: op.Transaction.Status()}})
	if op.Owed.IsPositive() {
		c.alerts = append(c.alerts, "receivable")
	}
	return nil
}

// failed ends the payment and gives a withdrawal's hold back.
func (c *confirmation) failed(ctx context.Context) error {
	t := c.transaction
	switch {
	case t.Status() == account.PaymentStatusCompleted:
		return c.failedAfterCompleted(ctx)
	case t.Status() == account.PaymentStatusFailed:
		c.verdict(account.InboxProcessed, "already failed")
		return nil
	case c.otherPayment():
		c.verdict(account.InboxProcessed, "failure of another attempt")
		return nil
	}
	c.takePaymentID()
	c.effect(t.ID)
	c.verdict(account.InboxProcessed, "failed")
	return c.fail(ctx, t)
}

// fail gives back what the transaction holds, and ends it.
func (c *confirmation) fail(ctx context.Context, t *account.Transaction) error {
	if hold, ok := c.unit.Hold(t.ID); ok && hold.Active() {
		a, ok := c.unit.Account(t.AccountID)
		if !ok {
			return ErrInconsistent
		}
		if err := a.Release(hold, c.now); err != nil {
			return err
		}
	}
	failure := account.Failure{Code: "failed", Message: "The payment failed."}
	if f := c.event.Failure; f != nil && f.Code != "" {
		failure = account.Failure{Code: plain(f.Code, 64), Message: plain(f.Message, 200)}
	}
	c.subject = t
	return c.moveOf(ctx, t, account.PaymentStatusFailed, &failure)
}

// failedAfterCompleted: the payment stays completed, and the provider is asked. Only where it has taken its word back is what
// it moved undone, by a transaction of its own.
func (c *confirmation) failedAfterCompleted(ctx context.Context) error {
	switch c.belief {
	case denied, answered:
		c.quarantine("failed_after_completed", "the provider reports a failure of a completed payment")
		return nil
	case claimed:
		return errAskProvider
	}
	c.alerts = append(c.alerts, "failed_after_completed")
	return c.undo(ctx)
}

// keepApart books all that came as unmatched money and leaves the transaction as it is.
func (c *confirmation) keepApart(ctx context.Context, came money.Money, why string) error {
	if err := c.unmatched(ctx, came, why); err != nil {
		return err
	}
	c.effect(c.ids[idUnmatched])
	c.verdict(account.InboxProcessed, why)
	return nil
}

// unmatched books money that belongs to no transaction against suspense, with a review.
func (c *confirmation) unmatched(ctx context.Context, amount money.Money, why string) error {
	u := newUnmatched(c.ids[idUnmatched], c.event, amount, c.transaction.ID, c.now)
	for _, to := range []account.PaymentStatus{account.PaymentStatusInitiated, account.PaymentStatusCompleted} {
		event, err := u.Move(to, c.now, c.event.Cause, nil)
		if err != nil {
			return err
		}
		if err := c.bus.PublishPaymentEvent(ctx, event); err != nil {
			return err
		}
	}
	posting, err := unmatchedPosting(u.Provider, amount, c.now)
	if err != nil {
		return err
	}
	c.unit.AddTransaction(u)
	c.unit.AddPosting(u.ID, posting)
	c.alerts = append(c.alerts, why)
	c.review(why, u.ID, "Money came that belongs to no transaction.")
	return nil
}
