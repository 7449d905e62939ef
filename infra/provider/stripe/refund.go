package stripe

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/stripe/stripe-go/v76"

	"florin/domain/account"
)

// RefundPayment implements account.PaymentProvider.
func (c *Client) RefundPayment(ctx context.Context, in account.RefundInstruction) (account.Initiation, error) {
	got, err := c.refund(ctx, in)
	if err != nil {
		return account.Initiation{}, fmt.Errorf("stripe: refund payment: %w", err)
	}
	return got, nil
}

func (c *Client) refund(ctx context.Context, in account.RefundInstruction) (account.Initiation, error) {
	amount, err := toStripe(account.TypeRefund, in.Amount)
	if err != nil || !validID(in.PaymentID) {
		return account.Initiation{}, &account.ProviderError{Class: account.ErrProviderRefused, Code: "invalid",
			Message: "The provider does not accept the refund.", Cause: err}
	}
	raw, err := c.create(ctx, creation{
		how: how{key: in.IdempotencyKey + ":refund"}, old: c.old(refOf(in.TransactionID)),
		post: func(api *resources, p stripe.Params) (*stripe.APIResponse, error) {
			got, err := api.Refunds.New(&stripe.RefundParams{
				Params: p, PaymentIntent: stripe.String(in.PaymentID), Amount: stripe.Int64(amount),
				Metadata: map[string]string{metaRefund: in.TransactionID.String(), metaTransaction: in.DepositID.String()},
			})
			if err != nil {
				return nil, err
			}
			return got.LastResponse, nil
		},
		find: func() ([]byte, error) { return c.findRefundOf(ctx, in) },
	})
	if err != nil {
		return account.Initiation{}, err
	}
	made, err := read[refund](raw, "refund")
	if err != nil {
		return account.Initiation{}, err
	}
	report, err := made.report(when(made.Created, c.now()))
	if err != nil {
		return account.Initiation{}, unknown("bad_answer", err)
	}
	if made.Amount != amount || report.Currency != in.Amount.Currency().Code() || report.TransactionID != in.TransactionID {
		return account.Initiation{}, mismatch()
	}
	return account.Initiation{PaymentID: made.ID, Report: report}, nil
}

// findRefundOf looks among the refunds of the payment, which are few.
func (c *Client) findRefundOf(ctx context.Context, in account.RefundInstruction) ([]byte, error) {
	found, err := c.refundsOf(ctx, func(p *stripe.RefundListParams) { p.PaymentIntent = stripe.String(in.PaymentID) })
	if err != nil {
		return nil, err
	}
	for _, raw := range found {
		var r refund
		if json.Unmarshal(raw, &r) == nil && r.Metadata.id(metaRefund) == in.TransactionID {
			return raw, nil
		}
	}
	return nil, account.ErrProviderNotFound
}

func (c *Client) refundsOf(ctx context.Context, of func(*stripe.RefundListParams)) ([]json.RawMessage, error) {
	return c.list(ctx, how{}, func(api *resources, p stripe.ListParams) (*stripe.APIResponse, error) {
		params := &stripe.RefundListParams{ListParams: p}
		of(params)
		it := api.Refunds.List(params)
		return it.RefundList().LastResponse, it.Err()
	}, func(json.RawMessage) bool { return true })
}
