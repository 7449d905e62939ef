package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"florin/infra/database"
	"florin/infra/database/databasetest"
	"florin/infra/provider/mock/bank"
	"florin/webapi/contract"
)

const (
	// crashRounds names how often each crash is repeated, 1 if not set.
	crashRounds = "FLORIN_CRASH_ROUNDS"
	// downtime is how long a killed server stays away unless a test says otherwise: longer than the lock of an Idempotency-Key,
	// than the time after which an unanswered payment is taken up, and than every lease. Only the clocks move.
	downtime = 12 * time.Second
)

// The flows that are killed.
const (
	deposits    = "deposit"
	withdrawals = "withdraw"
	transfers   = "transfer"
)

// crashSlots bounds how many worlds there are at once.
var crashSlots = make(chan struct{}, 4)

// crashPlan is at which crash points each flow is killed for a row. A point may end in ":n" for its n-th hit.
type crashPlan map[string][]string

var allPlans []crashPlan

func plan(p crashPlan) crashPlan {
	allPlans = append(allPlans, p)
	return p
}

// eachCrash runs the test for each flow and point of the plan, on both databases. The points of a flow share a world, one
// after the other, and the first that fails is its last.
func eachCrash(t *testing.T, p crashPlan, test func(w *crashWorld, point string)) {
	program := crashProgram(t)
	t.Parallel()
	rounds := 1
	if text := os.Getenv(crashRounds); text != "" {
		var err error
		rounds, err = strconv.Atoi(text)
		require.NoError(t, err, crashRounds)
	}
	// Side by side by themselves: for as long as a world waits for what a server does, it takes no place of another test.
	var worlds sync.WaitGroup
	deaths := newDeaths()
	defer deaths.check(t, p, rounds)
	defer worlds.Wait()
	for _, dialect := range []database.Dialect{database.SQLite, database.Postgres} {
		for flow, points := range p {
			worlds.Go(func() {
				t.Run(string(dialect)+"/"+flow, func(t *testing.T) {
					crashSlots <- struct{}{}
					defer func() { <-crashSlots }()
					w := newCrashWorld(t, program, dialect, flow)
					for round := range rounds {
						for _, point := range points {
							w.step(t, fmt.Sprintf("%s#%d", point, round+1), func() { test(w, point) })
							deaths.add(dialect, flow, point, w.died)
						}
					}
				})
			})
		}
	}
}

// deaths counts where servers have died.
type deaths struct {
	mu   sync.Mutex
	seen map[string]int
}

func newDeaths() *deaths { return &deaths{seen: map[string]int{}} }

// add counts a step that was to be killed at the point, if the server died there last.
func (d *deaths) add(dialect database.Dialect, flow, point, died string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if died == point {
		d.seen[fmt.Sprint(dialect, "/", flow, "/", point)]++
	}
}

// check fails the test for every point of the plan at which no server died in some round, on either database.
func (d *deaths) check(t *testing.T, p crashPlan, rounds int) {
	for _, dialect := range []database.Dialect{database.SQLite, database.Postgres} {
		for flow, points := range p {
			for _, point := range points {
				name := fmt.Sprint(dialect, "/", flow, "/", point)
				if d.seen[name] < rounds && !t.Failed() {
					t.Errorf("%s: %d deaths in %d rounds", name, d.seen[name], rounds)
				}
			}
		}
	}
}

// crashWorld is what outlives the server: a bank, a database, and clients with a model of what they own. Its rig talks to
// whichever server is alive; its App has only the parts that are in this process.
type crashWorld struct {
	*rig
	program string
	flow    string
	folder  string
	store   string       // the database's URL
	server  *crashServer // nil while none lives
	died    string       // the crash point at which the last killed server died
	tap     *bankTap
	// startArmed is the point at which the next server that starts dies, "" for none.
	startArmed string

	me            *client
	loggedIn      time.Time
	main, friends string // accounts: in EUR, mine; in USD, somebody else's
	asked         int    // requests with a key
	posted, held  int64  // on main
	received      int64  // on friends
	repeats       int    // of events to the subscriber
}

func newCrashWorld(t *testing.T, program string, dialect database.Dialect, flow string) *crashWorld {
	w := &crashWorld{rig: &rig{t: t}, program: program, flow: flow, folder: t.TempDir(), store: databasetest.URL(t, dialect)}
	w.http = &http.Client{Timeout: 2 * rigPatience, Transport: &http.Transport{DisableKeepAlives: true}}
	w.openBank()
	t.Cleanup(w.end)
	w.start()
	w.deliver()
	_, document := w.raw(http.MethodGet, "/openapi.json", nil, nil)
	var err error
	w.contract, err = contract.Load(document)
	require.NoError(t, err)
	w.me, w.loggedIn = w.user(), w.app.Clock()
	w.main, w.friends = w.me.open("EUR"), w.user().open("USD")
	if flow != deposits {
		d := w.me.deposit(w.main, "10000.00", "EUR")
		w.complete(d.text(t, "payment_id"))
		w.await(d.text(t, "id"), "completed")
		w.posted = 10000_00
	}
	w.settle() // so that what is hit next comes of what is done next
	return w
}

