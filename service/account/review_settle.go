package account

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"florin/domain/account"
	"florin/domain/errs"
	"florin/domain/ledger"
	"florin/domain/money"
)

// The places where money waits for a decision, as a settlement names them.
const (
	suspenseName   = "suspense"
	receivableName = "receivable"
)

// Settlement is a decision on a review.
type Settlement struct {
	ReviewID uuid.UUID
	Outcome  account.ReviewOutcome
	// AccountID is the account that OutcomeCreditAccount credits, uuid.Nil otherwise.
	AccountID uuid.UUID
	By        account.Operator
}

var (
	errSettled  = errs.New(errs.Conflict, "already_settled", "The review was settled before.")
	errOutcome  = errs.InField("outcome", "outcome_not_allowed", "This cannot be decided here; the review says what can.")
	errCredited = errs.InField("account_id", "destination_unavailable", "The account is unknown, closed, or in another currency.")
	errNotNamed = errs.InField("account_id", "outcome_not_allowed", "Only credit_account takes an account.")
)

// SettleReview books a decision, once: the outcome, the review and the audit in one commit. It refuses with errs.NotFound,
// errs.Conflict "already_settled", and errs.Refused "outcome_not_allowed", "reason_required", "invalid_reason" or
// "destination_unavailable".
func (s *Service) SettleReview(ctx context.Context, in Settlement) (ReviewDetail, error) {
	if err := in.check(); err != nil {
		return ReviewDetail{}, err
	}
	found, err := s.findCase(ctx, in.ReviewID)
	if err != nil {
		return ReviewDetail{}, err
	}
	ids, err := newIDs(idCount + 1)
	if err != nil {
		return ReviewDetail{}, err
	}
	needs := found.needs()
	if in.AccountID != uuid.Nil {
		needs.Accounts = []uuid.UUID{in.AccountID}
	}
	var after ReviewDetail
	var moved []typedMove
	var alerts []string
	err = s.ledger.Do(ctx, needs, func(ctx context.Context, u account.UnitOfWork) error {
		st := settling{Service: s, Settlement: in, reviewCase: found, unit: u, ids: ids,
			id: ids[idFollow], now: s.now()}
		if err := st.settle(ctx, ids[idCount]); err != nil {
			return err
		}
		review, _ := u.Review()
		after = ReviewDetail{Review: *review, Transaction: found.transaction}
		moved, alerts = st.moves, st.alerts
		return nil
	})
	if err != nil {
		return ReviewDetail{}, err
	}
	for _, m := range moved {
		s.meter.Moved(m.of, m.From, m.To)
	}
	for _, kind := range alerts {
		s.alert(ctx, kind, "review_id", in.ReviewID)
	}
	s.log.InfoContext(ctx, "review settled", "review_id", in.ReviewID, "outcome", in.Outcome, "by", in.By.Name)
	return after, nil
}

func (in Settlement) check() error {
	if err := in.By.CheckReason(); err != nil {
		return err
	}
	switch {
	case in.Outcome == account.OutcomeCreditAccount && in.AccountID == uuid.Nil:
		return errCredited
	case in.Outcome != account.OutcomeCreditAccount && in.AccountID != uuid.Nil:
		return errNotNamed
	}
	return nil
}

// settling is one decision being booked in one unit of work.
type settling struct {
	*Service
	Settlement
	reviewCase
	unit   account.UnitOfWork
	ids    []uuid.UUID // as a confirmation has them
	id     uuid.UUID   // of the transaction that books it, which is the first of what follows
	now    time.Time
	moves  []typedMove
	alerts []string
}

func (s *settling) settle(ctx context.Context, auditID uuid.UUID) error {
	detail, err := s.detailOf(s.unit, s.reviewCase)
	switch {
	case err != nil:
		return err
	case detail.Review.Status != account.ReviewOpen:
		return errSettled
	case !slices.Contains(detail.Outcomes, s.Outcome):
		return errOutcome
	}
	booked := ""
	if s.Outcome != account.OutcomeDismiss {
		book := s.book
		switch s.Outcome {
		case account.OutcomeReturnToPayer:
			book = s.beginReturn
		case account.OutcomeTakeBack:
			book = s.takeAgain
		}
		if err := book(ctx, detail.Standing); err != nil {
			return err
		}
		booked = " " + detail.Standing.String() + " " + s.id.String()
	}
	review, _ := s.unit.Review()
	review.Status, review.Outcome, review.SettledAt = account.ReviewSettled, s.Outcome, s.now
	review.SettledBy, review.SettledWhy = s.By.Name, s.By.Reason
	if booked != "" {
		review.SettlementID = s.id
	}
	s.unit.AddAudit(account.Audit{ID: auditID, Actor: s.By.Name, Action: "review.settled", Subject: review.ID.String(), Reason: s.By.Reason,
		Detail: string(s.Outcome) + booked, IP: s.By.Address, RequestID: s.By.Request, At: s.now})
	return nil
}

