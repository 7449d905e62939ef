// Package mail tells users by e-mail what became of their payments, and of acts on their identity.
// It is a subscriber of the log: it never holds up money, and no mail holds up another.
package mail

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"florin/domain/account"
	"florin/domain/mail"
	"florin/pkg/eventbus"
)

// Subscriber is the name under which the service reads the log.
const Subscriber = "mail"

// The outcomes of an attempt, as they are counted.
const (
	OutcomeSent   = "sent"
	OutcomeFailed = "failed"
	OutcomeDead   = "dead"
)

// maxErrorRunes bounds the text that is kept of an error.
const maxErrorRunes = 500

// ServiceDeps is what a Service is built from. Zero fields after Buried take the defaults named.
type ServiceDeps struct {
	Mails mail.Store
	// Notices are mails about acts on identities; nil for none.
	Notices mail.NoticeStore
	Sender  mail.Sender
	Clock   account.Clock
	Log     *slog.Logger
	// Count counts an attempt by its outcome; Buried tells of a mail that became a dead letter.
	Count  func(outcome string, took time.Duration)
	Buried func(ctx context.Context, letter account.DeadLetter)
	// Every is the pause between two rounds that found nothing; 1 s.
	Every time.Duration
	// Batch is how many mails a round claims; 16. Parallel is how many are sent at once; 4.
	Batch, Parallel int
	// Within bounds one mail; 30 s.
	Within time.Duration
	// Tries is how often a mail is tried before it is a dead letter; 10, which takes some eight hours.
	Tries int
}

// Service is the mails of payments.
type Service struct{ ServiceDeps }

// NewService returns the service; Run starts it.
func NewService(d ServiceDeps) *Service {
	setIfZero(&d.Every, time.Second)
	setIfZero(&d.Batch, 16)
	setIfZero(&d.Parallel, 4)
	setIfZero(&d.Within, 30*time.Second)
	setIfZero(&d.Tries, 10)
	return &Service{d}
}

func setIfZero[T comparable](value *T, fallback T) {
	var zero T
	if *value == zero {
		*value = fallback
	}
}

// HandleEvent notes that a mail is to be sent, where the event is worth one. It reaches for the store alone, so a mail
// server that is away holds up nothing. A repeat of the event changes nothing.
func (s *Service) HandleEvent(ctx context.Context, e eventbus.PositionedEvent) error {
	kind, worth := kindOf(e.Event)
	if !worth {
		return nil
	}
	m := mail.Mail{Kind: kind, CreatedAt: s.Clock()}
	var err error
	if m.ID, err = uuid.NewV7(); err != nil {
		return err
	}
	for field, text := range map[*uuid.UUID]string{&m.EventID: e.Event.EventID, &m.TransactionID: e.Event.TransactionID, &m.UserID: e.Event.UserID} {
		if *field, err = uuid.Parse(text); err != nil {
			return fmt.Errorf("mail of event %q: %w", e.Event.EventID, err)
		}
	}
	return s.Mails.AddMail(ctx, m)
}

// kindOf is what an event's mail is about. Money of nobody's has no mail.
func kindOf(e account.PaymentEvent) (mail.Kind, bool) {
	if e.UserID == "" || e.UserID == uuid.Nil.String() {
		return "", false
	}
	switch operation := e.Metadata["operation"]; {
	case e.Status == account.PaymentStatusFailed:
		return mail.KindFailed, true
	case e.Status != account.PaymentStatusCompleted:
		return "", false
	case operation == "refund":
		return mail.KindRefund, true
	case operation == "payout_return":
		return mail.KindPayoutReturn, true
	case operation == "deposit", operation == "withdraw", operation == "transfer":
		return mail.KindCompleted, true
	default:
		return "", false
	}
}

