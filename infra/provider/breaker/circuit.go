package breaker

import (
	"sync"
	"time"
)

// The states of a circuit.
const (
	closed   = "closed"    // calls go well, or have not failed often enough
	halfOpen = "half-open" // one call may show that the provider is back
	open     = "open"      // nothing new until the pause is over
)

// circuit counts failures in a row. It never keeps a call from being made; it says what its outcome is worth.
type circuit struct {
	limit   uint32
	pause   time.Duration
	now     func() time.Time
	changed func(state string) // called without the lock

	mu       sync.Mutex
	state    string
	failures uint32
	opened   time.Time
	// era grows with each change of state: the outcome of a call that began in another is not counted.
	era     uint64
	probing bool // half-open: the one call is under way
}

// current is the state now.
func (c *circuit) current() string {
	c.mu.Lock()
	moved := c.look()
	state := c.state
	c.mu.Unlock()
	if moved {
		c.changed(state)
	}
	return state
}

// look ends a pause that is over, under the lock. A clock that was set back ends it too: it must not last for as long as the
// clock was ahead.
func (c *circuit) look() (moved bool) {
	if c.state != open {
		return false
	}
	if since := c.now().Sub(c.opened); since >= 0 && since < c.pause {
		return false
	}
	c.move(halfOpen)
	return true
}

// begin says whether the outcome of a call that begins now counts, and in which era.
func (c *circuit) begin() (era uint64, counts bool) {
	c.mu.Lock()
	moved := c.look()
	state := c.state
	switch state {
	case closed:
		counts = true
	case halfOpen:
		counts, c.probing = !c.probing, true
	}
	era = c.era
	c.mu.Unlock()
	if moved {
		c.changed(state)
	}
	return era, counts
}

// end takes the outcome of a call that counts. Without a verdict, as where we hung up ourselves, another call may probe.
func (c *circuit) end(era uint64, failed, verdict bool) {
	c.mu.Lock()
	if era != c.era {
		c.mu.Unlock()
		return
	}
	probe := c.state == halfOpen
	c.probing = false
	before := c.era
	switch {
	case !verdict:
	case !failed && probe:
		c.move(closed)
	case !failed:
		c.failures = 0
	default:
		if c.failures++; probe || c.failures >= c.limit {
			c.move(open)
		}
	}
	state, moved := c.state, c.era != before
	c.mu.Unlock()
	if moved {
		c.changed(state)
	}
}

func (c *circuit) move(to string) {
	c.state, c.failures, c.probing = to, 0, false
	c.era++
	if to == open {
		c.opened = c.now()
	}
}
