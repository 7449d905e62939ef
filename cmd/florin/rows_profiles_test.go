package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestS63_AProfileTakesAMinuteAtMost(t *testing.T) {
	t.Parallel()
	taken := boundedProfiles(t.Context(), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
	for seconds, status := range map[string]int{"": 200, "1": 200, "60": 200, "0.5": 200,
		"61": 400, "100000": 400, "-1": 400, "0": 400, "NaN": 400, "Inf": 400, "x": 400} {
		for _, path := range []string{"profile", "trace", "heap"} {
			answer := httptest.NewRecorder()
			target := "/debug/pprof/" + path + "?" + url.Values{"seconds": {seconds}}.Encode()
			taken.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, target, strings.NewReader("")))
			assert.Equal(t, status, answer.Code, target)
		}
	}
}

// TestS63_AProfileEndsWithTheProgram asks for a minute of everything, ends, and is answered at once.
func TestS63_AProfileEndsWithTheProgram(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"profile", "trace", "mutex"} {
		ending, end := context.WithCancel(t.Context())
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			profiles(ending).ServeHTTP(httptest.NewRecorder(),
				httptest.NewRequest(http.MethodGet, "/debug/pprof/"+path+"?seconds=60", nil))
		}()
		select {
		case <-answered:
			t.Errorf("%s has not waited", path)
		case <-time.After(20 * time.Millisecond):
		}
		end()
		select {
		case <-answered:
		case <-time.After(20 * time.Second):
			t.Fatalf("%s goes on behind the end", path)
		}
	}
}
