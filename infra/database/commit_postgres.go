package database

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"sync"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"florin/pkg/crashpoint"
)

// The statements that load a batch. A plan that was made on an empty table would scan for ever, so scans are off.
var (
	pgLoadTransactions = "SELECT " + transactionTable.list() + " FROM transactions WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE"
	pgLoadFollowers    = "SELECT " + transactionTable.list() + ` FROM transactions WHERE linked_transaction_id = ANY($1)
		OR linked_transaction_id IN (SELECT id FROM transactions WHERE linked_transaction_id = ANY($1)) ORDER BY id FOR NO KEY UPDATE`
	pgLoadFollowerHolds = "SELECT " + holdTable.list() + " FROM holds WHERE transaction_id IN (SELECT id FROM transactions WHERE linked_transaction_id = ANY($1))"
	pgLoadAccounts      = "SELECT " + accountTable.list() + ` FROM accounts WHERE kind = 'user' AND id = ANY(ARRAY(SELECT unnest($1::uuid[])
		UNION SELECT account_id FROM transactions WHERE id = ANY($2)
		UNION SELECT counterparty_account_id FROM transactions WHERE id = ANY($2))) ORDER BY id FOR NO KEY UPDATE`
	pgLoadNamedAccounts = "SELECT " + accountTable.list() + " FROM accounts WHERE kind = 'user' AND id = ANY($1) ORDER BY id FOR NO KEY UPDATE"
	pgLoadOpen          = "SELECT DISTINCT account_id FROM transactions WHERE account_id = ANY($1) AND next_attempt_at IS NOT NULL"
	// Whoever counts what a user has holds a lock until the commit, so that nobody else counts the same meanwhile.
	pgLockUsers     = "SELECT pg_advisory_xact_lock(k) FROM unnest($1::bigint[]) AS k"
	pgLoadDeposits  = "SELECT user_id, COUNT(*) AS n FROM transactions WHERE user_id = ANY($1) AND type = 'deposit' AND next_attempt_at IS NOT NULL GROUP BY user_id"
	pgCountAccounts = "SELECT user_id, COUNT(*) AS n FROM accounts WHERE user_id = ANY($1) AND kind = 'user' AND status <> 'closed' GROUP BY user_id"
	pgLoadHolds     = "SELECT " + holdTable.list() + " FROM holds WHERE transaction_id = ANY($1)"
	pgLoadKeys      = "SELECT " + keyTable.list() + " FROM idempotency_keys WHERE key_hash = ANY($1)"
	pgLoadInbox     = "SELECT " + inboxTable.list() + " FROM inbox WHERE (provider, event_id) IN (SELECT * FROM unnest($1::text[], $2::text[]))"
	pgLoadReviews   = "SELECT " + reviewTable.list() + " FROM reviews WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE"
	pgLoadEffects   = "SELECT " + effectTable.list() + " FROM effects WHERE (provider, ref, effect) IN (SELECT * FROM unnest($1::text[], $2::text[], $3::text[]))"
)

// pgInsertEvents writes the events of a commit with the row of their batch, whose id is drawn now, under the locks of the commit.
var pgInsertEvents = func() string {
	columns := eventTable.only("n", "id", "transaction_id", "seq", "from_status", "to_status", "cause", "payload", "at").columns
	return `WITH batch AS (INSERT INTO event_batches (events, at) VALUES (cardinality($1::payment_events[]), $2) RETURNING id)
		INSERT INTO payment_events (batch_id, ` + strings.Join(prefixed("", columns), ", ") + ") SELECT batch.id, " +
		strings.Join(prefixed("v.", columns), ", ") + " FROM batch, unnest($1::payment_events[]) AS v RETURNING batch_id"
}()

