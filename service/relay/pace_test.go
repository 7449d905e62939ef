package relay

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

// paces runs a loop that is woken all the time and whose steps move so many events, and returns how long it waited before each.
func paces(t *testing.T, moved ...int) (waited []time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		wake := make(chan struct{}, 1)
		ctx, cancel := context.WithCancel(t.Context())
		s := Settings{Now: time.Now}.withDefaults() // the bubble's
		last := s.Now()
		s.loop(ctx, "test", wake, func() (pace, error) {
			waited, last = append(waited, s.Now().Sub(last)), s.Now()
			if len(moved) == 0 {
				cancel()
				return pace{}, nil
			}
			n := moved[0]
			moved = moved[1:]
			signal(wake)
			return pace{pause: time.Hour, moved: n}, nil
		})
	})
	return waited
}

func TestLoopRestsByTheRateOfEvents(t *testing.T) {
	const none, short, long = 0, shortRest, longRest
	assert.Equal(t, []time.Duration{none, none, none, none, none}, paces(t, 1, 15, 7, 2), "a quiet time")
	assert.Equal(t, []time.Duration{none, none, none, none, none}, paces(t, 1, 500, 3, 2), "behind a moment in which the database stood still")
	assert.Equal(t, []time.Duration{none, none, short, short, none}, paces(t, 16, 16, 31, 15), "many")
	assert.Equal(t, []time.Duration{none, none, short, long, none}, paces(t, 20, 40, 40, 0), "very many")
	assert.Equal(t, []time.Duration{none, none, long, long, long, short, short, none}, paces(t, 50, 60, 160, 200, 159, 80, 2),
		"by the time they took to come, so that it rests no longer than it would without the rest")
}
