package telemetry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/attribute"
	exporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	"florin/domain/account"
)

// secondsBuckets reach from an answer out of memory to a provider that takes half a minute.
var secondsBuckets = []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30}

// observeTimeout bounds what a scrape asks the database.
const observeTimeout = time.Second

// Metrics counts what is seen from outside. It is safe for concurrent use. Every label has a bounded set of values: statuses,
// types, routes as patterns, configured providers; never an id, and never what a client or a provider wrote.
type Metrics struct {
	provider *sdkmetric.MeterProvider
	meter    metric.Meter
	handler  http.Handler

	transactions, moves, webhooks, providerEvents, providerCalls      metric.Int64Counter
	connectionsRefused                                                metric.Int64Counter
	alerts, requests, errorsByCode, relayed, listed                   metric.Int64Counter
	streamEvents, streamEnds, deliveries                              metric.Int64Counter
	streams                                                           metric.Int64UpDownCounter
	webhookTook, providerTook, requestTook, deliveryTook, publishTook metric.Float64Histogram
	delivery                                                          deliveryMetrics

	mu       sync.RWMutex
	prepared map[labels]prepared
}

// NewMetrics returns metrics with a registry of their own, so that two programs in one process do not meet.
func NewMetrics() (*Metrics, error) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	reader, err := exporter.New(exporter.WithRegisterer(registry), exporter.WithoutScopeInfo(), exporter.WithoutTargetInfo())
	if err != nil {
		return nil, fmt.Errorf("open metrics exporter: %w", err)
	}
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	m := &Metrics{provider: provider, meter: provider.Meter("florin"), prepared: make(map[labels]prepared),
		handler: promhttp.HandlerFor(registry, promhttp.HandlerOpts{Timeout: 5 * time.Second})}
	if err := m.open(); err != nil {
		return nil, fmt.Errorf("open metrics: %w", err)
	}
	return m, nil
}

func (m *Metrics) open() error {
	var failures []error
	counter := func(name, description string) metric.Int64Counter {
		made, err := m.meter.Int64Counter(name, metric.WithDescription(description))
		failures = append(failures, err)
		return made
	}
	seconds := func(name, description string) metric.Float64Histogram {
		made, err := m.meter.Float64Histogram(name, metric.WithDescription(description), metric.WithUnit("s"),
			metric.WithExplicitBucketBoundaries(secondsBuckets...))
		failures = append(failures, err)
		return made
	}
	m.transactions = counter("florin_transactions", "Transactions that reached a status.")
	m.moves = counter("florin_transaction_moves", "Moves of the state machine; from is none for a new transaction.")
	m.webhooks = counter("florin_webhooks", "Webhooks by what was answered.")
	m.providerEvents = counter("florin_provider_events", "Events of providers by what became of them, however they were learned.")
	m.providerCalls = counter("florin_provider_calls", "Calls to providers.")
	m.alerts = counter("florin_alerts", "Things that a person must look at.")
	m.requests = counter("florin_http_requests", "HTTP requests by route pattern.")
	m.errorsByCode = counter("florin_errors", "Errors answered, by their stable code.")
	m.listed = counter("florin_listed_events", "Events of providers that came by no webhook and were applied from the provider's list.")
	m.relayed = counter("florin_relay_events", "Events that were given their position.")
	m.connectionsRefused = counter("florin_connections_refused", "Connections closed at once, because their address or the server has too many.")
	m.streamEvents = counter("florin_stream_events", "Events written to event streams.")
	m.streamEnds = counter("florin_stream_ends", "Event streams that ended, by reason.")
	streams, err := m.meter.Int64UpDownCounter("florin_streams", metric.WithDescription("Event streams that are open."))
	failures = append(failures, err)
	m.streams = streams
	m.deliveries = counter("florin_webhook_deliveries", "Attempts to deliver a webhook to a user's endpoint, by outcome.")
	m.deliveryTook = seconds("florin_webhook_delivery_duration", "Time that a user's endpoint took to answer.")
	m.publishTook = seconds("florin_sink_publish_duration", "Time that a broker took for one batch of events.")
	m.webhookTook = seconds("florin_webhook_duration", "From a webhook's arrival to its answer.")
	m.providerTook = seconds("florin_provider_call_duration", "Time that a provider took to answer.")
	m.requestTook = seconds("florin_http_request_duration", "Time from a request to its answer, preferred waits included.")
	m.delivery.open(counter, seconds)
	if err := errors.Join(failures...); err != nil {
		return err
	}
	for _, kind := range account.AlertKinds() {
		m.add(m.alerts, 0, labels{attribute.String("kind", kind)})
	}
	return nil
}

