package stripetest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// APIVersion is what the events are rendered in: not the version that stripe-go is pinned to.
const APIVersion = "2025-01-27.acacia"

// Event is an event that was emitted, with the body that a webhook carries.
type Event struct {
	ID, Type, Account string
	Body              []byte
	at                int64
}

// emit makes an event with the object as it is now.
func (s *Server) emit(kind, account string, o object) {
	s.serial++
	id := fmt.Sprintf("evt_%06d", s.serial)
	body := Render(id, kind, account, s.now(), o)
	s.events = append(s.events, Event{ID: id, Type: kind, Account: account, Body: body, at: s.now().Unix()})
}

// Render is the body of a webhook, in test mode.
func Render(id, kind, account string, at time.Time, o map[string]any) []byte {
	e := object{"id": id, "object": "event", "api_version": APIVersion, "created": at.Unix(), "type": kind, "livemode": false,
		"data": object{"object": o}, "pending_webhooks": 1, "request": object{"id": "req_1", "idempotency_key": nil}}
	if account != "" {
		e["account"] = account
	}
	raw, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		panic(err)
	}
	return raw
}

// Events are all events so far, in order.
func (s *Server) Events() []Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.events)
}

// Sign is the header of a webhook that is signed at the time with the secret.
func Sign(body []byte, secret string, at time.Time) http.Header {
	header := http.Header{}
	header.Set("Stripe-Signature", fmt.Sprintf("t=%d,v1=%s", at.Unix(), Signature(body, secret, at)))
	return header
}

// Signature is a v1 signature.
func Signature(body []byte, secret string, at time.Time) string {
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = fmt.Fprintf(mac, "%d.%s", at.Unix(), body)
	return hex.EncodeToString(mac.Sum(nil))
}

// listEvents is the list of events, newest first.
func (s *Server) listEvents(q url.Values, account string) object {
	data, more, begun := []json.RawMessage{}, false, q.Get("starting_after") == ""
	for i := len(s.events) - 1; i >= 0; i-- {
		e := s.events[i]
		switch {
		case !begun:
			begun = e.ID == q.Get("starting_after")
		case e.Account != account || !within(e.at, q) || !asked(e.Type, q):
		case fmt.Sprint(len(data)) == q.Get("limit"):
			more = true
		default:
			data = append(data, listed(e.Body))
		}
	}
	return object{"object": "list", "data": data, "has_more": more, "url": "/v1/events"}
}

// asked says whether a list is to have events of the type.
func asked(kind string, q url.Values) bool {
	filtered := false
	for name, values := range q {
		if !strings.HasPrefix(name, "types[") {
			continue
		}
		filtered = true
		if slices.Contains(values, kind) {
			return true
		}
	}
	return !filtered && strings.HasPrefix(kind, strings.TrimSuffix(q.Get("type"), "*"))
}

// listed is an event as a list has it: without the account, which the request names.
func listed(body []byte) json.RawMessage {
	var e object
	if err := json.Unmarshal(body, &e); err != nil {
		panic(err)
	}
	delete(e, "account")
	raw, err := json.Marshal(e)
	if err != nil {
		panic(err)
	}
	return raw
}
