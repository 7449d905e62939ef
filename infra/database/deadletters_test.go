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
		u.AddDeadLetter(account.DeadLetter{ID: letter, Source: account.DeadInbox, SourceID: inbox, Reason: "internal", LastError: "why", Tries: 8,
			Payload: "{}", Status: account.DeadLetterOpen, CreatedAt: at})
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
		openOnes := account.DeadLetterFilter{Status: account.DeadLetterOpen}
		open, err := letters.FindDeadLetters(ctx, openOnes, account.Page{Limit: 10})
		require.NoError(t, err)
		require.Len(t, open, 2)
		assert.Equal(t, []uuid.UUID{second, first}, []uuid.UUID{open[0].ID, open[1].ID}, "newest first")
		open, err = letters.FindDeadLetters(ctx, openOnes, account.Page{Before: second, Limit: 10})
		require.NoError(t, err)
		require.Len(t, open, 1)

		by := account.Operator{Name: "operator:ada", Reason: "mended", Address: "192.0.2.1", Request: "req-1"}
		assert.Equal(t, errs.Refused, errs.KindOf(letters.Redrive(ctx, first, account.Operator{Name: "operator:ada", Reason: " "})))
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

		found, err := letters.FindDeadLetter(ctx, first)
		require.NoError(t, err)
		assert.Equal(t, account.DeadLetterRedriven, found.Status)
		assert.Equal(t, []string{"operator:ada", "mended"}, []string{found.SettledBy, found.SettledWhy})
		assert.Equal(t, settlingTime, found.SettledAt)
		open, err = letters.FindDeadLetters(ctx, openOnes, account.Page{Limit: 10})
		require.NoError(t, err)
		assert.Empty(t, open)
		all, err := letters.FindDeadLetters(ctx, account.DeadLetterFilter{}, account.Page{Limit: 10})
		require.NoError(t, err)
		assert.Len(t, all, 2)
		_, err = letters.FindDeadLetter(ctx, uuid.New())
		assert.Equal(t, errs.NotFound, errs.KindOf(err))

		var audited []string
		require.NoError(t, db.Reader().Raw("SELECT action || ' ' || subject || ' ' || reason || ' ' || actor || ' ' || ip || ' ' || request_id FROM audit ORDER BY action").Scan(&audited).Error)
		assert.Equal(t, []string{"dead_letter.discarded " + second.String() + " mended operator:ada 192.0.2.1 req-1",
			"dead_letter.redriven " + first.String() + " mended operator:ada 192.0.2.1 req-1"}, audited)
	})
}

// setAside stores an open dead letter of a subscriber and returns its id.
func setAside(t *testing.T, letters *database.DeadLetters, subscriber string, transaction uuid.UUID) uuid.UUID {
	t.Helper()
	id := uuid.Must(uuid.NewV7())
	added, err := letters.AddDeadLetter(t.Context(), account.DeadLetter{ID: id, Source: account.DeadSubscriber, SourceName: subscriber,
		SourceID: uuid.New(), TransactionID: transaction, Reason: "internal", LastError: "why", Tries: 3, Payload: "{}",
		Status: account.DeadLetterOpen, CreatedAt: settlingTime})
	require.NoError(t, err)
	require.True(t, added)
	return id
}

func TestDeadLettersOfOneSourceAreOneWhileOpen(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		ctx := t.Context()
		letters := database.NewDeadLetters(db, func() time.Time { return settlingTime })
		source := uuid.New()
		add := func(name string) bool {
			added, err := letters.AddDeadLetter(ctx, account.DeadLetter{ID: uuid.Must(uuid.NewV7()), Source: account.DeadSubscriber, SourceName: name,
				SourceID: source, Reason: "internal", LastError: "why", Payload: "{}", Status: account.DeadLetterOpen, CreatedAt: settlingTime})
			require.NoError(t, err)
			return added
		}
		require.True(t, add("kafka"))
		require.False(t, add("kafka"), "it is open already")
		require.True(t, add("nats"), "the same event of another subscriber")
		counts, err := letters.CountDeadLetters(ctx)
		require.NoError(t, err)
		assert.Equal(t, []account.DeadLetterCount{{Source: account.DeadSubscriber, SourceName: "kafka", Open: 1, Oldest: settlingTime},
			{Source: account.DeadSubscriber, SourceName: "nats", Open: 1, Oldest: settlingTime}}, counts)
		found, err := letters.FindDeadLetters(ctx, account.DeadLetterFilter{Source: account.DeadSubscriber, SourceName: "kafka"}, account.Page{Limit: 10})
		require.NoError(t, err)
		require.Len(t, found, 1)
		require.NoError(t, letters.Discard(ctx, found[0].ID, account.Operator{Name: "operator", Reason: "no use"}))
		require.True(t, add("kafka"), "a settled one is no hindrance")
	})
}

