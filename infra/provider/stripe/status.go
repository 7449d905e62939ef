package stripe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/stripe/stripe-go/v76"

	"florin/domain/account"
)

// GetPaymentStatus implements account.PaymentProvider. A payout that failed is reported as failed only once its transfer is
// reversed, which this does where it is still to be done.
func (c *Client) GetPaymentStatus(ctx context.Context, ref account.PaymentRef) (account.PaymentReport, error) {
	report, err := c.statusOf(ctx, ref)
	if err != nil {
		return account.PaymentReport{}, fmt.Errorf("stripe: get payment status: %w", err)
	}
	return report, nil
}

func (c *Client) statusOf(ctx context.Context, ref account.PaymentRef) (account.PaymentReport, error) {
	if ref.PaymentID == "" && ref.TransactionID == uuid.Nil {
		return account.PaymentReport{}, unknown("", errors.New("the reference names no payment"))
	}
	if ref.PaymentID != "" && !validID(ref.PaymentID) {
		return account.PaymentReport{}, account.ErrProviderNotFound // Stripe gives no such ids
	}
	switch typeOf(ref) {
	case account.TypeDeposit:
		got, err := c.findDeposit(ctx, ref)
		return got.report, err
	case account.TypeWithdraw:
		got, err := c.findWithdrawal(ctx, ref)
		return got.report, err
	case account.TypeRefund:
		return c.findRefund(ctx, ref)
	default:
		return account.PaymentReport{}, account.ErrProviderNotFound
	}
}

// typeOf is what the reference is to: as it says, or as the payment id's prefix does. Without either it is a deposit.
func typeOf(ref account.PaymentRef) account.Type {
	if ref.Type != "" {
		return ref.Type
	}
	prefix, _, _ := strings.Cut(ref.PaymentID, "_")
	switch prefix {
	case "", "pi":
		return account.TypeDeposit
	case "po":
		return account.TypeWithdraw
	case "re", "pyr":
		return account.TypeRefund
	default:
		return account.TypeUnmatched
	}
}

// depositFound is a deposit as Stripe has it: an intent, or a session that has none yet.
type depositFound struct {
	report  account.PaymentReport
	intent  *intent
	session *session
}

func (c *Client) findDeposit(ctx context.Context, ref account.PaymentRef) (depositFound, error) {
	if ref.PaymentID != "" {
		raw, err := c.question(ctx, how{}, func(api *resources, p stripe.Params) (*stripe.APIResponse, error) {
			got, err := api.PaymentIntents.Get(ref.PaymentID, &stripe.PaymentIntentParams{Params: p})
			if err != nil {
				return nil, err
			}
			return got.LastResponse, nil
		})
		if err != nil {
			return depositFound{}, err
		}
		return c.depositOf(raw, ref)
	}
	raw, err := c.findIntent(ctx, ref)
	if err == nil {
		return c.depositOf(raw, ref)
	}
	if !errors.Is(err, account.ErrProviderNotFound) {
		return depositFound{}, err
	}
	raw, err = c.findSession(ctx, ref)
	if err != nil {
		return depositFound{}, err
	}
	return c.sessionOf(raw, ref)
}

func (c *Client) depositOf(raw []byte, ref account.PaymentRef) (depositFound, error) {
	got, err := read[intent](raw, "payment_intent")
	if err != nil {
		return depositFound{}, err
	}
	report, err := got.report(c.now().UTC().Truncate(time.Microsecond))
	if err != nil {
		return depositFound{}, unknown("bad_answer", err)
	}
	return depositFound{report: report, intent: &got}, matches(report, ref)
}

func (c *Client) sessionOf(raw []byte, ref account.PaymentRef) (depositFound, error) {
	got, err := read[session](raw, "checkout.session")
	if err != nil {
		return depositFound{}, err
	}
	report, err := got.report(c.now().UTC().Truncate(time.Microsecond))
	if err != nil {
		return depositFound{}, unknown("bad_answer", err)
	}
	return depositFound{report: report, session: &got}, matches(report, ref)
}

// matches checks that the answer is about what was asked.
func matches(report account.PaymentReport, ref account.PaymentRef) error {
	if (ref.PaymentID != "" && report.PaymentID != ref.PaymentID) ||
		(ref.TransactionID != uuid.Nil && report.TransactionID != ref.TransactionID) {
		return unknown("answer_mismatch", errors.New("the answer is about another payment"))
	}
	return nil
}

// withdrawalFound is a withdrawal as Stripe has it.
type withdrawalFound struct {
	report   account.PaymentReport
	transfer transfer
	payout   *payout // nil where the second step was not made
}

