package eventbus

import (
	"fmt"
	"runtime/debug"
)

// Safely calls a handler and returns its panic as an error, so that one bad event cannot end the process. The error's
// text carries the stack and is for the log.
func Safely(call func() error) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("handler panicked: %v\n%s", cause, debug.Stack())
		}
	}()
	return call()
}
