// Package user is the HTTP side of registration and of what people may do with their own data.
package user

import (
	"context"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"florin/domain/user"
	service "florin/service/user"
	"florin/webapi/middleware"
)

// Service is what the handlers call; *service/user.Service is one.
type Service interface {
	Register(ctx context.Context, r service.Registration, from user.Origin) (user.User, error)
	Get(ctx context.Context, caller user.Principal, id uuid.UUID) (user.User, error)
	Update(ctx context.Context, caller user.Principal, id uuid.UUID, up service.Update, from user.Origin) (user.User, error)
	Delete(ctx context.Context, caller user.Principal, id uuid.UUID, password string, from user.Origin) error
	Inspect(ctx context.Context, a service.Administration) (user.User, error)
	Erase(ctx context.Context, a service.Administration, password string) error
}

// Handlers serves /user.
type Handlers struct {
	service       Service
	registrations *middleware.Limiter
}

// New returns the handlers over a service. registrations bounds them by address; nil for no bound.
func New(s Service, registrations *middleware.Limiter) *Handlers {
	return &Handlers{service: s, registrations: registrations}
}

// Response is a user as the API shows it.
type Response struct {
	ID                 uuid.UUID `json:"id" required:"true" format:"uuid" description:"The user's id"`
	Username           string    `json:"username" required:"true" example:"ada"`
	Email              string    `json:"email" required:"true" format:"email" example:"ada@example.com"`
	EmailNotifications bool      `json:"email_notifications" required:"true" description:"Whether the user is told of payments by e-mail"`
	CreatedAt          time.Time `json:"created_at" required:"true" format:"date-time" description:"UTC"`
}

func toResponse(u user.User) Response {
	return Response{ID: u.ID(), Username: u.Username(), Email: u.Email(), EmailNotifications: u.EmailNotifications(), CreatedAt: u.CreatedAt()}
}

// PathID is the path parameter of the routes about one user.
type PathID struct {
	ID string `path:"id" required:"true" format:"uuid" description:"The user's id"`
}

func send(c *fiber.Ctx, status int, u user.User) error { return c.Status(status).JSON(toResponse(u)) }
