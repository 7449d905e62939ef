package stripe

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v76/webhook"

	"florin/domain/account"
	"florin/infra/provider/stripe/stripetest"
)

const fuzzSecret = "whsec_of_the_fuzz_target_000"

// FuzzSignature compares our reading of the header with that of Stripe's own library: inside of the window, and for one
// time and at most sixteen signatures, both say the same; beyond that ours never accepts what theirs refuses.
func FuzzSignature(f *testing.F) {
	body := []byte(`{"id":"evt_1","type":"x"}`)
	now := time.Now()
	good := fmt.Sprintf("%x", signatureOf(now.Unix(), body, fuzzSecret))
	for _, header := range []string{
		"t=%T,v1=%S", "v1=%S,t=%T", "t=%T,v1=zz,v1=%S", "t=%T,v0=%S", "t=%T", "v1=%S", "", "t=%T,v1=%S,", "t=%T,v1=%S,x=y", "t=%T,v1=%S=",
		"t=+%T,v1=%S", "t=0%T,v1=%S", "t=%T,t=%T,v1=%S", "t=%T,v1=" + strings.ToUpper(good), "t=%T, v1=%S", "t=,v1=%S", "t=%T;v1=%S", "t=%T,v1=%S\x00",
		"t=%T" + strings.Repeat(",v1=00", 15) + ",v1=%S", "t=%T" + strings.Repeat(",v1=00", 16) + ",v1=%S",
	} {
		f.Add(header)
	}
	c := &Client{now: func() time.Time { return now }}
	require.NoError(f, c.SetWebhookSecrets([]string{fuzzSecret}))
	f.Fuzz(func(t *testing.T, header string) {
		header = strings.ReplaceAll(strings.ReplaceAll(header, "%T", fmt.Sprint(now.Unix())), "%S", good)
		_, ours := c.authenticate(body, http.Header{"Stripe-Signature": {header}})
		theirs := webhook.ValidatePayload(body, header, fuzzSecret)
		if ours == nil {
			require.NoError(t, theirs, header)
			return
		}
		if theirs == nil {
			times, signatures := 0, 0
			for _, pair := range strings.Split(header, ",") {
				switch name, _, _ := strings.Cut(pair, "="); name {
				case "t":
					times++
				case "v1":
					signatures++
				}
			}
			require.True(t, times > 1 || signatures > maxSignatures, "%q: %v", header, ours)
		}
	})
}

// FuzzParse: whatever authentic bytes hold, they are read or refused, and what is read is sound.
func FuzzParse(f *testing.F) {
	for kind := range translations {
		for _, object := range []string{
			`{"id":"pi_1","object":"payment_intent","amount":1000,"amount_received":1000,"currency":"eur","status":"succeeded","payment_intent":"pi_1","amount_total":1000,"payment_status":"paid","paid":true,"balance_transaction":"txn_1","charge":{"id":"ch_1"},"metadata":{"florin_transaction_id":"0190a0b0-0000-7000-8000-000000000001"}}`,
			`{}`, `null`, `[]`, `{"id":7}`, `{"id":"x","amount":1e300}`, `{"id":"x","metadata":[],"payment_intent":7}`,
		} {
			f.Add([]byte(fmt.Sprintf(`{"id":"evt_1","type":%q,"livemode":false,"created":1767268800,"data":{"object":%s}}`, kind, object)))
		}
	}
	for _, name := range stripetest.Fixtures() {
		f.Add(fixture(name))
	}
	c := &Client{now: time.Now}
	f.Fuzz(func(t *testing.T, raw []byte) {
		event, err := c.parse(raw, time.Unix(1767268800, 0))
		if err != nil {
			return
		}
		require.NotEmpty(t, event.EventID)
		require.NotEmpty(t, event.Type)
		require.Equal(t, Name, event.Provider)
		switch event.Kind {
		case account.ReceivedIgnored, account.ReceivedConsult, account.ReceivedForeign:
			return
		}
		require.Positive(t, event.Amount)
		require.Len(t, event.Currency, 3)
		require.True(t, event.PaymentID == "" || validID(event.PaymentID))
	})
}

func TestSecretsThatAreRefused(t *testing.T) {
	for _, bad := range [][]string{nil, {}, {""}, {"   "}, {"whsec_short"}, {fuzzSecret, ""}} {
		require.Error(t, CheckWebhookSecrets(bad), bad)
	}
	require.NoError(t, CheckWebhookSecrets([]string{fuzzSecret}))
	for _, bad := range []string{"", "sk_test_", "pk_test_123", "sk_prod_123", "sk_live_12 3"} {
		_, err := CheckAPIKey(bad)
		require.Error(t, err, bad)
	}
	live, err := CheckAPIKey("rk_live_123")
	require.NoError(t, err)
	require.True(t, live)
}
