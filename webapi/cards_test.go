package webapi

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"florin/domain/errs"
	"florin/webapi/decode"
)

// notFreeText is, by hand, every text of a request that may hold a long number: what has a form of its own.
var notFreeText = map[string]bool{"amount": true, "email": true, "username": true, "identity": true, "password": true, "current_password": true,
	"refresh_token": true, "url": true, "external_target": true}

// TestS48_EveryFreeTextRefusesCardNumbers goes through the bodies of all routes: a text that is added later is looked at too.
func TestS48_EveryFreeTextRefusesCardNumbers(t *testing.T) {
	refused := map[string]bool{}
	for _, route := range append(routes(handlers{docs: &docs{}}), adminRoutes(handlers{docs: &docs{}, adminDocs: &docs{}})...) {
		shape := reflect.TypeOf(route.Operation.Body)
		if route.Body != JSONBody || shape == nil {
			continue
		}
		for name, value := range texts(shape, "4242 4242 4242 4242") {
			body, err := json.Marshal(map[string]any{name: value})
			require.NoError(t, err)
			err = decode.JSON(body, reflect.New(shape).Interface())
			if notFreeText[name] {
				require.NotEqual(t, "card_number", errs.CodeOf(err), "%s %s", route.Path, name)
				continue
			}
			require.Equal(t, "card_number", errs.CodeOf(err), "%s %s", route.Path, name)
			require.Equal(t, errs.Refused, errs.KindOf(err))
			require.Contains(t, route.Operation.Problems, http.StatusUnprocessableEntity, route.Path)
			refused[name] = true
		}
	}
	for _, name := range []string{"metadata", "money_source", "payment_flow", "name", "description", "reason", "provider", "currency", "events"} {
		require.True(t, refused[name], name)
	}
}

// texts are the members of a body that take text, by name, each with the text in it.
func texts(shape reflect.Type, text string) map[string]any {
	found := map[string]any{}
	for _, field := range reflect.VisibleFields(shape) {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		kind := field.Type
		for kind.Kind() == reflect.Pointer {
			kind = kind.Elem()
		}
		switch {
		case name == "":
		case kind.Kind() == reflect.String:
			found[name] = text
		case kind.Kind() == reflect.Slice && kind.Elem().Kind() == reflect.String:
			found[name] = []string{text}
		case kind.Kind() == reflect.Map:
			found[name] = map[string]string{"note": text}
		case kind.Kind() == reflect.Struct:
			if below := texts(kind, text); len(below) > 0 {
				found[name] = below
			}
		}
	}
	return found
}

// TestS48_NothingIsDoneAndNothingIsEchoed: over the wire it is a 422 that names the field, and never the number.
func TestS48_NothingIsDoneAndNothingIsEchoed(t *testing.T) {
	s := newTestServer(t)
	for body, field := range map[string]string{
		`{"amount":"10.00","currency":"EUR","money_source":"card","metadata":{"note":"4242-4242-4242-4242"}}`:       "metadata",
		`{"amount":"10.00","currency":"EUR","money_source":"card","metadata":{"378282246310005":"mine"}}`:           "metadata",
		`{"amount":"10.00","currency":"EUR","money_source":"my card \u00344242424242424242 12/29"}`:                 "",
		`{"amount":"10.00","currency":"EUR","money_source":"my card \u0034242424242424242 12/29"}`:                  "money_source",
		`{"amount":"10.00","currency":"EUR","money_source":"` + strings.Repeat(`\u0034\u0032`, 8) + `"}`:            "money_source",
		`{"amount":"10.00","currency":"EUR","money_source":"card","payment_flow":"6011 1111 1111 1117"}`:            "payment_flow",
		`{"amount":"10.00","currency":"EUR","money_source":"card","metadata":{"order":"1767268800123","id":"474"}}`: "",
	} {
		s.accounts.calls = nil
		a := s.do(t, ada, "POST", "/account/"+adasEUR.String()+"/deposit", body)
		if field == "" {
			require.Len(t, s.accounts.calls, 1, body)
			continue
		}
		require.Equal(t, 422, a.status, a.body)
		p := a.problem(t)
		require.Equal(t, "card_number", p.Code)
		require.Equal(t, field, p.Errors[0].Field)
		require.NotContains(t, strings.NewReplacer("-", "", " ", "").Replace(a.body), "424242424242")
		require.NotContains(t, a.body, "378282246310005")
		require.Empty(t, s.accounts.calls)
	}
}
