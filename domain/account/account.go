// Package account is the subject of the program: accounts, the transactions that move money on them, what
// happens to both, and the ports through which they reach a store and a payment provider.
package account

import (
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"florin/domain/currency"
	"florin/domain/errs"
	"florin/domain/ledger"
	"florin/domain/money"
)

// Status is whether an account takes part.
type Status string

// The statuses of an account.
const (
	StatusActive Status = "active"
	StatusFrozen Status = "frozen"
	StatusClosed Status = "closed"
)

// The refusals that a caller can act on.
var (
	ErrInsufficientFunds = errs.New(errs.Refused, "insufficient_funds", "The available balance does not cover the amount.")
	ErrAccountClosed     = errs.New(errs.Refused, "account_closed", "The account is closed.")
	ErrAccountFrozen     = errs.New(errs.Refused, "account_frozen", "The account is frozen.")
	ErrAccountInDebt     = errs.New(errs.Refused, "account_in_debt", "Money that was taken back is still owed. What comes in settles it first.")
)

// ErrHoldEnded is a hold that was captured or released before.
var ErrHoldEnded = errors.New("hold has ended")

// Account is a user's account in one currency. Its balances change only through its operations, each of which
// records what happened; a persistence handler pulls the record and writes it.
type Account struct {
	ID        uuid.UUID
	UserID    uuid.UUID
	Name      string
	Currency  currency.Currency
	CreatedAt time.Time
	UpdatedAt time.Time
	ClosedAt  time.Time

	status      Status
	posted      money.Money
	held        money.Money
	owed        money.Money
	entrySeq    int64
	lastEntryAt time.Time
	happened    []Happening
}

// State is what a store keeps of an account beside its exported fields. Amounts are minor units.
type State struct {
	Status      Status
	Posted      int64
	Held        int64
	Owed        int64
	EntrySeq    int64
	LastEntryAt time.Time
}

// Happening is what an operation did to an account, until a persistence handler pulls it. Entry,
// less Debt, and Apart add up to the whole amount of the operation.
type Happening struct {
	Kind          HappeningKind
	TransactionID uuid.UUID
	Entry         ledger.Entry // the account's own line; its amount is 0 where the balance did not change
	// Debt is how what the account owes has changed: above zero what the balance did not cover, below zero what a credit
	// has settled.
	Debt money.Money
	// Apart is a credit that a closed account cannot take.
	Apart money.Money
}

// HappeningKind names an operation on an account.
type HappeningKind string

// The operations that post to an account.
const (
	Deposited        HappeningKind = "deposited"
	Withdrawn        HappeningKind = "withdrawn"
	TransferSent     HappeningKind = "transfer_sent"
	TransferReceived HappeningKind = "transfer_received"
	Refunded         HappeningKind = "refunded"
	TakenBack        HappeningKind = "taken_back"
	GivenBack        HappeningKind = "given_back"
	Forgiven         HappeningKind = "forgiven"
	DebtPaid         HappeningKind = "debt_paid"
)

// New opens an account with nothing on it. The name is at most 100 characters; refusals are errs.Refused.
func New(id, userID uuid.UUID, name string, c currency.Currency, now time.Time) (*Account, error) {
	if len([]rune(name)) > 100 {
		return nil, errs.InField("name", "too_long", "The name has more than 100 characters.")
	}
	if c.IsZero() {
		return nil, errs.InField("currency", "unknown_currency", "The currency is not known.")
	}
	return &Account{ID: id, UserID: userID, Name: name, Currency: c, CreatedAt: now, UpdatedAt: now,
		status: StatusActive, posted: money.Zero(c), held: money.Zero(c), owed: money.Zero(c)}, nil
}

// Restore puts an account read from the store where it stood. It is for stores alone.
func (a *Account) Restore(s State) {
	a.status, a.entrySeq, a.lastEntryAt = s.Status, s.EntrySeq, s.LastEntryAt
	a.posted, a.held, a.owed = money.New(s.Posted, a.Currency), money.New(s.Held, a.Currency), money.New(s.Owed, a.Currency)
}

// State is what a store writes.
func (a *Account) State() State {
	return State{a.status, a.posted.Minor(), a.held.Minor(), a.owed.Minor(), a.entrySeq, a.lastEntryAt}
}

// Status is whether the account takes part.
func (a *Account) Status() Status { return a.status }

// Posted is the sum of the account's entries.
func (a *Account) Posted() money.Money { return a.posted }

// Owed is what was taken back and the balance did not cover. While it is above zero nothing leaves the account at its
// holder's wish, and every credit settles it first.
func (a *Account) Owed() money.Money { return a.owed }

// Held is what open withdrawals and refunds have set aside.
func (a *Account) Held() money.Money { return a.held }

// Available is posted less held; never negative.
func (a *Account) Available() money.Money {
	available, err := a.posted.Sub(a.held)
	if err != nil {
		return money.Zero(a.Currency)
	}
	return available
}

