package main

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/domain/account"
)

func quietLog() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestWrongCommandLinesEndWithTwo(t *testing.T) {
	for _, args := range [][]string{{"fly"}, {"--fly"}, {"dead-letters", "discard", uuid.NewString()}, {"dead-letters", "redrive", "--reason", "x"},
		{"verify", "now"}} {
		code, stdout, stderr := command(t, settings(t, nil), args...)
		assert.Equal(t, 2, code, args)
		assert.Empty(t, stdout)
		assert.Contains(t, stderr, "florin --help")
	}
}

func TestServeNamesWhatIsWrongWithTheConfiguration(t *testing.T) {
	code, _, stderr := command(t, settings(t, map[string]string{"RATE_LIMIT": "x", "PROFILE": "x"}), "serve")
	assert.Equal(t, 1, code)
	assert.Contains(t, stderr, "RATE_LIMIT")
	assert.Contains(t, stderr, "PROFILE")
}

func TestVersion(t *testing.T) {
	code, stdout, _ := command(t, nil, "version", "--json")
	assert.Zero(t, code)
	assert.Contains(t, decoded[build](t, stdout).Go, "go1.")
	_, stdout, _ = command(t, nil, "version")
	assert.True(t, strings.HasPrefix(stdout, "florin "))
}

func TestMigrateThenVerify(t *testing.T) {
	environ := settings(t, nil)
	type migrated struct {
		Migrations []migrationState `json:"migrations"`
	}
	code, stdout, stderr := command(t, environ, "migrate", "--json")
	require.Zero(t, code, stderr)
	first := decoded[migrated](t, stdout).Migrations
	require.NotEmpty(t, first)
	for _, m := range first {
		assert.True(t, m.New)
		assert.False(t, m.AppliedAt.IsZero())
	}
	_, stdout, _ = command(t, environ, "migrate", "--json")
	assert.False(t, decoded[migrated](t, stdout).Migrations[0].New)
	_, stdout, _ = command(t, environ, "migrate")
	assert.Contains(t, stdout, "already applied")

	code, stdout, stderr = command(t, environ, "verify", "--json")
	require.Zero(t, code, stderr)
	found := decoded[finding](t, stdout)
	assert.True(t, found.OK)
	assert.Greater(t, len(found.Checks), 15)
	code, stdout, _ = command(t, environ, "verify")
	assert.Zero(t, code)
	assert.Contains(t, stdout, "0 violated")
	assert.NotContains(t, stdout, "\x1b", "without a terminal there is no bar")
}

func TestVerifyEndsWithOneWhenTheBooksAreWrong(t *testing.T) {
	environ := settings(t, nil)
	app := buildApp(t, environ, Options{})
	app.Start()
	openAccount(t, person(t, app, "ada"), "EUR")
	require.NoError(t, app.DB.Writer().Exec("UPDATE accounts SET posted = 5 WHERE kind = 'user'").Error)
	require.NoError(t, app.Stop())

	code, stdout, stderr := command(t, environ, "verify", "--json")
	assert.Equal(t, 1, code)
	assert.Empty(t, stderr)
	found := decoded[finding](t, stdout)
	assert.False(t, found.OK)
	broken := map[string]bool{}
	for _, c := range found.Checks {
		broken[c.ID] = !c.OK
		assert.Equal(t, c.OK, len(c.Violations) == 0)
	}
	assert.True(t, broken["I3"], "posted is not the sum of the entries")
	_, stdout, _ = command(t, environ, "verify")
	assert.Contains(t, stdout, "VIOLATED")
}

// deadEvent makes a dead letter of a webhook that completes the payment, and returns its id.
func deadEvent(r *rig, transactionID string, minor int64) uuid.UUID {
	letter, inbox := uuid.Must(uuid.NewV7()), uuid.Must(uuid.NewV7())
	now := r.app.Clock()
	event := account.PaymentReceivedEvent{Provider: "mock", EventID: "evt_" + inbox.String(), Kind: account.ReceivedCompleted, Type: "payment.completed",
		PaymentID: r.payment(transactionID), TransactionID: uuid.MustParse(transactionID), Amount: minor, Currency: "EUR", OccurredAt: now,
		Cause: account.CauseWebhook, Raw: []byte(`{"type":"payment.completed"}`)}
	err := r.app.Ledger.Do(r.t.Context(), account.Needs{}, func(_ context.Context, u account.UnitOfWork) error {
		u.AddInbox(account.InboxRecord{ID: inbox, Event: event, Status: account.InboxDead, Reason: "internal", Tries: 8, ReceivedAt: now, ProcessedAt: now})
		u.AddDeadLetter(account.DeadLetter{ID: letter, Source: account.DeadInbox, SourceID: inbox, Reason: "internal", LastError: "it panicked", Tries: 8,
			Payload: string(event.Raw), Status: account.DeadLetterOpen, CreatedAt: now})
		return nil
	})
	require.NoError(r.t, err)
	return letter
}

