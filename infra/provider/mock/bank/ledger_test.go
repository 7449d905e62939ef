package bank_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/infra/provider/mock/bank"
)

// TestReopen: payments, keys with their first answer, the time of settlement and webhooks that nobody has taken
// are there again.
func TestReopen(t *testing.T) {
	r := open(t)
	r.customer.status(http.StatusServiceUnavailable)
	in := body("")
	first := r.call(t, http.MethodPost, "/payments", "key", in)
	declined := body("decline")
	r.call(t, http.MethodPost, "/payments", "declined", declined)
	done := r.create(t, "")
	r.call(t, http.MethodPost, "/payments/"+done.ID+"/fail", "", `{"code":"insufficient_funds"}`)
	r.step(t)
	before := r.ledger(t)
	r.close()

	r = reopen(t, r)
	assert.Equal(t, before, r.ledger(t))
	assert.Equal(t, 3, r.bank.PendingWebhooks())
	again := r.call(t, http.MethodPost, "/payments", "key", in)
	assert.True(t, again.replayed)
	assert.Equal(t, first.raw, again.raw)
	assert.Equal(t, http.StatusPaymentRequired, r.call(t, http.MethodPost, "/payments", "declined", declined).status)
	assert.Equal(t, http.StatusConflict, r.call(t, http.MethodPost, "/payments", "key", body("")).status)

	r.customer.status(http.StatusOK)
	r.clock.forward(autocomplete)
	r.step(t)
	assert.Equal(t, "completed", r.state(t, first.ID))
	got := r.customer.of(first.ID)
	assert.Equal(t, []string{"payment.pending", "payment.pending", "payment.completed"}, types(got))
	assert.Equal(t, got[0].id, got[1].id, "the webhook kept its id over the restart")
	r.close()

	r = reopen(t, r)
	r.step(t)
	assert.Zero(t, r.bank.PendingWebhooks())
	assert.Len(t, r.customer.of(first.ID), 3, "what was taken is not sent again")
}

// TestTornTail: wherever a kill cuts the last line, the bank opens without it and goes on.
func TestTornTail(t *testing.T) {
	r := open(t)
	r.create(t, "")
	r.create(t, "")
	r.close()
	whole, err := os.ReadFile(r.path)
	require.NoError(t, err)
	lastLine := bytes.LastIndexByte(whole[:len(whole)-1], '\n') + 1
	for cut := lastLine; cut < len(whole); cut += 1 + (len(whole)-lastLine)/40 {
		require.NoError(t, os.WriteFile(r.path, whole[:cut], 0o600))
		torn := reopen(t, r)
		require.Len(t, torn.ledger(t).Payments, 1, cut)
		torn.step(t) // writes a line shorter than the one that was cut
		torn.close()
		after := reopen(t, r)
		require.Len(t, after.ledger(t).Payments, 1, cut)
		after.create(t, "")
		after.close()
		last := reopen(t, r)
		require.Len(t, last.ledger(t).Payments, 2, cut)
		last.close()
	}
	require.NoError(t, os.WriteFile(r.path, append(bytes.Clone(whole), "\x00\x00\x00\n"...), 0o600))
	reopen(t, r).close()
}

func TestDamageIsNotIgnored(t *testing.T) {
	r := open(t)
	for range 3 {
		r.create(t, "")
	}
	r.close()
	whole, err := os.ReadFile(r.path)
	require.NoError(t, err)
	lines := bytes.SplitAfter(whole, []byte("\n"))
	for name, damaged := range map[string][]byte{
		"a bad line in the middle": bytes.Join([][]byte{lines[0], []byte("{\n"), lines[2]}, nil),
		"a line is missing":        bytes.Join([][]byte{lines[0], lines[2]}, nil),
		"a line is there twice":    bytes.Join([][]byte{lines[0], lines[0]}, nil),
	} {
		require.NoError(t, os.WriteFile(r.path, damaged, 0o600))
		_, err := bank.New(bank.Config{LedgerPath: r.path, APIKey: apiKey, WebhookSecrets: []string{secret}})
		require.Error(t, err, name)
	}
}

