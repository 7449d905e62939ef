package telemetry

import (
	"fmt"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// quiet are the kinds of reviews that raise no alert, as docs/operations.md says.
var quiet = []string{"late_success", "payout_differs", "refund_differs", "receivable_settled",
	"unmatched_returned", "account_closed"}

// TestF131_EveryAlertIsCountedFromTheStart: increase() of a series that is born at 1 is 0, and nobody would be called.
func TestF131_EveryAlertIsCountedFromTheStart(t *testing.T) {
	m, err := NewMetrics()
	require.NoError(t, err)
	recorder := httptest.NewRecorder()
	m.Handler().ServeHTTP(recorder, httptest.NewRequest("GET", "/metrics", nil))
	document, err := os.ReadFile("../../docs/operations.md")
	require.NoError(t, err)
	_, reviews, found := strings.Cut(string(document), "\n## Reviews\n")
	require.True(t, found)
	table, _, _ := strings.Cut(reviews, "```sh")
	kinds := []string{"dead_letter", "webhook_clock", "webhook_secret", "provider_circuit_open", "card_testing",
		"data_key", "unusable_event"}
	for _, row := range regexp.MustCompile("(?m)^\\| (`[a-z_`, ]+) \\|").FindAllStringSubmatch(table, -1) {
		for _, kind := range regexp.MustCompile(`[a-z_]+`).FindAllString(row[1], -1) {
			if !slices.Contains(quiet, kind) {
				kinds = append(kinds, kind)
			}
		}
	}
	require.Greater(t, len(kinds), 20)
	for _, kind := range kinds {
		assert.True(t, strings.Contains(recorder.Body.String(), fmt.Sprintf("florin_alerts_total{kind=%q} 0\n", kind)), kind)
	}
}

// TestF131_RulesKeepTheLabelsThatTheirTextsName: an aggregation drops every label that it does not name.
func TestF131_RulesKeepTheLabelsThatTheirTextsName(t *testing.T) {
	rules, err := os.ReadFile("../../docs/operations/alerts.yml")
	require.NoError(t, err)
	each := strings.Split(string(rules), "- alert: ")[1:]
	require.NotEmpty(t, each)
	down := false
	for _, rule := range each {
		name, _, _ := strings.Cut(rule, "\n")
		down = down || strings.Contains(rule, "up{") && strings.Contains(rule, "absent(")
		for _, label := range regexp.MustCompile(`\$labels\.(\w+)`).FindAllStringSubmatch(rule, -1) {
			assert.Contains(t, rule, "by ("+label[1]+")", name)
		}
	}
	assert.True(t, down, "no rule sees a server that is down")
}
