package sqlline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// The statements that the lines share. FOR NO KEY UPDATE in the order of the ids: the same locks that Florin takes.
const (
	lockSQL     = "SELECT id, posted FROM accounts WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE"
	moveSQL     = "UPDATE accounts SET posted = posted + $2, updated_at = $3 WHERE id = $1"
	transferSQL = "INSERT INTO transfers (id, source_id, destination_id, amount, currency, created_at) VALUES ($1, $2, $3, $4, 'EUR', $5)"
	entriesSQL  = "INSERT INTO entries (transfer_id, line, account_id, amount, posted_at) VALUES ($1, 1, $2, -$4::bigint, $5), ($1, 2, $3, $4, $5)"
	outboxSQL   = "INSERT INTO outbox (id, transfer_id, payload, created_at) VALUES ($1, $2, $3, $4)"
)

var errFunds = errors.New("not enough funds")

// Transfer is line d: one double-entry transfer per transaction, a statement at a time, as most programs do it.
func (c *Client) Transfer(ctx context.Context, from, to int) error {
	m := c.newMove(from, to)
	tx, err := c.conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback(ctx)
	rows, err := tx.Query(ctx, lockSQL, []pgtype.UUID{m.source, m.destination})
	if err != nil {
		return err
	}
	if err := m.checkFunds(rows); err != nil {
		return err
	}
	for _, s := range m.statements() {
		if _, err := tx.Exec(ctx, s.sql, s.args...); err != nil {
			return err
		}
	}
	return tx.Commit(ctx)
}

// TransferPipelined is line dp: the same statements in two round trips, which holds the locks for less time.
func (c *Client) TransferPipelined(ctx context.Context, from, to int) error {
	m := c.newMove(from, to)
	return c.inTwoTrips(ctx, []pgtype.UUID{m.source, m.destination}, m.checkFunds, m.statements)
}

// Credit is line b: one deposit credited per transaction, a statement at a time. The clearing account on the other side is
// neither locked nor updated.
func (c *Client) Credit(ctx context.Context, account int) error {
	m := newMoveBetween(clearing, c.books.accounts[account])
	tx, err := c.conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback(ctx)
	var id pgtype.UUID
	var posted int64
	if err := tx.QueryRow(ctx, lockSQL, []pgtype.UUID{m.destination}).Scan(&id, &posted); err != nil {
		return err
	}
	for _, s := range m.statements()[1:] { // all but the debit of the source
		if _, err := tx.Exec(ctx, s.sql, s.args...); err != nil {
			return err
		}
	}
	return tx.Commit(ctx)
}

// Pair is a transfer between two accounts, by their numbers.
type Pair struct{ From, To int }

// TransferMany is line e: many transfers in one commit, with one set-based statement per table, in two round trips.
func (c *Client) TransferMany(ctx context.Context, pairs []Pair) error {
	moves := make([]move, len(pairs))
	deltas := make(map[pgtype.UUID]int64, 2*len(pairs))
	for i, p := range pairs {
		moves[i] = c.newMove(p.From, p.To)
		deltas[moves[i].source] -= amount
		deltas[moves[i].destination] += amount
	}
	ids := make([]pgtype.UUID, 0, len(deltas))
	for id := range deltas {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b pgtype.UUID) int { return bytes.Compare(a.Bytes[:], b.Bytes[:]) })
	funded := func(rows pgx.Rows) error {
		return eachBalance(rows, len(ids), func(id pgtype.UUID, posted int64) error {
			if posted+deltas[id] < 0 {
				return errFunds
			}
			return nil
		})
	}
	return c.inTwoTrips(ctx, ids, funded, func() []statement { return manyStatements(moves, ids, deltas) })
}

