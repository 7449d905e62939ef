package account

import (
	"context"

	"florin/domain/account"
)

// depositOperation credits the account.
type depositOperation struct{}

func (depositOperation) Handle(_ context.Context, op *Operation) error {
	return op.Account.Deposit(op.Transaction.ID, op.Credit, op.Now)
}

// withdrawOperation turns the hold into a debit.
type withdrawOperation struct{}

func (withdrawOperation) Handle(_ context.Context, op *Operation) error {
	return op.Account.Withdraw(op.Hold, op.Now)
}

// transferOperation debits the source and credits the destination.
type transferOperation struct{}

func (transferOperation) Handle(_ context.Context, op *Operation) error {
	return op.Account.Transfer(op.Destination, op.Transaction.ID, op.Debit, op.Credit, op.Now)
}

// refundOperation turns the refund's hold into a debit. A piece that costs the account nothing has
// none.
type refundOperation struct{}

func (refundOperation) Handle(_ context.Context, op *Operation) error {
	hold := op.Hold
	if hold == nil && op.Debit.IsZero() {
		hold = &account.Hold{TransactionID: op.Transaction.ID, AccountID: op.Account.ID,
			Amount: op.Debit}
	}
	if hold == nil {
		return ErrInconsistent
	}
	return op.Account.Refund(hold, op.Now)
}

// takeBackOperation debits what is gone, whether the balance covers it or not.
type takeBackOperation struct{}

func (takeBackOperation) Handle(_ context.Context, op *Operation) error {
	return op.Account.TakeBack(op.Transaction.ID, op.Debit, op.Now)
}

// oweOperation has the account owe what is gone and was never its own.
type oweOperation struct{}

func (oweOperation) Handle(_ context.Context, op *Operation) error {
	return op.Account.Owe(op.Transaction.ID, op.Debit, op.Now)
}

// giveBackOperation credits what has come back.
type giveBackOperation struct{}

func (giveBackOperation) Handle(_ context.Context, op *Operation) error {
	return op.Account.GiveBack(op.Transaction.ID, op.Credit, op.Now)
}
