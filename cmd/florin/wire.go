package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"florin/domain/account"
	"florin/domain/fx"
	"florin/infra/database"
	"florin/infra/fx/fixed"
	"florin/infra/fx/off"
	"florin/infra/provider/breaker"
	"florin/infra/provider/stripe"
	"florin/infra/vault"
	"florin/pkg/eventbus"
	"florin/pkg/telemetry"
	accountsvc "florin/service/account"
	"florin/service/auth"
	"florin/service/deadletter"
	"florin/service/integrity"
	mailsvc "florin/service/mail"
	"florin/service/notification"
	"florin/service/reconcile"
	"florin/service/relay"
	"florin/service/stream"
	"florin/service/sweep"
	usersvc "florin/service/user"
	"florin/webapi"
	webauth "florin/webapi/auth"
	"florin/webapi/decode"
	"florin/webapi/events"
	"florin/webapi/middleware"
	webpayout "florin/webapi/payout"
	webuser "florin/webapi/user"
)

// webhookLimit is how often one address may send webhooks: far above what a provider does, far below a flood.
const webhookLimit = "1000/s"

// relayLeaseTTL is how long the events wait when the server that relays them was killed. A short one is safe: the fence holds.
const relayLeaseTTL = 3 * time.Second

// serverName names this process in leases, for people.
func serverName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s/%d", host, os.Getpid())
}

// systemClock is the wall clock in UTC with microseconds, what both databases keep.
func systemClock() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// Options are what tests set and the program does not. The zero value is the program's.
type Options struct {
	Clock account.Clock // the system's when nil
	Log   *slog.Logger  // slog.Default() when nil
	// Database tunes the store; Logger is set here.
	Database database.Options
	// Passwords hashes; at the standard cost when nil.
	Passwords *auth.Passwords
	// Sweep tunes the sweep; Due, Payments, Clock and Log are set here.
	Sweep sweep.Config
	// Reconcile tunes the reconciliation with providers; its ports, Clock, Log and Meter are set here.
	Reconcile reconcile.Config
	// Mail tunes the mails; its ports, Clock and Log are set here.
	Mail mailsvc.ServiceDeps
	// Limits tune the payment flow; Amount, PaymentDeadline, OpenDeposits and Accounts are the configuration's.
	Limits accountsvc.Limits
	// Rates stands in for the source of FX_SOURCE, behind the same guard.
	Rates fx.Source
	// Breaker tunes the circuit breakers of the providers; Now, Log and Changed are set here.
	Breaker breaker.Config
	// EventBus is put around the bus that payment events are published on.
	EventBus func(eventbus.Publisher) eventbus.Publisher
	// Capacity is how many requests of each share run at once.
	Capacity webapi.Capacity
	// Streams and StreamTimes tune the event streams.
	Streams     stream.Limits
	StreamTimes events.Times
	// Webhooks tunes the delivery of webhooks; its ports, Clock and Log are set here.
	Webhooks notification.DeliverConfig
	// Integrity tunes the continuous proof; its ports, Clock and Log are set here.
	Integrity integrity.Config
	// Subscribers are durable readers of the log, by name.
	Subscribers map[string]eventbus.PositionedHandler
	// SubscribersAlone leaves the program's own out, for tests that kill the program in a subscriber and must know in which.
	SubscribersAlone bool
}

// NewApp builds the graph and opens what it needs: the database, migrated, and the listeners. Nothing runs until Start.
// Whether or not Start was called, Stop gives everything back.
func NewApp(ctx context.Context, config Config, options Options) (*App, error) {
	a := &App{Config: config, Log: options.Log, Clock: options.Clock, answers: newStage(), work: newStage(), delivery: newStage(), base: newStage(),
		failed: make(chan error, 1), adminReady: make(chan struct{})}
	if a.Log == nil {
		a.Log = slog.Default()
	}
	if a.Clock == nil {
		a.Clock = systemClock
	}
	err := a.build(ctx, options)
	if err != nil {
		return nil, errors.Join(err, a.close(ctx))
	}
	return a, nil
}

func (a *App) build(ctx context.Context, options Options) error {
	if err := a.openTelemetry(ctx); err != nil {
		return err
	}
	// First of all that can be touched: a server whose address is taken leaves no trace.
	if err := a.openListeners(ctx); err != nil {
		return err
	}
	if err := a.Config.keepSecrets(); err != nil {
		return err
	}
	if err := a.openDatabase(ctx, options.Database); err != nil {
		return err
	}
	if a.Config.withMock() {
		if err := a.openBank(ctx); err != nil {
			return err
		}
	}
	if err := a.openStripe(); err != nil {
		return err
	}
	a.buildProviders(options.Breaker)
	if err := a.buildLog(ctx, options); err != nil {
		return err
	}
	a.subscribers, a.batchSubscribers = options.Subscribers, map[string]batchSubscriber{}
	if err := a.openSinks(); err != nil {
		return err
	}
	if err := a.buildWebhooks(options); err != nil {
		return err
	}
	if err := a.buildMail(options); err != nil {
		return err
	}
	if err := a.Subscriptions.Prepare(ctx, a.durable()...); err != nil {
		return err
	}
	if err := a.buildServices(options); err != nil {
		return err
	}
	return a.buildServer(options)
}

