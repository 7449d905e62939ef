package account

import (
	"context"
	"net/netip"
	"time"

	"github.com/google/uuid"

	"florin/domain/account"
	"florin/domain/errs"
)

// Whoever has stolen card numbers tries them out with small deposits, most of which fail. After so many failures in the
// window, on one account or from one address, new deposits have to wait until the oldest is out of it, unless at least as many
// were paid: a shop has failures too. Networks share addresses, so an address may have more.
const (
	cardWindow          = time.Hour
	cardFailuresAccount = 10
	cardFailuresAddress = 30
	cardWait            = 5 * time.Minute
)

// guardCards is errs.Limited for a client whose deposits fail again and again. It counts rows, so that it holds on every
// server and over a restart.
func (s *Service) guardCards(ctx context.Context, c Call) error {
	deposits, ok := s.cards[c.Provider]
	if !ok {
		return nil
	}
	from, since := network(c.Address), s.now().Add(-cardWindow)
	failed, err := deposits.CountFailed(ctx, c.AccountID, from, since)
	if err != nil {
		return err
	}
	if failed.OnAccount < cardFailuresAccount && failed.FromAddress < cardFailuresAddress {
		return nil
	}
	completed, err := deposits.CountCompleted(ctx, c.AccountID, from, since)
	if err != nil {
		return err
	}
	suspicious := func(failed, completed, limit int) bool { return failed >= limit && failed > completed }
	if !suspicious(failed.OnAccount, completed.OnAccount, cardFailuresAccount) &&
		!suspicious(failed.FromAddress, completed.FromAddress, cardFailuresAddress) {
		return nil
	}
	s.alert(ctx, "card_testing", "account_id", c.AccountID, "failures_on_account", failed.OnAccount, "failures_from_address", failed.FromAddress)
	limited := errs.New(errs.Limited, "too_many_failed_deposits", "Too many deposits failed. Wait before you try again.")
	limited.RetryAfter = cardWait
	return limited
}

// noteCards remembers where a deposit was asked for from. That it cannot is no reason to keep the deposit from going on.
func (s *Service) noteCards(ctx context.Context, c Call, id uuid.UUID, kind account.Type) {
	failures, ok := s.cards[c.Provider]
	if !ok || kind != account.TypeDeposit || c.Address == "" {
		return
	}
	if err := failures.NoteOrigin(ctx, id, network(c.Address), s.now()); err != nil {
		s.log.WarnContext(ctx, "origin of a deposit not stored", "transaction_id", id, "error", err)
	}
}

// network is an address as it is counted: one of IPv6 stands for its whole /64, which one client has to itself.
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
