package wire

import (
	"github.com/google/uuid"

	accountsvc "florin/service/account"
)

// Balance is what is on an account, in its currency.
type Balance struct {
	AccountID uuid.UUID `json:"account_id" format:"uuid"`
	Currency  string    `json:"currency" pattern:"^[A-Z]{3}$" example:"EUR"`
	Posted    string    `json:"posted" example:"100.00" description:"The sum of the account's entries."`
	Held      string    `json:"held" example:"20.00" description:"Set aside for open withdrawals."`
	Available string    `json:"available" example:"80.00" description:"posted less held; never negative."`
}

func balancesOf(balances []accountsvc.Balance) []Balance {
	shown := make([]Balance, 0, len(balances))
	for _, b := range balances {
		shown = append(shown, Balance{AccountID: b.AccountID, Currency: b.Posted.Currency().Code(),
			Posted: b.Posted.Decimal(), Held: b.Held.Decimal(), Available: b.Available.Decimal()})
	}
	return shown
}
