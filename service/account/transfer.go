package account

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"florin/domain/account"
	"florin/domain/errs"
	"florin/domain/fx"
	"florin/domain/money"
	"florin/pkg/crashpoint"
)

// TransferRequest asks for money to be moved to another account here. Its currency is that of either account.
type TransferRequest struct {
	Call
	DestinationID uuid.UUID
}

// errDestination is one answer for every reason, so that it tells nothing about other people's accounts.
var errDestination = errs.InField("destination_account_id", "destination_unavailable", "The destination account cannot receive this transfer.")

// Transfer moves money between two accounts in one commit: it asks no provider and is completed when it returns.
// Refusals are errs.Refused and errs.NotFound and leave nothing behind.
func (s *Service) Transfer(ctx context.Context, r TransferRequest) (Outcome, error) {
	amount, err := s.readAmount(r.Call)
	if err != nil {
		return Outcome{}, err
	}
	if err := checkMetadata(r.Metadata); err != nil {
		return Outcome{}, err
	}
	if r.DestinationID == r.AccountID {
		return Outcome{}, errs.InField("destination_account_id", "same_account", "The destination is the source account itself.")
	}
	crashpoint.Hit(crashpoint.RequestParsed)
	id, err := uuid.NewV7()
	if err != nil {
		return Outcome{}, err
	}
	needs := account.Needs{Transactions: []uuid.UUID{id}, Accounts: []uuid.UUID{r.AccountID, r.DestinationID}}
	reviewID, err := uuid.NewV7()
	if err != nil {
		return Outcome{}, err
	}
	key := s.keyOf(r.Call, id)
	needs.Key = key.hash()
	var out Outcome
	err = s.withQuotes(ctx, func(q quotes) error {
		return s.ledger.Do(ctx, needs, func(ctx context.Context, u account.UnitOfWork) error {
			out = Outcome{}
			if seen, err := s.seenBefore(u, id, key, &out); seen || err != nil {
				return err
			}
			return s.postTransfer(ctx, u, r, transferIDs{id, reviewID}, amount, q, key, &out)
		})
	})
	if errors.Is(err, errDryRun) {
		return out, nil
	}
	if err != nil {
		return Outcome{}, err
	}
	crashpoint.Hit(crashpoint.RequestCommitted)
	if out.Transaction == nil && out.Answer == nil {
		return s.currentState(ctx, r.Call, key)
	}
	if !out.Replayed {
		s.meter.Moved(account.TypeTransfer, account.PaymentStatusInitiated, account.PaymentStatusCompleted)
	}
	return out, nil
}

// transferIDs are the ids that every run of a transfer has in common.
type transferIDs struct {
	transfer uuid.UUID
	review   uuid.UUID // of a debt that the transfer settles
}

func (s *Service) postTransfer(ctx context.Context, u account.UnitOfWork, r TransferRequest, ids transferIDs, amount money.Money, q quotes, key *keyUse, out *Outcome) error {
	now := s.now()
	source, ok := u.Account(r.AccountID)
	if !ok || source.UserID != r.UserID {
		return errs.Missing("Account")
	}
	if err := source.CheckActive(); err != nil {
		return err
	}
	destination, ok := u.Account(r.DestinationID)
	if !ok || destination.CheckActive() != nil {
		return errDestination
	}
	debit, credit, conversion, err := priceTransfer(amount, source, destination, q)
	if err != nil {
		return err
	}
	t := newTransfer(ids.transfer, r, amount, debit, credit, conversion, now)
	initiated, err := t.Move(account.PaymentStatusInitiated, now, account.CauseRequest, nil)
	if err != nil {
		return err
	}
	op := &Operation{Transaction: t, Account: source, Destination: destination, Now: now, Cause: account.CauseRequest, Unit: u, Opened: &initiated, ReviewID: ids.review, DryRun: r.DryRun}
	if err := s.chains.transfer.run(ctx, op); err != nil {
		return err
	}
	out.Transaction, out.Side = t, source.ID
	if r.DryRun {
		out.Balances = []Balance{balanceOf(source)}
		if destination.UserID == r.UserID {
			out.Balances = append(out.Balances, balanceOf(destination))
		}
		return errDryRun
	}
	u.AddTransaction(t)
	key.add(u, t, now, out)
	return nil
}

// priceTransfer says what leaves and what arrives. The amount is in the source's or the destination's currency, and
// the rounding is against the holder on the other side.
func priceTransfer(amount money.Money, source, destination *account.Account, q quotes) (debit, credit money.Money, c *fx.Conversion, err error) {
	switch amount.Currency() {
	case source.Currency:
		credit, c, err = q.convert(amount, destination.Currency, fx.Down)
		return amount, credit, c, err
	case destination.Currency:
		debit, c, err = q.convert(amount, source.Currency, fx.Up)
		return debit, amount, c, err
	default:
		return debit, credit, nil, errs.InField("currency", "currency_mismatch", "The currency is neither the source's nor the destination's.")
	}
}
