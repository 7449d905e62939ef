package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"florin/infra/database"
	"florin/infra/database/databasetest"
	"florin/infra/database/databasetest/oracle"
)

// world is one database with a server, a bank, clients, and the links between them.
type world struct {
	settings settings
	dialect  database.Dialect
	program  string
	folder   string
	say      func(format string, args ...any)

	links    *links
	postgres *databasetest.Server // nil on SQLite
	direct   string               // the database's URL past the proxy
	env      []string             // of the server
	front    string               // where clients find the server
	bankAt   string               // where the bank is, past the proxy
	bank     *process
	server   *server
	log      *journal
	logPath  string

	users    []*customer
	accounts []*oracle.Account
	clients  []*client
	loggedIn time.Time
	history  *history
	result   *result
}

// openWorld starts everything. close ends what it has started, also after an error.
func openWorld(ctx context.Context, s settings, dialect database.Dialect, program string, say func(string, ...any)) (*world, error) {
	w := &world{settings: s, dialect: dialect, program: program, say: say, links: newLinks(), history: &history{},
		result: &result{Database: string(dialect), Seed: s.seed, Died: map[string]int{}, Troubles: map[string]int{}}}
	var err error
	if w.folder, err = os.MkdirTemp("", "florin-chaos-"); err != nil {
		return w, err
	}
	w.logPath = filepath.Join(w.folder, "log")
	file, err := os.OpenFile(w.logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return w, err
	}
	w.log = newJournal(file)
	through, err := w.openDatabase(ctx)
	if err != nil {
		return w, err
	}
	// The proxy in front of the server is there before the server is.
	if w.front, err = w.links.open(frontLink, "127.0.0.1:1"); err != nil {
		return w, err
	}
	bankURL, err := w.openBank(ctx)
	if err != nil {
		return w, err
	}
	w.env = []string{"PATH=" + os.Getenv("PATH"), "DATA_DIR=" + filepath.Join(w.folder, "server"), "DATABASE_URL=" + through,
		"HTTP_ADDR=127.0.0.1:0", "ADMIN_ADDR=127.0.0.1:0", "JWT_SECRET=" + jwtSecret, "ADMIN_PASSWORD=" + password, "RATE_LIMIT=off",
		"OPEN_DEPOSITS_PER_USER=100000", "ACCOUNTS_PER_USER=100000",
		"MOCK_BANK_URL=" + bankURL, "MOCK_BANK_API_KEY=" + bankKey, "MOCK_WEBHOOK_SECRET=" + webhookSecret, "FLORIN_TEST_CONTROL=stdin"}
	if err := w.startServer(ctx); err != nil {
		return w, err
	}
	return w, w.openClients(s.random)
}

// openDatabase returns the URL for the server.
func (w *world) openDatabase(ctx context.Context) (through string, err error) {
	if w.dialect == database.SQLite {
		w.direct = "sqlite://" + filepath.Join(w.folder, "server", "florin.db")
		return w.direct, nil
	}
	// A server that is killed leaves what it has written to the kernel; it syncs all the same, because that is part of the load.
	if w.postgres, err = databasetest.Start(ctx, "fsync=on", "full_page_writes=on"); err != nil {
		return "", err
	}
	w.direct = w.postgres.URL
	u, err := url.Parse(w.direct)
	if err != nil {
		return "", err
	}
	if u.Host, err = w.links.open(databaseLink, u.Host); err != nil {
		return "", err
	}
	return u.String(), nil
}

// openBank returns the URL for the server.
func (w *world) openBank(ctx context.Context) (through string, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	w.bankAt = listener.Addr().String()
	if err := listener.Close(); err != nil {
		return "", err
	}
	env := []string{"DATA_DIR=" + filepath.Join(w.folder, "bank"), "MOCK_BANK_API_KEY=" + bankKey, "MOCK_WEBHOOK_SECRET=" + webhookSecret,
		"MOCK_BANK_WEBHOOK_URL=http://" + w.front + "/webhook/mock", "MOCK_AUTOCOMPLETE=100ms"}
	if w.bank, err = startBank(ctx, w.program, w.bankAt, env, newJournal(w.log.file)); err != nil {
		return "", err
	}
	address, err := w.links.open(bankLink, w.bankAt)
	return "http://" + address, err
}

func (w *world) startServer(ctx context.Context) (err error) {
	if w.server, err = startServer(ctx, w.program, w.env, w.log); err != nil {
		return err
	}
	return w.links.point(frontLink, w.server.address)
}

