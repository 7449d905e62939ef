package main

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/domain/account"
	"florin/infra/database"
	"florin/infra/database/databasetest"
	"florin/pkg/eventbus"
)

// TestF58_WebhookDuringAnOutageIsNotAcknowledgedAndHasOneEffectLater: PostgreSQL cannot be reached, SQLite cannot be written.
func TestF58_WebhookDuringAnOutageIsNotAcknowledgedAndHasOneEffectLater(t *testing.T) {
	for _, dialect := range []database.Dialect{database.SQLite, database.Postgres} {
		t.Run(string(dialect), func(t *testing.T) {
			t.Parallel()
			address := databasetest.URL(t, dialect)
			var network *proxy
			if dialect == database.Postgres {
				network, address = newURLProxy(t, address)
			}
			r := newRig(t, dialect, func(c *Config, _ *Options) { c.DatabaseURL = secret(address) })
			goAway, comeBack := func() { network.cut() }, func() { network.heal() }
			if dialect == database.SQLite {
				queryOnly := func(on string) {
					require.NoError(t, r.app.DB.Writer().Exec("PRAGMA query_only = "+on).Error)
				}
				goAway, comeBack = func() { queryOnly("ON") }, func() { queryOnly("OFF") }
			}
			c, euros, id, body, header := r.signed("evt_58")
			payment := c.do("GET", "/transaction/"+id, "").text(t, "payment_id")

			goAway()
			response, answer := r.raw("POST", "/webhook/mock", []byte(body), header)
			require.Equal(t, 503, response.StatusCode, "%s", answer)
			require.Equal(t, "5", response.Header.Get("Retry-After"))
			require.Contains(t, string(answer), `"code":"webhook_not_stored"`)
			r.complete(payment) // the bank delivers its own, again and again
			refused := `florin_webhooks_total{provider="mock",verdict="not_stored"}`
			r.until(func() bool { return r.metric(refused) >= 2 }, "the bank's webhook is refused too")
			comeBack()

			require.Equal(t, 200, r.sendWebhook(body, header))
			c.await(id, "completed")
			r.quiet()
			require.Equal(t, "100.00 0.00 100.00", c.balance(euros))
			require.Equal(t, []string{"initiated", "pending", "completed"}, r.history(id))
			require.EqualValues(t, 2, r.count("SELECT COUNT(*) FROM entries"))
		})
	}
}

// poisoner is an event bus that panics at the completion of some transactions.
type poisoner struct {
	eventbus.Publisher
	victims *sync.Map
}

func (p poisoner) PublishPaymentEvent(ctx context.Context, e account.PaymentEvent) error {
	if _, ill := p.victims.Load(e.TransactionID); ill && e.Status == account.PaymentStatusCompleted {
		panic("poison")
	}
	return p.Publisher.PublishPaymentEvent(ctx, e)
}

func TestF62_PoisonousEventBecomesADeadLetterAndIsAppliedOnceWhenRedriven(t *testing.T) {
	const tries = 8
	var victims sync.Map
	var log journal
	eachRig(t, func(t *testing.T, r *rig) {
		c := r.user()
		euros, others := c.open("EUR"), c.open("EUR")
		d := c.deposit(euros, "100.00", "EUR")
		id := d.text(t, "id")
		r.quiet()
		victims.Store(id, true)
		r.complete(d.text(t, "payment_id"))
		stored := func() []string {
			return r.column("SELECT event_id FROM inbox WHERE transaction_id = ? AND kind = 'payment.completed'", id)
		}
		r.until(func() bool { return r.app.Bank.PendingWebhooks() == 0 && len(stored()) == 1 }, "the bank's webhook is taken")
		name := stored()[0]
		require.Equal(t, "received: internal", r.inbox(name))
		require.Equal(t, "0.00 0.00 0.00", c.balance(euros))

		triesOf := "SELECT tries FROM inbox WHERE event_id = ?"
		for n := range tries - 1 {
			r.advance(time.Second << n)
			r.until(func() bool { return r.count(triesOf, name) >= int64(n+1) }, "try %d", n+1)
		}
		require.Equal(t, "received: internal", r.inbox(name))
		require.EqualValues(t, 1, r.count("SELECT COUNT(*) FROM inbox WHERE event_id = ? AND next_attempt_at > ?", name,
			r.app.Clock().Add(30*time.Second)), "the pauses grow")
		c.fund(others, "5.00", "EUR") // others flow

		r.advance(time.Second << (tries - 1))
		r.until(func() bool { return r.inbox(name) == "dead: internal" }, "it is given up")
		r.until(func() bool { return r.alerts("dead_letter") == 1 }, "the alert is counted")
		require.Regexp(t, `level=ERROR msg="alert: dead_letter".*event_id=`+name, log.String())
		require.Equal(t, []string{fmt.Sprint("internal open ", tries)}, r.column("SELECT reason || ' ' || status || ' ' || tries FROM dead_letters"))
		require.Equal(t, "pending", c.status(id))
		require.Equal(t, "0.00 0.00 0.00", c.balance(euros))

		victims.Delete(id)
		letters := database.NewDeadLetters(r.app.DB, r.app.Clock)
		letter := uuid.MustParse(r.column("SELECT id FROM dead_letters")[0])
		by := account.Operator{Name: "operator:ada", Reason: "the handler is mended"}
		require.NoError(t, letters.Redrive(context.Background(), letter, by))
		c.await(id, "completed")
		r.until(func() bool { return r.inbox(name) == "processed: completed" }, "the event is settled")
		require.Equal(t, []string{"webhook"}, r.column("SELECT cause FROM payment_events WHERE transaction_id = ? AND to_status = 'completed'", id))
		require.Equal(t, "100.00 0.00 100.00", c.balance(euros))
		require.Equal(t, "5.00 0.00 5.00", c.balance(others))
		require.Error(t, letters.Redrive(context.Background(), letter, by), "once is enough")
		require.EqualValues(t, 1, r.count("SELECT COUNT(*) FROM audit WHERE action = 'dead_letter.redriven' AND reason = ?", by.Reason))
	}, func(_ *Config, o *Options) {
		o.Log = slog.New(slog.NewTextHandler(&log, nil))
		o.EventBus = func(bus eventbus.Publisher) eventbus.Publisher { return poisoner{bus, &victims} }
	})
}

