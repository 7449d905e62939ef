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

// newRefund is a refund that we start, before its first move. It gives up at no deadline: what was asked of the provider once may
// have happened.
func newRefund(id uuid.UUID, r RefundRequest, of *account.Transaction, amount, posted money.Money, conversion *fx.Conversion, now time.Time, limits Limits) *account.Transaction {
	t := newFollowUp(id, account.TypeRefund, of, amount, posted, conversion, now)
	t.NextAttemptAt, t.ExpiresAt = now.Add(limits.Recheck), now.Add(limits.PaymentDeadline)
	t.RequestID, t.TraceParent = r.RequestID, r.TraceParent
	return t
}

// newFollowUp is what follows a payment, before its first move.
func newFollowUp(id uuid.UUID, kind account.Type, of *account.Transaction, amount, posted money.Money, conversion *fx.Conversion, now time.Time) *account.Transaction {
	return &account.Transaction{
		ID: id, Type: kind, UserID: of.UserID, AccountID: of.AccountID, Amount: amount, Posted: posted, Conversion: conversion,
		Provider: of.Provider, LinkedID: of.ID, Attempt: 1, TraceParent: of.TraceParent, CreatedAt: now, UpdatedAt: now,
	}
}

// newFee is what a provider has kept for a payment. It is ours alone.
func newFee(id uuid.UUID, of *account.Transaction, amount money.Money, ref string, now time.Time) *account.Transaction {
	return &account.Transaction{
		ID: id, Type: account.TypeFee, Amount: amount, Posted: amount, Provider: of.Provider, PaymentID: ref, LinkedID: of.ID,
		Attempt: 1, CreatedAt: now, UpdatedAt: now,
	}
}

// newSettlement is a person's decision on money that waited for one. It asks no provider, and is ours alone unless an account is
// credited.
func newSettlement(id uuid.UUID, of *account.Transaction, amount money.Money, from string, now time.Time) *account.Transaction {
	return &account.Transaction{
		ID: id, Type: account.TypeCorrection, Amount: amount, Posted: amount, Provider: account.ProviderInternal, LinkedID: of.ID,
		Metadata: map[string]string{settledFrom: from}, Attempt: 1, CreatedAt: now, UpdatedAt: now,
	}
}

// newReturn is a refund of money that belongs to no payment, before its first move. It is ours alone, and due at once.
func newReturn(id uuid.UUID, of *account.Transaction, amount money.Money, now time.Time, limits Limits) *account.Transaction {
	return &account.Transaction{
		ID: id, Type: account.TypeRefund, Amount: amount, Posted: amount, Provider: of.Provider, LinkedID: of.ID, Attempt: 1,
		NextAttemptAt: now, ExpiresAt: now.Add(limits.PaymentDeadline), CreatedAt: now, UpdatedAt: now,
	}
}

// ownSide is the lines of one account in a posting, together with what it owes and what it could not take.
type ownSide struct {
	lines []ledger.Entry
	total money.Money
	at    time.Time
}

func sideOf(a *account.Account, h account.Happening) (side ownSide, err error) {
	side = ownSide{total: money.Zero(a.Currency), at: h.Entry.At}
	if !h.Entry.Amount.IsZero() {
		side.lines = append(side.lines, h.Entry)
	}
	if !h.Debt.IsZero() {
		owed, err := h.Debt.Neg()
		if err != nil {
			return ownSide{}, err
		}
		side.lines = append(side.lines, ledger.ReceivableEntry(a.ID, owed, h.Entry.At))
	}
	if !h.Apart.IsZero() {
		side.lines = append(side.lines, ledger.SystemEntry(ledger.Suspense(a.Currency), h.Apart, h.Entry.At))
	}
	for _, line := range side.lines {
		if side.total, err = side.total.Add(line.Amount); err != nil {
			return ownSide{}, err
		}
	}
	return side, nil
}

// givenPosting: the provider holds what came in, the account gets its credit, and a conversion balances both currencies
// over the position.
func givenPosting(clearing ledger.SystemAccount, received money.Money, own ownSide) (ledger.Posting, error) {
	in, err := received.Neg()
	if err != nil {
		return ledger.Posting{}, err
	}
	entries := append([]ledger.Entry{ledger.SystemEntry(clearing, in, own.at)}, own.lines...)
	return posting(entries, received, own)
}

// takenPosting: the account is debited, the provider has paid. What the provider has paid more or less than was sent is in
// suspense; reported is the zero Money where there is no difference.
func takenPosting(clearing ledger.SystemAccount, sent, reported money.Money, own ownSide) (ledger.Posting, error) {
	out, err := sent.Neg()
	if err != nil {
		return ledger.Posting{}, err
	}
	paid, entries := sent, own.lines
	if reported.IsPositive() {
		paid = reported
		rest, err := sent.Sub(reported)
		if err != nil {
			return ledger.Posting{}, err
		}
		entries = append(entries, ledger.SystemEntry(ledger.Suspense(sent.Currency()), rest, own.at))
	}
	return posting(append(entries, ledger.SystemEntry(clearing, paid, own.at)), out, own)
}

// transferPosting: one account is debited, the other credited.
func transferPosting(sent, received ownSide) (ledger.Posting, error) {
	debit, err := sent.total.Neg()
	if err != nil {
		return ledger.Posting{}, err
	}
	return posting(append(sent.lines, received.lines...), debit, received)
}

// feePosting: the provider holds less, and it has cost us that.
func feePosting(provider string, amount money.Money, at time.Time) (ledger.Posting, error) {
	cost, err := amount.Neg()
	if err != nil {
		return ledger.Posting{}, err
	}
	return ledger.NewPosting(
		ledger.SystemEntry(ledger.ProviderClearing(provider, amount.Currency()), amount, at),
		ledger.SystemEntry(ledger.Fees(amount.Currency()), cost, at),
	)
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

// returnPosting: what we owed to somebody unknown, the provider has given back.
func returnPosting(provider string, amount money.Money, at time.Time) (ledger.Posting, error) {
	out, err := amount.Neg()
	if err != nil {
		return ledger.Posting{}, err
	}
	return ledger.NewPosting(
		ledger.SystemEntry(ledger.Suspense(amount.Currency()), out, at),
		ledger.SystemEntry(ledger.ProviderClearing(provider, amount.Currency()), amount, at),
	)
}

// posting adds the lines of the position where the other side, given as what balances the own one, is in another currency.
func posting(entries []ledger.Entry, other money.Money, own ownSide) (ledger.Posting, error) {
	if other.Currency() == own.total.Currency() {
		return ledger.NewPosting(entries...)
	}
	entries = append(entries, ledger.SystemEntry(ledger.FXPosition(other.Currency()), other, own.at))
	if own.total.IsZero() {
		return ledger.NewPosting(entries...)
	}
	back, err := own.total.Neg()
	if err != nil {
		return ledger.Posting{}, err
	}
	return ledger.NewPosting(append(entries, ledger.SystemEntry(ledger.FXPosition(own.total.Currency()), back, own.at))...)
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

// refundInstruction names the deposit by both ids; like the others it is made of stored rows alone.
func refundInstruction(t, deposit *account.Transaction) account.RefundInstruction {
	return account.RefundInstruction{
		IdempotencyKey: t.ProviderKey("refund"), TransactionID: t.ID, DepositID: deposit.ID, PaymentID: deposit.PaymentID, Amount: t.Amount,
	}
}
