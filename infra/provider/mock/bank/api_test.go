package bank_test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/infra/provider/mock/bank"
)

func TestNewRefuses(t *testing.T) {
	for name, cfg := range map[string]bank.Config{
		"no path":      {APIKey: apiKey, WebhookSecrets: []string{secret}},
		"no key":       {LedgerPath: t.TempDir() + "/x", WebhookSecrets: []string{secret}},
		"no secret":    {LedgerPath: t.TempDir() + "/x", APIKey: apiKey},
		"empty secret": {LedgerPath: t.TempDir() + "/x", APIKey: apiKey, WebhookSecrets: []string{"whsec_"}},
		"no folder":    {LedgerPath: t.TempDir() + "/a/b", APIKey: apiKey, WebhookSecrets: []string{secret}},
	} {
		_, err := bank.New(cfg)
		require.Error(t, err, name)
	}
}

func TestEveryCallNeedsTheKey(t *testing.T) {
	r := open(t)
	for _, path := range []string{"/payments/x", "/ledger", "/payments?transaction_id=x", "/nothing"} {
		for _, header := range []string{"", "Bearer ", "Bearer wrong", apiKey, "Basic " + apiKey} {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url+path, nil)
			require.NoError(t, err)
			request.Header.Set("Authorization", header)
			response, err := http.DefaultClient.Do(request)
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			assert.Equal(t, http.StatusUnauthorized, response.StatusCode, path+" "+header)
		}
	}
	assert.Equal(t, http.StatusOK, r.call(t, http.MethodGet, "/healthz", "", "").status)
}

func TestIdempotency(t *testing.T) {
	r := open(t)
	id := uuid.NewString()
	first := r.call(t, http.MethodPost, "/payments", "key", bodyOf(id, 1000, ""))
	require.Equal(t, http.StatusCreated, first.status)
	require.False(t, first.replayed)
	r.call(t, http.MethodPost, "/payments/"+first.ID+"/complete", "", "")

	again := r.call(t, http.MethodPost, "/payments", "key", strings.ReplaceAll(bodyOf(id, 1000, ""), ",", " , "))
	assert.Equal(t, http.StatusCreated, again.status)
	assert.True(t, again.replayed)
	assert.Equal(t, first.raw, again.raw, "the first answer is repeated, not the present state")

	for name, other := range map[string]reply{
		"amount":   r.call(t, http.MethodPost, "/payments", "key", bodyOf(id, 1001, "")),
		"metadata": r.call(t, http.MethodPost, "/payments", "key", bodyOf(id, 1000, "late")),
		"endpoint": r.call(t, http.MethodPost, "/payouts", "key", payout(id)),
	} {
		assert.Equal(t, http.StatusConflict, other.status, name)
		assert.Equal(t, "idempotency_key_reused", other.Error.Code, name)
	}
	assert.Len(t, r.ledger(t).Payments, 1)
}

func TestSameKeyAtOnce(t *testing.T) {
	r := open(t)
	in := body("")
	ids := make([]string, 32)
	var calls sync.WaitGroup
	for i := range ids {
		calls.Go(func() {
			got, err := r.try(t.Context(), http.MethodPost, "/payments", "key", in)
			assert.NoError(t, err)
			ids[i] = got.ID
		})
	}
	calls.Wait()
	for _, id := range ids {
		assert.Equal(t, ids[0], id)
	}
	assert.Len(t, r.ledger(t).Payments, 1)
}

func payout(id string) string {
	return fmt.Sprintf(`{"transaction_id":%q,"amount":5,"currency":"EUR","external_target":{"routing_number":"1"}}`, id)
}

