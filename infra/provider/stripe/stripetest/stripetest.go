// Package stripetest is a stand-in for Stripe's API, for tests: a server with a state of its own that behaves as Stripe
// documents. It keeps idempotency keys for a day with the parameters that they came with, lists what it has newest first,
// signs the events that it emits, and fails on request. Whether a request is one that Stripe would take at all, stripe-mock
// checks; this server knows only the calls that the adapter makes.
package stripetest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// APIKey is the key that the server takes.
const APIKey = "sk_test_of_the_stand_in" //nolint:gosec // of a stand-in in the tests' own process

// object is one of Stripe's objects, as it goes over the wire.
type object = map[string]any

// Fault is what the server does with one of the next calls. It applies once.
type Fault string

// The faults.
const (
	Refuse       Fault = "refuse"        // a declined card; nothing is made
	Invalid      Fault = "invalid"       // a request that is not taken; nothing is made
	Busy         Fault = "busy"          // asks to come back after 2 seconds; nothing is made
	LockTimeout  Fault = "lock_timeout"  // another call holds the object
	ServerError  Fault = "server_error"  // makes it, answers 500, and keeps that answer under the key
	StoredError  Fault = "stored_error"  // makes nothing, answers 500, and keeps that answer under the key
	Hang         Fault = "hang"          // makes it and does not answer
	LoseReply    Fault = "lose_reply"    // makes it and cuts the connection
	Redirect     Fault = "redirect"      // answers with a redirect to a place that would say yes
	Garbage      Fault = "garbage"       // makes it and answers what cannot be read
	Flood        Fault = "flood"         // makes it and answers without an end
	Drip         Fault = "drip"          // makes it and answers a byte at a time, without an end
	OtherAmount  Fault = "other_amount"  // makes it and answers another amount
	Unmoved      Fault = "unmoved"       // answers that a transfer is reversed, and does nothing
	AtOnce       Fault = "at_once"       // makes a payout, which has arrived already when it is answered
	GatewayError Fault = "gateway_error" // a page of somebody in between, with status 400
	Down         Fault = "down"          // answers 503 before anything is done; it applies until Heal
)

// Attempt is one POST as it came over the wire.
type Attempt struct {
	Path, Key, Account string
	Body               []byte
}

// Server is the stand-in. Its methods are safe for concurrent use.
type Server struct {
	now func() time.Time

	mu       sync.Mutex
	serial   int
	objects  map[string]object // by id
	order    []string          // ids, the oldest first
	owner    map[string]string // of ids: the connected account, "" for the platform
	cut      map[string]bool   // connected accounts that our key does not reach any more
	keys     map[string]*answered
	faults   []planned
	down     bool
	attempts []Attempt
	calls    int
	events   []Event
}

type planned struct {
	path  string // a prefix
	fault Fault
}

// answered is what is kept under an idempotency key.
type answered struct {
	request string // path and parameters
	status  int    // 0 while the first call still runs
	body    []byte
	at      time.Time
}

// keysKept is how long Stripe keeps a key.
const keysKept = 24 * time.Hour

// New returns a server without anything in it. The clock gives the times of objects and ends keys; nil is the system's.
func New(now func() time.Time) *Server {
	if now == nil {
		now = time.Now
	}
	return &Server{now: now, objects: map[string]object{}, owner: map[string]string{}, cut: map[string]bool{}, keys: map[string]*answered{}}
}

// Inject makes the next POST to a path that begins so meet the fault.
func (s *Server) Inject(path string, fault Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if fault == Down {
		s.down = true
		return
	}
	s.faults = append(s.faults, planned{path, fault})
}

// Heal ends Down.
func (s *Server) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = false
}

// Attempts are all POSTs so far.
func (s *Server) Attempts() []Attempt {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.attempts)
}

// Calls is how many calls came, of any kind.
func (s *Server) Calls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

// Get is a copy of an object, nil where there is none.
func (s *Server) Get(id string) map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.objects[id])
}

// Find is the ids of the objects of a kind whose metadata has the value, the oldest first.
func (s *Server) Find(kind, key, value string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []string
	for _, id := range s.order {
		if o := s.objects[id]; o["object"] == kind && meta(o)[key] == value {
			ids = append(ids, id)
		}
	}
	return ids
}

// Kind is the ids of all objects of a kind, the oldest first.
func (s *Server) Kind(kind string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []string
	for _, id := range s.order {
		if s.objects[id]["object"] == kind {
			ids = append(ids, id)
		}
	}
	return ids
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := readAll(r)
	account := r.Header.Get("Stripe-Account")
	fault := s.arrived(r, body, account)
	if r.Header.Get("Authorization") != "Bearer "+APIKey {
		fail(w, http.StatusUnauthorized, "invalid_request_error", "", "No such key.")
		return
	}
	if s.isCut(account) {
		fail(w, http.StatusForbidden, "invalid_request_error", "account_invalid", "The provided key does not have access to the account.")
		return
	}
	if fault == Down {
		fail(w, http.StatusServiceUnavailable, "api_error", "", "Down.")
		return
	}
	if r.Method == http.MethodGet {
		s.mu.Lock()
		status, answer, _ := encode(s.look(r.URL.Path, r.URL.Query(), account)) // objects change as soon as they are let go
		s.mu.Unlock()
		writeRaw(w, status, answer)
		return
	}
	s.post(w, r, body, account, fault)
}

