package notification

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"florin/domain/account"
	"florin/domain/notification"
	"florin/pkg/telemetry"
)

// Outcomes of an attempt, for metrics.
const (
	OutcomeDelivered = "delivered"
	OutcomeFailed    = "failed" // and tried again later
	OutcomeDead      = "dead"
	OutcomeGone      = "gone" // the endpoint answered 410 and is disabled
)

// DeliverConfig is what a Deliverer is built from. Zero fields after Log take the defaults named.
type DeliverConfig struct {
	Queue  notification.Queue
	Vault  notification.Vault
	Sender notification.WebhookSender
	Clock  account.Clock
	Log    *slog.Logger
	// Delivered is told of each attempt by its outcome; nil counts nothing.
	Delivered func(outcome string, took time.Duration)
	// Alert is told of what a person must look at; nil for nobody.
	Alert func(kind string)
	// Every is the pause between two looks that nothing has asked for; 1 s.
	Every time.Duration
	// Parallel is how many endpoints are sent to at once; 32.
	Parallel int
	// Turn is how long an endpoint is sent to before it stands back behind the others; 20 s.
	Turn time.Duration
	// Lease is how long an endpoint is one worker's unless it is given back; it outlasts a turn and a request. 1 min.
	Lease time.Duration
	// Spread moves a pause at random; up to a tenth in either direction.
	Spread func(time.Duration) time.Duration
}

// dueBatch is how many deliveries of an endpoint are read, and recorded, at once.
const dueBatch = 20

// recordAfter is how old an attempt may become, while others are made, before it is recorded.
const recordAfter = time.Second

// recordWithin bounds what is written about an attempt, also when the server stops.
const recordWithin = 5 * time.Second

// Deliverer sends what is due. Any number of servers may run one: an endpoint is one worker's at a time, so one that hangs holds
// one place in one server and delays no other.
//
// An event goes out at least once. A server that dies between an answer and its record has another one send the event again,
// with the same webhook id: up to dueBatch events of each endpoint.
type Deliverer struct {
	cfg    DeliverConfig
	wake   chan struct{}
	tracer trace.Tracer
}

// NewDeliverer returns a deliverer; Run starts it.
func NewDeliverer(cfg DeliverConfig) *Deliverer {
	if cfg.Delivered == nil {
		cfg.Delivered = func(string, time.Duration) {}
	}
	if cfg.Alert == nil {
		cfg.Alert = func(string) {}
	}
	if cfg.Every == 0 {
		cfg.Every = time.Second
	}
	if cfg.Parallel == 0 {
		cfg.Parallel = 32
	}
	if cfg.Turn == 0 {
		cfg.Turn = 20 * time.Second
	}
	if cfg.Lease == 0 {
		cfg.Lease = time.Minute
	}
	if cfg.Spread == nil {
		cfg.Spread = spread
	}
	return &Deliverer{cfg: cfg, wake: make(chan struct{}, 1), tracer: otel.Tracer("florin/service/notification")}
}

func spread(pause time.Duration) time.Duration {
	return pause - pause/10 + rand.N(pause/5+1) //nolint:gosec // spreads attempts, protects nothing
}

// Wake says that something is due. It never blocks; many wakes are one.
func (d *Deliverer) Wake() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// Run sends until ctx ends, and returns nil when all that it started has ended.
func (d *Deliverer) Run(ctx context.Context) error {
	tick := time.NewTicker(d.cfg.Every)
	defer tick.Stop()
	places := make(chan struct{}, d.cfg.Parallel)
	var turns sync.WaitGroup
	defer turns.Wait()
	for ctx.Err() == nil {
		claims, err := d.claim(ctx, cap(places)-len(places))
		if err != nil && ctx.Err() == nil {
			d.cfg.Log.WarnContext(ctx, "webhook endpoints not claimed", "error", err)
		}
		for _, c := range claims {
			places <- struct{}{}
			turns.Go(func() {
				defer d.Wake() // there is a place free, and perhaps more due
				defer func() { <-places }()
				d.turn(ctx, c)
			})
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		case <-d.wake:
		}
	}
	return nil
}

