package decode

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"florin/domain/errs"
)

type body struct {
	Amount   Amount            `json:"amount"`
	Currency string            `json:"currency"`
	Count    int               `json:"count"`
	Target   uuid.UUID         `json:"target"`
	Optional *Amount           `json:"optional"`
	Metadata map[string]string `json:"metadata"`
	Nested   struct {
		Deep string `json:"deep"`
	} `json:"nested"`
}

// fault returns kind, code and first field of an error.
func fault(t *testing.T, err error) (errs.Kind, string, string) {
	t.Helper()
	var known *errs.Error
	require.True(t, errors.As(err, &known), "%v", err)
	if len(known.Fields) == 0 {
		return known.Kind, known.Code, ""
	}
	return known.Kind, known.Code, known.Fields[0].Name
}

func TestF17_UnreadableBodies(t *testing.T) {
	for text, want := range map[string][2]string{
		``:                                       {"invalid_json", ""},
		`  `:                                     {"invalid_json", ""},
		`{`:                                      {"invalid_json", ""},
		`{"amount":NaN}`:                         {"invalid_json", ""},
		`{"amount":Infinity}`:                    {"invalid_json", ""},
		`{"amount":01}`:                          {"invalid_json", ""},
		`{"amount":+1}`:                          {"invalid_json", ""},
		`{"amount":1.}`:                          {"invalid_json", ""},
		`{"amount":"1",}`:                        {"invalid_json", ""},
		`{'amount':1}`:                           {"invalid_json", ""},
		`{"amount":1} {}`:                        {"invalid_json", ""},
		`{"amount":1}x`:                          {"invalid_json", ""},
		"{\"currency\":\"\xff\"}":                {"invalid_json", ""},
		`[`:                                      {"invalid_json", ""},
		`null`:                                   {"wrong_type", ""},
		`[]`:                                     {"wrong_type", ""},
		`"amount"`:                               {"wrong_type", ""},
		`7`:                                      {"wrong_type", ""},
		`{"balance":1}`:                          {"unknown_field", "balance"},
		`{"Amount":1}`:                           {"unknown_field", "Amount"},
		`{"nested":{"x":1}}`:                     {"unknown_field", "nested.x"},
		`{"amount":1,"amount":1}`:                {"duplicate_field", "amount"},
		`{"amount":1,"\u0061mount":2}`:           {"duplicate_field", "amount"},
		`{"metadata":{"k":"a","k":"b"}}`:         {"duplicate_field", "metadata.k"},
		`{"amount":true}`:                        {"wrong_type", "amount"},
		`{"amount":null}`:                        {"wrong_type", "amount"},
		`{"amount":{"x":1}}`:                     {"wrong_type", "amount"},
		`{"currency":1}`:                         {"wrong_type", "currency"},
		`{"count":"1"}`:                          {"wrong_type", "count"},
		`{"count":1.5}`:                          {"wrong_type", "count"},
		`{"count":99999999999999999999}`:         {"wrong_type", "count"},
		`{"target":"not-a-uuid"}`:                {"wrong_type", "target"},
		`{"metadata":{"k":1}}`:                   {"wrong_type", "metadata.k"},
		`{"nested":"x"}`:                         {"wrong_type", "nested"},
		strings.Repeat(`{"nested":`, 40):         {"invalid_json", ""},
		`{"` + strings.Repeat("x", 500) + `":1}`: {"unknown_field", strings.Repeat("x", maxName)},
	} {
		kind, code, field := fault(t, JSON([]byte(text), &body{}))
		require.Equal(t, errs.Malformed, kind, text)
		require.Equal(t, want, [2]string{code, field}, text)
	}
}

func TestF56_NestedArraysAreRefusedAtOnce(t *testing.T) {
	deep := []byte(`{"metadata":` + strings.Repeat("[", 100_000))
	allocated := testing.AllocsPerRun(5, func() { _ = JSON(deep, &body{}) })
	require.Less(t, allocated, 20.0)
	_, code, _ := fault(t, JSON(deep, &body{}))
	require.Equal(t, "invalid_json", code)
}

