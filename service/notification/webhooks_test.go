package notification_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/domain/account"
	"florin/domain/errs"
	domain "florin/domain/notification"
	"florin/infra/database"
	"florin/infra/vault"
	"florin/pkg/eventbus"
	"florin/service/notification"
)

func TestFiltersDecideWhatIsRecorded(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		r := newReceiver(t, status(200))
		all := b.endpoint(b.ada, r.url)
		some := b.endpoint(b.ada, r.url, "deposit.completed", "*.failed")
		bobs := b.endpoint(b.bob, r.url)
		for _, kind := range []string{"deposit", "withdraw"} {
			for _, s := range []account.PaymentStatus{"initiated", "pending", "completed", "failed"} {
				b.happen(account.PaymentEvent{UserID: b.ada.String(), Status: s, Metadata: map[string]string{account.OperationKey: kind}})
			}
		}
		names := func(made notification.NewSecret) (list []string) {
			for _, d := range b.deliveries(made.Endpoint) {
				list = append(list, d.Event)
			}
			return list
		}
		assert.Len(t, names(all), 8)
		assert.Equal(t, []string{"deposit.completed", "deposit.failed", "withdraw.failed"}, names(some))
		assert.Empty(t, names(bobs), "it is none of his")
	})
}

// TestBothSidesOfATransferHearOfIt, and the receiver nothing of the sender.
func TestBothSidesOfATransferHearOfIt(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		r := newReceiver(t, status(200))
		sender, receiver := b.endpoint(b.ada, r.url), b.endpoint(b.bob, r.url)
		to := uuid.NewString()
		b.happen(account.PaymentEvent{UserID: b.ada.String(), CounterpartyUserID: b.bob.String(), CounterpartyAccountID: to,
			TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
			Metadata:    map[string]string{account.OperationKey: "transfer", "note": "private"}})
		b.run(b.worker)
		sent, got := b.deliveries(sender.Endpoint)[0], b.deliveries(receiver.Endpoint)[0]
		assert.Contains(t, string(sent.Body), "private")
		assert.NotContains(t, string(sent.Body), b.bob.String())
		assert.NotContains(t, string(got.Body), "private")
		assert.NotContains(t, string(got.Body), b.ada.String())
		assert.NotContains(t, fmt.Sprint(got.Attempts[0].Header), "0af7651916cd43dd8448eb211c80319c")
		assert.Contains(t, sent.Attempts[0].Header["traceparent"], "0af7651916cd43dd8448eb211c80319c", "one trace from the call to the delivery")
		assert.Contains(t, string(got.Body), `"account_id":"`+to+`"`)
		assert.NotEqual(t, sent.WebhookID(), got.WebhookID())
		assert.Equal(t, "transfer.completed", got.Event)

		b.happen(account.PaymentEvent{UserID: b.ada.String(), CounterpartyUserID: b.ada.String(), CounterpartyAccountID: to})
		assert.Len(t, b.deliveries(sender.Endpoint), 2, "who sends to himself hears of it once")
	})
}

// TestAnEventThatComesAgainRecordsNothingNew: the subscriber was killed before its cursor moved, or two servers run it.
func TestAnEventThatComesAgainRecordsNothingNew(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		r := newReceiver(t, status(200))
		made := b.endpoint(b.ada, r.url)
		for range 5 {
			e := account.PaymentEvent{UserID: b.ada.String()}
			b.commit(&e)
		}
		var servers sync.WaitGroup
		for range 4 {
			servers.Go(func() {
				fanout := notification.NewFanout(b.store, b.clock.Now, func() {})
				for e := range slices.Chunk(b.log, 2) {
					assert.NoError(t, errors.Join(fanout.Handle(t.Context(), e)...))
				}
			})
		}
		servers.Wait()
		assert.Len(t, b.deliveries(made.Endpoint), 5)
		assert.Equal(t, 5, b.run(b.worker))
	})
}

