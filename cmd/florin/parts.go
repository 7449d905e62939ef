package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"strconv"
	"time"

	"github.com/google/uuid"

	"florin/domain/account"
	"florin/infra/database"
	"florin/infra/vault"
	"florin/pkg/eventbus"
	"florin/pkg/telemetry"
	"florin/service/integrity"
	"florin/webapi/health"
	"florin/webapi/middleware"
)

// bankLedgerFile is the mock bank's own ledger in the data folder.
const bankLedgerFile = "mock_bank.ledger"

// followLog wakes those in this process who wait for a transaction, whichever server moved it.
func (a *App) followLog(ctx context.Context) error {
	return a.Subscriptions.Follow(ctx, "waiters", a.Waiters.PassOver, eventbus.Positioned(a.Waiters.HandleEvent))
}

// redeliver hands the event of a subscriber's dead letter to the subscriber, past its cursor.
func (a *App) redeliver(ctx context.Context, letter account.DeadLetter) error {
	var kept struct {
		Position int64                `json:"position,string"`
		Data     account.PaymentEvent `json:"data"`
	}
	if err := json.Unmarshal([]byte(letter.Payload), &kept); err != nil {
		return fmt.Errorf("event of dead letter %s: %w", letter.ID, err)
	}
	event := eventbus.PositionedEvent{Position: kept.Position, Event: kept.Data}
	if s, ok := a.batchSubscribers[letter.SourceName]; ok {
		return s.handle(ctx, []eventbus.PositionedEvent{event})[0]
	}
	return a.subscribers[letter.SourceName](ctx, event)
}

// ensureAdmin bootstraps the user admin beside the start, because hashing a password takes longer than all else, and then
// rests until ctx ends. In production it makes none up: without ADMIN_PASSWORD there is no administrator.
func (a *App) ensureAdmin(ctx context.Context) error {
	if !a.Config.Production || a.Config.AdminPassword != "" {
		made, err := a.Users.EnsureAdmin(ctx, string(a.Config.AdminPassword))
		if err != nil {
			return err
		}
		if made.Username != "" && made.Username != "admin" {
			a.Log.WarnContext(ctx, "a user who is no administrator is called admin: look who that is; "+
				"the administrator has another name", "administrator", made.Username)
		}
		if made.Generated != "" {
			err := keepPassword(passwordFile(a.Config.DataDir), made.Username, made.Generated)
			if err != nil {
				a.Log.WarnContext(ctx, "administrator's password not kept", "error", err)
			}
		}
		a.adminMade = made
	}
	close(a.adminReady)
	<-ctx.Done()
	return nil
}

// buildIntegrity makes the continuous proof of the books.
func (a *App) buildIntegrity(config integrity.Config) {
	config.Freeze = func(ctx context.Context, accountID uuid.UUID, by account.Operator) error {
		_, err := a.Service.FreezeAccount(ctx, accountID, by)
		return err
	}
	if config.FullEvery == 0 {
		config.FullEvery = a.Config.VerifyEvery
	}
	config.Alert, config.Clock, config.Log = a.Metrics.Alert, a.Clock, a.Log
	a.Integrity = integrity.New(config)
}

// privacy seals and erases what must not lie in clear, or at all.
func (a *App) privacy() privacy {
	return privacy{store: database.NewPrivacy(a.DB), keep: a.Config.PayloadRetention, now: a.Clock, log: a.Log,
		alert: a.Metrics.Alert, every: time.Minute}
}

// retention clears what must not be kept for ever.
func (a *App) retention() retention {
	return retention{purge: a.Ledger.PurgeAnswers, purgeDeliveries: a.Webhooks.store.PurgeDeliveries,
		purgeOrigins: database.NewDepositFailures(a.DB).PurgeOrigins, now: a.Clock, log: a.Log, every: 24 * time.Hour}
}

var errDraining = errors.New("the server is stopping")

