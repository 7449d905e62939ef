package stripe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/stripe/stripe-go/v76"

	"florin/domain/account"
)

const (
	// keysKept is how long a key is good to repeat: Stripe forgets keys after 24 hours.
	keysKept = 23 * time.Hour
	// lookBack is how far Stripe's clock and ours may be apart when objects are looked up by time.
	lookBack = 15 * time.Minute
)

// InitiateDeposit implements account.PaymentProvider.
func (c *Client) InitiateDeposit(ctx context.Context, in account.DepositInstruction) (account.Initiation, error) {
	var got account.Initiation
	amount, err := toStripe(account.TypeDeposit, in.Amount)
	switch {
	case err != nil:
		err = &account.ProviderError{Class: account.ErrProviderRefused, Code: "invalid", Message: "The provider does not accept the amount.", Cause: err}
	case in.PaymentFlow == "" || in.PaymentFlow == FlowIntent:
		got, err = c.createIntent(ctx, in, amount)
	case in.PaymentFlow == FlowCheckout:
		got, err = c.createSession(ctx, in, amount)
	default:
		err = &account.ProviderError{Class: account.ErrProviderRefused, Code: "invalid", Message: "The provider has no such payment flow."}
	}
	if err != nil {
		return account.Initiation{}, fmt.Errorf("stripe: initiate deposit: %w", err)
	}
	return got, nil
}

func (c *Client) createIntent(ctx context.Context, in account.DepositInstruction, amount int64) (account.Initiation, error) {
	ref := refOf(in.TransactionID)
	raw, err := c.create(ctx, creation{
		how: how{key: in.IdempotencyKey + ":intent"}, old: c.old(ref),
		post: func(api *resources, p stripe.Params) (*stripe.APIResponse, error) {
			got, err := api.PaymentIntents.New(&stripe.PaymentIntentParams{
				Params: p, Amount: stripe.Int64(amount), Currency: stripe.String(lower(in.Amount.Currency().Code())),
				AutomaticPaymentMethods: &stripe.PaymentIntentAutomaticPaymentMethodsParams{Enabled: stripe.Bool(true)},
				Metadata:                depositMeta(in, FlowIntent),
			})
			if err != nil {
				return nil, err
			}
			return got.LastResponse, nil
		},
		find: func() ([]byte, error) { return c.findIntent(ctx, ref) },
	})
	if err != nil {
		return account.Initiation{}, err
	}
	made, err := read[intent](raw, "payment_intent")
	if err != nil {
		return account.Initiation{}, err
	}
	report, err := made.report(when(made.Created, c.now()))
	if err != nil || made.ClientSecret == "" {
		return account.Initiation{}, unknown("bad_answer", errors.Join(err, errNotPayment))
	}
	if made.Amount != amount || !sameCurrency(report, in) || report.TransactionID != in.TransactionID {
		return account.Initiation{}, mismatch()
	}
	return account.Initiation{PaymentID: made.ID, Report: report,
		NextAction: &account.NextAction{Type: ActionClientSecret, ClientSecret: made.ClientSecret}}, nil
}

// createSession makes a Checkout Session. Its intent comes into being when the payer goes on, so the payment has no id yet:
// session, intent and charge are one payment, and its id is the intent's.
func (c *Client) createSession(ctx context.Context, in account.DepositInstruction, amount int64) (account.Initiation, error) {
	if c.success == "" || c.back == "" {
		return account.Initiation{}, &account.ProviderError{Class: account.ErrProviderRefused, Code: "invalid", Message: "Checkout is not configured."}
	}
	ref := refOf(in.TransactionID)
	raw, err := c.create(ctx, creation{
		how: how{key: in.IdempotencyKey + ":session"}, old: c.old(ref),
		post: func(api *resources, p stripe.Params) (*stripe.APIResponse, error) {
			got, err := api.CheckoutSessions.New(c.sessionParams(in, amount, p))
			if err != nil {
				return nil, err
			}
			return got.LastResponse, nil
		},
		find: func() ([]byte, error) { return c.findSession(ctx, ref) },
	})
	if err != nil {
		return account.Initiation{}, err
	}
	made, err := read[session](raw, "checkout.session")
	if err != nil {
		return account.Initiation{}, err
	}
	report, err := made.report(when(made.Created, c.now()))
	if err != nil || (made.URL == "" && made.Status == "open") {
		return account.Initiation{}, unknown("bad_answer", errors.Join(err, errNotPayment))
	}
	if made.AmountTotal != amount || !sameCurrency(report, in) || report.TransactionID != in.TransactionID {
		return account.Initiation{}, mismatch()
	}
	return account.Initiation{PaymentID: report.PaymentID, Report: report, NextAction: &account.NextAction{Type: ActionRedirect, URL: made.URL}}, nil
}

func (c *Client) sessionParams(in account.DepositInstruction, amount int64, p stripe.Params) *stripe.CheckoutSessionParams {
	return &stripe.CheckoutSessionParams{
		Params: p, Mode: stripe.String(string(stripe.CheckoutSessionModePayment)),
		SuccessURL: stripe.String(c.success), CancelURL: stripe.String(c.back),
		ClientReferenceID: stripe.String(in.TransactionID.String()),
		LineItems: []*stripe.CheckoutSessionLineItemParams{{
			Quantity: stripe.Int64(1),
			PriceData: &stripe.CheckoutSessionLineItemPriceDataParams{
				Currency: stripe.String(lower(in.Amount.Currency().Code())), UnitAmount: stripe.Int64(amount),
				ProductData: &stripe.CheckoutSessionLineItemPriceDataProductDataParams{Name: stripe.String("Deposit")},
			},
		}},
		Metadata:          depositMeta(in, FlowCheckout),
		PaymentIntentData: &stripe.CheckoutSessionPaymentIntentDataParams{Metadata: depositMeta(in, FlowCheckout)},
	}
}