// TestF115_AnEventThatCannotBeRecordedHoldsUpItsTransactionAlone, though the deliveries of many are recorded together.
func TestF115_AnEventThatCannotBeRecordedHoldsUpItsTransactionAlone(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		r := newReceiver(t, status(200))
		made := b.endpoint(b.ada, r.url)
		for range 4 {
			b.commit(&account.PaymentEvent{UserID: b.ada.String()})
		}
		b.log[1].Event.TraceParent = "\x00" // no text of PostgreSQL's
		b.log[2].Event.TransactionID = b.log[1].Event.TransactionID
		b.log[3].Event.EventID = "none"
		results := b.fanout.Handle(t.Context(), b.log)
		require.NoError(t, results[0])
		require.Error(t, results[3])
		if b.db.Dialect() == database.SQLite {
			require.NoError(t, errors.Join(results[:3]...))
			return
		}
		require.Error(t, results[1])
		require.NotErrorIs(t, results[1], eventbus.ErrBehind)
		require.ErrorIs(t, results[2], eventbus.ErrBehind)
		assert.Len(t, b.deliveries(made.Endpoint), 1)
	})
}

// TestAnEndpointHearsOfWhatComesAfterIt and not of what the subscriber has looked at before.
func TestAnEndpointHearsOfWhatComesAfterIt(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		r := newReceiver(t, status(200))
		for range 3 {
			e := account.PaymentEvent{UserID: b.ada.String()}
			b.commit(&e)
		}
		b.fanOut(b.log)
		made := b.endpoint(b.ada, r.url)
		assert.Empty(t, b.deliveries(made.Endpoint), "they were committed before")
		b.deposit(b.ada)
		assert.Len(t, b.deliveries(made.Endpoint), 1)
	})
}

// TestS35_RotationSignsWithBothSecrets for as long as is said, and then with the new one alone.
func TestS35_RotationSignsWithBothSecrets(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		r := newReceiver(t, status(200))
		made := b.endpoint(b.ada, r.url)
		rotate := func(overlap time.Duration) domain.Secret {
			out, err := b.webhooks.RotateSecret(t.Context(), notification.RotateSecret{UserID: b.ada, EndpointID: made.Endpoint.ID(), Overlap: overlap})
			require.NoError(t, err)
			return out.Made.Secret
		}
		signedBy := func(secrets ...domain.Secret) (good []bool) {
			b.deposit(b.ada)
			require.Equal(t, 1, b.run(b.worker))
			all := r.requests()
			for _, s := range secrets {
				good = append(good, verifies(t, all[len(all)-1], s))
			}
			return good
		}
		first := made.Secret
		second := rotate(time.Hour)
		assert.NotEqual(t, first.Text(), second.Text())
		assert.Equal(t, []bool{true, true}, signedBy(first, second))
		b.clock.Advance(time.Hour - time.Second)
		assert.Equal(t, []bool{true, true}, signedBy(first, second))
		b.clock.Advance(time.Second)
		assert.Equal(t, []bool{false, true}, signedBy(first, second))

		third := rotate(notification.DefaultOverlap)
		fourth := rotate(notification.DefaultOverlap)
		assert.Equal(t, []bool{true, true, true}, signedBy(second, third, fourth))
		fifth := rotate(notification.DefaultOverlap)
		assert.Equal(t, []bool{false, true, true, true}, signedBy(second, third, fourth, fifth), "three at the most")
		last := rotate(0)
		assert.Equal(t, []bool{false, false, false, true}, signedBy(third, fourth, fifth, last), "after a leak, at once")
		var kept int64
		require.NoError(t, b.db.Reader().Raw("SELECT COUNT(*) FROM webhook_secrets").Scan(&kept).Error)
		assert.EqualValues(t, 1, kept, "what signs no more is not kept")

		for _, overlap := range []time.Duration{-1, notification.LongestOverlap + 1} {
			_, err := b.webhooks.RotateSecret(t.Context(), notification.RotateSecret{UserID: b.ada, EndpointID: made.Endpoint.ID(), Overlap: overlap})
			assert.Equal(t, "out_of_range", errs.CodeOf(err))
		}
	})
}

// TestS46_NoSecretIsReadableInTheStore, neither as it is nor in a kept answer.
func TestS46_NoSecretIsReadableInTheStore(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		r := newReceiver(t, status(500))
		render := func(made notification.NewSecret) account.Answer {
			return account.Answer{Status: 201, Body: []byte(`{"secret":"` + made.Secret.Text() + `"}`)}
		}
		out, err := b.webhooks.CreateEndpoint(t.Context(), notification.CreateEndpoint{UserID: b.ada, URL: r.url,
			Key: &notification.WebhookKey{Value: "k", Fingerprint: "f", Render: render}})
		require.NoError(t, err)
		b.deposit(b.ada)
		b.run(b.worker)
		bare := strings.TrimPrefix(out.Made.Secret.Text(), "whsec_")
		for _, table := range []string{"webhook_endpoints", "webhook_secrets", "webhook_deliveries", "webhook_attempts", "idempotency_keys"} {
			var rows []map[string]any
			require.NoError(t, b.db.Reader().Table(table).Find(&rows).Error)
			require.NotEmpty(t, rows, table)
			text, err := json.Marshal(rows)
			require.NoError(t, err)
			assert.NotContains(t, string(text), bare, table)
			assert.NotContains(t, string(text), "whsec_", table)
		}
	})
}

