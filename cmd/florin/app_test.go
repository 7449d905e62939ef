package main

import (
	"context"
	"net/http"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestBothListenersAnswer(t *testing.T) {
	app := startApp(t, nil)
	person(t, app, "ada")
	for path, want := range map[string]string{"/healthz": `"status":"ok"`, "/readyz": `"name":"database","status":"ok"`, "/openapi.json": `"openapi":"3.1`,
		"/docs": "<html"} {
		status, body := fetch(t, app.PublicURL()+path)
		assert.Equal(t, http.StatusOK, status, path)
		assert.Contains(t, body, want, path)
	}
	status, body := fetch(t, app.AdminURL()+"/metrics")
	assert.Equal(t, http.StatusOK, status)
	for _, line := range []string{`florin_http_requests_total{method="POST",route="/user",status="201"} 1`,
		`florin_oldest_event_without_position_seconds 0`, "go_goroutines "} {
		assert.Contains(t, body, line)
	}
	status, _ = fetch(t, app.AdminURL()+"/debug/pprof/goroutine?debug=1")
	assert.Equal(t, http.StatusOK, status)
}

func TestS31_MetricsAndProfilesAreNotPublic(t *testing.T) {
	app := startApp(t, nil)
	for _, path := range []string{"/metrics", "/debug/pprof/", "/debug/pprof/heap"} {
		status, _ := fetch(t, app.PublicURL()+path)
		assert.Equal(t, http.StatusNotFound, status, path)
	}
}

// The time of the processor is measured, not that of the clock on the wall, because tests share the machine with others.
func TestFirstAnswerWithin300Milliseconds(t *testing.T) {
	best := time.Hour
	for range 5 {
		config, err := loadConfig(settings(t, nil))
		require.NoError(t, err)
		runtime.GC() // the garbage of other tests is not this one's
		before := processorTime(t)
		app, err := NewApp(t.Context(), config, Options{Log: quietLog()})
		require.NoError(t, err)
		// The administrator's password is hashed beside the start and delays no answer.
		go func() { _ = app.Server.ServePublic(app.public) }()
		status, _ := fetch(t, app.PublicURL()+"/readyz")
		best = min(best, processorTime(t)-before)
		assert.Equal(t, http.StatusOK, status)
		require.NoError(t, app.Stop())
	}
	t.Log("processor time to the first answer:", best)
	if !underRace {
		assert.Less(t, best, 300*time.Millisecond)
	}
}

func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var usage syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func TestStopWithoutStartGivesEverythingBack(t *testing.T) {
	app := buildApp(t, nil, Options{})
	require.NoError(t, app.Stop())
	require.NoError(t, app.Stop(), "a second call waits for the first")
}

func TestAPortThatIsTakenIsAnErrorOfTheStart(t *testing.T) {
	app := startApp(t, nil)
	config, err := loadConfig(settings(t, map[string]string{"HTTP_ADDR": strings.TrimPrefix(app.PublicURL(), "http://")}))
	require.NoError(t, err)
	_, err = NewApp(t.Context(), config, Options{Log: app.Log})
	require.ErrorContains(t, err, "listen")
}

func TestAPartThatFailsIsReported(t *testing.T) {
	config, err := loadConfig(settings(t, nil))
	require.NoError(t, err)
	app, err := NewApp(t.Context(), config, Options{Log: quietLog()})
	require.NoError(t, err)
	require.NoError(t, app.admin.Close())
	app.Start()
	assert.ErrorContains(t, <-app.Failed(), "admin listener")
	assert.ErrorContains(t, app.Stop(), "admin listener")
}

func TestF121_TerminationAnswersRequestsInFlightAndTheRestGoesOnLater(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c := r.user()
		euros := c.open("EUR")
		id := c.deposit(euros, "5.00", "EUR").text(t, "id")
		waiting := make(chan answer, 1)
		go func() { waiting <- c.do("GET", "/transaction/"+id+"/status", "", "Prefer", "wait=30") }()
		r.until(func() bool { return r.app.Waiters.Count() == 1 }, "the request waits")
		began, address := time.Now(), r.url+"/healthz"
		r.stop()
		assert.Less(t, time.Since(began), 15*time.Second, "the wait of 30 s must be cut short")
		got := <-waiting
		require.Equal(t, http.StatusOK, got.status, "F120: who waits is answered with the state as it is")
		assert.Equal(t, "pending", got.text(t, "status"))
		response, err := r.http.Get(address)
		if err == nil {
			err = response.Body.Close()
		}
		require.Error(t, err, "nobody listens any more")

		r.start()
		r.complete(r.payment(id))
		c.await(id, "completed")
		assert.Equal(t, "5.00 0.00 5.00", c.balance(euros))
	})
}

// payment is the provider's id of a transaction.
func (r *rig) payment(transaction string) string {
	var id string
	require.NoError(r.t, r.app.DB.Reader().WithContext(r.t.Context()).
		Raw("SELECT payment_id FROM transactions WHERE id = ?", transaction).Row().Scan(&id))
	return id
}

func TestReadinessEndsWithTheFirstStepOfTheStop(t *testing.T) {
	app := startApp(t, nil)
	status, _ := fetch(t, app.PublicURL()+"/readyz")
	require.Equal(t, http.StatusOK, status)
	app.draining.Store(true)
	status, body := fetch(t, app.PublicURL()+"/readyz")
	assert.Equal(t, http.StatusServiceUnavailable, status)
	assert.Contains(t, body, `"name":"serving","status":"failed"`)
	status, _ = fetch(t, app.PublicURL()+"/healthz")
	assert.Equal(t, http.StatusOK, status)
}

func TestRetentionAsksForThirtyDays(t *testing.T) {
	now := time.Date(2026, 3, 31, 12, 0, 0, 0, time.UTC)
	var before, since, origins time.Time
	r := retention{now: func() time.Time { return now }, log: quietLog(), every: time.Hour,
		purge:           func(_ context.Context, at time.Time) (int, error) { before = at; return 2, nil },
		purgeDeliveries: func(_ context.Context, at time.Time) (int, error) { since = at; return 2, nil },
		purgeOrigins:    func(_ context.Context, at time.Time) (int, error) { origins = at; return 2, nil }}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, r.Run(ctx), "a loop that is told to end ends without an error")
	assert.Equal(t, time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), before)
	assert.Equal(t, before, since)
	assert.Equal(t, time.Date(2026, 3, 24, 12, 0, 0, 0, time.UTC), origins)
}