// CheckActive is ErrAccountClosed or ErrAccountFrozen unless the account takes part.
func (a *Account) CheckActive() error {
	switch a.status {
	case StatusClosed:
		return ErrAccountClosed
	case StatusFrozen:
		return ErrAccountFrozen
	default:
		return nil
	}
}

// Hold sets the amount aside for a withdrawal or a refund: ErrAccountInDebt, or ErrInsufficientFunds where not that much is
// available.
func (a *Account) Hold(transactionID uuid.UUID, amount money.Money, now time.Time) (*Hold, error) {
	if err := a.maySpend(amount); err != nil {
		return nil, err
	}
	held, err := a.held.Add(amount)
	if err != nil {
		return nil, fmt.Errorf("hold: %w", err)
	}
	a.held, a.UpdatedAt = held, now
	return &Hold{TransactionID: transactionID, AccountID: a.ID, Amount: amount, CreatedAt: now}, nil
}

// Release gives a hold back. ErrHoldEnded where it ended before.
func (a *Account) Release(h *Hold, now time.Time) error {
	if !h.Active() {
		return ErrHoldEnded
	}
	held, err := a.held.Sub(h.Amount)
	if err != nil {
		return fmt.Errorf("release: %w", err)
	}
	a.held, a.UpdatedAt = held, now
	h.Released, h.EndedAt = h.Amount, now
	return nil
}

// Deposit credits money that a provider has confirmed.
func (a *Account) Deposit(transactionID uuid.UUID, amount money.Money, now time.Time) error {
	return a.credit(Deposited, transactionID, amount, now)
}

// GiveBack credits money that had left the account: of a refund, a dispute or a payout that came to nothing. What a closed
// account cannot take is set apart.
func (a *Account) GiveBack(transactionID uuid.UUID, amount money.Money, now time.Time) error {
	return a.credit(GivenBack, transactionID, amount, now)
}

// TakeBack debits money that is gone whether the account covers it or not: what is not available is owed from then on.
func (a *Account) TakeBack(transactionID uuid.UUID, amount money.Money, now time.Time) error {
	covered := a.Available()
	order, err := covered.Cmp(amount)
	if err != nil {
		return fmt.Errorf("take back: %w", err)
	}
	if order > 0 {
		covered = amount
	}
	short, err := amount.Sub(covered)
	if err != nil {
		return fmt.Errorf("take back: %w", err)
	}
	debit, err := covered.Neg()
	if err != nil {
		return fmt.Errorf("take back: %w", err)
	}
	return a.post(change{kind: TakenBack, transactionID: transactionID, amount: debit, debt: short}, now)
}

// Owe has the account owe an amount that is none of what it was credited with. The balance does not
// change.
func (a *Account) Owe(transactionID uuid.UUID, amount money.Money, now time.Time) error {
	return a.post(change{kind: TakenBack, transactionID: transactionID,
		amount: money.Zero(a.Currency), debt: amount, apart: money.Zero(a.Currency)}, now)
}

// PayDebt takes an amount of what the account owes from its balance: ErrInsufficientFunds where not
// that much is available.
func (a *Account) PayDebt(transactionID uuid.UUID, amount money.Money, now time.Time) error {
	less, err := amount.Neg()
	if err != nil {
		return fmt.Errorf("pay debt: %w", err)
	}
	return a.post(change{kind: DebtPaid, transactionID: transactionID, amount: less, debt: less,
		apart: money.Zero(a.Currency)}, now)
}

// Forgive takes an amount off what the account owes. The balance does not change.
func (a *Account) Forgive(transactionID uuid.UUID, amount money.Money, now time.Time) error {
	less, err := amount.Neg()
	if err != nil {
		return fmt.Errorf("forgive: %w", err)
	}
	return a.post(change{kind: Forgiven, transactionID: transactionID, amount: money.Zero(a.Currency), debt: less, apart: money.Zero(a.Currency)}, now)
}

// Withdraw turns the withdrawal's hold into a debit. ErrHoldEnded where the hold ended before.
func (a *Account) Withdraw(h *Hold, now time.Time) error { return a.capture(Withdrawn, h, now) }

// Refund turns the refund's hold into a debit. ErrHoldEnded where the hold ended before.
func (a *Account) Refund(h *Hold, now time.Time) error { return a.capture(Refunded, h, now) }

func (a *Account) capture(kind HappeningKind, h *Hold, now time.Time) error {
	if !h.Active() {
		return ErrHoldEnded
	}
	held, err := a.held.Sub(h.Amount)
	if err != nil {
		return fmt.Errorf("%s: %w", kind, err)
	}
	debit, err := h.Amount.Neg()
	if err != nil {
		return fmt.Errorf("%s: %w", kind, err)
	}
	a.held = held
	if err := a.post(change{kind: kind, transactionID: h.TransactionID, amount: debit}, now); err != nil {
		return err
	}
	h.Captured, h.EndedAt = h.Amount, now
	return nil
}

