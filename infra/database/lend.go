package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// errConnWait says that no connection came free in time.
var errConnWait = errors.New("no free database connection in time")

// boundedConnector bounds the wait for a connection, whatever deadline the caller has: database/sql itself waits as
// long as the context lives, and that context is also the statement's. The pool must be behind the connector, so the
// sql.DB in front keeps no idle connections.
type boundedConnector struct {
	driver.Connector
	wait time.Duration
}

// Connect returns the caller's own context error as it is, and any other failure as errUnavailable.
func (b boundedConnector) Connect(ctx context.Context) (driver.Conn, error) {
	limited, cancel := context.WithTimeoutCause(ctx, b.wait, errConnWait)
	defer cancel()
	conn, err := b.Connector.Connect(limited)
	return conn, connectError(ctx, limited, err)
}

// connectError classes the failure of a connect under limited, which was derived from the caller's ctx.
func connectError(ctx, limited context.Context, err error) error {
	switch {
	case err == nil, ctx.Err() != nil:
		return err
	case errors.Is(context.Cause(limited), errConnWait):
		return fmt.Errorf("%w: %w", errUnavailable, errConnWait)
	default:
		return fmt.Errorf("%w: %w", errUnavailable, err)
	}
}

func openBounded(connector driver.Connector, wait time.Duration) *sql.DB {
	db := sql.OpenDB(boundedConnector{Connector: connector, wait: wait})
	db.SetMaxIdleConns(0)
	return db
}

// lender is a pool of at most cap(slots) open connections behind a driver.Connector: Connect lends one, Close on it gives
// it back. Waiters are served in their order.
type lender struct {
	driver.Connector
	slots chan struct{}

	mu     sync.Mutex
	idle   []*compiled
	closed bool
}

func newLender(connector driver.Connector, size int) *lender {
	return &lender{Connector: connector, slots: make(chan struct{}, size)}
}

// conn is what database/sql uses of a modernc connection.
type conn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.Validator
}

// compiledLimit is how many statements a connection keeps compiled. The program has fewer.
const compiledLimit = 256

// compiled is a connection that keeps the statements that write, compiled: a commit is a few of them, again and again.
type compiled struct {
	conn
	statements map[string]driver.StmtExecContext
}

// ExecContext runs a single statement in its compiled form.
func (c *compiled) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	statement, ok := c.statements[query]
	if ok {
		return statement.ExecContext(ctx, args)
	}
	if len(args) == 0 || strings.Contains(query, ";") || len(c.statements) >= compiledLimit {
		return c.conn.ExecContext(ctx, query, args)
	}
	prepared, err := c.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	statement, ok = prepared.(driver.StmtExecContext)
	if !ok {
		return nil, errors.Join(fmt.Errorf("statement type %T", prepared), prepared.Close())
	}
	c.statements[query] = statement
	return statement.ExecContext(ctx, args)
}

// Close gives the compiled statements back before the connection.
func (c *compiled) Close() error {
	var failures []error
	for _, statement := range c.statements {
		failures = append(failures, statement.(driver.Stmt).Close())
	}
	return errors.Join(append(failures, c.conn.Close())...)
}

// lent is a connection on loan.
type lent struct {
	*compiled
	from *lender
}

func (l *lender) Connect(ctx context.Context) (driver.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	l.mu.Lock()
	if last := len(l.idle) - 1; last >= 0 {
		c := l.idle[last]
		l.idle = l.idle[:last]
		l.mu.Unlock()
		return &lent{compiled: c, from: l}, nil
	}
	l.mu.Unlock()
	opened, err := l.Connector.Connect(ctx)
	if err != nil {
		<-l.slots
		return nil, err
	}
	c, ok := opened.(conn)
	if !ok {
		<-l.slots
		return nil, errors.Join(fmt.Errorf("connection type %T", opened), opened.Close())
	}
	return &lent{compiled: &compiled{conn: c, statements: map[string]driver.StmtExecContext{}}, from: l}, nil
}

// Close gives the connection back, or closes it when it is broken.
func (c *lent) Close() error {
	defer func() { <-c.from.slots }()
	c.from.mu.Lock()
	defer c.from.mu.Unlock()
	if c.from.closed || !c.IsValid() {
		return c.compiled.Close()
	}
	c.from.idle = append(c.from.idle, c.compiled)
	return nil
}

// close closes what is not on loan now, and each loan when it comes back.
func (l *lender) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var failures []error
	for _, c := range l.idle {
		failures = append(failures, c.Close())
	}
	l.idle, l.closed = nil, true
	return errors.Join(failures...)
}
