package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"florin/pkg/crashpoint"
)

// builtCrashing is the program with crash points, built once for the tests that hold it and removed behind the last.
var builtCrashing struct {
	sync.Mutex
	holders int
	folder  string
	err     error
}

// crashProgram is the path of the program with crash points. It is called before t.Parallel, so that the tests of a run share
// one build.
func crashProgram(t *testing.T) string {
	t.Helper()
	b := &builtCrashing
	b.Lock()
	defer b.Unlock()
	if b.holders == 0 {
		b.folder, b.err = buildCrashing()
	}
	b.holders++
	t.Cleanup(func() {
		b.Lock()
		defer b.Unlock()
		if b.holders--; b.holders == 0 {
			_ = os.RemoveAll(b.folder) // in the system's folder for what may be lost
		}
	})
	require.NoError(t, b.err)
	return filepath.Join(b.folder, "florin")
}

func buildCrashing() (folder string, err error) {
	if folder, err = os.MkdirTemp("", "florin-crash-"); err != nil {
		return "", err
	}
	build := exec.Command("go", "build", "-tags=crashpoint", "-ldflags=-s -w", "-o", filepath.Join(folder, "florin"), ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		return folder, fmt.Errorf("build the program with crash points: %w\n%s", err, output)
	}
	return folder, nil
}

// crashServer is the program with crash points in a process of its own.
type crashServer struct {
	command *exec.Cmd
	stdin   io.Writer
	url     string
	log     *serverLog
	ended   chan struct{} // closed once the process is gone
}

// start starts a server.
func (w *crashWorld) start() {
	w.t.Helper()
	s := &crashServer{command: exec.Command(w.program), log: &serverLog{said: make(chan saying, 16)}, ended: make(chan struct{})}
	s.command.Env = []string{
		"HTTP_ADDR=127.0.0.1:0", "ADMIN_ADDR=127.0.0.1:0", "DATA_DIR=" + w.folder, "DATABASE_URL=" + w.store,
		"JWT_SECRET=the-secret-of-the-crash-rig-that-signs-tokens", "ADMIN_PASSWORD=" + rigPassword, "RATE_LIMIT=off",
		"OPEN_DEPOSITS_PER_USER=100000", "ACCOUNTS_PER_USER=100000",
		"MOCK_BANK_URL=http://" + w.app.bankListener.Addr().String(), "MOCK_BANK_API_KEY=" + rigBankKey, "MOCK_WEBHOOK_SECRET=" + rigWebhookSecret,
		"FLORIN_TEST_CLOCK_AHEAD=" + time.Duration(w.offset.Load()).String(), "FLORIN_TEST_SINK=" + w.sink(), "FLORIN_TEST_CONTROL=stdin",
		crashpoint.EnvName + "=" + w.startArmed,
	}
	s.command.Stdout, s.command.Stderr = io.Discard, s.log
	var err error
	s.stdin, err = s.command.StdinPipe()
	require.NoError(w.t, err)
	require.NoError(w.t, s.command.Start())
	go func() {
		_ = s.command.Wait() // how it ended is in its state
		close(s.ended)
	}()
	w.server = s
	s.url = s.hear(w.t, "serving").URL
	w.url = s.url
}

// hear waits until the server says it.
func (s *crashServer) hear(t *testing.T, msg string) saying {
	t.Helper()
	patience := time.After(rigPatience)
	for {
		select {
		case said := <-s.log.said:
			if said.Msg == msg {
				return said
			}
		case <-s.ended:
			require.FailNow(t, "the server has ended", "never said: %s\n%s", msg, s.log)
		case <-patience:
			require.FailNow(t, "the server never said: "+msg, "%s", s.log)
		}
	}
}

// arm chooses where the server dies.
func (s *crashServer) arm(t *testing.T, point string) {
	t.Helper()
	_, err := fmt.Fprintln(s.stdin, point)
	require.NoError(t, err)
	require.Equal(t, point, s.hear(t, "armed").Point)
}

// awaitKill fails the test unless the process dies at its crash point.
func (s *crashServer) awaitKill(t *testing.T, point string) {
	t.Helper()
	select {
	case <-s.ended:
	case <-time.After(rigPatience):
		require.FailNow(t, "crash point "+point+" was never reached", "%s", s.log)
	}
	status, ok := s.command.ProcessState.Sys().(syscall.WaitStatus)
	require.True(t, ok && status.Signaled() && status.Signal() == syscall.SIGKILL, "ended by %s, not by crash point %s\n%s",
		s.command.ProcessState, point, s.log)
}

// kill ends the process of a test that has failed.
func (s *crashServer) kill() {
	_ = s.command.Process.Kill()
	<-s.ended
}

// terminate ends the process in order.
func (s *crashServer) terminate(t *testing.T) {
	t.Helper()
	require.NoError(t, s.command.Process.Signal(syscall.SIGTERM), "%s", s.log)
	select {
	case <-s.ended:
		require.True(t, s.command.ProcessState.Success(), "%s\n%s", s.command.ProcessState, s.log)
	case <-time.After(rigPatience):
		require.FailNow(t, "the server does not stop", "%s", s.log)
	}
}

// saying is a record of the log that a test waits for.
type saying struct{ Msg, URL, Point string }

// serverLog is what a server has written.
type serverLog struct {
	mu      sync.Mutex
	content bytes.Buffer
	line    []byte
	said    chan saying
}

func (l *serverLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.content.Write(p)
	for _, b := range p {
		if l.line = append(l.line, b); b == '\n' {
			l.read(l.line)
			l.line = l.line[:0]
		}
	}
	return len(p), nil
}

func (l *serverLog) read(line []byte) {
	var record saying
	if json.Unmarshal(line, &record) == nil && (record.Msg == "serving" || record.Msg == "armed") {
		l.said <- record
	}
}

func (l *serverLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.content.String()
}

// readAlong copies what is read.
func readAlong(from io.ReadCloser, into io.Writer) io.ReadCloser {
	return struct {
		io.Reader
		io.Closer
	}{io.TeeReader(from, into), from}
}