func TestAmountKeepsItsText(t *testing.T) {
	for text, want := range map[string]string{`"12.34"`: "12.34", `12.34`: "12.34", `"9007199254740993.10"`: "9007199254740993.10", `1e400`: "1e400",
		`-0.00`: "-0.00", `"\u0031"`: "1", `""`: "", `" 1"`: " 1", `1E2`: "1E2", `"0.1000000000000000055511151231257827"`: "0.1000000000000000055511151231257827"} {
		var in body
		require.NoError(t, JSON([]byte(`{"amount":`+text+`}`), &in), text)
		require.Equal(t, Amount(want), in.Amount)
		require.Nil(t, in.Optional)
	}
	var in body
	require.NoError(t, JSON([]byte(`{"optional":"5"}`), &in))
	require.Equal(t, Amount("5"), *in.Optional)
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{`{"amount":"12.34","currency":"EUR"}`, `{"amount":1,"amount":2}`, `{"metadata":{"a":"b"}}`, `{"nested":{"deep":"x"}}`, `NaN`, `{`, "\xff"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var in body
		err := JSON(raw, &in)
		if err == nil {
			return
		}
		var known *errs.Error
		if !errors.As(err, &known) || known.Kind != errs.Malformed || known.Code == "" {
			t.Fatalf("%q: not a malformed request: %v", raw, err)
		}
		for _, field := range known.Fields {
			if len(field.Name) > maxName {
				t.Fatalf("%q: field name of %d bytes", raw, len(field.Name))
			}
		}
	})
}

