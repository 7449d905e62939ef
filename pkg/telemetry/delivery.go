package telemetry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"florin/domain/account"
)

// deliveryMetrics counts what becomes of events on their way to those who listen.
type deliveryMetrics struct {
	handled, redeliveries, mails metric.Int64Counter
	mailTook                     metric.Float64Histogram
}

func (d *deliveryMetrics) open(counter func(name, description string) metric.Int64Counter, seconds func(name, description string) metric.Float64Histogram) {
	d.handled = counter("florin_subscriber_events", "Events that a durable subscriber worked off.")
	d.redeliveries = counter("florin_redeliveries", "Times that a subscriber's batch failed and is delivered again.")
	d.mails = counter("florin_mails", "Attempts to send a mail, by what became of them.")
	d.mailTook = seconds("florin_mail_duration", "Time that a mail server took to take or to refuse a mail.")
}

// Handled counts events that a subscriber worked off.
func (m *Metrics) Handled(subscriber string, events int) {
	m.add(m.delivery.handled, int64(events), labels{attribute.String("subscriber", subscriber)})
}

// Redelivered counts a batch of a subscriber that failed and comes again.
func (m *Metrics) Redelivered(subscriber string) {
	m.add(m.delivery.redeliveries, 1, labels{attribute.String("subscriber", subscriber)})
}

// Mailed counts an attempt to send a mail: outcome is "sent", "failed" or "dead".
func (m *Metrics) Mailed(outcome string, took time.Duration) {
	m.add(m.delivery.mails, 1, labels{attribute.String("outcome", outcome)})
	m.record(m.delivery.mailTook, took, labels{})
}

// ObserveDeadLetters registers the gauges of open dead letters. count is called at each scrape, with a deadline of a second.
// A source without an open one is 0, so that an alert on it can end. Call it once.
func (m *Metrics) ObserveDeadLetters(now func() time.Time, count func(ctx context.Context) ([]account.DeadLetterCount, error)) error {
	open, errOpen := m.meter.Int64ObservableGauge("florin_dead_letters", metric.WithDescription("Open dead letters by source."))
	oldest, errOldest := m.meter.Float64ObservableGauge("florin_oldest_dead_letter", metric.WithUnit("s"),
		metric.WithDescription("Age of the oldest open dead letter of a source, 0 without one."))
	_, errCallback := m.meter.RegisterCallback(func(ctx context.Context, o metric.Observer) error {
		ctx, cancel := context.WithTimeout(ctx, observeTimeout)
		defer cancel()
		counts, err := count(ctx)
		if err != nil {
			return err
		}
		total := map[account.DeadLetterSource]int64{}
		since := map[account.DeadLetterSource]time.Time{}
		for _, c := range counts {
			total[c.Source] += c.Open
			if at, known := since[c.Source]; !known || c.Oldest.Before(at) {
				since[c.Source] = c.Oldest
			}
		}
		for _, source := range []account.DeadLetterSource{account.DeadInbox, account.DeadSubscriber, account.DeadDelivery} {
			label := metric.WithAttributes(attribute.String("source", string(source)))
			o.ObserveInt64(open, total[source], label)
			var age time.Duration
			if at, known := since[source]; known {
				age = max(0, now().Sub(at))
			}
			o.ObserveFloat64(oldest, age.Seconds(), label)
		}
		return nil
	}, open, oldest)
	if err := errors.Join(errOpen, errOldest, errCallback); err != nil {
		return fmt.Errorf("observe dead letters: %w", err)
	}
	return nil
}