// attemptPostgres is an attempt in two round trips: BEGIN with all that is loaded, then all that is written with COMMIT.
func (db *DB) attemptPostgres(ctx context.Context, w wants, apply func(loaded) (*writes, error)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	conn, err := db.acquire(ctx)
	if err != nil {
		return err
	}
	// A connection that is not idle when it is given back is closed by the pool, which ends its transaction.
	defer conn.Release()
	lifetime, cancel := context.WithTimeout(context.WithoutCancel(ctx), txLimit)
	defer cancel()
	layout, err := db.layoutOn(ctx, conn.Conn())
	if err != nil {
		return classify(err)
	}
	rows, err := loadPostgres(ctx, conn.Conn(), w)
	if err != nil {
		return errors.Join(classify(err), rollBack(lifetime, conn.Conn()))
	}
	written, err := apply(rows)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return errors.Join(err, rollBack(lifetime, conn.Conn()))
	}
	return db.forgetLayout(writePostgres(lifetime, conn.Conn(), layout, written))
}

// forgetLayout has the layout read anew, and the work done again, where a newer program has changed a table since.
func (db *DB) forgetLayout(err error) error {
	var onServer *pgconn.PgError
	if errors.As(err, &onServer) && onServer.Code == "42804" {
		db.layout.Store(nil)
		return fmt.Errorf("%w: %w", errRetry, err)
	}
	return err
}

// rollBack ends a transaction that has written nothing. Where the connection is gone, so is its transaction.
func rollBack(ctx context.Context, conn *pgx.Conn) error {
	if conn.IsClosed() {
		return nil
	}
	if _, err := conn.Exec(ctx, "ROLLBACK"); err != nil {
		_ = conn.Close(ctx) // it is thrown away
	}
	return nil
}

func loadPostgres(ctx context.Context, conn *pgx.Conn, w wants) (loaded, error) {
	var f loaded
	var batch pgx.Batch
	batch.Queue("BEGIN")
	batch.Queue("SET LOCAL enable_seqscan = off")
	if users := w.counting(); len(users) > 0 {
		// First of all locks, so that nobody who waits for one of these holds another that is wanted.
		batch.Queue(pgLockUsers, lockKeys(users))
		countInto(&batch, pgLoadDeposits, w.depositsOf, &f.deposits)
		countInto(&batch, pgCountAccounts, w.accountsOf, &f.accountsOf)
	}
	if len(w.reviews) > 0 {
		batch.Queue(pgLoadReviews, pgIDs(w.reviews)).Query(scanInto(reviewTable, &f.reviews))
	}
	transactions := pgIDs(w.transactions)
	if len(transactions) > 0 {
		batch.Queue(pgLoadTransactions, transactions).Query(scanInto(transactionTable, &f.transactions))
		// A statement of its own, behind the lock of what is followed: it sees all that was added under that lock before.
		if len(w.families) > 0 {
			batch.Queue(pgLoadFollowers, pgIDs(w.families)).Query(scanInto(transactionTable, &f.transactions))
		}
		batch.Queue(pgLoadAccounts, pgIDs(w.accounts), transactions).Query(scanInto(accountTable, &f.accounts))
		batch.Queue(pgLoadHolds, transactions).Query(scanInto(holdTable, &f.holds))
		if len(w.families) > 0 {
			batch.Queue(pgLoadFollowerHolds, pgIDs(w.families)).Query(scanInto(holdTable, &f.holds))
		}
	} else if len(w.accounts) > 0 {
		batch.Queue(pgLoadNamedAccounts, pgIDs(w.accounts)).Query(scanInto(accountTable, &f.accounts))
	}
	if len(w.open) > 0 {
		batch.Queue(pgLoadOpen, pgIDs(w.open)).Query(func(rows pgx.Rows) (err error) {
			f.open, err = pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
			return err
		})
	}
	if len(w.keys) > 0 {
		batch.Queue(pgLoadKeys, pgIDs(w.keys)).Query(scanInto(keyTable, &f.keys))
	}
	if len(w.inbox) > 0 {
		providers, ids := make([]string, len(w.inbox)), make([]string, len(w.inbox))
		for i, key := range w.inbox {
			providers[i], ids[i] = key.Provider, key.EventID
		}
		batch.Queue(pgLoadInbox, providers, ids).Query(scanInto(inboxTable, &f.inbox))
	}
	if len(w.effects) > 0 {
		providers, refs, effects := make([]string, len(w.effects)), make([]string, len(w.effects)), make([]string, len(w.effects))
		for i, key := range w.effects {
			providers[i], refs[i], effects[i] = key.Provider, key.Ref, key.Effect
		}
		batch.Queue(pgLoadEffects, providers, refs, effects).Query(scanInto(effectTable, &f.effects))
	}
	return f, conn.SendBatch(ctx, &batch).Close()
}