// findWithdrawal looks the two steps up, and reverses the transfer of a payout that came to nothing.
func (c *Client) findWithdrawal(ctx context.Context, ref account.PaymentRef) (withdrawalFound, error) {
	sent, err := c.findTransfer(ctx, ref.TransactionID)
	if err != nil {
		return withdrawalFound{}, err
	}
	got, err := c.withdrawalOf(ctx, sent, ref.PaymentID)
	if err != nil {
		return withdrawalFound{}, err
	}
	return got, matches(got.report, account.PaymentRef{TransactionID: ref.TransactionID})
}

func (c *Client) withdrawalOf(ctx context.Context, sent transfer, payoutID string) (withdrawalFound, error) {
	found := withdrawalFound{transfer: sent}
	paid, err := c.payoutOf(ctx, sent, payoutID)
	now := c.now().UTC().Truncate(time.Microsecond)
	switch {
	case errors.Is(err, account.ErrProviderNotFound):
		kind := account.ReceivedPending
		if sent.back() {
			kind = account.ReceivedFailed
		}
		found.report, err = fact(kind, "", sent.Metadata.id(metaTransaction), sent.Amount, sent.Currency, now)
		if err != nil {
			return withdrawalFound{}, unknown("bad_answer", err)
		}
		if kind == account.ReceivedFailed {
			found.report.Failure = canceled()
		}
		return found, nil
	case err != nil:
		return withdrawalFound{}, err
	}
	found.payout = &paid
	if found.report, err = paid.report(now); err != nil {
		return withdrawalFound{}, unknown("bad_answer", err)
	}
	if found.report.Kind == account.ReceivedFailed {
		if err := c.takeBack(ctx, sent); err != nil {
			return withdrawalFound{}, stillOut(err)
		}
	}
	return found, nil
}

// payoutOf is the payout of the transfer, by its id where that is known.
func (c *Client) payoutOf(ctx context.Context, sent transfer, id string) (payout, error) {
	var raw []byte
	var err error
	if id == "" {
		raw, err = c.findPayoutRaw(ctx, sent)
	} else {
		raw, err = c.question(ctx, how{account: string(sent.Destination)}, func(api *resources, p stripe.Params) (*stripe.APIResponse, error) {
			got, err := api.Payouts.Get(id, &stripe.PayoutParams{Params: p})
			if err != nil {
				return nil, err
			}
			return got.LastResponse, nil
		})
	}
	if err != nil {
		return payout{}, err
	}
	got, err := read[payout](raw, "payout")
	if err == nil && (got.Metadata[metaTransfer] != sent.ID || (id != "" && got.ID != id)) {
		err = mismatch()
	}
	return got, err
}

// findRefund is a refund, by its id or by ours.
func (c *Client) findRefund(ctx context.Context, ref account.PaymentRef) (account.PaymentReport, error) {
	var raw []byte
	var err error
	if ref.PaymentID != "" {
		raw, err = c.question(ctx, how{}, func(api *resources, p stripe.Params) (*stripe.APIResponse, error) {
			got, err := api.Refunds.Get(ref.PaymentID, &stripe.RefundParams{Params: p})
			if err != nil {
				return nil, err
			}
			return got.LastResponse, nil
		})
	} else {
		raw, err = c.findRefundByTime(ctx, ref)
	}
	if err != nil {
		return account.PaymentReport{}, err
	}
	got, err := read[refund](raw, "refund")
	if err != nil {
		return account.PaymentReport{}, err
	}
	report, err := got.report(c.now().UTC().Truncate(time.Microsecond))
	if err != nil {
		return account.PaymentReport{}, unknown("bad_answer", err)
	}
	return report, matches(report, ref)
}

func (c *Client) findRefundByTime(ctx context.Context, ref account.PaymentRef) ([]byte, error) {
	return c.findByTime(ctx, ref, func(span *stripe.RangeQueryParams) func(*resources, stripe.ListParams) (*stripe.APIResponse, error) {
		return func(api *resources, p stripe.ListParams) (*stripe.APIResponse, error) {
			it := api.Refunds.List(&stripe.RefundListParams{ListParams: p, CreatedRange: span})
			return it.RefundList().LastResponse, it.Err()
		}
	}, func(raw json.RawMessage) int {
		var r refund
		if json.Unmarshal(raw, &r) != nil || r.Metadata.id(metaRefund) != ref.TransactionID {
			return 0
		}
		return weight(r.report(time.Time{}))
	})
}