// TestF97_ConnectionLostDuringCommit cuts every connection to PostgreSQL while the server is at the COMMIT of a transfer: once
// the server goes on with it, once it takes it back. SQLite has no such connection.
func TestF97_ConnectionLostDuringCommit(t *testing.T) {
	direct := databasetest.URL(t, database.Postgres)
	network, through := newURLProxy(t, direct)
	r := newRig(t, database.Postgres, func(c *Config, _ *Options) { c.DatabaseURL = secret(through) })
	server := databasetest.OpenURL(t, direct, database.Options{})
	for _, statement := range []string{
		`CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock(97); RETURN NULL; END $$`,
		`CREATE CONSTRAINT TRIGGER linger AFTER INSERT ON entries DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION linger()`,
	} {
		require.NoError(t, server.Writer().Exec(statement).Error)
	}
	ada, bob := r.user(), r.user()
	hers, his := ada.open("EUR"), bob.open("EUR")
	ada.fund(hers, "100.00", "EUR")
	for i, commits := range []bool{true, false} {
		lock := server.Writer().Begin()
		require.NoError(t, lock.Exec("SELECT pg_advisory_xact_lock(97)").Error)
		answered := make(chan answer, 1)
		key := fmt.Sprint("once-", i)
		go func() { answered <- ada.transfer(hers, his, "10.00", "EUR", "Idempotency-Key", key) }()
		waiting := "FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
		r.until(func() bool {
			var n int64
			return server.Reader().Raw("SELECT COUNT(*) "+waiting).Row().Scan(&n) == nil && n == 1
		}, "the server is at the commit")
		network.cut()
		if !commits {
			require.NoError(t, server.Writer().Exec("SELECT pg_terminate_backend(pid) "+waiting).Error)
		}
		require.NoError(t, lock.Rollback().Error)
		network.heal()
		first := <-answered
		if first.status != 200 { // it could not be found out in time; then the key tells
			first.refused(t, 503, "database_unavailable")
		}
		again := ada.transfer(hers, his, "10.00", "EUR", "Idempotency-Key", key)
		require.Equal(t, 200, again.status, "%s", again.body)
		if first.status == 200 {
			assert.Equal(t, string(first.body), string(again.body))
		}
		// A connection that was lost while it was idle shows by a 503 to who is lent it, and he asks again.
		balance := func(c *client, account string) (read string) {
			r.until(func() bool {
				b := c.do("GET", "/account/"+account+"/balance", "")
				if b.status == 200 {
					read = b.balance(t)
				}
				return b.status == 200
			}, "reads are answered again")
			return read
		}
		require.Equal(t, fmt.Sprintf("%d.00 0.00 %d.00", 90-10*i, 90-10*i), balance(ada, hers), "commits: %t", commits)
		require.Equal(t, fmt.Sprintf("%d.00 0.00 %d.00", 10+10*i, 10+10*i), balance(bob, his))
		require.EqualValues(t, i+1, r.count("SELECT COUNT(*) FROM transactions WHERE type = 'transfer'"))
	}
}
