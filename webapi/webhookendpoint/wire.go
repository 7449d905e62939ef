package webhookendpoint

import (
	"time"

	"github.com/google/uuid"

	"florin/domain/notification"
)

// Endpoint is the JSON of an endpoint.
type Endpoint struct {
	ID             uuid.UUID `json:"id" format:"uuid"`
	URL            string    `json:"url" example:"https://example.com/webhooks"`
	Events         []string  `json:"events" nullable:"false" example:"[\"deposit.completed\"]" description:"What is sent: type.status, with * for every type or status."`
	Description    string    `json:"description" example:"Our shop"`
	Status         string    `json:"status" enum:"enabled,disabled"`
	DisabledReason *string   `json:"disabled_reason" example:"gone" description:"owner, or gone: it answered 410. Null while it is enabled."`
	CreatedAt      time.Time `json:"created_at"`
	UpdatedAt      time.Time `json:"updated_at"`
}

// EndpointWithSecret is an endpoint with a secret that was made just now.
type EndpointWithSecret struct {
	Endpoint
	Secret            string     `json:"secret,omitempty" pattern:"^whsec_" example:"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" description:"What the webhooks are signed with. It is shown this once; missing in a repeat whose first answer is not kept any more."`
	OldSecretsExpires *time.Time `json:"old_secrets_expire_at,omitempty" description:"Until then the former secrets sign too."`
}

// Endpoints is a page of endpoints, newest first.
type Endpoints struct {
	Data       []Endpoint `json:"data" nullable:"false"`
	NextCursor *string    `json:"next_cursor" description:"Opaque; null on the last page."`
}

// Delivery is the JSON of an event on its way to an endpoint.
type Delivery struct {
	ID            uuid.UUID  `json:"id" format:"uuid"`
	WebhookID     string     `json:"webhook_id" description:"The header webhook-id: the same with every attempt."`
	EventID       uuid.UUID  `json:"event_id" format:"uuid"`
	TransactionID uuid.UUID  `json:"transaction_id" format:"uuid"`
	Event         string     `json:"event" example:"deposit.completed"`
	Status        string     `json:"status" enum:"pending,delivered,dead,canceled"`
	Body          string     `json:"body" description:"The request's body, byte for byte."`
	CreatedAt     time.Time  `json:"created_at"`
	NextAttemptAt *time.Time `json:"next_attempt_at" description:"Null unless it is pending."`
	FinishedAt    *time.Time `json:"finished_at" description:"Null while it is pending."`
	Attempts      []Attempt  `json:"attempts" nullable:"false" description:"Oldest first."`
}

// Attempt is one request and its answer.
type Attempt struct {
	Number         int               `json:"number" minimum:"1"`
	URL            string            `json:"url"`
	RequestHeaders map[string]string `json:"request_headers" nullable:"false"`
	StartedAt      time.Time         `json:"started_at"`
	DurationMS     int64             `json:"duration_ms" minimum:"0"`
	Answer         *Answer           `json:"answer" description:"Null where none came."`
	Error          *string           `json:"error" example:"answered 500" description:"Why it was no success; null for one."`
}

// Answer is what the endpoint answered. Of its body nothing is kept.
type Answer struct {
	Status      int    `json:"status" example:"200"`
	ContentType string `json:"content_type" example:"application/json"`
	Bytes       int64  `json:"bytes" minimum:"0" description:"Of the body, as far as it was read: 64 KiB at the most."`
}

// Deliveries is a page of deliveries, newest first.
type Deliveries struct {
	Data       []Delivery `json:"data" nullable:"false"`
	NextCursor *string    `json:"next_cursor" description:"Opaque; null on the last page."`
}

func endpointOf(e notification.Endpoint) Endpoint {
	w := Endpoint{ID: e.ID(), URL: e.URL().String(), Events: e.Events(), Description: e.Description(), Status: string(e.Status()),
		CreatedAt: e.CreatedAt().UTC(), UpdatedAt: e.UpdatedAt().UTC()}
	if reason := string(e.Reason()); reason != "" {
		w.DisabledReason = &reason
	}
	return w
}

func deliveryOf(d notification.Delivery) Delivery {
	w := Delivery{ID: d.ID, WebhookID: d.WebhookID(), EventID: d.EventID, TransactionID: d.TransactionID, Event: d.Event,
		Status: string(d.Status), Body: string(d.Body), CreatedAt: d.CreatedAt.UTC(), NextAttemptAt: optionalTime(d.NextAttemptAt),
		FinishedAt: optionalTime(d.FinishedAt), Attempts: make([]Attempt, 0, len(d.Attempts))}
	for _, a := range d.Attempts {
		w.Attempts = append(w.Attempts, attemptOf(a))
	}
	return w
}

func attemptOf(a notification.Attempt) Attempt {
	w := Attempt{Number: a.Number, URL: a.URL, RequestHeaders: a.Header, StartedAt: a.StartedAt.UTC(), DurationMS: a.Took.Milliseconds()}
	if a.Answer != nil {
		w.Answer = &Answer{Status: a.Answer.Status, ContentType: a.Answer.ContentType, Bytes: a.Answer.Bytes}
	}
	if a.Failure != "" {
		w.Error = &a.Failure
	}
	return w
}

func optionalTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	utc := t.UTC()
	return &utc
}