// health names what a server needs. The log's backlog is a note: whoever reads the API is not concerned by it.
func (a *App) health() *health.Handlers {
	report := func(name string, err error) { a.Log.Warn("health check failed", "check", name, "error", err) }
	handlers := health.New(report, append(a.sinkChecks(),
		health.Check{Name: "serving", Run: func(context.Context) error {
			if a.draining.Load() {
				return errDraining
			}
			return nil
		}},
		health.Check{Name: "database", Run: a.DB.Ping},
		health.Check{Name: "event_log", Note: true, Run: func(ctx context.Context) error {
			age, err := a.oldestWaiting(ctx)
			if err == nil && age > time.Minute {
				err = fmt.Errorf("an event has waited %s for its position", age)
			}
			return err
		}},
	)...)
	if a.Config.Profile == profileStaging {
		handlers.Profile = profileStaging
	}
	return handlers
}

func (a *App) oldestWaiting(ctx context.Context) (time.Duration, error) {
	at, waits, err := a.log.OldestWaiting(ctx)
	if err != nil || !waits {
		return 0, err
	}
	return max(0, a.Clock().Sub(at)), nil
}

func (a *App) subscribersBehind(ctx context.Context) (map[string]telemetry.Behind, error) {
	lags, err := a.log.Lags(ctx)
	if err != nil {
		return nil, err
	}
	byName := make(map[string]telemetry.Behind, len(lags))
	for _, lag := range lags {
		behind := telemetry.Behind{Events: lag.Events}
		if !lag.Since.IsZero() {
			behind.Age = max(0, a.Clock().Sub(lag.Since))
		}
		byName[lag.Name] = behind
	}
	return byName, nil
}

// profiles are on a mux of their own: importing net/http/pprof also puts them on the default one, which nobody serves.
func profiles(ending context.Context) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof", pprof.Index)
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return boundedProfiles(ending, mux)
}

// boundedProfiles refuses a profile that takes longer than MaxProfileSeconds. What net/http/pprof cannot read it takes
// for a time of its own, so that is refused too. One that runs ends when ending does: the program would wait for it.
func boundedProfiles(ending context.Context, profiles http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// FormValue is what net/http/pprof itself reads.
		if text := r.FormValue("seconds"); text != "" {
			seconds, err := strconv.ParseFloat(text, 64)
			if err != nil || !(seconds > 0 && seconds <= middleware.MaxProfileSeconds) {
				http.Error(w, "seconds must be a number above 0, of at most "+strconv.Itoa(middleware.MaxProfileSeconds), http.StatusBadRequest)
				return
			}
		}
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		defer context.AfterFunc(ending, cancel)()
		profiles.ServeHTTP(w, r.WithContext(ctx))
	})
}

func (a *App) loadCertificate() error {
	pair, err := tls.LoadX509KeyPair(a.Config.TLSCert, a.Config.TLSKey)
	if err != nil {
		return fmt.Errorf("load TLS certificate: %w", err)
	}
	a.certificate.Store(&pair)
	return nil
}

// secured takes the certificate that is in force at each handshake, so that a new one needs no restart.
func (a *App) secured(l net.Listener) net.Listener {
	return tls.NewListener(l, &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return a.certificate.Load(), nil },
	})
}

// Reload takes over what a fresh reading of the settings' files gives: the secrets that sign and verify, and the
// certificate. What cannot be used leaves the old ones in force.
func (a *App) Reload(fresh Config) error {
	if err := fresh.keepSecrets(); err != nil {
		return err
	}
	failures := []error{
		describe("JWT_SECRET", a.Auth.SetSecrets(reveal(fresh.JWTSecrets))),
		describe("DATA_KEY", a.vault.SetKeys(vault.Keys(vault.Data, reveal(fresh.DataKeys)))),
		describe("DATA_KEY", a.Webhooks.vault.SetKeys(webhookKeys(fresh))),
		describe("STRIPE_API_KEY, STRIPE_WEBHOOK_SECRET", a.reloadStripe(fresh)),
	}
	if a.mock != nil {
		failures = append(failures, describe("MOCK_WEBHOOK_SECRET", a.mock.SetWebhookSecrets(reveal(fresh.MockWebhookSecrets))))
	}
	if a.Config.TLSCert != "" {
		failures = append(failures, a.loadCertificate())
	}
	return errors.Join(failures...)
}
