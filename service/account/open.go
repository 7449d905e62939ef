package account

import (
	"context"

	"github.com/google/uuid"

	"florin/domain/account"
	"florin/domain/currency"
	"florin/domain/errs"
)

// OpenAccountRequest asks for a new account in one currency.
type OpenAccountRequest struct {
	UserID   uuid.UUID
	Currency string
	Name     string
	Key      *AccountKey
}

// AccountKey is an Idempotency-Key of a request for an account.
type AccountKey struct {
	Value       string
	Fingerprint string
	Render      func(*account.Account) account.Answer
}

// AccountOutcome is a new account with the answer that is kept for repeats, or the answer given to the first such request.
type AccountOutcome struct {
	Account  *account.Account
	Answer   *account.Answer
	Replayed bool
}

// OpenAccount opens an account with nothing on it. errs.Refused "too_many_accounts" beyond Limits.Accounts.
func (s *Service) OpenAccount(ctx context.Context, r OpenAccountRequest) (AccountOutcome, error) {
	cur, err := currency.Parse(r.Currency)
	if err != nil {
		return AccountOutcome{}, inField("currency", err)
	}
	if err := checkText("name", r.Name, 400); err != nil {
		return AccountOutcome{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return AccountOutcome{}, err
	}
	a, err := account.New(id, r.UserID, r.Name, cur, s.now())
	if err != nil {
		return AccountOutcome{}, err
	}
	var key *keyUse
	if r.Key != nil {
		key = &keyUse{key: Key{Value: r.Key.Value, Fingerprint: r.Key.Fingerprint}, id: KeyHash(r.UserID, r.Key.Value), userID: r.UserID, resource: id, fence: 1}
	}
	var out AccountOutcome
	err = s.ledger.Do(ctx, account.Needs{Key: key.hash(), Accounts: []uuid.UUID{id}, AccountsOf: r.UserID}, func(_ context.Context, u account.UnitOfWork) error {
		out = AccountOutcome{Account: a}
		if _, ok := u.Account(id); ok {
			return nil
		}
		if record, ok := u.Key(); ok {
			var before Outcome
			err := key.decide(record, s.now(), &before)
			out = AccountOutcome{Answer: before.Answer, Replayed: true}
			return err
		}
		if u.OpenAccounts() >= s.limits.Accounts {
			return errs.New(errs.Refused, "too_many_accounts", "You have as many open accounts as one user may have. Close one first.")
		}
		u.AddAccount(a)
		if key != nil {
			now, answer := s.now(), r.Key.Render(a)
			u.AddKey(account.IdempotencyRecord{Hash: key.id, UserID: r.UserID, Fingerprint: r.Key.Fingerprint, ResourceID: id,
				Fence: 1, Answer: &answer, CreatedAt: now, FinishedAt: now})
			out.Answer = &answer
		}
		return nil
	})
	if err != nil {
		return AccountOutcome{}, err
	}
	if out.Account == nil && out.Answer == nil {
		out.Account, err = s.books.FindAccount(ctx, r.UserID, key.resource)
	}
	return out, err
}

// CloseAccount ends an account on which nothing is left: errs.Conflict while money, holds or open payments are on it.
func (s *Service) CloseAccount(ctx context.Context, userID, accountID uuid.UUID, requestID string) (*account.Account, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	var closed *account.Account
	err = s.ledger.Do(ctx, account.Needs{Accounts: []uuid.UUID{accountID}, OpenPayments: true}, func(_ context.Context, u account.UnitOfWork) error {
		a, ok := u.Account(accountID)
		if !ok || a.UserID != userID {
			return errs.Missing("Account")
		}
		closed = a
		if a.Status() == account.StatusClosed {
			return nil
		}
		if u.OpenPayments(accountID) {
			return errs.New(errs.Conflict, "payments_open", "Payments on the account are still open.")
		}
		if err := a.Close(s.now()); err != nil {
			return err
		}
		u.AddAudit(account.Audit{ID: id, Actor: userID.String(), Action: "account.close", Subject: accountID.String(), RequestID: requestID, At: s.now()})
		return nil
	})
	return closed, err
}
