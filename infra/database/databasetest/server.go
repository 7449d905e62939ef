package databasetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// startLimit bounds the time from exec to the first answer.
const startLimit = 30 * time.Second

// ErrNoPostgres says that this machine has no PostgreSQL server program.
var ErrNoPostgres = errors.New("no PostgreSQL found: set " + EnvURL + ", or install the server (Debian and Ubuntu: " +
	"apt-get install postgresql; Fedora: dnf install postgresql-server; macOS: brew install postgresql@17)")

// Server is a throwaway PostgreSQL server on a random loopback port, in a folder of its own.
type Server struct {
	URL    string
	Folder string // the data folder

	alive   io.WriteCloser // the pipe whose end stops the server; a line on it starts one that was killed
	stopped <-chan error
}

// supervise runs the server until its own input ends, which happens when the starting process closes the pipe or dies
// in whatever way; then it stops the server and removes the folder. Nothing is left behind by a killed test. Each line of its
// input starts a server that was killed again, on the same folder and port.
const supervise = `trap '' INT TERM HUP
data=$1; shift
"$@" -D "$data" </dev/null &
while read -r again; do
	wait $!
	"$@" -D "$data" </dev/null &
done
kill -INT $!
wait $!
rm -rf "$(dirname "$data")"`

// Start starts a server from the machine's own PostgreSQL programs. It runs without fsync unless settings ("name=value")
// say otherwise, and ends with Stop or with this process. ErrNoPostgres when there is no such program.
func Start(ctx context.Context, settings ...string) (*Server, error) {
	bin, err := findPrograms()
	if err != nil {
		return nil, err
	}
	var failure error
	for range 3 { // another process may take the port between our look and the server's start
		server, err := startOnce(ctx, bin, settings)
		if err == nil {
			return server, nil
		}
		failure = err
	}
	return nil, failure
}

func startOnce(ctx context.Context, bin string, settings []string) (*Server, error) {
	folder, err := os.MkdirTemp("", "florin-pg-")
	if err != nil {
		return nil, err
	}
	account, err := serverAccount(folder)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	data := filepath.Join(folder, "data")
	initdb := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "-D", data, "-U", "postgres", "-A", "trust",
		"-E", "UTF8", "--locale=C", "--no-sync")
	initdb.Dir, initdb.SysProcAttr = folder, account
	if output, err := initdb.CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("initdb: %w: %s", err, output), os.RemoveAll(folder))
	}
	port, err := freePort()
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	log, err := os.Create(filepath.Join(folder, "log"))
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	defer log.Close()
	cmd := exec.Command("/bin/sh", append([]string{"-c", supervise, "supervise", data, filepath.Join(bin, "postgres")},
		serverFlags(port, settings)...)...)
	cmd.Dir, cmd.SysProcAttr = "/", account
	cmd.Stdout, cmd.Stderr = log, log // not ours: "go test" would wait for whoever holds its output
	alive, err := cmd.StdinPipe()
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	stopped := make(chan error, 1)
	go func() { stopped <- cmd.Wait() }()
	server := &Server{
		URL:    fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", port),
		Folder: data, alive: alive, stopped: stopped,
	}
	if err := server.awaitAnswer(ctx); err != nil {
		text, _ := os.ReadFile(log.Name())
		return nil, errors.Join(fmt.Errorf("start postgres: %w: %s", err, text), server.Stop())
	}
	return server, nil
}

func serverFlags(port int, settings []string) []string {
	all := append([]string{
		"listen_addresses=127.0.0.1", fmt.Sprintf("port=%d", port), "unix_socket_directories=",
		"fsync=off", "full_page_writes=off", "autovacuum=off", "jit=off", "max_connections=400", "shared_buffers=64MB",
	}, settings...)
	var flags []string
	for _, setting := range all {
		flags = append(flags, "-c", setting)
	}
	return flags
}

// Stop ends every session, stops the server and removes its folder.
func (s *Server) Stop() error {
	if err := s.alive.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return err
	}
	<-s.stopped //nolint:errcheck // ended by a signal, as it should be
	return nil
}

func (s *Server) awaitAnswer(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		conn, err := pgx.Connect(ctx, s.URL)
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-ctx.Done():
			return err
		case <-again.C:
		}
	}
}

// findPrograms returns the folder that holds initdb and postgres: the one on PATH, else the newest of the packages.
func findPrograms() (string, error) {
	var folders []string
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin",
		"/usr/local/opt/postgresql@*/bin", "/opt/homebrew/bin", "/usr/local/bin",
	} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return "", err
		}
		slices.Reverse(found)
		folders = append(folders, found...)
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			folders = append([]string{filepath.Dir(real)}, folders...)
		}
	}
	for _, folder := range folders {
		if isProgram(filepath.Join(folder, "initdb")) && isProgram(filepath.Join(folder, "postgres")) {
			return folder, nil
		}
	}
	return "", ErrNoPostgres
}

func isProgram(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	port := listener.Addr().(*net.TCPAddr).Port
	return port, listener.Close()
}
