package account

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/trace"

	"florin/domain/account"
	"florin/domain/errs"
	"florin/pkg/crashpoint"
	"florin/pkg/telemetry"
)

// PaymentEventHandler applies what providers tell us. It implements eventbus.ReceivedHandler.
type PaymentEventHandler struct{ *Service }

// NewPaymentEventHandler returns the handler of the service's provider events.
func NewPaymentEventHandler(s *Service) PaymentEventHandler { return PaymentEventHandler{s} }

// errAskProvider is an event that is believed only after the provider confirmed it when asked.
var errAskProvider = errors.New("the provider must be asked first")

// errRefundNamed is an event that names a refund of ours in the place of the payment.
var errRefundNamed = errors.New("the event names a refund")

// errReturnNamed is an event about a refund of money that belongs to no payment, which names the payment that it came with.
var errReturnNamed = errors.New("the event names a refund of unmatched money")

// errConsult is an event that does not state its facts.
var errConsult = errors.New("the provider must be consulted")

// HandlePaymentReceived returns nil once the event has had its effect or is stored to be worked off: the provider may be
// told so. errs.Unavailable where it could not even be stored: the provider must send it again.
func (h PaymentEventHandler) HandlePaymentReceived(ctx context.Context, event account.PaymentReceivedEvent) error {
	if event.Cause == account.CauseWebhook {
		crashpoint.Hit(crashpoint.WebhookVerified)
	}
	if event.Kind == account.ReceivedConsult {
		return h.storeAlone(ctx, event, errConsult)
	}
	c, err := h.apply(ctx, event, claimed)
	switch {
	case err != nil:
		return h.storeAlone(ctx, event, err)
	case c.conflict:
		return h.storeConflict(ctx, event)
	}
	crashpoint.Hit(crashpoint.WebhookCommitted)
	return nil
}

// storeAlone keeps the event without its effect; the inbox worker goes on with it.
func (s *Service) storeAlone(ctx context.Context, event account.PaymentReceivedEvent, cause error) error {
	again := s.now()
	if !errors.Is(cause, errConsult) {
		again = again.Add(time.Second)
	}
	conflict, err := s.store(ctx, event, reasonOf(cause), again)
	switch {
	case err != nil:
		return errs.Wrap(errors.Join(cause, err), errs.Unavailable, "not_stored", "The event could not be stored; please send it again.")
	case conflict:
		return s.storeConflict(ctx, event)
	}
	crashpoint.Hit(crashpoint.WebhookStoredAlone)
	if errors.Is(cause, errConsult) {
		return nil
	}
	s.log.WarnContext(ctx, "provider event stored without its effect", "provider", event.Provider, "event_id", event.EventID, "reason", reasonOf(cause), "error", cause)
	return nil
}

// storeConflict keeps a second body that came under a known event id. It changes nothing: the worker asks the provider for the
// truth and puts it aside.
func (s *Service) storeConflict(ctx context.Context, event account.PaymentReceivedEvent) error {
	s.alert(ctx, "webhook_conflict", "provider", event.Provider, "event_id", event.EventID, "payment_id", event.PaymentID)
	sum := sha256.Sum256(event.Raw)
	event.EventID += "#" + hex.EncodeToString(sum[:8])
	if _, err := s.store(ctx, event, reasonConflict, s.now()); err != nil {
		return errs.Wrap(err, errs.Unavailable, "not_stored", "The event could not be stored; please send it again.")
	}
	return nil
}

// store keeps the event for the worker, unless it is known. It says whether what is known has another body.
func (s *Service) store(ctx context.Context, event account.PaymentReceivedEvent, reason string, again time.Time) (conflict bool, err error) {
	now := s.now()
	id, err := uuid.NewV7()
	if err != nil {
		return false, err
	}
	storeCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.limits.ReplyWithin)
	defer cancel()
	added := false
	err = s.ledger.Do(storeCtx, account.Needs{Inbox: inboxKey(event)}, func(_ context.Context, u account.UnitOfWork) error {
		added, conflict = false, false
		if row, known := u.Inbox(); known {
			conflict = anotherBody(row.Event, event)
			return nil
		}
		u.AddInbox(account.InboxRecord{ID: id, Event: event, Status: account.InboxReceived, Reason: reason,
			NextAttemptAt: again, TraceParent: telemetry.Carried(ctx), ReceivedAt: now})
		added = true
		return nil
	})
	if err == nil && added {
		s.meter.Received(event.Provider, account.InboxReceived)
	}
	return conflict, err
}