// call runs a handler on a request and returns its error.
func call(t *testing.T, target string, header http.Header, handler func(*fiber.Ctx) error) error {
	t.Helper()
	var got error
	ran := false
	app := fiber.New(fiber.Config{Immutable: true})
	route := func(c *fiber.Ctx) error { ran = true; got = handler(c); return nil }
	app.Get("/x", route)
	app.Get("/x/:id", route)
	request := httptest.NewRequest("GET", target, nil)
	for name, values := range header {
		request.Header[name] = values
	}
	response, err := app.Test(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.True(t, ran, "%s %v: %s", target, header, response.Status)
	return got
}

func TestF9_IdempotencyKey(t *testing.T) {
	for _, c := range []struct {
		values []string
		want   string
		ok     bool
	}{
		{nil, "", true}, {[]string{"k"}, "k", true}, {[]string{strings.Repeat("k", 255)}, strings.Repeat("k", 255), true},
		{[]string{`"quoted ~key"`}, `"quoted ~key"`, true},
		{[]string{""}, "", false}, {[]string{strings.Repeat("k", 256)}, "", false}, {[]string{"a\tb"}, "", false},
		{[]string{"é"}, "", false}, {[]string{"a", "a"}, "", false}, {[]string{"a", ""}, "", false},
	} {
		err := call(t, "/x", http.Header{"Idempotency-Key": c.values}, func(c2 *fiber.Ctx) error {
			key, err := IdempotencyKey(c2)
			require.Equal(t, c.want, key)
			return err
		})
		if c.ok {
			require.NoError(t, err, c.values)
			continue
		}
		kind, code, _ := fault(t, err)
		require.Equal(t, errs.Malformed, kind)
		require.Equal(t, "invalid_idempotency_key", code, c.values)
	}
}

// TestF141_PreferWait: what is not a wait, and a second one, is as if it were not sent.
func TestF141_PreferWait(t *testing.T) {
	for _, c := range []struct {
		values []string
		want   time.Duration
		asked  bool
	}{
		{nil, 0, false}, {[]string{"wait=5"}, 5 * time.Second, true}, {[]string{"wait=0"}, 0, true},
		{[]string{"wait=31"}, MaxWait, true}, {[]string{"wait=999999999"}, MaxWait, true},
		{[]string{`respond-async, Wait="10"; x=y`}, 10 * time.Second, true},
		{[]string{"respond-async"}, 0, false}, {[]string{"wait"}, 0, false}, {[]string{"wait=-1"}, 0, false},
		{[]string{"wait=1.5"}, 0, false}, {[]string{"wait=9999999999"}, 0, false},
		{[]string{"wait=1", "wait=2"}, time.Second, true}, {[]string{"wait=x, wait=2"}, 2 * time.Second, true},
	} {
		err := call(t, "/x", http.Header{"Prefer": c.values}, func(c2 *fiber.Ctx) error {
			wait, asked := PreferWait(c2)
			require.Equal(t, c.want, wait, c.values)
			require.Equal(t, c.asked, asked)
			ApplyWait(c2, wait)
			return nil
		})
		require.NoError(t, err, c.values)
	}
}

func TestS44_RepeatedAndUnknownParameters(t *testing.T) {
	for query, want := range map[string]string{
		"": "", "limit=5": "", "limit=5&cursor=x": "", "limit=1&limit=1": "repeated_parameter", "limit=1&%6cimit=2": "repeated_parameter",
		"Limit=1": "unknown_parameter", "x=1": "unknown_parameter", "cursor=%ff": "invalid_parameter", "cursor=" + strings.Repeat("x", 513): "invalid_parameter",
		"limit=0": "invalid_limit", "limit=101": "invalid_limit", "limit=-1": "invalid_limit", "limit=x": "invalid_limit", "limit=": "invalid_limit", "limit=007": "invalid_limit",
	} {
		err := call(t, "/x?"+query, nil, func(c *fiber.Ctx) error {
			q, err := ReadQuery(c, "limit", "cursor")
			if err != nil {
				return err
			}
			_, err = q.Limit()
			return err
		})
		if want == "" {
			require.NoError(t, err, query)
			continue
		}
		kind, code, _ := fault(t, err)
		require.Equal(t, errs.Malformed, kind)
		require.Equal(t, want, code, query)
	}
	require.Error(t, call(t, "/x?a=1", nil, NoQuery))
}

func TestQueryValues(t *testing.T) {
	q := Query{"from": "2026-01-31T12:00:00.1234567+01:00", "dry_run": "true", "type": "deposit"}
	at, err := q.Time("from")
	require.NoError(t, err)
	require.Equal(t, time.Date(2026, 1, 31, 11, 0, 0, 123456000, time.UTC), *at)
	at, err = q.Time("to")
	require.NoError(t, err)
	require.Nil(t, at)
	dry, err := q.Bool("dry_run")
	require.NoError(t, err)
	require.True(t, dry)
	kind, err := q.OneOf("type", "deposit", "withdraw")
	require.NoError(t, err)
	require.Equal(t, "deposit", kind)
	bad := Query{"from": "yesterday", "dry_run": "1", "type": "x"}
	_, err = bad.Time("from")
	require.Error(t, err)
	_, err = bad.Bool("dry_run")
	require.Error(t, err)
	_, err = bad.OneOf("type", "deposit")
	require.Error(t, err)
	limit, err := bad.Limit()
	require.NoError(t, err)
	require.Equal(t, DefaultLimit, limit)
}

func TestPathIDs(t *testing.T) {
	id := uuid.New()
	for text, ok := range map[string]bool{id.String(): true, strings.ToUpper(id.String()): true, "1": false,
		strings.ReplaceAll(id.String(), "-", ""): false, "urn:uuid:" + id.String(): false, "{" + id.String() + "}": false, "..%2f": false} {
		err := call(t, "/x/"+text, nil, func(c *fiber.Ctx) error {
			got, err := ID(c, "id")
			if ok {
				require.Equal(t, id, got)
			}
			return err
		})
		require.Equal(t, ok, err == nil, text)
		if !ok {
			_, code, _ := fault(t, err)
			require.Equal(t, "malformed_id", code)
		}
	}
}

func TestS3_CursorsAreBoundToUserAndList(t *testing.T) {
	cursors, err := NewCursors([]byte(strings.Repeat("k", 32)))
	require.NoError(t, err)
	_, err = NewCursors([]byte("short"))
	require.Error(t, err)
	ada, bob, row := uuid.New(), uuid.New(), uuid.New()
	sealed := cursors.Seal(ada, "accounts", row)
	got, err := cursors.Open(ada, "accounts", sealed)
	require.NoError(t, err)
	require.Equal(t, row, got)
	got, err = cursors.Open(ada, "accounts", "")
	require.NoError(t, err)
	require.Equal(t, uuid.Nil, got)

	otherKey, err := NewCursors([]byte(strings.Repeat("l", 32)))
	require.NoError(t, err)
	flipped := []byte(sealed)
	flipped[3] ^= 1
	for why, open := range map[string]func() (uuid.UUID, error){
		"other user":   func() (uuid.UUID, error) { return cursors.Open(bob, "accounts", sealed) },
		"other list":   func() (uuid.UUID, error) { return cursors.Open(ada, "entries", sealed) },
		"other key":    func() (uuid.UUID, error) { return otherKey.Open(ada, "accounts", sealed) },
		"flipped":      func() (uuid.UUID, error) { return cursors.Open(ada, "accounts", string(flipped)) },
		"longer":       func() (uuid.UUID, error) { return cursors.Open(ada, "accounts", sealed+"AA") },
		"not base64":   func() (uuid.UUID, error) { return cursors.Open(ada, "accounts", "!!!") },
		"a plain uuid": func() (uuid.UUID, error) { return cursors.Open(ada, "accounts", row.String()) },
	} {
		_, err := open()
		_, code, _ := fault(t, err)
		require.Equal(t, "invalid_cursor", code, why)
	}
}

func FuzzCursor(f *testing.F) {
	cursors, err := NewCursors([]byte(strings.Repeat("k", 32)))
	if err != nil {
		f.Fatal(err)
	}
	user := uuid.New()
	f.Add("AAAA")
	f.Fuzz(func(t *testing.T, text string) {
		if id, err := cursors.Open(user, "list", text); err == nil && text != "" {
			t.Fatalf("opened a cursor that nobody sealed: %s", id)
		}
	})
}

// BenchmarkJSON is the body of a transfer.
func BenchmarkJSON(b *testing.B) {
	body := []byte(`{"amount":"0.01","currency":"EUR","destination_account_id":"0198c0de-0000-7000-8000-0000000000b1"}`)
	b.ReportAllocs()
	for b.Loop() {
		var into struct {
			Amount      Amount    `json:"amount"`
			Currency    string    `json:"currency"`
			Destination uuid.UUID `json:"destination_account_id"`
		}
		if err := JSON(body, &into); err != nil {
			b.Fatal(err)
		}
	}
}

// TestF130_NumbersThatAFloatMayHaveRounded: a string keeps every digit, and a number up to fifteen.
func TestF130_NumbersThatAFloatMayHaveRounded(t *testing.T) {
	for _, text := range []string{`123456789012345`, `0.123456789012345`, `-1234567890123.45`, `0.00`, `1e400`,
		`"12345678901234567890"`, `1000000000.00`} {
		require.NoError(t, JSON([]byte(`{"amount":`+text+`}`), &body{}), text)
	}
	for _, text := range []string{`1234567890123456`, `16777216.0000000001`, `9007199254740993`, `1000000000000000.0`, `1.000000000000000e3`} {
		for _, field := range []string{"amount", "optional"} {
			kind, code, name := fault(t, JSON([]byte(`{"`+field+`":`+text+`}`), &body{}))
			require.Equal(t, errs.Refused, kind, text)
			require.Equal(t, [2]string{"inexact_amount", field}, [2]string{code, name}, text)
		}
	}
}

// TestF146_NullIsNotNothing: null is refused wherever it stands, and as a text it is a text.
func TestF146_NullIsNotNothing(t *testing.T) {
	for text, field := range map[string]string{`{"optional":null}`: "optional", `{"metadata":null}`: "metadata", `{"nested":null}`: "nested",
		`{"metadata":{"k":null}}`: "metadata.k", `{"target":null}`: "target", `{"currency":null,"amount":1}`: "currency"} {
		kind, code, name := fault(t, JSON([]byte(text), &body{}))
		require.Equal(t, errs.Malformed, kind, text)
		require.Equal(t, [2]string{"wrong_type", field}, [2]string{code, name}, text)
	}
	require.NoError(t, JSON([]byte(`{"metadata":{"null":"null"}}`), &body{}))
}

// TestF155_IDsHaveOneForm: in bodies as in paths and queries.
func TestF155_IDsHaveOneForm(t *testing.T) {
	const id = "0198c0de-0000-7000-8000-0000000000a1"
	for _, text := range []string{id, strings.ToUpper(id)} {
		var in body
		require.NoError(t, JSON([]byte(`{"target":"`+text+`"}`), &in))
		require.Equal(t, id, in.Target.String())
		_, err := Query{"x": text}.ID("x")
		require.NoError(t, err)
	}
	for _, text := range []string{"{" + id + "}", "urn:uuid:" + id, strings.ReplaceAll(id, "-", ""), id + " ", "", id[:35]} {
		_, code, _ := fault(t, JSON([]byte(`{"target":"`+text+`"}`), &body{}))
		require.Equal(t, "wrong_type", code, text)
		_, err := Query{"x": text}.ID("x")
		require.Error(t, err, text)
	}
}

// TestF156_TheZeroTimeIsATime: filters know the zero value as "not given", so it is never that.
func TestF156_TheZeroTimeIsATime(t *testing.T) {
	at, err := Query{"to": "0001-01-01T00:00:00Z"}.Time("to")
	require.NoError(t, err)
	require.False(t, at.IsZero())
	at, err = Query{}.Time("to")
	require.NoError(t, err)
	require.Nil(t, at)
}
