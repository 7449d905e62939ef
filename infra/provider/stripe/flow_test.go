package stripe_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/domain/account"
	"florin/infra/provider/stripe"
	"florin/infra/provider/stripe/stripetest"
)

func TestF24_FailureStoredUnderTheKey(t *testing.T) {
	for _, test := range []struct {
		fault stripetest.Fault
		keys  int // that were used in the end
	}{{stripetest.ServerError, 1}, {stripetest.StoredError, 2}} {
		t.Run(string(test.fault), func(t *testing.T) {
			b := newBench(t)
			in := b.deposit(1000, "EUR", "")
			b.stripe.Inject("/v1/payment_intents", test.fault)
			_, err := b.client.InitiateDeposit(t.Context(), in)
			requireClass(t, err, account.ErrProviderUnknown)
			require.Len(t, b.stripe.Attempts(), 1, "at first it is only unknown")
			var ids []string
			for range 3 {
				got, err := b.client.InitiateDeposit(t.Context(), in)
				require.NoError(t, err)
				ids = append(ids, got.PaymentID)
			}
			require.Equal(t, ids[0], ids[1])
			require.Equal(t, ids[0], ids[2])
			require.Len(t, b.stripe.Find("payment_intent", "florin_transaction_id", in.TransactionID.String()), 1)
			keys := map[string]bool{}
			for _, a := range b.stripe.Attempts() {
				keys[a.Key] = true
			}
			require.Len(t, keys, test.keys)
		})
	}
}

func TestF24_KeyOlderThanADay(t *testing.T) {
	b := newBench(t)
	in := b.deposit(1000, "EUR", "")
	id, err := uuid.NewV7()
	require.NoError(t, err)
	b.offset.Store(int64(time.Until(noon) * -1)) // the id tells the time
	in.TransactionID = id
	b.stripe.Inject("/v1/payment_intents", stripetest.LoseReply)
	_, err = b.client.InitiateDeposit(t.Context(), in)
	requireClass(t, err, account.ErrProviderUnknown)
	b.advance(25 * time.Hour)
	got, err := b.client.InitiateDeposit(t.Context(), in)
	require.NoError(t, err)
	require.Equal(t, b.stripe.Kind("payment_intent"), []string{got.PaymentID})
	require.Len(t, b.stripe.Attempts(), 1, "what is there is found, and not made again")
}

func TestErrorsAreSorted(t *testing.T) {
	b := newBench(t)
	for fault, want := range map[stripetest.Fault]struct {
		class error
		code  string
	}{
		stripetest.Refuse:       {account.ErrProviderRefused, "declined"},
		stripetest.Invalid:      {account.ErrProviderRefused, "invalid"},
		stripetest.Busy:         {account.ErrProviderRetryable, "rate_limit"},
		stripetest.LockTimeout:  {account.ErrProviderRetryable, "lock_timeout"},
		stripetest.GatewayError: {account.ErrProviderUnknown, "bad_answer"},
		stripetest.Redirect:     {account.ErrProviderUnknown, "no_answer"},
		stripetest.Garbage:      {account.ErrProviderUnknown, "bad_answer"},
		stripetest.StoredError:  {account.ErrProviderUnknown, ""},
	} {
		b.stripe.Inject("/v1/payment_intents", fault)
		_, err := b.client.InitiateDeposit(t.Context(), b.deposit(1000, "EUR", ""))
		require.Equal(t, want.code, classed(t, err, want.class).Code, fault)
		require.NotContains(t, err.Error(), stripetest.APIKey)
		require.NotContains(t, err.Error(), "_secret_")
	}
	b.stripe.Inject("", stripetest.Down)
	_, err := b.client.GetPaymentStatus(t.Context(), account.PaymentRef{PaymentID: "pi_1"})
	requireClass(t, err, account.ErrProviderUnknown)
}

