package notification_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/domain/account"
	domain "florin/domain/notification"
	"florin/infra/database"
	"florin/infra/database/databasetest"
	"florin/service/notification"
)

func TestAnEventArrivesSignedAndOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		r := newReceiver(t, status(204))
		made := b.endpoint(b.ada, r.url+"/hook")
		e := b.deposit(b.ada)
		require.Equal(t, 1, b.run(b.worker))
		require.Zero(t, b.run(b.worker))
		got := r.requests()
		require.Len(t, got, 1)
		assert.True(t, verifies(t, got[0], made.Secret))
		assert.Equal(t, "application/cloudevents+json", got[0].header.Get("Content-Type"))
		assert.Equal(t, e.EventID+"_"+made.Endpoint.ID().String(), got[0].id())
		assert.Equal(t, fmt.Sprint(b.clock.Now().Unix()), got[0].header.Get("webhook-timestamp"))
		var body map[string]any
		require.NoError(t, json.Unmarshal([]byte(got[0].body), &body))
		assert.Equal(t, e.EventID, body["id"])

		d := b.deliveries(made.Endpoint)[0]
		assert.Equal(t, domain.DeliveryDelivered, d.Status)
		assert.Equal(t, got[0].body, string(d.Body))
		assert.Equal(t, "deposit.completed", d.Event)
		require.Len(t, d.Attempts, 1)
		assert.Equal(t, 204, d.Attempts[0].Answer.Status)
		assert.Empty(t, d.Attempts[0].Failure)
		assert.Equal(t, got[0].header.Get("webhook-signature"), d.Attempts[0].Header["webhook-signature"])
		assert.Equal(t, map[string]int{"delivered": 1}, b.outcomes.seen)
	})
}

// TestF119_FailuresFollowTheSchedule: a 500, a redirect, a 410 of somebody else's … each is one attempt of a schedule with
// growing pauses, and every attempt is the same webhook.
func TestF119_FailuresFollowTheSchedule(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		r := newReceiver(t, status(500))
		made := b.endpoint(b.ada, r.url)
		b.deposit(b.ada)
		require.Equal(t, 1, b.run(b.worker))
		for _, step := range []struct {
			pause  time.Duration
			answer int
		}{{5 * time.Second, 302}, {30 * time.Second, 404}, {2 * time.Minute, 503}, {10 * time.Minute, 200}} {
			b.clock.Advance(step.pause - time.Second)
			require.Zero(t, b.run(b.worker), "not before its time")
			b.clock.Advance(time.Second)
			r.answer(status(step.answer))
			require.Equal(t, 1, b.run(b.worker), "after %s", step.pause)
		}
		d := b.deliveries(made.Endpoint)[0]
		assert.Equal(t, domain.DeliveryDelivered, d.Status)
		var answers []int
		for i, a := range d.Attempts {
			assert.Equal(t, i+1, a.Number)
			answers = append(answers, a.Answer.Status)
		}
		assert.Equal(t, []int{500, 302, 404, 503, 200}, answers)
		for _, got := range r.requests() {
			assert.Equal(t, r.requests()[0].id(), got.id())
			assert.Equal(t, r.requests()[0].body, got.body)
			assert.True(t, verifies(t, got, made.Secret))
		}
		assert.NotEqual(t, r.requests()[0].header.Get("webhook-timestamp"), r.requests()[1].header.Get("webhook-timestamp"))
	})
}

