package database_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/domain/account"
	"florin/domain/errs"
	"florin/infra/database"
	"florin/infra/database/databasetest"
)

var settlingTime = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// deadLetterOf stores a dead event with its letter and returns the letter's id and the event's key.
func deadLetterOf(t *testing.T, db *database.DB, at time.Time) (uuid.UUID, account.InboxKey) {
	t.Helper()
	letter, inbox := uuid.Must(uuid.NewV7()), uuid.Must(uuid.NewV7())
	event := account.PaymentReceivedEvent{Provider: "mock", EventID: inbox.String(), Kind: account.ReceivedCompleted, Type: "payment.completed",
		PaymentID: "pay_1", Amount: 500, Currency: "EUR", OccurredAt: at, Cause: account.CauseWebhook, Raw: []byte("{}")}
	err := database.NewLedger(db).Do(t.Context(), account.Needs{}, func(_ context.Context, u account.UnitOfWork) error {
		u.AddInbox(account.InboxRecord{ID: inbox, Event: event, Status: account.InboxDead, Reason: "internal", Tries: 8, ReceivedAt: at, ProcessedAt: at})
		u.AddDeadLetter(account.DeadLetter{ID: letter, Source: "inbox", SourceID: inbox, Reason: "internal", LastError: "why", Tries: 8,
			Payload: "{}", Status: "open", CreatedAt: at})
		return nil
	})
	require.NoError(t, err)
	return letter, account.InboxKey{Provider: "mock", EventID: event.EventID}
}

func inboxOf(t *testing.T, db *database.DB, key account.InboxKey) account.InboxRecord {
	t.Helper()
	var found account.InboxRecord
	err := database.NewLedger(db).Do(t.Context(), account.Needs{Inbox: &key}, func(_ context.Context, u account.UnitOfWork) error {
		record, ok := u.Inbox()
		require.True(t, ok)
		found = *record
		return nil
	})
	require.NoError(t, err)
	return found
}

func TestS30_DeadLettersAreSettledOnceWithAReasonInTheAudit(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		ctx := t.Context()
		letters := database.NewDeadLetters(db, func() time.Time { return settlingTime })
		first, firstEvent := deadLetterOf(t, db, settlingTime.Add(-2*time.Hour))
		second, secondEvent := deadLetterOf(t, db, settlingTime.Add(-time.Hour))
		open, err := letters.List(ctx, false)
		require.NoError(t, err)
		require.Len(t, open, 2)
		assert.Equal(t, []uuid.UUID{first, second}, []uuid.UUID{open[0].ID, open[1].ID}, "oldest first")

		by := database.Operator{Name: "operator:ada", Reason: "mended"}
		assert.Equal(t, errs.Refused, errs.KindOf(letters.Redrive(ctx, first, database.Operator{Name: "operator:ada", Reason: " "})))
		assert.Equal(t, errs.NotFound, errs.KindOf(letters.Redrive(ctx, uuid.New(), by)))
		require.NoError(t, letters.Redrive(ctx, first, by))
		require.NoError(t, letters.Discard(ctx, second, by))
		for _, id := range []uuid.UUID{first, second} {
			assert.Equal(t, "already_settled", errs.CodeOf(letters.Redrive(ctx, id, by)))
			assert.Equal(t, "already_settled", errs.CodeOf(letters.Discard(ctx, id, by)))
		}

		again := inboxOf(t, db, firstEvent)
		assert.Equal(t, account.InboxReceived, again.Status)
		assert.Equal(t, settlingTime, again.NextAttemptAt)
		assert.Zero(t, again.Tries)
		assert.Equal(t, int64(1), again.Fence, "a worker that slept must write to no row")
		assert.True(t, again.ProcessedAt.IsZero())
		given := inboxOf(t, db, secondEvent)
		assert.Equal(t, account.InboxDiscarded, given.Status)
		assert.NotEmpty(t, given.Reason)

		found, err := letters.Find(ctx, first)
		require.NoError(t, err)
		assert.Equal(t, "redriven", found.Status)
		assert.Equal(t, settlingTime, found.SettledAt)
		open, err = letters.List(ctx, false)
		require.NoError(t, err)
		assert.Empty(t, open)
		all, err := letters.List(ctx, true)
		require.NoError(t, err)
		assert.Len(t, all, 2)
		_, err = letters.Find(ctx, uuid.New())
		assert.Equal(t, errs.NotFound, errs.KindOf(err))

		var audited []string
		require.NoError(t, db.Reader().Raw("SELECT action || ' ' || subject || ' ' || reason || ' ' || actor FROM audit ORDER BY action").Scan(&audited).Error)
		assert.Equal(t, []string{"dead_letter.discarded " + second.String() + " mended operator:ada",
			"dead_letter.redriven " + first.String() + " mended operator:ada"}, audited)
	})
}
