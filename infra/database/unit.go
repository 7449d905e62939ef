package database

import (
	"github.com/google/uuid"

	"florin/domain/account"
	"florin/domain/ledger"
)

// state is an identity map: of every row one object.
type state struct {
	transactions map[uuid.UUID]*account.Transaction
	accounts     map[uuid.UUID]*account.Account
	holds        map[uuid.UUID]*account.Hold
	keys         map[uuid.UUID]*account.IdempotencyRecord
	inbox        map[account.InboxKey]*account.InboxRecord
	effects      map[account.EffectKey]bool
	reviews      map[uuid.UUID]*account.Review // nil for none
	openPayments map[uuid.UUID]bool            // by account
	openDeposits map[uuid.UUID]int             // by user
	openAccounts map[uuid.UUID]int             // by user
}

func newState() state {
	return state{
		transactions: map[uuid.UUID]*account.Transaction{},
		accounts:     map[uuid.UUID]*account.Account{},
		holds:        map[uuid.UUID]*account.Hold{},
		keys:         map[uuid.UUID]*account.IdempotencyRecord{},
		inbox:        map[account.InboxKey]*account.InboxRecord{},
		effects:      map[account.EffectKey]bool{},
		openPayments: map[uuid.UUID]bool{},
		openDeposits: map[uuid.UUID]int{},
		openAccounts: map[uuid.UUID]int{},
	}
}

// touched is what one operation has seen and added, of every row one object.
type touched struct {
	transactions few[uuid.UUID, *account.Transaction]
	accounts     few[uuid.UUID, *account.Account]
	holds        few[uuid.UUID, *account.Hold]
	keys         few[uuid.UUID, *account.IdempotencyRecord]
	inbox        few[account.InboxKey, *account.InboxRecord]
	effects      few[account.EffectKey, bool]
	reviews      few[uuid.UUID, *account.Review]
}

// additions is what units add, in the order of adding. What is added by pointer is written as it stands at the end.
type additions struct {
	accounts      []*account.Account
	transactions  []*account.Transaction
	postings      []posting
	holds         []*account.Hold
	keys          []*account.IdempotencyRecord
	inbox         []*account.InboxRecord
	effects       []account.Effect
	events        []*account.PaymentEvent
	reviews       []account.Review
	deadLetters   []account.DeadLetter
	providerCalls []account.ProviderCall
	audit         []account.Audit
}

type posting struct {
	transactionID uuid.UUID
	entries       []ledger.Entry
}

// unit implements account.UnitOfWork: what one operation sees and changes. It works on copies of what its batch has
// loaded, which the batch takes over only when the operation ends well.
type unit struct {
	batch   *batch
	needs   account.Needs
	own     touched
	added   additions
	refusal error // what the operation ended with
}

// Transaction implements account.UnitOfWork.
func (u *unit) Transaction(id uuid.UUID) (*account.Transaction, bool) {
	return own(&u.own.transactions, u.batch.state.transactions, id, (*account.Transaction).Clone)
}

// Account implements account.UnitOfWork.
func (u *unit) Account(id uuid.UUID) (*account.Account, bool) {
	return own(&u.own.accounts, u.batch.state.accounts, id, (*account.Account).Clone)
}

// Hold implements account.UnitOfWork.
func (u *unit) Hold(transactionID uuid.UUID) (*account.Hold, bool) {
	return own(&u.own.holds, u.batch.state.holds, transactionID, (*account.Hold).Clone)
}

// Key implements account.UnitOfWork.
func (u *unit) Key() (*account.IdempotencyRecord, bool) {
	if u.needs.Key == nil {
		return nil, false
	}
	return own(&u.own.keys, u.batch.state.keys, *u.needs.Key, copyOf)
}

// Inbox implements account.UnitOfWork.
func (u *unit) Inbox() (*account.InboxRecord, bool) {
	if u.needs.Inbox == nil {
		return nil, false
	}
	return own(&u.own.inbox, u.batch.state.inbox, *u.needs.Inbox, copyOf)
}

// Effect implements account.UnitOfWork.
func (u *unit) Effect(key account.EffectKey) bool {
	if mine, _ := u.own.effects.get(key); mine {
		return true
	}
	return u.batch.state.effects[key]
}

