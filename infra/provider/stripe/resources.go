package stripe

import (
	"github.com/stripe/stripe-go/v76"
	stripeaccount "github.com/stripe/stripe-go/v76/account"
	stripeaccountlink "github.com/stripe/stripe-go/v76/accountlink"
	stripebalancetransaction "github.com/stripe/stripe-go/v76/balancetransaction"
	stripecharge "github.com/stripe/stripe-go/v76/charge"
	stripesession "github.com/stripe/stripe-go/v76/checkout/session"
	stripeevent "github.com/stripe/stripe-go/v76/event"
	stripepaymentintent "github.com/stripe/stripe-go/v76/paymentintent"
	stripepayout "github.com/stripe/stripe-go/v76/payout"
	striperefund "github.com/stripe/stripe-go/v76/refund"
	stripetransfer "github.com/stripe/stripe-go/v76/transfer"
	stripetransferreversal "github.com/stripe/stripe-go/v76/transferreversal"
)

// resources is what we use of Stripe, under one key. The client package of stripe-go has all of
// Stripe in it, and compiles for long.
type resources struct {
	Accounts            stripeaccount.Client
	AccountLinks        stripeaccountlink.Client
	BalanceTransactions stripebalancetransaction.Client
	Charges             stripecharge.Client
	CheckoutSessions    stripesession.Client
	Events              stripeevent.Client
	PaymentIntents      stripepaymentintent.Client
	Payouts             stripepayout.Client
	Refunds             striperefund.Client
	Transfers           stripetransfer.Client
	TransferReversals   stripetransferreversal.Client
}

func newResources(key string, b stripe.Backend) *resources {
	return &resources{
		Accounts: stripeaccount.Client{
			B:   b,
			Key: key,
		}, AccountLinks: stripeaccountlink.Client{B: b, Key: key},
		BalanceTransactions: stripebalancetransaction.Client{
			B:   b,
			Key: key,
		}, Charges: stripecharge.Client{B: b, Key: key},
		CheckoutSessions: stripesession.Client{
			B:   b,
			Key: key,
		}, Events: stripeevent.Client{B: b, Key: key},
		PaymentIntents: stripepaymentintent.Client{
			B:   b,
			Key: key,
		}, Payouts: stripepayout.Client{B: b, Key: key},
		Refunds: striperefund.Client{
			B:   b,
			Key: key,
		}, Transfers: stripetransfer.Client{B: b, Key: key},
		TransferReversals: stripetransferreversal.Client{B: b, Key: key},
	}
}
