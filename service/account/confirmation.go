package account

import (
	"context"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"

	"florin/domain/account"
)

// belief is how far an event is believed.
type belief uint8

const (
	// claimed is what a webhook says: it is believed where it does not contradict our row.
	claimed belief = iota
	// denied is what the provider did not stand by when asked.
	denied
	// answered is what the provider has said in an answer to a call of ours. It is believed, but it may be older than our row.
	answered
	// confirmed is what the provider stands by when asked about that very event.
	confirmed
)

// believed says that the provider itself has said it.
func (b belief) believed() bool { return b >= answered }

// confirmation is one provider event being applied in one unit of work.
type confirmation struct {
	*Service
	event       account.PaymentReceivedEvent
	heard       account.PaymentReceivedEvent // the event as the provider has put it
	unit        account.UnitOfWork
	transaction *account.Transaction // the payment that the event is about, nil where we know none
	subject     *account.Transaction // what the event has changed: the payment, or what follows it
	ids         []uuid.UUID          // by the constants below: the same in every run
	now         time.Time
	belief      belief

	followed int // how many of the ids of what follows are used
	reviewed int // how many of the ids of reviews are

	status   account.InboxStatus
	reason   string
	conflict bool // another body came under a known event id
	foreign  bool // another program on the same account at the provider has begun the payment
	moves    []typedMove
	alerts   []string
}

// What a confirmation may have to name.
const (
	idInbox     = 0
	idUnmatched = 1
	idFollow    = 2 // the first of those of each part, taken and given back
	idReview    = idFollow + 2*maxParts
	idCount     = idReview + maxReviews
)

const (
	maxParts   = 3 // of what is taken back: of the payment, of suspense, and what is owed
	maxReviews = 8 // of one event
)

type typedMove struct {
	of account.Type
	account.Move
}

// settle decides what the event means, does it, and writes the inbox row with the verdict. The first body that came under an event
// id stays; another one changes nothing here.
func (c *confirmation) settle(ctx context.Context, traceParent string) error {
	row, known := c.unit.Inbox()
	if known && anotherBody(row.Event, c.event) && anotherBody(row.Event, c.heard) {
		c.status, c.reason, c.conflict = row.Status, "another body", true
		return nil
	}
	if known && row.Status != account.InboxReceived && row.Status != account.InboxParked {
		c.status, c.reason = row.Status, "already known"
		return nil
	}
	if err := c.act(ctx); err != nil {
		return err
	}
	if !c.event.Cause.Kept() {
		return nil
	}
	if !known {
		row = &account.InboxRecord{ID: c.ids[idInbox], Event: c.event, ReceivedAt: c.now, TraceParent: traceParent}
	}
	c.expirePark(row)
	row.Status, row.Reason = c.status, c.reason
	row.NextAttemptAt, row.ProcessedAt = time.Time{}, c.now
	if c.status == account.InboxParked {
		row.NextAttemptAt, row.ProcessedAt = c.now.Add(parkAfter(row.Tries, c.transaction != nil)), time.Time{}
	}
	if !known {
		c.unit.AddInbox(*row)
	}
	return nil
}

// act is the table of decisions. What it has no line for moves nothing.
func (c *confirmation) act(ctx context.Context) error {
	t := c.transaction
	switch {
	case t == nil && c.event.Owner == account.OwnerOther:
		c.foreign = true
		c.verdict(account.InboxIgnored, "foreign: begun by nobody here")
		return nil
	case t == nil && c.event.Owner == account.OwnerAsk:
		return errConsult
	case c.event.Kind == account.ReceivedIgnored && c.event.Failure != nil:
		c.verdict(account.InboxIgnored, "cannot be used: "+plain(c.event.Failure.Message, 200))
		c.alerts = append(c.alerts, account.UnusableEvent)
		return nil
	case c.event.Kind == account.ReceivedIgnored:
		c.verdict(account.InboxIgnored, "type moves nothing here")
		return nil
	case c.event.Kind == account.ReceivedForeign:
		c.quarantine("foreign_event", "an event that is not ours to book")
		return nil
	case t == nil && follows(c.event.Kind):
		c.quarantine("unknown_payment", "money is said to have moved for a payment that we do not know")
		return nil
	case t == nil:
		c.park("unknown payment")
		return nil
	case t.Provider != c.event.Provider:
		c.quarantine("foreign_event", "payment of another provider")
		return nil
	case t.Type == account.TypeUnmatched && (c.event.Kind == account.ReceivedRefunded || c.event.Kind == account.ReceivedRefundFailed):
		return c.returnToPayer(ctx)
	case c.event.AccountID != uuid.Nil && c.event.AccountID != t.AccountID:
		c.quarantine("foreign_account", "the event names another account than our row")
		return nil
	case t.LinkedID != uuid.Nil && c.event.Kind != account.ReceivedPending:
		c.quarantine("unreadable_event", "the event names what follows a payment in place of the payment")
		return nil
	case c.unit.Effect(c.fact()):
		if taken, again := c.happensAgain(); again {
			c.takenAgain(taken, "a refund or a dispute is told anew whose money had come back")
			return nil
		}
		c.verdict(account.InboxProcessed, "effect already applied")
		return nil
	}
	switch c.event.Kind {
	case account.ReceivedPending:
		return c.pending(ctx)
	case account.ReceivedCompleted:
		return c.completed(ctx)
	case account.ReceivedFailed:
		return c.failed(ctx)
	case account.ReceivedFee:
		return c.fee(ctx)
	case account.ReceivedPayoutReturned:
		return c.payoutReturned(ctx)
	case account.ReceivedRefunded, account.ReceivedRefundFailed:
		return c.refund(ctx)
	case account.ReceivedDisputed, account.ReceivedDisputeWon, account.ReceivedDisputeLost:
		return c.dispute(ctx)
	default:
		c.verdict(account.InboxIgnored, "type moves nothing here")
		return nil
	}
}

