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

// dispute is what a provider says of a dispute: it has taken the money back, given it back, or
// keeps it. What was given back can be taken again.
func (c *confirmation) dispute(ctx context.Context) error {
	t := c.transaction
	if t.Type != account.TypeDeposit || c.event.Ref == "" {
		c.quarantine("unreadable_event", "a dispute of what is no deposit, or without a name")
		return nil
	}
	taken := c.takenFor(account.TypeChargeback)
	switch {
	case c.event.Kind == account.ReceivedDisputeLost:
		return c.disputeLost(ctx, taken)
	case c.event.Kind == account.ReceivedDisputed && len(taken.standing) > 0:
		c.park("what the dispute took before has not come back yet")
		return nil
	case c.event.Kind == account.ReceivedDisputed:
		return c.takeBack(ctx, account.TypeChargeback, "dispute_above_captured")
	case len(taken.standing) == 0:
		c.park("the dispute is not known yet")
		return nil
	}
	sum, err := sumOf(taken.standing)
	switch {
	case err != nil:
		return err
	case c.event.Amount != 0 && (c.event.Amount != sum.Minor() ||
		c.event.Currency != sum.Currency().Code()):
		c.quarantine("dispute_differs", "another amount was given back than the dispute has taken")
		return nil
	}
	return c.giveBackAll(ctx, taken.standing)
}

// disputeLost: the money stays where it is. Where it had come back, the provider has it again: that
// is booked where its own record proves another turn, and is for a person to decide otherwise,
// because the news may be older than what we know.
func (c *confirmation) disputeLost(ctx context.Context, taken takenParts) error {
	switch {
	case len(taken.standing) > 0:
		c.effect(taken.standing[0].ID)
		c.verdict(account.InboxProcessed, "the money stays where it is")
		return nil
	case c.event.Turn > 0 && c.unit.Effect(c.turnKey(account.ReceivedDisputed)):
		c.effect(c.transaction.ID)
		c.verdict(account.InboxProcessed, "the money has come back since")
		return nil
	case c.event.Turn > 1 && len(taken.back) > 0:
		said := c.event.Kind
		c.event.Kind = account.ReceivedDisputed
		err := c.takeBack(ctx, account.TypeChargeback, "dispute_above_captured")
		c.event.Kind = said
		return err
	case len(taken.back) > 0:
		c.effect(c.transaction.ID)
		c.takenAgain(taken, "a dispute is said to be lost whose money had come back")
		return nil
	default:
		c.park("the dispute is not known yet")
		return nil
	}
}

// takenAgain asks a person: something that had come back is said to be gone again, and nothing
// proves that this is news.
func (c *confirmation) takenAgain(taken takenParts, reason string) {
	of := taken.back[len(taken.back)-1]
	c.verdict(account.InboxQuarantined, reason)
	c.alerts = append(c.alerts, account.ReviewTakenAgain)
	c.review(account.ReviewTakenAgain, of.ID,
		"The provider says that it has taken money again which had come back: "+reason+".")
}

// happensAgain says whether a fact that had its effect is told anew, without a turn, after what it
// did had come back. A repeat of old news is not: it happened before.
func (c *confirmation) happensAgain() (takenParts, bool) {
	kinds := map[account.ReceivedKind]account.Type{
		account.ReceivedDisputed: account.TypeChargeback, account.ReceivedRefunded: account.TypeRefund}
	kind, can := kinds[c.event.Kind]
	if !can || c.event.Turn > 0 || c.event.Ref == "" || c.transaction.Type != account.TypeDeposit {
		return takenParts{}, false
	}
	taken := c.takenFor(kind)
	return taken, len(taken.standing) == 0 && len(taken.back) > 0 &&
		c.event.OccurredAt.After(taken.backAt)
}

// takeBack books what the provider has taken back of a completed deposit. It waits for the deposit.
// Of the payment is taken what is left of it, then what waits in suspense of the same payment; the
// rest is owed by the account, because the money is gone all the same. What is taken back of
// another payment, such as a second one that names our deposit too, was never credited to the
// account: unless it waits in suspense, a person decides.
func (c *confirmation) takeBack(ctx context.Context, kind account.Type, above string) error {
	amount, ok := c.amountTaken()
	if !ok {
		return nil
	}
	t := c.transaction
	apart := c.apart(amount.Currency())
	switch {
	case len(apart) > 0:
	case t.Status() != account.PaymentStatusCompleted:
		c.park("the payment is not completed yet")
		return nil
	case c.otherPayment():
		c.quarantine("refund_of_nothing", "what is taken back is of another payment than the one that was credited")
		return nil
	}
	parts, err := c.split(amount, apart)
	if err != nil {
		return err
	}
	for _, part := range parts {
		if part.source == account.SourceReceivable {
			if amount.Currency() != t.Amount.Currency() {
				c.quarantine(above,
					"more is taken back than was captured, in another currency than the payment's")
				return nil
			}
			c.alerts = append(c.alerts, above)
		}
	}
	return c.takeParts(ctx, kind, parts)
}

