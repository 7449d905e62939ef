//go:build !crashpoint

package crashpoint

// Enabled says whether this build can die at a point.
const Enabled = false

// Hit does nothing in this build.
func Hit(string) {}

// Behind returns a function that does nothing.
func Behind(string) func() { return func() {} }
