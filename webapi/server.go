// Package webapi is the HTTP edge: the table of routes, the server that registers it, and the OpenAPI document
// that is made of it.
package webapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"

	"florin/domain/account"
	"florin/pkg/crashpoint"
	webaccount "florin/webapi/account"
	webauth "florin/webapi/auth"
	"florin/webapi/deadletter"
	"florin/webapi/decode"
	"florin/webapi/events"
	"florin/webapi/health"
	"florin/webapi/integrity"
	"florin/webapi/middleware"
	"florin/webapi/payout"
	"florin/webapi/problem"
	"florin/webapi/reconciliation"
	"florin/webapi/review"
	"florin/webapi/transaction"
	webuser "florin/webapi/user"
	"florin/webapi/webhookendpoint"
)

// Accounts is what the web API uses of the account service.
type Accounts interface {
	webaccount.Service
	transaction.Service
}

// Deps is what the server is built from. Fields without a comment are required.
type Deps struct {
	Accounts Accounts
	// Webhooks is what users do with the endpoints that they take webhooks at.
	Webhooks webhookendpoint.Service
	Users    *webuser.Handlers
	Auth     *webauth.Handlers
	Payouts  *payout.Handlers
	Health   *health.Handlers
	Events   *events.Handlers
	// DeadLetters and Integrity are for administrators.
	DeadLetters deadletter.Service
	Reviews     review.Service
	Reconciler  reconciliation.Service
	Integrity   integrity.Service
	Verifier    middleware.Verifier
	// Received takes what providers report; Providers are those that may.
	Received  webaccount.ReceivedPublisher
	Providers map[string]account.PaymentProvider
	Cursors   decode.Cursors
	// Limiter is per caller, WebhookLimiter per address; see middleware.NewLimiter.
	Limiter        *middleware.Limiter
	WebhookLimiter *middleware.Limiter
	// Proxies, Origins and RequireHTTPS have working zero values: none, none, no.
	Proxies middleware.Proxies
	Origins middleware.Origins
	// AdminHosts are names that the admin listener answers to, beside addresses and localhost.
	AdminHosts   []string
	RequireHTTPS bool
	// Capacity has working zero values.
	Capacity Capacity
	// Maintenance refuses what would move money on a client's behalf. Providers are heard, and everything can be read.
	Maintenance bool
	// Guides are served below /docs; the one named errors is what the type of every problem links to. Walk is on the front page.
	Guides []Guide
	Walk   Walk
	// CountWebhook counts webhooks by provider and verdict; nil counts nothing.
	CountWebhook func(provider, verdict string)
	// Observe is put in front of every route, for traces and metrics; nil for none.
	Observe fiber.Handler
	Log     *slog.Logger
	// Clock is UTC with microseconds.
	Clock func() time.Time

	// Metrics and Profiles are served by the admin listener; nil for none. Profiles sees the whole path.
	Metrics  http.Handler
	Profiles http.Handler
	// GuardProfiles lets administrators alone take profiles; otherwise who reaches the listener may.
	GuardProfiles bool
}

// Capacity is how many requests of each share run at once; beyond it they are refused at once with 503. Zero
// fields take the defaults named.
type Capacity struct {
	General   int // 512
	Money     int // 1024
	Providers int // 512
	// Within is the deadline of a request's work; a preferred wait comes on top. 15 s.
	Within time.Duration
}

func (c Capacity) withDefaults() Capacity {
	orElse := func(n *int, standard int) {
		if *n == 0 {
			*n = standard
		}
	}
	orElse(&c.General, 512)
	orElse(&c.Money, 1024)
	orElse(&c.Providers, 512)
	if c.Within == 0 {
		c.Within = 15 * time.Second
	}
	return c
}

// Server is the public and the admin side of the web API.
type Server struct {
	// Routes is the public surface, AdminRoutes what administrators may do on the admin listener.
	Routes, AdminRoutes []Route
	public              *fiber.App
	admin               *fiber.App

	mu        sync.Mutex
	listeners []net.Listener
	stopped   bool
}

// NewServer builds both sides. It listens to nothing yet.
func NewServer(deps Deps) (*Server, error) {
	pages, err := newDocs(deps.Guides, deps.Walk)
	if err != nil {
		return nil, err
	}
	all := handlers{
		account: webaccount.New(deps.Accounts, deps.Cursors, deps.Clock),
		webhooks: webaccount.NewWebhooks(webaccount.WebhookDeps{
			Bus: deps.Received, Providers: deps.Providers, Count: deps.CountWebhook, Log: deps.Log,
		}),
		endpoints:   webhookendpoint.New(deps.Webhooks, deps.Cursors),
		transaction: transaction.New(deps.Accounts),
		user:        deps.Users, auth: deps.Auth, payout: deps.Payouts, events: deps.Events, health: deps.Health, docs: pages, adminDocs: &docs{},
		letters: deadletter.New(deps.DeadLetters, deps.Cursors), reviews: review.New(deps.Reviews, deps.Cursors),
		reconciliation: reconciliation.New(deps.Reconciler, deps.Cursors), integrity: integrity.New(deps.Integrity),
	}
	table, adminTable := routes(all), adminRoutes(all)
	all.docs.document = sync.OnceValues(func() ([]byte, error) { return Document(table) })
	all.adminDocs.document = sync.OnceValues(func() ([]byte, error) { return Document(adminTable) })
	return &Server{Routes: table, AdminRoutes: adminTable, public: publicApp(deps, table), admin: adminApp(deps, adminTable)}, nil
}

