package account

import (
	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"florin/domain/errs"
	accountsvc "florin/service/account"
	"florin/webapi/decode"
	"florin/webapi/middleware"
	"florin/webapi/problem"
	"florin/webapi/wire"
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
	query, err := decode.ReadQuery(c, "dry_run")
	if err != nil {
		return accountsvc.Call{}, err
	}
	dryRun, err := query.Bool("dry_run")
	if err != nil {
		return accountsvc.Call{}, err
	}
	wait, waits, err := decode.PreferWait(c)
	if err != nil {
		return accountsvc.Call{}, err
	}
	if waits {
		decode.ApplyWait(c, wait)
	}
	keyText, err := decode.IdempotencyKey(c)
	if err != nil {
		return accountsvc.Call{}, err
	}
	if err := decode.Body(c, body); err != nil {
		return accountsvc.Call{}, err
	}
	if common.QuoteID != nil {
		return accountsvc.Call{}, errs.InField("quote_id", "unknown_quote", "The quote is not known.")
	}
	key, err := keyOf(c, keyText, body)
	if err != nil {
		return accountsvc.Call{}, err
	}
	return accountsvc.Call{
		UserID: middleware.Caller(c).UserID, AccountID: accountID,
		Amount: string(common.Amount), Currency: common.Currency,
		Metadata: common.Metadata, Provider: common.Provider,
		Key: key, Wait: wait, DryRun: dryRun,
		RequestID: problem.RequestID(c), TraceParent: wire.TraceParent(c.UserContext()),
	}, nil
}

// keyOf binds an Idempotency-Key to the request that it stands for; nil for none.
func keyOf(c *fiber.Ctx, value string, body any) (*accountsvc.Key, error) {
	if value == "" {
		return nil, nil
	}
	fingerprint, err := wire.Fingerprint(c, body)
	if err != nil {
		return nil, err
	}
	return &accountsvc.Key{Value: value, Fingerprint: fingerprint, Render: wire.Render(middleware.Caller(c).UserID)}, nil
}

func sendOutcome(c *fiber.Ctx, call accountsvc.Call, outcome accountsvc.Outcome) error {
	if call.DryRun {
		return wire.SendDryRun(c, outcome, call.UserID)
	}
	return wire.SendOutcome(c, outcome, call.UserID)
}
