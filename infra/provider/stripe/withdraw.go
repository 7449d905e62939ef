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

// InitiateWithdraw implements account.PaymentProvider. A withdrawal has two steps, each with a key of its own: a Transfer
// from our balance to the payee's connected account, and a Payout from there to the payee's bank. A payout that is refused
// after its transfer was made takes the transfer back first; only then is the withdrawal refused.
func (c *Client) InitiateWithdraw(ctx context.Context, in account.WithdrawInstruction) (account.Initiation, error) {
	got, err := c.withdraw(ctx, in)
	if err != nil {
		return account.Initiation{}, fmt.Errorf("stripe: initiate withdrawal: %w", err)
	}
	return got, nil
}

func (c *Client) withdraw(ctx context.Context, in account.WithdrawInstruction) (account.Initiation, error) {
	amount, err := toStripe(account.TypeWithdraw, in.Amount)
	if err != nil {
		return account.Initiation{}, &account.ProviderError{Class: account.ErrProviderRefused, Code: "invalid",
			Message: "The provider does not accept the amount.", Cause: err}
	}
	if !validID(in.Target.ProviderAccount) {
		return account.Initiation{}, &account.ProviderError{Class: account.ErrProviderRefused, Code: "onboarding_required",
			Message: "There is no payout account at the provider."}
	}
	sent, err := c.sendTransfer(ctx, in, amount)
	if err != nil {
		return account.Initiation{}, err
	}
	// The answer may be the first one under the key again, so how the transfer stands now is asked: where an earlier run has
	// taken it back, nothing may be paid out.
	now, err := c.getTransfer(ctx, sent.ID)
	if err != nil {
		return account.Initiation{}, stillOut(err)
	}
	if now.AmountReversed > 0 {
		return account.Initiation{}, c.afterReversal(ctx, in, now)
	}
	paid, err := c.sendPayout(ctx, in, amount, sent)
	switch {
	case err == nil:
		return account.Initiation{PaymentID: paid.PaymentID, Report: paid}, nil
	case errors.Is(err, account.ErrProviderRefused):
		if backErr := c.takeBack(ctx, sent); backErr != nil {
			return account.Initiation{}, stillOut(backErr)
		}
		return account.Initiation{}, err
	default:
		return account.Initiation{}, stillOut(err)
	}
}

// afterReversal is the end of a withdrawal whose transfer is on its way back: refused once all of it is back.
func (c *Client) afterReversal(ctx context.Context, in account.WithdrawInstruction, sent transfer) error {
	if err := c.takeBack(ctx, sent); err != nil {
		return stillOut(err)
	}
	return &account.ProviderError{Class: account.ErrProviderRefused, Code: "declined", Message: "The payout was refused.",
		Cause: fmt.Errorf("transfer of %s is reversed", in.TransactionID)}
}

// stillOut is an error while money is out of our balance: whatever its class was, nothing is proven to have come back. It
// keeps the provider's wish when to be asked again.
func stillOut(err error) error {
	var said *account.ProviderError
	if errors.As(err, &said) {
		again := *said
		again.Class = account.ErrProviderUnknown
		again.Cause = errors.New(said.Error())
		return &again
	}
	return unknown("", errors.New(err.Error()))
}

func (c *Client) sendTransfer(ctx context.Context, in account.WithdrawInstruction, amount int64) (transfer, error) {
	raw, err := c.create(ctx, creation{
		how: how{key: in.IdempotencyKey + ":transfer"}, old: c.old(refOf(in.TransactionID)),
		post: func(api *resources, p stripe.Params) (*stripe.APIResponse, error) {
			got, err := api.Transfers.New(&stripe.TransferParams{
				Params: p, Amount: stripe.Int64(amount), Currency: stripe.String(lower(in.Amount.Currency().Code())),
				Destination: stripe.String(in.Target.ProviderAccount), TransferGroup: stripe.String(transferGroup(in.TransactionID)),
				Metadata: withdrawMeta(in, ""),
			})
			if err != nil {
				return nil, err
			}
			return got.LastResponse, nil
		},
		find: func() ([]byte, error) { return c.findTransferRaw(ctx, in.TransactionID) },
	})
	if err != nil {
		return transfer{}, err
	}
	sent, err := read[transfer](raw, "transfer")
	if err != nil {
		return transfer{}, err
	}
	if !validID(sent.ID) || sent.Amount != amount || !strings.EqualFold(sent.Currency, in.Amount.Currency().Code()) ||
		string(sent.Destination) != in.Target.ProviderAccount || sent.Metadata.id(metaTransaction) != in.TransactionID {
		return transfer{}, mismatch()
	}
	return sent, nil
}

func (c *Client) sendPayout(ctx context.Context, in account.WithdrawInstruction, amount int64, sent transfer) (account.PaymentReport, error) {
	raw, err := c.create(ctx, creation{
		how: how{key: in.IdempotencyKey + ":payout", account: in.Target.ProviderAccount}, old: c.old(refOf(in.TransactionID)),
		post: func(api *resources, p stripe.Params) (*stripe.APIResponse, error) {
			got, err := api.Payouts.New(&stripe.PayoutParams{
				Params: p, Amount: stripe.Int64(amount), Currency: stripe.String(lower(in.Amount.Currency().Code())),
				Metadata: withdrawMeta(in, sent.ID),
			})
			if err != nil {
				return nil, err
			}
			return got.LastResponse, nil
		},
		find: func() ([]byte, error) { return c.findPayoutRaw(ctx, sent) },
	})
	if err != nil {
		return account.PaymentReport{}, err
	}
	made, err := read[payout](raw, "payout")
	if err != nil {
		return account.PaymentReport{}, err
	}
	report, err := made.report(when(made.Created, c.now()))
	if err != nil {
		return account.PaymentReport{}, unknown("bad_answer", err)
	}
	if made.Amount != amount || report.Currency != in.Amount.Currency().Code() || report.TransactionID != in.TransactionID {
		return account.PaymentReport{}, mismatch()
	}
	if report.Kind == account.ReceivedFailed {
		if err := c.takeBack(ctx, sent); err != nil {
			return account.PaymentReport{}, stillOut(err)
		}
	}
	return report, nil
}

