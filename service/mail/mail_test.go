package mail_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/domain/account"
	"florin/domain/errs"
	"florin/domain/mail"
	"florin/domain/user"
	"florin/infra/database"
	"florin/infra/database/databasetest"
	"florin/pkg/eventbus"
	"florin/pkg/eventbus/eventbustest"
	mailsvc "florin/service/mail"
)

// bench is the service on a database with one user.
type bench struct {
	t        *testing.T
	db       *database.DB
	service  *mailsvc.Service
	now      time.Time
	log      bytes.Buffer
	user     uuid.UUID
	outcomes []string
	buried   []account.DeadLetter

	mu   sync.Mutex
	sent []mail.Message
	fail error
}

func (b *bench) Send(_ context.Context, m mail.Message) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail != nil {
		return b.fail
	}
	b.sent = append(b.sent, m)
	return nil
}

func onBoth(t *testing.T, run func(b *bench)) {
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		b := &bench{t: t, db: db, now: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC), user: uuid.Must(uuid.NewV7())}
		require.NoError(t, db.Writer().Exec(`INSERT INTO users (id, username, email, password_hash, created_at, updated_at)
			VALUES (?, 'ada', 'ada@example.com', '!', ?, ?)`, b.user, b.now, b.now).Error)
		clock := func() time.Time { return b.now }
		b.service = mailsvc.NewService(mailsvc.ServiceDeps{Mails: database.NewMails(db, clock),
			Notices: database.NewMails(db, clock), Sender: b, Clock: clock,
			Log: slog.New(slog.NewTextHandler(&b.log, nil)), Parallel: 1, Tries: 3,
			Count:  func(outcome string, _ time.Duration) { b.outcomes = append(b.outcomes, outcome) },
			Buried: func(_ context.Context, d account.DeadLetter) { b.buried = append(b.buried, d) }})
		run(b)
	})
}

// event stores the last event of a transaction of the user and returns it.
func (b *bench) event(operation string, status account.PaymentStatus) account.PaymentEvent {
	b.t.Helper()
	e := eventbustest.Events(1)[0]
	e.UserID, e.Status, e.Metadata = b.user.String(), status, map[string]string{"operation": operation}
	require.NoError(b.t, databasetest.CommitEvents(b.t.Context(), b.db, e))
	return e
}

func (b *bench) handle(events ...account.PaymentEvent) {
	b.t.Helper()
	for i, e := range events {
		require.NoError(b.t, b.service.HandleEvent(b.t.Context(), eventbus.PositionedEvent{Position: int64(i + 1), Event: e}))
	}
}

func (b *bench) round() int {
	b.t.Helper()
	n, err := b.service.RunOnce(b.t.Context())
	require.NoError(b.t, err)
	return n
}

func TestF118_OneMailForEachEventWorthOne(t *testing.T) {
	onBoth(t, func(b *bench) {
		t := b.t
		completed := b.event("deposit", account.PaymentStatusCompleted)
		stranger := b.event("deposit", account.PaymentStatusCompleted)
		stranger.UserID = ""
		b.handle(completed, completed, b.event("withdraw", account.PaymentStatusFailed), b.event("refund", account.PaymentStatusCompleted),
			b.event("payout_return", account.PaymentStatusCompleted), b.event("deposit", account.PaymentStatusPending),
			b.event("fee", account.PaymentStatusCompleted), stranger, completed)
		assert.Equal(t, 4, b.round())
		assert.Zero(t, b.round())
		var subjects []string
		for _, m := range b.sent {
			subjects = append(subjects, m.Subject)
			assert.Equal(t, "ada@example.com", m.To)
			assert.Contains(t, m.Text, "123.45 EUR")
			assert.Contains(t, m.HTML, "123.45 EUR")
		}
		assert.ElementsMatch(t, []string{"Your deposit is completed: 123.45 EUR", "Your deposit has failed: 123.45 EUR",
			"Your deposit was refunded: 123.45 EUR", "Your withdrawal came back: 123.45 EUR"}, subjects)
		b.handle(completed)
		assert.Zero(t, b.round(), "a repeat of the event is no new mail")
	})
}

