package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/domain/account"
	"florin/infra/database"
	"florin/infra/database/databasetest"
	"florin/infra/provider/mock/bank"
)

// network is what stands between a rig's program and the world, so that a test can break it.
type network struct {
	// front is between the clients and the program, bank between the program and its bank. Webhooks go straight.
	front, bank *proxy
	database    *proxy // on PostgreSQL
	r           *rig
}

// eachProxiedRig is eachRig with a network, and with the bank outside of the program. Such a rig cannot restart.
func eachProxiedRig(t *testing.T, test func(t *testing.T, r *rig, n *network)) {
	for _, dialect := range []database.Dialect{database.SQLite, database.Postgres} {
		t.Run(string(dialect), func(t *testing.T) {
			t.Parallel()
			n := &network{}
			var own *bank.Bank
			var listener net.Listener
			r := newRig(t, dialect, func(c *Config, o *Options) {
				own, listener = serveBank(t, *c, *o)
				n.bank, c.MockBankURL = newURLProxy(t, "http://"+listener.Addr().String())
				if dialect == database.Postgres {
					var through string
					n.database, through = newURLProxy(t, databasetest.URL(t, dialect))
					c.DatabaseURL = secret(through)
				}
			})
			own.SetWebhookURL(r.url + "/webhook/mock")
			// From here on the rig takes the bank for the program's own: it waits for it and compares the books.
			r.app.Bank, r.app.bankListener = own, listener
			n.front, r.url = newURLProxy(t, r.url)
			n.r = r
			test(t, r, n)
		})
	}
}

// serveBank runs a bank like the one in the program, until the test ends.
func serveBank(t *testing.T, c Config, o Options) (*bank.Bank, net.Listener) {
	b, err := bank.New(bank.Config{LedgerPath: filepath.Join(t.TempDir(), bankLedgerFile), APIKey: rigBankKey,
		WebhookSecrets: []string{rigWebhookSecret}, Autocomplete: c.MockAutocomplete, Logger: o.Log, Now: o.Clock})
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := newBankServer(b)
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { assert.NoError(t, b.Run(ctx)) })
	running.Go(func() { assert.NoError(t, serveHTTP(server, listener)) })
	t.Cleanup(func() {
		stop()
		assert.NoError(t, server.Close())
		running.Wait()
		assert.NoError(t, b.Close())
	})
	return b, listener
}

// databaseDown takes the database away, until up: on PostgreSQL its connections, on SQLite the right to write, as a disk
// that fails does.
func (n *network) databaseDown() (up func()) {
	if n.database != nil {
		n.database.cut()
		return n.database.heal
	}
	n.execute("PRAGMA query_only = 1")
	return func() { n.execute("PRAGMA query_only = 0") }
}

// databaseFull leaves the database without space for an event, until freed. Everything before that in a commit has worked.
func (n *network) databaseFull() (freed func()) {
	if n.database == nil {
		n.execute("PRAGMA max_page_count = 1") // SQLite takes the present size
		return func() { n.execute("PRAGMA max_page_count = 1073741823") }
	}
	n.execute(`CREATE FUNCTION disk_full() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN RAISE EXCEPTION 'no space left' USING ERRCODE = 'disk_full'; END $$`)
	n.execute("CREATE TRIGGER disk_full BEFORE INSERT ON payment_events FOR EACH STATEMENT EXECUTE FUNCTION disk_full()")
	return func() { n.execute("DROP FUNCTION disk_full CASCADE") }
}

func (n *network) execute(statement string) {
	require.NoError(n.r.t, n.r.app.DB.Writer().Exec(statement).Error)
}

// storedTables is every table that a request of a client can leave something in.
var storedTables = []string{"accounts", "transactions", "entries", "holds", "payment_events", "idempotency_keys", "inbox",
	"effects", "provider_calls", "dead_letters", "reviews"}

// rows is how many rows each table has, and what the bank has been asked for.
func (r *rig) rows() map[string]int64 {
	r.t.Helper()
	counts := map[string]int64{"payments at the bank": int64(len(r.payments()))}
	for _, table := range storedTables {
		counts[table] = r.count("SELECT COUNT(*) FROM " + table)
	}
	return counts
}

