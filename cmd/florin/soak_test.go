package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/infra/database"
	"florin/infra/database/databasetest"
)

const (
	soakClients = 64
	// soakFor is the short form; FLORIN_SOAK sets another duration.
	soakFor = 2 * time.Second
	// The bounds of one process in use. They are measured where FLORIN_SOAK asks for the long form, on a machine that
	// does nothing else.
	maxResidentKiB = 60 << 10
	maxStart       = 300 * time.Millisecond
)

// process is a server in a process of its own.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	url   string
	log   *os.File
	start time.Duration // from exec to the first answer
}

var builtFlorin = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "florin-soak")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "florin")
	build := exec.Command("go", "build", "-o", path, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

// startProcess runs the built program and waits for its first answer. It is ended by SIGTERM with the test.
func startProcess(t *testing.T, url string, env ...string) *process {
	binary, err := builtFlorin()
	require.NoError(t, err)
	dir := t.TempDir()
	log, err := os.Create(filepath.Join(dir, "log"))
	require.NoError(t, err)
	p := &process{t: t, log: log, url: "http://" + freeAddress(t)}
	p.cmd = exec.Command(binary)
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "DATA_DIR=" + dir, "DATABASE_URL=" + url, "HTTP_ADDR=" + strings.TrimPrefix(p.url, "http://"),
		"ADMIN_ADDR=127.0.0.1:0", "ADMIN_PASSWORD=" + rigPassword, "RATE_LIMIT=off",
		"OPEN_DEPOSITS_PER_USER=100000", "ACCOUNTS_PER_USER=100000"}, env...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	began := time.Now()
	require.NoError(t, p.cmd.Start())
	t.Cleanup(p.stop)
	// Asked without a pause, the server would share its processors with who asks.
	again := time.NewTicker(2 * time.Millisecond)
	defer again.Stop()
	for ; ; <-again.C {
		response, err := http.Get(p.url + "/readyz")
		if err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				break
			}
		}
		require.Less(t, time.Since(began), rigPatience, "the server does not answer")
	}
	p.start = time.Since(began)
	return p
}

func freeAddress(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return l.Addr().String()
}

func (p *process) stop() {
	if p.cmd.ProcessState != nil {
		return
	}
	assert.NoError(p.t, p.cmd.Process.Signal(syscall.SIGTERM))
	assert.NoError(p.t, p.cmd.Wait(), "the server ends in order")
}

// residentKiB is the process's resident memory.
func (p *process) residentKiB() int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	require.NoError(p.t, err)
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.Atoi(strings.Fields(rest)[0])
			require.NoError(p.t, err)
			return kib
		}
	}
	p.t.Fatal("no VmRSS")
	return 0
}

// soak is the clients and their model: what they were told is done.
type soak struct {
	t          *testing.T
	p          *process
	http       *http.Client
	token      string
	main, side string

	deposited, withdrawn, sent atomic.Int64 // minor units
	requests, refused          atomic.Int64
}

func (s *soak) call(method, path, body string) (int, map[string]any) {
	request, err := http.NewRequestWithContext(context.Background(), method, s.p.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Error(err)
		return 0, nil
	}
	request.Header.Set("Content-Type", "application/json")
	if s.token != "" {
		request.Header.Set("Authorization", "Bearer "+s.token)
	}
	response, err := s.http.Do(request)
	if err != nil {
		s.t.Error(err)
		return 0, nil
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Error(err)
	}
	var object map[string]any
	_ = json.Unmarshal(content, &object)
	s.requests.Add(1)
	if response.StatusCode >= 500 {
		s.t.Errorf("%s %s: %d %s", method, path, response.StatusCode, content)
	}
	return response.StatusCode, object
}

// client runs one client until the time is over: a deposit, two transfers and a withdrawal, again and again.
func (s *soak) client(until time.Time) {
	for time.Now().Before(until) {
		status, _ := s.call("POST", "/account/"+s.main+"/deposit", `{"amount":"1.00","currency":"EUR","money_source":"card","metadata":{"mock_scenario":"duplicate"}}`)
		s.expect(status, 202, &s.deposited, 100)
		for range 2 {
			status, _ = s.call("POST", "/account/"+s.main+"/transfer", fmt.Sprintf(`{"amount":"0.20","currency":"EUR","destination_account_id":%q}`, s.side))
			s.expect(status, 200, &s.sent, 20)
		}
		status, _ = s.call("POST", "/account/"+s.main+"/withdraw", `{"amount":"0.30","currency":"EUR","external_target":{"routing_number":"1"},"metadata":{"mock_scenario":"duplicate"}}`)
		s.expect(status, 202, &s.withdrawn, 30)
	}
}