func TestF38_SessionIntentAndChargeAreOnePayment(t *testing.T) {
	b := newBench(t)
	in := b.deposit(1000, "EUR", stripe.FlowCheckout)
	made, err := b.client.InitiateDeposit(t.Context(), in)
	require.NoError(t, err)
	require.Empty(t, made.PaymentID, "there is no intent yet")
	require.Equal(t, "redirect", made.NextAction.Type)
	require.Contains(t, made.NextAction.URL, "https://checkout.stripe.test/")
	ref := account.PaymentRef{Type: account.TypeDeposit, TransactionID: in.TransactionID, CreatedAt: b.now()}
	open, err := b.client.GetPaymentStatus(t.Context(), ref)
	require.NoError(t, err)
	require.Equal(t, account.ReceivedPending, open.Kind)

	session := b.stripe.Kind("checkout.session")[0]
	id := b.stripe.PaySession(session)
	for _, kind := range []string{"payment_intent.succeeded", "checkout.session.completed"} {
		event := b.last(kind)
		require.Equal(t, account.ReceivedCompleted, event.Kind, kind)
		require.Equal(t, id, event.PaymentID, kind)
		require.Equal(t, in.TransactionID, event.TransactionID, kind)
		require.Equal(t, in.AccountID, event.AccountID, kind)
		require.Equal(t, int64(1000), event.Amount, kind)
	}
	fees := b.consult("charge.succeeded")
	require.Len(t, fees, 1)
	require.Equal(t, account.ReceivedFee, fees[0].Kind)
	require.Equal(t, id, fees[0].PaymentID)
	require.Equal(t, in.TransactionID, fees[0].TransactionID)
	require.Equal(t, int64(59), fees[0].Amount)
	require.NotEmpty(t, fees[0].Ref)
	done, err := b.client.GetPaymentStatus(t.Context(), ref)
	require.NoError(t, err)
	require.Equal(t, id, done.PaymentID)
	require.Equal(t, account.ReceivedCompleted, done.Kind)
}

func TestF43_SessionCompletedButUnpaid(t *testing.T) {
	for _, paid := range []bool{true, false} {
		b := newBench(t)
		_, err := b.client.InitiateDeposit(t.Context(), b.deposit(1000, "EUR", stripe.FlowCheckout))
		require.NoError(t, err)
		session := b.stripe.Kind("checkout.session")[0]
		id := b.stripe.PaySessionLater(session)
		require.Equal(t, account.ReceivedPending, b.last("checkout.session.completed").Kind)
		b.stripe.SettleSession(session, paid)
		want, kind := account.ReceivedFailed, "checkout.session.async_payment_failed"
		if paid {
			want, kind = account.ReceivedCompleted, "checkout.session.async_payment_succeeded"
		}
		event := b.last(kind)
		require.Equal(t, want, event.Kind)
		require.Equal(t, id, event.PaymentID)
	}
}

func TestCancelOfASession(t *testing.T) {
	for _, visited := range []bool{false, true} {
		b := newBench(t)
		in := b.deposit(1000, "EUR", stripe.FlowCheckout)
		_, err := b.client.InitiateDeposit(t.Context(), in)
		require.NoError(t, err)
		session := b.stripe.Kind("checkout.session")[0]
		ref := account.PaymentRef{TransactionID: in.TransactionID}
		if visited {
			ref.PaymentID = b.stripe.Visit(session)
		}
		report, err := b.client.CancelPayment(t.Context(), ref)
		require.NoError(t, err)
		require.Equal(t, account.ReceivedFailed, report.Kind)
		require.Equal(t, "expired", b.stripe.Get(session)["status"])
		require.Equal(t, account.ReceivedFailed, b.last("checkout.session.expired").Kind)
	}
}

func TestF40_AFailedAttemptIsNotTheEnd(t *testing.T) {
	b := newBench(t)
	made, err := b.client.InitiateDeposit(t.Context(), b.deposit(1000, "EUR", ""))
	require.NoError(t, err)
	require.Equal(t, "client_secret", made.NextAction.Type)
	require.NotEmpty(t, made.NextAction.ClientSecret)
	b.stripe.Decline(made.PaymentID, "insufficient_funds")
	require.Equal(t, account.ReceivedAttemptFailed, b.last("payment_intent.payment_failed").Kind)
	b.stripe.PayPart(made.PaymentID, 700)
	event := b.last("payment_intent.succeeded")
	require.Equal(t, account.ReceivedCompleted, event.Kind)
	require.Equal(t, int64(700), event.Amount, "what was captured, not what was asked")
}

