package eventbustest

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"florin/domain/account"
)

// DeadLetters keeps dead letters in memory. Its zero value is ready.
type DeadLetters struct {
	mu      sync.Mutex
	all     []account.DeadLetter
	settled int // how many of them, from the front
	// Fail, when set, is what storing fails with.
	fail error
}

// AddDeadLetter keeps it, unless one of its source is open.
func (d *DeadLetters) AddDeadLetter(_ context.Context, letter account.DeadLetter) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		return false, d.fail
	}
	open := slices.ContainsFunc(d.all[d.settled:], func(o account.DeadLetter) bool {
		return o.SourceName == letter.SourceName && o.SourceID == letter.SourceID
	})
	if open {
		return false, nil
	}
	d.all = append(d.all, letter)
	return true, nil
}

// HeldTransactions are those of the open ones.
func (d *DeadLetters) HeldTransactions(_ context.Context, subscriber string) ([]uuid.UUID, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var held []uuid.UUID
	for _, letter := range d.all[d.settled:] {
		if letter.SourceName == subscriber {
			held = append(held, letter.TransactionID)
		}
	}
	return held, nil
}

// Fail makes storing fail with err, nil for no more.
func (d *DeadLetters) Fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail = err
}

// Settle settles all that are open.
func (d *DeadLetters) Settle() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.settled = len(d.all)
}

// All is what was ever kept, oldest first.
func (d *DeadLetters) All() []account.DeadLetter {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.all)
}

// Await waits until n were kept.
func (d *DeadLetters) Await(t testing.TB, n int) []account.DeadLetter {
	t.Helper()
	require.Eventually(t, func() bool { return len(d.All()) >= n }, patience, 5*time.Millisecond, "dead letters did not come")
	return d.All()
}
