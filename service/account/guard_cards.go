package account

import (
	"context"
	"net/netip"
	"time"

	"github.com/google/uuid"

	"florin/domain/account"
	"florin/domain/errs"
)

// Whoever has stolen card numbers tries them out with small deposits, most of which fail. After so
// many failures in the window, of one user, from one address or with one card, new deposits have to
// wait until the oldest is out of it, unless at least as many were paid: a shop has failures too.
// Networks share addresses, so an address may have more. The deposits that the user has open are
// canceled: on each of them any number of cards can be tried.
const (
	cardWindow          = time.Hour
	cardFailuresUser    = 10
	cardFailuresAddress = 30
	cardFailuresCard    = 10
	cardWait            = 5 * time.Minute
)

// cardVerdict is whose deposits fail too often.
type cardVerdict struct {
	failed        account.DepositCount
	user, address bool
}

// guardCards is errs.Limited for a client whose deposits fail again and again. It counts rows, so
// that it holds on every server and over a restart.
func (s *Service) guardCards(ctx context.Context, c Call) error {
	deposits, ok := s.cards[c.Provider]
	if !ok {
		return nil
	}
	verdict, err := s.judgeCards(ctx, deposits, c.UserID, network(c.Address))
	if err != nil || (!verdict.user && !verdict.address) {
		return err
	}
	if verdict.user && !c.DryRun {
		s.callIn(ctx, c.Provider, c.UserID)
	}
	s.alert(ctx, "card_testing", "account_id", c.AccountID, "failures_of_user", verdict.failed.OfUser,
		"failures_of_card", verdict.failed.OfCard, "failures_from_address", verdict.failed.FromAddress)
	limited := errs.New(errs.Limited, "too_many_failed_deposits", "Too many deposits failed. Wait before you try again.")
	limited.RetryAfter = cardWait
	return limited
}

func (s *Service) judgeCards(ctx context.Context, deposits account.DepositFailures, userID uuid.UUID, from string) (cardVerdict, error) {
	since := s.now().Add(-cardWindow)
	failed, err := deposits.CountFailed(ctx, userID, from, since)
	if err != nil {
		return cardVerdict{}, err
	}
	verdict := cardVerdict{failed: failed, user: failed.OfCard >= cardFailuresCard}
	if failed.OfUser < cardFailuresUser && failed.FromAddress < cardFailuresAddress {
		return verdict, nil
	}
	completed, err := deposits.CountCompleted(ctx, userID, from, since)
	if err != nil {
		return cardVerdict{}, err
	}
	suspicious := func(failed, completed, limit int) bool { return failed >= limit && failed > completed }
	verdict.user = verdict.user || suspicious(failed.OfUser, completed.OfUser, cardFailuresUser)
	verdict.address = suspicious(failed.FromAddress, completed.FromAddress, cardFailuresAddress)
	return verdict, nil
}

// declined notes the card that a deposit was declined for, and has what its user has open canceled
// where too many were. What cannot be noted is logged: the next failure, or the next deposit, looks
// again.
func (s *Service) declined(ctx context.Context, c *confirmation) {
	t := c.transaction
	deposits, guarded := s.cards[c.event.Provider]
	failure := c.event.Kind == account.ReceivedAttemptFailed || c.event.Kind == account.ReceivedFailed
	if !guarded || !failure || t.Type != account.TypeDeposit {
		return
	}
	if c.event.Card != "" {
		err := deposits.NoteCard(ctx, account.CardFailure{Provider: c.event.Provider, EventID: c.event.EventID,
			TransactionID: t.ID, UserID: t.UserID, Card: c.event.Card, At: c.now})
		if err != nil {
			s.log.WarnContext(ctx, "card of a declined deposit not stored", "transaction_id", t.ID, "error", err)
		}
	}
	verdict, err := s.judgeCards(ctx, deposits, t.UserID, "")
	switch {
	case err != nil:
		s.log.WarnContext(ctx, "declined deposits not counted", "transaction_id", t.ID, "error", err)
	case verdict.user:
		s.callIn(ctx, c.event.Provider, t.UserID)
	}
}

// callIn ends the time of what the user has open. The sweep cancels it at the provider, as it does
// with whatever is over its time, and leaves alone what was paid meanwhile.
func (s *Service) callIn(ctx context.Context, provider string, userID uuid.UUID) {
	called, err := s.cards[provider].CallIn(ctx, provider, userID, s.now())
	switch {
	case err != nil:
		s.log.WarnContext(ctx, "open deposits not called in", "user_id", userID, "error", err)
	case called > 0:
		s.alert(ctx, "card_testing", "user_id", userID, "open_deposits_canceled", called)
	}
}

// noteCards remembers where a deposit was asked for from. That it cannot is no reason to keep the
// deposit from going on.
func (s *Service) noteCards(ctx context.Context, c Call, id uuid.UUID, kind account.Type) {
	failures, ok := s.cards[c.Provider]
	if !ok || kind != account.TypeDeposit || c.Address == "" {
		return
	}
	if err := failures.NoteOrigin(ctx, id, network(c.Address), s.now()); err != nil {
		s.log.WarnContext(ctx, "origin of a deposit not stored", "transaction_id", id, "error", err)
	}
}

// network is an address as it is counted: one of IPv6 stands for its whole /64, which one client
// has to itself.
func network(address string) string {
	addr, err := netip.ParseAddr(address)
	if err != nil || addr.Unmap().Is4() {
		return address
	}
	prefix, err := addr.Prefix(64)
	if err != nil {
		return address
	}
	return prefix.String()
}
