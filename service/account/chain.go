package account

import (
	"context"
	"fmt"
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

func (s *Service) depositChain() chain {
	return chain{
		validationHandler{},
		moneyHandler{},
		conversionHandler{},
		depositOperation{},
		DepositPersistenceHandler{bus: s.bus},
	}
}

func (s *Service) withdrawChain() chain {
	return chain{
		validationHandler{},
		moneyHandler{},
		conversionHandler{},
		withdrawOperation{},
		WithdrawPersistenceHandler{bus: s.bus},
	}
}

func (s *Service) transferChain() chain {
	return chain{
		validationHandler{},
		moneyHandler{},
		conversionHandler{},
		transferOperation{},
		TransferPersistenceHandler{bus: s.bus},
	}
}
