package main

import (
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// ourPrefixes begin names that nobody but us would set.
var ourPrefixes = []string{"STRIPE_", "MOCK_", "FLORIN_", "SMTP_", "WEBHOOK_"}

// testSettings are read by tests and by builds for tests, from the same environment.
var testSettings = []string{"FLORIN_CRASHPOINT", "FLORIN_CRASH_ROUNDS", "FLORIN_SOAK", "FLORIN_OVERLOAD", "FLORIN_DRAIN"}

// serviceLink is a variable that Kubernetes sets for a service, which may be called like one of our prefixes.
var serviceLink = regexp.MustCompile(`_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)

// nearEnough is how many letters of a name may be wrong for it to be taken for a setting of ours; nearFrom is how long it
// must be.
const (
	nearEnough = 2
	nearFrom   = 5
)

// knownSettings are the names that readConfig heeds, sorted.
func knownSettings() []string {
	var known []string
	for _, field := range reflect.VisibleFields(reflect.TypeFor[rawSettings]()) {
		known = append(known, field.Tag.Get("env"))
	}
	for _, name := range secretSettings {
		known = append(known, name+"_FILE")
	}
	return slices.Sorted(slices.Values(append(known, notBuiltIn...)))
}

// misspelt finds the variables that look like settings of ours and are none: to start without what somebody has set would
// run something else than they think. The empty ones are not set.
func misspelt(environ map[string]string) configError {
	known := knownSettings()
	var faults configError
	for _, name := range slices.Sorted(maps.Keys(environ)) {
		if environ[name] == "" || slices.Contains(known, name) || slices.Contains(testSettings, name) ||
			strings.HasPrefix(name, "FLORIN_TEST_") || strings.HasPrefix(name, "OTEL_") || serviceLink.MatchString(name) {
			continue
		}
		ours := slices.ContainsFunc(ourPrefixes, func(start string) bool { return strings.HasPrefix(name, start) })
		switch near := nearest(strings.ToUpper(name), known); {
		case near != "":
			faults = append(faults, fault{name, "not a setting; did you mean " + near + "?"})
		case ours:
			faults = append(faults, fault{name, "not a setting; see docs/configuration.md"})
		}
	}
	return faults
}

// nearest is the known name that the given one was meant to be, "" where there is none.
func nearest(name string, known []string) string {
	if bare, file := strings.CutSuffix(name, "_FILE"); file && slices.Contains(known, bare) {
		return bare // which takes no file
	}
	if len(name) < nearFrom {
		return ""
	}
	best, least := "", nearEnough+1
	for _, candidate := range known {
		if d := distance(name, candidate); d < least {
			best, least = candidate, d
		}
	}
	return best
}

// distance is how many letters have to be put in, taken out or changed to make one name the other.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			changed := before
			if a[i] != b[j] {
				changed++
			}
			before = row[j+1]
			row[j+1] = min(changed, before+1, row[j]+1)
		}
	}
	return row[len(b)]
}
