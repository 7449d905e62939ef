package telemetry

import (
	"context"
	"net/http/httptest"
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/domain/account"
)

// told is everything that the metrics tell once each of them has happened.
func told(t *testing.T) string {
	t.Helper()
	m, err := NewMetrics()
	require.NoError(t, err)
	require.NoError(t, m.Observe(Backlog{OldestWaiting: func(context.Context) (time.Duration, error) { return time.Second, nil },
		Subscribers: func(context.Context) (map[string]Behind, error) {
			return map[string]Behind{"mail": {Events: 1, Age: time.Second}}, nil
		}}))
	since := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	require.NoError(t, m.ObserveDeadLetters(func() time.Time { return since.Add(time.Minute) }, func(context.Context) ([]account.DeadLetterCount, error) {
		return []account.DeadLetterCount{{Source: account.DeadDelivery, SourceName: "email", Open: 2, Oldest: since},
			{Source: account.DeadDelivery, SourceName: "webhook", Open: 1, Oldest: since.Add(time.Second)}}, nil
	}))
	m.Moved(account.TypeDeposit, "", account.PaymentStatusInitiated)
	m.Received("mock", account.InboxProcessed)
	m.Called("mock", "initiate_deposit", "accepted", time.Second)
	m.Alert("dead_letter")
	m.Webhook("mock", "stored")
	m.Request("POST", "/webhook/mock", 200, time.Second)
	m.Failed("internal")
	m.Relayed(1)
	m.Handled("mail", 1)
	m.Redelivered("mail")
	m.Published("nats:florin.events", time.Second)
	m.Mailed("sent", time.Second)
	m.StreamOpened()
	m.ConnectionRefused()
	m.Streamed(1)
	m.StreamEnded("client")
	m.WebhookDelivered("delivered", time.Second)
	require.NoError(t, m.ObserveDeliveries(func(context.Context) (int64, time.Duration, error) { return 1, time.Second, nil }))
	m.Listed("mock", 1)
	require.NoError(t, m.ObserveReconciliation(Reconciled{
		MarkAge: func(context.Context) (map[string]time.Duration, error) {
			return map[string]time.Duration{"mock": time.Second}, nil
		},
		Differences: func(context.Context) (map[string]int64, error) { return map[string]int64{"mock": 1}, nil },
	}))
	recorder := httptest.NewRecorder()
	m.Handler().ServeHTTP(recorder, httptest.NewRequest("GET", "/metrics", nil))
	return recorder.Body.String()
}

func TestDeadLettersAreCountedBySource(t *testing.T) {
	metrics := told(t)
	for _, line := range []string{`florin_dead_letters{source="delivery"} 3`, `florin_dead_letters{source="inbox"} 0`,
		`florin_oldest_dead_letter_seconds{source="delivery"} 60`, `florin_oldest_dead_letter_seconds{source="subscriber"} 0`,
		`florin_redeliveries_total{subscriber="mail"} 1`, `florin_mails_total{outcome="sent"} 1`} {
		assert.Contains(t, metrics, line+"\n")
	}
}

// TestOperationsNameMetricsThatExist: each name in the dashboard, in the rules and in the document is a metric, every rule has
// its line in the document, and every metric is in the document.
func TestOperationsNameMetricsThatExist(t *testing.T) {
	name := regexp.MustCompile(`\bflorin_[a-z_]+`)
	metrics := map[string]bool{}
	for _, found := range name.FindAllString(told(t), -1) {
		metrics[found] = true
	}
	read := func(path string) string {
		text, err := os.ReadFile("../../docs/" + path)
		require.NoError(t, err)
		return string(text)
	}
	document, rules := read("operations.md"), read("operations/alerts.yml")
	for _, path := range []string{"operations/dashboard.json", "operations/alerts.yml", "operations.md"} {
		used := name.FindAllString(read(path), -1)
		require.NotEmpty(t, used, path)
		for _, one := range used {
			assert.True(t, metrics[one], "%s names %s, which is not a metric", path, one)
		}
	}
	alerts := regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(rules, -1)
	require.NotEmpty(t, alerts)
	for _, alert := range alerts {
		assert.Contains(t, document, "| `"+alert[1]+"` |")
	}
	for _, family := range regexp.MustCompile(`# TYPE (florin_[a-z_]+) `).FindAllStringSubmatch(told(t), -1) {
		assert.Contains(t, document, "`"+family[1]+"`")
	}
}