func TestCreateIsChecked(t *testing.T) {
	r := open(t)
	good := bodyOf(uuid.NewString(), 1000, "")
	for name, test := range map[string]struct {
		path, key, body string
		status          int
		code            string
	}{
		"no key":             {"/payments", "", good, 422, "invalid"},
		"long key":           {"/payments", strings.Repeat("k", 256), good, 422, "invalid"},
		"empty":              {"/payments", "k", "", 400, "malformed"},
		"no JSON":            {"/payments", "k", "{", 400, "malformed"},
		"two values":         {"/payments", "k", good + "{}", 400, "malformed"},
		"unknown field":      {"/payments", "k", strings.Replace(good, "{", `{"x":1,`, 1), 400, "malformed"},
		"too large":          {"/payments", "k", strings.Repeat(" ", 65<<10) + good, 413, "too_large"},
		"fraction":           {"/payments", "k", strings.Replace(good, "1000", "10.5", 1), 400, "malformed"},
		"zero":               {"/payments", "k", bodyOf(uuid.NewString(), 0, ""), 422, "invalid"},
		"negative":           {"/payments", "k", bodyOf(uuid.NewString(), -5, ""), 422, "invalid"},
		"currency":           {"/payments", "k", strings.Replace(good, "EUR", "eur", 1), 422, "invalid"},
		"transaction":        {"/payments", "k", bodyOf("42", 1000, ""), 422, "invalid"},
		"unknown scenario":   {"/payments", "k", body("declin"), 422, "unknown_scenario"},
		"payout, no target":  {"/payouts", "k", good, 422, "invalid"},
		"payment and target": {"/payments", "k", payout(uuid.NewString()), 422, "invalid"},
	} {
		got := r.call(t, http.MethodPost, test.path, test.key, test.body)
		assert.Equal(t, test.status, got.status, name)
		assert.Equal(t, test.code, got.Error.Code, name)
		assert.NotEmpty(t, got.Error.Message, name)
	}
	assert.Empty(t, r.ledger(t).Payments)
}

func TestMoves(t *testing.T) {
	for name, test := range map[string]struct {
		calls  []string // "verb body"
		status int      // of the last call
		state  string
	}{
		"complete":             {[]string{"complete "}, 200, "completed"},
		"complete twice":       {[]string{"complete ", "complete {}"}, 200, "completed"},
		"fail":                 {[]string{`fail {"code":"insufficient_funds","message":"No."}`}, 200, "failed"},
		"cancel":               {[]string{"cancel "}, 200, "canceled"},
		"cancel twice":         {[]string{"cancel ", "cancel "}, 200, "canceled"},
		"cancel what is paid":  {[]string{"complete ", "cancel "}, 409, "completed"},
		"fail what is paid":    {[]string{"complete ", "fail "}, 409, "completed"},
		"pay what failed":      {[]string{"fail ", "complete "}, 409, "failed"},
		"find the money after": {[]string{"fail ", `complete {"force":true}`}, 200, "completed"},
		"force takes nothing":  {[]string{"complete ", `fail {"force":true}`}, 409, "completed"},
	} {
		t.Run(name, func(t *testing.T) {
			r := open(t)
			id := r.create(t, "").ID
			var last reply
			for _, c := range test.calls {
				verb, in, _ := strings.Cut(c, " ")
				last = r.call(t, http.MethodPost, "/payments/"+id+"/"+verb, "", in)
			}
			assert.Equal(t, test.status, last.status)
			assert.Equal(t, test.state, r.state(t, id))
			assert.Equal(t, test.state, r.ledger(t).Payments[0].State)
		})
	}
	missing := open(t).call(t, http.MethodPost, "/payments/pay_none/complete", "", "")
	assert.Equal(t, http.StatusNotFound, missing.status)
}

func TestFindByTransaction(t *testing.T) {
	r := open(t)
	id := uuid.NewString()
	assert.JSONEq(t, `{"data":[]}`, r.call(t, http.MethodGet, "/payments?transaction_id="+id, "", "").raw)
	made := r.call(t, http.MethodPost, "/payouts", "key", payout(id))
	require.Equal(t, http.StatusCreated, made.status)
	assert.Contains(t, r.call(t, http.MethodGet, "/payments?transaction_id="+id, "", "").raw, made.ID)
	assert.Equal(t, http.StatusUnprocessableEntity, r.call(t, http.MethodGet, "/payments", "", "").status)
}

func TestLedgerFileIsPrivate(t *testing.T) {
	r := open(t)
	info, err := os.Stat(r.path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}