func (w *world) close() error {
	var failures []error
	if w.server != nil && !w.server.gone() {
		failures = append(failures, w.server.stop())
	}
	if w.bank != nil {
		endBank(w.bank)
	}
	w.links.close()
	if w.postgres != nil {
		failures = append(failures, w.postgres.Stop())
	}
	if w.log != nil {
		failures = append(failures, w.log.file.Close())
	}
	if w.result.OK {
		failures = append(failures, os.RemoveAll(w.folder))
	}
	return errors.Join(failures...)
}

// live runs one cycle and checks what it leaves.
func (w *world) live(ctx context.Context, number int, c cycle) error {
	if err := w.logIn(); err != nil {
		return err
	}
	stop, resolved := w.load()
	for _, s := range c {
		if err := w.step(ctx, s); err != nil {
			stop()
			return err
		}
	}
	if err := w.pass(ctx, between(w.settings.random(uint64(number)<<32), 100*time.Millisecond, 300*time.Millisecond)); err != nil { //nolint:gosec // a small number
		stop()
		return err
	}
	resumed := make(chan error, 1)
	go func() { resumed <- w.awaitStranded(ctx) }()
	resolved()
	if err := <-resumed; err != nil {
		return err
	}
	return w.check(ctx)
}

func (w *world) pass(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *world) step(ctx context.Context, s step) error {
	before := s.load
	if s.trouble != nil {
		before /= 2
		if err := w.trouble(ctx, s.trouble); err != nil {
			return err
		}
	}
	if err := w.pass(ctx, before); err != nil {
		return err
	}
	switch s.kills {
	case theServer:
		return w.killServer(ctx, s.point)
	case thePostgres:
		return w.killPostgres(ctx)
	default:
		return nil
	}
}

// trouble blocks until the disturbance is over.
func (w *world) trouble(ctx context.Context, d *disturbance) error {
	w.result.Troubles[d.called]++
	begin, end := func() error { return w.links.disturb(d) }, func() error { return w.links.calm(d) }
	if d.link == "" {
		begin = func() error { return w.server.signal(syscall.SIGSTOP) }
		end = func() error { return w.server.signal(syscall.SIGCONT) }
	}
	if err := begin(); err != nil {
		return err
	}
	return errors.Join(w.pass(ctx, d.lasts), end())
}

// pointWithin is how long the load may take to reach a crash point before the server is killed wherever it is.
const pointWithin = 500 * time.Millisecond

func (w *world) killServer(ctx context.Context, point string) error {
	if w.server.gone() {
		return fmt.Errorf("the server ended by itself: %s\n%s", w.server.command.ProcessState, w.log.tail())
	}
	where := "anywhere"
	if point != "" {
		if _, err := fmt.Fprintln(w.server.control, point); err != nil {
			return err
		}
		select {
		case <-w.server.ended:
			where = point
		case <-time.After(pointWithin):
		}
	}
	w.server.kill()
	died := time.Now()
	w.result.Kills++
	w.result.Died[where]++
	w.result.lastKill = died
	if err := w.startServer(ctx); err != nil {
		return err
	}
	w.result.serving.add(time.Since(died))
	return nil
}

func (w *world) killPostgres(ctx context.Context) error {
	if err := w.postgres.Kill(); err != nil {
		return err
	}
	w.result.PostgresKills++
	if err := w.pass(ctx, between(w.settings.random(uint64(w.result.PostgresKills)<<40), 0, 400*time.Millisecond)); err != nil { //nolint:gosec // a count
		return err
	}
	if err := w.postgres.Restart(ctx); err != nil {
		return err
	}
	back := time.Now()
	if w.server.gone() {
		return fmt.Errorf("the server ended when its database was killed: %s\n%s", w.server.command.ProcessState, w.log.tail())
	}
	within, cancel := context.WithTimeout(ctx, servesWithin)
	defer cancel()
	if err := w.server.awaitReady(within); err != nil {
		return fmt.Errorf("after the kill of PostgreSQL: %w", err)
	}
	w.result.postgresBack.add(time.Since(back))
	w.result.lastKill = back
	return nil
}

// open opens the database past the proxy. It is closed before the next kill, so that a server finds the files as the one before
// has left them.
func (w *world) open(ctx context.Context) (*database.DB, error) {
	return database.Open(ctx, w.direct, database.Options{Logger: slog.New(slog.DiscardHandler), ConnWait: 10 * time.Second})
}

// unexplained notes an answer that belongs to no class, with what the log says of its request.
func (w *world) unexplained(got answer, o *oracle.Operation) {
	w.history.find("unexplained answer %d %s, request %s: %s: %s", got.status, got.Code, got.RequestID, got.Detail, o)
	if got.RequestID != "" {
		for _, line := range find(w.logPath, got.RequestID) {
			w.say("  %s", line)
		}
	}
}
