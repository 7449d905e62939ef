package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	redigo "github.com/gomodule/redigo/redis"

	"florin/pkg/eventbus"
)

const (
	// connections is how many the bus opens at the most.
	connections = 8
	// doubtAfter is how long a connection may lie idle before it is asked whether it lives.
	doubtAfter = time.Second
	// idleFor is how long one is kept that nobody uses.
	idleFor = 5 * time.Minute
)

// client is the connections to one Redis. Who publishes and who reads try again themselves, and
// know what comes after what, so the client does not.
type client struct {
	pool *redigo.Pool
}

// dialer opens connections.
type dialer struct {
	broker  eventbus.Broker
	master  string // what the sentinels call it; "" where the one host is the server
	secured *tls.Config
}

// newClient makes a client that connects when it is used.
func newClient(d dialer) *client {
	return &client{
		pool: &redigo.Pool{
			DialContext:         d.dial,
			TestOnBorrowContext: d.check,
			MaxIdle:             connections,
			MaxActive:           connections,
			Wait:                true,
			IdleTimeout:         idleFor,
		},
	}
}

func (d dialer) dial(ctx context.Context) (redigo.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialWithin)
	defer cancel()
	if d.master == "" {
		return d.open(
			ctx,
			d.broker.Hosts[0],
			redigo.DialUsername(d.broker.User),
			redigo.DialPassword(d.broker.Password),
			redigo.DialClientName("florin"),
		)
	}
	address, err := d.findMaster(ctx)
	if err != nil {
		return nil, err
	}
	conn, err := d.open(
		ctx,
		address,
		redigo.DialUsername(d.broker.User),
		redigo.DialPassword(d.broker.Password),
		redigo.DialClientName("florin"),
	)
	if err != nil {
		return nil, err
	}
	// A sentinel tells of a failover later than it happens.
	if err := isMaster(ctx, conn); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

func (d dialer) open(
	ctx context.Context,
	address string,
	options ...redigo.DialOption,
) (redigo.Conn, error) {
	return redigo.DialContext(
		ctx,
		"tcp",
		address,
		append(options, redigo.DialContextFunc(d.connect),
			redigo.DialReadTimeout(publishWithin), redigo.DialWriteTimeout(publishWithin))...)
}

// connect is TCP, and TLS where the URL says so, within the deadline of ctx.
func (d dialer) connect(ctx context.Context, network, address string) (net.Conn, error) {
	plain := &net.Dialer{Timeout: dialWithin}
	if d.secured == nil {
		return plain.DialContext(ctx, network, address)
	}
	return (&tls.Dialer{NetDialer: plain, Config: d.secured}).DialContext(ctx, network, address)
}

// findMaster asks one sentinel after the other.
func (d dialer) findMaster(ctx context.Context) (string, error) {
	var failures []error
	for _, host := range d.broker.Hosts {
		address, err := d.askSentinel(ctx, host)
		if err == nil {
			return address, nil
		}
		failures = append(failures, fmt.Errorf("sentinel %s: %w", host, err))
	}
	return "", errors.Join(failures...)
}

// askSentinel leaves time for the other sentinels where this one does not answer.
func (d dialer) askSentinel(ctx context.Context, host string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, dialWithin/time.Duration(len(d.broker.Hosts)+1))
	defer cancel()
	conn, err := d.open(ctx, host)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	said, err := redigo.Strings(
		redigo.DoContext(conn, ctx, "SENTINEL", "get-master-addr-by-name", d.master),
	)
	if err != nil {
		return "", err
	}
	if len(said) != 2 {
		return "", errors.New("does not say where the master is")
	}
	return net.JoinHostPort(said[0], said[1]), nil
}

// check refuses an idle connection that is dead, or whose server is no master any more.
func (d dialer) check(ctx context.Context, conn redigo.Conn, used time.Time) error {
	if d.master != "" {
		return isMaster(ctx, conn)
	}
	if time.Since(used) < doubtAfter {
		return nil
	}
	_, err := redigo.DoWithTimeout(conn, within(ctx, dialWithin), "PING")
	return err
}

func isMaster(ctx context.Context, conn redigo.Conn) error {
	said, err := redigo.Values(redigo.DoWithTimeout(conn, within(ctx, dialWithin), "ROLE"))
	if err != nil {
		return err
	}
	if role, err := redigo.String(said[0], nil); err != nil || role != "master" {
		return errors.New("the server is not the master")
	}
	return nil
}

// within is how long an exchange may take: limit, or what is left of ctx.
func within(ctx context.Context, limit time.Duration) time.Duration {
	if deadline, set := ctx.Deadline(); set {
		limit = min(limit, time.Until(deadline))
	}
	// No time at all would be no limit.
	return max(limit, time.Millisecond)
}

// do is one command. A connection that failed is closed when it is given back.
func (c *client) do(ctx context.Context, command string, arguments ...any) (any, error) {
	conn, err := c.pool.GetContext(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return redigo.DoWithTimeout(conn, within(ctx, publishWithin), command, arguments...)
}

// pipeline sends commands at once, and gives the answer or the error of each.
func (c *client) pipeline(ctx context.Context, command string, each [][]any) []error {
	results := make([]error, len(each))
	conn, err := c.pool.GetContext(ctx)
	if err == nil {
		defer conn.Close()
		err = sendAll(conn, command, each)
	}
	for i := range results {
		if err != nil {
			results[i] = err
			continue
		}
		_, results[i] = redigo.ReceiveWithTimeout(conn, within(ctx, publishWithin))
		// A connection that broke answers nothing more.
		err = conn.Err()
	}
	return results
}

func sendAll(conn redigo.Conn, command string, each [][]any) error {
	for _, arguments := range each {
		if err := conn.Send(command, arguments...); err != nil {
			return err
		}
	}
	return conn.Flush()
}

// run is a script, by its hash where the server knows it.
func (c *client) run(
	ctx context.Context,
	script *redigo.Script,
	keysAndArguments ...any,
) (int, error) {
	conn, err := c.pool.GetContext(ctx)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	return redigo.Int(script.DoContext(ctx, conn, keysAndArguments...))
}

func (c *client) close() error { return c.pool.Close() }

// entry is one of a stream. fields is nil where the stream keeps it no longer.
type entry struct {
	id     string
	fields map[string]string
}

// errReply: the server's answer is not of the form that the command has.
var errReply = errors.New("the answer is not what the command gives")

// readEntries reads [[id, [field, value, …]], …].
func readEntries(reply any) ([]entry, error) {
	listed, err := redigo.Values(reply, nil)
	if err != nil {
		return nil, errReply
	}
	entries := make([]entry, 0, len(listed))
	for _, one := range listed {
		if one == nil {
			continue
		}
		pair, err := redigo.Values(one, nil)
		if err != nil || len(pair) != 2 {
			return nil, errReply
		}
		id, err := redigo.String(pair[0], nil)
		if err != nil {
			return nil, errReply
		}
		e := entry{id: id}
		if pair[1] != nil {
			if e.fields, err = redigo.StringMap(pair[1], nil); err != nil {
				return nil, errReply
			}
		}
		entries = append(entries, e)
	}
	return entries, nil
}
