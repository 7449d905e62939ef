package main

import (
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"florin/infra/database"
	"florin/infra/database/databasetest"
)

// spanOut is one span as a collector gets it.
type spanOut struct {
	*tracepb.Span
	has map[string]string
}

// collectSpans runs a collector. Its spans are complete when the server has stopped.
func collectSpans(t *testing.T) func(name string) []spanOut {
	t.Helper()
	var mu sync.Mutex
	var spans []spanOut
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var data tracepb.TracesData
		if err != nil || proto.Unmarshal(body, &data) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		for _, resource := range data.ResourceSpans {
			for _, scope := range resource.ScopeSpans {
				for _, span := range scope.Spans {
					c := spanOut{Span: span, has: map[string]string{}}
					for _, kv := range span.Attributes {
						if c.has[kv.Key] = kv.Value.GetStringValue(); c.has[kv.Key] == "" {
							c.has[kv.Key] = strconv.FormatInt(kv.Value.GetIntValue(), 10)
						}
					}
					spans = append(spans, c)
				}
			}
		}
	}))
	t.Cleanup(server.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	return func(name string) []spanOut {
		mu.Lock()
		defer mu.Unlock()
		var found []spanOut
		for _, span := range spans {
			if name == "" || span.Name == name {
				found = append(found, span)
			}
		}
		return found
	}
}

// TestF140_SpansFollowTheConventions: from the request to the bank, the database and the
// confirmation, with nothing secret in them.
func TestF140_SpansFollowTheConventions(t *testing.T) {
	for _, dialect := range []database.Dialect{database.SQLite, database.Postgres} {
		t.Run(string(dialect), func(t *testing.T) { testSpans(t, dialect) })
	}
}

func testSpans(t *testing.T, dialect database.Dialect) {
	spans := collectSpans(t)
	app := startApp(t, map[string]string{"DATABASE_URL": databasetest.URL(t, dialect)})
	ada := person(t, app, "ada")
	account := openAccount(t, ada, "EUR")
	const traceID = "0af7651916cd43dd8448eb211c80319c"
	headers := map[string]string{
		"Traceparent": "00-" + traceID + "-b7ad6b7169203331-01",
		"Tracestate":  "vendor=a",
		"Prefer":      "wait=10",
	}
	require.NoError(
		t,
		ada.call(t.Context(), http.MethodPost, "/account/"+account.ID+"/deposit", headers,
			object{"amount": "12.34", "currency": "EUR", "money_source": "card"}, &object{}),
	)
	status, _ := fetch(t, app.PublicURL()+"/nothing/here?token=hunter2")
	require.Equal(t, http.StatusNotFound, status)
	require.NoError(t, app.Stop())

	request := spans("POST /account/:id/deposit")
	require.Len(t, request, 1)
	has := request[0].has
	assert.Equal(t, "/account/"+account.ID+"/deposit", has["url.path"])
	assert.Equal(t, "http", has["url.scheme"])
	assert.Equal(t, "POST", has["http.request.method"])
	assert.Equal(t, "/account/:id/deposit", has["http.route"])
	assert.Equal(t, "200", has["http.response.status_code"])
	assert.Equal(t, "127.0.0.1", has["server.address"])
	assert.NotEmpty(t, has["server.port"])
	assert.Equal(t, "1.1", has["network.protocol.version"])
	assert.Equal(t, "vendor=a", request[0].TraceState)
	assert.Equal(t, tracepb.Span_SPAN_KIND_SERVER, request[0].Kind)

	confirmed := 0
	for _, span := range spans("") {
		if hex.EncodeToString(span.TraceId) == traceID && span.TraceState == "vendor=a" &&
			span.Kind != tracepb.Span_SPAN_KIND_SERVER {
			confirmed++
		}
	}
	assert.Empty(t, spans("GET none"))
	lost := spans("GET")
	require.Len(t, lost, 1, "what fits no route is named by its method alone")
	assert.Equal(t, "/nothing/here", lost[0].has["url.path"])
	assert.NotContains(t, lost[0].has, "http.route")

	assert.GreaterOrEqual(
		t,
		confirmed,
		2,
		"the confirmation is in the same trace, with what it says",
	)

	kinds := map[string]int{}
	for _, span := range spans("") {
		for _, value := range span.has {
			assert.NotContains(t, value, "hunter2")
			assert.NotContains(t, value, "ada@")
		}
		switch {
		case span.has["db.system.name"] != "":
			assert.Equal(
				t,
				map[database.Dialect]string{database.SQLite: "sqlite", database.Postgres: "postgresql"}[dialect],
				span.has["db.system.name"],
			)
			assert.NotEmpty(t, span.has["db.operation.name"], span.Name)
			assert.NotContains(t, span.has, "db.query.text")
			kinds["database"]++
			if span.Name == "COMMIT" {
				kinds["commit"]++
			}
		case span.Kind == tracepb.Span_SPAN_KIND_CLIENT && span.has["url.full"] != "":
			assert.Equal(t, "POST", span.Name)
			assert.Contains(t, span.has["url.full"], "/payments")
			assert.NotEmpty(t, span.has["http.response.status_code"])
			kinds["provider"]++
		}
	}
	assert.Positive(t, kinds["database"])
	assert.Positive(t, kinds["commit"])
	assert.Positive(t, kinds["provider"])
}