// TestF119_ADeliveryDiesWithItsWindow and leaves a dead letter; sent again it lives once more.
func TestF119_ADeliveryDiesWithItsWindow(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		r := newReceiver(t, status(500))
		made := b.endpoint(b.ada, r.url)
		b.deposit(b.ada)
		began := b.clock.Now()
		for range 40 {
			b.run(b.worker)
			b.clock.Advance(2 * time.Hour)
		}
		d := b.deliveries(made.Endpoint)[0]
		require.Equal(t, domain.DeliveryDead, d.Status)
		assert.LessOrEqual(t, d.FinishedAt.Sub(began), domain.Window+2*time.Hour)
		assert.Equal(t, d.Attempted, len(r.requests()))
		open := func() (n int64) {
			require.NoError(t, b.db.Reader().Raw("SELECT COUNT(*) FROM dead_letters WHERE source = 'delivery' AND source_id = ? AND status = 'open'", d.ID).Scan(&n).Error)
			return n
		}
		require.EqualValues(t, 1, open())
		assert.Equal(t, 1, b.outcomes.seen[notification.OutcomeDead])

		r.answer(status(200))
		again, err := b.webhooks.Resend(t.Context(), b.ada, made.Endpoint.ID(), d.ID)
		require.NoError(t, err)
		assert.Equal(t, domain.DeliveryPending, again.Status)
		assert.Zero(t, open(), "its dead letter is settled")
		require.Equal(t, 1, b.run(b.worker))
		after := b.deliveries(made.Endpoint)[0]
		assert.Equal(t, domain.DeliveryDelivered, after.Status)
		assert.Equal(t, d.Attempted+1, len(after.Attempts))
		assert.Equal(t, r.requests()[0].id(), r.requests()[d.Attempted].id(), "it is the same webhook")
	})
}

func TestF119_GoneDisablesTheEndpoint(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		r := newReceiver(t, status(410))
		made := b.endpoint(b.ada, r.url)
		b.deposit(b.ada)
		b.deposit(b.ada)
		require.Equal(t, 1, b.run(b.worker), "what is left is not tried")
		e := b.found(made.Endpoint)
		assert.Equal(t, domain.EndpointDisabled, e.Status())
		assert.Equal(t, domain.DisabledGone, e.Reason())
		b.deposit(b.ada)
		b.clock.Advance(time.Hour)
		require.Zero(t, b.run(b.worker))
		require.Len(t, b.deliveries(e), 2, "nothing new is recorded while it is disabled")
		_, err := b.webhooks.Resend(t.Context(), b.ada, e.ID(), b.deliveries(e)[0].ID)
		require.ErrorContains(t, err, "endpoint_disabled")

		r.answer(status(200))
		_, err = b.webhooks.UpdateEndpoint(t.Context(), b.ada, e.ID(), notification.UpdateEndpoint{Enabled: new(true)})
		require.NoError(t, err)
		require.Equal(t, 2, b.run(b.worker), "what was held goes on")
		for _, d := range b.deliveries(e) {
			assert.Equal(t, domain.DeliveryDelivered, d.Status)
		}
		assert.Equal(t, 1, b.outcomes.seen[notification.OutcomeGone])
	})
}

// TestF119_RetryAfterIsHonoured, for all that goes to the endpoint.
func TestF119_RetryAfterIsHonoured(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "600")
			w.WriteHeader(429)
		})
		b.endpoint(b.ada, r.url)
		b.deposit(b.ada)
		require.Equal(t, 1, b.run(b.worker))
		b.deposit(b.ada)
		b.clock.Advance(599 * time.Second)
		require.Zero(t, b.run(b.worker), "neither the one that was answered nor a new one")
		r.answer(status(200))
		b.clock.Advance(time.Second)
		require.Equal(t, 2, b.run(b.worker))
	})
}

// TestF119_AnEndpointThatHangsDelaysNoOther: one takes a request and does not answer; meanwhile another gets all of its own,
// and the one that hangs is not asked a second time at once, by no server.
func TestF119_AnEndpointThatHangsDelaysNoOther(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		entered, let := make(chan struct{}), make(chan struct{})
		hanging := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) {
			entered <- struct{}{}
			<-let
			w.WriteHeader(200)
		})
		arrived := make(chan struct{}, 10)
		good := newReceiver(t, func(http.ResponseWriter, *http.Request) { arrived <- struct{}{} })
		b.endpoint(b.ada, hanging.url)
		b.endpoint(b.bob, good.url)
		for range 5 {
			b.deposit(b.ada)
			b.deposit(b.bob)
		}
		var stuck sync.WaitGroup
		stuck.Go(func() { _, _ = b.server(b.store).RunOnce(context.WithoutCancel(t.Context())) })
		<-entered
		for range 5 {
			b.run(b.worker)
			<-arrived // from whichever of the two servers
		}
		stuckNow := len(hanging.requests())
		go func() {
			for range entered { //nolint:revive // lets the rest through
			}
		}()
		close(let)
		stuck.Wait()
		close(entered)
		assert.Equal(t, 1, stuckNow)
		assert.Len(t, good.requests(), 5)
		assert.Len(t, hanging.requests(), 5)
	})
}