func TestTheSameKeyGivesTheSameAnswer(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		r := newReceiver(t, status(200))
		render := func(made notification.NewSecret) account.Answer {
			return account.Answer{Status: 201, Body: []byte(made.Endpoint.ID().String() + " " + made.Secret.Text())}
		}
		create := func(user uuid.UUID, key, fingerprint string) (notification.SecretOutcome, error) {
			return b.webhooks.CreateEndpoint(t.Context(), notification.CreateEndpoint{UserID: user, URL: r.url,
				Key: &notification.WebhookKey{Value: key, Fingerprint: fingerprint, Render: render}})
		}
		var mu sync.Mutex
		answers := map[string]int{}
		made := 0
		var clients sync.WaitGroup
		for range 8 {
			clients.Go(func() {
				out, err := create(b.ada, "k", "f")
				if !assert.NoError(t, err) {
					return
				}
				mu.Lock()
				defer mu.Unlock()
				if out.Made != nil {
					made++
					answers[string(render(*out.Made).Body)]++
				} else {
					assert.True(t, out.Replayed)
					answers[string(out.Answer.Body)]++
				}
			})
		}
		clients.Wait()
		assert.Equal(t, 1, made, "one of them makes it")
		assert.Len(t, answers, 1, "and all get the same secret")
		list, err := b.webhooks.EndpointsOf(t.Context(), b.ada, account.Page{Limit: 10})
		require.NoError(t, err)
		require.Len(t, list, 1)

		_, err = create(b.ada, "k", "another request")
		assert.Equal(t, "idempotency_key_reused", errs.CodeOf(err))
		out, err := create(b.bob, "k", "f")
		require.NoError(t, err)
		assert.NotNil(t, out.Made, "keys are each user's own")

		rotate := func() notification.SecretOutcome {
			out, err := b.webhooks.RotateSecret(t.Context(), notification.RotateSecret{UserID: b.ada, EndpointID: list[0].ID(),
				Key: &notification.WebhookKey{Value: "r", Fingerprint: "r", Render: render}})
			require.NoError(t, err)
			return out
		}
		first := rotate()
		assert.Equal(t, render(*first.Made).Body, rotate().Answer.Body, "a repeat does not rotate again")

		// The answers' retention is over, and the secret in them is shown to nobody any more.
		_, err = database.NewLedger(b.db).PurgeAnswers(t.Context(), b.clock.Now().Add(time.Hour))
		require.NoError(t, err)
		late, err := create(b.ada, "k", "f")
		require.NoError(t, err)
		assert.Nil(t, late.Made)
		assert.Nil(t, late.Answer)
		assert.Equal(t, list[0].ID(), late.Endpoint.ID())
		assert.Nil(t, rotate().Made)
	})
}