func (a *App) openTelemetry(ctx context.Context) (err error) {
	if a.tracesStop, err = telemetry.StartTracing(ctx, environment(), version(), a.Log); err != nil {
		return err
	}
	a.closers = append(a.closers, a.tracesStop)
	if a.Metrics, err = telemetry.NewMetrics(); err != nil {
		return err
	}
	a.closers = append(a.closers, a.Metrics.Close)
	return nil
}

// openDatabase opens the store and brings its schema up to date, under a lock where several servers start at once.
func (a *App) openDatabase(ctx context.Context, options database.Options) (err error) {
	options.Logger, options.Spans = a.Log, telemetry.Tracing()
	if a.vault, err = vault.New(vault.Keys(vault.Data, reveal(a.Config.DataKeys))); err != nil {
		return err
	}
	options.Vault = a.vault
	if a.DB, err = database.Open(ctx, string(a.Config.DatabaseURL), options); err != nil {
		return err
	}
	a.closers = append(a.closers, func(context.Context) error { return a.DB.Close() })
	if err := database.Migrate(ctx, a.DB); err != nil {
		return err
	}
	a.Ledger, a.Books = database.NewLedger(a.DB), database.NewBooks(a.DB)
	a.Ledger.MaxBatch = a.Config.LaneBatch
	a.log = database.NewLog(a.DB, a.Clock)
	return nil
}

// buildLog joins the ledger, the relay and those who read the log.
func (a *App) buildLog(ctx context.Context, options Options) (err error) {
	settings := relay.Settings{LeaseTTL: relayLeaseTTL, Holder: serverName(), Now: a.Clock, Logger: a.Log,
		DeadLetters: database.NewDeadLetters(a.DB, a.Clock),
		Hooks: relay.Hooks{
			Moved: a.Metrics.Relayed, Handled: a.Metrics.Handled,
			Failed:      func(name string, _ error) { a.Metrics.Redelivered(name) },
			EventFailed: func(subscriber string, _ error) { a.Metrics.Redelivered(subscriber) },
			SetAside:    func(string, string) { a.Metrics.Alert("dead_letter") },
		}}
	leases := database.NewLeases(a.DB, a.Clock)
	proving := options.Integrity
	proving.Proofs, proving.Leases, proving.Holder = database.NewIntegrity(a.DB, a.Clock), leases, settings.Holder
	a.buildIntegrity(proving)
	a.Subscriptions = relay.NewSubscriptions(a.log, leases, settings)
	a.Relay = relay.New(a.log, leases, settings, a.Subscriptions.Moved)
	a.Ledger.OnCommit = a.Relay.Committed
	a.Waiters = relay.NewWaiters(0, 0)
	if a.Streams, err = stream.NewHub(ctx, a.log, options.Streams, a.Metrics); err != nil {
		return err
	}
	letters := database.NewDeadLetters(a.DB, a.Clock)
	a.Letters = deadletter.NewService(deadletter.ServiceDeps{Letters: letters, Events: letters, Clock: a.Clock, Log: a.Log, Alert: a.Metrics.Alert})
	return a.Metrics.ObserveDeadLetters(a.Clock, letters.CountDeadLetters)
}

func (a *App) buildServices(options Options) (err error) {
	limits := options.Limits
	limits.Amount, limits.PaymentDeadline = a.Config.AmountLimit, a.Config.PaymentDeadline
	limits.OpenDeposits, limits.Accounts = a.Config.OpenDeposits, a.Config.OpenAccounts
	rates := options.Rates
	switch {
	case rates != nil:
	case a.Config.FXSource == off.Name:
		rates = off.Source{}
	default:
		rates = fixed.New()
	}
	var bus eventbus.Publisher = database.NewBus(a.Subscriptions.Subscribe)
	if options.EventBus != nil {
		bus = options.EventBus(bus)
	}
	a.Service = accountsvc.NewService(accountsvc.ServiceDeps{
		Ledger:          a.Ledger,
		Books:           a.Books,
		EventBus:        bus,
		Providers:       accountsvc.Providers{Default: a.Config.PaymentProvider, ByName: a.providers},
		PayoutAccounts:  map[string]account.PayoutAccounts{stripe.Name: a.payoutAccounts},
		DepositFailures: map[string]account.DepositFailures{stripe.Name: database.NewDepositFailures(a.DB)},
		Reviews:         database.NewReviews(a.DB),
		Rates:           fx.NewGuard(rates, 0, a.Clock),
		Waiter:          middleware.NewWaits(a.Waiters),
		Clock:           a.Clock,
		Log:             a.Log,
		Meter:           a.Metrics,
		Limits:          limits,
	})
	users := database.NewUsers(a.DB)
	a.Auth, err = auth.NewService(auth.ServiceDeps{Users: users, Sessions: users, Passwords: options.Passwords,
		Secrets: reveal(a.Config.JWTSecrets), Now: a.Clock})
	if err != nil {
		return err
	}
	a.Users, err = usersvc.NewService(usersvc.ServiceDeps{Users: users, Accounts: users,
		Credentials: a.Auth, Now: a.Clock, Tell: a.Config.SMTPURL != ""})
	if err != nil {
		return err
	}
	if a.payouts, err = a.newPayouts(); err != nil {
		return err
	}
	sweeping := options.Sweep
	sweeping.Due, sweeping.Payments, sweeping.Clock, sweeping.Log = database.NewDue(a.DB), a.Service, a.Clock, a.Log
	a.Sweep = sweep.New(sweeping)
	if err := a.buildReconciler(options.Reconcile); err != nil {
		return err
	}
	return a.Metrics.Observe(telemetry.Backlog{OldestWaiting: a.oldestWaiting, Subscribers: a.subscribersBehind})
}

