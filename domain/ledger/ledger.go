// Package ledger holds the rule of double entry: what is posted sums to zero per currency.
package ledger

import (
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"florin/domain/currency"
	"florin/domain/money"
)

// ErrUnbalanced is a posting whose entries do not sum to zero in some currency.
var ErrUnbalanced = errors.New("posting does not sum to zero")

// ErrEmptyEntry is an entry of nothing.
var ErrEmptyEntry = errors.New("entry of zero")

// SystemAccount names one of our own accounts. Its row is never locked or updated: its balance is the sum of
// its entries.
type SystemAccount struct {
	Code     string // for example "provider_clearing:mock"
	Currency currency.Currency
}

// ProviderClearing is the money that a provider has taken in for us.
func ProviderClearing(provider string, c currency.Currency) SystemAccount {
	return SystemAccount{"provider_clearing:" + provider, c}
}

// PayoutClearing is the money that a provider has paid out for us.
func PayoutClearing(provider string, c currency.Currency) SystemAccount {
	return SystemAccount{"payout_clearing:" + provider, c}
}

// FXPosition is the other side of every conversion, in both currencies.
func FXPosition(c currency.Currency) SystemAccount { return SystemAccount{"fx_position", c} }

// Fees is what providers keep for their work.
func Fees(c currency.Currency) SystemAccount { return SystemAccount{"fees", c} }

// Receivable is what the holders of accounts owe us. Each entry names its debtor.
func Receivable(c currency.Currency) SystemAccount { return SystemAccount{"receivable", c} }

// Suspense holds money that belongs to no transaction until a person decides.
func Suspense(c currency.Currency) SystemAccount { return SystemAccount{"suspense", c} }

var systemNamespace = uuid.MustParse("6c1d3b0e-3a5f-5a57-9d1c-0f10a1b2c3d4")

// ID is the account's id. It is derived from code and currency, so no look-up is needed to post to it.
func (s SystemAccount) ID() uuid.UUID {
	return uuid.NewSHA1(systemNamespace, []byte(s.Code+"/"+s.Currency.Code()))
}

// Entry is one signed line on one account. It is never changed.
type Entry struct {
	AccountID uuid.UUID
	Amount    money.Money // signed, never zero
	// AccountSeq and BalanceAfter (minor units) are the user account's own sequence and its posted balance
	// after the entry. AccountSeq is 0 on system accounts.
	AccountSeq   int64
	BalanceAfter int64
	At           time.Time
	// System is set on entries of system accounts.
	System *SystemAccount
	// DebtorID is the user account that a receivable is owed by, uuid.Nil on every other entry.
	DebtorID uuid.UUID
}

// SystemEntry is an entry on one of our own accounts.
func SystemEntry(account SystemAccount, amount money.Money, at time.Time) Entry {
	return Entry{AccountID: account.ID(), Amount: amount, At: at, System: &account}
}

// ReceivableEntry is an entry on what the debtor owes: below zero what it owes more, above zero what it has paid of that.
func ReceivableEntry(debtor uuid.UUID, amount money.Money, at time.Time) Entry {
	e := SystemEntry(Receivable(amount.Currency()), amount, at)
	e.DebtorID = debtor
	return e
}

// Posting is the entries of one transaction: they sum to zero in each currency.
type Posting struct{ entries []Entry }

// NewPosting returns the posting of the entries, or ErrUnbalanced, ErrEmptyEntry or an overflow.
func NewPosting(entries ...Entry) (Posting, error) {
	sums := make(map[currency.Currency]money.Money, 2)
	for _, e := range entries {
		if e.Amount.IsZero() {
			return Posting{}, fmt.Errorf("account %s: %w", e.AccountID, ErrEmptyEntry)
		}
		c := e.Amount.Currency()
		sum, seen := sums[c]
		if !seen {
			sum = money.Zero(c)
		}
		sum, err := sum.Add(e.Amount)
		if err != nil {
			return Posting{}, fmt.Errorf("sum of a posting: %w", err)
		}
		sums[c] = sum
	}
	for c, sum := range sums {
		if !sum.IsZero() {
			return Posting{}, fmt.Errorf("%s: %w", c.Code(), ErrUnbalanced)
		}
	}
	return Posting{entries: entries}, nil
}

// Entries are the lines in the order given.
func (p Posting) Entries() []Entry { return p.entries }
