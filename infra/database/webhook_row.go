package database

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"florin/domain/notification"
)

// endpointRow is a row of webhook_endpoints.
type endpointRow struct {
	ID             uuid.UUID `gorm:"column:id;primaryKey"`
	UserID         uuid.UUID `gorm:"column:user_id"`
	URL            string    `gorm:"column:url"`
	Events         string
	Description    string
	Status         string
	DisabledReason string `gorm:"column:disabled_reason"`
	Failures       int
	ResumeAt       moment `gorm:"column:resume_at"`
	Tries          int
	Fence          int64
	NextAttemptAt  moment `gorm:"column:next_attempt_at"`
	Created        moment `gorm:"column:created_at"`
	Updated        moment `gorm:"column:updated_at"`
}

func (endpointRow) TableName() string { return "webhook_endpoints" }

func endpointToRow(e notification.Endpoint) (endpointRow, error) {
	events, err := json.Marshal(e.Events())
	s := e.State()
	return endpointRow{ID: s.ID, UserID: s.UserID, URL: s.URL.String(), Events: string(events), Description: s.Description,
		Status: string(s.Status), DisabledReason: string(s.Reason), Created: momentOf(s.CreatedAt), Updated: momentOf(s.UpdatedAt)}, err
}

func (r endpointRow) toEndpoint() (notification.Endpoint, error) {
	var events []string
	if err := json.Unmarshal([]byte(r.Events), &events); err != nil {
		return notification.Endpoint{}, fmt.Errorf("endpoint %s: events: %w", r.ID, err)
	}
	filters, err := notification.LoadFilters(events)
	if err != nil {
		return notification.Endpoint{}, fmt.Errorf("endpoint %s: %w", r.ID, err)
	}
	return notification.LoadEndpoint(notification.EndpointState{ID: r.ID, UserID: r.UserID, URL: notification.LoadURL(r.URL), Filters: filters,
		Description: r.Description, Status: notification.EndpointStatus(r.Status), Reason: notification.DisabledReason(r.DisabledReason),
		CreatedAt: r.Created.at, UpdatedAt: r.Updated.at}), nil
}

// secretRow is a row of webhook_secrets.
type secretRow struct {
	ID         uuid.UUID `gorm:"column:id;primaryKey"`
	EndpointID uuid.UUID `gorm:"column:endpoint_id"`
	Sealed     string
	Created    moment `gorm:"column:created_at"`
	Expires    moment `gorm:"column:expires_at"`
}

func (secretRow) TableName() string { return "webhook_secrets" }

func secretToRow(s notification.SealedSecret) secretRow {
	return secretRow{ID: s.ID, EndpointID: s.EndpointID, Sealed: s.Sealed, Created: momentOf(s.CreatedAt), Expires: momentOf(s.ExpiresAt)}
}

func (r secretRow) toSecret() notification.SealedSecret {
	return notification.SealedSecret{ID: r.ID, EndpointID: r.EndpointID, Sealed: r.Sealed, CreatedAt: r.Created.at, ExpiresAt: r.Expires.at}
}

// deliveryRow is a row of webhook_deliveries.
type deliveryRow struct {
	ID            uuid.UUID `gorm:"column:id;primaryKey"`
	EndpointID    uuid.UUID `gorm:"column:endpoint_id"`
	EventID       uuid.UUID `gorm:"column:event_id"`
	TransactionID uuid.UUID `gorm:"column:transaction_id"`
	Event         string
	Body          string
	TraceParent   string `gorm:"column:trace_parent"`
	Status        string
	Since         moment
	Tries         int
	Attempted     int
	NextAttemptAt moment `gorm:"column:next_attempt_at"`
	Created       moment `gorm:"column:created_at"`
	Finished      moment `gorm:"column:finished_at"`
}

func (deliveryRow) TableName() string { return "webhook_deliveries" }

func deliveryToRow(d notification.Delivery) deliveryRow {
	return deliveryRow{ID: d.ID, EndpointID: d.EndpointID, EventID: d.EventID, TransactionID: d.TransactionID, Event: d.Event,
		Body: string(d.Body), TraceParent: d.TraceParent, Status: string(d.Status), Since: momentOf(d.Since), Tries: d.Tries,
		Attempted: d.Attempted, NextAttemptAt: momentOf(d.NextAttemptAt), Created: momentOf(d.CreatedAt), Finished: momentOf(d.FinishedAt)}
}

func (r deliveryRow) toDelivery() notification.Delivery {
	return notification.Delivery{ID: r.ID, EndpointID: r.EndpointID, EventID: r.EventID, TransactionID: r.TransactionID, Event: r.Event,
		Body: []byte(r.Body), TraceParent: r.TraceParent, Status: notification.DeliveryStatus(r.Status), Since: r.Since.at, Tries: r.Tries,
		Attempted: r.Attempted, NextAttemptAt: r.NextAttemptAt.at, CreatedAt: r.Created.at, FinishedAt: r.Finished.at}
}

// attemptRow is a row of webhook_attempts.
type attemptRow struct {
	DeliveryID   uuid.UUID `gorm:"column:delivery_id;primaryKey"`
	Number       int       `gorm:"primaryKey;autoIncrement:false"`
	URL          string    `gorm:"column:url"`
	Header       string
	Started      moment    `gorm:"column:started_at"`
	TookUS       int64     `gorm:"column:took_us"`
	AnswerStatus nullCount `gorm:"column:answer_status"`
	ContentType  string    `gorm:"column:content_type"`
	AnswerBytes  int64     `gorm:"column:answer_bytes"`
	Failure      string
}

func (attemptRow) TableName() string { return "webhook_attempts" }

func attemptToRow(deliveryID uuid.UUID, a notification.Attempt) (attemptRow, error) {
	header, err := json.Marshal(a.Header)
	row := attemptRow{DeliveryID: deliveryID, Number: a.Number, URL: a.URL, Header: string(header), Started: momentOf(a.StartedAt),
		TookUS: max(0, a.Took.Microseconds()), Failure: a.Failure}
	if a.Answer != nil {
		row.AnswerStatus, row.ContentType, row.AnswerBytes = nullCount(a.Answer.Status), a.Answer.ContentType, a.Answer.Bytes
	}
	return row, err
}

func (r attemptRow) toAttempt() (notification.Attempt, error) {
	a := notification.Attempt{Number: r.Number, URL: r.URL, StartedAt: r.Started.at, Took: time.Duration(r.TookUS) * time.Microsecond, Failure: r.Failure}
	if r.AnswerStatus != 0 {
		a.Answer = &notification.Answer{Status: int(r.AnswerStatus), ContentType: r.ContentType, Bytes: r.AnswerBytes}
	}
	if err := json.Unmarshal([]byte(r.Header), &a.Header); err != nil {
		return a, fmt.Errorf("attempt %d of delivery %s: header: %w", r.Number, r.DeliveryID, err)
	}
	return a, nil
}
