package notification_test

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"florin/domain/account"
	domain "florin/domain/notification"
	"florin/domain/user"
	"florin/infra/database"
	"florin/infra/database/databasetest"
	"florin/infra/notify/webhook"
	"florin/infra/vault"
	"florin/pkg/eventbus"
	"florin/service/notification"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("os/exec.(*Cmd).Wait"))
}

const serverSecret = "a secret of the server, long enough to derive"

// clock stands still unless a test moves it.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// bench is a database with users, endpoints and a log, and the servers that share it.
type bench struct {
	t        *testing.T
	db       *database.DB
	store    *database.Webhooks
	vault    *vault.Vault
	clock    *clock
	webhooks *notification.Webhooks
	log      []eventbus.PositionedEvent // of payment events, in memory
	fanout   *notification.Fanout
	worker   *notification.Deliverer
	outcomes *outcomes
	ada, bob uuid.UUID
}

// onBoth runs the test on both databases.
func onBoth(t *testing.T, run func(t *testing.T, b *bench)) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) { run(t, newBench(t, db)) })
}

func newBench(t *testing.T, db *database.DB) *bench {
	b := &bench{t: t, db: db, store: database.NewWebhooks(db), clock: &clock{now: time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)},
		outcomes: &outcomes{}, ada: uuid.New(), bob: uuid.New()}
	var err error
	b.vault, err = vault.New(vault.Keys(vault.Data, []string{serverSecret}))
	require.NoError(t, err)
	for name, id := range map[string]uuid.UUID{"ada": b.ada, "bob": b.bob} {
		require.NoError(t, db.Writer().Exec(`INSERT INTO users (id, username, email, password_hash, created_at, updated_at) VALUES (?, ?, ?, 'x', ?, ?)`,
			id, name, name+"@example.com", b.clock.Now(), b.clock.Now()).Error)
	}
	b.webhooks = b.useCases()
	b.fanout = notification.NewFanout(b.store, b.clock.Now, func() {})
	b.worker = b.server(b.store)
	return b
}

func (b *bench) useCases() *notification.Webhooks {
	hash := func(user uuid.UUID, key string) uuid.UUID { return uuid.NewSHA1(user, []byte(key)) }
	return notification.NewWebhooks(notification.WebhookDeps{Endpoints: b.store, Vault: b.vault, Clock: b.clock.Now, KeyHash: hash, AllowPrivate: true})
}

// server is the deliverer of another server on the same database. Its pauses have no chance in them.
func (b *bench) server(queue domain.Queue, tune ...func(*notification.DeliverConfig)) *notification.Deliverer {
	sender := webhook.NewSender(webhook.Config{AllowPrivate: true, Now: b.clock.Now, Within: 10 * time.Second})
	b.t.Cleanup(sender.Close)
	cfg := notification.DeliverConfig{Queue: queue, Vault: b.vault, Sender: sender, Clock: b.clock.Now, Log: slog.New(slog.DiscardHandler),
		Delivered: b.outcomes.add, Every: time.Hour, Spread: func(pause time.Duration) time.Duration { return pause }}
	for _, f := range tune {
		f(&cfg)
	}
	return notification.NewDeliverer(cfg)
}

// outcomes counts attempts as a meter does.
type outcomes struct {
	mu   sync.Mutex
	seen map[string]int
}

func (o *outcomes) add(outcome string, _ time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.seen == nil {
		o.seen = map[string]int{}
	}
	o.seen[outcome]++
}

// happen appends an event of a user's transaction and gives it to the subscriber.
func (b *bench) happen(e account.PaymentEvent) account.PaymentEvent {
	b.t.Helper()
	b.commit(&e)
	b.fanOut(b.log[len(b.log)-1:])
	return e
}

// fanOut gives events to the subscriber.
func (b *bench) fanOut(events []eventbus.PositionedEvent) {
	b.t.Helper()
	require.NoError(b.t, errors.Join(b.fanout.Handle(b.t.Context(), events)...))
}

func (b *bench) commit(e *account.PaymentEvent) {
	e.EventID = uuid.NewString()
	if e.TransactionID == "" {
		e.TransactionID = uuid.NewString()
	}
	if e.Status == "" {
		e.Status = account.PaymentStatusCompleted
	}
	if e.Metadata == nil {
		e.Metadata = map[string]string{account.OperationKey: "deposit"}
	}
	e.AccountID, e.Amount, e.Currency, e.Seq, e.At = uuid.NewString(), 100, "EUR", 1, b.clock.Now()
	b.log = append(b.log, eventbus.PositionedEvent{Position: int64(len(b.log) + 1), Event: *e})
}

// deposit is a completed deposit of the user.
func (b *bench) deposit(user uuid.UUID) account.PaymentEvent {
	return b.happen(account.PaymentEvent{UserID: user.String()})
}

// received is one request as it came.
type received struct {
	header http.Header
	body   string
}

func (r received) id() string { return r.header.Get("webhook-id") }

// receiver is a server of a user's, over real HTTP.
type receiver struct {
	url string

	mu     sync.Mutex
	got    []received
	handle http.HandlerFunc
}

func newReceiver(t *testing.T, handle http.HandlerFunc) *receiver {
	t.Helper()
	r := &receiver{handle: handle}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, _ := io.ReadAll(request.Body)
	r.mu.Lock()
	r.got = append(r.got, received{request.Header.Clone(), string(body)})
	handle := r.handle
	r.mu.Unlock()
	handle(w, request)
}

// answer changes what it answers from now on.
func (r *receiver) answer(handle http.HandlerFunc) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.handle = handle
}

func (r *receiver) requests() []received {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]received(nil), r.got...)
}

// endpoint creates an endpoint of the user and returns it with its secret.
func (b *bench) endpoint(user uuid.UUID, url string, events ...string) notification.NewSecret {
	b.t.Helper()
	out, err := b.webhooks.CreateEndpoint(b.t.Context(), notification.CreateEndpoint{UserID: user, URL: url, Events: events})
	require.NoError(b.t, err)
	require.NotNil(b.t, out.Made)
	return *out.Made
}

// run gives everything that is due one turn and returns the number of attempts.
func (b *bench) run(worker *notification.Deliverer) int {
	b.t.Helper()
	n, err := worker.RunOnce(b.t.Context())
	require.NoError(b.t, err)
	return n
}

// deliveries of the endpoint, oldest first.
func (b *bench) deliveries(e domain.Endpoint) []domain.Delivery {
	b.t.Helper()
	newest, err := b.webhooks.Deliveries(b.t.Context(), e.UserID(), e.ID(), account.Page{Limit: 100})
	require.NoError(b.t, err)
	oldest := make([]domain.Delivery, 0, len(newest))
	for i := len(newest) - 1; i >= 0; i-- {
		oldest = append(oldest, newest[i])
	}
	return oldest
}

func (b *bench) found(e domain.Endpoint) domain.Endpoint {
	b.t.Helper()
	now, err := b.webhooks.Endpoint(b.t.Context(), e.UserID(), e.ID())
	require.NoError(b.t, err)
	return now
}

// verifies says whether the request is signed with the secret, whatever its age.
func verifies(t *testing.T, r received, secret domain.Secret) bool {
	t.Helper()
	verifier, err := standardwebhooks.NewWebhook(secret.Text())
	require.NoError(t, err)
	return verifier.VerifyIgnoringTimestamp([]byte(r.body), r.header) == nil
}

func auditOf(b *bench) user.Audit {
	return user.Audit{ID: uuid.New(), Actor: b.ada.String(), Action: "user.delete", Subject: b.ada.String(), At: b.clock.Now()}
}
