package account

import (
	"context"
	"time"

	"github.com/google/uuid"

	"florin/domain/account"
	"florin/domain/currency"
	"florin/domain/fx"
	"florin/domain/money"
)

// part is what of a sum that the provider has taken back comes from one place.
type part struct {
	// what it follows: the payment, or money that came with it and belongs to nobody
	of     *account.Transaction
	source string
	amount money.Money
}

// pot is money that came with a payment and belongs to nobody, with what of it still waits.
type pot struct {
	of   *account.Transaction
	left money.Money
}

// apart is what came with the event's payment in a currency and was kept apart, also where nothing
// of it waits any more.
func (c *confirmation) apart(cur currency.Currency) []pot {
	var pots []pot
	for _, f := range c.unit.Followers(c.transaction.ID) {
		if f.Type != account.TypeUnmatched || f.Amount.Currency() != cur ||
			c.event.PaymentID == "" || f.PaymentID != c.event.PaymentID {
			continue
		}
		if rest, err := unsettled(c.unit, f, f.Amount); err == nil {
			pots = append(pots, pot{f, rest})
		}
	}
	return pots
}

// split says where each part of a sum that was taken back comes from.
func (c *confirmation) split(amount money.Money, apart []pot) ([]part, error) {
	t := c.transaction
	var parts []part
	take := func(of *account.Transaction, source string, there money.Money) error {
		n := min(there.Minor(), amount.Minor())
		if n <= 0 {
			return nil
		}
		taken := money.New(n, amount.Currency())
		parts = append(parts, part{of, source, taken})
		var err error
		amount, err = amount.Sub(taken)
		return err
	}
	if t.Status() == account.PaymentStatusCompleted && !c.otherPayment() &&
		amount.Currency() == t.Amount.Currency() {
		rest, err := left(c.unit, t, false)
		if err != nil {
			return nil, err
		}
		if err := take(t, "", rest); err != nil {
			return nil, err
		}
	}
	for _, p := range apart {
		if len(parts) == maxParts-1 {
			break
		}
		if err := take(p.of, account.SourceSuspense, p.left); err != nil {
			return nil, err
		}
	}
	return parts, take(t, account.SourceReceivable, amount)
}

// takePart books one part as a transaction of its own.
func (c *confirmation) takePart(ctx context.Context, kind account.Type,
	p part) (*account.Transaction, error) {
	if p.source == account.SourceSuspense {
		return c.outOfSuspense(ctx, kind, p)
	}
	line, price := c.chains.takeBack, priceOf
	if p.source == account.SourceReceivable {
		line, price = c.chains.owe, worthBeyond
	}
	posted, conversion, err := price(c.unit, p.of, p.amount)
	if err != nil {
		return nil, err
	}
	f := newFollowUp(c.followID(), kind, p.of, p.amount, posted, conversion, c.now)
	f.PaymentID, f.MoneySource, f.Attempt = c.event.Ref, p.source, c.turn()
	return f, c.begin(ctx, line, f)
}

// worthBeyond is what an account owes for what was taken beyond a payment: at the payment's own
// rate, rounded against the holder like all that is taken back.
func worthBeyond(
	_ account.UnitOfWork, of *account.Transaction, amount money.Money,
) (money.Money, *fx.Conversion, error) {
	if of.Conversion == nil {
		return amount, nil, nil
	}
	posted, _, err := of.Conversion.Rate().Convert(amount, fx.Up)
	if err != nil {
		return money.Money{}, nil, err
	}
	conversion, err := partOf(of, amount, posted)
	return posted, conversion, err
}

// outOfSuspense books that the provider has given back money that waited for a decision. A person
// is told: there is less to decide.
func (c *confirmation) outOfSuspense(ctx context.Context, kind account.Type,
	p part) (*account.Transaction, error) {
	f := newFollowUp(c.followID(), kind, p.of, p.amount, p.amount, nil, c.now)
	f.PaymentID, f.MoneySource, f.Attempt = c.event.Ref, account.SourceSuspense, c.turn()
	posting, err := returnPosting(f.Provider, p.amount, c.now)
	if err != nil {
		return nil, err
	}
	c.unit.AddPosting(f.ID, posting)
	c.review("unmatched_returned", f.ID,
		"The provider has given back money that waited for a decision.")
	return f, c.beginApart(ctx, f)
}

