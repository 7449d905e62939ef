package notification

import "time"

// Window is how long a delivery is tried, from the time when it was recorded or last sent again.
const Window = 72 * time.Hour

// pauses are between one attempt and the next. Together they fill the window.
var pauses = []time.Duration{5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour,
	4 * time.Hour, 6 * time.Hour, 8 * time.Hour, 8 * time.Hour, 8 * time.Hour, 8 * time.Hour, 8 * time.Hour, 8 * time.Hour, 8 * time.Hour}

// MaxTries is how often a delivery is tried at the most, unless its owner sends it again.
const MaxTries = 17

// NextAttempt is when a delivery that has failed so many times is tried again, false where it is given up. Wish is the
// endpoint's own, 0 for none: it is honoured where it is later than the schedule. Nothing is tried after the window but what
// was due in it; so the last attempt may come a little earlier than its pause says. Spread moves a pause at random, so that
// what failed together does not come back together.
func NextAttempt(since, now time.Time, tries int, wish time.Duration, spread func(time.Duration) time.Duration) (time.Time, bool) {
	end := since.Add(Window)
	if tries >= MaxTries || !now.Before(end) {
		return time.Time{}, false
	}
	next := now.Add(max(spread(pauses[tries-1]), wish))
	if next.After(end) {
		return end, true
	}
	return next, true
}

// Health is how an endpoint has answered lately. An endpoint that fails again and again is left alone for a growing while, so
// that it costs little and is not pressed while it recovers.
type Health struct {
	Failures int       // in a row
	ResumeAt time.Time // nothing is sent before; zero for at once
}

// The rest that an endpoint gets after the fifth failure in a row, and the longest.
const (
	toleratedFailures = 4
	firstRest         = 10 * time.Second
	longestRest       = 10 * time.Minute
	// longestWish bounds what an endpoint may ask for with Retry-After.
	longestWish = 24 * time.Hour
)

// Succeeded is the health after a success.
func (h Health) Succeeded() Health { return Health{} }

// Failed is the health after a failure with which the endpoint asked for a pause, 0 for none.
func (h Health) Failed(now time.Time, wish time.Duration) Health {
	h.Failures++
	rest := min(wish, longestWish)
	if over := h.Failures - toleratedFailures; over > 0 {
		rest = max(rest, min(firstRest<<min(over-1, 10), longestRest))
	}
	h.ResumeAt = time.Time{}
	if rest > 0 {
		h.ResumeAt = now.Add(rest)
	}
	return h
}
