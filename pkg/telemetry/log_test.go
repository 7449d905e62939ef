package telemetry_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"

	"florin/pkg/telemetry"
)

func TestRecordsTellTheirContext(t *testing.T) {
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}})
	ctx := telemetry.WithTransaction(telemetry.WithRequest(trace.ContextWithSpanContext(t.Context(), span), "r-1"), "t-1")

	record := logged(t, func(log *slog.Logger) { log.With("a", 1).InfoContext(ctx, "moved", "minor", int64(9007199254740993)) })
	assert.Equal(t, "r-1", record["request_id"])
	assert.Equal(t, "t-1", record["transaction_id"])
	assert.Equal(t, "01000000000000000000000000000000", record["trace_id"])
	assert.Equal(t, "0200000000000000", record["span_id"])
	assert.Equal(t, json.Number("9007199254740993"), record["minor"])

	own := logged(t, func(log *slog.Logger) { log.InfoContext(ctx, "moved", "transaction_id", "t-2") })
	assert.Equal(t, "t-2", own["transaction_id"], "the record's own value must win")
	without := logged(t, func(log *slog.Logger) { log.Info("started") })
	assert.NotContains(t, without, "request_id")
}

// A canary goes through every way in which a value can get into a record.
func TestS46_NoSecretReachesTheLog(t *testing.T) {
	const canary = "c4nary-Zx81Qw93Lm55"
	header := http.Header{"Authorization": {"Bearer " + canary}, "Webhook-Signature": {"v1," + canary}, "Accept": {"*/*"}}
	target, err := url.Parse("postgres://florin:" + canary + "@db/florin")
	require.NoError(t, err)
	body := map[string]any{"identity": "ada", "password": canary, "nested": []any{map[string]any{"apiKey": canary}}}
	typed := struct {
		BankAccountNumber string `json:"bank_account_number"`
		Currency          string `json:"currency"`
	}{canary, "EUR"}
	ways := map[string]func(*slog.Logger){
		"key password":      func(l *slog.Logger) { l.Info("m", "password", canary) },
		"key in capitals":   func(l *slog.Logger) { l.Info("m", "X-API-Key", canary) },
		"key with dashes":   func(l *slog.Logger) { l.Info("m", "refresh-token", canary) },
		"key of an account": func(l *slog.Logger) { l.Info("m", "account_number", canary) },
		"With":              func(l *slog.Logger) { l.With("jwt_secret", canary).Info("m") },
		"group":             func(l *slog.Logger) { l.WithGroup("authorization").Info("m", "value", canary) },
		"group attribute":   func(l *slog.Logger) { l.Info("m", slog.Group("credentials", "value", canary)) },
		"header":            func(l *slog.Logger) { l.Info("m", "headers", header) },
		"map":               func(l *slog.Logger) { l.Info("m", "body", body) },
		"struct":            func(l *slog.Logger) { l.Info("m", "target", typed) },
		"error":             func(l *slog.Logger) { l.Error("m", "error", errors.New("sent Bearer "+canary)) },
		"wrapped error": func(l *slog.Logger) {
			l.Error("m", "error", fmt.Errorf("open: %w", errors.New("postgres://florin:"+canary+"@db/florin: refused")))
		},
		"stringer":       func(l *slog.Logger) { l.Info("m", "database", target) },
		"message":        func(l *slog.Logger) { l.Info("got whsec_" + canary) },
		"provider's key": func(l *slog.Logger) { l.Info("m", "detail", "sk_live_"+canary) },
		"token":          func(l *slog.Logger) { l.Info("m", "detail", "eyJhbGciOiJIUzI1NiJ9."+canary+"."+canary) },
		"form":           func(l *slog.Logger) { l.Info("m", "detail", "user=ada&password="+canary+"&x=1") },
		"other letters":  func(l *slog.Logger) { l.Info("m", "detail", "pa\u017f\u017fword="+canary) },
		"in capitals":    func(l *slog.Logger) { l.Info("m", "detail", "PASSWORD: "+canary) },
		"basic":          func(l *slog.Logger) { l.Info("m", "detail", "sent Basic "+canary) },
		"JSON text":      func(l *slog.Logger) { l.Info("m", "detail", `{"password": "`+canary+`"}`) },
	}
	for name, write := range ways {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			write(telemetry.NewLogger(&out, slog.LevelInfo))
			assert.NotContains(t, out.String(), canary)
			assert.Contains(t, out.String(), "[redacted]")
			assert.Equal(t, 1, strings.Count(out.String(), "\n"))
		})
	}
}

func TestWhatIsNotSecretStays(t *testing.T) {
	record := logged(t, func(log *slog.Logger) {
		log.Info("provider event applied: 3 of 4", "idempotency_key_used", true, "status", "completed", "company", "Pan Ltd",
			"url", "http://127.0.0.1:8080/account/1", "took", 3*time.Millisecond, "rows", []int{1, 2},
			"error", errors.New("database_unavailable: connection refused"), "at", time.Unix(0, 0).UTC())
	})
	assert.Equal(t, "provider event applied: 3 of 4", record["msg"])
	assert.Equal(t, true, record["idempotency_key_used"])
	assert.Equal(t, "http://127.0.0.1:8080/account/1", record["url"])
	assert.Equal(t, json.Number("3000000"), record["took"])
	assert.Equal(t, []any{json.Number("1"), json.Number("2")}, record["rows"])
	assert.Equal(t, "database_unavailable: connection refused", record["error"])
	assert.Equal(t, "1970-01-01T00:00:00Z", record["at"])
}

func TestS47_NoFieldForgesALine(t *testing.T) {
	var out bytes.Buffer
	log := telemetry.NewLogger(&out, slog.LevelInfo)
	log.Info("a\r\n{\"level\":\"ERROR\"}", "field\n", "\u001b[31m\r\nforged\u2028", "error", errors.New("x\ny"))
	assert.Equal(t, 1, strings.Count(out.String(), "\n"))
	assert.NotContains(t, out.String(), "\u001b")
	assert.NotContains(t, out.String(), "\r")
}

// BenchmarkLog is one record of a request.
func BenchmarkLog(b *testing.B) {
	log := telemetry.NewLogger(io.Discard, slog.LevelInfo)
	ctx := telemetry.WithRequest(b.Context(), "5f0c3f1e-7a3b-4c55-9d0e-1f2a3b4c5d6e")
	b.ReportAllocs()
	for b.Loop() {
		log.LogAttrs(ctx, slog.LevelInfo, "request", slog.String("request_id", "5f0c3f1e-7a3b-4c55-9d0e-1f2a3b4c5d6e"),
			slog.String("method", "POST"), slog.String("route", "/account/:id/transfer"), slog.Int("status", 200),
			slog.Int64("duration_us", 51380), slog.String("client", "127.0.0.1"))
	}
}

func logged(t *testing.T, write func(*slog.Logger)) map[string]any {
	t.Helper()
	var out bytes.Buffer
	write(telemetry.NewLogger(&out, slog.LevelInfo))
	var record map[string]any
	decoder := json.NewDecoder(&out)
	decoder.UseNumber()
	require.NoError(t, decoder.Decode(&record))
	return record
}