// arrived notes a call and takes the fault that is planned for it.
func (s *Server) arrived(r *http.Request, body []byte, account string) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if r.Method == http.MethodPost {
		s.attempts = append(s.attempts, Attempt{Path: r.URL.Path, Key: r.Header.Get("Idempotency-Key"), Account: account, Body: body})
	}
	if s.down {
		return Down
	}
	for i, p := range s.faults {
		if r.Method == http.MethodPost && strings.HasPrefix(r.URL.Path, p.path) {
			s.faults = slices.Delete(s.faults, i, i+1)
			return p.fault
		}
	}
	return ""
}

// post is a POST under its idempotency key.
func (s *Server) post(w http.ResponseWriter, r *http.Request, body []byte, account string, fault Fault) {
	switch fault {
	case Refuse:
		write(w, http.StatusPaymentRequired, object{"error": object{"type": "card_error", "code": "card_declined", "decline_code": "generic_decline", "message": "No."}})
		return
	case Invalid:
		fail(w, http.StatusBadRequest, "invalid_request_error", "parameter_invalid_integer", "Not like this.")
		return
	case Busy:
		w.Header().Set("Retry-After", "2")
		fail(w, http.StatusTooManyRequests, "invalid_request_error", "rate_limit", "Too many requests.")
		return
	case LockTimeout:
		fail(w, http.StatusTooManyRequests, "invalid_request_error", "lock_timeout", "Another request holds the object.")
		return
	case Redirect:
		http.Redirect(w, r, r.URL.Path, http.StatusTemporaryRedirect)
		return
	case GatewayError:
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte("<html>Bad Request</html>"))
		return
	}
	status, answer, replayed := s.once(r, body, account, fault)
	if replayed {
		w.Header().Set("Idempotent-Replayed", "true")
	}
	switch fault {
	case Hang:
		<-r.Context().Done()
	case LoseReply:
		panic(http.ErrAbortHandler)
	case Garbage:
		_, _ = w.Write([]byte(`{"id":`))
	case Drip:
		for r.Context().Err() == nil {
			if _, err := w.Write([]byte{' '}); err != nil {
				return
			}
			_ = http.NewResponseController(w).Flush()
			select {
			case <-r.Context().Done():
			case <-time.After(10 * time.Millisecond):
			}
		}
	case Flood:
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 1<<16)); err != nil {
				return
			}
		}
	case OtherAmount:
		for _, name := range []string{`"amount":`, `"amount_total":`} {
			answer = []byte(strings.ReplaceAll(string(answer), name, name+"1"))
		}
		writeRaw(w, status, answer)
	default:
		writeRaw(w, status, answer)
	}
}

// once does what is asked, or gives the first answer under the key again.
func (s *Server) once(r *http.Request, body []byte, account string, fault Fault) (status int, answer []byte, replayed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := r.Header.Get("Idempotency-Key")
	if key == "" {
		return encode(http.StatusBadRequest, errorBody("invalid_request_error", "", "This server wants a key with every POST."))
	}
	name, request := account+"\x00"+key, r.URL.Path+"\x00"+string(body)
	if kept, ok := s.keys[name]; ok && s.now().Sub(kept.at) < keysKept {
		if kept.request != request {
			return encode(http.StatusBadRequest, errorBody("idempotency_error", "", "The key was used with other parameters."))
		}
		return kept.status, kept.body, true
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return encode(http.StatusBadRequest, errorBody("invalid_request_error", "", "Not a form."))
	}
	status, made := http.StatusInternalServerError, object(nil)
	switch fault {
	case StoredError:
	case Unmoved:
		status, made = http.StatusOK, object{"id": "trr_unmoved", "object": "transfer_reversal"}
	default:
		status, made = s.act(r.URL.Path, form, account)
	}
	if fault == AtOnce {
		o := s.objects[fmt.Sprint(made["id"])]
		o["status"] = "paid"
		s.emit("payout.paid", account, o)
		made = clone(o)
	}
	if fault == ServerError || fault == StoredError {
		status, made = http.StatusInternalServerError, errorBody("api_error", "", "Something went wrong.")
	}
	status, answer, _ = encode(status, made)
	s.keys[name] = &answered{request: request, status: status, body: answer, at: s.now()}
	return status, answer, false
}

func encode(status int, o object) (int, []byte, bool) {
	raw, err := json.Marshal(o)
	if err != nil {
		panic(fmt.Sprintf("encode %v: %v", o, err))
	}
	return status, raw, false
}

func errorBody(kind, code, message string) object {
	e := object{"type": kind, "message": message}
	if code != "" {
		e["code"] = code
	}
	return object{"error": e}
}

func fail(w http.ResponseWriter, status int, kind, code, message string) {
	write(w, status, errorBody(kind, code, message))
}

func write(w http.ResponseWriter, status int, o object) {
	_, raw, _ := encode(status, o)
	writeRaw(w, status, raw)
}

func writeRaw(w http.ResponseWriter, status int, raw []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Request-Id", "req_stand_in")
	w.WriteHeader(status)
	_, _ = w.Write(raw)
}
