package stripe

import (
	"context"

	"github.com/google/uuid"

	"florin/domain/account"
)

// Steps makes the calls of the later steps, which follow answers that stripe-mock does not give.
func (c *Client) Steps(ctx context.Context) {
	sent := transfer{ID: "tr_1", Amount: 1000, Currency: "eur", Destination: "acct_1"}
	_, _ = c.findPayoutRaw(ctx, sent)
	_, _ = c.payoutOf(ctx, sent, "po_1")
	_ = c.takeBack(ctx, sent)
	_, _ = c.wasPaid(ctx, sent, payout{ID: "po_1", Created: 1767268800})
	_, _ = c.sendPayout(ctx, account.WithdrawInstruction{IdempotencyKey: "k", TransactionID: uuid.New(), Target: account.ExternalTarget{ProviderAccount: "acct_1"}}, 1000, sent)
	_ = c.postCancelIntent(ctx, "pi_1", "x")
	_ = c.postExpireSession(ctx, "cs_1", "x")
	_ = c.postCancelPayout(ctx, "po_1", "acct_1", "x")
	_, _ = c.intentOfCharge(ctx, "ch_1")
	_, _ = c.sessionByIntent(ctx, "pi_1")
	_, _ = c.consultSession(ctx, envelope{Data: eventData{Object: []byte(`{"id":"cs_1"}`)}})
	_, _ = c.consultFee(ctx, envelope{Data: eventData{Object: []byte(`{"balance_transaction":"txn_1"}`)}})
	_, _ = c.consultRefunds(ctx, envelope{Data: eventData{Object: []byte(`{"id":"ch_1"}`)}})
}
