package middleware

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"

	"florin/domain/errs"
)

// WaitsPerUser is how many requests of one user may wait at once.
const WaitsPerUser = 16

type placeKey struct{}

// place is what a request holds of a share.
type place struct {
	user string // "" where nobody is known
	free func()
}

// Waiter holds a request until until says done.
type Waiter interface {
	Wait(ctx context.Context, id uuid.UUID, until func(context.Context) (bool, error)) (bool, error)
}

// Waits lets a request give its place of the share back while it waits, so that waiting keeps nobody else out, and bounds
// how many of one user do. It is safe for concurrent use.
type Waits struct {
	inner Waiter
	mu    sync.Mutex
	users map[string]int
}

// NewWaits puts the bounds around a waiter.
func NewWaits(inner Waiter) *Waits { return &Waits{inner: inner, users: make(map[string]int)} }

// Wait is the inner waiter's. errs.Limited where the user has as many as they may.
func (w *Waits) Wait(ctx context.Context, id uuid.UUID, until func(context.Context) (bool, error)) (bool, error) {
	held, known := ctx.Value(placeKey{}).(*place)
	if !known {
		return w.inner.Wait(ctx, id, until)
	}
	if held.user != "" {
		if !w.join(held.user) {
			return false, &errs.Error{Kind: errs.Limited, Code: "too_many_waits", RetryAfter: time.Second,
				Message: "too many of your requests are waiting; ask again without waiting"}
		}
		defer w.leave(held.user)
	}
	held.free()
	return w.inner.Wait(ctx, id, until)
}

func (w *Waits) join(user string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.users[user] >= WaitsPerUser {
		return false
	}
	w.users[user]++
	return true
}

func (w *Waits) leave(user string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.users[user]--; w.users[user] == 0 {
		delete(w.users, user)
	}
}
