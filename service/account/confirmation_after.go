package account

import (
	"context"

	"florin/domain/account"
	"florin/domain/currency"
	"florin/domain/money"
)

// follows says whether the kind of an event speaks of money that moved after a payment was completed.
func follows(kind account.ReceivedKind) bool {
	switch kind {
	case account.ReceivedRefunded, account.ReceivedRefundFailed, account.ReceivedDisputed, account.ReceivedDisputeWon,
		account.ReceivedDisputeLost, account.ReceivedPayoutReturned, account.ReceivedFee:
		return true
	default:
		return false
	}
}

// dispute is what a provider says of a dispute: it has taken the money back, given it back, or keeps it.
func (c *confirmation) dispute(ctx context.Context) error {
	t := c.transaction
	if t.Type != account.TypeDeposit || c.event.Ref == "" {
		c.quarantine("unreadable_event", "a dispute of what is no deposit, or without a name")
		return nil
	}
	var taken *account.Transaction
	for _, f := range c.unit.Followers(t.ID) {
		if f.Type == account.TypeChargeback && f.PaymentID == c.event.Ref {
			taken = f
		}
	}
	switch {
	case c.event.Kind == account.ReceivedDisputed:
		amount, ok := c.amountIn(t)
		if !ok {
			return nil
		}
		return c.takeBack(ctx, account.TypeChargeback, amount, "dispute_above_captured")
	case taken == nil:
		c.park("the dispute is not known yet")
		return nil
	case c.event.Kind == account.ReceivedDisputeLost:
		c.effect(taken.ID)
		c.verdict(account.InboxProcessed, "the money stays where it is")
		return nil
	case c.event.Amount != 0 && (c.event.Amount != taken.Amount.Minor() || c.event.Currency != taken.Amount.Currency().Code()):
		c.quarantine("dispute_differs", "another amount was given back than the dispute has taken")
		return nil
	default:
		return c.giveBack(ctx, account.TypeChargebackReversal, taken, taken.Amount, taken.Posted)
	}
}

// takeBack books what the provider has taken back of a completed deposit as a transaction of its own. It waits for the deposit,
// and what is more than was captured is nobody's to book. What is taken back of another payment, such as a second one that
// names our deposit too, was never credited to the account: a person decides.
func (c *confirmation) takeBack(ctx context.Context, kind account.Type, amount money.Money, above string) error {
	t := c.transaction
	if t.Status() != account.PaymentStatusCompleted {
		c.park("the payment is not completed yet")
		return nil
	}
	if c.otherPayment() {
		c.quarantine("refund_of_nothing", "what is taken back is of another payment than the one that was credited")
		return nil
	}
	rest, err := left(c.unit, t, false)
	if err != nil {
		return err
	}
	if amount.Minor() > rest.Minor() {
		c.quarantine(above, "more is taken back than was captured")
		return nil
	}
	posted, conversion, err := priceOf(c.unit, t, amount)
	if err != nil {
		return err
	}
	f := newFollowUp(c.ids[idFollow], kind, t, amount, posted, conversion, c.now)
	f.PaymentID = c.event.Ref
	if kind == account.TypeChargeback {
		c.alerts = append(c.alerts, "dispute")
		c.review("dispute", f.ID, "The payer disputes the payment; the provider has taken its money back.")
	}
	return c.follow(ctx, c.chains.takeBack, f)
}

// giveBack books that what an earlier transaction took has come back, exactly or in part.
func (c *confirmation) giveBack(ctx context.Context, kind account.Type, of *account.Transaction, amount, posted money.Money) error {
	f := newFollowUp(c.ids[idFollow], kind, of, amount, posted, nil, c.now)
	f.PaymentID = c.event.Ref
	if f.PaymentID == "" {
		f.PaymentID = of.PaymentID
	}
	if of.Conversion != nil {
		conversion, err := partOf(of, amount, posted)
		if err != nil {
			return err
		}
		f.Conversion = conversion
	}
	return c.follow(ctx, c.chains.giveBack, f)
}

