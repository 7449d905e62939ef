package database_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"florin/domain/integrity"
	"florin/infra/database"
	"florin/infra/database/databasetest"
)

// proofOf is the proof of a database at noon.
func proofOf(db *database.DB) *database.Integrity {
	return database.NewIntegrity(db, func() time.Time { return noon })
}

// proveLog looks at the log until its end and returns what nobody was told of.
func proveLog(t *testing.T, proof *database.Integrity, limit int) []integrity.Finding {
	t.Helper()
	for {
		round, err := proof.ProveLog(t.Context(), 1, limit)
		require.NoError(t, err)
		if round.Events < limit {
			return round.Unhandled
		}
	}
}

func stateOf(t *testing.T, proof *database.Integrity) integrity.State {
	t.Helper()
	state, err := proof.State(t.Context())
	require.NoError(t, err)
	return state
}

// tamper changes rows as only somebody with the database's own rights can.
func tamper(t *testing.T, db *database.DB, statement string, args ...any) {
	t.Helper()
	require.NoError(t, db.Writer().Exec(statement, args...).Error)
}

func TestLogIsProvedToItsEnd(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		proof := proofOf(db)
		pending, err := proof.Pending(t.Context())
		require.NoError(t, err)
		require.False(t, pending)
		writeSoundBooks(t, db)
		pending, err = proof.Pending(t.Context())
		require.NoError(t, err)
		require.True(t, pending)
		require.Empty(t, proveLog(t, proof, 3))
		state := stateOf(t, proof)
		require.Positive(t, state.Head)
		require.Equal(t, state.Head, state.Position)
		require.Equal(t, noon, state.ProvedAt)
		require.Zero(t, state.BrokenCount)
		pending, err = proof.Pending(t.Context())
		require.NoError(t, err)
		require.False(t, pending)

		require.NoError(t, db.Writer().Exec("UPDATE integrity SET fence = 7").Error)
		_, err = proof.ProveLog(t.Context(), 6, 10)
		require.ErrorIs(t, err, integrity.ErrFenced)
	})
}

// TestBrokenAccountIsFoundWhenItIsTouched: a balance that was changed in the database is found with the next event on its account,
// told until it was handled, looked at again, and cleared once it is right again.
func TestBrokenAccountIsFoundWhenItIsTouched(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		proof, k := proofOf(db), newBookkeeper(t, db)
		user, broken := k.funded(100)
		other, sound := k.funded(100)
		k.position()
		require.Empty(t, proveLog(t, proof, 100))

		tamper(t, db, "UPDATE accounts SET posted = posted + 1 WHERE id = ?", broken)
		k.withdraw(other, sound, eur(1))
		k.position()
		require.Empty(t, proveLog(t, proof, 100), "nothing happened on it")
		payout := k.withdraw(user, broken, eur(1))
		k.position()
		found := proveLog(t, proof, 100)
		require.Len(t, found, 1)
		require.Equal(t, []uuid.UUID{broken}, found[0].Accounts)
		require.Equal(t, "I3 account "+broken.String(), found[0].Invariant+" "+found[0].Subject)
		require.Equal(t, 1, count(t, db, "SELECT COUNT(*) FROM reviews WHERE kind = 'integrity' AND status = 'open'"))

		require.Equal(t, found, proveLog(t, proof, 100), "told again until it was handled")
		require.NoError(t, proof.Handled(t.Context(), found[0].ID))
		require.Empty(t, proveLog(t, proof, 100))
		state := stateOf(t, proof)
		require.EqualValues(t, 1, state.BrokenCount)
		require.Equal(t, state.Head, state.Position, "the proof goes on")

		tamper(t, db, "UPDATE accounts SET posted = posted - 1 WHERE id = ?", broken)
		require.Empty(t, proveLog(t, proof, 100))
		require.Zero(t, stateOf(t, proof).BrokenCount)
		k.payOut(broken, payout)
	})
}

// TestFullPassFindsWhatNobodyTouches: and says which accounts a broken transaction concerns.
func TestFullPassFindsWhatNobodyTouches(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		writeSoundBooks(t, db)
		proof := proofOf(db)
		require.Empty(t, proveLog(t, proof, 100))
		round, err := proof.ProveAll(t.Context())
		require.NoError(t, err)
		require.Empty(t, round.Unhandled)
		require.Equal(t, noon, stateOf(t, proof).FullAt)

		tamper(t, db, "UPDATE transactions SET version = version + 1 WHERE id = "+aTransfer)
		require.Empty(t, proveLog(t, proof, 100), "nothing happened on it")
		round, err = proof.ProveAll(t.Context())
		require.NoError(t, err)
		require.Len(t, round.Unhandled, 1)
		require.Equal(t, "I9", round.Unhandled[0].Invariant)
		require.Len(t, round.Unhandled[0].Accounts, 2, "of both sides of the transfer")
		require.Empty(t, cleared(t, db), "a look at the log does not take back what it cannot see")
		proveLog(t, proof, 100)
		require.EqualValues(t, 1, stateOf(t, proof).BrokenCount)

		tamper(t, db, "UPDATE transactions SET version = version - 1 WHERE id = "+aTransfer)
		round, err = proof.ProveAll(t.Context())
		require.NoError(t, err)
		require.Empty(t, round.Unhandled)
		require.Zero(t, stateOf(t, proof).BrokenCount)

		// Work that is late says nothing about money: it is told, and nothing is frozen.
		tamper(t, db, "UPDATE transactions SET next_attempt_at = '2026-03-01 11:00:00+00:00' WHERE id = "+aWithdrawal)
		round, err = proof.ProveAll(context.WithoutCancel(t.Context()))
		require.NoError(t, err)
		require.Len(t, round.Unhandled, 1)
		require.Equal(t, "I20", round.Unhandled[0].Invariant)
		require.Empty(t, round.Unhandled[0].Accounts)
	})
}

func cleared(t *testing.T, db *database.DB) (ids []string) {
	t.Helper()
	require.NoError(t, db.Reader().Raw("SELECT id FROM integrity_findings WHERE cleared_at IS NOT NULL").Scan(&ids).Error)
	return ids
}
