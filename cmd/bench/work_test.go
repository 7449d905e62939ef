package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPairsDifferAndFollowTheirSpread(t *testing.T) {
	const accounts, draws = 100, 20_000
	for _, s := range []spread{uniform, zipf, hot} {
		pick := newPicker(s, accounts, 1)
		touched, out := make([]int, accounts), 0
		for range draws {
			from, to := pick.pair()
			require.NotEqual(t, from, to)
			touched[from]++
			touched[to]++
			if from == 0 {
				out++
			}
		}
		switch s {
		case uniform:
			for _, n := range touched {
				assert.InDelta(t, 2*draws/accounts, n, 0.25*2*draws/accounts)
			}
		case zipf:
			assert.Greater(t, touched[0], touched[1])
			assert.Greater(t, touched[0], 10*touched[50])
		case hot:
			assert.Equal(t, draws, touched[0], "every transfer touches it")
			assert.InDelta(t, draws/2, out, 0.05*draws, "half of them leave it, so that it keeps its funds")
		}
	}
	assert.Zero(t, newPicker(hot, accounts, 1).one())
}

// server answers as a server does that holds what balance says, and counts what it is asked.
func apiOf(t *testing.T, serve http.HandlerFunc) string {
	s := httptest.NewServer(serve)
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

func TestConnKeepsItsConnectionAndSendsWhatItIsGiven(t *testing.T) {
	seen := map[string]bool{}
	address := apiOf(t, func(w http.ResponseWriter, r *http.Request) {
		seen[r.RemoteAddr] = true
		body, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		fmt.Fprintf(w, "%s %s %s %s %s", r.Method, r.URL.Path, r.Header.Get("Authorization"), r.Header.Get("Content-Type"), body)
	})
	c := &conn{address: address}
	defer c.close()
	for range 3 {
		status, answer, err := c.call(t.Context(), "POST", "/account/7/transfer", `{"a":1}`, header{"Authorization", "Bearer t"})
		require.NoError(t, err)
		assert.Equal(t, 200, status)
		assert.Equal(t, `POST /account/7/transfer Bearer t application/json {"a":1}`, string(answer))
	}
	_, answer, err := c.call(t.Context(), "GET", "/readyz", "")
	require.NoError(t, err)
	assert.Equal(t, "GET /readyz   ", string(answer))
	assert.Len(t, seen, 1)
}

func TestConnDialsAgainAfterAFailureAndRepeatsNothing(t *testing.T) {
	var calls atomic.Int64
	address := apiOf(t, func(w http.ResponseWriter, _ *http.Request) {
		if calls.Add(1) == 1 {
			panic(http.ErrAbortHandler)
		}
	})
	c := &conn{address: address}
	defer c.close()
	_, _, err := c.call(t.Context(), "POST", "/", "{}")
	assert.Equal(t, "network", failureOf(0, err, 200))
	status, _, err := c.call(t.Context(), "POST", "/", "{}")
	assert.Empty(t, failureOf(status, err, 200))
	assert.EqualValues(t, 2, calls.Load())
	assert.Equal(t, "503", failureOf(503, nil, 200, 202))
}

// holding is customers of a server on which so many minor units are posted, as two users see them.
func holding(t *testing.T, minor *atomic.Int64) *customers {
	address := apiOf(t, func(w http.ResponseWriter, r *http.Request) {
		posted := int64(5)
		if r.Header.Get("Authorization") == "Bearer second" {
			posted = minor.Load() - 5
		}
		fmt.Fprintf(w, `{"totals":[{"currency":"EUR","posted":"%d.%02d"}]}`, posted/100, posted%100)
	})
	c := &customers{users: []*customer{{access: "first", api: &conn{address: address}}, {access: "second", api: &conn{address: address}}}}
	t.Cleanup(c.close)
	return c
}

func TestCheckFindsACentThatATransferLostOrMade(t *testing.T) {
	var minor atomic.Int64
	c := holding(t, &minor)
	for after, sound := range map[int64]bool{100_000: true, 99_999: false, 100_001: false} {
		minor.Store(after)
		r := &result{cell: cell{Work: workTransfer}}
		c.check(t.Context(), r, 100_000, 0)
		assert.Equal(t, sound, r.Fault == "", "%d: %s", after, r.Fault)
	}
}

func TestCheckComparesWhatIsCreditedWithWhatWasAccepted(t *testing.T) {
	var minor atomic.Int64
	c := holding(t, &minor)
	for after, credited := range map[int64]float64{1000: 0, 1200: 0.5, 1400: 1, 1500: 1.25} {
		minor.Store(after)
		r := &result{cell: cell{Work: workDeposit}}
		c.check(t.Context(), r, 1000, 4)
		require.NotNil(t, r.Credited)
		assert.InDelta(t, credited, *r.Credited, 1e-9)
		assert.Equal(t, credited == 1, r.Fault == "", r.Fault)
	}
	r := &result{cell: cell{Work: workDeposit}}
	c.check(t.Context(), r, 1000, 0)
	assert.Equal(t, "no deposit was accepted", r.Fault)
}

func TestCheckWaitsForWhatIsCreditedLater(t *testing.T) {
	var minor atomic.Int64
	minor.Store(1000)
	c := holding(t, &minor)
	c.settle = time.Minute
	time.AfterFunc(100*time.Millisecond, func() { minor.Store(1100) })
	r := &result{cell: cell{Work: workDeposit}}
	c.check(t.Context(), r, 1000, 1)
	assert.Empty(t, r.Fault)
}

// A deposit counts once its webhook was taken, however often that had to be sent.
func TestADepositIsTheWebhookTooAndIsSentAgain(t *testing.T) {
	var webhooks, deposits atomic.Int64
	ids := map[string]bool{}
	address := apiOf(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/webhook/mock" {
			ids[r.Header.Get("webhook-id")] = true
			if webhooks.Add(1)%3 != 0 {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			return
		}
		ids[r.Header.Get("Idempotency-Key")] = true
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprintf(w, `{"id":"0000-%d"}`, deposits.Add(1))
	})
	b, err := openBank()
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, b.close()) })
	c := &customers{keys: newKeys(), accounts: []accountOf{{"a", &customer{}}, {"b", &customer{}}}}
	connection := &conn{address: address}
	defer connection.close()
	var count accepted
	work := c.deposits(connection, newPicker(uniform, 2, 1), b, &count)
	for range 2 {
		assert.Empty(t, work(t.Context()))
	}
	assert.EqualValues(t, 2, count.deposits.Load())
	assert.EqualValues(t, 6, webhooks.Load())
	assert.Len(t, ids, 4, "a fresh key and one event for each")

	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	assert.Equal(t, "webhook_503", work(canceled), "what the run's end cuts off is no success")
	assert.EqualValues(t, 2, count.deposits.Load())
}
