package account

import (
	"time"

	"github.com/google/uuid"

	"florin/domain/account"
	"florin/domain/fx"
	"florin/domain/ledger"
	"florin/domain/money"
)

// newPayment is a deposit or a withdrawal before its first move. The sweep takes it up after Limits.Recheck unless the
// provider's answer comes first.
func newPayment(id uuid.UUID, in initiation, posted money.Money, conversion *fx.Conversion, now time.Time, limits Limits) *account.Transaction {
	return &account.Transaction{
		ID: id, Type: in.kind, UserID: in.call.UserID, AccountID: in.call.AccountID,
		Amount: in.amount, Posted: posted, Conversion: conversion,
		Provider: in.call.Provider, PaymentFlow: in.paymentFlow, MoneySource: in.moneySource, Target: in.target,
		Metadata: in.call.Metadata, Attempt: 1, NextAttemptAt: now.Add(limits.Recheck), ExpiresAt: now.Add(limits.PaymentDeadline),
		RequestID: in.call.RequestID, TraceParent: in.call.TraceParent, CreatedAt: now, UpdatedAt: now,
	}
}

// newTransfer is a transfer before its first move.
func newTransfer(id uuid.UUID, r TransferRequest, amount, debit, credit money.Money, conversion *fx.Conversion, now time.Time) *account.Transaction {
	return &account.Transaction{
		ID: id, Type: account.TypeTransfer, UserID: r.UserID, AccountID: r.AccountID,
		Amount: amount, Posted: debit, CounterpartyID: r.DestinationID, CounterpartyPosted: credit, Conversion: conversion,
		Provider: account.ProviderInternal, Metadata: r.Metadata, Attempt: 1,
		RequestID: r.RequestID, TraceParent: r.TraceParent, CreatedAt: now, UpdatedAt: now,
	}
}

// newUnmatched is money that a provider has and that belongs to no transaction of a user.
func newUnmatched(id uuid.UUID, event account.PaymentReceivedEvent, amount money.Money, linked uuid.UUID, now time.Time) *account.Transaction {
	return &account.Transaction{
		ID: id, Type: account.TypeUnmatched, Amount: amount, Posted: amount, Provider: event.Provider, PaymentID: event.PaymentID,
		LinkedID: linked, Attempt: 1, CreatedAt: now, UpdatedAt: now,
	}
}

// depositPosting: the provider holds what came in, the account gets its credit, and a conversion balances both currencies
// over the position.
func depositPosting(provider string, received money.Money, own ledger.Entry) (ledger.Posting, error) {
	in, err := received.Neg()
	if err != nil {
		return ledger.Posting{}, err
	}
	entries := []ledger.Entry{ledger.SystemEntry(ledger.ProviderClearing(provider, received.Currency()), in, own.At), own}
	return posting(entries, received, own)
}

// withdrawPosting: the account is debited, the provider has paid out.
func withdrawPosting(provider string, paid money.Money, own ledger.Entry) (ledger.Posting, error) {
	entries := []ledger.Entry{own, ledger.SystemEntry(ledger.PayoutClearing(provider, paid.Currency()), paid, own.At)}
	out, err := paid.Neg()
	if err != nil {
		return ledger.Posting{}, err
	}
	return posting(entries, out, own)
}

// transferPosting: one account is debited, the other credited.
func transferPosting(sent, received ledger.Entry) (ledger.Posting, error) {
	debit, err := sent.Amount.Neg()
	if err != nil {
		return ledger.Posting{}, err
	}
	return posting([]ledger.Entry{sent, received}, debit, received)
}

// unmatchedPosting: the provider holds the money, and we owe it to whom it turns out to belong.
func unmatchedPosting(provider string, amount money.Money, at time.Time) (ledger.Posting, error) {
	in, err := amount.Neg()
	if err != nil {
		return ledger.Posting{}, err
	}
	return ledger.NewPosting(
		ledger.SystemEntry(ledger.ProviderClearing(provider, amount.Currency()), in, at),
		ledger.SystemEntry(ledger.Suspense(amount.Currency()), amount, at),
	)
}

// posting adds the two lines of the position where the other side, given as what balances the own entry, is in another
// currency.
func posting(entries []ledger.Entry, other money.Money, own ledger.Entry) (ledger.Posting, error) {
	if other.Currency() == own.Amount.Currency() {
		return ledger.NewPosting(entries...)
	}
	back, err := own.Amount.Neg()
	if err != nil {
		return ledger.Posting{}, err
	}
	return ledger.NewPosting(append(entries,
		ledger.SystemEntry(ledger.FXPosition(other.Currency()), other, own.At),
		ledger.SystemEntry(ledger.FXPosition(own.Amount.Currency()), back, own.At))...)
}

// depositInstruction is made of the stored row alone, so that a repeat is the same, byte for byte.
func depositInstruction(t *account.Transaction) account.DepositInstruction {
	return account.DepositInstruction{
		IdempotencyKey: t.ProviderKey("deposit"), TransactionID: t.ID, AccountID: t.AccountID, UserID: t.UserID,
		Amount: t.Amount, MoneySource: t.MoneySource, PaymentFlow: t.PaymentFlow, Metadata: t.Metadata,
	}
}

// withdrawInstruction pays to the target that was written down with the hold.
func withdrawInstruction(t *account.Transaction) account.WithdrawInstruction {
	in := account.WithdrawInstruction{
		IdempotencyKey: t.ProviderKey("withdraw"), TransactionID: t.ID, AccountID: t.AccountID, UserID: t.UserID,
		Amount: t.Amount, Metadata: t.Metadata,
	}
	if t.Target != nil {
		in.Target = *t.Target
	}
	return in
}
