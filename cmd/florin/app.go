package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"florin/domain/account"
	"florin/infra/database"
	"florin/infra/provider/mock"
	"florin/infra/provider/mock/bank"
	"florin/infra/provider/stripe"
	"florin/infra/vault"
	"florin/pkg/crashpoint"
	"florin/pkg/eventbus"
	"florin/pkg/telemetry"
	accountsvc "florin/service/account"
	"florin/service/auth"
	"florin/service/deadletter"
	"florin/service/integrity"
	mailsvc "florin/service/mail"
	"florin/service/payout"
	"florin/service/reconcile"
	"florin/service/relay"
	"florin/service/stream"
	"florin/service/sweep"
	usersvc "florin/service/user"
	"florin/webapi"
)

// What each part of an orderly end may take. Together they stay below the 25 s that orchestrators commonly give.
const (
	requestsWithin = 20 * time.Second
	drainWithin    = 3 * time.Second
)

// App is the whole program, built by hand in wire.go. Tests build the same one with other settings and reach its parts.
type App struct {
	Config Config
	Log    *slog.Logger
	Clock  account.Clock

	DB            *database.DB
	Ledger        *database.Ledger
	Books         *database.Books
	Metrics       *telemetry.Metrics
	Relay         *relay.Relay
	Subscriptions *relay.Subscriptions
	Waiters       *relay.Waiters
	Streams       *stream.Hub
	Letters       *deadletter.Service
	Integrity     *integrity.Service
	Sweep         *sweep.Sweep
	Reconciler    *reconcile.Service
	Service       *accountsvc.Service
	Auth          *auth.Service
	Users         *usersvc.Service
	Webhooks      webhooksOut
	vault         *vault.Vault
	Server        *webapi.Server
	// Bank is the mock bank in this process, nil where MOCK_BANK_URL names another.
	Bank *bank.Bank

	mail        *mailsvc.Service // nil without SMTP_URL
	log         *database.Log
	subscribers map[string]eventbus.PositionedHandler
	// batchSubscribers are the sinks and whoever else takes many events at once.
	batchSubscribers map[string]batchSubscriber
	sinks            []*sink
	mock             *mock.Client   // nil in production
	stripe           *stripe.Client // nil without a key
	providers        map[string]account.PaymentProvider
	payouts          *payout.Service

	payoutAccounts *database.PayoutAccounts
	bankServer     *http.Server
	tracesStop     func(context.Context) error

	public, admin, bankListener, webhooks net.Listener
	certificate                           atomic.Pointer[tls.Certificate]

	// The loops end in this order: work is taken up no more, then what is committed goes out, then the rest.
	work, delivery, base stage
	// answers ends first: what takes long to answer, and would hold up the end, stops by it.
	answers    stage
	loops      errgroup.Group
	failed     chan error
	draining   atomic.Bool
	adminReady chan struct{}
	adminMade  usersvc.Bootstrap // set before adminReady is closed
	closers    []func(context.Context) error
	stopOnce   sync.Once
	stopErr    error
}

// batchSubscriber is a durable reader of the log that takes many events at once.
type batchSubscriber struct {
	handle eventbus.BatchHandler
	pass   relay.PassOver // nil where every event is wanted
}

// stage is loops that end together.
type stage struct {
	ctx  context.Context
	stop context.CancelFunc
}

func newStage() stage {
	ctx, stop := context.WithCancel(context.Background())
	return stage{ctx, stop}
}

// Start serves and begins to work; it returns at once. What fails later ends up in Failed.
func (a *App) Start() {
	a.DB.Narrow()
	a.loop("connections", a.base, afterStart(a.widen))
	a.loop("public listener", a.base, func(context.Context) error { return a.Server.ServePublic(a.public) })
	a.loop("admin listener", a.base, func(context.Context) error { return a.Server.ServeAdmin(a.admin) })
	if a.webhooks != nil {
		a.loop("webhook listener", a.base, func(context.Context) error { return a.Server.ServePublic(a.webhooks) })
	}
	if a.Bank != nil {
		a.loop("mock bank", a.base, a.Bank.Run)
		a.loop("mock bank's listener", a.base, func(context.Context) error { return serveHTTP(a.bankServer, a.bankListener) })
	}
	a.loop("administrator", a.work, a.ensureAdmin)
	a.loop("relay", a.delivery, a.Relay.Run)
	a.loop("waiters", a.delivery, a.followLog)
	a.loop("event streams", a.delivery, func(ctx context.Context) error {
		return a.Subscriptions.FollowAfter(ctx, "streams", a.Streams.Position(), a.Streams.PassOver, a.Streams.HandleEvent)
	})
	for name, handle := range a.subscribers {
		a.loop("subscriber "+name, a.delivery, func(ctx context.Context) error {
			return a.Subscriptions.SubscribePositioned(ctx, name, handle)
		})
	}
	for name, s := range a.batchSubscribers {
		a.loop("subscriber "+name, a.delivery, func(ctx context.Context) error {
			return a.Subscriptions.SubscribeBatch(ctx, name, s.pass, s.handle)
		})
	}
	a.startWebhooks()
	a.startMail()
	a.loop("redriver", a.delivery, afterStart(a.Letters.NewRedriver(a.durable(), a.redeliver).Run))
	a.loop("sweep", a.work, afterStart(a.Sweep.Run))
	a.loop("reconciler", a.work, afterStart(a.Reconciler.Run))
	a.loop("proof of the log", a.work, afterStart(a.Integrity.Run))
	a.loop("proof of all books", a.work, afterStart(a.Integrity.RunFull))
	a.loop("privacy", a.work, afterStart(a.privacy().Run))
	a.loop("retention", a.work, afterStart(a.retention().Run))
	if a.DB.Dialect() == database.Postgres {
		a.loop("listener", a.delivery, afterStart(database.Listener{
			URL: string(a.Config.DatabaseURL), Own: a.log, RelayNudged: a.Relay.Nudged, LogGrew: a.Subscriptions.Wake, Logger: a.Log,
		}.Run))
	}
}

