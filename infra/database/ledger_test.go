package database_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/domain/account"
	"florin/domain/currency"
	"florin/domain/errs"
	"florin/domain/ledger"
	"florin/domain/money"
	"florin/infra/database"
	"florin/infra/database/databasetest"
	"florin/pkg/eventbus"
)

func TestLedgerHoldsItsLocks(t *testing.T) {
	t.Parallel()
	db := databasetest.Open(t, database.Postgres, database.Options{})
	k := newBookkeeper(t, db)
	user, from := k.funded(100)
	payment := k.withdraw(user, from, eur(30))
	k.do(account.Needs{Transactions: []uuid.UUID{payment}}, func(account.UnitOfWork) error {
		for table, id := range map[string]uuid.UUID{"transactions": payment, "accounts": from} {
			err := db.Writer().Exec("SELECT 1 FROM "+table+" WHERE id = ? FOR NO KEY UPDATE NOWAIT", id).Error
			require.ErrorContains(t, err, "55P03", table)
			require.NoError(t, db.Writer().Exec("SELECT 1 FROM "+table+" WHERE id = ? FOR KEY SHARE NOWAIT", id).Error, "foreign keys do not wait")
		}
		return nil
	})
}

// together runs the operations in one commit, in this order, and returns what each ended with: they queue up while another
// commit is held.
func (k *bookkeeper) together(needs account.Needs, fns ...func(u account.UnitOfWork) error) []error {
	k.t.Helper()
	held, release := make(chan struct{}), make(chan struct{})
	var first sync.Once
	k.ledger.Intercept(func(next database.TryFunc) database.TryFunc {
		return func(ctx context.Context, spoil error) error {
			first.Do(func() {
				close(held)
				<-release
			})
			return next(ctx, spoil)
		}
	})
	ends := make([]error, len(fns))
	var running sync.WaitGroup
	running.Go(func() {
		if err := k.ledger.Do(context.Background(), account.Needs{}, func(context.Context, account.UnitOfWork) error { return nil }); err != nil {
			k.t.Error(err)
		}
	})
	<-held
	for i, fn := range fns {
		running.Go(func() {
			ends[i] = k.ledger.Do(context.Background(), needs, func(_ context.Context, u account.UnitOfWork) error { return fn(u) })
		})
		require.Eventually(k.t, func() bool { return k.ledger.Waiting() == i+1 }, 10*time.Second, 100*time.Microsecond)
	}
	close(release)
	running.Wait()
	return ends
}

func TestF125_RefusalIsItsOwn(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		k := newBookkeeper(t, db)
		user, from := k.funded(100)
		_, to := k.funded(1)
		needs := account.Needs{Accounts: []uuid.UUID{from, to}}
		spend := func(minor int64) func(u account.UnitOfWork) error {
			_, fn := k.transfer(k.newTransfer(user, from, to, eur(minor)))
			return func(u account.UnitOfWork) error { return fn(t.Context(), u) }
		}
		spoil := func(end func() error) func(u account.UnitOfWork) error {
			return func(u account.UnitOfWork) error {
				a, _ := u.Account(from)
				_, err := a.Hold(newID(t), eur(30), k.now)
				require.NoError(t, err)
				return end()
			}
		}
		refused := errors.New("refused after all")
		ends := k.together(needs, spend(60), spoil(func() error { return refused }), spend(41),
			spoil(func() error { panic("poison") }), spend(40))
		require.NoError(t, ends[0])
		require.Same(t, refused, ends[1])
		require.ErrorIs(t, ends[2], account.ErrInsufficientFunds)
		require.ErrorContains(t, ends[3], "poison")
		require.NoError(t, ends[4])
		require.Equal(t, eur(0), k.read(user, from).Posted())
		require.Equal(t, 2, count(t, db, "SELECT COUNT(*) FROM transactions WHERE type = 'transfer'"))
		databasetest.CheckInvariants(t, db, noon)
	})
}