func manyStatements(moves []move, ids []pgtype.UUID, deltas map[pgtype.UUID]int64) []statement {
	n := len(moves)
	transfers, sources, destinations, outbox := make([]pgtype.UUID, n), make([]pgtype.UUID, n), make([]pgtype.UUID, n), make([]pgtype.UUID, n)
	payloads := make([]string, n)
	for i, m := range moves {
		transfers[i], sources[i], destinations[i], outbox[i], payloads[i] = m.id, m.source, m.destination, m.outboxID, m.payload()
	}
	changes := make([]int64, len(ids))
	for i, id := range ids {
		changes[i] = deltas[id]
	}
	at := moves[0].at
	return []statement{
		{"UPDATE accounts a SET posted = a.posted + d.delta, updated_at = $3 FROM unnest($1::uuid[], $2::bigint[]) AS d (id, delta) WHERE a.id = d.id",
			[]any{ids, changes, at}},
		{"INSERT INTO transfers (id, source_id, destination_id, amount, currency, created_at) " +
			"SELECT t.id, t.source, t.destination, $4, 'EUR', $5 FROM unnest($1::uuid[], $2::uuid[], $3::uuid[]) AS t (id, source, destination)",
			[]any{transfers, sources, destinations, int64(amount), at}},
		{"INSERT INTO entries (transfer_id, line, account_id, amount, posted_at) " +
			"SELECT t.id, l.line, CASE l.line WHEN 1 THEN t.source ELSE t.destination END, CASE l.line WHEN 1 THEN -$4::bigint ELSE $4 END, $5 " +
			"FROM unnest($1::uuid[], $2::uuid[], $3::uuid[]) AS t (id, source, destination), (VALUES (1), (2)) AS l (line)",
			[]any{transfers, sources, destinations, int64(amount), at}},
		{"INSERT INTO outbox (id, transfer_id, payload, created_at) " +
			"SELECT o.id, o.transfer_id, o.payload, $4 FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS o (id, transfer_id, payload)",
			[]any{outbox, transfers, payloads, at}},
	}
}

type statement struct {
	sql  string
	args []any
}

// move is one movement of money with the ids of its rows.
type move struct {
	id, outboxID, source, destination pgtype.UUID
	at                                time.Time
}

func (c *Client) newMove(from, to int) move {
	return newMoveBetween(c.books.accounts[from], c.books.accounts[to])
}

// newID is bound as pgtype.UUID, which pgx sends in binary; an array of other types goes over text.
func newID() pgtype.UUID { return pgtype.UUID{Bytes: uuid.Must(uuid.NewV7()), Valid: true} }

func newMoveBetween(source, destination pgtype.UUID) move {
	return move{id: newID(), outboxID: newID(), source: source, destination: destination, at: now()}
}

// checkFunds reads the locked rows: both accounts, of which the source must have the amount.
func (m move) checkFunds(rows pgx.Rows) error {
	return eachBalance(rows, 2, func(id pgtype.UUID, posted int64) error {
		if id == m.source && posted < amount {
			return errFunds
		}
		return nil
	})
}

// statements begin with the debit of the source.
func (m move) statements() []statement {
	return []statement{
		{moveSQL, []any{m.source, int64(-amount), m.at}},
		{moveSQL, []any{m.destination, int64(amount), m.at}},
		{transferSQL, []any{m.id, m.source, m.destination, int64(amount), m.at}},
		{entriesSQL, []any{m.id, m.source, m.destination, int64(amount), m.at}},
		{outboxSQL, []any{m.outboxID, m.id, m.payload(), m.at}},
	}
}

// payload is about as long as the event that Florin stores.
func (m move) payload() string {
	return fmt.Sprintf(`{"type":"transfer.completed","transfer_id":%q,"source_id":%q,"destination_id":%q,"amount":%d,"currency":"EUR","status":"completed","at":%q}`,
		m.id.String(), m.source.String(), m.destination.String(), amount, m.at.Format(time.RFC3339Nano))
}

// inTwoTrips sends BEGIN with the locks, looks at the rows, and sends everything else with COMMIT.
func (c *Client) inTwoTrips(ctx context.Context, ids []pgtype.UUID, check func(pgx.Rows) error, then func() []statement) (err error) {
	defer func() {
		if err != nil {
			_, rollback := c.conn.Exec(ctx, "ROLLBACK")
			err = errors.Join(err, rollback)
		}
	}()
	locks := &pgx.Batch{}
	locks.Queue("BEGIN")
	locks.Queue(lockSQL, ids)
	answers := c.conn.SendBatch(ctx, locks)
	if _, err := answers.Exec(); err != nil {
		return errors.Join(err, answers.Close())
	}
	rows, err := answers.Query()
	if err == nil {
		err = check(rows)
	}
	if err = errors.Join(err, answers.Close()); err != nil {
		return err
	}
	writes := &pgx.Batch{}
	for _, s := range then() {
		writes.Queue(s.sql, s.args...)
	}
	writes.Queue("COMMIT")
	return c.conn.SendBatch(ctx, writes).Close()
}

// eachBalance reads the locked rows, of which there must be so many.
func eachBalance(rows pgx.Rows, want int, look func(id pgtype.UUID, posted int64) error) error {
	var id pgtype.UUID
	var posted int64
	seen := 0
	_, err := pgx.ForEachRow(rows, []any{&id, &posted}, func() error {
		seen++
		return look(id, posted)
	})
	if err == nil && seen != want {
		return fmt.Errorf("%d of %d accounts found", seen, want)
	}
	return err
}