// TestF119_AnEndpointThatFailsIsLeftAlone: after some failures in a row a backlog costs one attempt per rest, not one per event.
func TestF119_AnEndpointThatFailsIsLeftAlone(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		bad, good := newReceiver(t, status(500)), newReceiver(t, status(200))
		b.endpoint(b.ada, bad.url)
		b.endpoint(b.bob, good.url)
		for range 50 {
			b.deposit(b.ada)
		}
		for range 20 {
			b.run(b.worker)
		}
		assert.Len(t, bad.requests(), 5, "the fifth failure in a row brings a rest")
		b.deposit(b.bob)
		b.run(b.worker)
		assert.Len(t, good.requests(), 1)
		b.clock.Advance(10 * time.Second)
		for range 20 {
			b.run(b.worker)
		}
		assert.Len(t, bad.requests(), 6)

		bad.answer(status(200))
		b.clock.Advance(10 * time.Minute)
		for range 10 {
			b.run(b.worker)
		}
		assert.Len(t, bad.requests(), 6+50, "and when it is well again, all of it goes")
	})
}

// TestTwoServersSendEachEventOnce: both work at once on many endpoints.
func TestTwoServersSendEachEventOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		r := newReceiver(t, status(200))
		for range 8 {
			b.endpoint(b.ada, r.url)
			b.endpoint(b.bob, r.url)
		}
		for range 6 {
			b.deposit(b.ada)
			b.deposit(b.bob)
		}
		var servers sync.WaitGroup
		for range 2 {
			worker := b.server(b.store, func(c *notification.DeliverConfig) { c.Parallel = 3 })
			servers.Go(func() {
				for n := 1; n > 0; {
					var err error
					if n, err = worker.RunOnce(t.Context()); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		servers.Wait()
		for b.run(b.worker) > 0 { //nolint:revive // what one server had claimed when the other looked last
		}
		seen := map[string]int{}
		for _, got := range r.requests() {
			seen[got.id()]++
		}
		assert.Len(t, seen, 8*6*2)
		assert.Len(t, r.requests(), 8*6*2, "none twice")
	})
}

// crashing loses its server between an answer and its record, once.
type crashing struct {
	domain.Queue
	crashed bool
}

var errCrash = errors.New("killed")

func (q *crashing) Record(ctx context.Context, c domain.Claim, results []domain.Result) error {
	if !q.crashed {
		q.crashed = true
		return errCrash
	}
	return q.Queue.Record(ctx, c, results)
}

func (q *crashing) Release(context.Context, domain.Claim, time.Time) error { return errCrash }

// TestF108_ACrashBehindTheAnswerSendsTheSameAgain: the other server takes over when the lease is over, not before, and the
// receiver can tell.
func TestF108_ACrashBehindTheAnswerSendsTheSameAgain(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		r := newReceiver(t, status(200))
		made := b.endpoint(b.ada, r.url)
		b.deposit(b.ada)
		b.deposit(b.ada)
		require.Zero(t, b.run(b.server(&crashing{Queue: b.store})))
		require.Len(t, r.requests(), 2)
		b.clock.Advance(59 * time.Second)
		b.deposit(b.ada)
		require.Zero(t, b.run(b.worker), "the lease holds")
		b.clock.Advance(time.Second)
		require.Equal(t, 3, b.run(b.worker))
		got := r.requests()
		require.Len(t, got, 5)
		for i := range 2 {
			assert.Equal(t, got[i].id(), got[i+2].id())
			assert.Equal(t, got[i].body, got[i+2].body)
			assert.NotEqual(t, got[i].id(), got[4].id())
		}
		assert.Len(t, b.deliveries(made.Endpoint)[0].Attempts, 1, "what was not recorded is not shown")
	})
}