// TestF125_BalanceThatDoesNotFollowIsRefusedAlone: an operation that moves a balance without an entry, or sets money aside without a
// hold, is a fault of the program. Nothing of it is written, and those that would have shared its commit do commit.
func TestF125_BalanceThatDoesNotFollowIsRefusedAlone(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		k := newBookkeeper(t, db)
		user, from := k.funded(100)
		_, to := k.funded(1)
		needs := account.Needs{Accounts: []uuid.UUID{from, to}}
		spend := func(minor int64) func(u account.UnitOfWork) error {
			_, fn := k.transfer(k.newTransfer(user, from, to, eur(minor)))
			return func(u account.UnitOfWork) error { return fn(t.Context(), u) }
		}
		withoutEntry := func(u account.UnitOfWork) error {
			a, _ := u.Account(from)
			b, _ := u.Account(to)
			return a.Transfer(b, newID(t), eur(5), eur(5), k.now)
		}
		withoutHold := func(u account.UnitOfWork) error {
			a, _ := u.Account(from)
			_, err := a.Hold(newID(t), eur(7), k.now)
			return err
		}
		ends := k.together(needs, spend(60), withoutEntry, spend(30), withoutHold)
		require.NoError(t, ends[0])
		require.ErrorContains(t, ends[1], "a balance does not follow from what is written")
		require.NoError(t, ends[2])
		require.ErrorContains(t, ends[3], "a balance does not follow from what is written")
		require.Equal(t, eur(10), k.read(user, from).Posted())
		require.Equal(t, eur(10), k.read(user, from).Available())
		databasetest.CheckInvariants(t, db, noon)
	})
}

// An operation sees what those before it in the same commit have added, and what it makes of that is what is written.
func TestLedgerWritesTheLastStateOfWhatABatchAdds(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		k := newBookkeeper(t, db)
		user, from := k.funded(100)
		hash, event := newID(t), account.InboxKey{Provider: "mock", EventID: "e"}
		made := k.transaction(account.TypeWithdraw, user, from, eur(30))
		needs := account.Needs{Key: &hash, Inbox: &event, Transactions: []uuid.UUID{made.ID}, Accounts: []uuid.UUID{from}}
		ends := k.together(needs, func(u account.UnitOfWork) error {
			a, _ := u.Account(from)
			hold, err := a.Hold(made.ID, eur(30), k.now)
			if err != nil {
				return err
			}
			u.AddTransaction(made)
			u.AddHold(hold)
			u.AddKey(account.IdempotencyRecord{Hash: hash, UserID: user, Fingerprint: "f", ResourceID: made.ID, Fence: 1, LockedUntil: k.now, CreatedAt: k.now})
			u.AddInbox(account.InboxRecord{ID: newID(t), Event: account.PaymentReceivedEvent{Provider: "mock", EventID: "e", Kind: account.ReceivedPending, Type: "t"},
				Status: account.InboxReceived, Reason: "r", NextAttemptAt: k.now, ReceivedAt: k.now})
			return move(u, made, k.now, account.CauseRequest, account.PaymentStatusInitiated)
		}, func(u account.UnitOfWork) error {
			payment, _ := u.Transaction(made.ID)
			a, _ := u.Account(from)
			hold, _ := u.Hold(made.ID)
			key, _ := u.Key()
			received, ok := u.Inbox()
			require.True(t, ok)
			key.Fence = 2
			received.Status, received.NextAttemptAt = account.InboxProcessed, time.Time{}
			failed, err := payment.Move(account.PaymentStatusFailed, k.now, account.CauseWebhook, &account.Failure{Code: "declined"})
			u.AddEvent(failed)
			return errors.Join(err, a.Release(hold, k.now))
		})
		require.Equal(t, []error{nil, nil}, ends)
		require.Equal(t, 1, count(t, db, "SELECT COUNT(*) FROM idempotency_keys WHERE fence = 2"))
		require.Equal(t, 1, count(t, db, "SELECT COUNT(*) FROM inbox WHERE status = 'processed' AND event_id = 'e'"))
		require.Equal(t, 1, count(t, db, "SELECT COUNT(*) FROM transactions WHERE status = 'failed'"))
		require.Equal(t, eur(100), k.read(user, from).Available())
		databasetest.CheckInvariants(t, db, noon)
	})
}

