package database_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"florin/domain/account"
	"florin/domain/currency"
	"florin/domain/fx"
	"florin/domain/ledger"
	"florin/domain/money"
	"florin/infra/database"
)

// bookkeeper moves money through the ledger as the service does, at a time that it is told.
type bookkeeper struct {
	t      testing.TB
	db     *database.DB
	ledger *database.Ledger
	books  *database.Books
	now    time.Time
}

func newBookkeeper(t testing.TB, db *database.DB) *bookkeeper {
	return &bookkeeper{t: t, db: db, ledger: database.NewLedger(db), books: database.NewBooks(db), now: noon}
}

func newID(t testing.TB) uuid.UUID {
	id, err := uuid.NewV7()
	require.NoError(t, err)
	return id
}

func eur(minor int64) money.Money { return money.New(minor, currency.EUR) }

func (k *bookkeeper) user() uuid.UUID {
	id := newID(k.t)
	require.NoError(k.t, k.db.Writer().Exec(`INSERT INTO users (id, username, email, password_hash, created_at, updated_at)
		VALUES (?, ?, ?, 'x', ?, ?)`, id, "user-"+id.String(), id.String()+"@example.org", k.now, k.now).Error)
	return id
}

func (k *bookkeeper) do(needs account.Needs, fn func(u account.UnitOfWork) error) {
	k.t.Helper()
	require.NoError(k.t, k.ledger.Do(context.Background(), needs, func(_ context.Context, u account.UnitOfWork) error { return fn(u) }))
}

func (k *bookkeeper) account(userID uuid.UUID, c currency.Currency) uuid.UUID {
	id := newID(k.t)
	k.do(account.Needs{}, func(u account.UnitOfWork) error {
		a, err := account.New(id, userID, "main", c, k.now)
		if err != nil {
			return err
		}
		u.AddAccount(a)
		return nil
	})
	return id
}

// funded is an account of a new user with money on it.
func (k *bookkeeper) funded(minor int64) (userID, accountID uuid.UUID) {
	userID = k.user()
	accountID = k.account(userID, currency.EUR)
	k.deposit(userID, accountID, eur(minor), nil)
	return userID, accountID
}

func (k *bookkeeper) read(userID, accountID uuid.UUID) *account.Account {
	k.t.Helper()
	a, err := k.books.FindAccount(context.Background(), userID, accountID)
	require.NoError(k.t, err)
	return a
}

// transaction is a new one of the user's, not moved yet.
func (k *bookkeeper) transaction(kind account.Type, userID, accountID uuid.UUID, amount money.Money) *account.Transaction {
	return &account.Transaction{
		ID: newID(k.t), Type: kind, UserID: userID, AccountID: accountID, Amount: amount, Posted: amount, Provider: "mock", Attempt: 1,
		NextAttemptAt: k.now.Add(time.Minute), ExpiresAt: k.now.Add(time.Hour), CreatedAt: k.now, UpdatedAt: k.now,
	}
}

func move(u account.UnitOfWork, t *account.Transaction, now time.Time, cause account.Cause, to ...account.PaymentStatus) error {
	for _, status := range to {
		event, err := t.Move(status, now, cause, nil)
		if err != nil {
			return err
		}
		u.AddEvent(event)
	}
	return nil
}

// deposit completes a deposit in two commits: the request, and the provider's event with its inbox row and effect.
func (k *bookkeeper) deposit(userID, accountID uuid.UUID, amount money.Money, conversion *fx.Conversion) uuid.UUID {
	k.t.Helper()
	made := k.transaction(account.TypeDeposit, userID, accountID, amount)
	if conversion != nil {
		made.Conversion, made.Posted = conversion, conversion.Converted()
	}
	k.do(account.Needs{Accounts: []uuid.UUID{accountID}}, func(u account.UnitOfWork) error {
		t := made.Clone()
		u.AddTransaction(t)
		return move(u, t, k.now, account.CauseRequest, account.PaymentStatusInitiated)
	})
	event := account.PaymentReceivedEvent{Provider: "mock", EventID: "evt_" + made.ID.String(), Kind: account.ReceivedCompleted, Type: "payment.completed",
		PaymentID: "pay_" + made.ID.String(), TransactionID: made.ID, Amount: amount.Minor(), Currency: amount.Currency().Code(),
		OccurredAt: k.now, Cause: account.CauseWebhook, Raw: []byte(`{"x": "ä"}`)}
	inboxID := newID(k.t)
	k.do(account.Needs{Transactions: []uuid.UUID{made.ID}, Inbox: &account.InboxKey{Provider: "mock", EventID: event.EventID}}, func(u account.UnitOfWork) error {
		t, _ := u.Transaction(made.ID)
		a, _ := u.Account(accountID)
		t.PaymentID = event.PaymentID
		if err := a.Deposit(t.ID, t.Posted, k.now); err != nil {
			return err
		}
		own := a.Pull()[0].Entry
		in, _ := amount.Neg()
		entries := []ledger.Entry{ledger.SystemEntry(ledger.ProviderClearing("mock", amount.Currency()), in, own.At), own}
		if conversion != nil {
			back, _ := t.Posted.Neg()
			entries = append(entries, ledger.SystemEntry(ledger.FXPosition(amount.Currency()), amount, own.At),
				ledger.SystemEntry(ledger.FXPosition(t.Posted.Currency()), back, own.At))
		}
		posting, err := ledger.NewPosting(entries...)
		if err != nil {
			return err
		}
		u.AddPosting(t.ID, posting)
		u.AddEffect(account.Effect{EffectKey: account.EffectKey{Provider: "mock", Ref: event.PaymentID, Effect: "completed"}, TransactionID: t.ID, CreatedAt: k.now})
		u.AddInbox(account.InboxRecord{ID: inboxID, Event: event, Status: account.InboxProcessed, Reason: "completed", ReceivedAt: k.now, ProcessedAt: k.now})
		return move(u, t, k.now, account.CauseWebhook, account.PaymentStatusCompleted)
	})
	return made.ID
}