// backToSuspense books that such money has come again. It follows what it came from, as what was
// taken does.
func (c *confirmation) backToSuspense(ctx context.Context, kind account.Type,
	taken *account.Transaction) error {
	f := newFollowUp(c.followID(), kind, taken, taken.Amount, taken.Amount, nil, c.now)
	f.LinkedID, f.PaymentID, f.MoneySource, f.Attempt = taken.LinkedID, taken.PaymentID,
		account.SourceSuspense, taken.Attempt
	posting, err := unmatchedPosting(f.Provider, f.Amount, c.now)
	if err != nil {
		return err
	}
	c.unit.AddPosting(f.ID, posting)
	c.review("unmatched_returned", f.ID,
		"Money that waited for a decision, and that the provider had given back, is there again.")
	return c.beginApart(ctx, f)
}

// beginApart is begin for what is on no account.
func (c *confirmation) beginApart(ctx context.Context, f *account.Transaction) error {
	for _, to := range []account.PaymentStatus{account.PaymentStatusInitiated,
		account.PaymentStatusCompleted} {
		if err := c.moveOf(ctx, f, to, nil); err != nil {
			return err
		}
	}
	c.unit.AddTransaction(f)
	c.subject = f
	return nil
}

// takenParts are the parts that a refund or a dispute has taken: those that still stand, and those
// that came back.
type takenParts struct {
	standing, back []*account.Transaction
	backAt         time.Time // when the last of them came back
}

// takenFor finds what was taken for the refund or dispute that the event names.
func (c *confirmation) takenFor(kind account.Type) takenParts {
	var taken takenParts
	if c.event.Ref == "" {
		return taken
	}
	look := func(of *account.Transaction) {
		for _, f := range c.unit.Followers(of.ID) {
			if f.Type != kind || f.PaymentID != c.event.Ref ||
				f.Status() != account.PaymentStatusCompleted {
				continue
			}
			if back := reversalOf(c.unit, f); back != nil {
				taken.back = append(taken.back, f)
				taken.backAt = latest(taken.backAt, back.CompletedAt)
				continue
			}
			taken.standing = append(taken.standing, f)
		}
	}
	look(c.transaction)
	for _, f := range c.unit.Followers(c.transaction.ID) {
		if f.Type == account.TypeUnmatched {
			look(f)
		}
	}
	return taken
}

// reversalOf is the transaction by which what f took has come back, nil for none.
func reversalOf(u account.UnitOfWork, f *account.Transaction) *account.Transaction {
	parent := f.ID
	if outOfPot(f) {
		parent = f.LinkedID
	}
	for _, r := range u.Followers(parent) {
		switch {
		case !reverses(r.Type) || r.Status() != account.PaymentStatusCompleted:
		case !outOfPot(f), r.PaymentID == f.PaymentID && r.Attempt == f.Attempt:
			return r
		}
	}
	return nil
}

// outOfPot says whether a transaction was taken from money that belongs to nobody, or brought it
// back there. Of what its users ask for the source is their own word, and means nothing here.
func outOfPot(f *account.Transaction) bool {
	return f.MoneySource == account.SourceSuspense && f.AccountID == uuid.Nil
}

// reverses says whether a transaction of the type brings back what a refund or a dispute took.
func reverses(kind account.Type) bool {
	return kind == account.TypeRefundReversal || kind == account.TypeChargebackReversal
}

// unsettled is what of money that waits for a decision was neither decided about nor given back.
// What stands is above zero, or a loss.
func unsettled(
	u account.UnitOfWork, of *account.Transaction, stands money.Money,
) (money.Money, error) {
	rest := stands
	for _, f := range u.Followers(of.ID) {
		step := money.Money.Sub
		switch {
		case f.IsSettlement() && f.Metadata[settledFrom] == suspenseName:
			if rest.Sign() < 0 {
				step = money.Money.Add
			}
		case isReturn(f, of) && f.Status() != account.PaymentStatusFailed:
		case outOfPot(f) && reverses(f.Type):
			step = money.Money.Add
		default:
			continue
		}
		var err error
		if rest, err = step(rest, f.Amount); err != nil {
			return money.Money{}, err
		}
	}
	return rest, nil
}

func sumOf(parts []*account.Transaction) (money.Money, error) {
	sum := money.Zero(parts[0].Amount.Currency())
	var err error
	for _, p := range parts {
		if sum, err = sum.Add(p.Amount); err != nil {
			return money.Money{}, err
		}
	}
	return sum, nil
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
