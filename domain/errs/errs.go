// Package errs holds the one error type that the edge of the program understands. A service returns an
// *Error where the caller did something that it can know about and mend; anything else is internal.
package errs

import (
	"errors"
	"time"
)

// Kind is a class of error. The HTTP edge maps each kind to one status in one table.
type Kind uint8

const (
	// Internal is every error that is not the caller's: its text never reaches a client.
	Internal Kind = iota
	// Malformed is a request that cannot be read: syntax, unknown fields, wrong JSON types.
	Malformed
	// Unauthenticated is a request with no or bad credentials.
	Unauthenticated
	// Forbidden is an authenticated request that is not allowed.
	Forbidden
	// NotFound is what does not exist, and what belongs to somebody else.
	NotFound
	// Conflict is a request that contradicts the present state, or one still in flight.
	Conflict
	// TooLarge is a body above its limit.
	TooLarge
	// Unsupported is a body of a media type or encoding that is not taken.
	Unsupported
	// Refused is a well-formed request that a rule refuses.
	Refused
	// Limited is a caller over its rate.
	Limited
	// Unavailable is a dependency that is down or an overload: the same request may succeed later.
	Unavailable
	// Timeout is a request that took longer than it may.
	Timeout
)

// Error is an error with a stable code and a message that may be shown to the client.
type Error struct {
	Kind    Kind
	Code    string // stable, snake_case, catalogued in docs/errors.md
	Message string // for people; holds no secret, no SQL, no path
	// Fields names what is wrong in the request, by JSON name; may be empty.
	Fields []Field
	// RetryAfter is when the same request is worth sending again; 0 when unknown.
	RetryAfter time.Duration
	// Cause is for the log alone.
	Cause error
}

// Field is one fault of one field of a request.
type Field struct {
	Name    string // the JSON name
	Code    string
	Message string
}

func (e *Error) Error() string {
	if e.Cause != nil {
		return e.Code + ": " + e.Message + ": " + e.Cause.Error()
	}
	return e.Code + ": " + e.Message
}

func (e *Error) Unwrap() error { return e.Cause }

// Is says that two errors with the same code are the same error, whatever their message and cause.
func (e *Error) Is(target error) bool {
	var other *Error
	return errors.As(target, &other) && other.Code == e.Code
}

// New returns an error of the kind with a stable code and a message for people.
func New(kind Kind, code, message string) *Error {
	return &Error{Kind: kind, Code: code, Message: message}
}

// Wrap is New with a cause that only the log sees.
func Wrap(cause error, kind Kind, code, message string) *Error {
	return &Error{Kind: kind, Code: code, Message: message, Cause: cause}
}

// InField returns a Refused error about one field of the request.
func InField(field, code, message string) *Error {
	return &Error{Kind: Refused, Code: code, Message: message,
		Fields: []Field{{Name: field, Code: code, Message: message}}}
}

// Missing is the one answer for what is unknown and for what belongs to another user.
func Missing(what string) *Error {
	return New(NotFound, "not_found", what+" not found")
}

// KindOf returns the kind of the first *Error in the chain, Internal when there is none.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// CodeOf returns the code of the first *Error in the chain, "internal" when there is none.
func CodeOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return "internal"
}