// TestF115_RedrivenEventsComeInOrderAndUnderAFence: the later event of a transaction waits until the earlier one is done.
func TestF115_RedrivenEventsComeInOrderAndUnderAFence(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		ctx := t.Context()
		letters := database.NewDeadLetters(db, func() time.Time { return settlingTime })
		transaction, other := uuid.New(), uuid.New()
		first, second := setAside(t, letters, "kafka", transaction), setAside(t, letters, "kafka", transaction)
		setAside(t, letters, "nats", other)
		held, err := letters.HeldTransactions(ctx, "kafka")
		require.NoError(t, err)
		assert.Equal(t, []uuid.UUID{transaction}, held)

		claim := func() []account.RedrivenEvent {
			claimed, err := letters.ClaimRedriven(ctx, []string{"kafka", "nats"}, settlingTime, settlingTime.Add(time.Minute), 10)
			require.NoError(t, err)
			return claimed
		}
		by := account.Operator{Name: "operator", Reason: "mended"}
		require.Empty(t, claim())
		require.NoError(t, letters.Redrive(ctx, second, by))
		require.Empty(t, claim(), "the first is open")
		require.NoError(t, letters.Redrive(ctx, first, by))
		claimed := claim()
		require.Len(t, claimed, 1)
		require.Equal(t, first, claimed[0].ID)
		require.Empty(t, claim(), "it is claimed, and the second waits for it")

		slow := claimed[0]
		slow.Fence--
		require.NoError(t, letters.FinishRedriven(ctx, slow))
		require.Empty(t, claim(), "a worker that slept writes to nothing")
		require.NoError(t, letters.ReopenRedriven(ctx, claimed[0], "still ill"))
		found, err := letters.FindDeadLetter(ctx, first)
		require.NoError(t, err)
		assert.Equal(t, account.DeadLetterOpen, found.Status)
		assert.Equal(t, "still ill", found.LastError)
		assert.Equal(t, 4, found.Tries)
		require.Empty(t, claim())

		require.NoError(t, letters.Redrive(ctx, first, by))
		require.NoError(t, letters.FinishRedriven(ctx, claim()[0]))
		claimed = claim()
		require.Len(t, claimed, 1)
		require.Equal(t, second, claimed[0].ID)
		require.NoError(t, letters.FinishRedriven(ctx, claimed[0]))
		held, err = letters.HeldTransactions(ctx, "kafka")
		require.NoError(t, err)
		assert.Empty(t, held)
	})
}

// TestS30_ADeadWebhookIsRedrivenOnce: it is due again with its whole schedule, and its endpoint is awake.
func TestS30_ADeadWebhookIsRedrivenOnce(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		user, endpoint, delivery := uuid.New(), uuid.New(), uuid.New()
		for _, insert := range []struct {
			sql  string
			args []any
		}{
			{"INSERT INTO users (id, username, email, password_hash, created_at, updated_at) VALUES (?, 'ada', 'a@example.com', '!', ?, ?)",
				[]any{user, settlingTime, settlingTime}},
			{`INSERT INTO webhook_endpoints (id, user_id, url, events, status, failures, created_at, updated_at)
				VALUES (?, ?, 'https://example.com', 'payment.completed', 'enabled', 9, ?, ?)`, []any{endpoint, user, settlingTime, settlingTime}},
			{`INSERT INTO webhook_deliveries (id, endpoint_id, event_id, transaction_id, event, body, status, since, tries, created_at, finished_at)
				VALUES (?, ?, ?, ?, 'payment.completed', '{}', 'dead', ?, 12, ?, ?)`,
				[]any{delivery, endpoint, uuid.New(), uuid.New(), settlingTime, settlingTime, settlingTime}},
		} {
			require.NoError(t, db.Writer().Exec(insert.sql, insert.args...).Error)
		}
		letters := database.NewDeadLetters(db, func() time.Time { return settlingTime })
		letter := account.DeadLetter{ID: uuid.Must(uuid.NewV7()), Source: account.DeadDelivery, SourceName: "webhook", SourceID: delivery,
			Reason: "tries_used_up", LastError: "500", Payload: "{}", Status: account.DeadLetterOpen, CreatedAt: settlingTime}
		_, err := letters.AddDeadLetter(t.Context(), letter)
		require.NoError(t, err)
		require.NoError(t, letters.Redrive(t.Context(), letter.ID, account.Operator{Name: "operator", Reason: "mended"}))
		var state string
		require.NoError(t, db.Reader().Raw(`SELECT d.status || ' ' || d.tries || ' ' || e.failures FROM webhook_deliveries d
			JOIN webhook_endpoints e ON e.id = d.endpoint_id WHERE e.next_attempt_at IS NOT NULL`).Scan(&state).Error)
		assert.Equal(t, "pending 0 0", state)

		letter.ID = uuid.Must(uuid.NewV7())
		_, err = letters.AddDeadLetter(t.Context(), letter)
		require.NoError(t, err)
		err = letters.Redrive(t.Context(), letter.ID, account.Operator{Name: "operator", Reason: "again"})
		assert.Equal(t, "not_dead", errs.CodeOf(err), "it is on its way already")
	})
}