// bankPayment is a payment or payout as the bank has it.
type bankPayment struct {
	ID            string `json:"id"`
	TransactionID string `json:"transaction_id"`
	State         string `json:"state"`
}

// payments is all that the bank was ever asked for and has accepted, in order.
func (r *rig) payments() []bankPayment {
	var ledger struct {
		Payments []bankPayment `json:"payments"`
	}
	require.NoError(r.t, json.Unmarshal(r.bank("GET", "/ledger", "").body, &ledger))
	return ledger.Payments
}

// stored is one text of one row.
func (r *rig) stored(query string, args ...any) string {
	r.t.Helper()
	var text string
	require.NoError(r.t, r.app.DB.Reader().WithContext(context.Background()).Raw(query, args...).Row().Scan(&text))
	return text
}

// send is do where the answer may be lost: it returns the error in place of failing the test.
func (c *client) send(ctx context.Context, path, body string, headers ...string) (answer, error) {
	header := http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + c.token}}
	for i := 0; i+1 < len(headers); i += 2 {
		header.Add(headers[i], headers[i+1])
	}
	response, content, err := c.r.try(ctx, "POST", path, []byte(body), header)
	if err != nil {
		return answer{}, err
	}
	return answer{response.StatusCode, response.Header, content}, nil
}

// request is a POST that creates something, with the status of its first answer.
type request struct {
	name, path, body string
	status           int
}

// creations is one request of every kind that takes an Idempotency-Key, for 10.00 EUR each from an account that has them.
func creations(from, to string) []request {
	return []request{
		{"deposit", "/account/" + from + "/deposit", `{"amount":"10.00","currency":"EUR","money_source":"card"}`, 202},
		{"withdraw", "/account/" + from + "/withdraw", `{"amount":"10.00","currency":"EUR","external_target":{"bank_account_number":"DE89370400440532013000"}}`, 202},
		{"transfer", "/account/" + from + "/transfer", fmt.Sprintf(`{"amount":"10.00","currency":"EUR","destination_account_id":%q}`, to), 200},
		{"open", "/account", `{"currency":"EUR","name":"Savings"}`, 201},
	}
}

// requireProblem requires a refusal with the code, and with the field where one is named.
func requireProblem(t *testing.T, a answer, status int, code, field string) {
	t.Helper()
	require.Equal(t, status, a.status, "%s", a.body)
	require.Equal(t, "application/problem+json", a.header.Get("Content-Type"))
	require.Equal(t, code, a.text(t, "code"), "%s", a.body)
	if field == "" {
		return
	}
	faults, ok := a.json(t)["errors"].([]any)
	require.True(t, ok && len(faults) == 1, "%s", a.body)
	require.Equal(t, field, faults[0].(map[string]any)["field"], "%s", a.body)
}

// requireReplay requires the first answer again, byte for byte.
func requireReplay(t *testing.T, first, again answer) {
	t.Helper()
	require.Equal(t, first.status, again.status, "%s", again.body)
	require.Equal(t, string(first.body), string(again.body))
	require.Equal(t, first.header.Get("Location"), again.header.Get("Location"))
	require.Equal(t, "true", again.header.Get("Idempotency-Replayed"))
}

// blockLedger keeps the ledger in a commit, so that the operations that arrive queue up for the next one, until release.
func (r *rig) blockLedger() (release func()) {
	begun, gate := make(chan struct{}), make(chan struct{})
	over := errors.New("nothing to store")
	var running sync.WaitGroup
	running.Go(func() {
		err := r.app.Ledger.Do(context.Background(), account.Needs{}, func(context.Context, account.UnitOfWork) error {
			close(begun)
			<-gate
			return over
		})
		assert.ErrorIs(r.t, err, over)
	})
	<-begun
	return func() { close(gate); running.Wait() }
}

// queued is how many operations wait for the ledger's next commit. The ledger tells nobody, so the stacks are asked.
func (r *rig) queued() int {
	stacks := make([]byte, 8<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	return strings.Count(string(stacks), fmt.Sprintf("database.(*Ledger).await(%p", r.app.Ledger))
}
