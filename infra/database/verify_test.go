package database_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"florin/domain/account"
	"florin/domain/currency"
	"florin/infra/database"
	"florin/infra/database/databasetest"
)

// writeSoundBooks makes one of everything: deposits with and without conversion, a transfer, an open and a paid withdrawal,
// money of nobody, a finished key, and positions for all events.
func writeSoundBooks(t *testing.T, db *database.DB) {
	t.Helper()
	k := newBookkeeper(t, db)
	user, euros := k.funded(10_000)
	other, theirs := k.funded(1)
	dollars := k.account(user, currency.USD)
	k.deposit(user, dollars, eur(5_001), conversionOf(t, eur(5_001)))
	made := k.newTransfer(user, euros, theirs, eur(2_500))
	needs, fn := k.transfer(made)
	require.NoError(t, k.ledger.Do(t.Context(), needs, fn))
	k.do(account.Needs{}, func(u account.UnitOfWork) error {
		u.AddKey(account.IdempotencyRecord{Hash: newID(t), UserID: user, Fingerprint: "f", ResourceID: made.ID, Fence: 1, CreatedAt: noon, FinishedAt: noon,
			Answer: &account.Answer{Status: 200, Body: []byte("{}")}})
		return nil
	})
	k.withdraw(user, euros, eur(1_000))
	k.payOut(theirs, k.withdraw(other, theirs, eur(500)))
	k.unmatched(eur(77))
	k.position()
}

// provedByTheLog are the invariants that a round of the log looks at: those of transactions and accounts.
var provedByTheLog = []string{"I2", "I3", "I4", "I5", "I7", "I8", "I9", "I11", "I12", "I13", "I15", "I16", "I17", "I22", "I23"}

var errTampered = errors.New("tampered, take it back")

// breaks shows that the invariant holds in sound books and that each tampering breaks it, in a transaction of its own
// that is rolled back.
func breaks(t *testing.T, id string, tamperings ...string) {
	t.Helper()
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		writeSoundBooks(t, db)
		databasetest.CheckInvariants(t, db, noon)
		sound, err := database.ProveIn(db.Reader())
		require.NoError(t, err)
		require.Empty(t, sound)
		for _, tampering := range tamperings {
			err := db.Writer().Transaction(func(tx *gorm.DB) error {
				disarm(t, tx, db.Dialect())
				for statement := range strings.SplitSeq(tampering, ";\n") {
					changed := tx.Exec(statement)
					require.NoError(t, changed.Error, statement)
					if !strings.HasPrefix(statement, "DROP") && !strings.HasPrefix(statement, "ALTER") {
						require.NotZero(t, changed.RowsAffected, statement)
					}
				}
				checks, err := database.VerifyIn(tx, db.Dialect(), noon, id)
				require.NoError(t, err)
				require.NotEmpty(t, checks[id].Violations, "%s does not see: %s", id, tampering)
				rules, err := database.ProveIn(tx)
				require.NoError(t, err)
				if slices.Contains(provedByTheLog, id) {
					require.Contains(t, rules, id, "a round of the log does not see: %s", tampering)
				}
				return errTampered
			})
			require.ErrorIs(t, err, errTampered)
			if db.Dialect() == database.SQLite {
				require.NoError(t, db.Writer().Exec("PRAGMA ignore_check_constraints = OFF").Error)
			}
		}
	})
}

// disarm takes away, for this transaction, what would refuse to store what is wrong.
func disarm(t *testing.T, tx *gorm.DB, dialect database.Dialect) {
	t.Helper()
	var guards []string
	if dialect == database.Postgres {
		require.NoError(t, tx.Exec("SET LOCAL session_replication_role = replica").Error) // no trigger, no foreign key
		require.NoError(t, tx.Raw(`SELECT 'ALTER TABLE ' || conrelid::regclass || ' DROP CONSTRAINT ' || conname FROM pg_constraint
			WHERE contype = 'c' AND connamespace = 'public'::regnamespace`).Scan(&guards).Error)
	} else {
		require.NoError(t, tx.Exec("PRAGMA defer_foreign_keys = ON").Error)
		require.NoError(t, tx.Exec("PRAGMA ignore_check_constraints = ON").Error)
		require.NoError(t, tx.Raw(`SELECT 'DROP TRIGGER ' || name FROM sqlite_master WHERE type = 'trigger'`).Scan(&guards).Error)
	}
	for _, drop := range guards {
		require.NoError(t, tx.Exec(drop).Error)
	}
}

const (
	aDeposit    = `(SELECT id FROM transactions WHERE type = 'deposit' ORDER BY id LIMIT 1)`
	aTransfer   = `(SELECT id FROM transactions WHERE type = 'transfer')`
	aConversion = `(SELECT id FROM transactions WHERE conversion IS NOT NULL)`
	aWithdrawal = `(SELECT id FROM transactions WHERE type = 'withdraw' AND status = 'initiated')`
	anAccount   = `(SELECT account_id FROM transactions WHERE type = 'transfer')`
)