func TestLedgerKeepsEveryField(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		k := newBookkeeper(t, db)
		user, from := k.funded(10_000)
		linked := k.transaction(account.TypeDeposit, user, from, eur(1))
		received := eur(0)
		made := k.transaction(account.TypeWithdraw, user, from, eur(5_000))
		made.CounterpartyID, made.CounterpartyPosted = from, money.New(7, currency.JPY)
		made.Received, made.Conversion, made.LinkedID = &received, conversionOf(t, eur(5_000)), linked.ID
		made.Posted = made.Conversion.Converted()
		made.PaymentID, made.PaymentFlow, made.MoneySource = "pay_1", "hosted", "card"
		made.NextAction = &account.NextAction{Type: "redirect", URL: "https://example.org/?a=1&b=<2>"}
		made.Target = &account.ExternalTarget{BankAccountNumber: "1234567", RoutingNumber: "99", ExternalWalletAddress: "w"}
		made.Metadata = map[string]string{"order": "4711", "ünïcode": "€"}
		made.Attempt, made.Tries, made.Fence = 2, 3, 4
		made.RequestID, made.TraceParent = "req", "00-trace"
		made.CreatedAt = noon.Add(123_456 * time.Microsecond)
		k.do(account.Needs{Accounts: []uuid.UUID{from}}, func(u account.UnitOfWork) error {
			u.AddTransaction(linked)
			u.AddTransaction(made)
			return errors.Join(
				move(u, linked, k.now, account.CauseRequest, account.PaymentStatusInitiated),
				move(u, made, k.now, account.CauseRequest, account.PaymentStatusInitiated))
		})
		k.do(account.Needs{Transactions: []uuid.UUID{made.ID}}, func(u account.UnitOfWork) error {
			got, ok := u.Transaction(made.ID)
			require.True(t, ok)
			require.Equal(t, made, got)
			_, ok = u.Account(from)
			require.True(t, ok, "the account that a transaction speaks of is loaded with it")
			event, err := got.Move(account.PaymentStatusFailed, k.now, account.CauseWebhook, &account.Failure{Code: "declined", Message: "No."})
			u.AddEvent(event)
			return err
		})
		got, side, err := k.books.FindTransaction(t.Context(), user, made.ID)
		require.NoError(t, err)
		require.Equal(t, from, side)
		require.Equal(t, &account.Failure{Code: "declined", Message: "No."}, got.Failure())
		require.Zero(t, got.NextAttemptAt)
		require.NoError(t, got.Conversion.Check())
	})
}

func TestLedgerKeepsKeysAndEvents(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		k := newBookkeeper(t, db)
		user := k.user()
		key := account.IdempotencyRecord{Hash: newID(t), UserID: user, Fingerprint: "f", ResourceID: newID(t), Fence: 1, LockedUntil: k.now.Add(time.Second), CreatedAt: k.now}
		event := account.InboxRecord{ID: newID(t), Status: account.InboxParked, Reason: "unknown payment", Tries: 1, Fence: 2, NextAttemptAt: k.now, TraceParent: "tp",
			ReceivedAt: k.now, Event: account.PaymentReceivedEvent{Provider: "mock", EventID: "e1", Kind: account.ReceivedFailed, Type: "x.y", PaymentID: "p",
				TransactionID: newID(t), Amount: 9_007_199_254_740_993, Currency: "EUR", Failure: &account.Failure{Code: "c", Message: "m"},
				OccurredAt: k.now.Add(time.Microsecond), Cause: account.CauseWebhook, Raw: []byte("no utf-8: \xff\x00")}}
		needs := account.Needs{Key: &key.Hash, Inbox: &account.InboxKey{Provider: "mock", EventID: "e1"}}
		k.do(needs, func(u account.UnitOfWork) error {
			_, ok := u.Key()
			require.False(t, ok)
			_, ok = u.Inbox()
			require.False(t, ok)
			u.AddKey(key)
			u.AddInbox(event)
			return nil
		})
		found := newID(t)
		k.do(needs, func(u account.UnitOfWork) error {
			gotKey, _ := u.Key()
			require.Equal(t, &key, gotKey)
			gotEvent, _ := u.Inbox()
			require.Equal(t, &event, gotEvent)
			gotKey.LockedUntil, gotKey.FinishedAt = time.Time{}, k.now
			gotKey.Answer = &account.Answer{Status: 202, Body: []byte(`{"a":1}`)}
			gotEvent.Status, gotEvent.NextAttemptAt, gotEvent.ProcessedAt = account.InboxQuarantined, time.Time{}, k.now
			gotEvent.Event.TransactionID = found
			return nil
		})
		k.do(needs, func(u account.UnitOfWork) error {
			gotKey, _ := u.Key()
			require.Equal(t, &account.Answer{Status: 202, Body: []byte(`{"a":1}`)}, gotKey.Answer)
			require.Equal(t, k.now, gotKey.FinishedAt)
			gotEvent, _ := u.Inbox()
			require.Equal(t, account.InboxQuarantined, gotEvent.Status)
			require.Equal(t, found, gotEvent.Event.TransactionID)
			require.Equal(t, event.Event.Raw, gotEvent.Event.Raw)
			return nil
		})
	})
}