// depositMeta is ours alone: what clients write down stays here.
func depositMeta(in account.DepositInstruction, flow string) map[string]string {
	return map[string]string{
		metaTransaction: in.TransactionID.String(), metaAccount: in.AccountID.String(), metaUser: in.UserID.String(), metaFlow: flow,
	}
}

// findIntent is the intent of our transaction: of several the one that has the money, else the one that may still get it,
// else the newest.
func (c *Client) findIntent(ctx context.Context, ref account.PaymentRef) ([]byte, error) {
	return c.findByTime(ctx, ref, func(span *stripe.RangeQueryParams) func(*resources, stripe.ListParams) (*stripe.APIResponse, error) {
		return func(api *resources, p stripe.ListParams) (*stripe.APIResponse, error) {
			it := api.PaymentIntents.List(&stripe.PaymentIntentListParams{ListParams: p, CreatedRange: span})
			return it.PaymentIntentList().LastResponse, it.Err()
		}
	}, func(raw json.RawMessage) int {
		var i intent
		if json.Unmarshal(raw, &i) != nil || i.Metadata.id(metaTransaction) != ref.TransactionID {
			return 0
		}
		return weight(i.report(time.Time{}))
	})
}

// findSession is findIntent for Checkout Sessions.
func (c *Client) findSession(ctx context.Context, ref account.PaymentRef) ([]byte, error) {
	return c.findByTime(ctx, ref, func(span *stripe.RangeQueryParams) func(*resources, stripe.ListParams) (*stripe.APIResponse, error) {
		return func(api *resources, p stripe.ListParams) (*stripe.APIResponse, error) {
			it := api.CheckoutSessions.List(&stripe.CheckoutSessionListParams{ListParams: p, CreatedRange: span})
			return it.CheckoutSessionList().LastResponse, it.Err()
		}
	}, func(raw json.RawMessage) int {
		var s session
		if json.Unmarshal(raw, &s) != nil || s.Metadata.id(metaTransaction) != ref.TransactionID {
			return 0
		}
		return weight(s.report(time.Time{}))
	})
}

// weight orders payments of one transaction by how much they matter; 0 is none of it.
func weight(r account.PaymentReport, err error) int {
	switch {
	case err != nil:
		return 1
	case r.Kind == account.ReceivedCompleted:
		return 4
	case r.Kind == account.ReceivedPending:
		return 3
	default:
		return 2
	}
}

// findByTime lists what was created since shortly before our row was, first of the minutes after it, where it nearly always
// is, then of all the time since. ErrProviderNotFound proves that there is none.
func (c *Client) findByTime(ctx context.Context, ref account.PaymentRef,
	page func(*stripe.RangeQueryParams) func(*resources, stripe.ListParams) (*stripe.APIResponse, error), weigh func(json.RawMessage) int) ([]byte, error) {
	for _, span := range spans(createdAt(ref)) {
		var best json.RawMessage
		heaviest := 0
		_, err := c.list(ctx, how{}, page(span), func(raw json.RawMessage) bool {
			if w := weigh(raw); w > heaviest {
				best, heaviest = raw, w
			}
			return false
		})
		if err != nil {
			return nil, err
		}
		if heaviest > 0 {
			return best, nil
		}
	}
	return nil, account.ErrProviderNotFound
}

// spans are where to look for what belongs to a row of that age; everywhere where the age is not known.
func spans(created time.Time) []*stripe.RangeQueryParams {
	if created.IsZero() {
		return []*stripe.RangeQueryParams{nil}
	}
	from, soon := created.Add(-lookBack).Unix(), created.Add(lookBack).Unix()
	return []*stripe.RangeQueryParams{
		{GreaterThanOrEqual: from, LesserThanOrEqual: soon},
		{GreaterThan: soon},
	}
}

// createdAt is when our row was made, as the reference or the id itself says; zero where neither does.
func createdAt(ref account.PaymentRef) time.Time {
	if !ref.CreatedAt.IsZero() || ref.TransactionID.Version() != 7 {
		return ref.CreatedAt
	}
	seconds, nanoseconds := ref.TransactionID.Time().UnixTime()
	return time.Unix(seconds, nanoseconds).UTC()
}

// refOf is the reference of a transaction at the time of its initiation: its id tells when that was.
func refOf(id uuid.UUID) account.PaymentRef { return account.PaymentRef{TransactionID: id} }

// old says that a key of the row may be forgotten by now.
func (c *Client) old(ref account.PaymentRef) bool {
	created := createdAt(ref)
	return !created.IsZero() && c.now().Sub(created) > keysKept
}

func sameCurrency(r account.PaymentReport, in account.DepositInstruction) bool {
	return r.Currency == in.Amount.Currency().Code()
}

func mismatch() error {
	return unknown("answer_mismatch", errors.New("the answer is about another transaction, amount or currency"))
}
