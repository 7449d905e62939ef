package deadletter_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/domain/account"
	"florin/domain/errs"
	"florin/infra/database"
	"florin/infra/database/databasetest"
	"florin/service/deadletter"
)

var by = account.Operator{Name: "operator:ada", Reason: "mended"}

// bench is the service on a database, with a subscriber that fails as a test says.
type bench struct {
	t       *testing.T
	service *deadletter.Service
	letters *database.DeadLetters
	now     time.Time
	log     bytes.Buffer
	alerts  int

	ill error // what deliveries fail with
	got []uuid.UUID
}

func onBoth(t *testing.T, run func(b *bench)) {
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		b := &bench{t: t, now: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)}
		clock := func() time.Time { return b.now }
		b.letters = database.NewDeadLetters(db, clock)
		b.service = deadletter.NewService(deadletter.ServiceDeps{Letters: b.letters, Events: b.letters, Clock: clock,
			Log: slog.New(slog.NewTextHandler(&b.log, nil)), Alert: func(string) { b.alerts++ }})
		run(b)
	})
}

func (b *bench) redriver() *deadletter.Redriver {
	return b.service.NewRedriver([]string{"sink"}, func(_ context.Context, d account.DeadLetter) error {
		if b.ill != nil {
			return b.ill
		}
		b.got = append(b.got, d.SourceID)
		return nil
	})
}

func (b *bench) round(r *deadletter.Redriver) int {
	b.t.Helper()
	n, err := r.RunOnce(b.t.Context())
	require.NoError(b.t, err)
	return n
}

// add stores a dead letter of an event of the transaction for the subscriber sink.
func (b *bench) add(event, transaction uuid.UUID, lastError string) {
	b.t.Helper()
	require.NoError(b.t, b.service.AddDeadLetter(b.t.Context(), account.DeadLetter{Source: account.DeadSubscriber, SourceName: "sink",
		SourceID: event, TransactionID: transaction, Reason: "tries_used_up", LastError: lastError, Tries: 5, Payload: "{}"}))
}

func (b *bench) open() []account.DeadLetter {
	b.t.Helper()
	open, err := b.letters.FindDeadLetters(b.t.Context(), account.DeadLetterFilter{Status: account.DeadLetterOpen}, account.Page{Limit: 100})
	require.NoError(b.t, err)
	return open
}

func TestF115_RedrivenEventsAreHandedOverOnceAndInOrder(t *testing.T) {
	onBoth(t, func(b *bench) {
		t := b.t
		first, second, transaction := uuid.New(), uuid.New(), uuid.New()
		for range 2 { // whoever is not sure says it again
			b.add(first, transaction, "cannot be read\x1b[2J\nlevel=ERROR msg=forged")
			b.add(second, transaction, "behind the first")
		}
		open := b.open()
		require.Len(t, open, 2)
		assert.Equal(t, 2, b.alerts, "an alert for each, once")
		assert.Equal(t, "cannot be read [2J", open[1].LastError, "one line, without what a terminal would obey")
		assert.Equal(t, 2, bytes.Count(b.log.Bytes(), []byte("\n")))

		redriver := b.redriver()
		require.Zero(t, b.round(redriver), "nothing is handed over unasked")
		results, err := b.service.RedriveMany(t.Context(), []uuid.UUID{open[0].ID, open[1].ID, uuid.Max}, by)
		require.NoError(t, err)
		require.Len(t, results, 3)
		assert.Nil(t, results[0].Err)
		assert.Nil(t, results[1].Err)
		assert.Equal(t, "not_found", results[2].Err.Code)
		for range 3 {
			b.round(redriver)
		}
		assert.Equal(t, []uuid.UUID{first, second}, b.got)
		assert.Empty(t, b.open())
		_, err = b.service.Redrive(t.Context(), open[1].ID, by)
		assert.Equal(t, "already_settled", errs.CodeOf(err))
	})
}

func TestF115_RedrivenPoisonIsOpenAgain(t *testing.T) {
	onBoth(t, func(b *bench) {
		t := b.t
		b.add(uuid.New(), uuid.New(), "no such topic")
		letter := b.open()[0]
		redriven, err := b.service.Redrive(t.Context(), letter.ID, by)
		require.NoError(t, err)
		assert.Equal(t, account.DeadLetterRedriven, redriven.Status)
		b.ill = errors.New("still no such topic")
		redriver := b.redriver()
		require.Equal(t, 1, b.round(redriver))
		open := b.open()
		require.Len(t, open, 1)
		assert.Equal(t, letter.ID, open[0].ID)
		assert.Equal(t, 6, open[0].Tries)
		assert.Equal(t, "still no such topic", open[0].LastError)
		assert.Equal(t, 2, b.alerts)
		assert.Zero(t, b.round(redriver), "it waits for somebody")
	})
}

// TestF109_ARedrivenEventWaitsForAnAwayBroker: what the subscriber needs is down, which is not the event's fault.
func TestF109_ARedrivenEventWaitsForAnAwayBroker(t *testing.T) {
	onBoth(t, func(b *bench) {
		t := b.t
		b.add(uuid.New(), uuid.New(), "poison")
		_, err := b.service.Redrive(t.Context(), b.open()[0].ID, by)
		require.NoError(t, err)
		b.ill = errs.New(errs.Unavailable, "broker_away", "the broker is away")
		redriver := b.redriver()
		_, err = redriver.RunOnce(t.Context())
		require.Error(t, err)
		assert.Empty(t, b.open())
		b.ill = nil
		assert.Zero(t, b.round(redriver), "not yet")
		b.now = b.now.Add(2 * time.Minute)
		assert.Equal(t, 1, b.round(redriver))
		assert.Len(t, b.got, 1)
	})
}

func TestS30_ManyAreRefusedWithoutIDsOrReason(t *testing.T) {
	onBoth(t, func(b *bench) {
		t := b.t
		id := uuid.New()
		for _, ids := range [][]uuid.UUID{nil, {id, id}, make([]uuid.UUID, 101)} {
			_, err := b.service.RedriveMany(t.Context(), ids, by)
			assert.Equal(t, "invalid_ids", errs.CodeOf(err))
		}
		_, err := b.service.RedriveMany(t.Context(), []uuid.UUID{id}, account.Operator{Name: "operator:ada"})
		assert.Equal(t, "reason_required", errs.CodeOf(err))
	})
}