// Run sends until ctx ends, and returns nil when all that it started has ended.
func (s *Service) Run(ctx context.Context) error {
	tick := time.NewTicker(s.Every)
	defer tick.Stop()
	for {
		n, err := s.RunOnce(ctx)
		if err != nil && ctx.Err() == nil {
			s.Log.WarnContext(ctx, "mails not claimed", "error", err)
		}
		if n == s.Batch && err == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// RunOnce sends what is due and returns how many mails it took up. One that could not be sent is due again later; that is
// logged, not returned. The error is that of claiming. A server that is killed between sending a mail and noting it sends it
// once more, with the same Message-ID.
func (s *Service) RunOnce(ctx context.Context) (int, error) {
	notices, err := s.sendNotices(ctx)
	if err != nil {
		return 0, err
	}
	mails, err := s.sendMails(ctx)
	return max(notices, mails), err
}

func (s *Service) sendMails(ctx context.Context) (int, error) {
	now := s.Clock()
	claimed, err := s.Mails.ClaimMails(ctx, now, s.Batch, func(tries int) time.Time { return now.Add(retryAfter(tries)) })
	if err != nil {
		return 0, err
	}
	var work errgroup.Group
	work.SetLimit(s.Parallel)
	for _, m := range claimed {
		work.Go(func() error {
			if err := s.one(ctx, m); err != nil {
				s.Log.WarnContext(ctx, "mail not settled yet", "mail_id", m.ID.String(), "transaction_id", m.TransactionID.String(), "error", err)
			}
			return nil
		})
	}
	return len(claimed), work.Wait()
}

// retryAfter is when a mail is tried again after so many tries: 2 min, 4 min, … 2 h. The first pause is longer than a whole
// round may take, so that no other server takes a mail that is under way.
func retryAfter(tries int) time.Duration { return min(2*time.Minute<<min(tries, 10), 2*time.Hour) }

func (s *Service) one(ctx context.Context, m mail.Mail) error {
	ctx, cancel := context.WithTimeout(ctx, s.Within)
	defer cancel()
	content, wanted, err := s.Mails.FindContent(ctx, m)
	if err != nil {
		return err
	}
	if !wanted {
		return s.Mails.FinishMail(ctx, m, mail.StatusUnwanted)
	}
	message, err := render(m, content)
	if err != nil {
		return s.failed(ctx, m, fmt.Errorf("%w: %w", mail.ErrRefused, err), 0)
	}
	began := s.Clock()
	err = eventbus.Safely(func() error { return s.Sender.Send(ctx, message) })
	took := s.Clock().Sub(began)
	if err != nil {
		return s.failed(ctx, m, err, took)
	}
	s.Count(OutcomeSent, took)
	// The mail is out: that is noted also when the round is about to end.
	noting, stop := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer stop()
	return s.Mails.FinishMail(noting, m, mail.StatusSent)
}

// failed leaves the mail for its next try, or makes a dead letter of it.
func (s *Service) failed(ctx context.Context, m mail.Mail, cause error, took time.Duration) error {
	if !errors.Is(cause, mail.ErrRefused) && m.Tries < s.Tries {
		s.Count(OutcomeFailed, took)
		return cause
	}
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	reason := "tries_used_up"
	if errors.Is(cause, mail.ErrRefused) {
		reason = "refused"
	}
	letter := account.DeadLetter{ID: id, Source: account.DeadDelivery, SourceName: mail.Channel, SourceID: m.ID, TransactionID: m.TransactionID,
		Reason: reason, LastError: plain(cause.Error()), Tries: m.Tries, Payload: fmt.Sprintf(`{"kind":%q,"event_id":%q}`, m.Kind, m.EventID),
		Status: account.DeadLetterOpen, CreatedAt: s.Clock()}
	noting, stop := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer stop()
	buried, err := s.Mails.BuryMail(noting, m, letter)
	if err != nil {
		return errors.Join(cause, err)
	}
	if buried {
		s.Count(OutcomeDead, took)
		s.Buried(ctx, letter)
	}
	return nil
}

// plain is a text in one line, without what a terminal or a reader of mail would obey.
func plain(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if runes := []rune(text); len(runes) > maxErrorRunes {
		return string(runes[:maxErrorRunes])
	}
	return text
}
