package stripe

import (
	"context"
	"errors"
	"fmt"

	"github.com/stripe/stripe-go/v76"

	"florin/domain/account"
)

// CancelPayment implements account.PaymentProvider. What Stripe no longer lets go, a payment that is processing or a payout
// on its way, is reported as it is: pending. A refund is not canceled, only reported.
func (c *Client) CancelPayment(ctx context.Context, ref account.PaymentRef) (account.PaymentReport, error) {
	report, err := c.cancel(ctx, ref)
	if err != nil {
		return account.PaymentReport{}, fmt.Errorf("stripe: cancel payment: %w", err)
	}
	return report, nil
}

func (c *Client) cancel(ctx context.Context, ref account.PaymentRef) (account.PaymentReport, error) {
	report, err := c.statusOf(ctx, ref)
	if err != nil || report.Kind != account.ReceivedPending {
		return report, err
	}
	switch typeOf(ref) {
	case account.TypeDeposit:
		err = c.cancelDeposit(ctx, ref)
	case account.TypeWithdraw:
		err = c.cancelWithdrawal(ctx, ref)
	}
	if err != nil {
		return account.PaymentReport{}, err
	}
	return c.statusOf(ctx, ref)
}

func (c *Client) cancelDeposit(ctx context.Context, ref account.PaymentRef) error {
	found, err := c.findDeposit(ctx, ref)
	if err != nil {
		return err
	}
	open := found.session
	if open == nil && found.intent.Metadata[metaFlow] == FlowCheckout {
		// The intent of a session ends with the session, and not by itself.
		if open, err = c.sessionByIntent(ctx, found.intent.ID); err != nil {
			return err
		}
	}
	if open != nil {
		return c.postExpireSession(ctx, open.ID, c.cancelKey(open.ID, open.Status))
	}
	return c.postCancelIntent(ctx, found.intent.ID, c.cancelKey(found.intent.ID, found.intent.Status))
}

func (c *Client) postExpireSession(ctx context.Context, id, key string) error {
	return c.refusedIsNoError(c.call(ctx, how{key: key}, func(api *resources, p stripe.Params) (*stripe.APIResponse, error) {
		got, err := api.CheckoutSessions.Expire(id, &stripe.CheckoutSessionExpireParams{Params: p})
		if err != nil {
			return nil, err
		}
		return got.LastResponse, nil
	}))
}

func (c *Client) postCancelIntent(ctx context.Context, id, key string) error {
	return c.refusedIsNoError(c.call(ctx, how{key: key}, func(api *resources, p stripe.Params) (*stripe.APIResponse, error) {
		got, err := api.PaymentIntents.Cancel(id, &stripe.PaymentIntentCancelParams{Params: p})
		if err != nil {
			return nil, err
		}
		return got.LastResponse, nil
	}))
}

// sessionByIntent is the session that the intent is of.
func (c *Client) sessionByIntent(ctx context.Context, id string) (*session, error) {
	got, err := c.page(ctx, how{}, "", func(api *resources, p stripe.ListParams) (*stripe.APIResponse, error) {
		it := api.CheckoutSessions.List(&stripe.CheckoutSessionListParams{ListParams: p, PaymentIntent: stripe.String(id)})
		return it.CheckoutSessionList().LastResponse, it.Err()
	})
	if err != nil {
		return nil, err
	}
	if len(got.Data) == 0 {
		return nil, unknown("no_session", errors.New("the intent has no session"))
	}
	s, err := read[session](got.Data[0], "checkout.session")
	if err == nil && !validID(s.ID) {
		err = mismatch()
	}
	return &s, err
}

// cancelWithdrawal stops the payout, if there is one, and takes the transfer back where there is none.
func (c *Client) cancelWithdrawal(ctx context.Context, ref account.PaymentRef) error {
	found, err := c.findWithdrawal(ctx, ref)
	if err != nil {
		return err
	}
	if found.payout == nil {
		return c.takeBack(ctx, found.transfer)
	}
	if found.payout.Status != "pending" {
		return nil
	}
	return c.postCancelPayout(ctx, found.payout.ID, string(found.transfer.Destination), c.cancelKey(found.payout.ID, found.payout.Status))
}

func (c *Client) postCancelPayout(ctx context.Context, id, connected, key string) error {
	return c.refusedIsNoError(c.call(ctx, how{key: key, account: connected}, func(api *resources, p stripe.Params) (*stripe.APIResponse, error) {
		got, err := api.Payouts.Cancel(id, &stripe.PayoutParams{Params: p})
		if err != nil {
			return nil, err
		}
		return got.LastResponse, nil
	}))
}

// cancelKey is another one for each state and hour: Stripe would give a refusal from an earlier state again for a day, and
// canceling twice harms nobody.
func (c *Client) cancelKey(id, status string) string {
	return fmt.Sprintf("florin_%s_cancel_%s_%d", id, status, c.now().Unix()/3600)
}

// refusedIsNoError is for cancelations: a refusal says that the payment moved on, and the look-up after it says where to.
func (c *Client) refusedIsNoError(_ []byte, err error) error {
	if errors.Is(err, account.ErrProviderRefused) {
		return nil
	}
	return err
}
