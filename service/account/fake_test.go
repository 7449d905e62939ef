package account_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"florin/domain/account"
	"florin/domain/errs"
	"florin/domain/ledger"
	"florin/infra/fx/fixed"
	"florin/pkg/eventbus"
	accountsvc "florin/service/account"
)

// memory is a ledger and its books in maps: one operation at a time, written only when its closure returns nil.
type memory struct {
	account.Books
	t            testing.TB
	mu           sync.Mutex
	accounts     map[uuid.UUID]*account.Account
	transactions map[uuid.UUID]*account.Transaction
	holds        map[uuid.UUID]*account.Hold
	keys         map[uuid.UUID]account.IdempotencyRecord
	inbox        map[account.InboxKey]account.InboxRecord
	effects      map[account.EffectKey]bool
	postings     map[uuid.UUID]ledger.Posting
	reviews      []account.Review
	letters      []account.DeadLetter
	calls        []account.ProviderCall
	down         error
}

func newMemory(t testing.TB) *memory {
	return &memory{t: t, accounts: map[uuid.UUID]*account.Account{}, transactions: map[uuid.UUID]*account.Transaction{},
		holds: map[uuid.UUID]*account.Hold{}, keys: map[uuid.UUID]account.IdempotencyRecord{},
		inbox: map[account.InboxKey]account.InboxRecord{}, effects: map[account.EffectKey]bool{}, postings: map[uuid.UUID]ledger.Posting{}}
}

func (m *memory) Do(ctx context.Context, needs account.Needs, fn func(context.Context, account.UnitOfWork) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down != nil {
		return m.down
	}
	u := &memoryUnit{store: m, needs: needs, accounts: map[uuid.UUID]*account.Account{}, transactions: map[uuid.UUID]*account.Transaction{},
		holds: map[uuid.UUID]*account.Hold{}, postings: map[uuid.UUID]ledger.Posting{}}
	if needs.Key != nil {
		if r, ok := m.keys[*needs.Key]; ok {
			u.key = &r
		}
	}
	if needs.Inbox != nil {
		if r, ok := m.inbox[*needs.Inbox]; ok {
			u.row = &r
		}
	}
	if err := fn(account.WithUnit(ctx, u), u); err != nil {
		return err
	}
	u.commit()
	return nil
}

type memoryUnit struct {
	store        *memory
	needs        account.Needs
	accounts     map[uuid.UUID]*account.Account
	transactions map[uuid.UUID]*account.Transaction
	holds        map[uuid.UUID]*account.Hold
	key          *account.IdempotencyRecord
	row          *account.InboxRecord
	effects      []account.Effect
	postings     map[uuid.UUID]ledger.Posting
	reviews      []account.Review
	letters      []account.DeadLetter
	calls        []account.ProviderCall
}

func (u *memoryUnit) commit() {
	for id, a := range u.accounts {
		u.store.accounts[id] = a
	}
	for id, t := range u.transactions {
		u.store.transactions[id] = t
	}
	for id, h := range u.holds {
		u.store.holds[id] = h
	}
	for id, p := range u.postings {
		u.store.postings[id] = p
	}
	for _, e := range u.effects {
		u.store.effects[e.EffectKey] = true
	}
	if u.key != nil {
		u.store.keys[u.key.Hash] = *u.key
	}
	if u.row != nil {
		u.store.inbox[account.InboxKey{Provider: u.row.Event.Provider, EventID: u.row.Event.EventID}] = *u.row
	}
	u.store.reviews = append(u.store.reviews, u.reviews...)
	u.store.letters = append(u.store.letters, u.letters...)
	u.store.calls = append(u.store.calls, u.calls...)
}

func (u *memoryUnit) Transaction(id uuid.UUID) (*account.Transaction, bool) {
	if t, ok := u.transactions[id]; ok {
		return t, true
	}
	t, ok := u.store.transactions[id]
	if !ok {
		return nil, false
	}
	u.transactions[id] = t.Clone()
	return u.transactions[id], true
}

func (u *memoryUnit) Account(id uuid.UUID) (*account.Account, bool) {
	if a, ok := u.accounts[id]; ok {
		return a, true
	}
	a, ok := u.store.accounts[id]
	if !ok {
		return nil, false
	}
	u.accounts[id] = a.Clone()
	return u.accounts[id], true
}