func (a *App) buildServer(options Options) error {
	limiter, err := middleware.NewLimiter(a.Config.RateLimit, a.Clock)
	if err != nil {
		return err
	}
	webhookLimiter, err := a.limiter(webhookLimit)
	if err != nil {
		return err
	}
	registrations, err := a.limiter(a.Config.RegistrationLimit)
	if err != nil {
		return err
	}
	onboardings, err := a.limiter(a.Config.RegistrationLimit)
	if err != nil {
		return err
	}
	cursors, err := decode.NewCursors(cursorKey(a.Config.JWTSecrets[0]))
	if err != nil {
		return err
	}
	a.Server, err = webapi.NewServer(webapi.Deps{
		Accounts:    a.tellOfTargets(),
		Webhooks:    a.Webhooks.Service,
		Users:       webuser.New(a.Users, registrations),
		Auth:        webauth.New(a.Auth),
		Health:      a.health(),
		DeadLetters: a.Letters,
		Reviews:     a.Service,
		Reconciler:  a.Reconciler,
		Integrity:   a.Integrity,
		Events: events.New(events.Deps{
			Hub: a.Streams, Verifier: a.Auth, Sent: a.Metrics.Streamed, Log: a.Log, Times: options.StreamTimes,
		}),
		Verifier:       a.Auth,
		Received:       eventbus.NewReceived(accountsvc.NewPaymentEventHandler(a.Service)),
		Providers:      a.providers,
		Payouts:        webpayout.New(a.payouts, onboardings),
		Cursors:        cursors,
		Limiter:        limiter,
		Capacity:       options.Capacity,
		Maintenance:    a.Config.Maintenance,
		WebhookLimiter: webhookLimiter,
		Proxies:        a.Config.TrustedProxies,
		Origins:        a.Config.CORSOrigins,
		// With a certificate of our own, every connection is TLS already.
		AdminHosts:    a.Config.AdminHosts,
		RequireHTTPS:  a.Config.Production && a.Config.TLSCert == "",
		Guides:        guides(),
		Walk:          walkFor(a.Config),
		CountWebhook:  a.countWebhooks(),
		Observe:       observe(a.Metrics),
		Log:           a.Log,
		Clock:         a.Clock,
		Metrics:       a.Metrics.Handler(),
		Profiles:      profiles(a.answers.ctx),
		GuardProfiles: a.Config.Production,
	})
	return err
}

// limiter is one more limit, which RATE_LIMIT=off switches off with the others.
func (a *App) limiter(limit string) (*middleware.Limiter, error) {
	if a.Config.RateLimit == "off" {
		limit = "off"
	}
	return middleware.NewLimiter(limit, a.Clock)
}

// cursorKey is derived, so that all servers with one JWT_SECRET share it and there is one secret less to keep.
func cursorKey(jwt secret) []byte {
	mac := hmac.New(sha256.New, []byte(jwt))
	mac.Write([]byte("florin cursors"))
	return mac.Sum(nil)
}

func (a *App) openListeners(ctx context.Context) (err error) {
	if a.public, err = a.listen(ctx, a.Config.HTTPAddr); err != nil {
		return err
	}
	a.public = middleware.Connections{PerAddress: a.Config.ConnectionsPerAddress,
		Total: middleware.MostConnections(descriptors()), Exempt: a.Config.TrustedProxies.Trusts,
		Refused: a.Metrics.ConnectionRefused}.Bound(a.public)
	if a.Config.TLSCert != "" {
		if err := a.loadCertificate(); err != nil {
			return err
		}
		a.public = a.secured(a.public)
	}
	if a.admin, err = a.listen(ctx, a.Config.AdminAddr); err != nil {
		return err
	}
	a.admin = middleware.Connections{PerAddress: adminConnections, Total: adminConnections,
		Refused: a.Metrics.ConnectionRefused}.Bound(a.admin)
	return nil
}

// adminConnections are for scrapers and operators.
const adminConnections = 64

func (a *App) listen(ctx context.Context, address string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	// Whoever serves it closes it too; closing it twice harms nobody.
	a.closers = append(a.closers, func(context.Context) error {
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	})
	return middleware.Patient(l), nil
}