func (w *crashWorld) openBank() {
	clock := func() time.Time { return time.Now().UTC().Add(time.Duration(w.offset.Load())) }
	log := slog.New(slog.NewTextHandler(w.t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	b, err := bank.New(bank.Config{LedgerPath: filepath.Join(w.folder, bankLedgerFile), APIKey: rigBankKey,
		WebhookSecrets: []string{rigWebhookSecret}, Autocomplete: bank.AutocompleteOff, Logger: log, Now: clock})
	require.NoError(w.t, err)
	w.tap = &bankTap{bank: b.Handler(), bodies: map[string][]string{}}
	server := httptest.NewServer(w.tap)
	running, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(running) }()
	w.app = &App{Bank: b, bankListener: server.Listener, Clock: clock}
	w.t.Cleanup(func() {
		stop()
		require.NoError(w.t, <-ended)
		server.Close()
		require.NoError(w.t, b.Close())
	})
}

// step is a subtest on the world as the one before has left it.
func (w *crashWorld) step(t *testing.T, name string, run func()) {
	world := w.t
	defer func() { w.t = world }()
	if !t.Run(name, func(t *testing.T) { w.t = t; run() }) {
		t.FailNow()
	}
}

// dies has the living server die at the point, does what makes it, and waits for its end. The bank holds its webhooks back
// then.
func (w *crashWorld) dies(point string, act func()) {
	w.t.Helper()
	w.shut()
	w.deliver()
	w.server.arm(w.t, point)
	act()
	w.server.awaitKill(w.t, point)
	w.server, w.died = nil, point
	w.app.Bank.SetWebhookURL("")
}

// returns starts the server again after a time, which only the clocks see pass. The webhooks wait for deliver.
func (w *crashWorld) returns(after time.Duration) {
	w.t.Helper()
	w.advance(after)
	w.start()
	if w.app.Clock().Sub(w.loggedIn) > 10*time.Minute { // before the token ends
		w.loginAgain()
	}
}

// deliver lets the bank's webhooks go to the living server.
func (w *crashWorld) deliver() { w.app.Bank.SetWebhookURL(w.server.url + "/webhook/mock") }

// end ends the world's server, in order where nothing went wrong.
func (w *crashWorld) end() {
	w.shut()
	switch {
	case w.server == nil:
	case w.t.Failed():
		w.server.kill()
	default:
		w.server.terminate(w.t)
	}
}

// look sees the database. While no server lives it is exactly what the killed one has left: it is opened only for the time of
// the look, so that the next server finds it as it was.
func (w *crashWorld) look(see func()) {
	w.t.Helper()
	if w.app.DB == nil {
		db, err := database.Open(context.Background(), w.store, database.Options{Logger: slog.New(slog.DiscardHandler)})
		require.NoError(w.t, err)
		w.app.DB = db
	}
	if w.server == nil {
		defer w.shut()
	}
	see()
}

// shut gives the database back: a server that is killed was the only one to use it.
func (w *crashWorld) shut() {
	w.t.Helper()
	if w.app.DB != nil {
		require.NoError(w.t, w.app.DB.Close())
		w.app.DB = nil
	}
}

// await waits until the transaction has the status. The server holds the answer back for one that is final.
func (w *crashWorld) await(transaction, status string) {
	w.t.Helper()
	header := http.Header{"Authorization": {"Bearer " + w.me.token}}
	if status != "pending" {
		header.Set("Prefer", "wait=20")
	}
	deadline := time.Now().Add(rigPatience)
	for again := time.NewTicker(20 * time.Millisecond); ; <-again.C {
		response, content := w.raw(http.MethodGet, "/transaction/"+transaction+"/status", nil, header)
		now := answer{response.StatusCode, response.Header, content}.text(w.t, "status")
		if now == status {
			return
		}
		require.True(w.t, time.Now().Before(deadline), "transaction %s is %s and never %s", transaction, now, status)
	}
}

// settle waits until nothing is left to do, and proves that everything is as it must be: invariants, the bank's books, every
// balance, and what the subscriber was told.
func (w *crashWorld) settle() {
	w.t.Helper()
	w.deliver()
	w.look(func() {
		w.quiet()
		w.until(func() bool {
			return w.count("SELECT COUNT(*) FROM subscribers s JOIN log_head h ON h.id = 1 WHERE s.position = h.position") == 1
		}, "the subscriber has read the whole log")
		w.check()
		require.Zero(w.t, w.count("SELECT COUNT(*) FROM transactions WHERE status IN ('initiated', 'pending')"), "open payments")
		require.Zero(w.t, w.count("SELECT COUNT(*) FROM transactions WHERE type NOT IN (?, ?, ?)", deposits, withdrawals, transfers), "money of no request")
		w.checkSink(w.count("SELECT position FROM log_head WHERE id = 1"))
	})
	w.checkBalances()
	w.tap.check(w.t)
}

func (w *crashWorld) checkBalances() {
	w.t.Helper()
	require.Equal(w.t, w.balanceNow(), w.me.balance(w.main))
	w.look(func() {
		require.Equal(w.t, w.received, w.count("SELECT posted FROM accounts WHERE id = ?", w.friends), "at the transfers' destination")
	})
}

// balanceNow is the balance of main in the model, as client.balance gives it.
func (w *crashWorld) balanceNow() string {
	return decimal2(w.posted) + " " + decimal2(w.held) + " " + decimal2(w.posted-w.held)
}

// checkSink: the subscriber was told every event, in order but for repeats, and a repeat is the same event (I25, F108).
func (w *crashWorld) checkSink(head int64) {
	w.t.Helper()
	content, err := os.ReadFile(w.sink())
	require.NoError(w.t, err)
	type told struct {
		Position int64
		Event    json.RawMessage
	}
	known := map[int64]string{}
	w.repeats = 0
	for line := range strings.Lines(string(content)) {
		var e told
		require.NoError(w.t, json.Unmarshal([]byte(line), &e), "%s", line)
		if earlier, again := known[e.Position]; again {
			require.Equal(w.t, earlier, string(e.Event), "a repeat is the same event")
			w.repeats++
			continue
		}
		require.EqualValues(w.t, len(known)+1, e.Position, "no event is skipped")
		known[e.Position] = string(e.Event)
	}
	require.EqualValues(w.t, head, len(known), "events told")
}

func (w *crashWorld) sink() string { return filepath.Join(w.folder, "sink.jsonl") }

func decimal2(minor int64) string { return fmt.Sprintf("%d.%02d", minor/100, minor%100) }

// bankTap stands in front of the bank: it remembers what was asked under which key, and loses answers on request.
type bankTap struct {
	bank http.Handler

	mu     sync.Mutex
	bodies map[string][]string // by Idempotency-Key
	lose   int                 // answers to initiations that never arrive
}

func (b *bankTap) ServeHTTP(out http.ResponseWriter, in *http.Request) {
	key := in.Header.Get("Idempotency-Key")
	if key == "" {
		b.bank.ServeHTTP(out, in)
		return
	}
	body := new(strings.Builder)
	in.Body = readAlong(in.Body, body)
	answer := httptest.NewRecorder()
	b.bank.ServeHTTP(answer, in)
	b.mu.Lock()
	b.bodies[key] = append(b.bodies[key], in.Method+" "+in.URL.Path+" "+body.String())
	lost := b.lose > 0
	if lost {
		b.lose--
	}
	b.mu.Unlock()
	if lost {
		panic(http.ErrAbortHandler)
	}
	for name, values := range answer.Header() {
		out.Header()[name] = values
	}
	out.WriteHeader(answer.Code)
	_, _ = out.Write(answer.Body.Bytes()) // the caller may be dead by now
}

// loseNext makes the next answer to an initiation get lost after the bank has done what was asked.
func (b *bankTap) loseNext() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lose++
}

// calls is how often the bank was asked to initiate anything.
func (b *bankTap) calls() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, bodies := range b.bodies {
		n += len(bodies)
	}
	return n
}

// under is what the bank was asked to initiate for a transaction.
func (b *bankTap) under(transactionID string) (calls []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, bodies := range b.bodies {
		if strings.Contains(bodies[0], transactionID) {
			calls = append(calls, bodies...)
		}
	}
	return calls
}

// keys are the keys under which the bank was asked.
func (b *bankTap) keys() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Collect(maps.Keys(b.bodies))
}

// check: whatever is asked again under a key is the same, byte for byte.
func (b *bankTap) check(t *testing.T) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for key, bodies := range b.bodies {
		for _, body := range bodies {
			require.Equal(t, bodies[0], body, "repeated under the provider's key %s", key)
		}
	}
}
