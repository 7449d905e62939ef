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
// window, on one account or from one address, new deposits have to wait until the oldest is out of it. Networks share
// addresses, so an address may have more.
const (
	cardWindow          = time.Hour
	cardFailuresAccount = 10
	cardFailuresAddress = 30
	cardWait            = 5 * time.Minute
)

// guardCards is errs.Limited for a client whose deposits fail again and again. It counts rows, so that it holds on every
// server and over a restart.
func (s *Service) guardCards(ctx context.Context, c Call) error {
	failures, ok := s.cards[c.Provider]
	if !ok {
		return nil
	}
	count, err := failures.CountFailures(ctx, c.AccountID, network(c.Address), s.now().Add(-cardWindow))
	if err != nil {
		return err
	}
	if count.OnAccount < cardFailuresAccount && count.FromAddress < cardFailuresAddress {
		return nil
	}
	s.alert(ctx, "card_testing", "account_id", c.AccountID, "failures_on_account", count.OnAccount, "failures_from_address", count.FromAddress)
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