func TestLedgerRefusalLeavesNothing(t *testing.T) {
	t.Parallel()
	refusal := errs.New(errs.Refused, "no", "No.")
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		for name, end := range map[string]func() error{
			"error": func() error { return refusal },
			"panic": func() error { panic("poison") },
		} {
			k := newBookkeeper(t, db)
			user, from := k.funded(100)
			events, runs := count(t, db, "SELECT COUNT(*) FROM payment_events"), 0
			err := k.ledger.Do(t.Context(), account.Needs{Accounts: []uuid.UUID{from}}, func(ctx context.Context, u account.UnitOfWork) error {
				runs++
				carried, ok := account.UnitFrom(ctx)
				require.True(t, ok)
				require.Same(t, u, carried)
				a, _ := u.Account(from)
				made := k.transaction(account.TypeWithdraw, user, from, eur(60))
				hold, err := a.Hold(made.ID, eur(60), k.now)
				require.NoError(t, err)
				u.AddTransaction(made)
				u.AddHold(hold)
				require.NoError(t, move(u, made, k.now, account.CauseRequest, account.PaymentStatusInitiated))
				return end()
			})
			if name == "error" {
				require.Same(t, refusal, err)
			} else {
				require.ErrorContains(t, err, "poison")
				require.ErrorContains(t, err, "ledger_test.go", "the stack is for the log")
			}
			require.Equal(t, 1, runs)
			require.Equal(t, events, count(t, db, "SELECT COUNT(*) FROM payment_events"))
			require.Equal(t, eur(100), k.read(user, from).Available())
		}
	})
}

func TestF5_SameKeyAndEffectOnce(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		k := newBookkeeper(t, db)
		user, from := k.funded(100)
		hash := newID(t)
		effect := account.EffectKey{Provider: "mock", Ref: "pay_x", Effect: "completed"}
		needs := account.Needs{Key: &hash, Effects: []account.EffectKey{effect}}
		var won, seen atomic.Int32
		var clients sync.WaitGroup
		// On PostgreSQL the first eight are servers of their own, which have all looked for the key before one of them adds it.
		var looked sync.WaitGroup
		atOnce := 0
		if db.Dialect() == database.Postgres {
			atOnce = 8
		}
		looked.Add(atOnce)
		for client := range 32 {
			if client == atOnce {
				looked.Wait()
			}
			server, look := k.ledger, func() {}
			if client < atOnce {
				server = database.NewLedger(db)
				look = sync.OnceFunc(func() {
					looked.Done()
					looked.Wait()
				})
			}
			made := k.transaction(account.TypeDeposit, user, from, eur(1))
			clients.Go(func() {
				winner := false
				err := server.Do(context.Background(), needs, func(_ context.Context, u account.UnitOfWork) error {
					winner = false
					if record, ok := u.Key(); ok {
						if !u.Effect(effect) || record.Fingerprint != "f" {
							return errors.New("the key without its effect")
						}
						return nil
					}
					look()
					winner = true
					t := made.Clone()
					u.AddTransaction(t)
					u.AddKey(account.IdempotencyRecord{Hash: hash, UserID: user, Fingerprint: "f", ResourceID: t.ID, Fence: 1, LockedUntil: k.now, CreatedAt: k.now})
					u.AddEffect(account.Effect{EffectKey: effect, TransactionID: t.ID, CreatedAt: k.now})
					return move(u, t, k.now, account.CauseRequest, account.PaymentStatusInitiated)
				})
				switch {
				case err != nil:
					t.Error(err)
				case winner:
					won.Add(1)
				default:
					seen.Add(1)
				}
			})
		}
		clients.Wait()
		require.EqualValues(t, 1, won.Load())
		require.EqualValues(t, 31, seen.Load())
		require.Equal(t, 1, count(t, db, "SELECT COUNT(*) FROM transactions WHERE amount = 1"))
	})
}

