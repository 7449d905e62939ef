package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// startsWithin and stopsWithin bound the server's two ends; its own orderly end takes at most 23 s.
	startsWithin = 30 * time.Second
	stopsWithin  = 30 * time.Second
	// askEvery is how often a server that starts is asked, which is how exactly its start is known.
	askEvery = time.Millisecond
)

// buildServer builds the program as `make build` does and returns its path.
func buildServer(ctx context.Context, folder string) (string, error) {
	path := filepath.Join(folder, "florin")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, "florin/cmd/florin")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the server: %w: %s", err, output)
	}
	return path, nil
}

// serverProcess is a server in a process of its own.
type serverProcess struct {
	cmd     *exec.Cmd
	address string
	admin   string // the address of the metrics
	folder  string
	ended   chan error
	// start is the time from exec to the first answer of /readyz that says 200.
	start time.Duration
}

// serverOptions say what a server runs on.
type serverOptions struct {
	binary, folder, databaseURL, bankURL string
	laneBatch                            int    // operations in one commit at the most, 0 for the server's default
	brokerURL                            string // "" for none
}

// startServer starts the server with everything on but the limit of requests, and waits for its first answer.
func startServer(ctx context.Context, o serverOptions) (*serverProcess, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	admin, err := freeAddress()
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(filepath.Join(o.folder, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	s := &serverProcess{cmd: exec.Command(o.binary, "serve"), address: address, admin: admin, folder: o.folder, ended: make(chan error, 1)}
	s.cmd.Env = o.environment(address, admin)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	began := time.Now()
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the server: %w", err)
	}
	go func() { s.ended <- s.cmd.Wait() }()
	if err := s.awaitAnswer(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start the server: %w", err), s.stop(), s.lastWords())
	}
	s.start = time.Since(began)
	return s, nil
}

func (o serverOptions) environment(address, admin string) []string {
	env := []string{"PATH=" + os.Getenv("PATH"), "DATA_DIR=" + o.folder, "DATABASE_URL=" + o.databaseURL, "HTTP_ADDR=" + address,
		"ADMIN_ADDR=" + admin, "ADMIN_PASSWORD=" + password, "RATE_LIMIT=off", "MOCK_BANK_URL=" + o.bankURL,
		"OPEN_DEPOSITS_PER_USER=1000000", "ACCOUNTS_PER_USER=1000000",
		"MOCK_BANK_API_KEY=" + bankKey, "MOCK_WEBHOOK_SECRET=" + bankWebhookSecret}
	if o.brokerURL != "" {
		env = append(env, "EVENT_BUS_URL="+o.brokerURL, "WEBHOOK_ALLOW_PRIVATE=true")
	}
	if o.laneBatch > 0 {
		env = append(env, fmt.Sprintf("FLORIN_LANE_BATCH=%d", o.laneBatch))
	}
	return env
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func (s *serverProcess) awaitAnswer(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startsWithin)
	defer cancel()
	c := &conn{address: s.address}
	defer c.close()
	for {
		status, _, err := c.call(ctx, http.MethodGet, "/readyz", "")
		if err == nil && status == http.StatusOK {
			return nil
		}
		select {
		case err := <-s.ended:
			s.ended <- err
			return fmt.Errorf("it ended: %w", err)
		default:
		}
		if !waitUntil(ctx, time.Now().Add(askEvery)) {
			return fmt.Errorf("no answer: %w", errors.Join(ctx.Err(), err))
		}
	}
}

// stop ends the server in order, and by force where that does not end it. It may be called more than once.
func (s *serverProcess) stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case err := <-s.ended:
		s.ended <- err
		if err != nil {
			return errors.Join(fmt.Errorf("the server ended: %w", err), s.lastWords())
		}
		return nil
	case <-time.After(stopsWithin):
		return errors.Join(errors.New("the server did not end"), s.cmd.Process.Kill(), s.lastWords())
	}
}

// lastWords is the end of the server's log, as an error.
func (s *serverProcess) lastWords() error {
	content, err := os.ReadFile(filepath.Join(s.folder, "log"))
	if err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSpace(string(content)), "\n")
	return errors.New("its log ends with:\n" + strings.Join(lines[max(0, len(lines)-5):], "\n"))
}

// relayMetric is the age in seconds of the oldest committed event that the relay has not taken yet.
const relayMetric = "florin_oldest_event_without_position"

// relayAge reads relayMetric, as whoever scrapes the metrics does.
func (s *serverProcess) relayAge(ctx context.Context) (time.Duration, error) {
	c := &conn{address: s.admin}
	defer c.close()
	status, answer, err := c.call(ctx, http.MethodGet, "/metrics", "")
	if failure := failureOf(status, err, http.StatusOK); failure != "" {
		return 0, fmt.Errorf("read the metrics: %s", failure)
	}
	for line := range strings.Lines(string(answer)) {
		if strings.HasPrefix(line, relayMetric) {
			value := line[strings.LastIndexByte(strings.TrimSpace(line), ' ')+1:]
			seconds, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			return time.Duration(seconds * float64(time.Second)), err
		}
	}
	return 0, errors.New("read the metrics: there is no " + relayMetric)
}

// awaitRelay waits until every committed event has been taken, so that no cell leaves work to the next one.
func (s *serverProcess) awaitRelay(ctx context.Context) error {
	deadline := time.Now().Add(settledWithin)
	for {
		age, err := s.relayAge(ctx)
		switch {
		case err != nil:
			return err
		case age == 0:
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("the relay is %s behind, %s after the load", age, settledWithin)
		}
		if !waitUntil(ctx, time.Now().Add(20*time.Millisecond)) {
			return ctx.Err()
		}
	}
}

// complaints is how often the log has a line of the level, or says that the database was locked.
func (s *serverProcess) complaints() (int, error) {
	content, err := os.ReadFile(filepath.Join(s.folder, "log"))
	if err != nil {
		return 0, err
	}
	n := 0
	for line := range strings.Lines(string(content)) {
		if strings.Contains(line, `"level":"ERROR"`) || strings.Contains(line, "database is locked") {
			n++
		}
	}
	return n, nil
}

// verifyBooks has the program check every invariant of the books in a database that no server uses.
func verifyBooks(ctx context.Context, o serverOptions) error {
	verify := exec.CommandContext(ctx, o.binary, "verify")
	verify.Env = o.environment("127.0.0.1:0", "127.0.0.1:0")
	if output, err := verify.CombinedOutput(); err != nil {
		return fmt.Errorf("verify the books: %w: %s", err, output)
	}
	return nil
}
