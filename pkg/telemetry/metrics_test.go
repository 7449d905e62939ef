package telemetry_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/domain/account"
	"florin/pkg/telemetry"
)

func scrape(t *testing.T, m *telemetry.Metrics) string {
	t.Helper()
	answer := httptest.NewRecorder()
	m.Handler().ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	require.Equal(t, 200, answer.Code)
	return answer.Body.String()
}

func TestMetricsByTheirNames(t *testing.T) {
	m, err := telemetry.NewMetrics()
	require.NoError(t, err)
	m.Moved(account.TypeDeposit, "", account.PaymentStatusInitiated)
	m.Moved(account.TypeDeposit, account.PaymentStatusInitiated, account.PaymentStatusCompleted)
	m.Received("mock", account.InboxProcessed)
	m.Called("mock", "initiate_deposit", "refused: whatever the provider wrote", 20*time.Millisecond)
	m.Alert("surplus")
	m.Webhook("mock", "stored")
	m.Request("POST", "/webhook/:provider", 200, 2*time.Millisecond)
	m.Request("BREW", "none", 405, time.Millisecond)
	m.Failed("insufficient_funds")
	m.Relayed(3)
	m.Handled("mail", 4)
	m.Redelivered("mail")
	m.Published("nats:florin.events", time.Millisecond)
	require.NoError(t, m.Observe(telemetry.Backlog{
		OldestWaiting: func(context.Context) (time.Duration, error) { return 1500 * time.Millisecond, nil },
		Subscribers: func(context.Context) (map[string]telemetry.Behind, error) {
			return map[string]telemetry.Behind{"mail": {Events: 7, Age: 2500 * time.Millisecond}}, nil
		},
	}))
	text := scrape(t, m)
	for _, line := range []string{
		`florin_transactions_total{status="completed",type="deposit"} 1`,
		`florin_transaction_moves_total{from="none",to="initiated",type="deposit"} 1`,
		`florin_provider_events_total{provider="mock",verdict="processed"} 1`,
		`florin_provider_calls_total{operation="initiate_deposit",outcome="refused",provider="mock"} 1`,
		`florin_provider_call_duration_seconds_count{operation="initiate_deposit",provider="mock"} 1`,
		`florin_alerts_total{kind="surplus"} 1`,
		`florin_webhooks_total{provider="mock",verdict="stored"} 1`,
		`florin_webhook_duration_seconds_count 1`,
		`florin_http_requests_total{method="POST",route="/webhook/:provider",status="200"} 1`,
		`florin_http_requests_total{method="other",route="none",status="405"} 1`,
		`florin_http_request_duration_seconds_count{method="POST",route="/webhook/:provider"} 1`,
		`florin_errors_total{code="insufficient_funds"} 1`,
		`florin_relay_events_total 3`,
		`florin_oldest_event_without_position_seconds 1.5`,
		`florin_subscriber_lag{subscriber="mail"} 7`,
		`florin_subscriber_oldest_event_seconds{subscriber="mail"} 2.5`,
		`florin_subscriber_events_total{subscriber="mail"} 4`,
		`florin_redeliveries_total{subscriber="mail"} 1`,
		`florin_sink_publish_duration_seconds_count{subscriber="nats:florin.events"} 1`,
		`go_goroutines `, `process_open_fds `,
	} {
		assert.Contains(t, text, line)
	}
	assert.NotContains(t, text, "whatever the provider wrote")
	require.NoError(t, m.Close(t.Context()))
}

// A database that is down must not take the other metrics with it.
func TestABacklogThatCannotBeReadLeavesTheOtherMetrics(t *testing.T) {
	m, err := telemetry.NewMetrics()
	require.NoError(t, err)
	m.Alert("database")
	down := errors.New("connection refused")
	require.NoError(t, m.Observe(telemetry.Backlog{
		OldestWaiting: func(context.Context) (time.Duration, error) { return 0, down },
		Subscribers:   func(context.Context) (map[string]telemetry.Behind, error) { return nil, down },
	}))
	text := scrape(t, m)
	assert.Contains(t, text, `florin_alerts_total{kind="database"} 1`)
	assert.False(t, strings.Contains(text, "\nflorin_oldest_event_without_position_seconds"))
}

// BenchmarkMetrics is what a request counts.
func BenchmarkMetrics(b *testing.B) {
	m, err := telemetry.NewMetrics()
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		m.Request("POST", "/account/:id/transfer", 200, 50*time.Millisecond)
		m.Moved(account.TypeTransfer, account.PaymentStatusInitiated, account.PaymentStatusCompleted)
	}
}