// transfer is the closure of one transfer; the transaction is made outside of it.
func (k *bookkeeper) transfer(made *account.Transaction) (account.Needs, func(ctx context.Context, u account.UnitOfWork) error) {
	needs := account.Needs{Transactions: []uuid.UUID{made.ID}, Accounts: []uuid.UUID{made.AccountID, made.CounterpartyID}}
	return needs, func(_ context.Context, u account.UnitOfWork) error {
		if _, done := u.Transaction(made.ID); done {
			return nil
		}
		t := made.Clone()
		from, _ := u.Account(t.AccountID)
		to, _ := u.Account(t.CounterpartyID)
		if err := from.Transfer(to, t.ID, t.Posted, t.CounterpartyPosted, k.now); err != nil {
			return err
		}
		posting, err := ledger.NewPosting(from.Pull()[0].Entry, to.Pull()[0].Entry)
		if err != nil {
			return err
		}
		u.AddTransaction(t)
		u.AddPosting(t.ID, posting)
		return move(u, t, k.now, account.CauseRequest, account.PaymentStatusInitiated, account.PaymentStatusCompleted)
	}
}

func (k *bookkeeper) newTransfer(userID, from, to uuid.UUID, amount money.Money) *account.Transaction {
	t := k.transaction(account.TypeTransfer, userID, from, amount)
	t.CounterpartyID, t.CounterpartyPosted, t.Provider = to, amount, account.ProviderInternal
	return t
}

// withdraw leaves an open withdrawal with its hold.
func (k *bookkeeper) withdraw(userID, accountID uuid.UUID, amount money.Money) uuid.UUID {
	k.t.Helper()
	made := k.transaction(account.TypeWithdraw, userID, accountID, amount)
	made.Target = &account.ExternalTarget{BankAccountNumber: "DE02120300000000202051"}
	k.do(account.Needs{Accounts: []uuid.UUID{accountID}}, func(u account.UnitOfWork) error {
		t := made.Clone()
		a, _ := u.Account(accountID)
		hold, err := a.Hold(t.ID, amount, k.now)
		if err != nil {
			return err
		}
		u.AddTransaction(t)
		u.AddHold(hold)
		return move(u, t, k.now, account.CauseRequest, account.PaymentStatusInitiated)
	})
	return made.ID
}

// payOut completes an open withdrawal.
func (k *bookkeeper) payOut(accountID, transactionID uuid.UUID) {
	k.t.Helper()
	k.do(account.Needs{Transactions: []uuid.UUID{transactionID}}, func(u account.UnitOfWork) error {
		t, _ := u.Transaction(transactionID)
		a, _ := u.Account(accountID)
		hold, _ := u.Hold(transactionID)
		if err := a.Withdraw(hold, k.now); err != nil {
			return err
		}
		own := a.Pull()[0].Entry
		posting, err := ledger.NewPosting(own, ledger.SystemEntry(ledger.PayoutClearing("mock", t.Amount.Currency()), t.Amount, own.At))
		if err != nil {
			return err
		}
		u.AddPosting(t.ID, posting)
		return move(u, t, k.now, account.CauseWebhook, account.PaymentStatusCompleted)
	})
}

// unmatched books money of nobody, with its review.
func (k *bookkeeper) unmatched(amount money.Money) uuid.UUID {
	k.t.Helper()
	made := k.transaction(account.TypeUnmatched, uuid.Nil, uuid.Nil, amount)
	review := newID(k.t)
	k.do(account.Needs{}, func(u account.UnitOfWork) error {
		t := made.Clone()
		in, _ := amount.Neg()
		posting, err := ledger.NewPosting(ledger.SystemEntry(ledger.ProviderClearing("mock", amount.Currency()), in, k.now),
			ledger.SystemEntry(ledger.Suspense(amount.Currency()), amount, k.now))
		if err != nil {
			return err
		}
		u.AddTransaction(t)
		u.AddPosting(t.ID, posting)
		u.AddReview(account.Review{ID: review, Kind: "surplus", TransactionID: t.ID, Detail: "too much", CreatedAt: k.now})
		return move(u, t, k.now, account.CauseWebhook, account.PaymentStatusInitiated, account.PaymentStatusCompleted)
	})
	return made.ID
}

// position gives every event its position, as the relay does.
func (k *bookkeeper) position() {
	k.t.Helper()
	log := database.NewLog(k.db, func() time.Time { return k.now })
	waiting, err := log.Waiting(k.t.Context(), 10_000)
	require.NoError(k.t, err)
	require.NoError(k.t, assign(k.t, log, 1, waiting))
}

func count(t testing.TB, db *database.DB, query string, args ...any) int {
	t.Helper()
	var n int
	require.NoError(t, db.Reader().Raw(query, args...).Scan(&n).Error)
	return n
}

// conversionOf turns EUR into USD at a rate with more digits than either has.
func conversionOf(t testing.TB, amount money.Money) *fx.Conversion {
	rate, err := fx.NewRate(currency.EUR, currency.USD, "1.08403", "fixed", noon)
	require.NoError(t, err)
	quote, err := fx.NewQuote(newID(t), rate, noon, time.Minute)
	require.NoError(t, err)
	conversion, err := quote.Convert(amount, fx.Down)
	require.NoError(t, err)
	return &conversion
}
