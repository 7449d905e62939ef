package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/domain/account"
	"florin/infra/database"
	"florin/pkg/eventbus"
)

// readiness is what /readyz says of one check.
func (r *rig) readiness(check string) (status int, result string) {
	response, body := r.raw("GET", "/readyz", nil, nil)
	var answer struct {
		Checks []struct{ Name, Status string }
	}
	require.NoError(r.t, json.Unmarshal(body, &answer))
	for _, c := range answer.Checks {
		if c.Name == check {
			result = c.Status
		}
	}
	return response.StatusCode, result
}

// TestF109_AbsentBrokersHinderNobody starts the program with three brokers that are not there, pays, starts them, and reads
// what they got.
func TestF109_AbsentBrokersHinderNobody(t *testing.T) {
	ports := map[string]int{}
	var urls []string
	for scheme := range brokerRuns {
		ports[scheme] = freePort(t)
		urls = append(urls, fmt.Sprintf("%s://127.0.0.1:%d/florin.events", scheme, ports[scheme]))
	}
	brokers, err := eventbus.ParseBrokers(strings.Join(urls, ","))
	require.NoError(t, err)
	r := newRig(t, database.Postgres, func(c *Config, _ *Options) { c.EventBus = brokers })
	u := r.user()
	deposited, _ := u.paid(u.open("EUR"), "10.00", "EUR")
	for _, b := range brokers {
		status, result := r.readiness(b.SubscriberName())
		assert.Equal(t, 200, status)
		assert.Equal(t, "note", result, b.SubscriberName())
	}

	head, err := r.app.log.Head(t.Context())
	require.NoError(t, err)
	require.Positive(t, head)
	for scheme, run := range brokerRuns {
		defer run(t, ports[scheme])()
	}
	r.until(func() bool {
		lags, err := r.app.log.Lags(t.Context())
		require.NoError(t, err)
		for _, lag := range lags {
			if lag.Events > 0 {
				return false
			}
		}
		return true
	}, "the backlogs drain")
	for _, b := range brokers {
		assert.Equal(t, []int{1, 2, 3}, r.heard(b, deposited))
		_, result := r.readiness(b.SubscriberName())
		assert.Equal(t, "ok", result, b.SubscriberName())
	}
}

// heard is the numbers of the transaction's events that a broker has.
func (r *rig) heard(b eventbus.Broker, transaction string) []int {
	bus, err := openBus(b, eventbus.Options{})
	require.NoError(r.t, err)
	defer bus.Close()
	ctx, cancel := context.WithTimeout(r.t.Context(), rigPatience)
	defer cancel()
	var seqs []int
	err = bus.(eventbus.EventBus).SubscribePaymentEvents(ctx, "heard", func(_ context.Context, e account.PaymentEvent) error {
		if e.TransactionID == transaction {
			if seqs = append(seqs, e.Seq); e.Status == account.PaymentStatusCompleted {
				cancel()
			}
		}
		return nil
	})
	require.NoError(r.t, err)
	return seqs
}

// TestF110_ReplayRefillsABroker publishes a range, and one transaction, to a broker that has nothing.
func TestF110_ReplayRefillsABroker(t *testing.T) {
	r := newRig(t, database.SQLite)
	u := r.user()
	first, _ := u.paid(u.open("EUR"), "10.00", "EUR")
	second, _ := u.paid(u.open("EUR"), "20.00", "EUR")
	r.quiet()
	r.until(func() bool {
		head, err := r.app.log.Head(t.Context())
		require.NoError(t, err)
		return head == 6
	}, "the events have positions")
	port := freePort(t)
	url := fmt.Sprintf("redis://127.0.0.1:%d/florin", port)
	defer runRedis(t, port)()
	replay := func(args ...string) replayed {
		var out, errs bytes.Buffer
		p := &program{environ: map[string]string{"DATABASE_URL": string(r.config.DatabaseURL), "EVENT_BUS_URL": url}, stdout: &out, stderr: &errs}
		require.Zero(t, p.run(t.Context(), append([]string{"events", "replay", "--json"}, args...)), errs.String())
		var done replayed
		require.NoError(t, json.Unmarshal(out.Bytes(), &done))
		return done
	}
	assert.Equal(t, replayed{Subscriber: "redis:florin", Events: 3, Position: 6}, replay("--transaction", second))
	brokers, err := eventbus.ParseBrokers(url)
	require.NoError(t, err)
	assert.Equal(t, []int{1, 2, 3}, r.heard(brokers[0], second))
	assert.Equal(t, replayed{Subscriber: "redis:florin", Events: 6, Position: 6}, replay("--from", "1", "--subscriber", "redis:florin"))
	assert.Equal(t, []int{1, 2, 3}, r.heard(brokers[0], first))
	assert.Equal(t, replayed{Subscriber: "redis:florin", Events: 2, Position: 4}, replay("--from", "3", "--to", "4"))
}

func TestReplayRefusesWhatItCannotDo(t *testing.T) {
	for _, c := range []struct {
		url, want string
		args      []string
		code      int
	}{
		{"", "names no broker", []string{"--from", "1"}, 1},
		{"redis://127.0.0.1:1/one,redis://127.0.0.1:1/two", "--subscriber must be one of", []string{"--from", "1"}, 1},
		{"redis://127.0.0.1:1/one", "at least one of the flags", nil, 2},
		{"redis://127.0.0.1:1/one", "not an id", []string{"--transaction", "x"}, 1},
		{"redis://127.0.0.1:1/one", "must be positions", []string{"--from", "3", "--to", "2"}, 1},
	} {
		var out, errs bytes.Buffer
		p := &program{environ: map[string]string{"EVENT_BUS_URL": c.url, "DATA_DIR": t.TempDir()}, stdout: &out, stderr: &errs}
		assert.Equal(t, c.code, p.run(t.Context(), append([]string{"events", "replay"}, c.args...)), c.args)
		assert.Contains(t, errs.String(), c.want)
	}
}

// TestHouse_TestBrokersStayInTests: servers in the process are for tests alone.
func TestHouse_TestBrokersStayInTests(t *testing.T) {
	command := exec.CommandContext(t.Context(), "go", "list", "-deps", "florin/cmd/florin")
	command.Stderr = os.Stderr
	output, err := command.Output()
	require.NoError(t, err)
	for _, server := range []string{"nats-server", "miniredis", "kfake", "gopher-lua"} {
		assert.NotContains(t, string(output), server)
	}
}
