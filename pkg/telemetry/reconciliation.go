package telemetry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Listed counts events that were applied because the provider listed them.
func (m *Metrics) Listed(provider string, events int) {
	m.add(m.listed, int64(events), labels{attribute.String("provider", provider)})
}

// Reconciled is what a scrape asks the store about what is reconciled, by provider. Its functions are called at each scrape with
// a deadline of a second; an error leaves the metric out of that scrape.
type Reconciled struct {
	// MarkAge is for how long a provider's events were not listed to the end.
	MarkAge func(ctx context.Context) (map[string]time.Duration, error)
	// Differences is how many differences to the provider's own list are open.
	Differences func(ctx context.Context) (map[string]int64, error)
}

// ObserveReconciliation registers it. Call it once.
func (m *Metrics) ObserveReconciliation(r Reconciled) error {
	age, errAge := m.meter.Float64ObservableGauge("florin_provider_mark_age", metric.WithUnit("s"),
		metric.WithDescription("Time since a provider's events were listed last."))
	open, errOpen := m.meter.Int64ObservableGauge("florin_reconciliation_differences",
		metric.WithDescription("Open differences between our clearing accounts and a provider's own list."))
	_, errCallback := m.meter.RegisterCallback(func(ctx context.Context, o metric.Observer) error {
		ctx, cancel := context.WithTimeout(ctx, observeTimeout)
		defer cancel()
		ages, errAges := r.MarkAge(ctx)
		for provider, since := range ages {
			o.ObserveFloat64(age, since.Seconds(), metric.WithAttributes(attribute.String("provider", provider)))
		}
		counts, errCounts := r.Differences(ctx)
		for provider, n := range counts {
			o.ObserveInt64(open, n, metric.WithAttributes(attribute.String("provider", provider)))
		}
		return errors.Join(errAges, errCounts)
	}, age, open)
	if err := errors.Join(errAge, errOpen, errCallback); err != nil {
		return fmt.Errorf("observe the reconciliation: %w", err)
	}
	return nil
}