func (c *confirmation) move(ctx context.Context, to account.PaymentStatus, failure *account.Failure) error {
	return c.moveOf(ctx, c.transaction, to, failure)
}

func (c *confirmation) moveOf(ctx context.Context, t *account.Transaction, to account.PaymentStatus, failure *account.Failure) error {
	from := t.Status()
	event, err := t.Move(to, c.now, c.event.Cause, failure)
	if err != nil {
		return err
	}
	c.moves = append(c.moves, typedMove{t.Type, account.Move{From: from, To: to}})
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

// fact is what the event states: the payment's own end, money in a currency that nobody asked for, or that the money of a
// completed payment is back, which is told as a failure too.
func (c *confirmation) fact() account.EffectKey {
	t := c.transaction
	if c.event.Kind == account.ReceivedFailed && t.Status() == account.PaymentStatusCompleted {
		return returnKey(c.event, t.ID)
	}
	if t.Type == account.TypeDeposit && c.event.Kind == account.ReceivedCompleted && c.event.Currency != t.Amount.Currency().Code() {
		return strayKey(c.event, t.ID)
	}
	return effectKey(c.event, t.ID)
}

// turnKey names another fact of the event's refund or dispute, in the same turn.
func (c *confirmation) turnKey(kind account.ReceivedKind) account.EffectKey {
	return turnKey(c.event, c.transaction.ID, kind)
}

func (c *confirmation) effect(transactionID uuid.UUID) {
	c.unit.AddEffect(account.Effect{EffectKey: c.fact(), TransactionID: transactionID, CreatedAt: c.now})
}

func (c *confirmation) review(kind string, transactionID uuid.UUID, detail string) {
	r := account.Review{ID: c.reviewID(), Kind: kind, TransactionID: transactionID, Detail: detail,
		CreatedAt: c.now}
	if c.event.Cause.Kept() {
		r.InboxID = c.inboxID()
	}
	c.unit.AddReview(r)
}

func (c *confirmation) reviewID() uuid.UUID {
	c.reviewed++
	return c.ids[idReview+c.reviewed-1]
}

func (c *confirmation) followID() uuid.UUID {
	c.followed++
	return c.ids[idFollow+c.followed-1]
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

// park keeps the event until what it is about is there.
func (c *confirmation) park(reason string) { c.verdict(account.InboxParked, reason) }

func (c *confirmation) quarantine(kind, reason string) {
	c.verdict(account.InboxQuarantined, reason)
	c.alerts = append(c.alerts, kind)
	transactionID := uuid.Nil
	if c.transaction != nil {
		transactionID = c.transaction.ID
	}
	c.review(kind, transactionID, reason)
}

// expirePark ends the search for what an event is about after its time, with a review.
func (c *confirmation) expirePark(row *account.InboxRecord) {
	switch {
	case c.status != account.InboxParked || c.now.Sub(row.ReceivedAt) < c.limits.ParkFor:
	case c.transaction == nil:
		c.quarantine("unknown_payment", "no payment of ours was found for the event")
	default:
		c.quarantine("out_of_order", "what the event follows has not come: "+c.reason)
	}
}

// parkAfter is how long an event rests before the next look: for one of an unknown payment, and for one that only waits for
// another event of its payment.
func parkAfter(tries int, known bool) time.Duration {
	switch {
	case known:
		return min(time.Second<<min(tries, 6), time.Minute)
	case tries > 9:
		return time.Hour
	default:
		return 5 * time.Second << tries
	}
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