func TestI1_EntriesSumToZero(t *testing.T) {
	breaks(t, "I1", `UPDATE entries SET amount = amount + 1 WHERE line = 1 AND transaction_id = `+aDeposit)
}

func TestI2_TransactionsSumToZero(t *testing.T) {
	// The sum over all stays 0: only the look at each transaction finds it.
	breaks(t, "I2", `UPDATE entries SET amount = amount + 1 WHERE line = 1 AND transaction_id = `+aDeposit+`;
UPDATE entries SET amount = amount - 1 WHERE line = 1 AND transaction_id = `+aTransfer)
}

func TestI3_PostedIsTheSumOfEntries(t *testing.T) {
	breaks(t, "I3",
		`UPDATE accounts SET posted = posted + 1 WHERE id = `+anAccount,
		`UPDATE accounts SET entry_seq = entry_seq + 1 WHERE id = `+anAccount,
		`UPDATE entries SET balance_after = balance_after + 1 WHERE account_seq = 1 AND account_id = `+anAccount,
		`UPDATE entries SET posted_at = '2026-03-02 00:00:00+00:00' WHERE account_seq = 1 AND account_id = `+anAccount)
}

func TestI4_HeldIsTheSumOfHolds(t *testing.T) {
	breaks(t, "I4", `UPDATE accounts SET held = held - 1 WHERE held > 0`, `DELETE FROM holds WHERE status = 'active'`)
}

func TestI5_NoOverspend(t *testing.T) {
	breaks(t, "I5", `UPDATE accounts SET held = posted + 1 WHERE id = `+anAccount)
}

func TestI7_EntriesExactlyWhenCompleted(t *testing.T) {
	breaks(t, "I7", `DELETE FROM entries WHERE transaction_id = `+aTransfer, `UPDATE transactions SET status = 'pending' WHERE id = `+aTransfer)
}

func TestI8_LegalHistory(t *testing.T) {
	breaks(t, "I8",
		`DELETE FROM payment_events WHERE seq = 1 AND transaction_id = `+aTransfer,
		`UPDATE payment_events SET to_status = 'pending' WHERE seq = 2 AND transaction_id = `+aTransfer+`;
UPDATE payment_events SET from_status = 'completed' WHERE seq = 2 AND transaction_id = `+aTransfer,
		`UPDATE payment_events SET from_status = 'pending' WHERE seq = 2 AND transaction_id = `+aTransfer)
}

func TestI9_LastEventIsTheStatus(t *testing.T) {
	breaks(t, "I9",
		`UPDATE transactions SET status = 'pending' WHERE id = `+aWithdrawal,
		`UPDATE transactions SET version = version + 1 WHERE id = `+aWithdrawal,
		`DELETE FROM payment_events WHERE transaction_id = `+aWithdrawal)
}

func TestI10_PositionsWithoutGap(t *testing.T) {
	breaks(t, "I10",
		`UPDATE event_batches SET position = position + 100 WHERE id = (SELECT MIN(id) + 2 FROM event_batches)`,
		`UPDATE event_batches SET position = NULL WHERE position = 1`,
		`UPDATE log_head SET position = position + 1`,
		`UPDATE log_head SET position = position - (SELECT events FROM event_batches ORDER BY position DESC LIMIT 1);
UPDATE event_batches SET position = NULL, at = '2026-03-01 11:58:59+00:00' WHERE position = (SELECT MAX(position) FROM event_batches)`,
		`UPDATE payment_events SET n = n + 100 WHERE batch_id = (SELECT MAX(batch_id) FROM payment_events)`,
		`UPDATE payment_events SET batch_id = batch_id + 1000 WHERE batch_id = (SELECT MAX(batch_id) FROM payment_events)`)
}

func TestI11_PositionsGrowWithSeq(t *testing.T) {
	breaks(t, "I11", `UPDATE payment_events SET n = n + 1000 WHERE seq = 1 AND transaction_id = `+aTransfer,
		`UPDATE payment_events SET batch_id = (SELECT batch_id FROM payment_events WHERE seq = 2 AND transaction_id = `+aTransfer+`), n = 99 WHERE seq = 1 AND transaction_id = `+aTransfer)
}

func TestI12_HoldsOfWithdrawals(t *testing.T) {
	breaks(t, "I12",
		`DELETE FROM holds WHERE transaction_id = `+aWithdrawal,
		`UPDATE transactions SET status = 'failed' WHERE id = `+aWithdrawal,
		`UPDATE holds SET account_id = transaction_id WHERE transaction_id = `+aWithdrawal)
}

