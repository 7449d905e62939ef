package relay_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/domain/account"
	"florin/domain/errs"
	"florin/service/relay"
)

type waited struct {
	done bool
	err  error
}

// wait starts a waiter and returns after its first look.
func wait(t *testing.T, ctx context.Context, w *relay.Waiters, id uuid.UUID, state func() (bool, error)) (<-chan waited, <-chan struct{}) {
	t.Helper()
	looks, ended := make(chan struct{}, 1000), make(chan waited, 1)
	go func() {
		done, err := w.Wait(ctx, id, func(context.Context) (bool, error) {
			defer func() { looks <- struct{}{} }()
			return state()
		})
		ended <- waited{done, err}
	}()
	receive(t, looks)
	return ended, looks
}

func eventOf(id uuid.UUID) account.PaymentEvent {
	return account.PaymentEvent{TransactionID: id.String()}
}

func TestWaiterIsWokenByItsTransactionAlone(t *testing.T) {
	w := relay.NewWaiters(0, time.Hour)
	var terminal atomic.Bool
	state := func() (bool, error) { return terminal.Load(), nil }
	mine, other := uuid.New(), uuid.New()
	ended, looks := wait(t, t.Context(), w, mine, state)
	require.NoError(t, w.HandleEvent(t.Context(), eventOf(mine)))
	receive(t, looks) // woken, looked, went on waiting
	require.NoError(t, w.HandleEvent(t.Context(), eventOf(other)))
	assert.Empty(t, looks, "another transaction's event is no reason to look")
	terminal.Store(true)
	require.NoError(t, w.HandleEvent(t.Context(), eventOf(mine)))
	assert.Equal(t, waited{done: true}, receive(t, ended))
	assert.Zero(t, w.Count())
}

func TestWaiterLooksAgainByItself(t *testing.T) {
	w := relay.NewWaiters(0, time.Millisecond)
	var looks atomic.Int64
	done, err := w.Wait(t.Context(), uuid.New(), func(context.Context) (bool, error) { return looks.Add(1) == 3, nil })
	require.NoError(t, err)
	assert.True(t, done)
}

func TestF120_CloseReleasesEveryWaiterAtOnce(t *testing.T) {
	w := relay.NewWaiters(0, time.Hour)
	never := func() (bool, error) { return false, nil }
	var all []<-chan waited
	for range 50 {
		ended, _ := wait(t, t.Context(), w, uuid.New(), never)
		all = append(all, ended)
	}
	w.Close()
	for _, ended := range all {
		assert.Equal(t, waited{}, receive(t, ended))
	}
	late, _ := wait(t, t.Context(), w, uuid.New(), never)
	assert.Equal(t, waited{}, receive(t, late), "who comes after the end gets the state as it is")
	w.Close()
}

func TestF120_TimeThatRunsOutIsNoError(t *testing.T) {
	w := relay.NewWaiters(0, time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	ended, _ := wait(t, ctx, w, uuid.New(), func() (bool, error) { return false, nil })
	cancel()
	assert.Equal(t, waited{}, receive(t, ended))

	done, err := w.Wait(ctx, uuid.New(), func(ctx context.Context) (bool, error) { return false, ctx.Err() })
	require.NoError(t, err, "a look that ended with the time is no error either")
	assert.False(t, done)
}

func TestWaitersAreBounded(t *testing.T) {
	w := relay.NewWaiters(2, time.Hour)
	for range 2 {
		wait(t, t.Context(), w, uuid.New(), func() (bool, error) { return false, nil })
	}
	_, err := w.Wait(t.Context(), uuid.New(), func(context.Context) (bool, error) { return false, nil })
	assert.Equal(t, errs.Unavailable, errs.KindOf(err))
	w.Close()
}

func TestWaiterEndsWithTheErrorOfItsLook(t *testing.T) {
	w := relay.NewWaiters(0, time.Hour)
	broken := errors.New("broken")
	_, err := w.Wait(t.Context(), uuid.New(), func(context.Context) (bool, error) { return false, broken })
	require.ErrorIs(t, err, broken)
	require.NoError(t, w.HandleEvent(t.Context(), account.PaymentEvent{TransactionID: "not an id"}))
}
