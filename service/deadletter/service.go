// Package deadletter looks after what could not be worked off: operators read it, redrive or discard it, and what is redriven
// for a subscriber is handed over again.
package deadletter

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"unicode"

	"github.com/google/uuid"

	"florin/domain/account"
	"florin/domain/errs"
)

// manyLimit bounds what one request settles.
const manyLimit = 100

// maxErrorRunes bounds the text that is kept.
const maxErrorRunes = 500

// ServiceDeps is what a Service is built from. All are required.
type ServiceDeps struct {
	Letters account.DeadLetters
	Events  account.RedrivenEvents
	Clock   account.Clock
	Log     *slog.Logger
	// Alert counts something that a person must look at.
	Alert func(kind string)
}

// Service is the use cases of dead letters.
type Service struct {
	letters account.DeadLetters
	events  account.RedrivenEvents
	now     account.Clock
	log     *slog.Logger
	alert   func(kind string)
}

// NewService returns the service.
func NewService(d ServiceDeps) *Service {
	return &Service{letters: d.Letters, events: d.Events, now: d.Clock, log: d.Log, alert: d.Alert}
}

// AddDeadLetter stores an open dead letter in a commit of its own, with an alert. Source, SourceName, SourceID, Reason,
// LastError, Tries and Payload are the caller's; what else is zero is filled in. Where one of this source is open already,
// it stays as it is and nothing is alerted, so a caller that is not sure may repeat the call.
func (s *Service) AddDeadLetter(ctx context.Context, d account.DeadLetter) error {
	if d.ID == uuid.Nil {
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		d.ID = id
	}
	if d.CreatedAt.IsZero() {
		d.CreatedAt = s.now()
	}
	d.Status, d.LastError = account.DeadLetterOpen, plain(d.LastError)
	added, err := s.letters.AddDeadLetter(ctx, d)
	if err == nil && added {
		s.Alert(ctx, d)
	}
	return err
}

// Alert tells of a dead letter that was stored in a commit of its source's own.
func (s *Service) Alert(ctx context.Context, d account.DeadLetter) {
	s.alert("dead_letter")
	s.log.ErrorContext(ctx, "alert: dead_letter", "alert", "dead_letter", "dead_letter_id", d.ID.String(), "source", string(d.Source),
		"source_name", d.SourceName, "source_id", d.SourceID.String(), "reason", d.Reason, "error", d.LastError)
}

// FindDeadLetters lists them, newest first.
func (s *Service) FindDeadLetters(ctx context.Context, filter account.DeadLetterFilter, page account.Page) ([]account.DeadLetter, error) {
	return s.letters.FindDeadLetters(ctx, filter, page)
}

// FindDeadLetter returns one. errs.NotFound.
func (s *Service) FindDeadLetter(ctx context.Context, id uuid.UUID) (account.DeadLetter, error) {
	return s.letters.FindDeadLetter(ctx, id)
}

// Redrive makes what the letter is about due again. It has its effect once, however often the letter is redriven. The
// answer is the letter as it is then. errs.NotFound; errs.Conflict "already_settled" or "not_dead"; errs.Refused
// "reason_required" or "invalid_reason".
func (s *Service) Redrive(ctx context.Context, id uuid.UUID, by account.Operator) (account.DeadLetter, error) {
	return s.settle(ctx, id, by, s.letters.Redrive)
}

// Discard gives it up. Answer and errors as Redrive.
func (s *Service) Discard(ctx context.Context, id uuid.UUID, by account.Operator) (account.DeadLetter, error) {
	return s.settle(ctx, id, by, s.letters.Discard)
}

func (s *Service) settle(ctx context.Context, id uuid.UUID, by account.Operator,
	do func(context.Context, uuid.UUID, account.Operator) error) (account.DeadLetter, error) {
	if err := by.CheckReason(); err != nil {
		return account.DeadLetter{}, err
	}
	if err := do(ctx, id, by); err != nil {
		return account.DeadLetter{}, err
	}
	return s.letters.FindDeadLetter(ctx, id)
}

// Settled is what became of one of many.
type Settled struct {
	ID  uuid.UUID
	Err *errs.Error // nil when it was settled
}

// RedriveMany redrives each in a commit of its own. What was refused is told beside the others; the error is of a store that
// cannot be reached, with some perhaps redriven. errs.Refused "reason_required", "invalid_reason" or
// "invalid_ids": 1 to 100, each once.
func (s *Service) RedriveMany(ctx context.Context, ids []uuid.UUID, by account.Operator) ([]Settled, error) {
	if len(ids) == 0 || len(ids) > manyLimit || repeated(ids) {
		return nil, errs.InField("ids", "invalid_ids", "Send 1 to 100 ids, each once.")
	}
	if err := by.CheckReason(); err != nil {
		return nil, err
	}
	results := make([]Settled, 0, len(ids))
	for _, id := range ids {
		result := Settled{ID: id}
		if err := s.letters.Redrive(ctx, id, by); err != nil {
			single := errs.KindOf(err) == errs.NotFound || errs.KindOf(err) == errs.Conflict
			if !single || !errors.As(err, &result.Err) {
				return nil, err
			}
		}
		results = append(results, result)
	}
	return results, nil
}

func repeated(ids []uuid.UUID) bool {
	seen := make(map[uuid.UUID]bool, len(ids))
	for _, id := range ids {
		if seen[id] {
			return true
		}
		seen[id] = true
	}
	return false
}

// plain is a text in one line, without what a terminal would obey, and not longer than is of use. A panic's stack, which
// follows its message, is cut off.
func plain(text string) string {
	text, _, _ = strings.Cut(text, "\n")
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if runes := []rune(text); len(runes) > maxErrorRunes {
		return string(runes[:maxErrorRunes])
	}
	return text
}