func countInto(batch *pgx.Batch, query string, users []uuid.UUID, into *[]counted) {
	if len(users) == 0 {
		return
	}
	batch.Queue(query, pgIDs(users)).Query(func(rows pgx.Rows) (err error) {
		*into, err = pgx.CollectRows(rows, pgx.RowToStructByPos[counted])
		return err
	})
}

// lockKeys are the keys of the users' advisory locks, in order. Two users with one key wait for each
// other without need, which is rare and harms nobody.
func lockKeys(users []uuid.UUID) []int64 {
	keys := make([]int64, len(users))
	for i, id := range users {
		sum := fnv.New64a()
		_, _ = sum.Write([]byte("florin user"))
		_, _ = sum.Write(id[:])
		keys[i] = int64(sum.Sum64()) //nolint:gosec // any 64 bits are a key
	}
	slices.Sort(keys)
	return keys
}

func scanInto[R any](t table, into *[]R) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		for rows.Next() {
			var row R
			if err := rows.Scan(targets(t.columns, &row)...); err != nil {
				return fmt.Errorf("read %s: %w", t.name, err)
			}
			*into = append(*into, row)
		}
		return rows.Err()
	}
}

// writePostgres sends every write and the COMMIT at once. The first that fails takes all back, and COMMIT with it. A crash
// point between two of them is between two round trips.
func writePostgres(ctx context.Context, conn *pgx.Conn, layout *pgLayout, w *writes) error {
	buffer := pgBuffers.Get().(*pgRecords)
	p := &pgWriter{conn: conn, layout: layout, buffer: (*buffer)[:0]}
	defer func() {
		if cap(p.buffer) <= keptBuffer {
			*buffer = p.buffer
		}
		pgBuffers.Put(buffer)
	}()
	pgInsert(ctx, p, accountTable, w.accounts, "", "")
	pgInsert(ctx, p, transactionTable, w.transactions, "", crashpoint.TransactionInserted)
	pgInsert(ctx, p, keyTable, w.keys, "", crashpoint.KeyInserted)
	pgInsert(ctx, p, inboxTable, w.inbox, "", crashpoint.WebhookInboxRow)
	pgInsert(ctx, p, effectTable, w.effects, "", crashpoint.WebhookEffectRow)
	pgInsert(ctx, p, accountTable, w.systemAccounts, " ON CONFLICT DO NOTHING", "")
	pgInsert(ctx, p, entryTable, w.entries, "", crashpoint.WebhookEntries)
	pgInsert(ctx, p, holdTable, w.holds, "", crashpoint.HoldInserted)
	pgAddEvents(ctx, p, w)
	pgInsert(ctx, p, reviewTable, w.reviews, "", "")
	pgInsert(ctx, p, deadLetterTable, w.deadLetters, "", "")
	pgInsert(ctx, p, providerCallTable, w.providerCalls, "", "")
	pgInsert(ctx, p, auditTable, w.audit, "", "")
	pgUpdate(p, transactionTable, w.changedTransactions)
	pgUpdate(p, holdTable, w.changedHolds)
	if len(w.changedHolds) > 0 {
		p.reach(ctx, crashpoint.WebhookBalances)
	}
	pgUpdate(p, keyTable, w.changedKeys)
	pgUpdate(p, inboxTable, w.changedInbox)
	pgUpdate(p, reviewTable, w.changedReviews)
	pgUpdate(p, accountTable, w.changedAccounts)
	if len(w.changedAccounts) > 0 {
		p.reach(ctx, crashpoint.WebhookBalances)
	}
	return p.commit(ctx)
}

