package webapi

import (
	"net/http"

	"github.com/google/uuid"

	"florin/webapi/webhookendpoint"
)

var createEndpoint = Operation{
	ID: "createWebhookEndpoint", Tag: tagEndpoints, Summary: "Take webhooks at a URL",
	Description: "What happens to the caller's transactions from now on is posted there, as signed CloudEvents. The `secret` is shown " +
		"this once. How to verify a webhook, and when one is sent again, is in docs/webhooks.md.",
	Params: keyParam{}, Body: webhookendpoint.CreateRequest{},
	Example:  map[string]any{"url": "https://example.com/webhooks", "events": []string{"deposit.completed", "*.failed"}},
	Answers:  []Answer{{Status: http.StatusCreated, Body: webhookendpoint.EndpointWithSecret{}, Headers: createdHeaders{}}},
	Problems: []int{http.StatusConflict, http.StatusUnprocessableEntity},
}

var listEndpoints = Operation{
	ID: "listWebhookEndpoints", Tag: tagEndpoints, Summary: "List your endpoints",
	Description: "The caller's endpoints, newest first.",
	Params:      pageParams{},
	Answers:     []Answer{{Status: http.StatusOK, Body: webhookendpoint.Endpoints{}}},
	Problems:    []int{http.StatusBadRequest},
}

var getEndpoint = Operation{
	ID: "getWebhookEndpoint", Tag: tagEndpoints, Summary: "Read an endpoint",
	Description: "Without its secret, which is shown when it is made and never again.",
	Params:      idParam{},
	Answers:     []Answer{{Status: http.StatusOK, Body: webhookendpoint.Endpoint{}}},
}

var updateEndpoint = Operation{
	ID: "updateWebhookEndpoint", Tag: tagEndpoints, Summary: "Change, disable or enable an endpoint",
	Description: "What is left out stays as it is. While an endpoint is disabled nothing new is recorded for it; what is pending goes on " +
		"when it is enabled again.",
	Params: idParam{}, Body: webhookendpoint.UpdateRequest{}, Example: map[string]any{"status": "disabled"},
	Answers:  []Answer{{Status: http.StatusOK, Body: webhookendpoint.Endpoint{}}},
	Problems: []int{http.StatusUnprocessableEntity},
}

var deleteEndpoint = Operation{
	ID: "deleteWebhookEndpoint", Tag: tagEndpoints, Summary: "Delete an endpoint",
	Description: "Its secrets are forgotten, and what is pending is not sent.",
	Params:      idParam{},
	Answers:     []Answer{{Status: http.StatusNoContent}},
}

var rotateSecret = Operation{
	ID: "rotateWebhookSecret", Tag: tagEndpoints, Summary: "Give an endpoint a new secret",
	Description: "The new `secret` is shown this once. For `overlap_seconds`, a day unless you say otherwise, each webhook carries a " +
		"signature of the former secret too, so a receiver can take over the new one without missing any.",
	Params: struct {
		idParam
		keyParam
	}{}, Body: webhookendpoint.RotateRequest{}, BodyOptional: true, Example: map[string]any{"overlap_seconds": 3600},
	Answers: []Answer{{Status: http.StatusOK, Body: webhookendpoint.EndpointWithSecret{}, Headers: struct {
		Replayed string `header:"Idempotency-Replayed" enum:"true" description:"On an answer that was given before."`
	}{}}},
	Problems: []int{http.StatusUnprocessableEntity},
}

var listDeliveries = Operation{
	ID: "listWebhookDeliveries", Tag: tagEndpoints, Summary: "See what was sent to an endpoint",
	Description: "Each event with its attempts: request, answer and time. Newest first; kept for 30 days.",
	Params: struct {
		idParam
		pageParams
	}{},
	Answers: []Answer{{Status: http.StatusOK, Body: webhookendpoint.Deliveries{}}},
}

var resendDelivery = Operation{
	ID: "resendWebhookDelivery", Tag: tagEndpoints, Summary: "Send an event again",
	Description: "At once, whatever became of it before, and with the same `webhook-id`.",
	Params: struct {
		idParam
		DeliveryID uuid.UUID `path:"delivery_id" format:"uuid"`
	}{}, Body: webhookendpoint.ResendRequest{}, BodyOptional: true,
	Answers:  []Answer{{Status: http.StatusAccepted, Body: webhookendpoint.Delivery{}}},
	Problems: []int{http.StatusConflict},
}
