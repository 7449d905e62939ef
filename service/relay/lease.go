package relay

import (
	"context"
	"fmt"
	"time"

	"florin/domain/account"
)

// closingLimit bounds what is still written when a loop ends.
const closingLimit = 2 * time.Second

// heldLease is one lease as its holder remembers it. It is used by one goroutine at a time.
type heldLease struct {
	leases Leases
	name   string
	holder string
	ttl    time.Duration
	now    account.Clock

	fence int64 // 0 when not held
	until time.Time
}

// keep makes sure that the lease is held for about half of its time to come, and answers false where somebody else has it.
func (l *heldLease) keep(ctx context.Context) (bool, error) {
	now := l.now()
	if l.fence != 0 && l.until.Sub(now) > l.ttl/2 {
		return true, nil
	}
	if l.fence != 0 {
		renewed, err := l.leases.Renew(ctx, l.name, l.fence, l.ttl)
		if err != nil {
			return false, fmt.Errorf("keep lease %s: %w", l.name, err)
		}
		if renewed {
			l.until = now.Add(l.ttl)
			return true, nil
		}
		l.fence = 0
	}
	fence, ok, err := l.leases.Acquire(ctx, l.name, l.holder, l.ttl)
	if err != nil {
		return false, fmt.Errorf("take lease %s: %w", l.name, err)
	}
	if ok {
		l.fence, l.until = fence, now.Add(l.ttl)
	}
	return ok, nil
}

// forget is for a holder that has run into the fence.
func (l *heldLease) forget() { l.fence = 0 }

// release gives the lease back, also when ctx has ended.
func (l *heldLease) release(ctx context.Context) error {
	if l.fence == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closingLimit)
	defer cancel()
	err := l.leases.Release(ctx, l.name, l.fence)
	l.fence = 0
	if err != nil {
		return fmt.Errorf("give lease %s back: %w", l.name, err)
	}
	return nil
}