func (s *soak) expect(status, want int, sum *atomic.Int64, minor int64) {
	switch status {
	case want, http.StatusOK:
		sum.Add(minor)
	case http.StatusUnprocessableEntity:
		s.refused.Add(1)
	default:
		s.t.Errorf("status %d, wanted %d or a refusal for want of funds", status, want)
	}
}

func (s *soak) balance(account string) string {
	_, b := s.call("GET", "/account/"+account+"/balance", "")
	return fmt.Sprint(b["posted"], " ", b["held"])
}

func inEuros(minor int64) string { return fmt.Sprintf("%d.%02d", minor/100, minor%100) }

// TestF95_Soak: 64 clients on one account, every webhook delivered three times. In the end the balances are the model's to the
// cent, nobody has seen a 5xx, and the database was never locked.
func TestF95_Soak(t *testing.T) {
	duration := soakFor
	long := os.Getenv("FLORIN_SOAK")
	if long != "" {
		var err error
		duration, err = time.ParseDuration(long)
		require.NoError(t, err)
	}
	for _, dialect := range []database.Dialect{database.SQLite, database.Postgres} {
		t.Run(string(dialect), func(t *testing.T) {
			url := databasetest.URL(t, dialect)
			p := startProcess(t, url, "MOCK_AUTOCOMPLETE=20ms")
			s := &soak{t: t, p: p, http: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: soakClients}}}
			s.call("POST", "/user", `{"username":"soak","email":"soak@example.com","password":"`+rigPassword+`"}`)
			_, login := s.call("POST", "/auth/login", `{"identity":"soak","password":"`+rigPassword+`"}`)
			s.token = fmt.Sprint(login["access_token"])
			_, main := s.call("POST", "/account", `{"currency":"EUR"}`)
			_, side := s.call("POST", "/account", `{"currency":"EUR"}`)
			s.main, s.side = fmt.Sprint(main["id"]), fmt.Sprint(side["id"])

			until := time.Now().Add(duration)
			var clients sync.WaitGroup
			for range soakClients {
				clients.Go(func() { s.client(until) })
			}
			clients.Wait()
			want := inEuros(s.deposited.Load()-s.withdrawn.Load()-s.sent.Load()) + " 0.00"
			require.Eventually(t, func() bool { return s.balance(s.main) == want }, rigPatience, 20*time.Millisecond,
				"never %s, but %s", want, s.balance(s.main))
			require.Equal(t, inEuros(s.sent.Load())+" 0.00", s.balance(s.side))
			atTheEnd := p.residentKiB()
			if long != "" {
				assert.Eventually(t, func() bool { return p.residentKiB() < maxResidentKiB }, 2*releaseEvery, 100*time.Millisecond,
					"%d KiB resident at the end of the run, and later %d", atTheEnd, p.residentKiB())
				assert.Less(t, p.start, maxStart, "start to first answer")
			}
			t.Logf("%d requests in %s, %d refused for want of funds; deposited %s, withdrawn %s, sent %s; %d KiB resident at the end of the run, %d after it; first answer after %s",
				s.requests.Load(), duration, s.refused.Load(), inEuros(s.deposited.Load()), inEuros(s.withdrawn.Load()), inEuros(s.sent.Load()),
				atTheEnd, p.residentKiB(), p.start)
			p.stop()
			s.checkLog()
			db := databasetest.OpenURL(t, url, database.Options{})
			databasetest.CheckInvariants(t, db, systemClock())
		})
	}
}

// checkLog: the server has not complained of a locked database, nor logged an error.
func (s *soak) checkLog() {
	content, err := os.ReadFile(s.p.log.Name())
	require.NoError(s.t, err)
	lines := bufio.NewScanner(bytes.NewReader(content))
	for lines.Scan() {
		assert.NotContains(s.t, lines.Text(), "database is locked")
		assert.NotContains(s.t, lines.Text(), `"level":"ERROR"`)
	}
	require.NoError(s.t, lines.Err())
}
