package database_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"florin/domain/account"
	"florin/domain/currency"
	"florin/domain/user"
	"florin/infra/database"
	"florin/infra/database/databasetest"
	"florin/infra/database/databasetest/seed"
	"florin/pkg/eventbus"
)

// step is one thing that the program does with the database.
type step struct {
	name string
	run  func() error
}

// TestNoQueryScansATable does on books of some size what the API, the workers and the operators' commands do all day, and looks
// at the plan of every statement that this takes.
func TestNoQueryScansATable(t *testing.T) {
	t.Parallel()
	for _, dialect := range []database.Dialect{database.SQLite, database.Postgres} {
		t.Run(string(dialect), func(t *testing.T) {
			t.Parallel()
			var w watch
			db, url := w.open(t, dialect)
			plan := seed.Plan{Users: 1_000, Accounts: 2_000, Transactions: 20_000, Every: time.Minute, PasswordHash: "x", Start: noon.Add(-20 * 24 * time.Hour)}
			books, err := seed.Fill(t.Context(), db, plan)
			require.NoError(t, err)
			var e explainer = sqliteExplainer{db}
			if dialect == database.Postgres {
				conn, err := pgx.Connect(t.Context(), url)
				require.NoError(t, err)
				defer conn.Close(context.WithoutCancel(t.Context()))
				_, err = conn.Exec(t.Context(), "SET plan_cache_mode = force_generic_plan")
				require.NoError(t, err)
				e = postgresExplainer{conn}
			}
			found, _ := w.scansOf(t, e, func() error {
				return db.Reader().Exec("SELECT * FROM transactions WHERE provider = ? LIMIT 1", "mock").Error
			})
			require.NotEmpty(t, found, "a scan is seen")
			k := newBookkeeper(t, db)
			for _, steps := range [][]step{readingSteps(t, k, books), listSteps(t, k, books), userSteps(t, db, books), paymentSteps(t, k, books),
				workerSteps(t, k), logSteps(t, db), proofSteps(t, db)} {
				for _, s := range steps {
					scans, statements := w.scansOf(t, e, s.run)
					require.Positive(t, statements, "%s: no statement was seen", s.name)
					require.Empty(t, scans, s.name)
				}
			}
			databasetest.CheckInvariants(t, db, noon)
		})
	}
}

func readingSteps(t *testing.T, k *bookkeeper, books *seed.Books) []step {
	ctx, b := t.Context(), k.books
	owner, id := books.User(books.Owner(7)), books.Account(7)
	deposit := books.Transaction(8)
	return []step{
		{"account", func() error { _, err := b.FindAccount(ctx, owner, id); return err }},
		{"accounts", func() error { _, err := b.FindAccounts(ctx, owner, account.Page{Limit: 26}); return err }},
		{"accounts, next page", func() error {
			_, err := b.FindAccounts(ctx, owner, account.Page{Limit: 26, Before: id})
			return err
		}},
		{"aggregate", func() error { _, err := b.SumAccounts(ctx, owner); return err }},
		{"balance at a past time", func() error { _, err := b.PostedAt(ctx, k.read(owner, id), noon.Add(-9*24*time.Hour)); return err }},
		{"explanation of a balance", func() error { _, err := b.ExplainAccount(ctx, owner, id); return err }},
		{"open transactions of an account", func() error { _, err := b.HasOpenTransactions(ctx, id); return err }},
		{"transaction", func() error { _, _, err := b.FindTransaction(ctx, owner, deposit); return err }},
		{"status", func() error { _, err := b.TransactionStatus(ctx, deposit); return err }},
		{"timeline", func() error { _, err := b.FindTimeline(ctx, deposit); return err }},
		{"transaction by payment", func() error { _, err := b.FindTransactionByPayment(ctx, "mock", books.PaymentID(8)); return err }},
	}
}

func listSteps(t *testing.T, k *bookkeeper, books *seed.Books) (steps []step) {
	ctx, id, limit := t.Context(), books.Account(7), 26
	from, to, before := noon.Add(-9*24*time.Hour), noon.Add(-4*24*time.Hour), books.Transaction(15_000)
	for name, filter := range map[string]account.TransactionFilter{
		"all": {}, "type": {Type: account.TypeDeposit}, "status": {Status: account.PaymentStatusFailed}, "from": {From: from}, "to": {To: to},
		"everything": {Type: account.TypeTransfer, Status: account.PaymentStatusCompleted, From: from, To: to}} {
		for _, page := range []account.Page{{Limit: limit}, {Limit: limit, Before: before}} {
			steps = append(steps, step{"transactions: " + name, func() error { _, err := k.books.FindTransactions(ctx, id, filter, page); return err }})
		}
	}
	for name, filter := range map[string]account.EntryFilter{
		"all": {}, "next page": {BeforeSeq: 9}, "from": {From: from}, "to": {To: to}, "a statement's second page": {From: from, To: to, BeforeSeq: 9}} {
		filter.Limit = limit
		steps = append(steps, step{"entries: " + name, func() error { _, err := k.books.FindEntries(ctx, id, filter); return err }})
	}
	return steps
}