// TestSecretsAreSealedAnew under the newest of the server's secrets, after which the older one may go.
func TestSecretsAreSealedAnew(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		const newer = "a newer secret of the server, long enough"
		r := newReceiver(t, status(200))
		made := b.endpoint(b.ada, r.url)
		b.endpoint(b.bob, r.url)
		var log bytes.Buffer
		var alerts []string
		resealer := notification.Resealer{Store: b.store, Vault: b.vault, Log: slog.New(slog.NewTextHandler(&log, nil)), Every: time.Hour,
			Alert: func(kind string) { alerts = append(alerts, kind) }}
		count := func() int {
			n, err := resealer.RunOnce(t.Context())
			require.NoError(t, err)
			return n
		}
		require.Zero(t, count(), "they are under the newest")
		require.NoError(t, b.vault.SetKeys(vault.Keys(vault.Data, []string{newer, serverSecret})))
		require.Equal(t, 2, count())
		require.Zero(t, count())
		require.NoError(t, b.vault.SetKeys(vault.Keys(vault.Data, []string{newer})))
		b.deposit(b.ada)
		require.Equal(t, 1, b.run(b.worker))
		assert.True(t, verifies(t, r.requests()[0], made.Secret), "it is the same secret")
		assert.Empty(t, alerts)

		// Somebody took a secret away too early: the operator hears of it, and nothing is lost.
		require.NoError(t, b.vault.SetKeys(vault.Keys(vault.Data, []string{serverSecret})))
		require.Zero(t, count())
		assert.Equal(t, []string{"webhook_secret"}, alerts)
		b.deposit(b.ada)
		require.Equal(t, 1, b.run(b.worker))
		assert.Len(t, r.requests(), 1, "nothing leaves unsigned")
		assert.Contains(t, b.deliveries(made.Endpoint)[1].Attempts[0].Failure, "secret is not available")
		require.NoError(t, b.vault.SetKeys(vault.Keys(vault.Data, []string{newer})))
		b.clock.Advance(time.Minute)
		require.Equal(t, 1, b.run(b.worker))
		assert.NotContains(t, log.String(), strings.TrimPrefix(made.Secret.Text(), "whsec_"))

		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.NoError(t, resealer.Run(ctx))
	})
}

func TestAnotherUsersEndpointIsUnknown(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		r := newReceiver(t, status(200))
		made := b.endpoint(b.ada, r.url)
		b.deposit(b.ada)
		id, d := made.Endpoint.ID(), b.deliveries(made.Endpoint)[0].ID
		for name, try := range map[string]func(user, id uuid.UUID) error{
			"read": func(u, id uuid.UUID) error { _, err := b.webhooks.Endpoint(t.Context(), u, id); return err },
			"deliveries": func(u, id uuid.UUID) error {
				_, err := b.webhooks.Deliveries(t.Context(), u, id, account.Page{Limit: 1})
				return err
			},
			"resend": func(u, id uuid.UUID) error { _, err := b.webhooks.Resend(t.Context(), u, id, d); return err },
			"delete": func(u, id uuid.UUID) error { return b.webhooks.DeleteEndpoint(t.Context(), u, id) },
			"update": func(u, id uuid.UUID) error {
				_, err := b.webhooks.UpdateEndpoint(t.Context(), u, id, notification.UpdateEndpoint{Enabled: new(false)})
				return err
			},
			"rotate": func(u, id uuid.UUID) error {
				_, err := b.webhooks.RotateSecret(t.Context(), notification.RotateSecret{UserID: u, EndpointID: id})
				return err
			},
		} {
			foreign, missing := try(b.bob, id), try(b.bob, uuid.New())
			assert.Equal(t, errs.NotFound, errs.KindOf(foreign), name)
			assert.Equal(t, missing.Error(), foreign.Error(), name)
		}
		bobs := b.endpoint(b.bob, r.url)
		_, err := b.webhooks.Resend(t.Context(), b.bob, bobs.Endpoint.ID(), d)
		assert.Equal(t, errs.NotFound, errs.KindOf(err), "a delivery of another's endpoint through one's own")
		list, err := b.webhooks.EndpointsOf(t.Context(), b.bob, account.Page{Limit: 10})
		require.NoError(t, err)
		require.Len(t, list, 1)
		assert.Equal(t, domain.EndpointEnabled, b.found(made.Endpoint).Status())
	})
}

func TestADeletedEndpointHearsNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		r := newReceiver(t, status(200))
		made := b.endpoint(b.ada, r.url)
		b.deposit(b.ada)
		require.NoError(t, b.webhooks.DeleteEndpoint(t.Context(), b.ada, made.Endpoint.ID()))
		b.deposit(b.ada)
		require.Zero(t, b.run(b.worker))
		assert.Empty(t, r.requests())
		_, err := b.webhooks.Endpoint(t.Context(), b.ada, made.Endpoint.ID())
		assert.Equal(t, errs.NotFound, errs.KindOf(err))
		deliveries, err := b.store.FindDeliveries(t.Context(), made.Endpoint.ID(), account.Page{Limit: 10})
		require.NoError(t, err)
		require.Len(t, deliveries, 1)
		assert.Equal(t, domain.DeliveryCanceled, deliveries[0].Status)
		var secrets int64
		require.NoError(t, b.db.Reader().Raw("SELECT COUNT(*) FROM webhook_secrets").Scan(&secrets).Error)
		assert.Zero(t, secrets)
	})
}