func TestF78_F79_WithdrawalHasTwoStepsAndTwoKeys(t *testing.T) {
	b := newBench(t)
	in := b.withdrawal(1000, "EUR")
	got, err := b.client.InitiateWithdraw(t.Context(), in)
	require.NoError(t, err)
	attempts := b.stripe.Attempts()
	require.Len(t, attempts, 2)
	require.Equal(t, []string{in.IdempotencyKey + ":transfer", in.IdempotencyKey + ":payout"}, []string{attempts[0].Key, attempts[1].Key})
	require.Equal(t, []string{"", b.payee}, []string{attempts[0].Account, attempts[1].Account})

	b.stripe.PayOut(got.PaymentID)
	facts := b.consult("payout.paid")
	require.Len(t, facts, 1)
	require.Equal(t, account.ReceivedCompleted, facts[0].Kind)
	require.Equal(t, got.PaymentID, facts[0].PaymentID)
	require.Equal(t, in.TransactionID, facts[0].TransactionID)

	// Days later the bank sends it back. First the transfer is reversed, then it is said.
	b.stripe.FailPayout(got.PaymentID, "account_closed")
	facts = b.consult("payout.failed")
	require.Len(t, facts, 2)
	require.Equal(t, account.ReceivedCompleted, facts[0].Kind)
	require.Equal(t, account.ReceivedPayoutReturned, facts[1].Kind)
	require.Equal(t, "account_closed", facts[1].Failure.Code)
	require.Equal(t, true, b.stripe.Get(b.stripe.Kind("transfer")[0])["reversed"])
	require.Len(t, b.stripe.Kind("transfer_reversal"), 1, "once")
	require.Equal(t, facts, renamed(b.consult("transfer.reversed"), facts), "the reversal tells the same")
}

// renamed gives the facts the ids and types of others, so that what they say can be compared.
func renamed(facts, like []account.PaymentReceivedEvent) []account.PaymentReceivedEvent {
	for i := range facts {
		facts[i].EventID, facts[i].Type, facts[i].OccurredAt = like[i].EventID, like[i].Type, like[i].OccurredAt
	}
	return facts
}

func TestF77_PayoutThatFailsBeforeItIsPaid(t *testing.T) {
	b := newBench(t)
	got, err := b.client.InitiateWithdraw(t.Context(), b.withdrawal(1000, "EUR"))
	require.NoError(t, err)
	b.stripe.FailPayout(got.PaymentID, "could_not_process")

	b.stripe.Inject("/v1/transfers/", stripetest.Busy) // the reversal has to wait
	_, err = b.client.Consult(t.Context(), b.last("payout.failed"))
	said := classed(t, err, account.ErrProviderUnknown)
	require.Equal(t, 2*time.Second, said.RetryAfter)
	facts := b.consult("payout.failed")
	require.Len(t, facts, 1)
	require.Equal(t, account.ReceivedFailed, facts[0].Kind)
	require.Len(t, b.stripe.Kind("transfer_reversal"), 1)
}

func TestF77_RefusedPayoutTakesItsTransferBackFirst(t *testing.T) {
	b := newBench(t)
	b.payee = b.onboard(false)
	in := b.withdrawal(1000, "EUR")
	b.stripe.Inject("/v1/transfers/", stripetest.Hang)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := b.client.InitiateWithdraw(ctx, in)
	requireClass(t, err, account.ErrProviderUnknown) // refused, but nobody has confirmed the reversal
	_, err = b.client.InitiateWithdraw(t.Context(), in)
	requireClass(t, err, account.ErrProviderRefused)
	require.Len(t, b.stripe.Kind("transfer_reversal"), 1)

	// What was taken back is not paid out, even once the account could be paid.
	b.stripe.SetAccount(b.payee, true, true)
	_, err = b.client.InitiateWithdraw(t.Context(), in)
	requireClass(t, err, account.ErrProviderRefused)
	require.Empty(t, b.stripe.Kind("payout"))
}