// Handler serves the metrics in the text format of Prometheus.
func (m *Metrics) Handler() http.Handler { return m.handler }

// Close ends the metrics; nothing is counted afterwards.
func (m *Metrics) Close(ctx context.Context) error {
	if err := m.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("close metrics: %w", err)
	}
	return nil
}

// Moved counts a status move of a committed transaction.
func (m *Metrics) Moved(t account.Type, from, to account.PaymentStatus) {
	kind := attribute.String("type", string(t))
	if from == "" {
		from = "none"
	}
	m.add(m.transactions, 1, labels{kind, attribute.String("status", string(to))})
	m.add(m.moves, 1, labels{kind, attribute.String("from", string(from)), attribute.String("to", string(to))})
}

// Received counts an event of a provider by what became of it.
func (m *Metrics) Received(provider string, verdict account.InboxStatus) {
	m.add(m.providerEvents, 1, labels{attribute.String("provider", provider), attribute.String("verdict", string(verdict))})
}

// Called counts a provider call. Of an outcome like "refused: declined" only the class is a label: the rest is the
// provider's own word.
func (m *Metrics) Called(provider, operation, outcome string, took time.Duration) {
	class, _, _ := strings.Cut(outcome, ":")
	l := labels{attribute.String("provider", provider), attribute.String("operation", operation)}
	m.record(m.providerTook, took, l)
	l[2] = attribute.String("outcome", class)
	m.add(m.providerCalls, 1, l)
}

// Alert counts something that a person must look at.
func (m *Metrics) Alert(kind string) { m.add(m.alerts, 1, labels{attribute.String("kind", kind)}) }

// ConnectionRefused counts a connection that was closed at once.
func (m *Metrics) ConnectionRefused() { m.add(m.connectionsRefused, 1, labels{}) }

// Webhook counts a webhook by what was answered.
func (m *Metrics) Webhook(provider, verdict string) {
	m.add(m.webhooks, 1, labels{attribute.String("provider", provider), attribute.String("verdict", verdict)})
}

// Request counts an HTTP request. Route is the pattern of the route that took it, "none" for none; a webhook's time is
// kept apart too.
func (m *Metrics) Request(method, route string, status int, took time.Duration) {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions:
	default:
		method = "other"
	}
	l := labels{attribute.String("method", method), attribute.String("route", route)}
	m.record(m.requestTook, took, l)
	l[2] = attribute.Int("status", status)
	m.add(m.requests, 1, l)
	if method == http.MethodPost && strings.HasPrefix(route, "/webhook/") {
		m.record(m.webhookTook, took, labels{})
	}
}

// Failed counts an error answered to a client by its stable code.
func (m *Metrics) Failed(code string) {
	m.add(m.errorsByCode, 1, labels{attribute.String("code", code)})
}

// Relayed counts events that were given their position.
func (m *Metrics) Relayed(events int) { m.add(m.relayed, int64(events), labels{}) }

// Published counts a batch that a broker took.
func (m *Metrics) Published(sink string, took time.Duration) {
	m.record(m.publishTook, took, labels{attribute.String("subscriber", sink)})
}

// StreamOpened counts an event stream that was opened.
func (m *Metrics) StreamOpened() { m.streams.Add(context.Background(), 1) }

