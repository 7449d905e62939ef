package account

import (
	"context"
	"fmt"

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
type chains struct{ deposit, withdraw, transfer chain }

func newChains(bus eventbus.Publisher) chains {
	return chains{
		deposit: chain{
			validationHandler{},
			moneyHandler{},
			conversionHandler{},
			depositOperation{},
			DepositPersistenceHandler{bus: bus},
		},
		withdraw: chain{
			validationHandler{},
			moneyHandler{},
			conversionHandler{},
			withdrawOperation{},
			WithdrawPersistenceHandler{bus: bus},
		},
		transfer: chain{
			validationHandler{},
			moneyHandler{},
			conversionHandler{},
			transferOperation{},
			TransferPersistenceHandler{bus: bus},
		},
	}
}