// TestTheEndpointOfAUserWhoLeavesIsDeleted with the user.
func TestTheEndpointOfAUserWhoLeavesIsDeleted(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		r := newReceiver(t, status(200))
		made := b.endpoint(b.ada, r.url)
		require.NoError(t, database.NewUsers(b.db).DeleteUser(t.Context(), b.ada, b.clock.Now(), auditOf(b)))
		_, err := b.webhooks.Endpoint(t.Context(), b.ada, made.Endpoint.ID())
		assert.Equal(t, errs.NotFound, errs.KindOf(err))
		_, err = b.webhooks.CreateEndpoint(t.Context(), notification.CreateEndpoint{UserID: b.ada, URL: r.url})
		assert.Equal(t, errs.NotFound, errs.KindOf(err))
	})
}

func TestAUserHasTwentyEndpointsAtTheMost(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		var clients sync.WaitGroup
		var mu sync.Mutex
		codes := map[string]int{}
		for range 24 {
			clients.Go(func() {
				_, err := b.webhooks.CreateEndpoint(t.Context(), notification.CreateEndpoint{UserID: b.ada, URL: "https://example.com"})
				mu.Lock()
				defer mu.Unlock()
				codes[errs.CodeOf(err)]++
			})
		}
		clients.Wait()
		assert.Equal(t, 4, codes["too_many_endpoints"], "%v", codes)
		page, err := b.webhooks.EndpointsOf(t.Context(), b.ada, account.Page{Limit: 15})
		require.NoError(t, err)
		require.Len(t, page, 15)
		rest, err := b.webhooks.EndpointsOf(t.Context(), b.ada, account.Page{Limit: 15, Before: page[14].ID()})
		require.NoError(t, err)
		require.Len(t, rest, 5)
		require.NoError(t, b.webhooks.DeleteEndpoint(t.Context(), b.ada, page[0].ID()))
		b.endpoint(b.ada, "https://example.com")
	})
}

func TestOldDeliveriesAreRemoved(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		r := newReceiver(t, status(200))
		made := b.endpoint(b.ada, r.url)
		b.deposit(b.ada)
		b.run(b.worker)
		b.clock.Advance(time.Hour)
		b.deposit(b.ada)
		n, err := b.store.PurgeDeliveries(t.Context(), b.clock.Now())
		require.NoError(t, err)
		assert.Equal(t, 1, n)
		assert.Len(t, b.deliveries(made.Endpoint), 1)
		require.Equal(t, 1, b.run(b.worker))
	})
}

func TestAnUpdateChangesWhatItNames(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		first, second := newReceiver(t, status(200)), newReceiver(t, status(200))
		made := b.endpoint(b.ada, first.url, "deposit.*")
		b.clock.Advance(time.Minute)
		e, err := b.webhooks.UpdateEndpoint(t.Context(), b.ada, made.Endpoint.ID(), notification.UpdateEndpoint{Description: new("shop")})
		require.NoError(t, err)
		assert.Equal(t, first.url, e.URL().String())
		assert.Equal(t, []string{"deposit.*"}, e.Events())
		assert.Equal(t, e, b.found(e))
		_, err = b.webhooks.UpdateEndpoint(t.Context(), b.ada, e.ID(), notification.UpdateEndpoint{URL: &second.url, Events: &[]string{}})
		require.NoError(t, err)
		b.deposit(b.ada)
		b.run(b.worker)
		assert.Empty(t, first.requests())
		require.Len(t, second.requests(), 1)
		assert.Equal(t, "shop", b.found(e).Description())
		assert.True(t, verifies(t, second.requests()[0], made.Secret), "the secret stays")
		for _, up := range []notification.UpdateEndpoint{{URL: new("ftp://x")}, {Events: &[]string{"x"}}, {Description: new("a\x00")}} {
			_, err := b.webhooks.UpdateEndpoint(t.Context(), b.ada, e.ID(), up)
			assert.Equal(t, errs.Refused, errs.KindOf(err))
		}
		_, err = b.webhooks.UpdateEndpoint(t.Context(), b.ada, e.ID(), notification.UpdateEndpoint{Enabled: new(false)})
		require.NoError(t, err)
		assert.Equal(t, domain.DisabledByOwner, b.found(e).Reason())
	})
}