// StreamEnded counts an event stream that ended. The reasons are few and our own.
func (m *Metrics) StreamEnded(reason string) {
	m.streams.Add(context.Background(), -1)
	m.add(m.streamEnds, 1, labels{attribute.String("reason", reason)})
}

// Streamed counts events that were written to an event stream.
func (m *Metrics) Streamed(events int) {
	if events > 0 {
		m.streamEvents.Add(context.Background(), int64(events))
	}
}

// Backlog is what a scrape asks the store about the event log. Its functions are called at each scrape with a deadline
// of a second; an error leaves the metric out of that scrape.
type Backlog struct {
	// OldestWaiting is the age of the oldest committed event without a position, 0 where none waits.
	OldestWaiting func(ctx context.Context) (time.Duration, error)
	// Subscribers is how far each is behind, by its name.
	Subscribers func(ctx context.Context) (map[string]Behind, error)
}

// Behind is what a subscriber has still before it: events, and the age of the oldest, 0 where there is none.
type Behind struct {
	Events int64
	Age    time.Duration
}

// Observe registers the backlog. Call it once.
func (m *Metrics) Observe(b Backlog) error {
	oldest, errOldest := m.meter.Float64ObservableGauge("florin_oldest_event_without_position", metric.WithUnit("s"),
		metric.WithDescription("Age of the oldest committed event that the relay has not taken yet."))
	lag, errLag := m.meter.Int64ObservableGauge("florin_subscriber_lag",
		metric.WithDescription("Events of the log that a subscriber has still before it."))
	ages, errAges := m.meter.Float64ObservableGauge("florin_subscriber_oldest_event", metric.WithUnit("s"),
		metric.WithDescription("Age of the oldest event of the log that a subscriber has still before it."))
	_, errCallback := m.meter.RegisterCallback(func(ctx context.Context, o metric.Observer) error {
		ctx, cancel := context.WithTimeout(ctx, observeTimeout)
		defer cancel()
		age, errAge := b.OldestWaiting(ctx)
		if errAge == nil {
			o.ObserveFloat64(oldest, age.Seconds())
		}
		all, errBehind := b.Subscribers(ctx)
		for name, behind := range all {
			subscriber := metric.WithAttributes(attribute.String("subscriber", name))
			o.ObserveInt64(lag, behind.Events, subscriber)
			o.ObserveFloat64(ages, behind.Age.Seconds(), subscriber)
		}
		return errors.Join(errAge, errBehind)
	}, oldest, lag, ages)
	if err := errors.Join(errOldest, errLag, errAges, errCallback); err != nil {
		return fmt.Errorf("observe the log: %w", err)
	}
	return nil
}

// add counts. What is counted must be counted whatever became of the request, so no context goes along.
func (m *Metrics) add(counter metric.Int64Counter, n int64, l labels) {
	counter.Add(context.Background(), n, m.labelled(l).add...)
}

func (m *Metrics) record(histogram metric.Float64Histogram, took time.Duration, l labels) {
	histogram.Record(context.Background(), took.Seconds(), m.labelled(l).record...)
}

// labels are the labels of one count, the rest of them zero.
type labels [3]attribute.KeyValue

// prepared are labels as the counters take them.
type prepared struct {
	add    []metric.AddOption
	record []metric.RecordOption
}

// labelled prepares labels once: they are few, and come again with every request.
func (m *Metrics) labelled(l labels) prepared {
	m.mu.RLock()
	p, known := m.prepared[l]
	m.mu.RUnlock()
	if known {
		return p
	}
	given := slices.DeleteFunc(slices.Clone(l[:]), func(kv attribute.KeyValue) bool { return !kv.Valid() })
	set := attribute.NewSet(given...)
	option := metric.WithAttributeSet(set)
	p = prepared{add: []metric.AddOption{option}, record: []metric.RecordOption{option}}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.prepared[l] = p
	return p
}