func userSteps(t *testing.T, db *database.DB, books *seed.Books) []step {
	ctx, users := t.Context(), database.NewUsers(db)
	u, family := newUser(t, "ada", "ada@example.com"), newID(t)
	return []step{
		{"register", func() error { return users.CreateUser(ctx, u, act("user.registered")) }},
		{"user", func() error { _, err := users.UserByID(ctx, u.ID()); return err }},
		{"user by name", func() error { _, err := users.UserByIdentity(ctx, "ada"); return err }},
		{"user by address", func() error { _, err := users.UserByIdentity(ctx, "ada@example.com"); return err }},
		{"log in", func() error { return users.StartSession(ctx, u, token(u.ID(), family, "h1"), act("login.succeeded")) }},
		{"session", func() error { _, _, err := users.SessionByHash(ctx, "h1"); return err }},
		{"standing", func() error { _, err := users.Standing(ctx, u.ID(), family); return err }},
		{"refresh", func() error {
			_, _, _, err := users.RotateSession(ctx, "h1", token(uuid.Nil, uuid.Nil, "h2"), nil,
				act("session.reused"))
			return err
		}},
		{"refresh again", func() error {
			_, _, _, err := users.RotateSession(ctx, "h1", token(uuid.Nil, uuid.Nil, "h2"),
				[]string{"h2", "h3"}, act("session.reused"))
			return err
		}},
		{"sessions", func() error { _, err := users.Sessions(ctx, u.ID(), userEpoch); return err }},
		{"end others", func() error {
			return users.EndOtherSessions(ctx, u.ID(), family,
				act("session.ended"))
		}},
		{"end one", func() error {
			return users.EndSessionOf(ctx, u.ID(), family,
				act("session.ended"))
		}},
		{"log out", func() error { return users.EndSession(ctx, family, act("session.ended")) }},
		{"new password", func() error {
			_, err := users.ChangeUser(ctx, u.ID(), func(u *user.User) error { u.SetPassword("$new", userEpoch); return nil }, act("user.updated"))
			return err
		}},
		{"money of a user", func() error { _, err := users.MoneyOnAccounts(ctx, books.User(3)); return err }},
		{"administrator", func() error { _, err := users.AdminExists(ctx); return err }},
		{"record", func() error { return users.Record(ctx, act("something")) }},
		{"delete", func() error { return users.DeleteUser(ctx, u.ID(), userEpoch, act("user.deleted")) }},
	}
}

func paymentSteps(t *testing.T, k *bookkeeper, books *seed.Books) []step {
	ctx := t.Context()
	from, to := books.Account(7), books.Account(11)
	owner := books.User(books.Owner(7))
	var payout uuid.UUID
	return []step{
		{"deposit", func() error { k.deposit(owner, from, eur(50), nil); return nil }},
		{"transfer with a key", func() error {
			needs, fn := k.transfer(k.newTransfer(owner, from, to, eur(1)))
			hash := newID(t)
			needs.Key = &hash
			return k.ledger.Do(ctx, needs, fn)
		}},
		{"withdraw", func() error { payout = k.withdraw(owner, from, eur(9)); return nil }},
		{"pay out", func() error { k.payOut(from, payout); return nil }},
		{"unmatched", func() error { k.unmatched(eur(3)); return nil }},
		{"known facts, open payments", func() error {
			needs := account.Needs{Accounts: []uuid.UUID{from}, OpenPayments: true, Inbox: &account.InboxKey{Provider: "mock", EventID: "evt_8"},
				Effects: []account.EffectKey{{Provider: "mock", Ref: books.PaymentID(8), Effect: "completed"}}}
			return k.ledger.Do(ctx, needs, func(context.Context, account.UnitOfWork) error { return nil })
		}},
		{"open an account", func() error { k.account(owner, currency.EUR); return nil }},
	}
}

func workerSteps(t *testing.T, k *bookkeeper) []step {
	ctx, due, leases := t.Context(), database.NewDue(k.db), database.NewLeases(k.db, func() time.Time { return noon })
	until := func(int) time.Time { return noon.Add(time.Hour) }
	var fence int64
	return []step{
		{"claim transactions", func() error { _, err := due.ClaimTransactions(ctx, noon.Add(time.Hour), 50, until); return err }},
		{"claim events", func() error { _, err := due.ClaimInbox(ctx, noon.Add(time.Hour), 50, until); return err }},
		{"purge answers", func() error { _, err := k.ledger.PurgeAnswers(ctx, noon.Add(-30*24*time.Hour)); return err }},
		{"take a lease", func() (err error) {
			fence, _, err = leases.Acquire(ctx, "sweep", "me", time.Minute)
			return err
		}},
		{"renew a lease", func() error { _, err := leases.Renew(ctx, "sweep", fence, time.Minute); return err }},
		{"give a lease back", func() error { return leases.Release(ctx, "sweep", fence) }},
	}
}

func logSteps(t *testing.T, db *database.DB) []step {
	ctx, log := t.Context(), database.NewLog(db, func() time.Time { return noon })
	var waiting []eventbus.WaitingBatch
	var head int64
	return []step{
		{"age of the oldest event", func() error { _, _, err := log.OldestWaiting(ctx); return err }},
		{"waiting batches", func() (err error) { waiting, err = log.Waiting(ctx, 100); return err }},
		{"positions", func() error { return assign(t, log, 1, waiting) }},
		{"head", func() (err error) { head, err = log.Head(ctx); return err }},
		{"newest events", func() error { _, err := log.ReadAfter(ctx, head-5, 100); return err }},
		{"old events", func() error { _, err := log.ReadAfter(ctx, 1_000, 100); return err }},
		{"cursor", func() error { _, err := log.OpenCursor(ctx, "mail", head); return err }},
		{"lags", func() error { _, err := log.Lags(ctx); return err }},
	}
}

// proofSteps prove a few hundred events of books of any size.
func proofSteps(t *testing.T, db *database.DB) []step {
	ctx, proof := t.Context(), proofOf(db)
	return []step{
		{"what is not proved", func() error { _, err := proof.Pending(ctx); return err }},
		{"proof of the log", func() error { _, err := proof.ProveLog(ctx, 1, 300); return err }},
		{"state of the proof", func() error { _, err := proof.State(ctx); return err }},
	}
}