// takeBack reverses what is left of the transfer, and returns nil once Stripe confirms that all of it is back.
func (c *Client) takeBack(ctx context.Context, sent transfer) error {
	now, err := c.getTransfer(ctx, sent.ID)
	if err != nil {
		return err
	}
	if now.back() {
		return nil
	}
	// The key names what was reversed before, so that a second, partial reversal is another step.
	key := fmt.Sprintf("florin_%s_reversal_%d", now.ID, now.AmountReversed)
	_, err = c.create(ctx, creation{
		how: how{key: key},
		post: func(api *resources, p stripe.Params) (*stripe.APIResponse, error) {
			got, err := api.TransferReversals.New(&stripe.TransferReversalParams{
				Params: p, ID: stripe.String(now.ID), Amount: stripe.Int64(now.Amount - now.AmountReversed),
				Metadata: map[string]string{metaTransaction: now.Metadata[metaTransaction]},
			})
			if err != nil {
				return nil, err
			}
			return got.LastResponse, nil
		},
		find: func() ([]byte, error) {
			after, err := c.getTransfer(ctx, now.ID)
			if err == nil && after.AmountReversed == now.AmountReversed {
				err = account.ErrProviderNotFound
			}
			return nil, err
		},
	})
	if err != nil {
		return err
	}
	after, err := c.getTransfer(ctx, now.ID)
	if err != nil {
		return err
	}
	if !after.back() {
		return unknown("not_reversed", errors.New("the transfer is not reversed"))
	}
	return nil
}

func (c *Client) getTransfer(ctx context.Context, id string) (transfer, error) {
	raw, err := c.question(ctx, how{}, func(api *resources, p stripe.Params) (*stripe.APIResponse, error) {
		got, err := api.Transfers.Get(id, &stripe.TransferParams{Params: p})
		if err != nil {
			return nil, err
		}
		return got.LastResponse, nil
	})
	if err != nil {
		return transfer{}, err
	}
	got, err := read[transfer](raw, "transfer")
	if err == nil && (got.ID != id || !validID(string(got.Destination))) {
		err = mismatch()
	}
	return got, err
}

// findTransferRaw is the transfer of our transaction. Its group is our id, and Stripe lists by group.
func (c *Client) findTransferRaw(ctx context.Context, id uuid.UUID) ([]byte, error) {
	found, err := c.list(ctx, how{}, func(api *resources, p stripe.ListParams) (*stripe.APIResponse, error) {
		it := api.Transfers.List(&stripe.TransferListParams{ListParams: p, TransferGroup: stripe.String(transferGroup(id))})
		return it.TransferList().LastResponse, it.Err()
	}, func(raw json.RawMessage) bool {
		var t transfer
		return json.Unmarshal(raw, &t) == nil && t.Metadata.id(metaTransaction) == id
	})
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, account.ErrProviderNotFound
	}
	return found[0], nil
}

func (c *Client) findTransfer(ctx context.Context, id uuid.UUID) (transfer, error) {
	raw, err := c.findTransferRaw(ctx, id)
	if err != nil {
		return transfer{}, err
	}
	got, err := read[transfer](raw, "transfer")
	if err == nil && (!validID(got.ID) || !validID(string(got.Destination))) {
		err = mismatch()
	}
	return got, err
}

// findPayoutRaw is the payout that the transfer was made for, among those of the connected account since the transfer.
func (c *Client) findPayoutRaw(ctx context.Context, sent transfer) ([]byte, error) {
	var span *stripe.RangeQueryParams
	if sent.Created > 0 {
		span = &stripe.RangeQueryParams{GreaterThanOrEqual: time.Unix(sent.Created, 0).Add(-lookBack).Unix()}
	}
	found, err := c.list(ctx, how{account: string(sent.Destination)}, func(api *resources, p stripe.ListParams) (*stripe.APIResponse, error) {
		it := api.Payouts.List(&stripe.PayoutListParams{ListParams: p, CreatedRange: span})
		return it.PayoutList().LastResponse, it.Err()
	}, func(raw json.RawMessage) bool {
		var p payout
		return json.Unmarshal(raw, &p) == nil && p.Metadata[metaTransfer] == sent.ID
	})
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, account.ErrProviderNotFound
	}
	return found[0], nil
}

func transferGroup(id uuid.UUID) string { return "florin_" + id.String() }

// withdrawMeta is the same for both steps, but that the payout names its transfer.
func withdrawMeta(in account.WithdrawInstruction, transferID string) map[string]string {
	m := map[string]string{metaTransaction: in.TransactionID.String(), metaAccount: in.AccountID.String(), metaUser: in.UserID.String()}
	if transferID != "" {
		m[metaTransfer] = transferID
	}
	return m
}

func lower(code string) string { return strings.ToLower(code) }