// widen lets the first requests be over before the database opens more connections.
func (a *App) widen(ctx context.Context) error {
	if err := a.DB.Widen(ctx); err != nil && ctx.Err() == nil {
		a.Log.WarnContext(ctx, "connection of the commits not opened, the first commit will", "error", err)
	}
	<-ctx.Done()
	return nil
}

// startsAfter is how long the loops wait that nobody waits for.
const startsAfter = 250 * time.Millisecond

// afterStart lets a loop begin a moment later, so that the first requests find the connections of the database free.
func afterStart(run func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		begin := time.NewTimer(startsAfter)
		defer begin.Stop()
		select {
		case <-ctx.Done():
			return nil
		case <-begin.C:
			return run(ctx)
		}
	}
}

// Failed gives the error of the first part that ended although nobody asked it to. The program cannot go on then.
func (a *App) Failed() <-chan error { return a.failed }

// Stop ends the program in order and waits for everything that it started: no new requests, those in flight finished within
// 20 s, calls to providers drained, events given their positions, the database closed. It may be called more than once.
func (a *App) Stop() error {
	a.stopOnce.Do(func() { a.stopErr = a.stop() })
	return a.stopErr
}

func (a *App) stop() error {
	crashpoint.Hit(crashpoint.TerminationSeen)
	started := time.Now()
	a.draining.Store(true)
	a.answers.stop()
	// Whoever waits for a transaction is answered with its state as it is; nothing would wake him any more.
	a.Waiters.Close()
	// Streams would hold up the end of the requests for as long as they are open.
	a.Streams.Close()
	requests, cancel := context.WithTimeout(context.Background(), requestsWithin)
	defer cancel()
	failures := []error{describe("requests in flight", a.Server.Shutdown(requests))}
	a.work.stop()
	calls, cancelCalls := context.WithDeadline(context.Background(), started.Add(requestsWithin+drainWithin/2))
	defer cancelCalls()
	failures = append(failures, describe("provider calls", a.Service.Close(calls)))
	drain, cancelDrain := context.WithTimeout(context.Background(), drainWithin)
	defer cancelDrain()
	a.drainRelay(drain)
	a.delivery.stop()
	a.base.stop()
	if a.bankServer != nil {
		// Calls that a scenario holds back ended with the bank's Run. Connections that our client has opened and not used
		// yet would count as busy for five seconds, so they are closed first, and this waits for nobody.
		a.mock.Close()
		failures = append(failures, describe("mock bank", a.bankServer.Shutdown(drain)))
	}
	failures = append(failures, a.loops.Wait())
	crashpoint.Hit(crashpoint.DrainEnded)
	a.Log.Info("stopped", "took_ms", time.Since(started).Milliseconds())
	return errors.Join(append(failures, a.close(drain))...)
}

// drainRelay gives the last events their positions, so that other servers deliver them at once. What is left over, for
// instance because the database is away, the next relay finds.
func (a *App) drainRelay(ctx context.Context) {
	for {
		moved, err := a.Relay.RunOnce(ctx)
		if err != nil {
			a.Log.Warn("events left without position", "error", err)
		}
		if err != nil || moved == 0 {
			return
		}
	}
}

// close gives back what was opened, the newest first.
func (a *App) close(ctx context.Context) error {
	a.work.stop()
	a.delivery.stop()
	a.base.stop()
	var failures []error
	for i := len(a.closers) - 1; i >= 0; i-- {
		failures = append(failures, a.closers[i](ctx))
	}
	a.closers = nil
	return errors.Join(failures...)
}

// loop runs a part until its stage ends. One that ends before, with or without an error, ends the program: half of it
// must not go on alone.
func (a *App) loop(name string, s stage, run func(context.Context) error) {
	a.loops.Go(func() error {
		err := run(s.ctx)
		if s.ctx.Err() != nil || a.draining.Load() {
			return nil
		}
		if err == nil {
			err = errors.New("ended by itself")
		}
		err = fmt.Errorf("%s: %w", name, err)
		select {
		case a.failed <- err:
		default:
		}
		return err
	})
}

// PublicURL is where the public listener is reached from this machine.
func (a *App) PublicURL() string {
	scheme := "http"
	if a.Config.TLSCert != "" {
		scheme = "https"
	}
	return scheme + "://" + reachable(a.public.Addr())
}

// AdminURL is where the admin listener is reached from this machine.
func (a *App) AdminURL() string { return "http://" + reachable(a.admin.Addr()) }

// reachable is an address to call for a listener: one on all addresses is called on loopback.
func reachable(addr net.Addr) string {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok || !tcp.IP.IsUnspecified() {
		return addr.String()
	}
	return net.JoinHostPort("127.0.0.1", fmt.Sprint(tcp.Port))
}

func serveHTTP(server *http.Server, l net.Listener) error {
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func describe(what string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