func TestUsersWhoWantNoMailGetNone(t *testing.T) {
	onBoth(t, func(b *bench) {
		b.handle(b.event("deposit", account.PaymentStatusCompleted))
		require.NoError(b.t, b.db.Writer().Exec("UPDATE users SET email_notifications = 0").Error)
		assert.Equal(b.t, 1, b.round())
		require.NoError(b.t, b.db.Writer().Exec("UPDATE users SET email_notifications = 1").Error)
		assert.Zero(b.t, b.round(), "it is settled")
		assert.Empty(b.t, b.sent)
	})
}

func TestF118_FailedMailsComeAgainAndEndAsDeadLetters(t *testing.T) {
	onBoth(t, func(b *bench) {
		t := b.t
		b.handle(b.event("deposit", account.PaymentStatusCompleted))
		b.fail = errors.New("451 come back\r\nlevel=ERROR later\x1b[2J")
		require.Equal(t, 1, b.round())
		require.Zero(t, b.round(), "not at once")
		b.now = b.now.Add(2 * time.Minute)
		require.Equal(t, 1, b.round())
		b.now = b.now.Add(4 * time.Minute)
		require.Equal(t, 1, b.round())
		assert.Equal(t, []string{"failed", "failed", "dead"}, b.outcomes)
		require.Len(t, b.buried, 1)
		assert.Equal(t, "tries_used_up", b.buried[0].Reason)
		assert.Equal(t, "451 come back  level=ERROR later [2J", b.buried[0].LastError)
		b.now = b.now.Add(24 * time.Hour)
		require.Zero(t, b.round())

		letters := database.NewDeadLetters(b.db, func() time.Time { return b.now })
		found, err := letters.FindDeadLetters(t.Context(), account.DeadLetterFilter{Source: account.DeadDelivery, SourceName: "email"}, account.Page{Limit: 9})
		require.NoError(t, err)
		require.Len(t, found, 1)
		b.fail = nil
		by := account.Operator{Name: "operator", Reason: "the server is back"}
		require.NoError(t, letters.Redrive(t.Context(), found[0].ID, by))
		require.Equal(t, 1, b.round())
		require.Len(t, b.sent, 1)
		require.Zero(t, b.round())
		require.Error(t, letters.Redrive(t.Context(), found[0].ID, by))
	})
}

func TestF118_WhatIsRefusedIsNotTriedAgain(t *testing.T) {
	onBoth(t, func(b *bench) {
		b.handle(b.event("deposit", account.PaymentStatusCompleted))
		b.fail = fmt.Errorf("%w: 550 no such user", mail.ErrRefused)
		require.Equal(b.t, 1, b.round())
		require.Len(b.t, b.buried, 1)
		assert.Equal(b.t, "refused", b.buried[0].Reason)
	})
}

// TestF118_ACrashAfterSendingRepeatsTheMailUnderItsID: the first server sent it and died before it could say so.
func TestF118_ACrashAfterSendingRepeatsTheMailUnderItsID(t *testing.T) {
	onBoth(t, func(b *bench) {
		t := b.t
		e := b.event("deposit", account.PaymentStatusCompleted)
		b.handle(e)
		mails := database.NewMails(b.db, func() time.Time { return b.now })
		claimed, err := mails.ClaimMails(t.Context(), b.now, 10, func(int) time.Time { return b.now.Add(2 * time.Minute) })
		require.NoError(t, err)
		require.Len(t, claimed, 1)
		b.now = b.now.Add(2 * time.Minute)
		require.Equal(t, 1, b.round())
		require.Len(t, b.sent, 1)
		assert.Equal(t, e.EventID, b.sent[0].ID)
		buried, err := mails.BuryMail(t.Context(), claimed[0], account.DeadLetter{})
		require.NoError(t, err)
		assert.False(t, buried, "the first server writes to nothing when it wakes")
		b.now = b.now.Add(24 * time.Hour)
		require.Zero(t, b.round())
	})
}