// TestAnAttemptIsRecordedOnce also where the lease is the worker's own: the answer to its commit was lost and it tries again, or
// the delivery has ended meanwhile. Nothing of the batch is written then.
func TestAnAttemptIsRecordedOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		made := b.endpoint(b.ada, "http://127.0.0.1:1/")
		b.deposit(b.ada)
		b.deposit(b.ada)
		claims, err := b.store.ClaimEndpoints(t.Context(), b.clock.Now(), 1, func(int) time.Time { return b.clock.Now().Add(time.Hour) })
		require.NoError(t, err)
		due, err := b.store.DueDeliveries(t.Context(), claims[0], b.clock.Now(), 10)
		require.NoError(t, err)
		require.Len(t, due, 2)
		var results []domain.Result
		for _, d := range due {
			d.Succeed(b.clock.Now())
			results = append(results, domain.Result{Delivery: d, Attempt: domain.Attempt{Number: d.Attempted, URL: "http://127.0.0.1:1/", StartedAt: b.clock.Now()}})
		}
		require.NoError(t, b.store.Record(t.Context(), claims[0], results[:1]))
		require.ErrorIs(t, b.store.Record(t.Context(), claims[0], results[:1]), domain.ErrLeaseLost)
		require.ErrorIs(t, b.store.Record(t.Context(), claims[0], []domain.Result{results[1], results[0]}), domain.ErrLeaseLost)
		recorded := b.deliveries(made.Endpoint)
		assert.Len(t, recorded[0].Attempts, 1)
		assert.Empty(t, recorded[1].Attempts)
		assert.Equal(t, domain.DeliveryPending, recorded[1].Status)

		// One that has failed is pending as before, and yet counted.
		failed := due[1]
		failed.Fail(b.clock.Now(), 0, func(pause time.Duration) time.Duration { return pause })
		attempt := []domain.Result{{Delivery: failed, Attempt: domain.Attempt{Number: 1, URL: "http://127.0.0.1:1/", StartedAt: b.clock.Now(), Failure: "refused"}}}
		require.NoError(t, b.store.Record(t.Context(), claims[0], attempt))
		require.ErrorIs(t, b.store.Record(t.Context(), claims[0], attempt), domain.ErrLeaseLost)
	})
}

// TestDeliveriesDoNotWaitForTheDisk: losing their last second repeats what may be repeated.
func TestDeliveriesDoNotWaitForTheDisk(t *testing.T) {
	t.Parallel()
	b := newBench(t, databasetest.Open(t, database.Postgres, database.Options{}))
	commits := databasetest.WatchCommits(t, b.db, "webhook_deliveries", "webhook_attempts")
	b.endpoint(b.ada, newReceiver(t, status(204)).url)
	b.deposit(b.ada)
	require.Equal(t, 1, b.run(b.worker))
	assert.Equal(t, []string{"webhook_attempts off", "webhook_deliveries off"}, commits())
}

// TestAWorkerWhoseLeaseIsOverRecordsNothing: it was paused, another server has sent, and its late answer counts no more.
func TestAWorkerWhoseLeaseIsOverRecordsNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		var other *notification.Deliverer
		calls := 0
		r := newReceiver(t, nil)
		r.answer(func(w http.ResponseWriter, _ *http.Request) {
			calls++
			if calls == 1 {
				b.clock.Advance(2 * time.Minute)
				n, err := other.RunOnce(context.Background())
				assert.NoError(t, err)
				assert.Equal(t, 1, n)
				w.WriteHeader(500)
			}
		})
		other = b.server(b.store)
		made := b.endpoint(b.ada, r.url)
		b.deposit(b.ada)
		require.Zero(t, b.run(b.worker))
		d := b.deliveries(made.Endpoint)[0]
		assert.Equal(t, domain.DeliveryDelivered, d.Status)
		assert.Len(t, d.Attempts, 1)
		require.Zero(t, b.run(b.worker))
	})
}

