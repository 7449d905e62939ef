package main

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestS63_AProfileTakesAMinuteAtMost(t *testing.T) {
	t.Parallel()
	taken := boundedProfiles(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
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