// RunOnce gives each endpoint that has something due one turn, as many as there are places, and returns the number of attempts
// made. The error is that of claiming.
func (d *Deliverer) RunOnce(ctx context.Context) (int, error) {
	claims, err := d.claim(ctx, d.cfg.Parallel)
	attempts := make([]int, len(claims))
	var turns sync.WaitGroup
	for i, c := range claims {
		turns.Go(func() { attempts[i] = d.turn(ctx, c) })
	}
	turns.Wait()
	total := 0
	for _, n := range attempts {
		total += n
	}
	return total, err
}

func (d *Deliverer) claim(ctx context.Context, places int) ([]notification.Claim, error) {
	if places == 0 {
		return nil, nil
	}
	now := d.cfg.Clock()
	return d.cfg.Queue.ClaimEndpoints(ctx, now, places, func(int) time.Time { return now.Add(d.cfg.Lease) })
}

// turn sends to one endpoint what is due, one after the other, until something fails or its time is over, and gives it back.
func (d *Deliverer) turn(ctx context.Context, c notification.Claim) (attempts int) {
	began := d.cfg.Clock()
	log := d.cfg.Log.With("endpoint_id", c.Endpoint.ID().String())
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordWithin)
		defer cancel()
		if err := d.cfg.Queue.Release(ctx, c, d.cfg.Clock()); err != nil && !errors.Is(err, notification.ErrLeaseLost) {
			log.WarnContext(ctx, "webhook endpoint not given back, its lease has to run out", "error", err)
		}
	}()
	for ctx.Err() == nil && d.cfg.Clock().Sub(began) < d.cfg.Turn {
		due, err := d.cfg.Queue.DueDeliveries(ctx, c, d.cfg.Clock(), dueBatch)
		if err != nil || len(due) == 0 {
			if err != nil && ctx.Err() == nil {
				log.WarnContext(ctx, "due webhooks not read", "error", err)
			}
			return attempts
		}
		results := d.sendAll(ctx, c, due, began.Add(d.cfg.Turn))
		if len(results) == 0 {
			return attempts
		}
		if err := d.record(ctx, c, results); err != nil {
			log.WarnContext(ctx, "webhook attempts not recorded, they will be made again", "attempts", len(results), "error", err)
			return attempts
		}
		attempts += len(results)
		last := results[len(results)-1]
		if last.Delivery.Status != notification.DeliveryDelivered {
			return attempts
		}
		c.Health = last.Health
	}
	return attempts
}

// sendAll sends one delivery after the other until one fails, the time is over, or what came of the first ought to be recorded.
func (d *Deliverer) sendAll(ctx context.Context, c notification.Claim, due []notification.Delivery, until time.Time) []notification.Result {
	var results []notification.Result
	if record := d.cfg.Clock().Add(recordAfter); record.Before(until) {
		until = record
	}
	for _, delivery := range due {
		r, ok := d.attempt(ctx, c, delivery)
		if !ok {
			break
		}
		results, c.Health = append(results, r), r.Health
		if r.Delivery.Status != notification.DeliveryDelivered || ctx.Err() != nil || !d.cfg.Clock().Before(until) {
			break
		}
	}
	return results
}

// attempt sends one delivery once. It is not ok where the server stops before there is an answer.
func (d *Deliverer) attempt(ctx context.Context, c notification.Claim, delivery notification.Delivery) (r notification.Result, ok bool) {
	ctx, span := d.startSpan(ctx, delivery)
	defer span.End()
	started := d.cfg.Clock()
	sent := d.send(ctx, c, delivery, started)
	if sent.Answer == nil && ctx.Err() != nil {
		return notification.Result{}, false
	}
	r = result(c, delivery, sent, started, d.cfg.Clock(), d.cfg.Spread)
	span.SetAttributes(attribute.String("florin.outcome", outcomeOf(r)))
	if sent.Failure != "" {
		span.SetStatus(codes.Error, sent.Failure)
	}
	return r, true
}

