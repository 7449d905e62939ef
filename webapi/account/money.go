package account

import (
	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"florin/domain/errs"
	accountsvc "florin/service/account"
	"florin/webapi/call"
	"florin/webapi/decode"
	"florin/webapi/middleware"
)

// MoneyRequest is what every request that moves money has in common.
type MoneyRequest struct {
	Amount   decode.Amount     `json:"amount"`
	Currency string            `json:"currency" pattern:"^[A-Z]{3}$" example:"EUR" description:"ISO 4217, upper case."`
	Provider string            `json:"provider,omitempty" example:"mock" description:"The payment provider; the configured default where it is missing."`
	QuoteID  *uuid.UUID        `json:"quote_id,omitempty" format:"uuid"`
	Metadata map[string]string `json:"metadata,omitempty" nullable:"false" description:"The client's own, given back with the transaction."`
}

// readCall reads all of a money request but what is its own kind's: body is decoded whole, and common is the part
// of it that every kind has.
func readCall(c *fiber.Ctx, body any, common *MoneyRequest) (accountsvc.Call, error) {
	accountID, err := decode.ID(c, "id")
	if err != nil {
		return accountsvc.Call{}, err
	}
	asked, err := call.Read(c, body, decode.Body)
	if err != nil {
		return accountsvc.Call{}, err
	}
	if common.QuoteID != nil {
		return accountsvc.Call{}, errs.InField("quote_id", "unknown_quote", "The quote is not known.")
	}
	asked.AccountID, asked.Amount, asked.Currency = accountID, string(common.Amount), common.Currency
	asked.Metadata, asked.Provider = common.Metadata, common.Provider
	if address := middleware.Address(c); address.IsValid() {
		asked.Address = address.String()
	}
	return asked, nil
}