// A fake that says that COMMIT's answer was lost, after it took effect or before.
func losingAnswer(lost *atomic.Int32, takesEffect bool) func(next database.TryFunc) database.TryFunc {
	gone := errors.New("gone")
	return func(next database.TryFunc) database.TryFunc {
		return func(ctx context.Context, spoil error) error {
			if lost.Add(-1) < 0 {
				return next(ctx, spoil)
			}
			if !takesEffect {
				spoil = gone
			}
			err := next(ctx, spoil)
			if err == nil || errors.Is(err, gone) {
				return database.CommitUnknown
			}
			return err
		}
	}
}

// TestWhatIsToldOfACommitIsWhatTheLogHas: subscribers take the one for the other.
func TestWhatIsToldOfACommitIsWhatTheLogHas(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		k := newBookkeeper(t, db)
		k.now = time.Date(2026, 1, 2, 12, 0, 0, 123_456_789, time.FixedZone("", 3600))
		var told []eventbus.PositionedEvent
		sizes := map[int64]int{}
		k.ledger.OnCommit = func(b eventbus.CommittedBatch) {
			sizes[b.ID] = len(b.Events)
			for _, e := range b.Events {
				told = append(told, eventbus.PositionedEvent{Position: int64(len(told) + 1), Event: *e})
			}
		}
		user, from := k.funded(100)
		_, to := k.funded(50)
		needs, fn := k.transfer(k.newTransfer(user, from, to, eur(10)))
		require.NoError(t, k.ledger.Do(t.Context(), needs, fn))
		k.payOut(from, k.withdraw(user, from, eur(30)))
		k.unmatched(eur(7))

		log := database.NewLog(db, atLogNow)
		batches := waiting(t, log)
		for _, b := range batches {
			assert.Equal(t, b.Events, sizes[b.ID])
		}
		assert.Len(t, sizes, len(batches))
		require.NoError(t, assign(t, log, 1, batches))
		logged, err := log.ReadAfter(t.Context(), 0, 1000)
		require.NoError(t, err)
		require.Greater(t, len(logged), 8)
		assert.Equal(t, logged, told)
	})
}

func TestF97_UnknownCommitAppliesOnce(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		for _, tookEffect := range []bool{true, false} {
			k := newBookkeeper(t, db)
			user, from := k.funded(100)
			_, to := k.funded(50)
			var lost atomic.Int32
			lost.Store(1)
			k.ledger.Intercept(losingAnswer(&lost, tookEffect))
			var woken atomic.Int32
			k.ledger.OnCommit = func(eventbus.CommittedBatch) { woken.Add(1) }

			// All that there is goes: run again as if nothing had happened, it would be refused.
			needs, fn := k.transfer(k.newTransfer(user, from, to, eur(100)))
			needs.Transactions = nil // the closure does not see what it did
			require.NoError(t, k.ledger.Do(t.Context(), needs, fn))
			require.Equal(t, eur(0), k.read(user, from).Posted())
			require.EqualValues(t, 1, woken.Load())
			require.Less(t, lost.Load(), int32(1), "the answer was not lost")

			// A unit that only changes what it has locked finds its own changes when it runs again.
			user, from = k.funded(100)
			payment := k.withdraw(user, from, eur(30))
			lost.Store(1)
			k.do(account.Needs{Transactions: []uuid.UUID{payment}}, func(u account.UnitOfWork) error {
				made, _ := u.Transaction(payment)
				made.PaymentID = "pay_" + payment.String()
				made.Attempt = 2
				return nil
			})
			got, _, err := k.books.FindTransaction(t.Context(), user, payment)
			require.NoError(t, err)
			require.Equal(t, 2, got.Attempt)
		}
		databasetest.CheckInvariants(t, db, noon)
	})
}

func TestF97_UnknownCommitForGoodIsUnavailable(t *testing.T) {
	t.Parallel()
	db := databasetest.Open(t, database.SQLite, database.Options{})
	k := newBookkeeper(t, db)
	user, from := k.funded(100)
	_, to := k.funded(1)
	k.ledger.Intercept(func(database.TryFunc) database.TryFunc {
		return func(context.Context, error) error { return database.CommitUnknown }
	})
	k.ledger.LoseSight(database.Unavailable)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	needs, fn := k.transfer(k.newTransfer(user, from, to, eur(1)))
	err := k.ledger.Do(ctx, needs, fn)
	require.Equal(t, errs.Unavailable, errs.KindOf(err))
}

