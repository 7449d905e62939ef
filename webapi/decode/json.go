// Package decode reads requests strictly: what is not in the contract is refused before anything acts on it.
// Every error is an *errs.Error, of the kind Malformed but for a card number, which is Refused.
package decode

import (
	"bytes"
	"errors"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"florin/domain/cards"
	"florin/domain/errs"
)

// maxDepth is the deepest nesting that is read.
const maxDepth = 32

// maxName bounds the name of a field that an error repeats.
const maxName = 64

// Body reads the JSON object of the request into a pointer to a struct. Unknown members, duplicate names, wrong types,
// other letter case, trailing bytes and deep nesting are refused, and so is a card number in any free text.
func Body(c *fiber.Ctx, into any) error { return JSON(c.Body(), into) }

// OptionalBody is Body for routes whose body may be missing altogether.
func OptionalBody(c *fiber.Ctx, into any) error {
	if len(c.Body()) == 0 {
		return nil
	}
	return Body(c, into)
}

// JSON is Body for bytes.
func JSON(body []byte, into any) error {
	text := strings.TrimLeft(string(body), " \t\r\n")
	if text == "" {
		return invalid("the body is empty")
	}
	if tooDeep(body) {
		return invalid("the body is nested too deeply")
	}
	if text[0] != '{' {
		if !jsontext.Value(body).IsValid() {
			return invalid("the body is not valid JSON")
		}
		return errs.New(errs.Malformed, "wrong_type", "the body is not a JSON object")
	}
	if err := json.Unmarshal(body, into, json.RejectUnknownMembers(true), canonicalIDs); err != nil {
		return refusal(err)
	}
	if err := refuseNull(body); err != nil {
		return err
	}
	if err := refuseNUL(body); err != nil {
		return err
	}
	return refuseCards(body)
}

// tooDeep counts brackets outside strings. It runs before the decoder because that one has no such limit.
func tooDeep(body []byte) bool {
	depth, inString, escaped := 0, false, false
	for _, b := range body {
		switch {
		case escaped:
			escaped = false
		case inString:
			escaped = b == '\\'
			inString = b != '"'
		case b == '"':
			inString = true
		case b == '{' || b == '[':
			if depth++; depth > maxDepth {
				return true
			}
		case b == '}' || b == ']':
			depth--
		}
	}
	return false
}

func refusal(err error) error {
	if syntax, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		if errors.Is(syntax.Err, jsontext.ErrDuplicateName) {
			return inField(syntax.JSONPointer, "duplicate_field", "appears more than once")
		}
		return invalid("the body is not valid JSON")
	}
	if semantic, ok := errors.AsType[*json.SemanticError](err); ok {
		if errors.Is(semantic.Err, json.ErrUnknownName) {
			return inField(semantic.JSONPointer, "unknown_field", "is not a field of this request")
		}
		if refused, ok := errors.AsType[*errs.Error](semantic.Err); ok {
			field, _ := fieldOf(semantic.JSONPointer)
			return errs.InField(field, refused.Code, refused.Message)
		}
		return inField(semantic.JSONPointer, "wrong_type", "has the wrong type or form")
	}
	return invalid("the body is not valid JSON")
}

func invalid(message string) error { return errs.New(errs.Malformed, "invalid_json", message) }

func inField(pointer jsontext.Pointer, code, message string) error {
	var names []string
	for token := range pointer.Tokens() {
		names = append(names, token)
	}
	name := strings.Join(names, ".")
	if len(name) > maxName {
		name = strings.ToValidUTF8(name[:maxName], "")
	}
	if cards.Holds(name) {
		name = "?"
	}
	if name == "" {
		return errs.New(errs.Malformed, code, "the body "+message)
	}
	return &errs.Error{Kind: errs.Malformed, Code: code, Message: "a field " + message,
		Fields: []errs.Field{{Name: name, Code: code, Message: message}}}
}

// canonicalIDs reads ids in the form that they have everywhere else. The library takes braces, a URN and
// bare digits too.
var canonicalIDs = json.WithUnmarshalers(json.UnmarshalFromFunc(
	func(in *jsontext.Decoder, id *uuid.UUID) error {
		token, err := in.ReadToken()
		if err != nil {
			return err
		}
		if token.Kind() == '"' {
			if known, err := canonicalID("", token.String()); err == nil {
				*id = known
				return nil
			}
		}
		return &json.SemanticError{Err: errors.New("an id is a UUID of 36 characters")}
	}))

// refuseNull refuses null: it is not the same as a field that is not sent, and no field gives it a
// meaning of its own. The body must be valid JSON.
func refuseNull(body []byte) error {
	if !bytes.Contains(body, []byte("null")) {
		return nil
	}
	decoder := jsontext.NewDecoder(bytes.NewReader(body))
	for {
		token, err := decoder.ReadToken()
		if err != nil {
			return nil // the end: that it is JSON was seen before
		}
		if token.Kind() == 'n' {
			return inField(decoder.StackPointer(), "wrong_type", "is null: leave it out if you mean nothing")
		}
	}
}
