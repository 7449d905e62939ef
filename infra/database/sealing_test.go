package database_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"florin/domain/account"
	"florin/domain/user"
	"florin/infra/database"
	"florin/infra/database/databasetest"
	"florin/infra/vault"
)

const (
	anIBAN  = "DE89370400440532013000"
	aPerson = "Ada Lovelace, Marylebone"
)

func keysOf(t *testing.T, secrets ...string) *vault.Vault {
	for i := range secrets {
		secrets[i] += ", a key of the test that is long enough"
	}
	v, err := vault.New(vault.Keys(vault.Data, secrets))
	require.NoError(t, err)
	return v
}

// personal is what a database holds of a person: a payout, an event of its provider and a dead
// letter.
type personal struct {
	*bookkeeper
	owner, on           uuid.UUID
	payout, event, dead uuid.UUID
}

func newPersonal(t *testing.T, db *database.DB) *personal {
	p := &personal{bookkeeper: newBookkeeper(t, db)}
	p.owner, p.on = p.funded(101)
	made := p.transaction(account.TypeWithdraw, p.owner, p.on, eur(100))
	made.Target = &account.ExternalTarget{BankAccountNumber: anIBAN}
	made.Metadata = map[string]string{"name": aPerson}
	p.payout = made.ID
	p.do(account.Needs{Accounts: []uuid.UUID{p.on}}, func(u account.UnitOfWork) error {
		a, _ := u.Account(p.on)
		hold, err := a.Hold(made.ID, made.Amount, p.now)
		if err != nil {
			return err
		}
		mine := made.Clone()
		u.AddTransaction(mine)
		u.AddHold(hold)
		return move(u, mine, p.now, account.CauseRequest, account.PaymentStatusInitiated)
	})
	p.event, p.dead = newID(t), newID(t)
	p.do(account.Needs{}, func(u account.UnitOfWork) error {
		u.AddInbox(account.InboxRecord{ID: p.event, Event: p.told("evt_1"), Status: account.InboxReceived, NextAttemptAt: p.now, ReceivedAt: p.now})
		u.AddDeadLetter(account.DeadLetter{ID: p.dead, Source: account.DeadInbox, SourceID: p.event, TransactionID: p.payout, Reason: "tries_used_up",
			LastError: "x", Tries: 8, Payload: `{"name":"` + aPerson + `"}`, Status: account.DeadLetterOpen, CreatedAt: p.now})
		return nil
	})
	return p
}

func (p *personal) told(id string) account.PaymentReceivedEvent {
	return account.PaymentReceivedEvent{Provider: "mock", EventID: id, Kind: account.ReceivedPending, Type: "payment.pending", TransactionID: p.payout,
		Amount: 100, Currency: "EUR", OccurredAt: p.now, Cause: account.CauseWebhook, Raw: []byte(`{"name":"` + aPerson + `"}`)}
}

// lies is everything of the columns that may hold what names a person, as it lies there.
func (p *personal) lies() string {
	var texts []string
	require.NoError(p.t, p.db.Writer().Raw(`SELECT external_target FROM transactions WHERE external_target IS NOT NULL UNION ALL
		SELECT payload FROM inbox UNION ALL SELECT payload FROM dead_letters WHERE payload <> ''`).Scan(&texts).Error)
	return strings.Join(texts, "\n")
}