func TestF62_RedriveAppliesTheEventOnce(t *testing.T) {
	type listed struct {
		Data []deadLetter `json:"data"`
	}
	eachRig(t, func(t *testing.T, r *rig) {
		r.foreign = true // the bank was never asked to complete the payment
		environ := map[string]string{"DATABASE_URL": string(r.config.DatabaseURL),
			"DATA_KEY": string(r.config.DataKeys[0])}
		c := r.user()
		euros := c.open("EUR")
		letter := deadEvent(r, c.deposit(euros, "5.00", "EUR").text(t, "id"), 500)

		code, stdout, stderr := command(t, environ, "dead-letters", "list", "--json")
		require.Zero(t, code, stderr)
		open := decoded[listed](t, stdout).Data
		require.Len(t, open, 1)
		assert.Equal(t, letter, open[0].ID)
		assert.Empty(t, open[0].Payload, "a provider's own words are shown on request only")
		code, stdout, _ = command(t, environ, "dead-letters", "show", letter.String(), "--json")
		assert.Zero(t, code)
		assert.JSONEq(t, `{"type":"payment.completed"}`, decoded[deadLetter](t, stdout).Payload)

		code, stdout, stderr = command(t, environ, "dead-letters", "redrive", letter.String(), "--reason", "the bug is mended", "--json")
		require.Zero(t, code, stderr)
		assert.Equal(t, map[string][]uuid.UUID{"redriven": {letter}}, decoded[map[string][]uuid.UUID](t, stdout))
		r.until(func() bool { return c.balance(euros) == "5.00 0.00 5.00" }, "the sweep worked the event off")

		code, _, stderr = command(t, environ, "dead-letters", "redrive", letter.String(), "--reason", "again")
		assert.Equal(t, 1, code)
		assert.Contains(t, stderr, "already_settled")
		_, stdout, _ = command(t, environ, "dead-letters", "list", "--json")
		assert.Empty(t, decoded[listed](t, stdout).Data)
		_, stdout, _ = command(t, environ, "dead-letters", "list", "--all")
		assert.Contains(t, stdout, "redriven")
		r.quiet()
		assert.Equal(t, "5.00 0.00 5.00", c.balance(euros))
		assert.EqualValues(t, 1, r.count("SELECT COUNT(*) FROM audit WHERE action = 'dead_letter.redriven' AND reason = 'the bug is mended'"))
	})
}

func TestDemoAgainstARunningServer(t *testing.T) {
	environ := settings(t, nil)
	app := buildApp(t, environ, Options{})
	app.Start()
	code, stdout, stderr := command(t, environ, "demo", "--json", "--url", app.PublicURL()+"/")
	require.Zero(t, code, stderr)
	told := decoded[story](t, stdout)
	assert.Equal(t, []balance{{"EUR", "95.00", "0.00", "95.00"}, {"USD", "43.36", "0.00", "43.36"}}, told.Balances)
	require.NotNil(t, told.Verified)
	assert.True(t, told.Verified.OK)
	assert.NotEmpty(t, told.Timeline)

	code, _, stderr = command(t, settings(t, nil), "demo", "--url", "http://127.0.0.1:1")
	assert.Equal(t, 1, code)
	assert.Contains(t, stderr, "register")
}

func TestDemoOnAServerOfItsOwn(t *testing.T) {
	code, stdout, stderr := command(t, nil, "demo")
	require.Zero(t, code, stderr)
	assert.Contains(t, stdout, "The books are sound")
	assert.Contains(t, stdout, "payment.completed processed")
}

