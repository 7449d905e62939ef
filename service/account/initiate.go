package account

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"florin/domain/account"
	"florin/domain/errs"
	"florin/domain/fx"
	"florin/domain/money"
	"florin/pkg/crashpoint"
)

// initiation is what a deposit and a withdrawal bring to their common way.
type initiation struct {
	call        Call
	kind        account.Type
	amount      money.Money
	rounding    fx.Rounding
	moneySource string
	paymentFlow string
	target      *account.ExternalTarget
	// refusal is what admit said.
	refusal error
}

// initiate is the way of a new payment: our row first, then the provider with no transaction open, then what the
// provider answered.
func (s *Service) initiate(ctx context.Context, in initiation) (Outcome, error) {
	provider, err := s.providers.Named(in.call.Provider)
	if err != nil {
		return Outcome{}, err
	}
	in.call.Provider = provider.Name()
	crashpoint.Hit(crashpoint.RequestParsed)
	id, err := uuid.NewV7()
	if err != nil {
		return Outcome{}, err
	}
	in.refusal = s.admit(ctx, provider, &in)
	key := s.keyOf(in.call, id)
	out, err := s.begin(ctx, in, id, key)
	if errors.Is(err, errDryRun) {
		return out, nil
	}
	if err != nil || out.Answer != nil {
		return out, err
	}
	if out.Transaction == nil {
		return s.currentState(ctx, in.call, key)
	}
	crashpoint.Hit(crashpoint.RequestCommitted)
	s.meter.Moved(in.kind, "", account.PaymentStatusInitiated)
	s.noteCards(ctx, in.call, id, in.kind)
	s.callProvider(ctx, &out, provider, key, in.call.Wait > 0)
	s.wait(ctx, &out, in.call)
	s.keepAnswer(ctx, key, &out)
	return out, nil
}

// begin is tx A: the checks, the hold, our row, the key and the first event, in one commit.
func (s *Service) begin(ctx context.Context, in initiation, id uuid.UUID, key *keyUse) (Outcome, error) {
	var out Outcome
	needs := account.Needs{Key: key.hash(), Transactions: []uuid.UUID{id}, Accounts: []uuid.UUID{in.call.AccountID}}
	if in.kind == account.TypeDeposit {
		needs.DepositsOf = in.call.UserID
	}
	err := s.withQuotes(ctx, func(q quotes) error {
		return s.ledger.Do(ctx, needs, func(ctx context.Context, u account.UnitOfWork) error {
			out = Outcome{}
			if seen, err := s.seenBefore(u, id, key, &out); seen || err != nil {
				return err
			}
			return s.open(ctx, u, in, id, q, key, &out)
		})
	})
	return out, err
}

func (s *Service) open(ctx context.Context, u account.UnitOfWork, in initiation, id uuid.UUID, q quotes, key *keyUse, out *Outcome) error {
	now := s.now()
	a, ok := u.Account(in.call.AccountID)
	if !ok || a.UserID != in.call.UserID {
		return errs.Missing("Account")
	}
	if err := a.CheckActive(); err != nil {
		return err
	}
	if in.refusal != nil {
		return in.refusal
	}
	if in.kind == account.TypeDeposit && u.OpenDeposits() >= s.limits.OpenDeposits {
		return errTooManyOpenDeposits()
	}
	posted, conversion, err := q.convert(in.amount, a.Currency, in.rounding)
	if err != nil {
		return err
	}
	t := newPayment(id, in, posted, conversion, now, s.limits)
	if in.kind == account.TypeWithdraw {
		hold, err := a.Hold(id, posted, now)
		if err != nil {
			return err
		}
		u.AddHold(hold)
	}
	event, err := t.Move(account.PaymentStatusInitiated, now, account.CauseRequest, nil)
	if err != nil {
		return err
	}
	out.Transaction, out.Side = t, a.ID
	if in.call.DryRun {
		return s.dryRunOf(in, a, posted, out)
	}
	u.AddTransaction(t)
	key.lock(u, now)
	return s.bus.PublishPaymentEvent(ctx, event)
}

func errTooManyOpenDeposits() error {
	limited := errs.New(errs.Limited, "too_many_open_deposits", "Too many deposits are open. Complete or cancel some first.")
	limited.RetryAfter = time.Minute
	return limited
}

// dryRunOf tells the balance as it would be once the payment is confirmed, and takes the unit of work back.
func (s *Service) dryRunOf(in initiation, a *account.Account, posted money.Money, out *Outcome) error {
	if in.kind == account.TypeDeposit {
		if err := a.Deposit(out.Transaction.ID, posted, s.now()); err != nil {
			return err
		}
	}
	out.Balances = []Balance{balanceOf(a)}
	return errDryRun
}