// takeParts books what the provider has taken back, part by part, as one fact.
func (c *confirmation) takeParts(ctx context.Context, kind account.Type, parts []part) error {
	var made []*account.Transaction
	for _, part := range parts {
		f, err := c.takePart(ctx, kind, part)
		if err != nil {
			return err
		}
		made = append(made, f)
	}
	if kind == account.TypeChargeback {
		c.alerts = append(c.alerts, "dispute")
		c.review("dispute", made[0].ID,
			"The payer disputes the payment; the provider has taken its money back.")
	}
	c.effect(made[0].ID)
	c.verdict(account.InboxProcessed, string(kind))
	if kind == account.TypeRefund && c.unit.Effect(c.turnKey(account.ReceivedRefundFailed)) {
		return c.giveBackParts(ctx, made) // its end was heard before
	}
	return nil
}

// giveBackAll books that what the parts took has come back, exactly, as one fact.
func (c *confirmation) giveBackAll(ctx context.Context, parts []*account.Transaction) error {
	if err := c.giveBackParts(ctx, parts); err != nil {
		return err
	}
	c.effect(c.subject.ID)
	c.verdict(account.InboxProcessed, string(c.subject.Type))
	return nil
}

func (c *confirmation) giveBackParts(ctx context.Context, parts []*account.Transaction) error {
	kind := account.TypeChargebackReversal
	if parts[0].Type == account.TypeRefund {
		kind = account.TypeRefundReversal
	}
	for _, part := range parts {
		if outOfPot(part) {
			if err := c.backToSuspense(ctx, kind, part); err != nil {
				return err
			}
			continue
		}
		f, err := c.given(kind, part, part.Amount, part.Posted)
		if err != nil {
			return err
		}
		f.MoneySource, f.Attempt = part.MoneySource, part.Attempt
		if err := c.begin(ctx, c.chains.giveBack, f); err != nil {
			return err
		}
	}
	return nil
}

// given is the transaction by which money comes back that another one took.
func (c *confirmation) given(
	kind account.Type, of *account.Transaction, amount, posted money.Money,
) (*account.Transaction, error) {
	f := newFollowUp(c.followID(), kind, of, amount, posted, nil, c.now)
	f.PaymentID, f.Attempt = c.event.Ref, c.turn()
	if f.PaymentID == "" {
		f.PaymentID = of.PaymentID
	}
	if of.Conversion != nil {
		conversion, err := partOf(of, amount, posted)
		if err != nil {
			return nil, err
		}
		f.Conversion = conversion
	}
	return f, nil
}

// turn is which time of its fact the event states.
func (c *confirmation) turn() int { return max(1, c.event.Turn) }

// begin takes a new transaction that begins and ends in this commit through its chain. Its amount
// is a part of what the event says.
func (c *confirmation) begin(ctx context.Context, line chain, f *account.Transaction) error {
	opened, err := f.Move(account.PaymentStatusInitiated, c.now, c.event.Cause, nil)
	if err != nil {
		return err
	}
	part := c.event
	part.Amount, part.Currency = f.Amount.Minor(), f.Amount.Currency().Code()
	if err := c.run(ctx, line, &Operation{Transaction: f, Opened: &opened,
		Event: &part}); err != nil {
		return err
	}
	c.unit.AddTransaction(f)
	return nil
}

// follow is begin for what is a fact of its own.
func (c *confirmation) follow(ctx context.Context, line chain, f *account.Transaction) error {
	if err := c.begin(ctx, line, f); err != nil {
		return err
	}
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
	f, err := c.given(account.TypePayoutReturn, t, amount, posted)
	if err != nil {
		return err
	}
	return c.follow(ctx, c.chains.giveBack, f)
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
	f := newFollowUp(c.followID(), account.TypeCorrection, t, rest, posted, conversion, c.now)
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
	f := newFee(c.followID(), c.transaction, amount, c.event.Ref, c.now)
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

// amountTaken is what the event says to have been taken back: in the payment's currency, or in that
// of what came with it.
func (c *confirmation) amountTaken() (money.Money, bool) {
	if cur, err := currency.Parse(c.event.Currency); err == nil && c.event.Amount > 0 &&
		len(c.apart(cur)) > 0 {
		return money.New(c.event.Amount, cur), true
	}
	return c.amountIn(c.transaction)
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