// TestF77_WhatWasTakenBackIsNotPaidOut: the call is repeated after its payout was refused and its transfer is back. Its first answer
// under the key says that the money is out; how it stands now is asked.
func TestF77_WhatWasTakenBackIsNotPaidOut(t *testing.T) {
	b := newBench(t)
	in := b.withdrawal(1000, "EUR")
	b.stripe.Inject("/v1/payouts", stripetest.Invalid) // this answer is not kept under its key
	_, err := b.client.InitiateWithdraw(t.Context(), in)
	requireClass(t, err, account.ErrProviderRefused)
	for range 2 {
		_, err = b.client.InitiateWithdraw(t.Context(), in)
		requireClass(t, err, account.ErrProviderRefused)
	}
	require.Empty(t, b.stripe.Kind("payout"))
	require.Len(t, b.stripe.Kind("transfer"), 1)
	require.Len(t, b.stripe.Kind("transfer_reversal"), 1)
}

// TestF77_AReversalIsBelievedWhenTheMoneyIsBack: the answer to it is not enough.
func TestF77_AReversalIsBelievedWhenTheMoneyIsBack(t *testing.T) {
	b := newBench(t)
	in := b.withdrawal(1000, "EUR")
	b.stripe.Inject("/v1/transfers/", stripetest.Unmoved)
	b.stripe.Inject("/v1/payouts", stripetest.Invalid)
	_, err := b.client.InitiateWithdraw(t.Context(), in)
	requireClass(t, err, account.ErrProviderUnknown)
}

func TestF76_WithdrawalThatDiedBetweenItsSteps(t *testing.T) {
	b := newBench(t)
	in := b.withdrawal(1000, "EUR")
	b.stripe.Inject("/v1/payouts", stripetest.LoseReply)
	_, err := b.client.InitiateWithdraw(t.Context(), in)
	requireClass(t, err, account.ErrProviderUnknown)
	got, err := b.client.InitiateWithdraw(t.Context(), in)
	require.NoError(t, err)
	require.Len(t, b.stripe.Kind("transfer"), 1)
	require.Equal(t, []string{got.PaymentID}, b.stripe.Kind("payout"))

	other := b.withdrawal(1000, "EUR")
	b.stripe.Inject("/v1/payouts", stripetest.Busy)
	_, err = b.client.InitiateWithdraw(t.Context(), other)
	requireClass(t, err, account.ErrProviderUnknown) // the money is out of our balance
	ref := account.PaymentRef{Type: account.TypeWithdraw, TransactionID: other.TransactionID}
	open, err := b.client.GetPaymentStatus(t.Context(), ref)
	require.NoError(t, err)
	require.Equal(t, account.ReceivedPending, open.Kind)
	given, err := b.client.CancelPayment(t.Context(), ref)
	require.NoError(t, err)
	require.Equal(t, account.ReceivedFailed, given.Kind)
	require.Len(t, b.stripe.Kind("transfer_reversal"), 1)
}

func TestF80_CancelOfAPayout(t *testing.T) {
	b := newBench(t)
	first, second := b.withdrawal(1000, "EUR"), b.withdrawal(2000, "EUR")
	made, err := b.client.InitiateWithdraw(t.Context(), first)
	require.NoError(t, err)
	report, err := b.client.CancelPayment(t.Context(), account.PaymentRef{Type: account.TypeWithdraw, PaymentID: made.PaymentID, TransactionID: first.TransactionID})
	require.NoError(t, err)
	require.Equal(t, account.ReceivedFailed, report.Kind)
	require.Equal(t, "canceled", report.Failure.Code)
	require.Len(t, b.stripe.Kind("transfer_reversal"), 1)

	made, err = b.client.InitiateWithdraw(t.Context(), second)
	require.NoError(t, err)
	b.stripe.SendOut(made.PaymentID)
	report, err = b.client.CancelPayment(t.Context(), account.PaymentRef{Type: account.TypeWithdraw, PaymentID: made.PaymentID, TransactionID: second.TransactionID})
	require.NoError(t, err)
	require.Equal(t, account.ReceivedPending, report.Kind, "it is on its way")
}

