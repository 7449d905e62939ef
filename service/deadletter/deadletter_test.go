package deadletter_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
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
	"florin/pkg/eventbus"
	"florin/pkg/eventbus/eventbustest"
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

	ill func(e account.PaymentEvent) error // nil when well
	got []string
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

func (b *bench) handle(_ context.Context, e eventbus.PositionedEvent) error {
	if b.ill != nil {
		if err := b.ill(e.Event); err != nil {
			return err
		}
	}
	b.got = append(b.got, name(e.Event))
	return nil
}

func name(e account.PaymentEvent) string { return fmt.Sprint(e.TransactionID, " ", e.Seq) }

// deliver hands the events over as a subscriber does: in order, each until it is taken. It returns how many calls failed.
func (b *bench) deliver(handle eventbus.PositionedHandler, events ...account.PaymentEvent) (failures int) {
	b.t.Helper()
	for i, e := range events {
		for handle(b.t.Context(), eventbus.PositionedEvent{Position: int64(i + 1), Event: e}) != nil {
			failures++
			require.Less(b.t, failures, 100, "it is given up some time")
		}
	}
	return failures
}

func (b *bench) open() []account.DeadLetter {
	b.t.Helper()
	open, err := b.letters.FindDeadLetters(b.t.Context(), account.DeadLetterFilter{Status: account.DeadLetterOpen}, account.Page{Limit: 100})
	require.NoError(b.t, err)
	return open
}

func TestF115_PoisonIsSetAsideAndOnlyItsTransactionWaits(t *testing.T) {
	onBoth(t, func(b *bench) {
		t := b.t
		sick, well := eventbustest.Events(3), eventbustest.Events(2)
		b.ill = func(e account.PaymentEvent) error {
			if e.EventID == sick[1].EventID {
				panic("cannot be read\x1b[2J\nlevel=ERROR msg=forged")
			}
			return nil
		}
		guarded := b.service.Guard("sink", b.handle)
		failures := b.deliver(guarded, sick[0], sick[1], well[0], sick[2], well[1])
		assert.Equal(t, 4, failures, "the fifth failure is the last")
		assert.Equal(t, []string{name(sick[0]), name(well[0]), name(well[1])}, b.got)
		open := b.open()
		require.Len(t, open, 2)
		assert.Equal(t, []string{"behind_dead_letter", "internal"}, []string{open[0].Reason, open[1].Reason})
		assert.Equal(t, sick[1].EventID, open[1].SourceID.String())
		assert.Equal(t, "handler panicked: cannot be read [2J", open[1].LastError, "one line, no stack")
		assert.Equal(t, 2, b.alerts)
		assert.Equal(t, 2, bytes.Count(b.log.Bytes(), []byte("\n")))

		require.Zero(t, b.deliver(guarded, sick[1], sick[2]), "what comes again is known")
		require.Len(t, b.open(), 2)
		assert.Equal(t, 2, b.alerts)

		b.ill, b.got = nil, nil
		redriver := b.service.NewRedriver(map[string]eventbus.PositionedHandler{"sink": b.handle})
		results, err := b.service.RedriveMany(t.Context(), []uuid.UUID{open[0].ID, open[1].ID, uuid.Max}, by)
		require.NoError(t, err)
		require.Len(t, results, 3)
		assert.Nil(t, results[0].Err)
		assert.Equal(t, "not_found", results[2].Err.Code)
		for range 3 {
			_, err := redriver.RunOnce(t.Context())
			require.NoError(t, err)
		}
		assert.Equal(t, []string{name(sick[1]), name(sick[2])}, b.got, "each once and in order")
		assert.Empty(t, b.open())
		_, err = b.service.Redrive(t.Context(), open[1].ID, by)
		assert.Equal(t, "already_settled", errs.CodeOf(err))

		later := eventbustest.Events(1)[0]
		later.TransactionID, later.Seq = sick[0].TransactionID, 4
		require.Zero(t, b.deliver(guarded, later))
		assert.Contains(t, b.got, name(later), "the transaction flows again")
	})
}

func TestF115_RedrivenPoisonIsOpenAgain(t *testing.T) {
	onBoth(t, func(b *bench) {
		t := b.t
		b.ill = func(account.PaymentEvent) error { return errors.New("no such topic") }
		b.deliver(b.service.Guard("sink", b.handle), eventbustest.Events(1)...)
		letter := b.open()[0]
		redriven, err := b.service.Redrive(t.Context(), letter.ID, by)
		require.NoError(t, err)
		assert.Equal(t, account.DeadLetterRedriven, redriven.Status)
		redriver := b.service.NewRedriver(map[string]eventbus.PositionedHandler{"sink": b.handle})
		n, err := redriver.RunOnce(t.Context())
		require.NoError(t, err)
		require.Equal(t, 1, n)
		open := b.open()
		require.Len(t, open, 1)
		assert.Equal(t, letter.ID, open[0].ID)
		assert.Equal(t, 6, open[0].Tries)
		assert.Equal(t, 2, b.alerts)
		n, err = redriver.RunOnce(t.Context())
		require.NoError(t, err)
		assert.Zero(t, n, "it waits for somebody")
	})
}

// TestF109_AnAwayBrokerIsNoPoison: what the handler needs is down, so nothing is set aside, however long it takes.
func TestF109_AnAwayBrokerIsNoPoison(t *testing.T) {
	onBoth(t, func(b *bench) {
		t := b.t
		calls := 0
		b.ill = func(account.PaymentEvent) error {
			if calls++; calls <= 30 {
				return errs.New(errs.Unavailable, "broker_away", "the broker is away")
			}
			return nil
		}
		events := eventbustest.Events(2)
		guarded := b.service.Guard("sink", b.handle)
		assert.Equal(t, 30, b.deliver(guarded, events...))
		assert.Equal(t, []string{name(events[0]), name(events[1])}, b.got)
		assert.Empty(t, b.open())

		// Redriven while it is away, the event waits too.
		b.ill = func(account.PaymentEvent) error { return errors.New("poison") }
		b.deliver(guarded, eventbustest.Events(1)...)
		b.ill = func(account.PaymentEvent) error {
			return errs.New(errs.Unavailable, "broker_away", "the broker is away")
		}
		_, err := b.service.Redrive(t.Context(), b.open()[0].ID, by)
		require.NoError(t, err)
		redriver := b.service.NewRedriver(map[string]eventbus.PositionedHandler{"sink": b.handle})
		_, err = redriver.RunOnce(t.Context())
		require.Error(t, err)
		assert.Empty(t, b.open())
		b.ill, b.got = nil, nil
		n, err := redriver.RunOnce(t.Context())
		require.NoError(t, err)
		assert.Zero(t, n, "not yet")
		b.now = b.now.Add(2 * time.Minute)
		n, err = redriver.RunOnce(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 1, n)
		assert.Len(t, b.got, 1)
	})
}

// TestGuardLearnsWhatAnotherServerSetAside: the subscriber comes over from a server that has set an event aside.
func TestGuardLearnsWhatAnotherServerSetAside(t *testing.T) {
	onBoth(t, func(b *bench) {
		t := b.t
		events, others := eventbustest.Events(2), eventbustest.Events(1)
		standby := b.service.Guard("sink", b.handle)
		b.deliver(standby, others...)
		b.ill = func(account.PaymentEvent) error { return errors.New("poison") }
		b.deliver(b.service.Guard("sink", b.handle), events[0])
		b.ill, b.now = nil, b.now.Add(time.Second)
		b.deliver(standby, events[1])
		assert.Len(t, b.open(), 2)
		assert.Equal(t, []string{name(others[0])}, b.got)
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