// callProvider makes the provider call beside the request: it goes on when the client hangs up, and the request goes
// on without it after Limits.ReplyWithin. out gets the transaction as it is then.
func (s *Service) callProvider(ctx context.Context, out *Outcome, provider account.PaymentProvider, key *keyUse, waits bool) {
	select {
	case s.calls <- struct{}{}:
	default:
		return
	}
	t := out.Transaction.Clone()
	if waits {
		key = nil
	}
	answered := make(chan submitted, 1)
	s.running.Add(1)
	go func() {
		defer s.running.Done()
		defer func() { <-s.calls }()
		callCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.limits.CallTimeout+keySlack)
		defer cancel()
		defer context.AfterFunc(s.alive, cancel)()
		after, err := s.submit(callCtx, provider, t, key)
		if err != nil {
			s.log.WarnContext(callCtx, "payment not settled with its provider yet", "transaction_id", t.ID, "error", err)
			after = submitted{}
		}
		answered <- after
	}()
	within, cancel := context.WithTimeout(ctx, s.limits.ReplyWithin)
	defer cancel()
	select {
	case after := <-answered:
		if after.transaction == nil {
			return
		}
		out.Transaction, out.Answer = after.transaction, after.answer
		if key != nil && (out.Answer != nil || !out.Transaction.Status().Terminal()) {
			key.answered = true // tx B has stored it
		}
	case <-within.Done():
	}
}

// submitted is a transaction as it is when its provider has answered, with the answer that is kept for repeats of its
// request, nil where none is yet.
type submitted struct {
	transaction *account.Transaction
	answer      *account.Answer
}

// submit sends the payment to its provider and records the answer. It is repeatable: the instruction is the same, byte
// for byte, for the same transaction and attempt.
func (s *Service) submit(ctx context.Context, provider account.PaymentProvider, t *account.Transaction, key *keyUse) (submitted, error) {
	ctx, span := s.startPayment(ctx, t, "provider.initiate")
	defer span.End()
	callCtx, cancel := context.WithTimeout(ctx, s.limits.CallTimeout)
	defer cancel()
	started := s.now()
	var got account.Initiation
	var err error
	operation := "initiate_" + string(t.Type)
	crashpoint.Hit(crashpoint.BeforeProviderCall)
	switch t.Type {
	case account.TypeWithdraw:
		got, err = provider.InitiateWithdraw(callCtx, withdrawInstruction(t))
	case account.TypeRefund:
		got, err = s.submitRefund(callCtx, provider, t)
	default:
		got, err = provider.InitiateDeposit(callCtx, depositInstruction(t))
	}
	crashpoint.Hit(crashpoint.ProviderCallAnswered)
	ended := s.now()
	call := s.recordOf(ctx, t, operation, outcomeOf(got.Report.Kind, err), started, ended)
	s.meter.Called(provider.Name(), operation, call.Outcome, ended.Sub(started))
	switch {
	case err == nil:
		return s.accepted(ctx, provider, t, got, call, key)
	case errors.Is(err, account.ErrProviderRefused):
		failed, err := s.refused(ctx, t, err, call)
		return submitted{transaction: failed}, err
	default:
		return submitted{}, s.unanswered(ctx, t, err, call)
	}
}

// accepted is tx B: it fills what is still null and moves the status only where it is still initiated, because the
// webhook can have been first.
func (s *Service) accepted(ctx context.Context, provider account.PaymentProvider, t *account.Transaction, got account.Initiation, call account.ProviderCall, key *keyUse) (submitted, error) {
	final := isFinal(got.Report.Kind)
	var after submitted
	moved := false
	needs := account.Needs{Key: key.hash(), Transactions: []uuid.UUID{t.ID}}
	err := s.ledger.Do(ctx, needs, func(ctx context.Context, u account.UnitOfWork) error {
		moved = false
		now := s.now()
		row, ok := u.Transaction(t.ID)
		if !ok {
			return errs.Missing("Transaction")
		}
		crashpoint.Hit(crashpoint.ProviderStepOpen)
		after = submitted{transaction: row}
		u.AddProviderCall(call)
		if row.PaymentID == "" {
			row.PaymentID = got.PaymentID
		}
		if row.NextAction == nil && !row.Status().Terminal() {
			row.NextAction = got.NextAction
		}
		if row.Status() == account.PaymentStatusInitiated && !final {
			event, err := row.Move(account.PaymentStatusPending, now, account.CauseReply, nil)
			if err != nil {
				return err
			}
			row.NextAttemptAt = now.Add(pollAfter(0))
			row.Tries = 0
			moved = true
			if err := s.bus.PublishPaymentEvent(ctx, event); err != nil {
				return err
			}
		}
		if !final {
			after.answer = key.finish(u, &Outcome{Transaction: row, Side: row.AccountID}, now)
		}
		return nil
	})
	if err != nil {
		return submitted{}, err
	}
	crashpoint.Hit(crashpoint.ProviderStepCommitted)
	if moved {
		s.meter.Moved(t.Type, account.PaymentStatusInitiated, account.PaymentStatusPending)
	}
	if !final {
		return after, nil
	}
	if got.Report.PaymentID == "" {
		got.Report.PaymentID = got.PaymentID
	}
	done, err := s.applyOwn(ctx, received(t, got.Report, account.CauseReply))
	return submitted{transaction: done}, err
}