func TestI13_HoldEndsOnce(t *testing.T) {
	breaks(t, "I13", `UPDATE holds SET released = amount WHERE status = 'ended'`, `UPDATE holds SET captured = captured - 1 WHERE status = 'ended'`)
}

func TestI15_EntryInItsAccountsCurrency(t *testing.T) {
	breaks(t, "I15",
		`UPDATE entries SET currency = 'USD' WHERE transaction_id = `+aTransfer,
		`UPDATE entries SET amount = 0 WHERE transaction_id = `+aTransfer,
		`UPDATE entries SET account_id = transaction_id WHERE line = 1 AND transaction_id = `+aTransfer,
		`UPDATE entries SET account_seq = NULL WHERE transaction_id = `+aTransfer)
}

func TestI16_ConversionIsExact(t *testing.T) {
	breaks(t, "I16",
		`UPDATE transactions SET conversion = replace(conversion, '"1.08403"', '"1.08404"') WHERE id = `+aConversion,
		`UPDATE transactions SET conversion = replace(conversion, '"54.21"', '"54.22"') WHERE id = `+aConversion,
		`UPDATE transactions SET conversion = replace(replace(conversion, '"down"', '"up"'), '"54.21"', '"54.22"'), posted_amount = 5422 WHERE id = `+aConversion,
		`UPDATE transactions SET posted_amount = posted_amount + 1 WHERE id = `+aConversion,
		`UPDATE transactions SET amount = amount + 1 WHERE id = `+aConversion,
		`UPDATE transactions SET conversion = '{' WHERE id = `+aConversion)
}

func TestI17_NotMoreTakenBackThanCaptured(t *testing.T) {
	takeBack := func(id, kind, of string, amount string) string {
		return `INSERT INTO transactions (id, type, status, version, amount, currency, provider, linked_transaction_id, created_at, updated_at, completed_at)
			SELECT '` + id + `', '` + kind + `', 'completed', 1, ` + amount + `, 'EUR', 'mock', id, created_at, created_at, created_at FROM transactions WHERE id = ` + of
	}
	const refund, chargeback, reversal = "00000000-0000-7000-8000-000000000001", "00000000-0000-7000-8000-000000000002", "00000000-0000-7000-8000-000000000003"
	breaks(t, "I17",
		takeBack(refund, "refund", aConversion, "5002"),
		takeBack(refund, "refund", aConversion, "5000")+";\n"+takeBack(chargeback, "chargeback", aConversion, "2"),
		takeBack(refund, "refund", aConversion, "5001")+`;
UPDATE transactions SET received_amount = 5000 WHERE id = `+aConversion,
		takeBack(refund, "refund", aConversion, "6000")+";\n"+takeBack(reversal, "refund_reversal", "'"+refund+"'", "998"))
}

func TestI18_OneTransactionPerKey(t *testing.T) {
	breaks(t, "I18",
		`INSERT INTO idempotency_keys SELECT resource_id, user_id, fingerprint, resource_id, fence, locked_until, response_status, response_body, created_at, finished_at FROM idempotency_keys`,
		`UPDATE idempotency_keys SET response_status = NULL`,
		`UPDATE idempotency_keys SET fingerprint = ''`,
		`UPDATE idempotency_keys SET user_id = resource_id`)
}

func TestI19_EventsEnd(t *testing.T) {
	const first = ` WHERE id = (SELECT id FROM inbox ORDER BY id LIMIT 1)`
	breaks(t, "I19",
		`UPDATE inbox SET status = 'received', received_at = '2026-03-01 11:58:59+00:00', next_attempt_at = '2026-03-01 11:59:58+00:00'`+first,
		`UPDATE inbox SET status = 'quarantined', reason = '', payment_id = 'other'`+first,
		`UPDATE inbox SET payment_id = 'other'`+first)
}

func TestI20_NoStuckWork(t *testing.T) {
	breaks(t, "I20",
		`UPDATE transactions SET next_attempt_at = '2026-03-01 11:57:59+00:00' WHERE id = `+aWithdrawal,
		`UPDATE transactions SET next_attempt_at = NULL WHERE id = `+aWithdrawal,
		`UPDATE inbox SET status = 'parked', next_attempt_at = '2026-03-01 11:57:59+00:00'`)
}

func TestI22_SuspenseHasAReview(t *testing.T) {
	breaks(t, "I22", `DELETE FROM reviews`)
}

func TestI23_NoDebitOfAnotherOwner(t *testing.T) {
	breaks(t, "I23",
		`UPDATE transactions SET user_id = id WHERE id = `+aTransfer,
		`UPDATE transactions SET account_id = counterparty_account_id, counterparty_account_id = account_id WHERE id = `+aTransfer,
		`UPDATE entries SET amount = -amount WHERE transaction_id = `+aTransfer)
}

