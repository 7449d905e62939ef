package account_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"florin/domain/account"
	"florin/infra/fx/fixed"
	accountsvc "florin/service/account"
)

// halved is a ledger that runs each closure with a key twice: first in a batch with another request that holds the key,
// which the database takes back as a whole, then alone.
type halved struct {
	*memory
	taken account.IdempotencyRecord
}

func (h *halved) Do(ctx context.Context, needs account.Needs, fn func(context.Context, account.UnitOfWork) error) error {
	if needs.Key == nil {
		return h.memory.Do(ctx, needs, fn)
	}
	if _, stored := h.keys[*needs.Key]; !stored {
		taken := h.taken
		taken.Hash = *needs.Key
		_ = fn(ctx, &memoryUnit{store: h.memory, needs: needs, key: &taken})
	}
	return h.memory.Do(ctx, needs, fn)
}

// TestF126_KeyOfABatchThatWasTakenBack: what a request has seen of another one in a batch that was taken back is forgotten.
func TestF126_KeyOfABatchThatWasTakenBack(t *testing.T) {
	b := newBench(t)
	from, to := b.open("EUR"), b.open("EUR")
	b.fund(from, "100.00", "EUR")
	for name, state := range map[string]account.IdempotencyRecord{
		"in flight":      {LockedUntil: b.now.Add(time.Minute)},
		"left behind":    {LockedUntil: b.now.Add(-time.Minute)},
		"without answer": {FinishedAt: b.now},
	} {
		t.Run(name, func(t *testing.T) {
			state.UserID, state.Fingerprint, state.Fence, state.ResourceID = b.user, "f", 5, uuid.Must(uuid.NewV7())
			svc := accountsvc.NewService(accountsvc.ServiceDeps{Ledger: &halved{b.store, state}, Books: b.store, EventBus: b.bus,
				Providers: accountsvc.Providers{Default: "mock", ByName: map[string]account.PaymentProvider{"mock": b.bank}},
				Rates:     fixed.New(), Clock: func() time.Time { return b.now }, Log: slog.New(slog.DiscardHandler)})
			t.Cleanup(func() { require.NoError(t, svc.Close(context.Background())) })
			call := b.call(from, "10.00", "EUR")
			key := func(value string) *accountsvc.Key {
				return &accountsvc.Key{Value: name + value, Fingerprint: "f", Render: func(o *accountsvc.Outcome) account.Answer {
					return account.Answer{Status: 200, Body: []byte(o.Transaction.ID.String())}
				}}
			}
			requireOwn := func(out accountsvc.Outcome, err error, value string) {
				require.NoError(t, err)
				require.NotNil(t, out.Transaction)
				record := b.store.keys[accountsvc.KeyHash(b.user, name+value)]
				require.Equal(t, out.Transaction.ID, record.ResourceID)
				require.EqualValues(t, 1, record.Fence)
				require.NotNil(t, record.Answer, "the answer is kept under the request's own fence")
				require.Equal(t, out.Transaction.ID.String(), string(record.Answer.Body))
			}
			call.Key = key(" deposit")
			out, err := svc.Deposit(t.Context(), accountsvc.DepositRequest{Call: call})
			requireOwn(out, err, " deposit")
			call.Key = key(" transfer")
			out, err = svc.Transfer(t.Context(), accountsvc.TransferRequest{Call: call, DestinationID: to})
			requireOwn(out, err, " transfer")
		})
	}
}