func TestF67_F69_Refund(t *testing.T) {
	b := newBench(t)
	deposit := b.deposit(1000, "EUR", "")
	id := b.paid(deposit)
	in := account.RefundInstruction{IdempotencyKey: "florin_r_1_refund", TransactionID: uuid.New(), DepositID: deposit.TransactionID, PaymentID: id, Amount: deposit.Amount}
	b.stripe.Inject("/v1/refunds", stripetest.ServerError)
	_, err := b.client.RefundPayment(t.Context(), in)
	requireClass(t, err, account.ErrProviderUnknown)
	got, err := b.client.RefundPayment(t.Context(), in)
	require.NoError(t, err)
	again, err := b.client.RefundPayment(t.Context(), in)
	require.NoError(t, err)
	require.Equal(t, got.PaymentID, again.PaymentID)
	require.Equal(t, account.ReceivedRefunded, got.Report.Kind)
	require.Equal(t, in.TransactionID, got.Report.TransactionID)

	event := b.last("refund.created")
	require.Equal(t, account.ReceivedRefunded, event.Kind)
	require.Equal(t, []string{got.PaymentID, id}, []string{event.Ref, event.PaymentID})
	require.Equal(t, []uuid.UUID{in.TransactionID, in.DepositID}, []uuid.UUID{event.FollowID, event.TransactionID})
	for _, ref := range []account.PaymentRef{{Type: account.TypeRefund, PaymentID: got.PaymentID}, {Type: account.TypeRefund, TransactionID: in.TransactionID}} {
		report, err := b.client.GetPaymentStatus(t.Context(), ref)
		require.NoError(t, err)
		require.Equal(t, got.PaymentID, report.PaymentID)
	}
	in.IdempotencyKey, in.TransactionID = "florin_r_2_refund", uuid.New()
	_, err = b.client.RefundPayment(t.Context(), in)
	requireClass(t, err, account.ErrProviderRefused) // nothing is left

	b.stripe.FailRefund(got.PaymentID)
	for _, kind := range []string{"refund.failed", "charge.refund.updated"} {
		event = b.last(kind)
		require.Equal(t, account.ReceivedRefundFailed, event.Kind)
		require.Equal(t, got.PaymentID, event.Ref)
	}
}

func TestF68_RefundsThatTheEventDoesNotCarry(t *testing.T) {
	b := newBench(t)
	deposit := b.deposit(1000, "EUR", "")
	id := b.paid(deposit)
	first, second := b.stripe.Refund(id, 300), b.stripe.Refund(id, 200)
	facts := b.consult("charge.refunded")
	require.Len(t, facts, 2)
	for i, want := range []struct {
		ref    string
		amount int64
	}{{first, 300}, {second, 200}} {
		assert.Equal(t, account.ReceivedRefunded, facts[i].Kind)
		assert.Equal(t, want.ref, facts[i].Ref)
		assert.Equal(t, want.amount, facts[i].Amount)
		assert.Equal(t, deposit.TransactionID, facts[i].TransactionID)
		assert.Equal(t, account.CauseReport, facts[i].Cause)
	}
	require.NotEqual(t, facts[0].EventID, facts[1].EventID)
}

func TestF70_F71_Disputes(t *testing.T) {
	b := newBench(t)
	deposit := b.deposit(1000, "EUR", "")
	id := b.paid(deposit)
	inquiry := b.stripe.Inquire(id)
	require.Equal(t, account.ReceivedIgnored, b.last("charge.dispute.created").Kind)
	b.stripe.CloseInquiry(inquiry)
	require.Equal(t, account.ReceivedIgnored, b.last("charge.dispute.closed").Kind, "an inquiry moves nothing")

	dispute := b.stripe.Dispute(id)
	facts := b.consult("charge.dispute.funds_withdrawn")
	require.Len(t, facts, 2)
	require.Equal(t, []account.ReceivedKind{account.ReceivedDisputed, account.ReceivedFee}, []account.ReceivedKind{facts[0].Kind, facts[1].Kind})
	require.Equal(t, []string{dispute, id}, []string{facts[0].Ref, facts[0].PaymentID})
	require.Equal(t, []int64{1000, 1500}, []int64{facts[0].Amount, facts[1].Amount})
	require.Equal(t, deposit.TransactionID, facts[0].TransactionID)
	b.stripe.CloseDispute(dispute, true)
	facts = b.consult("charge.dispute.funds_reinstated")
	require.Equal(t, account.ReceivedDisputeWon, facts[0].Kind)
	require.Equal(t, account.ReceivedDisputeWon, b.consult("charge.dispute.closed")[0].Kind)
	lost := b.stripe.Dispute(id)
	b.stripe.CloseDispute(lost, false)
	facts = b.consult("charge.dispute.closed")
	require.Equal(t, []string{string(account.ReceivedDisputeLost), lost}, []string{string(facts[0].Kind), facts[0].Ref})
}

