package account

import "context"

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
