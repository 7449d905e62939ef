package user

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
	service "florin/service/user"
	"florin/webapi/middleware"
	"florin/webapi/problem"
)

// fake answers with one user and remembers what it was asked.
type fake struct {
	ada          user.User
	registration service.Registration
	update       service.Update
	password     string
	caller       user.Principal
	from         user.Origin
	err          error
}

func (f *fake) Register(_ context.Context, r service.Registration, from user.Origin) (user.User, error) {
	f.registration, f.from = r, from
	return f.ada, f.err
}

func (f *fake) Get(_ context.Context, caller user.Principal, _ uuid.UUID) (user.User, error) {
	f.caller = caller
	return f.ada, f.err
}

func (f *fake) Update(_ context.Context, _ user.Principal, _ uuid.UUID, up service.Update, _ user.Origin) (user.User, error) {
	f.update = up
	return f.ada, f.err
}

func (f *fake) Delete(_ context.Context, _ user.Principal, _ uuid.UUID, password string, _ user.Origin) error {
	f.password = password
	return f.err
}

func (f *fake) Inspect(context.Context, service.Administration) (user.User, error) {
	return f.ada, f.err
}

func (f *fake) Erase(context.Context, service.Administration, string) error { return f.err }

func (f *fake) Verify(context.Context, string) (user.Principal, error) {
	return user.Principal{UserID: f.ada.ID(), Role: user.RoleUser}, nil
}

func newApp(t *testing.T) (*fiber.App, *fake) {
	t.Helper()
	ada, err := user.New(user.Fresh{ID: uuid.Must(uuid.NewV7()), Username: "ada", Email: "ada@example.com", PasswordHash: "$argon2id$canary",
		Role: user.RoleUser, At: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)})
	require.NoError(t, err)
	f := &fake{ada: ada}
	app := fiber.New(middleware.Settings(problem.Handler(slog.New(slog.NewTextHandler(io.Discard, nil)))))
	h, signedIn := New(f, nil), middleware.Authenticate(f)
	app.Post("/user", h.Create)
	app.Get("/user/:id", signedIn, h.Get)
	app.Put("/user/:id", signedIn, h.Update)
	app.Delete("/user/:id", signedIn, h.Delete)
	return app, f
}

func request(t *testing.T, app *fiber.App, method, path, body string) (int, map[string]any, string) {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer x")
	response, err := app.Test(r)
	require.NoError(t, err)
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	document := map[string]any{}
	if len(raw) > 0 {
		require.NoError(t, json.Unmarshal(raw, &document), string(raw))
	}
	require.NotContains(t, string(raw), "canary")
	return response.StatusCode, document, response.Header.Get("Location")
}

func TestCreate(t *testing.T) {
	app, f := newApp(t)
	status, body, location := request(t, app, "POST", "/user", `{"username":"ada","email":"ada@example.com","password":"a-long-enough-secret"}`)
	require.Equal(t, 201, status)
	require.Equal(t, map[string]any{"id": f.ada.ID().String(), "username": "ada", "email": "ada@example.com",
		"email_notifications": true, "created_at": "2026-03-01T12:00:00Z"}, body, "S21: nothing else shows")
	require.Equal(t, "/user/"+f.ada.ID().String(), location)
	require.Equal(t, service.Registration{Username: "ada", Email: "ada@example.com", Password: "a-long-enough-secret"}, f.registration)
	require.NotEmpty(t, f.from.Address)
	f.err = errs.New(errs.Conflict, "username_taken", "taken")
	status, body, _ = request(t, app, "POST", "/user", `{}`)
	require.Equal(t, 409, status)
	require.Equal(t, "username_taken", body["code"])
}

func TestS20_ExtraFieldsAreRefused(t *testing.T) {
	app, f := newApp(t)
	path := "/user/" + f.ada.ID().String()
	for _, field := range []string{"role", "id", "token_generation", "created_at", "password_hash", "is_admin"} {
		for _, route := range [][2]string{{"POST", "/user"}, {"PUT", path}, {"DELETE", path}} {
			status, body, _ := request(t, app, route[0], route[1], `{"password":"a-long-enough-secret","`+field+`":"admin"}`)
			require.Equal(t, 400, status)
			require.Equal(t, "unknown_field", body["code"])
		}
	}
	require.Empty(t, f.registration)
	require.Empty(t, f.update)
	require.Empty(t, f.password)
}

func TestGetUpdateDelete(t *testing.T) {
	app, f := newApp(t)
	path := "/user/" + f.ada.ID().String()
	status, body, _ := request(t, app, "GET", path, "")
	require.Equal(t, 200, status)
	require.Equal(t, "ada", body["username"])
	require.Equal(t, f.ada.ID(), f.caller.UserID)
	status, _, _ = request(t, app, "PUT", path, `{"email":"new@example.com"}`)
	require.Equal(t, 200, status)
	require.Equal(t, "new@example.com", *f.update.Email)
	require.Nil(t, f.update.Username)
	status, body, _ = request(t, app, "PUT", path, `{}`)
	require.Equal(t, 422, status)
	require.Equal(t, "nothing_to_change", body["code"])
	status, _, _ = request(t, app, "DELETE", path, `{"password":"a-long-enough-secret"}`)
	require.Equal(t, 204, status)
	require.Equal(t, "a-long-enough-secret", f.password)
	status, _, _ = request(t, app, "DELETE", path, `{"password":""}`)
	require.Equal(t, 422, status)
	for _, bad := range []string{"/user/1", "/user/" + f.ada.ID().String() + "?x=1"} {
		status, _, _ = request(t, app, "GET", bad, "")
		require.Equal(t, 400, status, bad)
	}
	f.err = errs.Missing("user")
	status, _, _ = request(t, app, "GET", path, "")
	require.Equal(t, 404, status)
}
