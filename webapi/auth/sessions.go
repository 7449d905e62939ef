package auth

import (
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"florin/webapi/decode"
	"florin/webapi/middleware"
)

// Session is an open session of the caller.
type Session struct {
	ID         uuid.UUID `json:"id" required:"true" format:"uuid"`
	CreatedAt  time.Time `json:"created_at" required:"true" format:"date-time" description:"The login."`
	LastUsedAt time.Time `json:"last_used_at" required:"true" format:"date-time" description:"The login or the last refresh."`
	ExpiresAt  time.Time `json:"expires_at" required:"true" format:"date-time" description:"The session ends then, however often it is refreshed."`
	Current    bool      `json:"current" required:"true" description:"The request comes from this one."`
}

// Sessions is the answer of GET /auth/sessions.
type Sessions struct {
	Data []Session `json:"data" required:"true" nullable:"false"`
}

// Sessions serves GET /auth/sessions: 200, the newest first.
func (h *Handlers) Sessions(c *fiber.Ctx) error {
	if err := decode.NoQuery(c); err != nil {
		return err
	}
	caller := middleware.Caller(c)
	open, err := h.service.Sessions(c.UserContext(), caller)
	if err != nil {
		return err
	}
	shown := Sessions{Data: make([]Session, len(open))}
	for i, s := range open {
		shown.Data[i] = Session{ID: s.ID, CreatedAt: s.StartedAt, LastUsedAt: s.UsedAt,
			ExpiresAt: s.EndsAt, Current: s.ID == caller.SessionID}
	}
	return c.JSON(shown)
}

// EndSession serves DELETE /auth/sessions/:id: 204; 404 for one that is another's, unknown or over.
func (h *Handlers) EndSession(c *fiber.Ctx) error {
	if err := decode.NoQuery(c); err != nil {
		return err
	}
	id, err := decode.ID(c, "id")
	if err != nil {
		return err
	}
	err = h.service.EndSession(c.UserContext(), middleware.Caller(c), id, middleware.Origin(c))
	if err != nil {
		return err
	}
	return c.SendStatus(fiber.StatusNoContent)
}

// EndOtherSessions serves DELETE /auth/sessions: 204. The caller's own session goes on: POST
// /auth/logout ends it.
func (h *Handlers) EndOtherSessions(c *fiber.Ctx) error {
	if err := decode.NoQuery(c); err != nil {
		return err
	}
	err := h.service.EndOtherSessions(c.UserContext(), middleware.Caller(c), middleware.Origin(c))
	if err != nil {
		return err
	}
	return c.SendStatus(fiber.StatusNoContent)
}
