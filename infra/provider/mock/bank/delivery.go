package bank

import (
	"bytes"
	"container/heap"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"go.opentelemetry.io/otel/propagation"

	"florin/pkg/telemetry"
)

const (
	maxDeliveries   = 32 // webhooks under way at once
	deliveryTimeout = 10 * time.Second
	deliveryWindow  = 3 * 24 * time.Hour // from the webhook's creation to the last attempt
	firstRetry      = 100 * time.Millisecond
	lastRetry       = 5 * time.Second
)

// delivery is one attempt at the first webhook of a payment.
type delivery struct {
	entry       *entry
	webhook     *webhook
	url         string
	traceparent string
	script      scenario
	copies      int
	attempt     int // 0 for the first
}

// newDeliveryClient goes straight to the URL: no proxy, and a redirect is an answer like any other.
func newDeliveryClient() *http.Client {
	return &http.Client{
		Timeout:       deliveryTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: 2 * time.Second}).DialContext,
			TLSHandshakeTimeout: 5 * time.Second,
			MaxIdleConnsPerHost: maxDeliveries,
			IdleConnTimeout:     30 * time.Second,
		},
	}
}

// collect settles the payments that are due and picks the webhooks to deliver now, as many as there are free
// places. next is when something is due again, zero when nothing is. The picked webhooks are durable when it
// returns.
func (b *Bank) collect() (jobs []delivery, next time.Time, err error) {
	b.mu.Lock()
	now := b.now()
	for {
		due, found := b.books.settlements.due(now)
		if !found {
			break
		}
		if err := b.settleByScript(due.entry); err != nil {
			b.mu.Unlock()
			return nil, time.Time{}, err
		}
	}
	for b.webhookURL != "" && b.active < maxDeliveries {
		due, found := b.books.deliveries.due(now)
		if !found {
			break
		}
		if len(due.entry.outbox) == 0 { // taken before a restart
			due.entry.scheduled = false
			continue
		}
		b.active++
		jobs = append(jobs, b.job(due.entry))
	}
	next = b.books.settlements.next()
	if b.webhookURL != "" && b.active < maxDeliveries {
		next = earlier(next, b.books.deliveries.next())
	}
	b.mu.Unlock()
	if err := b.ledger.durable(); err != nil {
		return nil, time.Time{}, err
	}
	return jobs, next, nil
}

func (b *Bank) settleByScript(e *entry) error {
	if e.State != StatePending {
		return b.settleRefunds(e)
	}
	if failure := scenarios[e.Scenario].failure; failure != nil {
		return b.settle(e, StateFailed, failure)
	}
	return b.settle(e, StateCompleted, nil)
}

func (b *Bank) job(e *entry) delivery {
	return delivery{
		entry:       e,
		webhook:     e.outbox[0],
		url:         b.webhookURL,
		traceparent: e.Traceparent,
		script:      scenarios[e.Scenario],
		copies:      max(1, scenarios[e.Scenario].copies),
		attempt:     e.outbox[0].attempts,
	}
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

// deliver makes one attempt and books its outcome. All copies but one go out at the same time, the last one
// behind them; the webhook is delivered when each was answered 2xx.
func (b *Bank) deliver(ctx context.Context, d delivery) {
	together := max(1, d.copies-1)
	outcomes := make([]error, d.copies)
	var copies sync.WaitGroup
	for i := range together {
		copies.Go(func() { outcomes[i] = b.post(ctx, d, d.bodyOf(i)) })
	}
	copies.Wait()
	for i := together; i < d.copies; i++ {
		outcomes[i] = b.post(ctx, d, d.bodyOf(i))
	}
	var failed error
	for _, err := range outcomes {
		if err != nil {
			failed = err
		}
	}
	b.finish(d, failed)
}

// post sends the webhook once. Every attempt has a fresh timestamp and signature and the same id and body, unless a scenario spoils
// it.
func (b *Bank) post(ctx context.Context, d delivery, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("webhook request: %w", err)
	}
	at, signers, err := d.signing(b.now(), b.signers)
	if err != nil {
		return fmt.Errorf("sign webhook: %w", err)
	}
	signatures := make([]string, 0, len(signers))
	for _, signer := range signers {
		signature, err := signer.Sign(d.webhook.ID, at, body)
		if err != nil {
			return fmt.Errorf("sign webhook: %w", err)
		}
		signatures = append(signatures, signature)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set(standardwebhooks.HeaderWebhookID, d.webhook.ID)
	request.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(at.Unix(), 10))
	request.Header.Set(standardwebhooks.HeaderWebhookSignature, strings.Join(signatures, " "))
	if d.traceparent != "" {
		carrier := propagation.HeaderCarrier(request.Header)
		telemetry.Inject(telemetry.Continue(ctx, d.traceparent), carrier)
	}
	response, err := b.client.Do(request)
	if err != nil {
		return fmt.Errorf("deliver webhook: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	// Read to the end, so that the connection serves the next webhook. The status is known either way.
	_, _ = io.CopyN(io.Discard, response.Body, maxBody)
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return fmt.Errorf("deliver webhook: answered %d", response.StatusCode)
	}
	return nil
}

// finish takes a delivered webhook off its payment, or puts it back for later.
func (b *Bank) finish(d delivery, failed error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.nudge()
	b.active--
	d.entry.scheduled = false
	now := b.now()
	r := record{PaymentID: d.entry.ID, Delivered: d.webhook.ID}
	if failed != nil {
		if now.Sub(d.webhook.CreatedAt) < deliveryWindow {
			b.retryLater(d, now, failed)
			return
		}
		r.Delivered, r.Abandoned = "", d.webhook.ID
		b.logger.Error("mock bank gave a webhook up", "webhook_id", d.webhook.ID, "payment_id", d.entry.ID, "error", failed)
	}
	// Not durable: lost with the power, the webhook is delivered once more, which its receiver must bear anyway.
	if err := b.record(r, false); err != nil {
		b.logger.Error("mock bank cannot record a delivery", "webhook_id", d.webhook.ID, "error", err)
	}
	b.books.schedule(d.entry, now)
}

func (b *Bank) retryLater(d delivery, now time.Time, failed error) {
	wait := backoff(d.webhook.attempts)
	d.webhook.attempts++
	b.logger.Debug("mock bank will deliver a webhook again", "webhook_id", d.webhook.ID,
		"payment_id", d.entry.ID, "attempt", d.webhook.attempts, "in", wait, "error", failed)
	d.entry.scheduled = true
	heap.Push(&b.books.deliveries, task{at: now.Add(wait), seq: b.books.seq, entry: d.entry})
}

// backoff doubles from firstRetry up to lastRetry and takes off up to a half at random, so that webhooks that
// failed together do not come back together.
func backoff(attempts int) time.Duration {
	wait := lastRetry
	if attempts < 16 {
		wait = min(lastRetry, firstRetry<<attempts)
	}
	return wait - rand.N(wait/2+1) //nolint:gosec // spreads retries, protects nothing
}
