// Package crashpoint kills the process at named points, so that tests can see what a crash there leaves behind. In a
// build without the tag crashpoint, Hit does nothing and costs nothing.
//
// With the tag, FLORIN_CRASHPOINT=name[:n] names the point and which of its hits is the last thing the process does
// (the first when n is not given). The process ends by SIGKILL: nothing is flushed, closed or deferred.
package crashpoint

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// EnvName is the environment variable that names the point to die at.
const EnvName = "FLORIN_CRASHPOINT"

// parse reads "name" or "name:n" with n >= 1.
func parse(setting string) (name string, nth int64, err error) {
	name, count, counted := strings.Cut(setting, ":")
	if !slices.Contains(All, name) {
		return "", 0, fmt.Errorf("%s: there is no point %q", EnvName, name)
	}
	if !counted {
		return name, 1, nil
	}
	nth, err = strconv.ParseInt(count, 10, 64)
	if err != nil || nth < 1 {
		return "", 0, fmt.Errorf("%s: %q is not the number of a hit, which begins at 1", EnvName, count)
	}
	return name, nth, nil
}
