// Package notification holds how users are told of what happens: the endpoints that they take webhooks at, and the
// deliveries to them.
package notification

import (
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"florin/domain/account"
	"florin/domain/errs"
)

// maxDescription bounds what an owner writes about an endpoint, in characters.
const maxDescription = 200

// EndpointStatus is whether an endpoint takes webhooks.
type EndpointStatus string

// The statuses of an endpoint. A deleted one is kept for its deliveries and found by nobody.
const (
	EndpointEnabled  EndpointStatus = "enabled"
	EndpointDisabled EndpointStatus = "disabled"
	EndpointDeleted  EndpointStatus = "deleted"
)

// DisabledReason is why an endpoint is disabled.
type DisabledReason string

// The reasons; none while it is enabled.
const (
	DisabledByOwner DisabledReason = "owner"
	DisabledGone    DisabledReason = "gone" // it answered 410
)

// Endpoint is where a user takes webhooks. The zero value is none; NewEndpoint and LoadEndpoint make one.
type Endpoint struct{ state EndpointState }

// EndpointState is an endpoint as it is stored.
type EndpointState struct {
	ID          uuid.UUID
	UserID      uuid.UUID
	URL         URL
	Filters     []Filter
	Description string
	Status      EndpointStatus
	Reason      DisabledReason
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

// NewEndpoint returns an enabled endpoint, or the *errs.Error (Refused) that names the field at fault. No events means all.
func NewEndpoint(id, userID uuid.UUID, url URL, events []string, description string, at time.Time) (Endpoint, error) {
	e := Endpoint{EndpointState{ID: id, UserID: userID, URL: url, Status: EndpointEnabled, CreatedAt: at}}
	err := e.Describe(events, description, at)
	return e, err
}

// LoadEndpoint makes an endpoint of what a store kept, without checking it again.
func LoadEndpoint(s EndpointState) Endpoint { return Endpoint{s} }

// LoadFilters reads the filters that a store kept.
func LoadFilters(texts []string) ([]Filter, error) { return parseFilters(texts) }

// State returns what a store has to keep.
func (e Endpoint) State() EndpointState { return e.state }

func (e Endpoint) ID() uuid.UUID          { return e.state.ID }
func (e Endpoint) UserID() uuid.UUID      { return e.state.UserID }
func (e Endpoint) URL() URL               { return e.state.URL }
func (e Endpoint) Description() string    { return e.state.Description }
func (e Endpoint) Status() EndpointStatus { return e.state.Status }
func (e Endpoint) CreatedAt() time.Time   { return e.state.CreatedAt }
func (e Endpoint) UpdatedAt() time.Time   { return e.state.UpdatedAt }

// Reason is why it is disabled, "" unless it is.
func (e Endpoint) Reason() DisabledReason { return e.state.Reason }

// Events are the filters as they are written.
func (e Endpoint) Events() []string {
	texts := make([]string, len(e.state.Filters))
	for i, f := range e.state.Filters {
		texts[i] = f.String()
	}
	return texts
}

// Wants says whether the endpoint asks for this kind of event.
func (e Endpoint) Wants(kind account.Type, status account.PaymentStatus) bool {
	for _, f := range e.state.Filters {
		if f.Matches(kind, status) {
			return true
		}
	}
	return false
}

// Move gives the endpoint another URL.
func (e *Endpoint) Move(url URL, at time.Time) { e.state.URL, e.state.UpdatedAt = url, at }

// Describe replaces what the endpoint asks for and what its owner says of it.
func (e *Endpoint) Describe(events []string, description string, at time.Time) error {
	filters, err := parseFilters(events)
	if err != nil {
		return err
	}
	if utf8.RuneCountInString(description) > maxDescription {
		return errs.InField("description", "too_long", "The description is longer than 200 characters.")
	}
	for _, r := range description {
		if unicode.IsControl(r) {
			return errs.InField("description", "invalid_text", "The description has control characters.")
		}
	}
	e.state.Filters, e.state.Description, e.state.UpdatedAt = filters, description, at
	return nil
}

// Enable lets webhooks go there again; what was held meanwhile goes too.
func (e *Endpoint) Enable(at time.Time) {
	e.state.Status, e.state.Reason, e.state.UpdatedAt = EndpointEnabled, "", at
}

// Disable holds what is pending and lets nothing new be recorded. One that is disabled already keeps its reason.
func (e *Endpoint) Disable(why DisabledReason, at time.Time) {
	if e.state.Status == EndpointEnabled {
		e.state.Status, e.state.Reason, e.state.UpdatedAt = EndpointDisabled, why, at
	}
}
