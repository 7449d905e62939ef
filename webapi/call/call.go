// Package call reads what every request that moves money has in common, whichever feature it belongs to, and answers it.
package call

import (
	"github.com/gofiber/fiber/v2"

	accountsvc "florin/service/account"
	"florin/webapi/decode"
	"florin/webapi/middleware"
	"florin/webapi/problem"
	"florin/webapi/wire"
)

// Read reads a request: body is decoded whole by read, and what the headers and the query say is in the call. The account,
// amount and currency are the caller's to fill in.
func Read(c *fiber.Ctx, body any, read func(*fiber.Ctx, any) error) (accountsvc.Call, error) {
	query, err := decode.ReadQuery(c, "dry_run")
	if err != nil {
		return accountsvc.Call{}, err
	}
	dryRun, err := query.Bool("dry_run")
	if err != nil {
		return accountsvc.Call{}, err
	}
	wait, waits := decode.PreferWait(c)
	if waits {
		decode.ApplyWait(c, wait)
	}
	keyText, err := decode.IdempotencyKey(c)
	if err != nil {
		return accountsvc.Call{}, err
	}
	if err := read(c, body); err != nil {
		return accountsvc.Call{}, err
	}
	key, err := keyOf(c, keyText, body)
	if err != nil {
		return accountsvc.Call{}, err
	}
	return accountsvc.Call{
		UserID: middleware.Caller(c).UserID, Key: key, Wait: wait, DryRun: dryRun,
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

// Send answers with the outcome: as the first such request was answered, or as it is, or as it would be.
func Send(c *fiber.Ctx, call accountsvc.Call, outcome accountsvc.Outcome) error {
	if call.DryRun {
		return wire.SendDryRun(c, outcome, call.UserID)
	}
	return wire.SendOutcome(c, outcome, call.UserID)
}