func TestF94_TriesAreBounded(t *testing.T) {
	t.Parallel()
	db := databasetest.Open(t, database.SQLite, database.Options{})
	for name, c := range map[string]struct {
		err  error
		runs int
	}{
		"deadlock": {database.Retry, 5}, "lost race": {database.Lost, 4}, "down": {database.Unavailable, 1}, "fault": {errors.New("fault"), 1},
	} {
		runs := 0
		l := database.NewLedger(db)
		l.Intercept(func(database.TryFunc) database.TryFunc {
			return func(context.Context, error) error {
				runs++
				return c.err
			}
		})
		err := l.Do(t.Context(), account.Needs{}, func(context.Context, account.UnitOfWork) error { return nil })
		require.Equal(t, c.runs, runs, name)
		if name == "fault" {
			require.Equal(t, errs.Internal, errs.KindOf(err))
			continue
		}
		var shown *errs.Error
		require.ErrorAs(t, err, &shown, name)
		require.Equal(t, errs.Unavailable, shown.Kind, name)
		require.Equal(t, 2*time.Second, shown.RetryAfter, name)
	}
}

func TestF13_LateWriterOfAKeyIsFencedOff(t *testing.T) {
	t.Parallel()
	// Only PostgreSQL lets two write at once; on SQLite the whole unit of work is alone.
	db := databasetest.Open(t, database.Postgres, database.Options{})
	k := newBookkeeper(t, db)
	key := account.IdempotencyRecord{Hash: newID(t), UserID: k.user(), Fingerprint: "f", ResourceID: newID(t), Fence: 1, LockedUntil: k.now, CreatedAt: k.now}
	k.do(account.Needs{}, func(u account.UnitOfWork) error { u.AddKey(key); return nil })
	var fences []int64
	k.do(account.Needs{Key: &key.Hash}, func(u account.UnitOfWork) error {
		record, _ := u.Key()
		fences = append(fences, record.Fence)
		if record.Fence != 1 {
			return nil
		}
		require.NoError(t, db.Writer().Exec("UPDATE idempotency_keys SET fence = 2 WHERE key_hash = ?", key.Hash).Error)
		record.LockedUntil, record.FinishedAt, record.Answer = time.Time{}, k.now, &account.Answer{Status: 200}
		return nil
	})
	require.Equal(t, []int64{1, 2}, fences)
	require.Equal(t, 1, count(t, db, "SELECT COUNT(*) FROM idempotency_keys WHERE finished_at IS NULL AND fence = 2"))
}

func TestF87_OppositeTransfers(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		k := newBookkeeper(t, db)
		userA, a := k.funded(1_000)
		userB, b := k.funded(1_000)
		var clients sync.WaitGroup
		for client := range 8 {
			user, from, to := userA, a, b
			if client%2 == 1 {
				user, from, to = userB, b, a
			}
			clients.Go(func() {
				for range 10 {
					needs, fn := k.transfer(k.newTransfer(user, from, to, eur(3)))
					if err := k.ledger.Do(context.Background(), needs, fn); err != nil {
						t.Error(err)
					}
				}
			})
		}
		clients.Wait()
		require.Equal(t, eur(1_000), k.read(userA, a).Posted())
		require.Equal(t, eur(1_000), k.read(userB, b).Posted())
		databasetest.CheckInvariants(t, db, noon)
	})
}

