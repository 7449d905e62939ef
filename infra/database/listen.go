package database

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pgx/v5"
)

// Listener hears on PostgreSQL what other servers have committed and moved, over one connection of its own.
// What it misses while the connection is broken, polling finds.
type Listener struct {
	// URL is the database's, as for Open.
	URL string
	// Own is the log of this process, whose own notifications are passed over: what it moves it knows. It may be nil.
	Own *Log
	// RelayNudged is called when another server's events wait for a relay; it must not block.
	RelayNudged func()
	// LogGrew is called when events got positions elsewhere, with the last of them, or 0 where it is not known; it must not block.
	LogGrew func(position int64)
	// Logger is slog.Default() when nil.
	Logger *slog.Logger
	// RetryMin and RetryMax bound the growing time between two attempts to connect: 100 ms and 10 s when 0.
	RetryMin, RetryMax time.Duration
}

const (
	listenConnectLimit = 5 * time.Second
	// A connection that a firewall has dropped says nothing: it is asked this often whether it lives.
	listenProbeEvery = 30 * time.Second
)

// Run listens until ctx ends, and connects again whenever the connection breaks. It returns nil.
func (l Listener) Run(ctx context.Context) error {
	if l.Logger == nil {
		l.Logger = slog.Default()
	}
	setIfZero(&l.RetryMin, 100*time.Millisecond)
	setIfZero(&l.RetryMax, 10*time.Second)
	retry := backoff.NewExponentialBackOff()
	retry.InitialInterval, retry.MaxInterval = l.RetryMin, l.RetryMax
	retry.Reset()
	for ctx.Err() == nil {
		err := l.listen(ctx, retry.Reset)
		if ctx.Err() != nil {
			break
		}
		wait := retry.NextBackOff()
		l.Logger.WarnContext(ctx, "listening for events interrupted", slogError(err), slog.Duration("retry_in", wait))
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
	return nil
}

// listen returns when the connection breaks or ctx ends.
func (l Listener) listen(ctx context.Context, connected func()) error {
	config, err := pgx.ParseConfig(l.URL)
	if err != nil {
		return err
	}
	config.RuntimeParams["application_name"] = "florin-listen"
	config.ConnectTimeout = listenConnectLimit
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer func() {
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(ending)
	}()
	for _, channel := range []string{logChannel, relayChannel} {
		if _, err := conn.Exec(ctx, "LISTEN "+channel); err != nil {
			return err
		}
	}
	connected()
	// Whatever was notified before the connection stood is found by looking once.
	l.RelayNudged()
	l.LogGrew(0)
	for {
		if err := l.next(ctx, conn); err != nil {
			return err
		}
	}
}

// next waits for one notification and passes it on; when none comes for long, it makes sure that the connection lives.
func (l Listener) next(ctx context.Context, conn *pgx.Conn) error {
	waiting, cancel := context.WithTimeout(ctx, listenProbeEvery)
	defer cancel()
	notification, err := conn.WaitForNotification(waiting)
	switch {
	case err == nil && notification.Channel == logChannel:
		last, by, _ := strings.Cut(notification.Payload, " ")
		if l.Own != nil && by == l.Own.name {
			return nil
		}
		// What is no position only says that there is something to see.
		position, _ := strconv.ParseInt(last, 10, 64)
		l.LogGrew(position)
	case err == nil:
		l.RelayNudged()
	case ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded):
		probing, stop := context.WithTimeout(ctx, listenConnectLimit)
		defer stop()
		return conn.Ping(probing)
	default:
		return err
	}
	return nil
}