// TestARestartBetweenAttemptsChangesNothing: a new program goes on where the old one was.
func TestARestartBetweenAttemptsChangesNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		r := newReceiver(t, status(500))
		made := b.endpoint(b.ada, r.url)
		b.deposit(b.ada)
		require.Equal(t, 1, b.run(b.worker))
		fresh := newWorkerOf(b)
		require.Zero(t, b.run(fresh))
		b.clock.Advance(5 * time.Second)
		r.answer(status(200))
		require.Equal(t, 1, b.run(fresh))
		assert.Equal(t, domain.DeliveryDelivered, b.deliveries(made.Endpoint)[0].Status)
		assert.True(t, verifies(t, r.requests()[1], made.Secret))
	})
}

func newWorkerOf(b *bench) *notification.Deliverer { return b.server(b.store) }

// TestAStopInTheMiddleIsNoFailure: the request is given up, no attempt is counted, and the next server sends at once.
func TestAStopInTheMiddleIsNoFailure(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		entered, let := make(chan struct{}, 1), make(chan struct{})
		r := newReceiver(t, func(http.ResponseWriter, *http.Request) {
			entered <- struct{}{}
			<-let
		})
		made := b.endpoint(b.ada, r.url)
		b.deposit(b.ada)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- b.worker.Run(ctx) }()
		<-entered
		stop()
		require.NoError(t, <-ended)
		close(let)
		r.answer(status(200))
		assert.Empty(t, b.deliveries(made.Endpoint)[0].Attempts)
		require.Equal(t, 1, b.run(b.server(b.store)), "the endpoint was given back")
	})
}

// TestTheLoopSendsWhatItIsWokenFor, with a hanging endpoint in one of two places.
func TestTheLoopSendsWhatItIsWokenFor(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		let := make(chan struct{})
		entered := make(chan struct{}, 1)
		hanging := newReceiver(t, func(http.ResponseWriter, *http.Request) { entered <- struct{}{}; <-let })
		arrived := make(chan string, 100)
		good := newReceiver(t, func(_ http.ResponseWriter, r *http.Request) { arrived <- r.Header.Get("webhook-id") })
		b.endpoint(b.ada, hanging.url)
		b.endpoint(b.bob, good.url)
		worker := b.server(b.store, func(c *notification.DeliverConfig) { c.Parallel = 2 })
		ctx, stop := context.WithCancel(t.Context())
		var loop sync.WaitGroup
		loop.Go(func() { assert.NoError(t, worker.Run(ctx)) })
		b.deposit(b.ada)
		worker.Wake()
		<-entered
		for range 5 {
			b.deposit(b.bob)
			worker.Wake()
			<-arrived
		}
		stop()
		close(let)
		loop.Wait()
	})
}

func TestWaitingIsCounted(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		r := newReceiver(t, status(500))
		made := b.endpoint(b.ada, r.url)
		n, since, err := b.store.Waiting(t.Context(), b.clock.Now())
		require.NoError(t, err)
		assert.Zero(t, n)
		assert.True(t, since.IsZero())
		began := b.clock.Now()
		b.happen(account.PaymentEvent{UserID: b.ada.String()})
		b.clock.Advance(time.Minute)
		n, since, err = b.store.Waiting(t.Context(), b.clock.Now())
		require.NoError(t, err)
		assert.EqualValues(t, 1, n)
		assert.Equal(t, began, since)
		_, err = b.webhooks.UpdateEndpoint(t.Context(), b.ada, made.Endpoint.ID(), notification.UpdateEndpoint{Enabled: new(false)})
		require.NoError(t, err)
		n, _, err = b.store.Waiting(t.Context(), b.clock.Now())
		require.NoError(t, err)
		assert.Zero(t, n, "what its owner holds back is no backlog of ours")
	})
}
