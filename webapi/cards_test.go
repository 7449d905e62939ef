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

// notFreeText is, by hand, every text of a request that may hold a long number: none is stored as
// it was sent.
var notFreeText = map[string]bool{"amount": true, "identity": true, "password": true, "current_password": true, "refresh_token": true}

// TestS48_S71_EveryFreeTextRefusesCardNumbers goes through the bodies of all routes: a text that is
// added later is looked at too.
func TestS48_S71_EveryFreeTextRefusesCardNumbers(t *testing.T) {
	refused := map[string]bool{}
	for _, route := range append(routes(handlers{docs: &docs{}}), adminRoutes(handlers{docs: &docs{}, adminDocs: &docs{}})...) {
		shape := reflect.TypeOf(route.Operation.Body)
		if route.Body != JSONBody || shape == nil {
			continue
		}
		for name, bodyWith := range texts(shape) {
			for _, number := range []string{"4242 4242 4242 4242", "4242.4242.4242.4242", "42424 24242 42424 2", "x4242424242424242", "４２４２４２４２４２４２４２４２"} {
				body, err := json.Marshal(bodyWith(number))
				require.NoError(t, err)
				err = decode.JSON(body, reflect.New(shape).Interface())
				if notFreeText[name] {
					require.NotEqual(t, "card_number", errs.CodeOf(err), "%s %s", route.Path, name)
					continue
				}
				require.Equal(t, "card_number", errs.CodeOf(err), "%s %s %s", route.Path, name, number)
				require.Equal(t, errs.Refused, errs.KindOf(err))
				require.Contains(t, route.Operation.Problems, http.StatusUnprocessableEntity, route.Path)
				refused[name] = true
			}
		}
	}
	for _, name := range []string{"metadata", "money_source", "payment_flow", "name", "description", "reason", "provider", "currency", "events",
		"username", "email", "url", "external_target.bank_account_number", "external_target.routing_number", "external_target.external_wallet_address"} {
		require.True(t, refused[name], name)
	}
}

// texts are the members of a body that take text, by name, each with what makes a body with a text
// in it.
func texts(shape reflect.Type) map[string]func(string) any {
	found := map[string]func(string) any{}
	for _, field := range reflect.VisibleFields(shape) {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		kind := field.Type
		for kind.Kind() == reflect.Pointer {
			kind = kind.Elem()
		}
		switch {
		case name == "":
		case kind.Kind() == reflect.String:
			found[name] = func(text string) any { return map[string]any{name: text} }
		case kind.Kind() == reflect.Slice && kind.Elem().Kind() == reflect.String:
			found[name] = func(text string) any { return map[string]any{name: []string{text}} }
		case kind.Kind() == reflect.Map:
			found[name] = func(text string) any { return map[string]any{name: map[string]string{"note": text}} }
		case kind.Kind() == reflect.Struct:
			for below, bodyWith := range texts(kind) {
				found[name+"."+below] = func(text string) any { return map[string]any{name: bodyWith(text)} }
			}
		}
	}
	return found
}

// TestS71_HeadersHoldNoCardNumbers: a key is refused, for its hash is kept; a request's id is
// logged, so another is given.
func TestS71_HeadersHoldNoCardNumbers(t *testing.T) {
	s := newTestServer(t)
	path := "/account/" + adasEUR.String() + "/deposit"
	a := s.do(t, ada, "POST", path, depositBody, "Idempotency-Key: order-4242.4242.4242.4242")
	require.Equal(t, 422, a.status, a.body)
	p := a.problem(t)
	require.Equal(t, "card_number", p.Code)
	require.Equal(t, "Idempotency-Key", p.Errors[0].Field)
	require.NotContains(t, a.body, "4242")
	require.Empty(t, s.accounts.calls)

	a = s.do(t, ada, "POST", path, depositBody, "X-Request-Id: 4242-4242-4242-4242", "Idempotency-Key: 490154203237518")
	require.Len(t, s.accounts.calls, 1, a.body)
	require.NotContains(t, a.header.Get("X-Request-Id"), "4242-4242")
	require.Equal(t, "mine-1767268800123", s.do(t, ada, "GET", "/accounts", "", "X-Request-Id: mine-1767268800123").header.Get("X-Request-Id"))

	for _, route := range s.Routes {
		params := reflect.TypeOf(route.Operation.Params)
		if params == nil {
			continue
		}
		if _, keyed := params.FieldByName("IdempotencyKey"); keyed {
			require.Contains(t, route.Operation.Problems, http.StatusUnprocessableEntity, route.Path)
		}
	}
}

// TestS71_NamesThatWeRepeatHoldNoCardNumbers: what is said of an unknown member does not show it
// where it is a card's number.
func TestS71_NamesThatWeRepeatHoldNoCardNumbers(t *testing.T) {
	s := newTestServer(t)
	for _, a := range []answer{
		s.do(t, ada, "POST", "/account", `{"currency":"EUR","4242 4242 4242 4242":"x"}`),
		s.do(t, ada, "GET", "/accounts?4242424242424242=x", ""),
	} {
		require.Equal(t, 400, a.status)
		require.NotContains(t, a.body, "4242")
	}
}

// TestF160_S71_ReferencesAreTaken: a reference with a check digit that begins like no card, and an
// IBAN.
func TestF160_S71_ReferencesAreTaken(t *testing.T) {
	s := newTestServer(t)
	taken := func(a answer, why string) {
		t.Helper()
		require.NotEqual(t, 422, a.status, a.body)
		require.Len(t, s.accounts.calls, 1, why)
		s.accounts.calls = nil
	}
	for _, reference := range []string{"490154203237518", "1234567890123452", "7992739871300008", "1767268800123", "DE89 3704 0044 0532 0130 00"} {
		taken(s.do(t, ada, "POST", "/account/"+adasEUR.String()+"/deposit",
			`{"amount":"10.00","currency":"EUR","money_source":"card","metadata":{"reference":"`+reference+`"}}`), reference)
	}
	withdraw := func(number string) answer {
		return s.do(t, ada, "POST", "/account/"+adasEUR.String()+"/withdraw",
			`{"amount":"10.00","currency":"EUR","external_target":{"bank_account_number":"`+number+`"}}`)
	}
	for _, number := range []string{"DE89370400440532013000", "GB29 NWBK 6016 1331 9268 19", "000123456789", "646180110400000007"} {
		taken(withdraw(number), number)
	}
	for _, number := range []string{"4242 4242 4242 4242", "4242424242424242"} {
		require.Equal(t, 422, withdraw(number).status, number)
		require.Empty(t, s.accounts.calls)
	}
}

// TestS48_NothingIsDoneAndNothingIsEchoed: over the wire it is a 422 that names the field, and
// never the number.
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
