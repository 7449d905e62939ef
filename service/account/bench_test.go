package account_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"florin/domain/account"
	"florin/domain/ledger"
	"florin/infra/fx/fixed"
	accountsvc "florin/service/account"
)

// weightless is a ledger of two accounts that writes nothing: what is left is the service's own work.
type weightless struct {
	account.Books
	from, to account.Account
	payment  *account.Transaction
}

type weightlessUnit struct {
	account.UnitOfWork
	of *weightless
}

func (w *weightless) Do(ctx context.Context, _ account.Needs, fn func(context.Context, account.UnitOfWork) error) error {
	u := &weightlessUnit{of: w}
	return fn(account.WithUnit(ctx, u), u)
}

func (u *weightlessUnit) Account(id uuid.UUID) (*account.Account, bool) {
	if id == u.of.from.ID {
		return u.of.from.Clone(), true
	}
	return u.of.to.Clone(), true
}

func (u *weightlessUnit) Transaction(id uuid.UUID) (*account.Transaction, bool) {
	if u.of.payment == nil || u.of.payment.ID != id {
		return nil, false
	}
	return u.of.payment.Clone(), true
}

func (u *weightlessUnit) Key() (*account.IdempotencyRecord, bool) { return nil, false }
func (u *weightlessUnit) Inbox() (*account.InboxRecord, bool)     { return nil, false }
func (u *weightlessUnit) Hold(uuid.UUID) (*account.Hold, bool)    { return nil, false }
func (u *weightlessUnit) Effect(account.EffectKey) bool           { return false }
func (u *weightlessUnit) AddTransaction(*account.Transaction)     {}
func (u *weightlessUnit) AddPosting(uuid.UUID, ledger.Posting)    {}
func (u *weightlessUnit) AddEvent(account.PaymentEvent)           {}
func (u *weightlessUnit) AddKey(account.IdempotencyRecord)        {}
func (u *weightlessUnit) AddInbox(account.InboxRecord)            {}
func (u *weightlessUnit) AddEffect(account.Effect)                {}

// unitBus publishes as the database does: into the unit of work.
type unitBus struct{}

func (unitBus) PublishPaymentEvent(ctx context.Context, event account.PaymentEvent) error {
	u, ok := account.UnitFrom(ctx)
	if !ok {
		return errors.New("no unit of work")
	}
	u.AddEvent(event)
	return nil
}

func weightlessService(b *testing.B) (*weightless, *accountsvc.Service) {
	rig := newBench(b)
	from, to := rig.open("EUR"), rig.open("EUR")
	rig.fund(from, "1000.00", "EUR")
	w := &weightless{from: *rig.store.account(from), to: *rig.store.account(to)}
	return w, accountsvc.NewService(accountsvc.ServiceDeps{
		Ledger: w, Books: w, EventBus: unitBus{}, Providers: accountsvc.Providers{Default: "mock"}, Rates: fixed.New(),
		Clock: func() time.Time { return rig.now }, Log: slog.New(slog.DiscardHandler),
	})
}

// BenchmarkTransfer is a transfer with its key, from the request to what the ledger is handed.
func BenchmarkTransfer(b *testing.B) {
	w, svc := weightlessService(b)
	request := accountsvc.TransferRequest{DestinationID: w.to.ID, Call: accountsvc.Call{UserID: w.from.UserID, AccountID: w.from.ID,
		Amount: "0.01", Currency: "EUR", Key: &accountsvc.Key{Value: "key-1", Fingerprint: "print",
			Render: func(*accountsvc.Outcome) account.Answer { return account.Answer{Status: 200} }}}}
	b.ReportAllocs()
	for b.Loop() {
		out, err := svc.Transfer(b.Context(), request)
		if err != nil || out.Transaction.Status() != account.PaymentStatusCompleted {
			b.Fatal(err)
		}
	}
}

// BenchmarkConfirmation is the confirmation of a deposit, from the provider's event to what the ledger is handed.
func BenchmarkConfirmation(b *testing.B) {
	rig := newBench(b)
	id := rig.open("EUR")
	out, err := rig.svc.Deposit(b.Context(), accountsvc.DepositRequest{Call: rig.call(id, "1.00", "EUR")})
	require.NoError(b, err)
	w, svc := weightlessService(b)
	w.payment, w.from = out.Transaction, *rig.store.account(id)
	event := rig.webhook(account.ReceivedCompleted, out.Transaction, 100, "EUR")
	handler := accountsvc.NewPaymentEventHandler(svc)
	b.ReportAllocs()
	for b.Loop() {
		if err := handler.HandlePaymentReceived(b.Context(), event); err != nil {
			b.Fatal(err)
		}
	}
}