// Transfer debits this account and credits the destination. ErrAccountInDebt, or ErrInsufficientFunds where not that much
// is available.
func (a *Account) Transfer(to *Account, transactionID uuid.UUID, debit, credit money.Money, now time.Time) error {
	if err := a.maySpend(debit); err != nil {
		return err
	}
	out, err := debit.Neg()
	if err != nil {
		return fmt.Errorf("transfer: %w", err)
	}
	if err := a.post(change{kind: TransferSent, transactionID: transactionID, amount: out}, now); err != nil {
		return err
	}
	return to.credit(TransferReceived, transactionID, credit, now)
}

// Close ends the account. It is refused while anything is on it; open payments are for the caller to check.
func (a *Account) Close(now time.Time) error {
	if a.status == StatusClosed {
		return nil
	}
	if !a.posted.IsZero() || !a.held.IsZero() || !a.owed.IsZero() {
		return errs.New(errs.Conflict, "account_not_empty", "The account still has money, holds or a debt on it.")
	}
	a.status, a.ClosedAt, a.UpdatedAt = StatusClosed, now, now
	return nil
}

// Pull hands over what has happened since the last Pull.
func (a *Account) Pull() []Happening {
	happened := a.happened
	a.happened = nil
	return happened
}

// Clone is a copy for one operation to work on.
func (a *Account) Clone() *Account {
	c := *a
	c.happened = nil
	return &c
}

// maySpend says whether the account's holder may have the amount leave it.
func (a *Account) maySpend(amount money.Money) error {
	if err := a.CheckActive(); err != nil {
		return err
	}
	if a.owed.IsPositive() {
		return ErrAccountInDebt
	}
	order, err := a.Available().Cmp(amount)
	if err != nil {
		return err
	}
	if order < 0 {
		return ErrInsufficientFunds
	}
	return nil
}

// credit settles what is owed first; the rest is posted, or set apart where the account is closed.
func (a *Account) credit(kind HappeningKind, transactionID uuid.UUID, amount money.Money, now time.Time) error {
	settled := a.owed
	order, err := settled.Cmp(amount)
	if err != nil {
		return fmt.Errorf("%s: %w", kind, err)
	}
	if order > 0 {
		settled = amount
	}
	rest, err := amount.Sub(settled)
	if err != nil {
		return fmt.Errorf("%s: %w", kind, err)
	}
	debt, err := settled.Neg()
	if err != nil {
		return fmt.Errorf("%s: %w", kind, err)
	}
	c := change{kind: kind, transactionID: transactionID, amount: rest, debt: debt}
	if a.status == StatusClosed {
		c.amount, c.apart = money.Zero(a.Currency), rest
	}
	return a.post(c, now)
}

// change is one operation's effect on an account.
type change struct {
	kind                HappeningKind
	transactionID       uuid.UUID
	amount, debt, apart money.Money
}

// post is the only place where a posted balance changes. The time never runs backwards on an account, so that
// what was posted at a past time is one look at its entries.
func (a *Account) post(c change, now time.Time) error {
	posted, err := a.posted.Add(c.amount)
	if err != nil {
		return fmt.Errorf("%s: %w", c.kind, err)
	}
	free, err := posted.Sub(a.held)
	if err != nil {
		return fmt.Errorf("%s: %w", c.kind, err)
	}
	if c.amount.Sign() < 0 && free.Sign() < 0 {
		return ErrInsufficientFunds
	}
	owed := a.owed
	if !c.debt.IsZero() {
		if owed, err = a.owed.Add(c.debt); err != nil {
			return fmt.Errorf("%s: %w", c.kind, err)
		}
	}
	at := now
	if at.Before(a.lastEntryAt) {
		at = a.lastEntryAt
	}
	a.posted, a.owed, a.UpdatedAt = posted, owed, now
	h := Happening{Kind: c.kind, TransactionID: c.transactionID, Debt: c.debt, Apart: c.apart,
		Entry: ledger.Entry{AccountID: a.ID, Amount: c.amount, At: at}}
	if !c.amount.IsZero() {
		a.entrySeq++
		a.lastEntryAt = at
		h.Entry.AccountSeq, h.Entry.BalanceAfter = a.entrySeq, posted.Minor()
	}
	a.happened = append(a.happened, h)
	return nil
}

// Hold is money of an account set aside for one withdrawal or refund. It ends once: captured or released, whole.
type Hold struct {
	TransactionID uuid.UUID
	AccountID     uuid.UUID
	Amount        money.Money
	Captured      money.Money
	Released      money.Money
	CreatedAt     time.Time
	EndedAt       time.Time
}

// Active says that the hold still sets money aside.
func (h *Hold) Active() bool { return h.EndedAt.IsZero() }

// Clone is a copy for one operation to work on.
func (h *Hold) Clone() *Hold {
	c := *h
	return &c
}