// Document is the OpenAPI document, as /openapi.json answers with it.
func (s *Server) Document() ([]byte, error) { return Document(s.Routes) }

// ServePublic serves the public routes until Shutdown, which makes it return nil, or a failure of the listener.
func (s *Server) ServePublic(l net.Listener) error { return s.serve(s.public, middleware.Listen(l)) }

// ServeAdmin serves the admin routes, as ServePublic does.
func (s *Server) ServeAdmin(l net.Listener) error { return s.serve(s.admin, l) }

// Shutdown stops taking requests and waits for those that run, until ctx ends.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.stopped = true
	listeners := s.listeners
	s.mu.Unlock()
	err := errors.Join(s.public.ShutdownWithContext(ctx), s.admin.ShutdownWithContext(ctx))
	// Closed here too: an app that has not begun to serve knows nothing yet of its listener, and would begin after
	// its own shutdown. For the others this is the second time, which is an error of no interest.
	for _, l := range listeners {
		_ = l.Close()
	}
	return err
}

func (s *Server) serve(app *fiber.App, l net.Listener) error {
	s.mu.Lock()
	s.listeners = append(s.listeners, l)
	stopped := s.stopped
	s.mu.Unlock()
	if stopped {
		return l.Close()
	}
	err := app.Listener(l)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil && !s.stopped {
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	}
	return nil
}

func newApp(deps Deps, origins middleware.Origins) *fiber.App {
	settings := middleware.Settings(problem.Handler(deps.Log))
	// One path, one route: limits are by path, and "/account/1/" must not pass as another one.
	settings.StrictRouting = true
	app := fiber.New(settings)
	middleware.Harden(app, origins)
	app.Use(middleware.RequestID(), middleware.Client(deps.Proxies, deps.RequireHTTPS), middleware.Log(deps.Log, deps.Clock))
	if deps.Observe != nil {
		app.Use(deps.Observe)
	}
	app.Use(middleware.Recover())
	return app
}

func publicApp(deps Deps, table []Route) *fiber.App {
	app := newApp(deps, deps.Origins)
	app.Use(middleware.CORS(deps.Origins))
	capacity := deps.Capacity.withDefaults()
	shares := map[Share]fiber.Handler{
		General:   middleware.Concurrency(capacity.General),
		Money:     middleware.Concurrency(capacity.Money),
		Providers: middleware.Concurrency(capacity.Providers),
	}
	if deps.Maintenance {
		shares[Money] = middleware.Maintenance
	}
	for _, route := range table {
		chain := append(admission(deps, route, shares), middleware.Deadline(capacity.Within))
		if point, named := repliedPoint[route.Share]; named && crashpoint.Enabled {
			chain = append(chain, middleware.Replied(point))
		}
		chain = append(chain, bodyOf(route), route.Handler)
		if route.Method == fiber.MethodGet {
			app.Get(route.Path, chain...) // which takes HEAD too
			continue
		}
		app.Add(route.Method, route.Path, chain...)
	}
	return app
}

// repliedPoint is the crash point behind the answers of a share.
var repliedPoint = map[Share]string{Money: crashpoint.ReplyWritten, Providers: crashpoint.WebhookAnswered}

// admission is what a request passes before any work is done for it: how often, who, how many at once. Callers are
// identified before they are counted, and counted before they are refused, so that guessing costs the guesser.
func admission(deps Deps, route Route, shares map[Share]fiber.Handler) []fiber.Handler {
	var chain []fiber.Handler
	switch {
	case route.Access == User || route.Access == Admin:
		chain = append(chain, middleware.Identify(deps.Verifier), deps.Limiter.PerCaller(), middleware.Authenticate(deps.Verifier))
	case route.Access == Optional:
		chain = append(chain, middleware.Identify(deps.Verifier), deps.Limiter.PerCaller())
	case route.Access == Signed:
		chain = append(chain, deps.WebhookLimiter.PerAddress())
	case route.Share != Free:
		chain = append(chain, deps.Limiter.PerAddress())
	}
	if route.Access == Admin {
		chain = append(chain, middleware.RequireAdmin())
	}
	if share, limited := shares[route.Share]; limited {
		chain = append(chain, share)
	}
	return chain
}

func bodyOf(route Route) fiber.Handler {
	if route.Body == WebhookBody {
		return middleware.Body(middleware.WebhookBodyLimit)
	}
	return middleware.Body(middleware.BodyLimit)
}