func TestF47_OtherModeAndOtherAccounts(t *testing.T) {
	b := newBench(t)
	in := b.deposit(1000, "EUR", "")
	b.paid(in)
	events := b.stripe.Events()
	body := bytes.ReplaceAll(events[len(events)-2].Body, []byte(`"livemode": false`), []byte(`"livemode": true`))
	event, err := b.client.ParseWebhook(body, stripetest.Sign(body, secret, b.now()))
	require.NoError(t, err)
	require.Equal(t, account.ReceivedForeign, event.Kind)
	require.Equal(t, "other_mode", event.Failure.Code)
	require.Zero(t, event.Amount)

	stranger := b.stripe.NewAccount(true)
	out := b.withdrawal(1000, "EUR")
	out.Target.ProviderAccount = stranger
	made, err := b.client.InitiateWithdraw(t.Context(), out)
	require.NoError(t, err)
	b.stripe.PayOut(made.PaymentID)
	facts := b.consult("payout.paid")
	require.Len(t, facts, 1)
	require.Equal(t, account.ReceivedForeign, facts[0].Kind)
	require.Equal(t, "foreign_account", facts[0].Failure.Code)
}

// TestF54_OtherVersionsAndShapes: the events of the stand-in are of another version than stripe-go's already. What cannot be
// read is no error, which Stripe would send again for days.
func TestF54_OtherVersionsAndShapes(t *testing.T) {
	b := newBench(t)
	for name, object := range map[string]map[string]any{
		"no currency":     {"id": "pi_1", "object": "payment_intent", "amount": 1000, "amount_received": 1000},
		"amount as text":  {"id": "pi_1", "object": "payment_intent", "amount": "1000", "amount_received": "1000", "currency": "eur"},
		"nothing":         nil,
		"negative amount": {"id": "pi_1", "amount_received": -5, "currency": "eur"},
		"hostile id":      {"id": "../pi_1", "amount_received": 5, "currency": "eur"},
		"no such money":   {"id": "pi_1", "amount_received": 5, "currency": "zzz"},
	} {
		body := stripetest.Render("evt_x", "payment_intent.succeeded", "", b.now(), object)
		event, err := b.client.ParseWebhook(body, stripetest.Sign(body, secret, b.now()))
		require.NoError(t, err, name)
		require.Equal(t, account.ReceivedForeign, event.Kind, name)
		require.Equal(t, "unreadable_event", event.Failure.Code, name)
	}
	// Expanded where an id was expected, and metadata that is not ours.
	body := stripetest.Render("evt_y", "checkout.session.completed", "", b.now(), map[string]any{"id": "cs_1", "object": "checkout.session",
		"payment_status": "paid", "status": "complete", "amount_total": 1000, "currency": "eur", "payment_intent": map[string]any{"id": "pi_9", "x": 1}, "metadata": []int{1}})
	event, err := b.client.ParseWebhook(body, stripetest.Sign(body, secret, b.now()))
	require.NoError(t, err)
	require.Equal(t, account.ReceivedCompleted, event.Kind)
	require.Equal(t, "pi_9", event.PaymentID)
	require.Zero(t, event.TransactionID)
}

func TestOnboarding(t *testing.T) {
	b := newBench(t)
	user := uuid.New()
	made, err := b.client.CreatePayoutAccount(t.Context(), "key", user)
	require.NoError(t, err)
	again, err := b.client.CreatePayoutAccount(t.Context(), "key", user)
	require.NoError(t, err)
	require.Equal(t, made.ID, again.ID)
	require.False(t, made.Complete)
	link, err := b.client.OnboardingLink(t.Context(), "link", made.ID)
	require.NoError(t, err)
	require.Contains(t, link, "https://")
	b.accounts[made.ID] = made
	b.stripe.SetAccount(made.ID, true, true)
	require.Empty(t, b.consult("account.updated"))
	require.True(t, b.accounts[made.ID].PayoutsEnabled)
	now, err := b.client.GetPayoutAccount(t.Context(), made.ID)
	require.NoError(t, err)
	require.True(t, now.Complete)
}
