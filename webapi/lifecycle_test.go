package webapi

import (
	"context"
	"net"
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// TestServeAfterShutdown is a server that is told to stop before it has begun: it must not serve for ever.
func TestServeAfterShutdown(t *testing.T) {
	s := newTestServer(t)
	require.NoError(t, s.Shutdown(context.Background()))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, s.ServePublic(listener))
}

// TestS31_MetricsAndProfilesAreOnTheAdminSideAlone asks both sides for both.
func TestS31_MetricsAndProfilesAreOnTheAdminSideAlone(t *testing.T) {
	ok := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(r.URL.Path)) })
	s := newTestServer(t, func(d *Deps) { d.Metrics, d.Profiles = ok, ok })
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- s.ServeAdmin(listener) }()
	for _, path := range []string{"/healthz", "/metrics", "/debug/pprof/", "/debug/pprof/heap"} {
		response, err := client.Get("http://" + listener.Addr().String() + path)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, 200, response.StatusCode, path)
		if path != "/healthz" {
			require.Equal(t, 404, s.do(t, uuid.Nil, "GET", path, "").status, path)
		}
	}
	response, err := client.Get("http://" + listener.Addr().String() + "/accounts")
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, 401, response.StatusCode, "what is not open by name is for administrators")
	require.NoError(t, s.Shutdown(context.Background()))
	require.NoError(t, <-served)
}

// TestS63_ProfilesAreForAdministratorsWhereTheyAreGuarded is production's way.
func TestS63_ProfilesAreForAdministratorsWhereTheyAreGuarded(t *testing.T) {
	ok := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	s := newTestServer(t, func(d *Deps) { d.Profiles, d.GuardProfiles = ok, true })
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s.base = "http://" + listener.Addr().String()
	served := make(chan error, 1)
	go func() { served <- s.ServeAdmin(listener) }()
	for _, path := range []string{"/debug/pprof", "/debug/pprof/heap"} {
		require.Equal(t, 401, s.undescribed(t, uuid.Nil, "GET", path).status, path)
		require.Equal(t, 403, s.undescribed(t, ada, "GET", path).status, path)
		require.Equal(t, 200, s.undescribed(t, boss, "GET", path).status, path)
	}
	require.NoError(t, s.Shutdown(context.Background()))
	require.NoError(t, <-served)
}