func (u *memoryUnit) Followers(of uuid.UUID) []*account.Transaction {
	require.Contains(u.store.t, u.needs.Transactions, u.needs.Families[0], "what is followed is locked")
	ids := map[uuid.UUID]bool{}
	for _, all := range []map[uuid.UUID]*account.Transaction{u.store.transactions, u.transactions} {
		for id, t := range all {
			if t.LinkedID == of {
				ids[id] = true
			}
		}
	}
	followers := []*account.Transaction{}
	for id := range ids {
		t, _ := u.Transaction(id)
		followers = append(followers, t)
	}
	slices.SortFunc(followers, func(a, b *account.Transaction) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return followers
}

func (u *memoryUnit) Hold(id uuid.UUID) (*account.Hold, bool) {
	if h, ok := u.holds[id]; ok {
		return h, true
	}
	h, ok := u.store.holds[id]
	if !ok {
		return nil, false
	}
	u.holds[id] = h.Clone()
	return u.holds[id], true
}

func (u *memoryUnit) Key() (*account.IdempotencyRecord, bool) { return u.key, u.key != nil }
func (u *memoryUnit) Inbox() (*account.InboxRecord, bool)     { return u.row, u.row != nil }
func (u *memoryUnit) Effect(k account.EffectKey) bool         { return u.store.effects[k] }
func (u *memoryUnit) Review() (*account.Review, bool)         { return nil, false }
func (u *memoryUnit) OpenPayments(id uuid.UUID) bool {
	for _, t := range u.store.transactions {
		if t.AccountID == id && !t.Status().Terminal() {
			return true
		}
	}
	return false
}

func (u *memoryUnit) OpenDeposits() int {
	open := 0
	for _, t := range u.store.transactions {
		if t.UserID == u.needs.DepositsOf && t.Type == account.TypeDeposit && !t.Status().Terminal() {
			open++
		}
	}
	return open
}

func (u *memoryUnit) OpenAccounts() int {
	open := 0
	for _, a := range u.store.accounts {
		if a.UserID == u.needs.AccountsOf && a.Status() != account.StatusClosed {
			open++
		}
	}
	return open
}

func (u *memoryUnit) AddAccount(a *account.Account)             { u.accounts[a.ID] = a }
func (u *memoryUnit) AddTransaction(t *account.Transaction)     { u.transactions[t.ID] = t }
func (u *memoryUnit) AddPosting(id uuid.UUID, p ledger.Posting) { u.postings[id] = p }
func (u *memoryUnit) AddHold(h *account.Hold)                   { u.holds[h.TransactionID] = h }
func (u *memoryUnit) AddEvent(account.PaymentEvent)             {}
func (u *memoryUnit) AddKey(r account.IdempotencyRecord)        { u.key = &r }
func (u *memoryUnit) AddInbox(r account.InboxRecord)            { u.row = &r }
func (u *memoryUnit) AddEffect(e account.Effect)                { u.effects = append(u.effects, e) }
func (u *memoryUnit) AddReview(r account.Review)                { u.reviews = append(u.reviews, r) }
func (u *memoryUnit) AddDeadLetter(d account.DeadLetter)        { u.letters = append(u.letters, d) }
func (u *memoryUnit) AddProviderCall(c account.ProviderCall)    { u.calls = append(u.calls, c) }
func (u *memoryUnit) AddAudit(account.Audit)                    {}

func (m *memory) FindTransactionByPayment(_ context.Context, provider, paymentID string) (*account.Transaction, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, t := range m.transactions {
		if t.Provider == provider && t.PaymentID == paymentID && (t.Type == account.TypeDeposit || t.Type == account.TypeWithdraw) {
			return t.Clone(), nil
		}
	}
	return nil, errs.Missing("Transaction")
}

func (m *memory) FindFollowUp(_ context.Context, provider, ref string) (*account.Transaction, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, t := range m.transactions {
		if t.Provider == provider && t.PaymentID == ref && (t.Type == account.TypeRefund || t.Type == account.TypeChargeback) {
			return t.Clone(), nil
		}
	}
	return nil, errs.Missing("Transaction")
}

func (m *memory) FindAccount(_ context.Context, _, id uuid.UUID) (*account.Account, error) {
	return m.account(id), nil
}

func (m *memory) FindTransaction(_ context.Context, _, id uuid.UUID) (*account.Transaction, uuid.UUID, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t, ok := m.transactions[id]
	if !ok {
		return nil, uuid.Nil, errs.Missing("Transaction")
	}
	return t.Clone(), t.AccountID, nil
}

func (m *memory) account(id uuid.UUID) *account.Account {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.accounts[id].Clone()
}

func (m *memory) transaction(id uuid.UUID) *account.Transaction {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.transactions[id].Clone()
}

// bank is a provider that does as told.
type bank struct {
	mu        sync.Mutex
	initiate  func(id uuid.UUID, key string) (account.Initiation, error)
	report    func(account.PaymentRef) (account.PaymentReport, error)
	consult   func(account.PaymentReceivedEvent) ([]account.PaymentReceivedEvent, error)
	refunds   []account.RefundInstruction
	deposits  []account.DepositInstruction
	withdraws []account.WithdrawInstruction
}

func (b *bank) Name() string { return "mock" }

func (b *bank) InitiateDeposit(_ context.Context, in account.DepositInstruction) (account.Initiation, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.deposits = append(b.deposits, in)
	return b.initiate(in.TransactionID, in.IdempotencyKey)
}

func (b *bank) InitiateWithdraw(_ context.Context, in account.WithdrawInstruction) (account.Initiation, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.withdraws = append(b.withdraws, in)
	return b.initiate(in.TransactionID, in.IdempotencyKey)
}

func (b *bank) GetPaymentStatus(_ context.Context, ref account.PaymentRef) (account.PaymentReport, error) {
	return b.report(ref)
}

func (b *bank) CancelPayment(_ context.Context, ref account.PaymentRef) (account.PaymentReport, error) {
	return b.report(ref)
}

func (b *bank) RefundPayment(_ context.Context, in account.RefundInstruction) (account.Initiation, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refunds = append(b.refunds, in)
	return b.initiate(in.TransactionID, in.IdempotencyKey)
}

func (b *bank) Consult(_ context.Context, e account.PaymentReceivedEvent) ([]account.PaymentReceivedEvent, error) {
	return b.consult(e)
}

func (b *bank) ListEvents(context.Context, string) ([]account.PaymentReceivedEvent, string, error) {
	return nil, "", nil
}

func (b *bank) ParseWebhook([]byte, http.Header) (account.PaymentReceivedEvent, error) {
	return account.PaymentReceivedEvent{}, account.ErrWebhookMalformed
}

func (b *bank) SignsWebhook(http.Header) bool { return false }

func accepts(id uuid.UUID, _ string) (account.Initiation, error) {
	return account.Initiation{PaymentID: "pay_" + id.String(), Report: account.PaymentReport{Kind: account.ReceivedPending}}, nil
}

// bench is a service on fakes with one user and one clock.
type bench struct {
	t       testing.TB
	store   *memory
	bus     *eventbus.MemoryEventBus
	bank    *bank
	svc     *accountsvc.Service
	handler accountsvc.PaymentEventHandler
	user    uuid.UUID
	now     time.Time
	events  int
}

func newBench(t testing.TB) *bench {
	b := &bench{t: t, store: newMemory(t), bus: &eventbus.MemoryEventBus{}, bank: &bank{initiate: accepts},
		user: uuid.Must(uuid.NewV7()), now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	b.svc = accountsvc.NewService(accountsvc.ServiceDeps{
		Ledger: b.store, Books: b.store, EventBus: b.bus,
		Providers: accountsvc.Providers{Default: "mock", ByName: map[string]account.PaymentProvider{"mock": b.bank}},
		Rates:     fixed.New(), Clock: func() time.Time { return b.now }, Log: slog.New(slog.DiscardHandler),
		Limits: accountsvc.Limits{OpenDeposits: 10_000, Accounts: 10_000},
	})
	b.handler = accountsvc.NewPaymentEventHandler(b.svc)
	t.Cleanup(func() { require.NoError(t, b.svc.Close(context.Background())) })
	return b
}

func (b *bench) open(code string) uuid.UUID {
	out, err := b.svc.OpenAccount(b.t.Context(), accountsvc.OpenAccountRequest{UserID: b.user, Currency: code})
	require.NoError(b.t, err)
	return out.Account.ID
}

func (b *bench) call(id uuid.UUID, amount, code string) accountsvc.Call {
	return accountsvc.Call{UserID: b.user, AccountID: id, Amount: amount, Currency: code}
}

// webhook is an event of the bank about the transaction's payment.
func (b *bench) webhook(kind account.ReceivedKind, t *account.Transaction, minor int64, code string) account.PaymentReceivedEvent {
	b.events++
	return account.PaymentReceivedEvent{Provider: "mock", EventID: "evt_" + strconv.Itoa(b.events), Kind: kind, Type: string(kind),
		PaymentID: "pay_" + t.ID.String(), TransactionID: t.ID, Amount: minor, Currency: code, Cause: account.CauseWebhook, Raw: []byte("{}")}
}

func (b *bench) confirm(t *account.Transaction) {
	require.NoError(b.t, b.handler.HandlePaymentReceived(b.t.Context(),
		b.webhook(account.ReceivedCompleted, t, t.Amount.Minor(), t.Amount.Currency().Code())))
}

func (b *bench) fund(id uuid.UUID, amount, code string) {
	out, err := b.svc.Deposit(b.t.Context(), accountsvc.DepositRequest{Call: b.call(id, amount, code)})
	require.NoError(b.t, err)
	b.confirm(out.Transaction)
}
