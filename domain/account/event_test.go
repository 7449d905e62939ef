package account

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/domain/currency"
	"florin/domain/money"
)

func TestS58_EventShowsEachSideItsOwn(t *testing.T) {
	e := PaymentEvent{EventID: "e", AccountID: "a's", UserID: "a", CounterpartyAccountID: "b's", CounterpartyUserID: "b", Direction: "out",
		TraceParent: "of a", Metadata: map[string]string{OperationKey: "transfer", "note": "of a"}}

	sent, mine := e.SeenBy("a")
	require.True(t, mine)
	want := e
	want.CounterpartyUserID = ""
	assert.Equal(t, want, sent)

	received, mine := e.SeenBy("b")
	require.True(t, mine)
	assert.Equal(t, PaymentEvent{EventID: "e", AccountID: "b's", UserID: "b", CounterpartyAccountID: "a's", Direction: "in",
		Metadata: map[string]string{OperationKey: "transfer"}}, received)
	assert.Equal(t, "of a", e.Metadata["note"], "the event itself stays as it is")

	for _, stranger := range []string{"c", ""} {
		_, mine := e.SeenBy(stranger)
		assert.False(t, mine, "%q", stranger)
	}
	_, mine = PaymentEvent{}.SeenBy("")
	assert.False(t, mine, "what is nobody's is nobody's")

	e.CounterpartyUserID = "a"
	own, mine := e.SeenBy("a")
	require.True(t, mine)
	assert.Equal(t, []string{"a's", "out"}, []string{own.AccountID, own.Direction}, "who sends to himself sees the sender's side")
}

func TestEventSaysWhatItsTransactionKnows(t *testing.T) {
	euro, err := currency.Parse("EUR")
	require.NoError(t, err)
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	deposit := &Transaction{ID: uuid.New(), Type: TypeDeposit, UserID: uuid.New(), AccountID: uuid.New(), Amount: money.New(1, euro), TraceParent: "trace"}
	e, err := deposit.Move(PaymentStatusInitiated, now, CauseRequest, nil)
	require.NoError(t, err)
	assert.Equal(t, "in", e.Direction)
	assert.Equal(t, "trace", e.TraceParent)
	ours := &Transaction{ID: uuid.New(), Type: TypeUnmatched, Amount: money.New(1, euro)}
	e, err = ours.Move(PaymentStatusInitiated, now, CauseWebhook, nil)
	require.NoError(t, err)
	assert.Empty(t, e.Direction+e.AccountID+e.UserID)
}