func isFinal(kind account.ReceivedKind) bool {
	return kind == account.ReceivedCompleted || kind == account.ReceivedFailed || kind == account.ReceivedRefunded || kind == account.ReceivedRefundFailed
}

// received makes of a provider's report on a transaction of ours the event that a webhook would have brought. The end of a refund
// is a fact about the deposit that it follows.
func received(t *account.Transaction, report account.PaymentReport, cause account.Cause) account.PaymentReceivedEvent {
	event := report.Received(t.Provider, cause)
	event.TransactionID = t.ID
	if t.Type != account.TypeRefund || !isFinal(report.Kind) {
		return event
	}
	event.TransactionID, event.FollowID, event.Ref, event.PaymentID = t.LinkedID, t.ID, report.PaymentID, ""
	if event.Ref == "" {
		event.Ref = t.PaymentID
	}
	switch report.Kind {
	case account.ReceivedCompleted:
		event.Kind = account.ReceivedRefunded
	case account.ReceivedFailed:
		event.Kind = account.ReceivedRefundFailed
	}
	return event
}

// refused fails the payment: nothing happened at the provider and nothing will.
func (s *Service) refused(ctx context.Context, t *account.Transaction, cause error, call account.ProviderCall) (*account.Transaction, error) {
	failure := account.Failure{Code: "declined", Message: "The payment was declined."}
	var said *account.ProviderError
	if errors.As(cause, &said) && said.Code != "" {
		failure = account.Failure{Code: said.Code, Message: said.Message}
	}
	if err := s.recordCall(ctx, call, time.Time{}); err != nil {
		return nil, err
	}
	return s.applyOwn(ctx, received(t, account.PaymentReport{Kind: account.ReceivedFailed, Amount: t.Amount.Minor(),
		Currency: t.Amount.Currency().Code(), Failure: &failure, OccurredAt: call.EndedAt}, account.CauseReply))
}

// unanswered leaves the payment open, with its hold: it may or may not have happened. The sweep repeats the call under the
// same key.
func (s *Service) unanswered(ctx context.Context, t *account.Transaction, cause error, call account.ProviderCall) error {
	var again time.Time
	var said *account.ProviderError
	if errors.As(cause, &said) && said.RetryAfter > 0 {
		again = call.EndedAt.Add(said.RetryAfter)
	}
	// The call's own deadline may be what ended it, and the note of it must still be written.
	noteCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keySlack)
	defer cancel()
	if err := s.recordCall(noteCtx, call, again); err != nil {
		return errors.Join(cause, err)
	}
	crashpoint.Hit(crashpoint.ProviderRetryArmed)
	return cause
}

// recordCall notes a provider call and, where again is set, when the next one is due.
func (s *Service) recordCall(ctx context.Context, call account.ProviderCall, again time.Time) error {
	return s.ledger.Do(ctx, account.Needs{Transactions: []uuid.UUID{call.TransactionID}}, func(_ context.Context, u account.UnitOfWork) error {
		row, ok := u.Transaction(call.TransactionID)
		if !ok {
			return errs.Missing("Transaction")
		}
		u.AddProviderCall(call)
		if !again.IsZero() && !row.Status().Terminal() && again.After(row.NextAttemptAt) {
			row.NextAttemptAt = again
		}
		return nil
	})
}

// wait holds the answer until the transaction is terminal or the wait is over, and takes its state then.
func (s *Service) wait(ctx context.Context, out *Outcome, c Call) {
	if c.Wait <= 0 || out.Transaction.Status().Terminal() {
		return
	}
	t, _, err := s.WaitTerminal(ctx, c.UserID, out.Transaction.ID, c.Wait)
	if err != nil {
		s.log.WarnContext(ctx, "wait for a transaction ended early", "transaction_id", out.Transaction.ID, "error", err)
		return
	}
	out.Transaction = t
}

func outcomeOf(kind account.ReceivedKind, err error) string {
	var said *account.ProviderError
	code := ""
	if errors.As(err, &said) && said.Code != "" {
		code = ": " + said.Code
	}
	switch {
	case err == nil && kind == "":
		return "accepted"
	case err == nil:
		return string(kind)
	case errors.Is(err, account.ErrProviderNotFound):
		return "not found"
	case errors.Is(err, account.ErrProviderRefused):
		return "refused" + code
	case errors.Is(err, account.ErrProviderRetryable):
		return "retryable" + code
	default:
		return "unknown"
	}
}

// pollAfter is how long a payment is left alone before its provider is asked, by how often that was done.
func pollAfter(tries int) time.Duration {
	if tries > 4 {
		tries = 4
	}
	return 15 * time.Second << tries
}
