package databasetest

import (
	"context"
	"testing"
	"time"

	"florin/infra/database"
)

// verifyLimit bounds the look at all that a test has written; under the race detector it takes minutes.
const verifyLimit = 5 * time.Minute

// CheckInvariants fails the test with every invariant of the books that does not hold at now, the test's own time. It
// belongs at the end of every test that moved money.
func CheckInvariants(t testing.TB, db *database.DB, now time.Time) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), verifyLimit)
	defer cancel()
	checks, err := database.Verify(ctx, db, now, nil)
	if err != nil {
		t.Fatalf("verify the books: %v", err)
	}
	for _, c := range database.Broken(checks) {
		for _, violation := range c.Violations {
			t.Errorf("%s broken (%s): %s", c.ID, c.Name, violation.Text)
		}
	}
}