func TestI25_NoSubscriberIsAheadOfTheLog(t *testing.T) {
	breaks(t, "I25", `INSERT INTO subscribers (name, position, updated_at) SELECT 'mail', position + 1, '2026-03-01 12:00:00+00:00' FROM log_head`)
}

func TestI26_ActsAreAudited(t *testing.T) {
	breaks(t, "I26", `UPDATE accounts SET status = 'frozen' WHERE id = `+anAccount,
		`UPDATE accounts SET status = 'closed' WHERE id = `+anAccount,
		`INSERT INTO dead_letters (id, source, source_id, reason, last_error, tries, payload, status, created_at, settled_at, settled_by)
			SELECT id, 'inbox', id, '', '', 1, '', 'redriven', '2026-03-01 12:00:00+00:00', '2026-03-01 12:00:00+00:00', 'somebody' FROM transactions WHERE type = 'transfer'`)
}

func TestI28_UsersAndSystemSumToZero(t *testing.T) {
	breaks(t, "I28", `UPDATE accounts SET posted = posted + 1 WHERE id = `+anAccount,
		`UPDATE entries SET amount = amount - 1 WHERE account_seq IS NULL AND transaction_id = `+aDeposit)
}

// The checks of the catalog are broken by taking guards away, which disarm does.
func TestI14_I24_GuardsAreMissed(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		sound, err := database.VerifyIn(db.Reader(), db.Dialect(), noon, "I14", "I24")
		require.NoError(t, err)
		require.Empty(t, sound["I14"].Violations)
		require.Empty(t, sound["I24"].Violations)
		err = db.Writer().Transaction(func(tx *gorm.DB) error {
			drops := []string{"DROP TRIGGER entries_append_only", "DROP INDEX entries_account_seq_key", "DROP TABLE provider_calls",
				"ALTER TABLE effects RENAME TO facts", "CREATE TABLE effects AS SELECT * FROM facts"}
			if db.Dialect() == database.Postgres {
				drops = []string{"ALTER TABLE entries DISABLE TRIGGER entries_append_only", "DROP INDEX entries_account_seq_key",
					"ALTER TABLE accounts DROP CONSTRAINT accounts_overspend_check", "ALTER TABLE entries ALTER amount DROP NOT NULL",
					"ALTER TABLE holds DROP CONSTRAINT holds_account_id_fkey", "ALTER TABLE effects DROP CONSTRAINT effects_pkey"}
			}
			for _, drop := range drops {
				require.NoError(t, tx.Exec(drop).Error, drop)
			}
			broken, err := database.VerifyIn(tx, db.Dialect(), noon, "I14", "I24")
			require.NoError(t, err)
			require.Equal(t, []string{"missing trigger entries_append_only"}, broken["I14"].Lines())
			require.Contains(t, broken["I24"].Lines(), "missing unique entries_account_seq_key")
			require.Contains(t, broken["I24"].Lines(), "missing key effects (provider, ref, effect)")
			if db.Dialect() == database.Postgres {
				require.Subset(t, broken["I24"].Lines(), []string{"missing check accounts_overspend_check", "missing required entries.amount",
					"missing reference holds.account_id"})
			} else {
				require.Contains(t, broken["I24"].Lines(), "missing reference provider_calls.transaction_id")
			}
			return errTampered
		})
		require.ErrorIs(t, err, errTampered)
	})
}

func TestI6_OneEffectPerFact(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		writeSoundBooks(t, db)
		err := db.Writer().Transaction(func(tx *gorm.DB) error {
			// Without its primary key the table takes a fact twice.
			for _, statement := range []string{"ALTER TABLE effects RENAME TO facts", "CREATE TABLE effects AS SELECT * FROM facts", "INSERT INTO effects SELECT * FROM facts"} {
				require.NoError(t, tx.Exec(statement).Error, statement)
			}
			broken, err := database.VerifyIn(tx, db.Dialect(), noon, "I6")
			require.NoError(t, err)
			require.NotEmpty(t, broken["I6"].Violations)
			return errTampered
		})
		require.ErrorIs(t, err, errTampered)
	})
}

func TestVerifyTellsItsProgress(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		var told []int
		checks, err := database.Verify(t.Context(), db, noon, func(done, total int) {
			told = append(told, done)
			require.GreaterOrEqual(t, total, done)
		})
		require.NoError(t, err)
		require.Len(t, told, len(checks))
		require.Empty(t, database.Broken(checks))
		require.NoError(t, db.Writer().Exec("UPDATE log_head SET position = 1").Error)
		checks, err = database.Verify(t.Context(), db, noon.Add(time.Hour), nil)
		require.NoError(t, err)
		require.Len(t, database.Broken(checks), 1)
		require.Equal(t, []string{"head=1 highest=0"}, database.Broken(checks)[0].Lines())
	})
}