func TestF89_SpendersOfTheLastUnits(t *testing.T) {
	t.Parallel()
	const units, spenders = 7, 100
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		k := newBookkeeper(t, db)
		user, from := k.funded(units)
		other, to := k.funded(1)
		var spent, refused atomic.Int32
		var clients sync.WaitGroup
		gate := make(chan struct{}, 16) // as many as the pool has connections: this is about the books, not the queue
		for range spenders {
			clients.Go(func() {
				gate <- struct{}{}
				defer func() { <-gate }()
				needs, fn := k.transfer(k.newTransfer(user, from, to, eur(1)))
				switch err := k.ledger.Do(context.Background(), needs, fn); {
				case err == nil:
					spent.Add(1)
				case errors.Is(err, account.ErrInsufficientFunds):
					refused.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		clients.Wait()
		require.EqualValues(t, units, spent.Load())
		require.EqualValues(t, spenders-units, refused.Load())
		require.Equal(t, eur(0), k.read(user, from).Posted())
		require.Equal(t, eur(units+1), k.read(other, to).Posted())
		databasetest.CheckInvariants(t, db, noon)
	})
}

func TestLedgerForgetsSystemAccountsOfARollback(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		k := newBookkeeper(t, db)
		book := func(broken bool) error {
			made := k.transaction(account.TypeUnmatched, uuid.Nil, uuid.Nil, eur(5))
			return k.ledger.Do(t.Context(), account.Needs{}, func(_ context.Context, u account.UnitOfWork) error {
				t := made.Clone()
				posting, err := ledger.NewPosting(ledger.SystemEntry(ledger.Suspense(currency.EUR), eur(5), k.now),
					ledger.SystemEntry(ledger.ProviderClearing("mock", currency.EUR), eur(-5), k.now))
				if err != nil {
					return err
				}
				u.AddTransaction(t)
				u.AddPosting(t.ID, posting)
				if broken {
					u.AddProviderCall(account.ProviderCall{ID: uuid.New(), TransactionID: uuid.New(), StartedAt: k.now, EndedAt: k.now})
				}
				u.AddReview(account.Review{ID: uuid.New(), Kind: "surplus", TransactionID: t.ID, CreatedAt: k.now})
				return move(u, t, k.now, account.CauseWebhook, account.PaymentStatusInitiated, account.PaymentStatusCompleted)
			})
		}
		require.Error(t, book(true), "a provider call of no transaction")
		require.Zero(t, count(t, db, "SELECT COUNT(*) FROM accounts WHERE kind = 'system'"))
		require.NoError(t, book(false))
		require.NoError(t, book(false))
		require.Equal(t, 2, count(t, db, "SELECT COUNT(*) FROM accounts WHERE kind = 'system'"))
		databasetest.CheckInvariants(t, db, noon)
	})
}

func TestLedgerRefusesToChangeWhatNeverChanges(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		k := newBookkeeper(t, db)
		user, from := k.funded(100)
		payment := k.withdraw(user, from, eur(30))
		err := k.ledger.Do(t.Context(), account.Needs{Transactions: []uuid.UUID{payment}}, func(_ context.Context, u account.UnitOfWork) error {
			made, _ := u.Transaction(payment)
			made.Amount = eur(31)
			return nil
		})
		require.ErrorContains(t, err, "never changes")
	})
}

func TestF86_OpenPaymentsAreSeenUnderTheLock(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		k := newBookkeeper(t, db)
		user, from := k.funded(100)
		open := func() (yes bool) {
			k.do(account.Needs{Accounts: []uuid.UUID{from}, OpenPayments: true}, func(u account.UnitOfWork) error {
				yes = u.OpenPayments(from)
				return nil
			})
			return yes
		}
		require.False(t, open())
		payment := k.withdraw(user, from, eur(30))
		require.True(t, open())
		k.payOut(from, payment)
		require.False(t, open())
	})
}

func TestF10_PurgedAnswersKeepTheirKeys(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		k := newBookkeeper(t, db)
		user := k.user()
		var keys []uuid.UUID
		for _, age := range []time.Duration{31 * 24 * time.Hour, 29 * 24 * time.Hour} {
			hash := newID(t)
			keys = append(keys, hash)
			at := k.now.Add(-age)
			k.do(account.Needs{}, func(u account.UnitOfWork) error {
				u.AddKey(account.IdempotencyRecord{Hash: hash, UserID: user, Fingerprint: "f", ResourceID: newID(t), Fence: 1, CreatedAt: at, FinishedAt: at,
					Answer: &account.Answer{Status: 200, Body: []byte("{}")}})
				return nil
			})
		}
		purged, err := k.ledger.PurgeAnswers(t.Context(), k.now.Add(-30*24*time.Hour))
		require.NoError(t, err)
		require.Equal(t, 1, purged)
		for i, wanted := range []*account.Answer{nil, {Status: 200, Body: []byte("{}")}} {
			k.do(account.Needs{Key: &keys[i]}, func(u account.UnitOfWork) error {
				record, ok := u.Key()
				require.True(t, ok)
				require.Equal(t, wanted, record.Answer)
				return nil
			})
		}
		databasetest.CheckInvariants(t, db, noon)
	})
}
