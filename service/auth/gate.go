package auth

import (
	"context"
	"slices"
	"sync"
	"time"

	"florin/domain/errs"
)

// maxQueued bounds who waits at a gate from one network, and in all.
const (
	maxQueuedOfNetwork = 128
	maxQueued          = 1024
)

// gate lets so many through at once. The others wait, and their networks take turns: who sends many
// waits behind the others, and not the others behind them.
type gate struct {
	mu     sync.Mutex
	free   int
	queued int
	turns  []string // the networks that wait, the next first
	queues map[string][]chan struct{}
}

func newGate(atOnce int) *gate { return &gate{free: atOnce, queues: map[string][]chan struct{}{}} }

// enter waits for a place until ctx ends, and returns what gives the place back. errs.Unavailable
// "overloaded".
func (g *gate) enter(ctx context.Context, network string) (leave func(), err error) {
	place, err := g.queue(network)
	if err != nil {
		return nil, err
	}
	select {
	case <-place:
		return g.leave, nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-place: // given in the meantime
		g.next()
	default:
		g.forget(network, place)
	}
	return nil, overloaded(ctx.Err())
}

func (g *gate) queue(network string) (chan struct{}, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	place := make(chan struct{}, 1)
	if g.free > 0 {
		g.free--
		place <- struct{}{}
		return place, nil
	}
	own := g.queues[network]
	if len(own) >= maxQueuedOfNetwork || g.queued >= maxQueued {
		return nil, overloaded(nil)
	}
	if len(own) == 0 {
		g.turns = append(g.turns, network)
	}
	g.queues[network] = append(own, place)
	g.queued++
	return place, nil
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.next()
}

// next gives a place that became free to the first of the network whose turn it is.
func (g *gate) next() {
	if len(g.turns) == 0 {
		g.free++
		return
	}
	network := g.turns[0]
	place := g.queues[network][0]
	g.forget(network, place)
	if _, more := g.queues[network]; more {
		g.turns = append(g.turns[1:], network)
	}
	place <- struct{}{}
}

func (g *gate) forget(network string, place chan struct{}) {
	own := g.queues[network]
	at := slices.Index(own, place)
	g.queues[network] = slices.Delete(own, at, at+1)
	g.queued--
	if len(g.queues[network]) == 0 {
		delete(g.queues, network)
		at := slices.Index(g.turns, network)
		g.turns = slices.Delete(g.turns, at, at+1)
	}
}

func overloaded(cause error) error {
	return &errs.Error{Kind: errs.Unavailable, Code: "overloaded", RetryAfter: 2 * time.Second,
		Message: "too many passwords are being checked", Cause: cause}
}
