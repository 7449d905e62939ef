// Package lease holds work of which there must be one, among any number of servers.
package lease

import (
	"context"
	"fmt"
	"time"

	"florin/domain/account"
)

// closingLimit bounds what is still written when a loop ends.
const closingLimit = 2 * time.Second

// Leases say which server does a work of which there must be one.
type Leases interface {
	// Acquire takes the lease if it is free or has run out, with a fence above every earlier one; false where it is held.
	Acquire(ctx context.Context, name, holder string, ttl time.Duration) (fence int64, ok bool, err error)
	// Renew lengthens the lease to ttl from now; false where somebody else has taken it over.
	Renew(ctx context.Context, name string, fence int64, ttl time.Duration) (bool, error)
	// Release ends the lease, so that another server need not wait for its end.
	Release(ctx context.Context, name string, fence int64) error
}

// Held is one lease as its holder remembers it. It is used by one goroutine at a time.
type Held struct {
	leases Leases
	name   string
	holder string
	ttl    time.Duration
	now    account.Clock

	fence int64 // 0 when not held
	until time.Time
}

// New returns a lease that is not held yet. The holder is named for people.
func New(leases Leases, name, holder string, ttl time.Duration, now account.Clock) *Held {
	return &Held{leases: leases, name: name, holder: holder, ttl: ttl, now: now}
}

// Name is what the lease is called.
func (l *Held) Name() string { return l.name }

// Fence is the number under which it is held, 0 when it is not. Whoever takes the lease later has a higher one.
func (l *Held) Fence() int64 { return l.fence }

// Keep makes sure that the lease is held for about half of its time to come, and answers false where somebody else has it.
func (l *Held) Keep(ctx context.Context) (bool, error) {
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

// Forget is for a holder that has run into the fence.
func (l *Held) Forget() { l.fence = 0 }

// Release gives the lease back, also when ctx has ended.
func (l *Held) Release(ctx context.Context) error {
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