// TestS50_WhatStrangersWroteIsHarmless: a provider's message and a name in a mail.
func TestS50_WhatStrangersWroteIsHarmless(t *testing.T) {
	onBoth(t, func(b *bench) {
		t := b.t
		e := b.event("deposit", account.PaymentStatusFailed)
		evil := "<script>alert(1)</script> {{.Username}} https://evil.example www.evil.example DE89 3704 0044 0532 0130 00 4111-1111-1111-1111\r\nBcc: eve@example.com"
		require.NoError(t, b.db.Writer().Exec(`UPDATE transactions SET status = 'failed', next_attempt_at = NULL, failure_code = 'declined',
			failure_message = ? WHERE id = ?`, evil, e.TransactionID).Error)
		b.handle(e)
		require.Equal(t, 1, b.round())
		require.Len(t, b.sent, 1)
		m := b.sent[0]
		assert.NotContains(t, m.HTML, "<script")
		assert.Contains(t, m.HTML, "&lt;script&gt;")
		assert.Contains(t, m.Text, "{{.Username}}", "data is no template")
		for _, text := range []string{m.Text, m.HTML} {
			for _, bad := range []string{"https://", "www.evil", "0440", "3704", "4111", "eve@"} {
				assert.NotContains(t, text, bad)
			}
			assert.Contains(t, text, "****1111")
		}
		reason := 0
		for line := range strings.Lines(m.Text) {
			if strings.HasPrefix(line, "Bcc") {
				t.Error("a line of its own")
			}
			if strings.HasPrefix(line, "Reason:") {
				reason++
			}
		}
		assert.Equal(t, 1, reason)
	})
}

// TestS68_NoticesGoOutAndForgetTheirAddress: to an address as it was at the act, to users who want
// no mail about payments too.
func TestS68_NoticesGoOutAndForgetTheirAddress(t *testing.T) {
	onBoth(t, func(b *bench) {
		t, users := b.t, database.NewUsers(b.db)
		require.NoError(t, b.db.Writer().Exec("UPDATE users SET email_notifications = 0").Error)
		act := func(notices ...user.Notice) error {
			return users.Record(t.Context(), user.Audit{ID: uuid.Must(uuid.NewV7()), Actor: "test",
				Action: "user.updated", At: b.now, Notices: notices})
		}
		notice := func(kind user.NoticeKind, address string) user.Notice {
			return user.Notice{ID: uuid.Must(uuid.NewV7()), UserID: b.user, Kind: kind, Address: address,
				CreatedAt: b.now}
		}
		require.NoError(t, act(notice(user.NoticeEmail, "old@example.com"),
			notice(user.NoticeEmail, "new@example.com")))
		require.NoError(t, act(notice(user.NoticePassword, "new@example.com"),
			notice(user.NoticePayoutAccount, "new@example.com")))
		b.fail = errors.New("421 not now")
		require.Equal(t, 4, b.round())
		require.Zero(t, b.round(), "not at once")
		b.fail = nil
		b.now = b.now.Add(2 * time.Minute)
		require.Equal(t, 4, b.round())
		var told []string
		for _, m := range b.sent {
			told = append(told, m.To+": "+m.Subject)
			assert.Contains(t, m.Text, "1 May 2026, 12:00 UTC")
		}
		assert.ElementsMatch(t, []string{"old@example.com: The email address of your account was changed",
			"new@example.com: The email address of your account was changed", "new@example.com: The password of your account was changed",
			"new@example.com: An account to pay out to was added to your account"}, told)
		require.NoError(t, act(notice(user.NoticePassword, "gone@example.com")))
		b.fail = fmt.Errorf("%w: 550 no such user", mail.ErrRefused)
		require.Equal(t, 1, b.round())
		b.now = b.now.Add(24 * time.Hour)
		require.Zero(t, b.round())
		var kept []string
		require.NoError(t, b.db.Reader().Raw("SELECT DISTINCT status || ':' || address FROM notices ORDER BY 1").Scan(&kept).Error)
		require.Equal(t, []string{"dead:", "sent:"}, kept)

		for range user.MaxNotices {
			require.NoError(t, act(notice(user.NoticePassword, "new@example.com")))
		}
		var limited *errs.Error
		require.ErrorAs(t, act(notice(user.NoticePassword, "new@example.com")), &limited)
		require.Equal(t, "too_many_changes", limited.Code)
	})
}
