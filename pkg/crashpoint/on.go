//go:build crashpoint

package crashpoint

import (
	"fmt"
	"os"
	"sync/atomic"
)

// Enabled says whether this build can die at a point.
const Enabled = true

var (
	chosen string
	left   atomic.Int64
)

// A misspelt point must not look like one that was never reached, so the process does not start with it.
func init() {
	setting := os.Getenv(EnvName)
	if setting == "" {
		return
	}
	name, nth, err := parse(setting)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	chosen = name
	left.Store(nth)
}

// Hit ends the process when it is the chosen hit of the chosen point, and does not return then.
func Hit(name string) {
	if name != chosen || left.Add(-1) != 0 {
		return
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