// record stores what came of the attempts, also when the server stops, and reports it. The error says that nothing is stored.
func (d *Deliverer) record(ctx context.Context, c notification.Claim, results []notification.Result) error {
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordWithin)
	defer cancel()
	if err := d.cfg.Queue.Record(within, c, results); err != nil {
		return err
	}
	for _, r := range results {
		d.cfg.Delivered(outcomeOf(r), r.Attempt.Took)
		if r.Dead != nil {
			d.cfg.Alert("dead_letter")
			d.cfg.Log.ErrorContext(ctx, "webhook given up", "delivery_id", r.Delivery.ID.String(), "endpoint_id", r.Delivery.EndpointID.String(),
				"tries", r.Delivery.Tries, "reason", r.Attempt.Failure)
		}
	}
	return nil
}

// send opens the secrets and sends. Secrets that cannot be opened are the operator's fault, and so an alert; the endpoint's
// owner sees that the attempt was not made.
func (d *Deliverer) send(ctx context.Context, c notification.Claim, delivery notification.Delivery, at time.Time) notification.Sent {
	var secrets []notification.Secret
	for _, sealed := range c.Secrets {
		key, _, err := d.cfg.Vault.Open(sealed.Sealed, aboutSecret(sealed.EndpointID))
		if err != nil {
			d.cfg.Log.ErrorContext(ctx, "signing secret of a webhook endpoint cannot be opened", "endpoint_id", sealed.EndpointID.String(), "error", err)
			continue
		}
		secret, err := notification.NewSecret(key)
		if err == nil {
			secrets = append(secrets, secret)
		}
	}
	if len(secrets) == 0 {
		d.cfg.Alert("webhook_secret")
		return notification.Sent{Failure: "not sent: the signing secret is not available"}
	}
	return d.cfg.Sender.Send(ctx, notification.Message{URL: c.Endpoint.URL().String(), ID: delivery.WebhookID(), At: at,
		Body: delivery.Body, Secrets: secrets})
}

// result decides what follows from an attempt.
func result(c notification.Claim, delivery notification.Delivery, sent notification.Sent, started, ended time.Time,
	spread func(time.Duration) time.Duration) notification.Result {
	r := notification.Result{Delivery: delivery, Attempt: notification.Attempt{URL: c.Endpoint.URL().String(), Header: sent.Header,
		StartedAt: started, Took: ended.Sub(started), Answer: sent.Answer, Failure: sent.Failure}}
	if sent.Answer.Success() {
		r.Delivery.Succeed(ended)
		r.Health = c.Health.Succeeded()
	} else {
		var wish time.Duration
		if sent.Answer != nil {
			wish = sent.Answer.RetryAfter
		}
		r.Delivery.Fail(ended, wish, spread)
		r.Health = c.Health.Failed(ended, wish)
		r.Gone = sent.Answer.Gone()
	}
	r.Attempt.Number = r.Delivery.Attempted
	if r.Delivery.Status == notification.DeliveryDead {
		r.Dead = deadLetter(r.Delivery, sent.Failure, ended)
	}
	return r
}

// deadLetter does not keep the URL, which may hold a token of the endpoint's owner.
func deadLetter(d notification.Delivery, failure string, at time.Time) *account.DeadLetter {
	id, err := uuid.NewV7()
	if err != nil {
		id = uuid.New()
	}
	return &account.DeadLetter{ID: id, Source: account.DeadDelivery, SourceName: notification.Channel, SourceID: d.ID, TransactionID: d.TransactionID,
		Reason: "not_delivered", LastError: failure, Tries: d.Tries, Payload: string(d.Body), Status: account.DeadLetterOpen, CreatedAt: at}
}

func outcomeOf(r notification.Result) string {
	switch {
	case r.Delivery.Status == notification.DeliveryDelivered:
		return OutcomeDelivered
	case r.Gone:
		return OutcomeGone
	case r.Delivery.Status == notification.DeliveryDead:
		return OutcomeDead
	default:
		return OutcomeFailed
	}
}

// startSpan goes on with the trace of the transaction.
func (d *Deliverer) startSpan(ctx context.Context, delivery notification.Delivery) (context.Context, trace.Span) {
	if delivery.TraceParent != "" {
		ctx = telemetry.Continue(ctx, delivery.TraceParent)
	}
	return d.tracer.Start(ctx, "deliver webhook", trace.WithAttributes(
		attribute.String("florin.transaction_id", delivery.TransactionID.String()),
		attribute.String("florin.delivery_id", delivery.ID.String()), attribute.Int("florin.attempt", delivery.Attempted+1)))
}
