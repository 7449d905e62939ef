package middleware

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"testing"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/domain/user"
	"florin/webapi/problem"
)

// held is a waiter that says when somebody waits, and lets all go at once.
type held struct{ waiting, released chan struct{} }

func (h held) Wait(context.Context, uuid.UUID, func(context.Context) (bool, error)) (bool, error) {
	h.waiting <- struct{}{}
	<-h.released
	return false, nil
}

func TestS61_WaitingRequestsKeepNobodyOut(t *testing.T) {
	waiter := held{make(chan struct{}, WaitsPerUser+1), make(chan struct{})}
	waits := NewWaits(waiter)
	app := fiber.New(Settings(problem.Handler(slog.New(slog.DiscardHandler))))
	known := verifier{user.Principal{UserID: uuid.New()}}
	app.Use(Identify(known), Authenticate(known), Concurrency(1))
	app.Get("/wait", func(c *fiber.Ctx) error {
		_, err := waits.Wait(c.UserContext(), uuid.Nil, nil)
		return err
	})
	app.Get("/", func(c *fiber.Ctx) error { return nil })
	ask := func(path string) int {
		request := httptest.NewRequest("GET", path, nil)
		request.Header.Set("Authorization", "Bearer good")
		answer, err := app.Test(request, -1)
		if !assert.NoError(t, err) {
			return 0
		}
		_ = answer.Body.Close()
		return answer.StatusCode
	}
	statuses := make(chan int, WaitsPerUser)
	for range WaitsPerUser {
		go func() { statuses <- ask("/wait") }()
		<-waiter.waiting // the only place of the share is free again
	}
	require.Equal(t, 200, ask("/"))
	require.Equal(t, 429, ask("/wait"))
	require.Equal(t, 200, ask("/"), "who was refused gave the place back")
	close(waiter.released)
	for range WaitsPerUser {
		require.Equal(t, 200, <-statuses)
	}
	require.Equal(t, 200, ask("/wait"))
}