// Review implements account.UnitOfWork.
func (u *unit) Review() (*account.Review, bool) {
	return own(&u.own.reviews, u.batch.state.reviews, u.needs.Review, copyOf)
}

// Followers implements account.UnitOfWork.
func (u *unit) Followers(transactionID uuid.UUID) []*account.Transaction {
	var ids []uuid.UUID
	for _, mine := range u.own.transactions {
		if mine.value.LinkedID == transactionID {
			ids = append(ids, mine.key)
		}
	}
	for id, t := range u.batch.state.transactions {
		if t.LinkedID == transactionID {
			ids = append(ids, id)
		}
	}
	followers := make([]*account.Transaction, 0, len(ids))
	for _, id := range sorted(ids) {
		t, _ := u.Transaction(id)
		followers = append(followers, t)
	}
	return followers
}

// OpenPayments implements account.UnitOfWork.
func (u *unit) OpenPayments(accountID uuid.UUID) bool {
	return u.batch.state.openPayments[accountID]
}

// OpenDeposits implements account.UnitOfWork.
func (u *unit) OpenDeposits() int { return u.batch.state.openDeposits[u.needs.DepositsOf] }

// OpenAccounts implements account.UnitOfWork.
func (u *unit) OpenAccounts() int { return u.batch.state.openAccounts[u.needs.AccountsOf] }

// own finds the operation's copy of an object, making it at the first look.
func own[K comparable, V any](mine *few[K, *V], loaded map[K]*V, key K, clone func(*V) *V) (*V, bool) {
	if v, ok := mine.get(key); ok {
		return v, true
	}
	v, ok := loaded[key]
	if !ok {
		return nil, false
	}
	v = clone(v)
	mine.set(key, v)
	return v, true
}

func copyOf[V any](v *V) *V {
	c := *v
	return &c
}

// AddAccount implements account.UnitOfWork.
func (u *unit) AddAccount(a *account.Account) {
	u.own.accounts.set(a.ID, a)
	u.added.accounts = append(u.added.accounts, a)
}

// AddTransaction implements account.UnitOfWork.
func (u *unit) AddTransaction(t *account.Transaction) {
	u.own.transactions.set(t.ID, t)
	u.added.transactions = append(u.added.transactions, t)
}

// AddPosting implements account.UnitOfWork.
func (u *unit) AddPosting(transactionID uuid.UUID, p ledger.Posting) {
	u.added.postings = append(u.added.postings, posting{transactionID, p.Entries()})
}

// AddHold implements account.UnitOfWork.
func (u *unit) AddHold(h *account.Hold) {
	u.own.holds.set(h.TransactionID, h)
	u.added.holds = append(u.added.holds, h)
}

// AddEvent implements account.UnitOfWork.
func (u *unit) AddEvent(e account.PaymentEvent) { u.added.events = append(u.added.events, &e) }

// AddKey implements account.UnitOfWork.
func (u *unit) AddKey(r account.IdempotencyRecord) {
	u.own.keys.set(r.Hash, &r)
	u.added.keys = append(u.added.keys, &r)
}

// AddInbox implements account.UnitOfWork.
func (u *unit) AddInbox(r account.InboxRecord) {
	u.own.inbox.set(account.InboxKey{Provider: r.Event.Provider, EventID: r.Event.EventID}, &r)
	u.added.inbox = append(u.added.inbox, &r)
}

// AddEffect implements account.UnitOfWork.
func (u *unit) AddEffect(e account.Effect) {
	u.own.effects.set(e.EffectKey, true)
	u.added.effects = append(u.added.effects, e)
}

// AddReview implements account.UnitOfWork.
func (u *unit) AddReview(r account.Review) { u.added.reviews = append(u.added.reviews, r) }

// AddDeadLetter implements account.UnitOfWork.
func (u *unit) AddDeadLetter(d account.DeadLetter) {
	u.added.deadLetters = append(u.added.deadLetters, d)
}

// AddProviderCall implements account.UnitOfWork.
func (u *unit) AddProviderCall(c account.ProviderCall) {
	u.added.providerCalls = append(u.added.providerCalls, c)
}

// AddAudit implements account.UnitOfWork.
func (u *unit) AddAudit(a account.Audit) { u.added.audit = append(u.added.audit, a) }
