package eventbus

import (
	"context"
	"errors"
)

// BatchHandler does a subscriber's work for several events at once and returns an error, or nil, for each. It must not
// handle an event after one of the same transaction that failed: that one's error is ErrBehind.
type BatchHandler func(ctx context.Context, events []PositionedEvent) []error

// InWaves sends a batch so that much is under way at once and an event never before its predecessor in the transaction
// has arrived: each wave holds one event of each transaction at the most. send returns an error, or nil, for each. After
// one that is ErrAway nothing more is sent.
func InWaves(events []PositionedEvent, send func(wave []PositionedEvent) []error) []error {
	results := make([]error, len(events))
	failed := make(map[string]bool)
	away := false
	left := make([]int, len(events))
	for i := range events {
		left[i] = i
	}
	for len(left) > 0 {
		var wave []PositionedEvent
		var places, later []int
		inWave := make(map[string]bool, len(left))
		for _, i := range left {
			transaction := events[i].Event.TransactionID
			switch {
			case failed[transaction]:
				results[i] = ErrBehind
			case inWave[transaction]:
				later = append(later, i)
			default:
				inWave[transaction] = true
				wave, places = append(wave, events[i]), append(places, i)
			}
		}
		if len(wave) > 0 {
			for n, err := range send(wave) {
				results[places[n]] = err
				if err != nil {
					failed[wave[n].Event.TransactionID] = true
				}
				away = away || errors.Is(err, ErrAway)
			}
		}
		if away {
			for _, i := range later {
				results[i] = ErrBehind
			}
			return results
		}
		left = later
	}
	return results
}

// SendEach makes of a function that sends one message at once or waits for it a sender of waves: encode refuses what
// cannot be a message, and what is refused is not sent.
func SendEach(ctx context.Context, wave []PositionedEvent, send func(messages []Message) []error) []error {
	results := make([]error, len(wave))
	var messages []Message
	var places []int
	for i, e := range wave {
		message, err := NewMessage(ctx, e)
		if err != nil {
			results[i] = err
			continue
		}
		messages, places = append(messages, message), append(places, i)
	}
	if len(messages) > 0 {
		for n, err := range send(messages) {
			results[places[n]] = err
		}
	}
	return results
}

// All gives every one of n events the same error.
func All(n int, err error) []error {
	results := make([]error, n)
	for i := range results {
		results[i] = err
	}
	return results
}

// worker does the work of Lanes for items, with what is known of them beside the event.
type worker func(ctx context.Context, items []*Item) []error

// inBatches works with a BatchHandler. A panic is the error of all.
func inBatches(handle BatchHandler) worker {
	return func(ctx context.Context, items []*Item) []error {
		events := make([]PositionedEvent, len(items))
		for i, item := range items {
			events[i] = item.PositionedEvent
		}
		var results []error
		err := Safely(func() error {
			results = handle(ctx, events)
			if len(results) != len(events) {
				return errors.New("the handler answered for another number of events")
			}
			return nil
		})
		if err != nil {
			return All(len(items), err)
		}
		return results
	}
}

// oneByOne works with a handler of single events.
func oneByOne(handle PositionedHandler) worker {
	return func(ctx context.Context, items []*Item) []error {
		results := make([]error, len(items))
		failed := make(map[string]bool)
		for i, item := range items {
			switch {
			case ctx.Err() != nil:
				results[i] = ctx.Err()
			case failed[item.Event.TransactionID]:
				results[i] = ErrBehind
			default:
				results[i] = Safely(func() error { return handle(item.context(ctx), item.PositionedEvent) })
				if results[i] != nil {
					failed[item.Event.TransactionID] = true
				}
				if results[i] != nil && notItsFault(ctx, results[i]) {
					// What is away for one is away for all.
					copy(results[i+1:], All(len(items)-i-1, ErrBehind))
					return results
				}
			}
		}
		return results
	}
}