func TestMockBankApart(t *testing.T) {
	dir := t.TempDir()
	var stdout, stderr notifying
	p := program{environ: settings(t, map[string]string{"DATA_DIR": dir, "HTTP_ADDR": "127.0.0.1:9"}), stdout: stdout.init(), stderr: stderr.init()}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() { ended <- p.run(ctx, []string{"mock-bank", "--addr", "127.0.0.1:0", "--json"}) }()
	at := decoded[map[string]string](t, stdout.wait(t))
	status, body := fetch(t, at["url"]+"/healthz")
	assert.Equal(t, http.StatusOK, status)
	assert.Contains(t, body, "ok")
	assert.Equal(t, "http://127.0.0.1:9/webhook/mock", at["webhook_url"])

	// A server of the same folder finds the bank's key there, and its payments at that bank.
	key, err := readSecret(filepath.Join(dir, bankKeyFile))
	require.NoError(t, err)
	app := startApp(t, map[string]string{"DATA_DIR": dir, "MOCK_BANK_URL": at["url"]})
	assert.Nil(t, app.Bank)
	assert.Equal(t, []string{key}, reveal(app.Config.MockBankAPIKey))
	c := person(t, app, "ada")
	var deposit transactionView
	eur := openAccount(t, c, "EUR")
	require.NoError(t, c.post(t.Context(), "/account/"+eur.ID+"/deposit", object{"amount": "5.00", "currency": "EUR", "money_source": "card"}, &deposit))
	assert.Equal(t, "pending", deposit.Status)
	cancel()
	assert.Zero(t, <-ended)
}

func TestS13_SecretsRotateOnSIGHUPWithoutARestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "jwt")
	write := func(text string) { require.NoError(t, os.WriteFile(file, []byte(text+"\n"), 0o600)) }
	write(goodSecret)
	started := make(chan *App, 1)
	var stdout, stderr notifying
	p := program{environ: settings(t, map[string]string{"JWT_SECRET_FILE": file}), stdout: stdout.init(), stderr: stderr.init(),
		started: func(a *App) { started <- a }}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() { ended <- p.run(ctx, []string{"--json"}) }()
	app := <-started
	said := decoded[greeting](t, stdout.wait(t)) // by then the server listens to the signal
	assert.Equal(t, app.PublicURL(), said.URL)
	assert.Empty(t, said.AdminPassword, "one that was given is not shown")

	c := person(t, app, "ada")
	reload := func(text string) {
		write(text)
		before := strings.Count(stderr.String(), "secrets read again")
		require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGHUP))
		until(t, "the server has read the secret", func() bool { return strings.Count(stderr.String(), "secrets read again") > before })
	}
	const second = "Z3xW8cVb6NmA1sDf4GhJ7kLq2WeR5tYu"
	reload(second + "," + goodSecret)
	require.NoError(t, c.get(t.Context(), "/accounts", nil), "the old secret verifies while both are in force")
	reload(second)
	require.ErrorContains(t, c.get(t.Context(), "/accounts", nil), "401", "the old secret is gone")

	write("short")
	require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGHUP))
	until(t, "the server refused the secret", func() bool { return strings.Contains(stderr.String(), "reload failed") })
	cancel()
	assert.Zero(t, <-ended)
	assert.Contains(t, stderr.String(), `"msg":"stopped"`)
}

func TestTheDrawnAdministratorsPasswordIsShownOnceAndWorks(t *testing.T) {
	environ := settings(t, map[string]string{"ADMIN_PASSWORD": ""})
	serve := func() greeting {
		started := make(chan *App, 1)
		var stdout, stderr notifying
		p := program{environ: environ, stdout: stdout.init(), stderr: stderr.init(), started: func(a *App) { started <- a }}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan int, 1)
		go func() { ended <- p.run(ctx, []string{"serve", "--json"}) }()
		app := <-started
		said := decoded[greeting](t, stdout.wait(t))
		if said.AdminPassword != "" {
			c := newDemoClient(app.PublicURL())
			assert.NoError(t, c.post(t.Context(), "/auth/login", object{"identity": "admin", "password": said.AdminPassword}, nil))
			c.http.CloseIdleConnections()
			assert.NotContains(t, stderr.String(), said.AdminPassword, "not in the log")
		}
		cancel()
		assert.Zero(t, <-ended)
		return said
	}
	assert.NotEmpty(t, serve().AdminPassword)
	assert.Empty(t, serve().AdminPassword)
}

// notifying is a writer that can be waited for.
type notifying struct {
	written chan struct{}
	locked  chan struct{}
	buffer  bytes.Buffer
}

func (n *notifying) init() *notifying {
	n.written, n.locked = make(chan struct{}, 1), make(chan struct{}, 1)
	return n
}

func (n *notifying) Write(p []byte) (int, error) {
	n.locked <- struct{}{}
	defer func() { <-n.locked }()
	select {
	case n.written <- struct{}{}:
	default:
	}
	return n.buffer.Write(p)
}

func (n *notifying) String() string {
	n.locked <- struct{}{}
	defer func() { <-n.locked }()
	return n.buffer.String()
}

// wait returns what was written, once something was.
func (n *notifying) wait(t *testing.T) string {
	t.Helper()
	select {
	case <-n.written:
		return n.String()
	case <-time.After(30 * time.Second):
		t.Fatal("nothing was written within 30 s")
		return ""
	}
}