// requireReadable reads it all through everything that reads it.
func (p *personal) requireReadable(db *database.DB, now time.Time) {
	p.t.Helper()
	want := account.ExternalTarget{BankAccountNumber: anIBAN}
	books := database.NewBooks(db)
	one, _, err := books.FindTransaction(p.t.Context(), p.owner, p.payout)
	require.NoError(p.t, err)
	require.Equal(p.t, want, *one.Target)
	list, err := books.FindTransactions(p.t.Context(), p.on, account.TransactionFilter{Type: account.TypeWithdraw}, account.Page{Limit: 10})
	require.NoError(p.t, err)
	require.Equal(p.t, want, *list[0].Target)
	_, err = books.FindTimeline(p.t.Context(), p.payout)
	require.NoError(p.t, err)
	again := func(int) time.Time { return now }
	due, err := database.NewDue(db).ClaimTransactions(p.t.Context(), now.Add(time.Hour), 10, again)
	require.NoError(p.t, err)
	require.Equal(p.t, want, *due[0].Target)
	events, err := database.NewDue(db).ClaimInbox(p.t.Context(), now.Add(time.Hour), 10, again)
	require.NoError(p.t, err)
	require.Contains(p.t, string(events[0].Event.Raw), aPerson)
	letter, err := database.NewDeadLetters(db, func() time.Time { return now }).FindDeadLetter(p.t.Context(), p.dead)
	require.NoError(p.t, err)
	require.Contains(p.t, letter.Payload, aPerson)
	// A unit of work that changes the rows leaves what is sealed in them as it is.
	err = database.NewLedger(db).Do(p.t.Context(), account.Needs{Transactions: []uuid.UUID{p.payout}, Inbox: &account.InboxKey{Provider: "mock", EventID: "evt_1"}},
		func(_ context.Context, u account.UnitOfWork) error {
			row, _ := u.Transaction(p.payout)
			require.Equal(p.t, want, *row.Target)
			row.Tries++
			event, _ := u.Inbox()
			require.Contains(p.t, string(event.Event.Raw), aPerson)
			event.Tries++
			return nil
		})
	require.NoError(p.t, err)
}

func eachDialect(t *testing.T, run func(t *testing.T, dialect database.Dialect)) {
	for _, dialect := range []database.Dialect{database.SQLite, database.Postgres} {
		t.Run(string(dialect), func(t *testing.T) {
			t.Parallel()
			run(t, dialect)
		})
	}
}

func TestS72_WhatNamesAPersonIsSealed(t *testing.T) {
	t.Parallel()
	eachDialect(t, func(t *testing.T, dialect database.Dialect) {
		url := databasetest.URL(t, dialect)
		open := func(v database.Vault) *database.DB {
			return databasetest.OpenURL(t, url, database.Options{Vault: v, Writers: 2, Readers: 2})
		}
		first := open(keysOf(t, "first"))
		p := newPersonal(t, first)
		require.NotContains(t, p.lies(), anIBAN)
		require.NotContains(t, p.lies(), aPerson)
		p.requireReadable(first, p.now)
		before := p.lies()
		p.requireReadable(first, p.now)
		require.Equal(t, before, p.lies(), "nothing is sealed anew without need")

		for _, wrong := range []*database.DB{open(nil), open(keysOf(t, "second"))} {
			_, _, err := database.NewBooks(wrong).FindTransaction(t.Context(), p.owner, p.payout)
			require.ErrorContains(t, err, "target of transaction")
			require.NotContains(t, err.Error(), anIBAN)
		}
		// In the row of another transaction it opens no more.
		other := p.withdraw(p.owner, p.on, eur(1))
		require.NoError(t, first.Writer().Exec("UPDATE transactions SET external_target = (SELECT external_target FROM transactions WHERE id = ?) WHERE id = ?", p.payout, other).Error)
		_, _, err := database.NewBooks(first).FindTransaction(t.Context(), p.owner, other)
		require.ErrorContains(t, err, "was changed")
	})
}