// pgWriter collects the statements of a commit.
type pgWriter struct {
	conn   *pgx.Conn
	layout *pgLayout
	batch  pgx.Batch
	buffer pgRecords // holds the rows of all statements; it is used again by the next commit
	err    error
}

// pgBuffers are the buffers of commits that are over.
var pgBuffers = sync.Pool{New: func() any { return new(pgRecords) }}

// keptBuffer is the largest buffer that is kept for the next commit, that of a full batch of transfers twice.
const keptBuffer = 1 << 20

// recordsOf encodes rows for a statement of this commit.
func recordsOf[R any](p *pgWriter, t table, rows []R) pgRecords {
	start := len(p.buffer)
	p.buffer = appendRecords(p.buffer, t.columns, p.layout.tables[t.name], rows)
	return p.buffer[start:len(p.buffer):len(p.buffer)]
}

func pgInsert[R any](ctx context.Context, p *pgWriter, t table, rows []R, conflict, point string) {
	if len(rows) == 0 {
		return
	}
	p.batch.Queue(p.layout.tables[t.name].insert+conflict, recordsOf(p, t, rows))
	p.reach(ctx, point)
}

func pgAddEvents(ctx context.Context, p *pgWriter, w *writes) {
	if len(w.events) == 0 {
		return
	}
	p.batch.Queue(pgInsertEvents, recordsOf(p, eventTable, w.events), w.events[0].At.at).QueryRow(func(row pgx.Row) error {
		return row.Scan(&w.events[0].BatchID)
	})
	p.reach(ctx, w.eventPoint())
}

// pgUpdate writes the changed rows, each guarded by how it was loaded.
func pgUpdate[R any](p *pgWriter, t table, pairs []pair[R]) {
	if len(pairs) == 0 {
		return
	}
	was, now := make([]R, len(pairs)), make([]R, len(pairs))
	for i, pair := range pairs {
		was[i], now[i] = pair.was, pair.now
	}
	p.batch.Queue(p.layout.tables[t.name].update, recordsOf(p, t, now), recordsOf(p, t, was))
}

// reach is a point to die at between two statements: in a build with crash points, what came before is sent to the database
// first, so that dying there is dying there.
func (p *pgWriter) reach(ctx context.Context, point string) {
	if !crashpoint.Enabled || point == "" || p.err != nil {
		return
	}
	if p.err = p.conn.SendBatch(ctx, &p.batch).Close(); p.err == nil {
		p.batch = pgx.Batch{}
		crashpoint.Hit(point)
	}
}

func (p *pgWriter) commit(ctx context.Context) error {
	if p.err == nil {
		p.batch.Queue("COMMIT")
		p.err = p.conn.SendBatch(ctx, &p.batch).Close()
	}
	if p.err == nil {
		return nil
	}
	outcome := pgOutcome(p.err)
	if !errors.Is(outcome, errCommitUnknown) {
		return errors.Join(outcome, rollBack(ctx, p.conn))
	}
	return outcome
}

// pgOutcome classes the failure of a commit. What the server said before COMMIT is a definite rollback.
func pgOutcome(err error) error {
	var onServer *pgconn.PgError
	if errors.As(err, &onServer) && onServer.Code == "22012" {
		return fmt.Errorf("%w: %w", errLost, err)
	}
	return commitOutcome(err)
}

// pgIDs binds ids so that they travel in binary form.
func pgIDs[T ~[16]byte](ids []T) []pgtype.UUID {
	bound := make([]pgtype.UUID, len(ids))
	for i, id := range ids {
		bound[i] = pgtype.UUID{Bytes: id, Valid: true}
	}
	return bound
}
