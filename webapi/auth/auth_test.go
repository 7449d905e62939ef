package auth

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"florin/domain/errs"
	"florin/domain/user"
	service "florin/service/auth"
	"florin/webapi/middleware"
	"florin/webapi/problem"
)

// fake knows one password and remembers what was ended.
type fake struct {
	principal user.Principal
	ended     []string
}

func (f *fake) Login(_ context.Context, identity, password string, _ user.Origin) (service.Tokens, error) {
	if identity != "ada" || password != "a-long-enough-secret" {
		return service.Tokens{}, errs.New(errs.Unauthenticated, "invalid_credentials", "wrong")
	}
	return service.Tokens{Access: "access", Refresh: "refresh", ExpiresIn: 15 * time.Minute}, nil
}

func (f *fake) Refresh(_ context.Context, refresh string, _ user.Origin) (service.Tokens, error) {
	return service.Tokens{Access: "access2", Refresh: refresh + "2", ExpiresIn: 15 * time.Minute}, nil
}

func (f *fake) Logout(_ context.Context, who user.Principal, _ user.Origin) error {
	f.ended = append(f.ended, who.SessionID.String())
	return nil
}

func (f *fake) LogoutByRefresh(_ context.Context, refresh string, _ user.Origin) error {
	f.ended = append(f.ended, refresh)
	return nil
}

func (f *fake) Sessions(_ context.Context, who user.Principal) ([]user.Session, error) {
	return []user.Session{{ID: who.SessionID}, {ID: uuid.Nil}}, nil
}

func (f *fake) EndSession(_ context.Context, who user.Principal, session uuid.UUID, _ user.Origin) error {
	if session != who.SessionID {
		return errs.Missing("session")
	}
	f.ended = append(f.ended, session.String())
	return nil
}

func (f *fake) EndOtherSessions(_ context.Context, who user.Principal, _ user.Origin) error {
	f.ended = append(f.ended, "all but "+who.SessionID.String())
	return nil
}

func (f *fake) Verify(_ context.Context, token string) (user.Principal, error) {
	if token != "access" {
		return user.Principal{}, errs.New(errs.Unauthenticated, "invalid_token", "bad")
	}
	return f.principal, nil
}

func request(t *testing.T, f *fake, path, token, body string) (int, map[string]any) {
	t.Helper()
	app := fiber.New(middleware.Settings(problem.Handler(slog.New(slog.NewTextHandler(io.Discard, nil)))))
	h := New(f)
	app.Use(middleware.Identify(f))
	app.Post("/auth/login", h.Login)
	app.Post("/auth/refresh", h.Refresh)
	app.Post("/auth/logout", h.Logout)
	r := httptest.NewRequest("POST", path, strings.NewReader(body))
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := app.Test(r)
	require.NoError(t, err)
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	document := map[string]any{}
	if len(raw) > 0 {
		require.NoError(t, json.Unmarshal(raw, &document), string(raw))
	}
	return response.StatusCode, document
}

func TestLoginAndRefresh(t *testing.T) {
	f := &fake{}
	status, body := request(t, f, "/auth/login", "", `{"identity":"ada","password":"a-long-enough-secret"}`)
	require.Equal(t, 200, status)
	require.Equal(t, map[string]any{"access_token": "access", "token_type": "Bearer", "expires_in": 900.0, "refresh_token": "refresh"}, body)
	status, body = request(t, f, "/auth/login", "", `{"identity":"ada","password":"wrong"}`)
	require.Equal(t, 401, status)
	require.Equal(t, "invalid_credentials", body["code"])
	status, body = request(t, f, "/auth/login", "", `{}`)
	require.Equal(t, 422, status)
	require.Len(t, body["errors"], 2)
	status, body = request(t, f, "/auth/refresh", "", `{"refresh_token":"r"}`)
	require.Equal(t, 200, status)
	require.Equal(t, "r2", body["refresh_token"])
	status, _ = request(t, f, "/auth/refresh", "", `{"refresh_token":""}`)
	require.Equal(t, 422, status)
	status, _ = request(t, f, "/auth/login?next=x", "", `{"identity":"ada","password":"a-long-enough-secret"}`)
	require.Equal(t, 400, status)
}

func TestLogout(t *testing.T) {
	f := &fake{principal: user.Principal{UserID: uuid.New(), SessionID: uuid.New()}}
	session := f.principal.SessionID.String()
	for _, c := range []struct {
		token, body string
		status      int
		ended       []string
	}{
		{"access", "", 204, []string{session}},
		{"access", "{}", 204, []string{session}},
		{"access", `{"refresh_token":"r"}`, 204, []string{"r", session}},
		{"", `{"refresh_token":"r"}`, 204, []string{"r"}},
		{"expired", `{"refresh_token":"r"}`, 204, []string{"r"}},
		{"expired", "", 401, nil},
		{"", "", 401, nil},
		{"access", `{"x":1}`, 400, nil},
	} {
		f.ended = nil
		status, _ := request(t, f, "/auth/logout", c.token, c.body)
		require.Equal(t, c.status, status, c)
		require.Equal(t, c.ended, f.ended, c)
	}
}