// applyOwn applies what the provider told us in an answer of its own, and returns the transaction that it was about as it is
// then.
func (s *Service) applyOwn(ctx context.Context, event account.PaymentReceivedEvent) (*account.Transaction, error) {
	c, err := s.apply(ctx, event, answered)
	if err != nil {
		return nil, err
	}
	return c.subject, nil
}

// apply is tx C: inbox, effect, and what the event does, in one commit.
func (s *Service) apply(ctx context.Context, event account.PaymentReceivedEvent, believed belief) (*confirmation, error) {
	return s.applyAs(ctx, event, event, believed)
}

// applyAs applies an event, which was heard in the words of the other: they differ where it names a
// refund in the place of its payment.
func (s *Service) applyAs(ctx context.Context, heard, event account.PaymentReceivedEvent,
	believed belief) (*confirmation, error) {
	started := s.now()
	id, err := s.resolve(ctx, event)
	if err != nil {
		return nil, err
	}
	ids, err := newIDs(idCount)
	if err != nil {
		return nil, err
	}
	needs := account.Needs{Effects: []account.EffectKey{effectKey(event, id), strayKey(event, id), returnKey(event, id)}}
	// what the event may be the other half of
	for _, kind := range []account.ReceivedKind{account.ReceivedDisputed,
		account.ReceivedRefundFailed} {
		if follows(event.Kind) {
			needs.Effects = append(needs.Effects, turnKey(event, id, kind))
		}
	}
	if event.Cause.Kept() {
		needs.Inbox = inboxKey(event)
	}
	if id != uuid.Nil {
		needs.Transactions = []uuid.UUID{id}
		if follows(event.Kind) || event.Kind == account.ReceivedFailed {
			needs.Families = needs.Transactions
		}
	}
	var c *confirmation
	var elsewhere uuid.UUID
	err = s.ledger.Do(ctx, needs, func(ctx context.Context, u account.UnitOfWork) error {
		c = &confirmation{Service: s, event: event, heard: heard, unit: u, ids: ids, now: s.now(),
			belief: believed}
		if event.Cause == account.CauseReport || event.Cause == account.CauseListing {
			crashpoint.Hit(crashpoint.ReconcilerStepOpen)
		}
		c.transaction, _ = u.Transaction(id)
		c.subject = c.transaction
		if t := c.transaction; t != nil && t.Type == account.TypeRefund && follows(event.Kind) {
			return errRefundNamed
		}
		if returned, ok := c.returnNamed(); ok && returned.LinkedID != id {
			elsewhere = returned.LinkedID
			return errReturnNamed
		}
		return c.settle(ctx, telemetry.Carried(ctx))
	})
	if errors.Is(err, errReturnNamed) {
		event.TransactionID = elsewhere
		return s.applyAs(ctx, heard, event, believed)
	}
	if errors.Is(err, errRefundNamed) {
		event.TransactionID, event.FollowID = c.transaction.LinkedID, id
		return s.applyAs(ctx, heard, event, believed)
	}
	if err != nil {
		return nil, err
	}
	s.settled(ctx, c, started)
	return c, nil
}

// resolve finds which payment the event is about: by our id where the event has it, by the provider's, or by what followed the
// payment.
func (s *Service) resolve(ctx context.Context, event account.PaymentReceivedEvent) (uuid.UUID, error) {
	if event.Kind == account.ReceivedIgnored || event.Kind == account.ReceivedForeign {
		return uuid.Nil, nil
	}
	if event.TransactionID != uuid.Nil {
		return event.TransactionID, nil
	}
	if event.PaymentID != "" {
		t, err := s.books.FindTransactionByPayment(ctx, event.Provider, event.PaymentID)
		if err == nil {
			return t.ID, nil
		}
		if !isKind(err, errs.NotFound) {
			return uuid.Nil, err
		}
	}
	if event.Ref == "" || !follows(event.Kind) {
		return uuid.Nil, nil
	}
	f, err := s.books.FindFollowUp(ctx, event.Provider, event.Ref)
	if isKind(err, errs.NotFound) {
		return uuid.Nil, nil
	}
	if err != nil {
		return uuid.Nil, err
	}
	if !outOfPot(f) {
		return f.LinkedID, nil
	}
	from, err := s.reviews.FindAnyTransaction(ctx, f.LinkedID)
	if err != nil {
		return uuid.Nil, err
	}
	return from.LinkedID, nil // the payment that the money came with
}

