package mail

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"florin/domain/mail"
	"florin/domain/user"
	"florin/pkg/eventbus"
)

// sendNotices sends the notices that are due and returns how many it took up. A notice is a matter
// of hours: one that cannot be sent in as many tries as a mail is given up, with an error in the
// log, and nobody redrives it.
func (s *Service) sendNotices(ctx context.Context) (int, error) {
	if s.Notices == nil {
		return 0, nil
	}
	now := s.Clock()
	again := func(tries int) time.Time { return now.Add(retryAfter(tries)) }
	claimed, err := s.Notices.ClaimNotices(ctx, now, s.Batch, again)
	if err != nil {
		return 0, err
	}
	var work errgroup.Group
	work.SetLimit(s.Parallel)
	for _, n := range claimed {
		work.Go(func() error {
			if err := s.notice(ctx, n); err != nil {
				s.Log.WarnContext(ctx, "notice not settled yet", "notice_id", n.ID.String(),
					"user_id", n.UserID.String(), "error", err)
			}
			return nil
		})
	}
	return len(claimed), work.Wait()
}

func (s *Service) notice(ctx context.Context, n user.Notice) error {
	ctx, cancel := context.WithTimeout(ctx, s.Within)
	defer cancel()
	message, err := renderNotice(n)
	if err != nil {
		return err
	}
	began := s.Clock()
	err = eventbus.Safely(func() error { return s.Sender.Send(ctx, message) })
	took := s.Clock().Sub(began)
	last := ""
	switch {
	case err == nil:
		s.Count(OutcomeSent, took)
	case errors.Is(err, mail.ErrRefused) || n.Tries >= s.Tries:
		s.Count(OutcomeDead, took)
		s.Log.ErrorContext(ctx, "notice given up", "notice_id", n.ID.String(),
			"user_id", n.UserID.String(), "kind", string(n.Kind), "error", err)
		last = plain(err.Error())
	default:
		s.Count(OutcomeFailed, took)
		return err
	}
	noting, stop := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer stop()
	return s.Notices.FinishNotice(noting, n, last)
}

// renderNotice says what happened and what to do. Nothing in it is anybody else's words.
func renderNotice(n user.Notice) (mail.Message, error) {
	headline, known := map[user.NoticeKind]string{
		user.NoticeEmail:         "The email address of your account was changed",
		user.NoticePassword:      "The password of your account was changed",
		user.NoticePayoutAccount: "An account to pay out to was added to your account",
		user.NoticePayoutTarget:  "A withdrawal to an account or wallet that is new for you was begun",
	}[n.Kind]
	if !known {
		return mail.Message{}, fmt.Errorf("unknown kind of notice %q", n.Kind)
	}
	at := n.CreatedAt.UTC().Format("2 January 2006, 15:04 UTC")
	said := struct{ Headline, At string }{headline, at}
	var text, html bytes.Buffer
	if err := textTemplates.ExecuteTemplate(&text, "notice.txt", said); err != nil {
		return mail.Message{}, fmt.Errorf("render notice: %w", err)
	}
	if err := htmlTemplates.ExecuteTemplate(&html, "notice.html", said); err != nil {
		return mail.Message{}, fmt.Errorf("render notice: %w", err)
	}
	return mail.Message{ID: n.ID.String(), To: n.Address, Subject: headline,
		Text: text.String(), HTML: html.String(), At: n.CreatedAt}, nil
}