func TestClosedBankTakesNothing(t *testing.T) {
	r := open(t)
	require.NoError(t, r.bank.Close())
	got := r.call(t, http.MethodPost, "/payments", "key", body(""))
	assert.Equal(t, http.StatusServiceUnavailable, got.status)
	require.NoError(t, r.bank.Close())
}

// childLedger names the ledger that this test binary serves as a bank, in place of running tests.
const childLedger = "FLORIN_TEST_BANK_LEDGER"

// runChild is the process that TestKill kills.
func runChild(path string) {
	b, err := bank.New(bank.Config{LedgerPath: path, APIKey: apiKey, WebhookSecrets: []string{secret, nextSecret},
		WebhookURL: os.Getenv(childLedger + "_URL"), Autocomplete: 2 * time.Millisecond})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	server := httptest.NewServer(b.Handler())
	fmt.Println(server.URL)
	if err := b.Run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// TestKill kills the bank's process under load, several times on one ledger. What was answered is there
// afterwards, under its key, and every webhook gets to the customer in the end.
func TestKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bank.jsonl")
	quietly := newCustomer(t)
	quietly.status(http.StatusServiceUnavailable)
	var mu sync.Mutex
	answered := map[string]reply{} // by request body, which is also the key
	for range 3 {
		child, url := startChild(t, path, quietly.url)
		victim := &rig{url: url}
		enough := make(chan struct{}, 1000)
		var clients sync.WaitGroup
		for range 8 {
			clients.Go(func() {
				for range 100 {
					in := body("")
					got, err := victim.try(t.Context(), http.MethodPost, "/payments", in, in)
					if err != nil {
						return
					}
					mu.Lock()
					answered[in] = got
					mu.Unlock()
					enough <- struct{}{}
				}
			})
		}
		for range 60 {
			<-enough
		}
		require.NoError(t, child.Process.Kill())
		clients.Wait()
		require.Error(t, child.Wait())
	}

	customer := newCustomer(t)
	r := reopen(t, &rig{path: path, clock: &clock{at: time.Now().Add(time.Second)}, customer: customer})
	for in, want := range answered {
		again := r.call(t, http.MethodPost, "/payments", in, in)
		require.True(t, again.replayed)
		require.Equal(t, want.raw, again.raw)
	}
	r.step(t)
	r.clock.forward(time.Second)
	r.step(t)
	for _, p := range r.ledger(t).Payments {
		require.Equal(t, "completed", p.State)
		require.Equal(t, normal, types(customer.of(p.ID)))
	}
	require.GreaterOrEqual(t, len(r.ledger(t).Payments), len(answered))
	require.Zero(t, r.bank.PendingWebhooks())
}

func startChild(t *testing.T, path, webhookURL string) (*exec.Cmd, string) {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), childLedger+"="+path, childLedger+"_URL="+webhookURL)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	return child, strings.TrimSpace(line)
}

// BenchmarkCreate is payments accepted and synced, with many callers sharing each sync.
func BenchmarkCreate(b *testing.B) {
	opened, err := bank.New(bank.Config{LedgerPath: filepath.Join(b.TempDir(), "bank.jsonl"), APIKey: apiKey,
		WebhookSecrets: []string{secret}, Autocomplete: bank.AutocompleteOff})
	require.NoError(b, err)
	server := httptest.NewServer(opened.Handler())
	defer func() {
		server.Close()
		require.NoError(b, opened.Close())
	}()
	r := &rig{url: server.URL}
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			got, err := r.try(context.Background(), http.MethodPost, "/payments", uuid.NewString(), body(""))
			if err != nil || got.status != http.StatusCreated {
				b.Fatal(err, got.status)
			}
		}
	})
}
