package telemetry

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// WebhookDelivered counts an attempt to deliver a webhook to a user's endpoint. Endpoints are no label: there is no bound to
// their number.
func (m *Metrics) WebhookDelivered(outcome string, took time.Duration) {
	m.record(m.deliveryTook, took, labels{})
	m.add(m.deliveries, 1, labels{attribute.String("outcome", outcome)})
}

// ObserveDeliveries registers what waits to be delivered: how many, and for how long the oldest that is due has been so. The
// function is called at each scrape with a deadline of a second; an error leaves both out of that scrape. Call it once.
func (m *Metrics) ObserveDeliveries(waiting func(ctx context.Context) (deliveries int64, oldest time.Duration, err error)) error {
	backlog, err := m.meter.Int64ObservableGauge("florin_webhook_backlog", metric.WithDescription("Webhooks that wait to be delivered."))
	if err != nil {
		return fmt.Errorf("observe webhooks: %w", err)
	}
	age, err := m.meter.Float64ObservableGauge("florin_webhook_backlog_age", metric.WithUnit("s"),
		metric.WithDescription("For how long the oldest webhook that is due has been so."))
	if err != nil {
		return fmt.Errorf("observe webhooks: %w", err)
	}
	_, err = m.meter.RegisterCallback(func(ctx context.Context, o metric.Observer) error {
		ctx, cancel := context.WithTimeout(ctx, observeTimeout)
		defer cancel()
		deliveries, oldest, err := waiting(ctx)
		if err != nil {
			return err
		}
		o.ObserveInt64(backlog, deliveries)
		o.ObserveFloat64(age, oldest.Seconds())
		return nil
	}, backlog, age)
	if err != nil {
		return fmt.Errorf("observe webhooks: %w", err)
	}
	return nil
}