// TestS72_KeysAreRotated: what lies in clear from before, then two keys, then the newer one alone.
func TestS72_KeysAreRotated(t *testing.T) {
	t.Parallel()
	eachDialect(t, func(t *testing.T, dialect database.Dialect) {
		url := databasetest.URL(t, dialect)
		open := func(v database.Vault) *database.DB {
			return databasetest.OpenURL(t, url, database.Options{Vault: v, Writers: 2, Readers: 2})
		}
		p := newPersonal(t, open(nil))
		require.Contains(t, p.lies(), anIBAN)
		reseal := func(v *vault.Vault) (resealed, lost int) {
			resealed, lost, err := database.NewPrivacy(open(v)).Reseal(t.Context(), time.Now())
			require.NoError(t, err)
			return resealed, lost
		}
		first, both, second := keysOf(t, "first"), keysOf(t, "second", "first"), keysOf(t, "second")
		p.requireReadable(open(first), p.now)
		resealed, lost := reseal(first)
		require.Equal(t, 4, resealed, "a target, two events and a letter")
		require.Zero(t, lost)
		require.NotContains(t, p.lies(), anIBAN)
		require.NotContains(t, p.lies(), aPerson)
		resealed, lost = reseal(first)
		require.Zero(t, resealed+lost)

		resealed, lost = reseal(second)
		require.Zero(t, resealed)
		require.Equal(t, 4, lost, "a key was taken away too early")
		p.requireReadable(open(both), p.now)
		resealed, lost = reseal(both)
		require.Equal(t, 4, resealed)
		require.Zero(t, lost)
		p.requireReadable(open(second), p.now)

		// A server that is older than the keys still wrote meanwhile.
		late := newID(t)
		plain := newBookkeeper(t, open(nil))
		plain.do(account.Needs{}, func(u account.UnitOfWork) error {
			u.AddInbox(account.InboxRecord{ID: late, Event: p.told("evt_late"), Status: account.InboxIgnored, ReceivedAt: p.now, ProcessedAt: p.now})
			return nil
		})
		require.Contains(t, p.lies(), aPerson)
		resealed, _ = reseal(second)
		require.Equal(t, 1, resealed)
		require.NotContains(t, p.lies(), aPerson)
	})
}

// TestS72_PayloadsAreErasedOnceTheyAreOldAndNotNeeded: what is still to be worked off keeps its
// bytes, however old it is.
func TestS72_PayloadsAreErasedOnceTheyAreOldAndNotNeeded(t *testing.T) {
	t.Parallel()
	eachDialect(t, func(t *testing.T, dialect database.Dialect) {
		db := databasetest.Open(t, dialect, database.Options{Vault: keysOf(t, "first")})
		p := newPersonal(t, db)
		add := func(id string, status account.InboxStatus, at time.Time) uuid.UUID {
			row := account.InboxRecord{ID: newID(t), Event: p.told(id), Status: status, ReceivedAt: at}
			if status == account.InboxReceived || status == account.InboxParked {
				row.NextAttemptAt = at
			} else {
				row.ProcessedAt = at
			}
			p.do(account.Needs{}, func(u account.UnitOfWork) error { u.AddInbox(row); return nil })
			return row.ID
		}
		longAgo := p.now.Add(-100 * 24 * time.Hour)
		for _, status := range []account.InboxStatus{account.InboxReceived, account.InboxParked, account.InboxDead} {
			add("needed_"+string(status), status, longAgo)
		}
		inReview := add("needed_review", account.InboxQuarantined, longAgo)
		p.do(account.Needs{}, func(u account.UnitOfWork) error {
			u.AddReview(account.Review{ID: newID(t), Kind: "foreign_event", InboxID: inReview, Detail: "x", CreatedAt: longAgo})
			return nil
		})
		add("needed_young", account.InboxProcessed, p.now)
		for _, status := range []account.InboxStatus{account.InboxProcessed, account.InboxIgnored, account.InboxQuarantined, account.InboxDiscarded} {
			add("old_"+string(status), status, longAgo)
		}
		privacy := database.NewPrivacy(db)
		erased, err := privacy.EraseRaw(t.Context(), p.now.Add(-90*24*time.Hour), p.now)
		require.NoError(t, err)
		require.Equal(t, 4, erased)
		erased, err = privacy.EraseRaw(t.Context(), p.now.Add(-90*24*time.Hour), p.now)
		require.NoError(t, err)
		require.Zero(t, erased)
		var ids []string
		require.NoError(t, db.Reader().Raw("SELECT event_id FROM inbox WHERE event_id LIKE 'needed_%' OR event_id LIKE 'old_%'").Scan(&ids).Error)
		require.Len(t, ids, 9)
		for _, id := range ids {
			p.do(account.Needs{Inbox: &account.InboxKey{Provider: "mock", EventID: id}}, func(u account.UnitOfWork) error {
				row, ok := u.Inbox()
				require.True(t, ok)
				require.Equal(t, strings.HasPrefix(id, "old_"), len(row.Event.Raw) == 0, id)
				require.Equal(t, int64(100), row.Event.Amount, "what was read from it stays")
				require.Equal(t, account.CauseWebhook, row.Event.Cause)
				return nil
			})
		}
		_, err = database.NewBooks(db).FindTimeline(t.Context(), p.payout)
		require.NoError(t, err)
	})
}

