package database_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"florin/domain/account"
	"florin/domain/currency"
	"florin/domain/user"
	"florin/infra/database"
	"florin/infra/database/databasetest"
	"florin/infra/database/databasetest/seed"
	"florin/pkg/eventbus"
)

// The tables that grow with the business: no statement of the request path, and none of the workers', may read one whole.
var growing = []string{"users", "refresh_tokens", "accounts", "transactions", "entries", "holds", "payment_events", "event_batches",
	"idempotency_keys", "inbox", "effects", "provider_calls", "reviews", "audit"}

// openWork are the indexes that hold only what is still to be done, or only administrators. They may be read from one end.
var openWork = []string{"transactions_due_idx", "inbox_due_idx", "event_batches_waiting_idx", "holds_active_idx", "reviews_open_idx", "users_admin_idx"}

type statement struct {
	sql  string
	args []any
	// noScans says that the connection had enable_seqscan off: the writer's.
	noScans bool
}

// watch collects the statements that a database runs while it is on.
type watch struct {
	mu         sync.Mutex
	on         bool
	statements []statement
}

func (w *watch) note(text string, args []any, noScans bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.on {
		w.statements = append(w.statements, statement{text, slices.Clone(args), noScans})
	}
}

// TraceQueryStart implements pgx.QueryTracer.
func (w *watch) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	w.note(data.SQL, data.Args, false)
	return ctx
}

// TraceQueryEnd implements pgx.QueryTracer.
func (*watch) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// TraceBatchStart implements pgx.BatchTracer.
func (*watch) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return ctx
}

// TraceBatchQuery implements pgx.BatchTracer.
func (w *watch) TraceBatchQuery(_ context.Context, _ *pgx.Conn, data pgx.TraceBatchQueryData) {
	w.note(data.SQL, data.Args, true)
}

// TraceBatchEnd implements pgx.BatchTracer.
func (*watch) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

// open opens a database whose statements are watched.
func (w *watch) open(t *testing.T, dialect database.Dialect) (*database.DB, string) {
	url := databasetest.URL(t, dialect)
	db := databasetest.OpenURL(t, url, database.Traced(database.Options{}, w))
	if dialect == database.SQLite {
		for _, handle := range []*gorm.DB{db.Reader(), db.Writer()} {
			pool, err := handle.DB()
			require.NoError(t, err)
			handle.ConnPool = &watchedPool{pool, w}
			handle.Statement.ConnPool = handle.ConnPool
		}
	}
	return db, url
}

// watchedPool is what gorm runs statements on.
type watchedPool struct {
	*sql.DB
	watch *watch
}

func (p *watchedPool) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	p.watch.note(query, args, false)
	return p.DB.ExecContext(ctx, query, args...)
}

func (p *watchedPool) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	p.watch.note(query, args, false)
	return p.DB.QueryContext(ctx, query, args...)
}

// BeginTx implements gorm.ConnPoolBeginner.
func (p *watchedPool) BeginTx(ctx context.Context, options *sql.TxOptions) (gorm.ConnPool, error) {
	tx, err := p.DB.BeginTx(ctx, options)
	return &watchedTx{tx, p.watch}, err
}

// GetDBConn implements gorm.GetDBConnector.
func (p *watchedPool) GetDBConn() (*sql.DB, error) { return p.DB, nil }

type watchedTx struct {
	*sql.Tx
	watch *watch
}

func (t *watchedTx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	t.watch.note(query, args, false)
	return t.Tx.ExecContext(ctx, query, args...)
}

func (t *watchedTx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	t.watch.note(query, args, false)
	return t.Tx.QueryContext(ctx, query, args...)
}

// scansOf runs one thing and explains every statement of it. It returns what is read whole, and how many statements there were.
func (w *watch) scansOf(t *testing.T, e explainer, run func() error) (scans []string, statements int) {
	t.Helper()
	w.mu.Lock()
	w.on = true
	w.mu.Unlock()
	err := run()
	w.mu.Lock()
	list := w.statements
	w.on, w.statements = false, nil
	w.mu.Unlock()
	require.NoError(t, err)
	for _, s := range list {
		if !slices.Contains([]string{"SELECT", "INSERT", "UPDATE", "DELETE", "WITH"}, strings.Fields(s.sql)[0]) {
			continue
		}
		statements++
		for _, scan := range e.scans(t, s) {
			scans = append(scans, scan+" in "+s.sql)
		}
	}
	return scans, statements
}

// explainer says what a statement reads whole.
type explainer interface {
	scans(t *testing.T, s statement) []string
}

// sqliteExplainer reads EXPLAIN QUERY PLAN.
type sqliteExplainer struct{ db *database.DB }

