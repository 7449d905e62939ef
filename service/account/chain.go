package account

import (
	"context"
	"fmt"

	"florin/domain/account"
	"florin/pkg/eventbus"
)

// handler does one thing to an operation. Its only effect outside of the operation is what it hands to the unit of work.
type handler interface {
	Handle(ctx context.Context, op *Operation) error
}

// chain is handlers in their order; the first error stops it.
type chain []handler

func (c chain) run(ctx context.Context, op *Operation) error {
	for _, h := range c {
		if err := h.Handle(ctx, op); err != nil {
			return fmt.Errorf("%T: %w", h, err)
		}
	}
	return nil
}

// chains are the lists of handlers, one for each kind of operation.
type chains struct {
	deposit, withdraw, transfer chain
	// refund completes a refund that we started: its hold becomes the debit.
	refund chain
	// takeBack books money that is gone from the account: a refund or a dispute of the provider's doing, a payout that was made
	// after all. giveBack books money that has come back.
	takeBack, giveBack chain
	// owe books what a provider has taken back and no payment has brought.
	owe chain
}

func newChains(bus eventbus.Publisher) chains {
	line := func(operation, persistence handler) chain {
		return chain{validationHandler{}, moneyHandler{}, conversionHandler{}, operation, persistence}
	}
	return chains{
		deposit:  line(depositOperation{}, DepositPersistenceHandler{bus: bus}),
		withdraw: line(withdrawOperation{}, WithdrawPersistenceHandler{bus: bus}),
		transfer: line(transferOperation{}, TransferPersistenceHandler{bus: bus}),
		refund:   line(refundOperation{}, TakenPersistenceHandler{bus: bus, kind: account.Refunded}),
		takeBack: line(takeBackOperation{}, TakenPersistenceHandler{bus: bus, kind: account.TakenBack}),
		owe:      line(oweOperation{}, TakenPersistenceHandler{bus: bus, kind: account.TakenBack}),
		giveBack: line(giveBackOperation{}, GivenPersistenceHandler{bus: bus}),
	}
}
