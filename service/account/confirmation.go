package account

import (
	"context"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"

	"florin/domain/account"
	"florin/domain/currency"
	"florin/domain/money"
)

// confirmation is one provider event being applied in one unit of work.
type confirmation struct {
	*Service
	event       account.PaymentReceivedEvent
	unit        account.UnitOfWork
	transaction *account.Transaction // nil where we know none
	ids         []uuid.UUID          // by the constants below: the same in every run
	now         time.Time
	confirmed   bool

	status account.InboxStatus
	reason string
	moves  []typedMove
	alerts []string
}

// What a confirmation may have to name.
const (
	idInbox = iota
	idUnmatched
	idReview
	idUnmatchedReview
	idCount
)

type typedMove struct {
	of account.Type
	account.Move
}

// settle decides what the event means, does it, and writes the inbox row with the verdict.
func (c *confirmation) settle(ctx context.Context, traceParent string) error {
	row, known := c.unit.Inbox()
	if known && row.Status != account.InboxReceived && row.Status != account.InboxParked {
		if !sameBody(row.Event.Raw, c.event.Raw) {
			c.alerts = append(c.alerts, "webhook_conflict")
		}
		c.status, c.reason = row.Status, "already known"
		return nil
	}
	if err := c.act(ctx); err != nil {
		return err
	}
	if c.event.Cause != account.CauseWebhook {
		return nil
	}
	if !known {
		row = &account.InboxRecord{ID: c.ids[idInbox], Event: c.event, ReceivedAt: c.now, TraceParent: traceParent}
	}
	c.expirePark(row)
	row.Status, row.Reason = c.status, c.reason
	row.NextAttemptAt, row.ProcessedAt = time.Time{}, c.now
	if c.status == account.InboxParked {
		row.NextAttemptAt, row.ProcessedAt = c.now.Add(parkAfter(row.Tries)), time.Time{}
	}
	if !known {
		c.unit.AddInbox(*row)
	}
	return nil
}

func (c *confirmation) act(ctx context.Context) error {
	t := c.transaction
	switch {
	case c.event.Kind == account.ReceivedIgnored:
		c.verdict(account.InboxIgnored, "type moves nothing here")
		return nil
	case t == nil:
		c.verdict(account.InboxParked, "unknown payment")
		return nil
	case t.Provider != c.event.Provider:
		c.quarantine("foreign_event", "payment of another provider")
		return nil
	case c.unit.Effect(c.fact()):
		c.verdict(account.InboxProcessed, "effect already applied")
		return nil
	}
	switch c.event.Kind {
	case account.ReceivedPending:
		return c.pending(ctx)
	case account.ReceivedCompleted:
		return c.completed(ctx)
	default:
		return c.failed(ctx)
	}
}

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

// late is the door from failed to completed. It opens only on the provider's word when asked.
func (c *confirmation) late(ctx context.Context, came money.Money) error {
	if !c.confirmed {
		return errAskProvider
	}
	a, ok := c.unit.Account(c.transaction.AccountID)
	switch {
	case !ok:
		return ErrInconsistent
	case c.transaction.Type == account.TypeWithdraw:
		c.quarantine("paid_after_failed", "the payout was made although its hold was released")
		return nil
	case a.Status() == account.StatusClosed:
		return c.keepApart(ctx, came, "late_success_closed_account")
	}
	c.review("late_success", c.transaction.ID, "The payment succeeded after it had failed here.")
	return c.complete(ctx, came)
}

func (c *confirmation) complete(ctx context.Context, came money.Money) error {
	t := c.transaction
	a, ok := c.unit.Account(t.AccountID)
	if !ok {
		return ErrInconsistent
	}
	c.takePaymentID()
	from := t.Status()
	op := &Operation{Transaction: t, Account: a, Event: &c.event, Cause: c.event.Cause, Now: c.now, Unit: c.unit}
	line := c.chains.deposit
	if t.Type == account.TypeWithdraw {
		op.Hold, _ = c.unit.Hold(t.ID)
		line = c.chains.withdraw
		if came != t.Amount {
			c.review("payout_differs", t.ID, "The provider reports another amount than was sent.")
		}
	}
	if err := line.run(ctx, op); err != nil {
		return err
	}
	c.moves = append(c.moves, typedMove{t.Type, account.Move{From: from, To: t.Status()}})
	c.effect(t.ID)
	c.verdict(account.InboxProcessed, "completed")
	if op.Surplus.IsPositive() {
		return c.unmatched(ctx, op.Surplus, "surplus")
	}
	return nil
}

