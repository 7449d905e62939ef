package account

import (
	"time"

	"github.com/google/uuid"

	"florin/domain/account"
	"florin/domain/money"
)

// Account is the JSON of an account.
type Account struct {
	ID        uuid.UUID `json:"id" format:"uuid"`
	Name      string    `json:"name" example:"Savings"`
	Currency  string    `json:"currency" pattern:"^[A-Z]{3}$" example:"EUR"`
	Status    string    `json:"status" enum:"active,frozen,closed"`
	Balance   OnAccount `json:"balance"`
	CreatedAt time.Time `json:"created_at"`
}

// OnAccount is what is on an account, in its currency.
type OnAccount struct {
	Posted    string `json:"posted" example:"100.00" description:"The sum of the account's entries."`
	Held      string `json:"held" example:"20.00" description:"Set aside for open withdrawals."`
	Available string `json:"available" example:"80.00" description:"posted less held; never negative."`
}

// Accounts is a page of accounts, newest first.
type Accounts struct {
	Data       []Account `json:"data" nullable:"false"`
	NextCursor *string   `json:"next_cursor" description:"Opaque; null on the last page."`
}

// BalanceAt is the balance of an account at a time. At a past time there is posted alone.
type BalanceAt struct {
	AccountID uuid.UUID `json:"account_id" format:"uuid"`
	Currency  string    `json:"currency" pattern:"^[A-Z]{3}$" example:"EUR"`
	Posted    string    `json:"posted" example:"100.00"`
	Held      *string   `json:"held,omitempty" example:"20.00"`
	Available *string   `json:"available,omitempty" example:"80.00"`
	AsOf      time.Time `json:"as_of"`
}

// Entry is one line of the ledger on an account.
type Entry struct {
	Seq           int64     `json:"seq" minimum:"1" description:"The account's own count of its lines, without a gap."`
	TransactionID uuid.UUID `json:"transaction_id" format:"uuid"`
	Type          string    `json:"type" example:"deposit"`
	Amount        string    `json:"amount" pattern:"^-?[0-9]+(\\.[0-9]+)?$" example:"-12.34" description:"Signed: below zero what left the account."`
	Currency      string    `json:"currency" pattern:"^[A-Z]{3}$" example:"EUR"`
	BalanceAfter  string    `json:"balance_after" example:"87.66"`
	PostedAt      time.Time `json:"posted_at"`
}

// Entries is a page of ledger lines, newest first.
type Entries struct {
	Data       []Entry `json:"data" nullable:"false"`
	NextCursor *string `json:"next_cursor" description:"Opaque; null on the last page."`
}

// Totals is what a user has in each currency.
type Totals struct {
	Totals []Total `json:"totals" nullable:"false"`
}

// Total is what a user has in one currency.
type Total struct {
	Currency  string `json:"currency" pattern:"^[A-Z]{3}$" example:"EUR"`
	Posted    string `json:"posted" example:"100.00"`
	Held      string `json:"held" example:"20.00"`
	Available string `json:"available" example:"80.00"`
}

// WebhookReceived says that an event is stored.
type WebhookReceived struct {
	Received bool `json:"received"`
}

// AccountOf shows the account to its owner.
func AccountOf(a *account.Account) Account {
	return Account{
		ID: a.ID, Name: a.Name, Currency: a.Currency.Code(), Status: string(a.Status()),
		Balance:   OnAccount{Posted: a.Posted().Decimal(), Held: a.Held().Decimal(), Available: a.Available().Decimal()},
		CreatedAt: a.CreatedAt.UTC(),
	}
}

func entryOf(e account.EntryLine) Entry {
	return Entry{
		Seq: e.AccountSeq, TransactionID: e.TransactionID, Type: string(e.TransactionType),
		Amount: e.Amount.Decimal(), Currency: e.Amount.Currency().Code(),
		BalanceAfter: e.BalanceAfter.Decimal(), PostedAt: e.PostedAt.UTC(),
	}
}

func totalOf(t account.Total) (Total, error) {
	available, err := t.Posted.Sub(t.Held)
	if err != nil {
		return Total{}, err
	}
	return Total{Currency: t.Currency.Code(), Posted: t.Posted.Decimal(), Held: t.Held.Decimal(), Available: available.Decimal()}, nil
}

// balanceNow is the present balance; balanceThen the posted one at a past time.
func balanceNow(a *account.Account, now time.Time) BalanceAt {
	held, available := a.Held().Decimal(), a.Available().Decimal()
	return BalanceAt{AccountID: a.ID, Currency: a.Currency.Code(), Posted: a.Posted().Decimal(),
		Held: &held, Available: &available, AsOf: now.UTC()}
}

func balanceThen(a *account.Account, posted money.Money, at time.Time) BalanceAt {
	return BalanceAt{AccountID: a.ID, Currency: a.Currency.Code(), Posted: posted.Decimal(), AsOf: at.UTC()}
}