// settled tells the outside what the commit has done.
func (s *Service) settled(ctx context.Context, c *confirmation, started time.Time) {
	counted := c.status
	if c.foreign {
		counted = account.InboxForeign
	}
	s.meter.Received(c.event.Provider, counted)
	for _, m := range c.moves {
		s.meter.Moved(m.of, m.From, m.To)
	}
	for _, kind := range c.alerts {
		s.alert(ctx, kind, "provider", c.event.Provider, "event_id", c.event.EventID, "payment_id", c.event.PaymentID)
	}
	t := c.transaction
	if t == nil {
		return
	}
	s.log.LogAttrs(ctx, slog.LevelInfo, "provider event applied", slog.String("transaction_id", t.ID.String()),
		slog.String("provider", c.event.Provider), slog.String("event_id", c.event.EventID), slog.String("kind", string(c.event.Kind)),
		slog.String("verdict", string(c.status)), slog.String("reason", c.reason), slog.String("status", string(t.Status())))
	s.declined(ctx, c)
	_, span := s.tracer.Start(s.paymentContext(ctx, t), "payment.confirm", trace.WithTimestamp(started))
	span.End()
}

func inboxKey(e account.PaymentReceivedEvent) *account.InboxKey {
	return &account.InboxKey{Provider: e.Provider, EventID: e.EventID}
}

// effectKey names the fact: what became of which payment, refund or dispute. An event without the provider's id is about our own
// attempt.
func effectKey(e account.PaymentReceivedEvent, transactionID uuid.UUID) account.EffectKey {
	ref := e.PaymentID
	switch {
	case e.Kind == account.ReceivedPayoutReturned:
		return returnKey(e, transactionID)
	case e.Ref != "":
		ref = e.Ref
	case e.FollowID != uuid.Nil:
		ref = "transaction:" + e.FollowID.String()
	case ref == "":
		ref = "transaction:" + transactionID.String()
	}
	return account.EffectKey{Provider: e.Provider, Ref: ref,
		Effect: strings.TrimPrefix(string(e.Kind), "payment.") + turnOf(e)}
}

// turnOf is what the name of a fact ends with: nothing for the first time that it happens.
func turnOf(e account.PaymentReceivedEvent) string {
	if e.Turn <= 1 {
		return ""
	}
	return ":" + strconv.Itoa(e.Turn)
}

// turnKey names another fact of the same refund or dispute in the same turn.
func turnKey(e account.PaymentReceivedEvent, transactionID uuid.UUID,
	kind account.ReceivedKind) account.EffectKey {
	e.Kind = kind
	return effectKey(e, transactionID)
}

// returnKey names the fact that the money of a completed payment is back, however it was told.
func returnKey(e account.PaymentReceivedEvent, transactionID uuid.UUID) account.EffectKey {
	ref := e.PaymentID
	if ref == "" {
		ref = "transaction:" + transactionID.String()
	}
	return account.EffectKey{Provider: e.Provider, Ref: ref, Effect: "returned" + turnOf(e)}
}

// strayKey names money in another currency than the payment's. It is another fact than the payment itself, which may still
// come.
func strayKey(e account.PaymentReceivedEvent, transactionID uuid.UUID) account.EffectKey {
	key := effectKey(e, transactionID)
	key.Effect = "unmatched:" + e.Currency
	return key
}

// The reasons of stored events by which the worker knows what to do with them.
const (
	reasonAsk      = "ask_provider"
	reasonConsult  = "consult"
	reasonConflict = "conflict"
)

// reasonOf is an error as it may be stored: its stable code, never its text, which can hold what a client sent.
func reasonOf(err error) string {
	switch {
	case errors.Is(err, errAskProvider):
		return reasonAsk
	case errors.Is(err, errConsult):
		return reasonConsult
	}
	if code := errs.CodeOf(err); code != "internal" {
		return code
	}
	switch {
	case errors.Is(err, ErrInconsistent):
		return "inconsistent"
	case errors.Is(err, account.ErrIllegalMove):
		return "illegal_move"
	case errors.Is(err, context.DeadlineExceeded):
		return "deadline_exceeded"
	default:
		return "internal"
	}
}

// anotherBody says whether two webhooks came under one id that state different facts. What is
// around the fact may differ: the bytes are only the shortest proof of sameness. A list tells an
// event in words of its own, and is the provider's answer to us: it contradicts nothing. Where the bytes of the first
// are erased, nothing is compared.
func anotherBody(known, event account.PaymentReceivedEvent) bool {
	return known.Cause == account.CauseWebhook && event.Cause == account.CauseWebhook &&
		len(known.Raw) > 0 && !bytes.Equal(known.Raw, event.Raw) && !known.SameFact(event)
}

func newIDs(n int) ([]uuid.UUID, error) {
	ids := make([]uuid.UUID, n)
	for i := range ids {
		id, err := uuid.NewV7()
		if err != nil {
			return nil, err
		}
		ids[i] = id
	}
	return ids, nil
}