// failed ends the payment and gives a withdrawal's hold back.
func (c *confirmation) failed(ctx context.Context) error {
	t := c.transaction
	switch {
	case t.Status() == account.PaymentStatusCompleted:
		c.quarantine("failed_after_completed", "the provider reports a failure of a completed payment")
		return nil
	case t.Status() == account.PaymentStatusFailed:
		c.verdict(account.InboxProcessed, "already failed")
		return nil
	case c.otherPayment():
		c.verdict(account.InboxProcessed, "failure of another attempt")
		return nil
	}
	if hold, ok := c.unit.Hold(t.ID); ok && hold.Active() {
		a, ok := c.unit.Account(t.AccountID)
		if !ok {
			return ErrInconsistent
		}
		if err := a.Release(hold, c.now); err != nil {
			return err
		}
	}
	c.takePaymentID()
	failure := account.Failure{Code: "failed", Message: "The payment failed."}
	if f := c.event.Failure; f != nil && f.Code != "" {
		failure = account.Failure{Code: plain(f.Code, 64), Message: plain(f.Message, 200)}
	}
	c.effect(t.ID)
	c.verdict(account.InboxProcessed, "failed")
	return c.move(ctx, account.PaymentStatusFailed, &failure)
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

func (c *confirmation) move(ctx context.Context, to account.PaymentStatus, failure *account.Failure) error {
	from := c.transaction.Status()
	event, err := c.transaction.Move(to, c.now, c.event.Cause, failure)
	if err != nil {
		return err
	}
	c.moves = append(c.moves, typedMove{c.transaction.Type, account.Move{From: from, To: to}})
	return c.bus.PublishPaymentEvent(ctx, event)
}

// otherPayment says that the event is about another payment of the provider than the one that we know.
func (c *confirmation) otherPayment() bool {
	return c.transaction.PaymentID != "" && c.event.PaymentID != "" && c.transaction.PaymentID != c.event.PaymentID
}

func (c *confirmation) takePaymentID() {
	if c.transaction.PaymentID == "" {
		c.transaction.PaymentID = c.event.PaymentID
	}
}

// fact is what the event states: the payment's own end, or money in a currency that nobody asked for.
func (c *confirmation) fact() account.EffectKey {
	t := c.transaction
	if t.Type == account.TypeDeposit && c.event.Kind == account.ReceivedCompleted && c.event.Currency != t.Amount.Currency().Code() {
		return strayKey(c.event, t.ID)
	}
	return effectKey(c.event, t.ID)
}

func (c *confirmation) effect(transactionID uuid.UUID) {
	c.unit.AddEffect(account.Effect{EffectKey: c.fact(), TransactionID: transactionID, CreatedAt: c.now})
}

func (c *confirmation) review(kind string, transactionID uuid.UUID, detail string) {
	id := c.ids[idReview]
	if transactionID == c.ids[idUnmatched] {
		id = c.ids[idUnmatchedReview]
	}
	r := account.Review{ID: id, Kind: kind, TransactionID: transactionID, Detail: detail, CreatedAt: c.now}
	if c.event.Cause == account.CauseWebhook {
		r.InboxID = c.inboxID()
	}
	c.unit.AddReview(r)
}

// inboxID is the id of the event's row, which may be older than this run.
func (c *confirmation) inboxID() uuid.UUID {
	if row, ok := c.unit.Inbox(); ok {
		return row.ID
	}
	return c.ids[idInbox]
}

func (c *confirmation) verdict(status account.InboxStatus, reason string) {
	c.status, c.reason = status, reason
}

func (c *confirmation) quarantine(kind, reason string) {
	c.verdict(account.InboxQuarantined, reason)
	c.alerts = append(c.alerts, kind)
	transactionID := uuid.Nil
	if c.transaction != nil {
		transactionID = c.transaction.ID
	}
	c.review(kind, transactionID, reason)
}

// expirePark ends the search for an unknown payment after its time, with a review.
func (c *confirmation) expirePark(row *account.InboxRecord) {
	if c.status == account.InboxParked && c.now.Sub(row.ReceivedAt) >= c.limits.ParkFor {
		c.quarantine("unknown_payment", "no payment of ours was found for the event")
	}
}

// parkAfter is how long an event for an unknown payment rests before the next look.
func parkAfter(tries int) time.Duration {
	if tries > 9 {
		return time.Hour
	}
	return 5 * time.Second << tries
}

// plain is a provider's text as it may be shown: bounded, without control characters.
func plain(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if r := []rune(s); len(r) > limit {
		return string(r[:limit])
	}
	return s
}
