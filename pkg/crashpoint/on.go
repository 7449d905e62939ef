//go:build crashpoint

package crashpoint

import (
	"fmt"
	"os"
	"sync/atomic"
)

// Enabled says whether this build can die at a point.
const Enabled = true

// chosen is a point and how many of its hits are left.
type chosen struct {
	name string
	left atomic.Int64
}

var armed atomic.Pointer[chosen]

// A misspelt point must not look like one that was never reached, so the process does not start with it.
func init() {
	setting := os.Getenv(EnvName)
	if setting == "" {
		return
	}
	if err := Arm(setting); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
}

// Arm chooses the point, in place of the one chosen before; hits count from now on. Only builds with the tag have it.
func Arm(setting string) error {
	name, nth, err := parse(setting)
	if err != nil {
		return err
	}
	c := &chosen{name: name}
	c.left.Store(nth)
	armed.Store(c)
	return nil
}

// Behind returns the hit of a point that lies behind something that begins now. One that is armed in the meantime is not hit.
func Behind(name string) func() {
	before := armed.Load()
	return func() {
		if armed.Load() == before {
			Hit(name)
		}
	}
}

// Hit ends the process when it is the chosen hit of the chosen point, and does not return then.
func Hit(name string) {
	c := armed.Load()
	if c == nil || name != c.name {
		return
	}
	switch left := c.left.Add(-1); {
	case left > 0:
		return
	case left < 0:
		select {} // another goroutine is about to end the process
	}
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Kill()
	}
	if err != nil {
		panic(fmt.Sprintf("crash point %s: %v", name, err))
	}
	// The signal may take a moment; nothing after the point may run.
	select {}
}