func (e sqliteExplainer) scans(t *testing.T, s statement) []string {
	pool, err := e.db.Reader().DB()
	require.NoError(t, err)
	rows, err := pool.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+s.sql, s.args...)
	require.NoError(t, err, s.sql)
	defer rows.Close()
	// What is no table: lists of values, and the parts of a statement that have a name.
	known := []string{"json_each", "CONSTANT", "log_head", "leases", "subscribers", "s", "h"}
	var scans []string
	for rows.Next() {
		var id, parent, unused int
		var step string
		require.NoError(t, rows.Scan(&id, &parent, &unused, &step))
		words := strings.Fields(step)
		switch {
		case words[0] == "CO-ROUTINE" || words[0] == "MATERIALIZE":
			known = append(known, words[1])
		case words[0] == "SCAN" && !slices.Contains(known, words[1]) && !strings.Contains(step, "-ROW VALUES") && !slices.Contains(openWork, words[len(words)-1]):
			scans = append(scans, step)
		}
	}
	require.NoError(t, rows.Err())
	return scans
}

// postgresExplainer plans a statement twice: for the values that it was run with, and as the server does for a connection that
// has run it often, for any values.
type postgresExplainer struct{ conn *pgx.Conn }

type planNode struct {
	Type     string `json:"Node Type"`
	Relation string `json:"Relation Name"`
	Index    string `json:"Index Name"`
	Cond     string `json:"Index Cond"`
	Plans    []planNode
}

func (e postgresExplainer) scans(t *testing.T, s statement) []string {
	ctx := t.Context()
	_, err := e.conn.Exec(ctx, fmt.Sprintf("SET enable_seqscan = %t", !s.noScans))
	require.NoError(t, err)
	_, err = e.conn.Exec(ctx, "PREPARE any_values AS "+s.sql)
	require.NoError(t, err, s.sql)
	var parameters int
	require.NoError(t, e.conn.QueryRow(ctx, "SELECT cardinality(parameter_types) FROM pg_prepared_statements WHERE name = 'any_values'").Scan(&parameters))
	execute := "EXPLAIN (FORMAT JSON) EXECUTE any_values"
	if parameters > 0 {
		execute += "(" + strings.TrimSuffix(strings.Repeat("NULL, ", parameters), ", ") + ")"
	}
	scans := e.explain(t, execute)
	_, err = e.conn.Exec(ctx, "DEALLOCATE any_values")
	require.NoError(t, err)
	if !s.noScans { // the writer's lists have types of their own, and their length is not what the plan depends on
		args := slices.DeleteFunc(s.args, func(arg any) bool { _, isOption := arg.(pgx.QueryResultFormatsByOID); return isOption })
		scans = append(scans, e.explain(t, "EXPLAIN (FORMAT JSON) "+s.sql, args...)...)
	}
	return scans
}

func (e postgresExplainer) explain(t *testing.T, text string, args ...any) []string {
	var encoded []byte
	require.NoError(t, e.conn.QueryRow(t.Context(), text, args...).Scan(&encoded), text)
	var roots []struct{ Plan planNode }
	require.NoError(t, json.Unmarshal(encoded, &roots))
	return roots[0].Plan.scans()
}

func (n planNode) scans() []string {
	var scans []string
	switch {
	case n.Type == "Seq Scan" && slices.Contains(growing, n.Relation):
		scans = append(scans, "Seq Scan on "+n.Relation)
	case n.Index != "" && n.Cond == "" && !slices.Contains(openWork, n.Index) &&
		slices.ContainsFunc(growing, func(table string) bool { return strings.HasPrefix(n.Index, table+"_") }):
		scans = append(scans, n.Type+" of the whole index "+n.Index)
	}
	for _, part := range n.Plans {
		scans = append(scans, part.scans()...)
	}
	return scans
}

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
			books, err := seed.Fill(t.Context(), db, plan, nil)
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
				workerSteps(t, k), logSteps(t, db)} {
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
			_, _, _, err := users.RotateSession(ctx, "h1", token(uuid.Nil, uuid.Nil, "h2"), act("session.reused"))
			return err
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
		{"positions", func() error { return log.AssignPositions(ctx, 1, waiting) }},
		{"head", func() (err error) { head, err = log.Head(ctx); return err }},
		{"newest events", func() error { _, err := log.ReadAfter(ctx, head-5, 100); return err }},
		{"old events", func() error { _, err := log.ReadAfter(ctx, 1_000, 100); return err }},
		{"cursor", func() error { _, err := log.OpenCursor(ctx, "mail", head); return err }},
		{"lags", func() error { _, err := log.Lags(ctx); return err }},
	}
}
