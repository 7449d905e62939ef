package account

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/trace"

	"florin/domain/account"
	"florin/domain/errs"
	"florin/pkg/crashpoint"
)

// PaymentEventHandler applies what providers tell us. It implements eventbus.ReceivedHandler.
type PaymentEventHandler struct{ *Service }

// NewPaymentEventHandler returns the handler of the service's provider events.
func NewPaymentEventHandler(s *Service) PaymentEventHandler { return PaymentEventHandler{s} }

// errAskProvider is an event that is believed only after the provider confirmed it when asked.
var errAskProvider = errors.New("the provider must be asked first")

// HandlePaymentReceived returns nil once the event has had its effect or is stored to be worked off: the provider may be
// told so. errs.Unavailable where it could not even be stored: the provider must send it again.
func (h PaymentEventHandler) HandlePaymentReceived(ctx context.Context, event account.PaymentReceivedEvent) error {
	crashpoint.Hit(crashpoint.WebhookVerified)
	_, err := h.apply(ctx, event, false)
	if err == nil {
		crashpoint.Hit(crashpoint.WebhookCommitted)
		return nil
	}
	return h.storeAlone(ctx, event, err)
}

// storeAlone keeps the event without its effect; the inbox worker goes on with it.
func (s *Service) storeAlone(ctx context.Context, event account.PaymentReceivedEvent, cause error) error {
	now := s.now()
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	storeCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.limits.ReplyWithin)
	defer cancel()
	err = s.ledger.Do(storeCtx, account.Needs{Inbox: inboxKey(event)}, func(_ context.Context, u account.UnitOfWork) error {
		if _, known := u.Inbox(); known {
			return nil
		}
		u.AddInbox(account.InboxRecord{ID: id, Event: event, Status: account.InboxReceived, Reason: reasonOf(cause),
			NextAttemptAt: now.Add(time.Second), TraceParent: traceParent(ctx), ReceivedAt: now})
		return nil
	})
	if err != nil {
		return errs.Wrap(errors.Join(cause, err), errs.Unavailable, "not_stored", "The event could not be stored; please send it again.")
	}
	crashpoint.Hit(crashpoint.WebhookStoredAlone)
	s.meter.Received(event.Provider, account.InboxReceived)
	s.log.WarnContext(ctx, "provider event stored without its effect", "provider", event.Provider, "event_id", event.EventID, "reason", reasonOf(cause), "error", cause)
	return nil
}

// applyOwn applies what the provider told us in an answer of its own, and returns the transaction as it is then.
func (s *Service) applyOwn(ctx context.Context, event account.PaymentReceivedEvent) (*account.Transaction, error) {
	return s.apply(ctx, event, true)
}

// apply is tx C: inbox, effect, and what the event does, in one commit. confirmed says that the provider itself was
// asked, so that even what contradicts our row is believed.
func (s *Service) apply(ctx context.Context, event account.PaymentReceivedEvent, confirmed bool) (*account.Transaction, error) {
	started := s.now()
	id, err := s.resolve(ctx, event)
	if err != nil {
		return nil, err
	}
	ids, err := newIDs(idCount)
	if err != nil {
		return nil, err
	}
	needs := account.Needs{Effects: []account.EffectKey{effectKey(event, id), strayKey(event, id)}}
	if event.Cause == account.CauseWebhook {
		needs.Inbox = inboxKey(event)
	}
	if id != uuid.Nil {
		needs.Transactions = []uuid.UUID{id}
	}
	var c *confirmation
	err = s.ledger.Do(ctx, needs, func(ctx context.Context, u account.UnitOfWork) error {
		c = &confirmation{Service: s, event: event, unit: u, ids: ids, now: s.now(), confirmed: confirmed}
		c.transaction, _ = u.Transaction(id)
		return c.settle(ctx, traceParent(ctx))
	})
	if err != nil {
		return nil, err
	}
	s.settled(ctx, c, started)
	return c.transaction, nil
}

// resolve finds which transaction the event is about: by our id where the event has it, or by the provider's.
func (s *Service) resolve(ctx context.Context, event account.PaymentReceivedEvent) (uuid.UUID, error) {
	if event.TransactionID != uuid.Nil || event.PaymentID == "" || event.Kind == account.ReceivedIgnored {
		return event.TransactionID, nil
	}
	t, err := s.books.FindTransactionByPayment(ctx, event.Provider, event.PaymentID)
	if isKind(err, errs.NotFound) {
		return uuid.Nil, nil
	}
	if err != nil {
		return uuid.Nil, err
	}
	return t.ID, nil
}

// settled tells the outside what the commit has done.
func (s *Service) settled(ctx context.Context, c *confirmation, started time.Time) {
	s.meter.Received(c.event.Provider, c.status)
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
	_, span := s.tracer.Start(s.paymentContext(ctx, t), "payment.confirm", trace.WithTimestamp(started))
	span.End()
}

func inboxKey(e account.PaymentReceivedEvent) *account.InboxKey {
	return &account.InboxKey{Provider: e.Provider, EventID: e.EventID}
}

// effectKey names the fact: what became of which payment. An event without a payment id is about our own attempt.
func effectKey(e account.PaymentReceivedEvent, transactionID uuid.UUID) account.EffectKey {
	ref := e.PaymentID
	if ref == "" {
		ref = "transaction:" + transactionID.String()
	}
	return account.EffectKey{Provider: e.Provider, Ref: ref, Effect: strings.TrimPrefix(string(e.Kind), "payment.")}
}

// strayKey names money in another currency than the payment's. It is another fact than the payment itself, which may still
// come.
func strayKey(e account.PaymentReceivedEvent, transactionID uuid.UUID) account.EffectKey {
	key := effectKey(e, transactionID)
	key.Effect = "unmatched:" + e.Currency
	return key
}

// reasonOf is an error as it may be stored: its stable code, never its text, which can hold what a client sent.
func reasonOf(err error) string {
	if errors.Is(err, errAskProvider) {
		return "ask_provider"
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

func sameBody(a, b []byte) bool { return bytes.Equal(a, b) }

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
