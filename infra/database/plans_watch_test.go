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

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"florin/infra/database"
	"florin/infra/database/databasetest"
)

// The tables that grow with the business: no statement of the request path, and none of the workers', may read one whole.
var growing = []string{"users", "refresh_tokens", "accounts", "transactions", "entries", "holds", "payment_events", "event_batches",
	"idempotency_keys", "inbox", "effects", "provider_calls", "reviews", "audit"}

// openWork are the indexes that hold only what is still to be done, or only administrators. They may be read from one end.
var openWork = []string{"transactions_due_idx", "inbox_due_idx", "event_batches_waiting_idx", "holds_active_idx", "reviews_open_idx", "users_admin_idx",
	"integrity_findings_open_key"}

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
	db := databasetest.OpenURL(t, url, database.Traced(database.Options{StatementTimeout: time.Minute}, w)) // filling it may take its time
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
	noScans := false
	for _, s := range list {
		switch s.sql {
		case "SET LOCAL enable_seqscan = off":
			noScans = true
		case "commit":
			noScans = false
		}
		s.noScans = s.noScans || noScans
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