// book writes the settlement: a correction that follows the review's transaction and begins and ends in this commit.
func (s *settling) book(ctx context.Context, stands money.Money) error {
	amount := stands
	if stands.Sign() < 0 {
		var err error
		if amount, err = stands.Neg(); err != nil {
			return err
		}
	}
	from := suspenseName
	if s.review.Kind == account.ReviewReceivable {
		from = receivableName
	}
	t := newSettlement(s.id, s.transaction, amount, from, s.now)
	posting, err := s.posting(t, stands, from)
	if err != nil {
		return err
	}
	for _, to := range []account.PaymentStatus{account.PaymentStatusInitiated, account.PaymentStatusCompleted} {
		status := t.Status()
		event, err := t.Move(to, s.now, account.CauseReview, nil)
		if err != nil {
			return err
		}
		s.moves = append(s.moves, typedMove{t.Type, account.Move{From: status, To: to}})
		if err := s.bus.PublishPaymentEvent(ctx, event); err != nil {
			return err
		}
	}
	s.unit.AddTransaction(t)
	s.unit.AddPosting(t.ID, posting)
	return nil
}

// posting is where the money goes: out of suspense to an account or to us, or what is owed off the account at our cost.
func (s *settling) posting(t *account.Transaction, stands money.Money, from string) (ledger.Posting, error) {
	out, err := stands.Neg()
	if err != nil {
		return ledger.Posting{}, err
	}
	cur := stands.Currency()
	switch {
	case from == receivableName:
		a, ok := s.unit.Account(s.transaction.AccountID)
		if !ok {
			return ledger.Posting{}, ErrInconsistent
		}
		if s.Outcome == account.OutcomeChargeAccount {
			return s.charge(t, a, stands)
		}
		if err := a.Forgive(t.ID, stands, s.now); err != nil {
			return ledger.Posting{}, err
		}
		own, err := sideOf(a, a.Pull()[0])
		if err != nil {
			return ledger.Posting{}, err
		}
		return ledger.NewPosting(append(own.lines, ledger.SystemEntry(ledger.Fees(cur), out, own.at))...)
	case s.Outcome == account.OutcomeWriteOff:
		return ledger.NewPosting(ledger.SystemEntry(ledger.Suspense(cur), out, s.now), ledger.SystemEntry(ledger.Fees(cur), stands, s.now))
	}
	a, ok := s.unit.Account(s.AccountID)
	if !ok || a.Status() == account.StatusClosed || a.Currency != cur {
		return ledger.Posting{}, errCredited
	}
	if err := a.GiveBack(t.ID, stands, s.now); err != nil {
		return ledger.Posting{}, err
	}
	own, err := sideOf(a, a.Pull()[0])
	if err != nil {
		return ledger.Posting{}, err
	}
	t.UserID, t.AccountID = a.UserID, a.ID
	return ledger.NewPosting(append([]ledger.Entry{ledger.SystemEntry(ledger.Suspense(cur), out, own.at)}, own.lines...)...)
}

// charge has the account pay what it owes.
func (s *settling) charge(t *account.Transaction, a *account.Account,
	stands money.Money) (ledger.Posting, error) {
	if err := a.PayDebt(t.ID, stands, s.now); err != nil {
		return ledger.Posting{}, err
	}
	own, err := sideOf(a, a.Pull()[0])
	if err != nil {
		return ledger.Posting{}, err
	}
	t.UserID, t.AccountID, t.MoneySource = a.UserID, a.ID, account.SourceBalance
	return ledger.NewPosting(own.lines...)
}

// takeAgain books that the provider has taken money again, as the event would have been that proves
// it. Should that come still, it is known.
func (s *settling) takeAgain(ctx context.Context, _ money.Money) error {
	again, err := s.takingAgain(s.unit, s.reviewCase, s.ids)
	if err != nil {
		return err
	}
	kind, above := account.TypeChargeback, "dispute_above_captured"
	if again.event.Kind == account.ReceivedRefunded {
		kind, above = account.TypeRefund, "refund_above_captured"
	}
	if err := again.takeBack(ctx, kind, above); err != nil {
		return err
	}
	if again.status != account.InboxProcessed {
		return errOutcome
	}
	s.moves, s.alerts = append(s.moves, again.moves...), append(s.alerts, again.alerts...)
	return nil
}

// takingAgain is a further turn of what the review is about, in the amount of the turn before: of 0
// where something of it stands.
func (s *Service) takingAgain(
	u account.UnitOfWork, c reviewCase, ids []uuid.UUID,
) (*confirmation, error) {
	deposit, ok := u.Transaction(c.deposit)
	if !ok {
		return nil, ErrInconsistent
	}
	of := c.transaction
	event := account.PaymentReceivedEvent{Provider: of.Provider, Kind: account.ReceivedDisputed,
		PaymentID: deposit.PaymentID, TransactionID: deposit.ID,
		Ref: of.PaymentID, Currency: of.Amount.Currency().Code(), Cause: account.CauseReview}
	if of.Type == account.TypeRefund {
		event.Kind = account.ReceivedRefunded
	}
	if outOfPot(of) {
		if from, ok := u.Transaction(of.LinkedID); ok {
			event.PaymentID = from.PaymentID
		}
	}
	again := &confirmation{Service: s, event: event, unit: u, transaction: deposit, ids: ids,
		now: s.now(), belief: confirmed}
	taken := again.takenFor(of.Type)
	for _, f := range taken.back {
		again.event.Turn = max(again.event.Turn, f.Attempt+1)
	}
	for _, f := range taken.back {
		if f.Attempt+1 == again.event.Turn && len(taken.standing) == 0 {
			again.event.Amount += f.Amount.Minor()
		}
	}
	return again, nil
}
