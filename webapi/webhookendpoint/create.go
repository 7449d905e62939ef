package webhookendpoint

import (
	"github.com/gofiber/fiber/v2"

	"florin/domain/account"
	notificationsvc "florin/service/notification"
	"florin/webapi/decode"
	"florin/webapi/middleware"
	"florin/webapi/wire"
)

// CreateRequest asks for an endpoint.
type CreateRequest struct {
	URL         string   `json:"url" maxLength:"2048" example:"https://example.com/webhooks" description:"https, port 443 or 8443, a public name or address."`
	Events      []string `json:"events,omitempty" maxItems:"64" description:"type.status, with * for every type or status; everything when it is left out."`
	Description string   `json:"description,omitempty" maxLength:"200" example:"Our shop"`
}

// Create makes an endpoint. Its secret is in this answer and never shown again.
func (h *Handlers) Create(c *fiber.Ctx) error {
	if err := decode.NoQuery(c); err != nil {
		return err
	}
	keyText, err := decode.IdempotencyKey(c)
	if err != nil {
		return err
	}
	var body CreateRequest
	if err := decode.Body(c, &body); err != nil {
		return err
	}
	request := notificationsvc.CreateEndpoint{UserID: middleware.Caller(c).UserID, URL: body.URL, Events: body.Events, Description: body.Description}
	if request.Key, err = keyOf(c, keyText, body, fiber.StatusCreated); err != nil {
		return err
	}
	outcome, err := h.webhooks.CreateEndpoint(c.UserContext(), request)
	if err != nil {
		return err
	}
	return wire.SendCreated(c, answerOf(outcome, fiber.StatusCreated), "/webhook-endpoints/", outcome.Replayed)
}

// keyOf is nil for a request without a key.
func keyOf(c *fiber.Ctx, text string, body any, status int) (*notificationsvc.WebhookKey, error) {
	if text == "" {
		return nil, nil
	}
	fingerprint, err := wire.Fingerprint(c, body)
	if err != nil {
		return nil, err
	}
	return &notificationsvc.WebhookKey{Value: text, Fingerprint: fingerprint,
		Render: func(made notificationsvc.NewSecret) account.Answer { return render(made, status) }}, nil
}

// render makes the live answer and the one that is kept for repeats.
func render(made notificationsvc.NewSecret, status int) account.Answer {
	return wire.NewAnswer(status, EndpointWithSecret{Endpoint: endpointOf(made.Endpoint), Secret: made.Secret.Text(), OldSecretsExpires: optionalTime(made.OldUntil)})
}

func answerOf(o notificationsvc.SecretOutcome, status int) account.Answer {
	switch {
	case o.Answer != nil:
		return *o.Answer
	case o.Made != nil:
		return render(*o.Made, status)
	default:
		return wire.NewAnswer(status, EndpointWithSecret{Endpoint: endpointOf(o.Endpoint)})
	}
}
