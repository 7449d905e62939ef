package eventbus_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/domain/account"
	"florin/pkg/eventbus"
	"florin/pkg/eventbus/eventbustest"
)

func TestCloudEventReadsAsItWasWritten(t *testing.T) {
	for i, e := range eventbustest.Events(3) {
		e.Direction, e.TraceParent = "in", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
		e.CounterpartyAccountID, e.CounterpartyUserID = e.TransactionID, e.EventID
		body := cloudEvent(t, int64(i), e)
		got, position, err := eventbus.UnmarshalCloudEvent([]byte(body))
		require.NoError(t, err)
		assert.Equal(t, e, got)
		assert.Equal(t, int64(i), position)
		assert.Equal(t, body, cloudEvent(t, int64(i), got), "a repeat has the same bytes")
	}
}

func TestCloudEventOfBeyond32Bits(t *testing.T) {
	const far = int64(1) << 53
	body := cloudEvent(t, far, eventbustest.Events(1)[0])
	assert.Contains(t, body, `"position":"9007199254740992"`)
	_, position, err := eventbus.UnmarshalCloudEvent([]byte(body))
	require.NoError(t, err)
	assert.Equal(t, far, position)
}

func TestF116_NewerEventIsKeptForWhoCanReadIt(t *testing.T) {
	body := cloudEvent(t, 7, eventbustest.Events(1)[0])

	added := strings.Replace(body, `"data":{`, `"added":1,"data":{"added":{"later":true},`, 1)
	_, _, err := eventbus.UnmarshalCloudEvent([]byte(added))
	require.NoError(t, err, "a member that was added is passed over")

	newer := strings.NewReplacer("payment-event:1", "payment-event:2", `"amount":12345`, `"amount":{"minor":12345}`).Replace(body)
	_, _, err = eventbus.UnmarshalCloudEvent([]byte(newer))
	require.ErrorIs(t, err, eventbus.ErrNewerEvent)
	require.NotErrorIs(t, err, eventbus.ErrNotPaymentEvent, "who drops what is not ours must not drop this")
}

func TestCloudEventRefusesWhatIsNotOurs(t *testing.T) {
	body := cloudEvent(t, 7, eventbustest.Events(1)[0])
	for name, change := range map[string][2]string{
		"not JSON":             {`{"specversion"`, `"specversion"`},
		"another spec":         {`"specversion":"1.0"`, `"specversion":"0.3"`},
		"another source":       {`"source":"/florin"`, `"source":"/guilder"`},
		"another type":         {`"type":"florin.payment.`, `"type":"florin.rate.`},
		"no version":           {"urn:florin:payment-event:1", ""},
		"version zero":         {"payment-event:1", "payment-event:0"},
		"position is no text":  {`"position":"7"`, `"position":"seven"`},
		"negative position":    {`"position":"7"`, `"position":"-7"`},
		"status is none":       {`"status":"initiated"`, `"status":"lost"`},
		"type against status":  {`"type":"florin.payment.initiated"`, `"type":"florin.payment.failed"`},
		"seq against data":     {`"seq":1,"position"`, `"seq":2,"position"`},
		"amount with decimals": {`"amount":12345`, `"amount":123.45`},
	} {
		t.Run(name, func(t *testing.T) {
			changed := strings.Replace(body, change[0], change[1], 1)
			require.NotEqual(t, body, changed)
			_, _, err := eventbus.UnmarshalCloudEvent([]byte(changed))
			require.ErrorIs(t, err, eventbus.ErrNotPaymentEvent)
			require.NotErrorIs(t, err, eventbus.ErrNewerEvent)
		})
	}
}

func cloudEvent(t *testing.T, position int64, e account.PaymentEvent) string {
	t.Helper()
	body, err := eventbus.MarshalCloudEvent(position, e)
	require.NoError(t, err)
	return string(body)
}