// follow takes a new transaction that begins and ends in this commit through its chain.
func (c *confirmation) follow(ctx context.Context, line chain, f *account.Transaction) error {
	opened, err := f.Move(account.PaymentStatusInitiated, c.now, c.event.Cause, nil)
	if err != nil {
		return err
	}
	if err := c.run(ctx, line, &Operation{Transaction: f, Opened: &opened}); err != nil {
		return err
	}
	c.unit.AddTransaction(f)
	c.effect(f.ID)
	c.verdict(account.InboxProcessed, string(f.Type))
	return nil
}

// payoutReturned credits a completed payout that has come back, once, in whole or in part.
func (c *confirmation) payoutReturned(ctx context.Context) error {
	t := c.transaction
	switch {
	case t.Type != account.TypeWithdraw:
		c.quarantine("unreadable_event", "a returned payout of what is no withdrawal")
		return nil
	case t.Status() != account.PaymentStatusCompleted: // also one that failed here: it may have been made all the same
		c.park("the payment is not completed yet")
		return nil
	}
	amount, ok := c.amountIn(t)
	if !ok {
		return nil
	}
	return c.returned(ctx, amount)
}

func (c *confirmation) returned(ctx context.Context, amount money.Money) error {
	t := c.transaction
	rest, err := left(c.unit, t, false)
	if err != nil {
		return err
	}
	if amount.Minor() > rest.Minor() {
		c.quarantine("return_above_paid", "more has come back than was paid out")
		return nil
	}
	posted, _, err := priceOf(c.unit, t, amount)
	if err != nil {
		return err
	}
	return c.giveBack(ctx, account.TypePayoutReturn, t, amount, posted)
}

// undo takes back what is left of a completed payment that the provider no longer stands by.
func (c *confirmation) undo(ctx context.Context) error {
	t := c.transaction
	rest, err := left(c.unit, t, false)
	switch {
	case err != nil:
		return err
	case !rest.IsPositive():
		c.verdict(account.InboxProcessed, "nothing of the payment is left")
		return nil
	case t.Type == account.TypeWithdraw:
		return c.returned(ctx, rest)
	}
	c.review("failed_after_completed", t.ID, "The provider has taken back a payment that was completed.")
	posted, conversion, err := priceOf(c.unit, t, rest)
	if err != nil {
		return err
	}
	f := newFollowUp(c.ids[idFollow], account.TypeCorrection, t, rest, posted, conversion, c.now)
	f.PaymentID = c.event.PaymentID
	return c.follow(ctx, c.chains.takeBack, f)
}

// fee books what the provider has kept for its work. It is ours to bear, not the account's.
func (c *confirmation) fee(ctx context.Context) error {
	cur, err := currency.Parse(c.event.Currency)
	if err != nil || c.event.Amount <= 0 {
		c.quarantine("unreadable_amount", "amount or currency cannot be booked")
		return nil
	}
	amount := money.New(c.event.Amount, cur)
	f := newFee(c.ids[idFollow], c.transaction, amount, c.event.Ref, c.now)
	if f.PaymentID == "" {
		f.PaymentID = c.event.PaymentID
	}
	posting, err := feePosting(f.Provider, amount, c.now)
	if err != nil {
		return err
	}
	for _, to := range []account.PaymentStatus{account.PaymentStatusInitiated, account.PaymentStatusCompleted} {
		if err := c.moveOf(ctx, f, to, nil); err != nil {
			return err
		}
	}
	c.unit.AddTransaction(f)
	c.unit.AddPosting(f.ID, posting)
	c.effect(f.ID)
	c.verdict(account.InboxProcessed, "fee")
	return nil
}

// amountIn is what the event says to have moved, in the payment's currency. Where it cannot be booked it is quarantined.
func (c *confirmation) amountIn(t *account.Transaction) (money.Money, bool) {
	cur, err := currency.Parse(c.event.Currency)
	switch {
	case err != nil || c.event.Amount <= 0:
		c.quarantine("unreadable_amount", "amount or currency cannot be booked")
	case cur != t.Amount.Currency():
		c.quarantine("other_currency", "the event is in another currency than the payment")
	default:
		return money.New(c.event.Amount, cur), true
	}
	return money.Money{}, false
}
