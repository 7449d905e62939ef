package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// servesWithin bounds a start of a server, which may have to wait for its database.
	servesWithin = 30 * time.Second
	endsWithin   = 30 * time.Second
	askEvery     = 2 * time.Millisecond
)

// The settings that the processes share. They protect databases that end with this process.
const (
	password      = "correct horse battery"
	bankKey       = "key-of-the-bank-of-the-chaos-rig"
	webhookSecret = "whsec_dGhlIHdlYmhvb2sgc2VjcmV0IG9mIHRoZSBjaGFvcyByaWc=" //nolint:gosec // of a bank without money, for this process alone
	jwtSecret     = "the-secret-of-the-chaos-rig-that-signs-its-tokens"      //nolint:gosec // as above
)

// buildServer builds the program with crash points, whose standard input ends it with this process, and returns its path.
func buildServer(ctx context.Context, folder string) (string, error) {
	path := filepath.Join(folder, "florin")
	build := exec.CommandContext(ctx, "go", "build", "-tags=crashpoint", "-ldflags=-s -w", "-o", path, "florin/cmd/florin")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the server: %w: %s", err, output)
	}
	return path, nil
}

// process is a program that ends with this one.
type process struct {
	command *exec.Cmd
	control io.WriteCloser
	ended   chan struct{} // closed once it is gone
}

func (p *process) signal(s syscall.Signal) error { return p.command.Process.Signal(s) }

// kill ends the process as the kernel does, and waits until it is gone.
func (p *process) kill() {
	_ = p.command.Process.Kill() // it may have died by itself
	<-p.ended
}

// gone says that the process has ended.
func (p *process) gone() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// stop ends the process in order.
func (p *process) stop() error {
	if err := p.signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.ended:
	case <-time.After(endsWithin):
		p.kill()
		return errors.New("the process does not stop")
	}
	if !p.command.ProcessState.Success() {
		return fmt.Errorf("the process ended: %s", p.command.ProcessState)
	}
	return nil
}

func start(command *exec.Cmd) (*process, error) {
	p := &process{command: command, ended: make(chan struct{})}
	var err error
	if p.control, err = command.StdinPipe(); err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = command.Wait() // how it ended is in its state
		close(p.ended)
	}()
	return p, nil
}

// server is a running server.
type server struct {
	*process
	address string
}

// startServer starts a server on a port of its own and waits for its first answer that it is ready.
func startServer(ctx context.Context, program string, env []string, log *journal) (*server, error) {
	command := exec.Command(program, "serve")
	command.Env, command.Stderr, command.Stdout = env, log, io.Discard
	log.expect()
	p, err := start(command)
	if err != nil {
		return nil, fmt.Errorf("start the server: %w", err)
	}
	within, cancel := context.WithTimeout(ctx, servesWithin)
	defer cancel()
	s := &server{process: p}
	select {
	case url := <-log.serving:
		s.address = strings.TrimPrefix(url, "http://")
	case <-p.ended:
		return nil, fmt.Errorf("the server ended at its start: %s\n%s", p.command.ProcessState, log.tail())
	case <-within.Done():
		p.kill()
		return nil, fmt.Errorf("the server never served\n%s", log.tail())
	}
	if err := s.awaitReady(within); err != nil {
		p.kill()
		return nil, fmt.Errorf("%w\n%s", err, log.tail())
	}
	return s, nil
}

// awaitReady waits for the first 200 of /readyz, straight from the server.
func (s *server) awaitReady(ctx context.Context) error {
	client := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	again := time.NewTicker(askEvery)
	defer again.Stop()
	for {
		response, err := client.Get("http://" + s.address + "/readyz")
		if err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-again.C:
		case <-s.ended:
			return fmt.Errorf("the server ended: %s", s.command.ProcessState)
		case <-ctx.Done():
			return errors.Join(errors.New("the server is not ready"), err)
		}
	}
}

// supervise ends the bank when whoever has started it is gone.
const supervise = `"$@" </dev/null & cat >/dev/null; kill $!; wait $!`

// startBank starts the mock bank and waits until it answers.
func startBank(ctx context.Context, program, address string, env []string, log *journal) (*process, error) {
	command := exec.Command("/bin/sh", "-c", supervise, "supervise", program, "mock-bank", "--addr", address)
	command.Env, command.Stderr, command.Stdout = env, log, io.Discard
	p, err := start(command)
	if err != nil {
		return nil, fmt.Errorf("start the bank: %w", err)
	}
	within, cancel := context.WithTimeout(ctx, servesWithin)
	defer cancel()
	again := time.NewTicker(askEvery)
	defer again.Stop()
	for {
		response, err := http.Get("http://" + address + "/healthz") //nolint:noctx // on loopback, and bounded by the loop
		if err == nil {
			return p, response.Body.Close()
		}
		select {
		case <-again.C:
		case <-p.ended:
			return nil, fmt.Errorf("the bank ended at its start\n%s", log.tail())
		case <-within.Done():
			return nil, errors.Join(errors.New("the bank does not answer"), err)
		}
	}
}

// endBank lets the bank's supervisor end it.
func endBank(p *process) {
	_ = p.control.Close()
	<-p.ended
}

// journal is what the processes of a world have logged, the newest part in memory and all of it in a file.
type journal struct {
	serving chan string // the address of a server that serves

	mu     sync.Mutex
	file   io.WriteCloser
	line   []byte
	recent []string
}

func newJournal(file io.WriteCloser) *journal {
	return &journal{file: file, serving: make(chan string, 1)}
}

// expect forgets a server that served before.
func (j *journal) expect() {
	select {
	case <-j.serving:
	default:
	}
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.line = append(j.line, p...)
	for {
		end := bytes.IndexByte(j.line, '\n')
		if end < 0 {
			return j.file.Write(p)
		}
		j.read(string(j.line[:end]))
		j.line = j.line[end+1:]
	}
}

// keptLines is how much of the log an error shows.
const keptLines = 12

func (j *journal) read(line string) {
	if j.recent = append(j.recent, line); len(j.recent) > keptLines {
		j.recent = j.recent[1:]
	}
	var said struct{ Msg, URL string }
	if json.Unmarshal([]byte(line), &said) == nil && said.Msg == "serving" {
		select {
		case j.serving <- said.URL:
		default:
		}
	}
}

func (j *journal) tail() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Join(j.recent, "\n")
}

// find is the lines of the whole log that name a request.
func find(path, requestID string) []string {
	file, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer file.Close()
	var lines []string
	scanner := bufio.NewScanner(file)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		if strings.Contains(scanner.Text(), requestID) {
			lines = append(lines, scanner.Text())
		}
	}
	return lines
}