// TestS72_WhoLeavesIsErased: of the user nothing is left but the books and the last letters of
// where they were paid to.
func TestS72_WhoLeavesIsErased(t *testing.T) {
	t.Parallel()
	eachDialect(t, func(t *testing.T, dialect database.Dialect) {
		db := databasetest.Open(t, dialect, database.Options{Vault: keysOf(t, "first")})
		p := newPersonal(t, db)
		neighbour, theirs := p.funded(50)
		kept := p.withdraw(neighbour, theirs, eur(1))
		p.payOut(p.on, p.withdraw(p.owner, p.on, eur(1)))
		p.payOut(p.on, p.payout)
		require.NoError(t, db.Writer().Exec("UPDATE inbox SET status = 'processed', reason = 'stale', next_attempt_at = NULL, processed_at = received_at WHERE id = ?", p.event).Error)
		failures := database.NewDepositFailures(db)
		require.NoError(t, failures.NoteCard(t.Context(), account.CardFailure{Provider: "mock", EventID: "evt_c", TransactionID: p.payout, UserID: p.owner, Card: "fp", At: p.now}))
		key := newID(t)
		p.do(account.Needs{Key: &key}, func(u account.UnitOfWork) error {
			u.AddKey(account.IdempotencyRecord{Hash: key, UserID: p.owner, Fingerprint: "x", ResourceID: p.payout, Fence: 1,
				Answer: &account.Answer{Status: 202, Body: []byte(aPerson)}, CreatedAt: p.now, FinishedAt: p.now})
			return nil
		})
		privacy := database.NewPrivacy(db)
		erased, err := privacy.EraseUsers(t.Context(), p.now)
		require.NoError(t, err)
		require.Zero(t, erased, "nobody has left")
		before := count(t, db, "SELECT COUNT(*) FROM entries")
		require.NoError(t, database.NewUsers(db).DeleteUser(t.Context(), p.owner, p.now, user.Audit{ID: newID(t), Actor: p.owner.String(),
			Action: "user.deleted", Subject: p.owner.String(), At: p.now}))
		for _, want := range []int{1, 0} {
			erased, err = privacy.EraseUsers(t.Context(), p.now)
			require.NoError(t, err)
			require.Equal(t, want, erased)
		}
		one, _, err := database.NewBooks(db).FindTransaction(t.Context(), p.owner, p.payout)
		require.NoError(t, err)
		require.Equal(t, account.ExternalTarget{BankAccountNumber: anIBAN}.Masked(), *one.Target)
		require.Contains(t, one.Target.BankAccountNumber, "3000")
		require.NotContains(t, one.Target.BankAccountNumber, "04405320")
		require.Empty(t, one.Metadata)
		require.Equal(t, eur(100), one.Amount)
		require.Equal(t, before, count(t, db, "SELECT COUNT(*) FROM entries"), "the books stay")
		p.do(account.Needs{Inbox: &account.InboxKey{Provider: "mock", EventID: "evt_1"}}, func(u account.UnitOfWork) error {
			row, _ := u.Inbox()
			require.Empty(t, row.Event.Raw)
			return nil
		})
		require.Zero(t, count(t, db, "SELECT COUNT(*) FROM idempotency_keys WHERE response_body <> '{}'"))
		require.Zero(t, count(t, db, "SELECT COUNT(*) FROM accounts WHERE name <> '' AND user_id = '"+p.owner.String()+"'"))
		require.Zero(t, count(t, db, "SELECT COUNT(*) FROM card_failures"))
		other, _, err := database.NewBooks(db).FindTransaction(t.Context(), neighbour, kept)
		require.NoError(t, err)
		require.Equal(t, "DE02120300000000202051", other.Target.BankAccountNumber, "who stays keeps theirs")
		checks, err := database.Verify(t.Context(), db, p.now, nil)
		require.NoError(t, err)
		for _, c := range checks {
			require.Empty(t, c.Violations, c.ID)
		}
	})
}
