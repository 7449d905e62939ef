package database

import (
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"florin/domain/account"
	"florin/domain/fx"
)

// allInvariants is what must hold at any time. I21 compares the books with a provider's, and I27 with what clients were told: both
// are checked elsewhere.
func allInvariants() []invariant {
	return append(append(moneyInvariants(), historyInvariants()...), workInvariants()...)
}

func moneyInvariants() []invariant {
	return []invariant{
		{"I1", "entries sum to 0 per currency",
			none(`SELECT currency, SUM(amount) AS total FROM entries GROUP BY currency HAVING SUM(amount) <> 0`)},
		{"I2", "each transaction sums to 0 per currency",
			none(`SELECT transaction_id, currency, SUM(amount) AS total FROM entries GROUP BY transaction_id, currency HAVING SUM(amount) <> 0`)},
		{"I3", "posted is the sum of the account's entries, each entry follows from the one before, and what is owed is the sum of the debtor's", all(
			none(`SELECT a.id AS account_id, a.posted, a.entry_seq, e.total, e.numbered, e.latest FROM accounts a
				LEFT JOIN (SELECT account_id, SUM(amount) AS total, COUNT(account_seq) AS numbered, MAX(account_seq) AS latest
					FROM entries GROUP BY account_id) e ON e.account_id = a.id
				WHERE a.kind = 'user' AND (a.posted <> COALESCE(e.total, 0) OR a.entry_seq <> COALESCE(e.latest, 0)
					OR COALESCE(e.numbered, 0) <> COALESCE(e.latest, 0))`),
			none(`SELECT * FROM (SELECT account_id, account_seq, amount, balance_after, posted_at,
					COALESCE(LAG(balance_after) OVER w, 0) AS balance_before, LAG(posted_at) OVER w AS posted_before
					FROM entries WHERE account_seq IS NOT NULL WINDOW w AS (PARTITION BY account_id ORDER BY account_seq)) lines
				WHERE balance_before + amount <> balance_after OR posted_at < posted_before`),
			none(`SELECT a.id AS account_id, a.receivable, e.total FROM accounts a
				LEFT JOIN (SELECT debtor_id, SUM(amount) AS total FROM entries WHERE debtor_id IS NOT NULL GROUP BY debtor_id) e ON e.debtor_id = a.id
				WHERE a.receivable + COALESCE(e.total, 0) <> 0 OR (a.kind = 'system' AND a.receivable <> 0)`),
			none(`SELECT e.transaction_id, e.line, e.debtor_id, a.code FROM entries e JOIN accounts a ON a.id = e.account_id
				LEFT JOIN accounts d ON d.id = e.debtor_id AND d.kind = 'user'
				WHERE (COALESCE(a.code, '') = 'receivable') <> (d.id IS NOT NULL) OR (e.debtor_id IS NOT NULL) <> (d.id IS NOT NULL)`))},
		{"I4", "held is the sum of the account's active holds",
			none(`SELECT a.id AS account_id, a.held, h.total FROM accounts a
				LEFT JOIN (SELECT account_id, SUM(amount - captured - released) AS total FROM holds WHERE status = 'active' GROUP BY account_id) h
					ON h.account_id = a.id
				WHERE a.held <> COALESCE(h.total, 0)`)},
		{"I5", "no account is overspent",
			none(`SELECT id AS account_id, posted, held FROM accounts WHERE kind = 'user' AND posted - held < 0`)},
		{"I6", "one effect per fact of a provider",
			none(`SELECT provider, ref, effect, COUNT(*) AS effects FROM effects GROUP BY provider, ref, effect HAVING COUNT(*) > 1`)},
		{"I7", "a transaction has entries exactly when it is completed",
			none(`SELECT t.id AS transaction_id, t.status, 0 AS entries FROM transactions t
					WHERE t.status = 'completed' AND NOT EXISTS (SELECT 1 FROM entries e WHERE e.transaction_id = t.id)
				UNION ALL SELECT t.id, t.status, COUNT(*) FROM transactions t JOIN entries e ON e.transaction_id = t.id
					WHERE t.status <> 'completed' GROUP BY t.id, t.status`)},
		{"I12", "an open withdrawal or refund has one hold, an ended one none", all(
			none(`SELECT h.transaction_id, h.amount, t.status FROM holds h JOIN transactions t ON t.id = h.transaction_id
				WHERE h.status = 'active' AND t.status IN ('completed', 'failed')`),
			none(`SELECT t.id AS transaction_id, t.status FROM transactions t
				LEFT JOIN holds h ON h.transaction_id = t.id AND h.status = 'active' AND h.account_id = t.account_id
				WHERE t.type IN ('withdraw', 'refund') AND t.status IN ('initiated', 'pending') AND h.transaction_id IS NULL
					AND t.account_id IS NOT NULL AND (t.type = 'withdraw' OR t.posted_amount IS NOT NULL)`))},
		{"I13", "a hold ends once and whole",
			none(`SELECT transaction_id, amount, captured, released, status FROM holds
				WHERE captured + released > amount OR (status = 'ended' AND captured + released <> amount)`)},
		{"I15", "an entry is in its account's currency and not of 0",
			none(`SELECT e.transaction_id, e.line, e.amount, e.currency, a.currency AS account_currency FROM entries e
				LEFT JOIN accounts a ON a.id = e.account_id
				WHERE a.id IS NULL OR e.currency <> a.currency OR e.amount = 0 OR (a.kind = 'user') <> (e.account_seq IS NOT NULL)`)},
		{"I16", "a conversion is the exact product at its stored rate, rounded against the holder, and a part's rate is the whole's", all(
			wrongConversions,
			none(`SELECT c.id AS transaction_id, c.conversion, p.conversion AS followed FROM transactions c JOIN transactions p ON p.id = c.linked_transaction_id
				WHERE c.type IN ('refund', 'refund_reversal', 'chargeback', 'chargeback_reversal', 'payout_return', 'correction') AND c.provider <> 'internal'
					AND (c.conversion IS NULL) <> (p.conversion IS NULL)`),
			wrongRates)},
		{"I17", "what is taken back is not more than what was captured", none(takenBackSQL("p.id IS NOT NULL"))},
		{"I22", "money in suspense or owed has a review",
			none(`SELECT e.transaction_id, e.line, a.code FROM entries e JOIN accounts a ON a.id = e.account_id
				WHERE a.kind = 'system' AND a.code IN ('suspense', 'receivable')
					AND NOT EXISTS (SELECT 1 FROM reviews r WHERE r.transaction_id = e.transaction_id)
					AND NOT EXISTS (SELECT 1 FROM reviews r WHERE r.settlement_id = e.transaction_id)`)},
		{"I23", "money leaves only accounts of who asked for it", all(
			none(`SELECT t.id AS transaction_id, t.user_id, a.user_id AS owner FROM transactions t JOIN accounts a ON a.id = t.account_id
				WHERE a.kind = 'user' AND (t.user_id IS NULL OR a.user_id <> t.user_id)`),
			none(`SELECT e.transaction_id, e.line, t.user_id, a.user_id AS owner FROM entries e
				JOIN accounts a ON a.id = e.account_id AND a.kind = 'user' JOIN transactions t ON t.id = e.transaction_id
				WHERE e.amount < 0 AND (t.user_id IS NULL OR a.user_id <> t.user_id)`))},
		{"I28", "balances of users and system accounts sum to 0 per currency",
			none(`SELECT currency, SUM(amount) AS total FROM (
					SELECT currency, posted AS amount FROM accounts WHERE kind = 'user'
					UNION ALL SELECT e.currency, e.amount FROM entries e JOIN accounts a ON a.id = e.account_id WHERE a.kind = 'system') balances
				GROUP BY currency HAVING SUM(amount) <> 0`)},
	}
}

// capturedSQL is what a payment p has moved: what came, but no more than was asked.
const capturedSQL = `CASE WHEN p.received_amount < p.amount THEN p.received_amount ELSE p.amount END`

// takenBackSQL finds the payments p, of those named, of which more was taken back than was captured, or not all of what was posted
// although all of the payment was. What a provider took beyond a payment names another source than
// the payment, is owed by the account (I3, I22) and counts against nothing here.
func takenBackSQL(named string) string {
	reversed := func(column string) string {
		return `COALESCE((SELECT SUM(` + column + `) FROM transactions r WHERE r.status = 'completed' AND r.type IN ('refund_reversal', 'chargeback_reversal')
			AND r.linked_transaction_id = CASE c.money_source WHEN 'suspense' THEN p.id ELSE c.id END
			AND (c.money_source <> 'suspense' OR (r.payment_id = c.payment_id AND r.attempt = c.attempt))), 0)`
	}
	return `SELECT * FROM (SELECT p.id AS transaction_id, p.posted_amount, ` + capturedSQL + ` AS captured,
			SUM(c.amount - ` + reversed("r.amount") + `) AS taken_back, SUM(COALESCE(c.posted_amount, 0) - ` + reversed("r.posted_amount") + `) AS posted_back
		FROM transactions p JOIN transactions c ON c.linked_transaction_id = p.id AND c.linked_transaction_id IS NOT NULL AND c.status = 'completed'
			AND c.type IN ('refund', 'chargeback', 'payout_return', 'correction') AND c.provider <> 'internal'
			AND c.money_source IN ('', 'suspense')
		WHERE ` + named + ` GROUP BY p.id, p.amount, p.received_amount, p.posted_amount) payments
		WHERE taken_back > captured OR posted_back > COALESCE(posted_amount, 0) OR (taken_back = captured AND posted_back <> COALESCE(posted_amount, 0))`
}

func historyInvariants() []invariant {
	return []invariant{
		{"I8", "a history has every step once, and only legal ones", all(
			none(`SELECT transaction_id, COUNT(*) AS events, MIN(seq) AS lowest, MAX(seq) AS highest FROM payment_events
				GROUP BY transaction_id HAVING COUNT(*) <> MAX(seq) OR MIN(seq) <> 1`),
			none(`SELECT id, transaction_id, seq, from_status, to_status FROM payment_events
				WHERE COALESCE(from_status, '') || '>' || to_status NOT IN (`+legalMoves()+`)`),
			none(`SELECT * FROM (SELECT id, transaction_id, seq, from_status, at, LAG(to_status) OVER w AS before, LAG(at) OVER w AS at_before
					FROM payment_events WINDOW w AS (PARTITION BY transaction_id ORDER BY seq)) steps
				WHERE COALESCE(from_status, '') <> COALESCE(before, '') OR at < at_before`))},
		{"I9", "one event per change, and the last one is how the transaction stands",
			none(`SELECT t.id AS transaction_id, t.status, t.version, e.to_status, e.seq FROM transactions t
				LEFT JOIN (SELECT transaction_id, MAX(seq) AS seq FROM payment_events GROUP BY transaction_id) latest ON latest.transaction_id = t.id
				LEFT JOIN payment_events e ON e.transaction_id = t.id AND e.seq = latest.seq
				WHERE e.id IS NULL OR e.seq <> t.version OR e.to_status <> t.status`)},
		{"I10", "positions are 1 to n, and none is missing for more than 60 s", all(
			none(`SELECT * FROM (SELECT id, events, position, COALESCE(LAG(position + events) OVER (ORDER BY position), 1) AS wanted
					FROM event_batches WHERE position IS NOT NULL) batches WHERE position <> wanted`),
			none(`SELECT position AS head, (SELECT COALESCE(MAX(position + events), 1) - 1 FROM event_batches) AS highest FROM log_head
				WHERE id = 1 AND position <> (SELECT COALESCE(MAX(position + events), 1) - 1 FROM event_batches)`),
			none(`SELECT b.id, b.events, COUNT(e.n) AS found, MIN(e.n) AS lowest, MAX(e.n) AS highest FROM event_batches b
				LEFT JOIN payment_events e ON e.batch_id = b.id
				GROUP BY b.id, b.events HAVING COUNT(e.n) <> b.events OR MIN(e.n) <> 1 OR MAX(e.n) <> b.events`),
			none(`SELECT e.batch_id, e.n, e.id FROM payment_events e WHERE NOT EXISTS (SELECT 1 FROM event_batches b WHERE b.id = e.batch_id)`),
			none(`SELECT id, events, at FROM event_batches WHERE position IS NULL AND at < ?`, time.Minute))},
		{"I11", "positions of a transaction grow with its steps",
			none(`SELECT * FROM (SELECT id, transaction_id, seq, position, LAG(position) OVER w AS before
					FROM (SELECT e.id, e.transaction_id, e.seq, b.position + e.n - 1 AS position
						FROM payment_events e JOIN event_batches b ON b.id = e.batch_id) positioned
					WINDOW w AS (PARTITION BY transaction_id ORDER BY seq)) steps
				WHERE position IS NOT NULL AND seq > 1 AND (before IS NULL OR before >= position)`)},
		{"I14", "what is append-only is guarded by triggers", missingGuards(appendOnlyGuards)},
	}
}

func workInvariants() []invariant {
	return []invariant{
		{"I18", "one transaction per key, and an answer with a finished key", all(
			none(`SELECT resource_id AS transaction_id, COUNT(*) AS keys FROM idempotency_keys GROUP BY resource_id HAVING COUNT(*) > 1`),
			none(`SELECT key_hash, resource_id, fingerprint FROM idempotency_keys
				WHERE fingerprint = '' OR (finished_at IS NULL AND locked_until IS NULL)
					OR (finished_at >= ? AND response_status IS NULL)`, answersKept-24*time.Hour),
			none(`SELECT k.key_hash, k.user_id, t.user_id AS owner FROM idempotency_keys k JOIN transactions t ON t.id = k.resource_id
				WHERE t.user_id IS NULL OR t.user_id <> k.user_id`))},
		{"I19", "a provider's event ends in an effect or a stated reason, and none is forgotten", all(
			none(`SELECT id, provider, event_id, status FROM inbox WHERE status = 'received' AND received_at < ? AND next_attempt_at < ?`, time.Minute, 0),
			none(`SELECT i.id, i.provider, i.event_id, i.status FROM inbox i WHERE i.status <> 'received' AND i.reason = ''
					AND NOT EXISTS (SELECT 1 FROM effects e WHERE e.provider = i.provider AND e.ref = i.payment_id)`),
			none(`SELECT i.id, i.provider, i.event_id, i.reason FROM inbox i
				WHERE i.status = 'processed' AND i.kind = 'payment.completed' AND i.payment_id <> ''
					AND NOT EXISTS (SELECT 1 FROM effects e WHERE e.provider = i.provider AND e.ref = i.payment_id AND (e.effect = 'completed' OR e.effect LIKE 'unmatched:%'))`))},
		{"I20", "no open work is stuck for more than 2 min", all(
			none(`SELECT id AS transaction_id, type, status, next_attempt_at FROM transactions
				WHERE status IN ('initiated', 'pending') AND (next_attempt_at IS NULL OR next_attempt_at < ?)`, 2*time.Minute),
			none(`SELECT id, provider, event_id, status, next_attempt_at FROM inbox
				WHERE status IN ('received', 'parked') AND (next_attempt_at IS NULL OR next_attempt_at < ?)`, 2*time.Minute))},
		{"I25", "no subscriber is ahead of the log",
			none(`SELECT name, position FROM subscribers WHERE position > (SELECT position FROM log_head WHERE id = 1)`)},
		{"I26", "what an administrator or an owner did to an account or a dead letter has its audit row", all(
			none(`SELECT id AS account_id, status FROM accounts WHERE status = 'frozen'
				AND CAST(id AS text) NOT IN (SELECT subject FROM audit WHERE action = 'account.freeze')`),
			none(`SELECT id AS account_id, status FROM accounts WHERE status = 'closed'
				AND CAST(id AS text) NOT IN (SELECT subject FROM audit WHERE action = 'account.close')
				AND CAST(user_id AS text) NOT IN (SELECT subject FROM audit WHERE action = 'user.deleted')`),
			none(`SELECT id, status, settled_by FROM dead_letters WHERE status <> 'open'
				AND status || CAST(id AS text) NOT IN (SELECT SUBSTR(action, 13) || subject FROM audit WHERE action LIKE 'dead_letter.%')`))},
		{"FILE", "the pages and indexes of the database file are whole", damagedPages},
		{"I24", "the schema's guards exist", missingGuards(schemaGuards)},
	}
}

// answersKept is how long the answer to a request with a key is kept at least.
const answersKept = 30 * 24 * time.Hour

// legalMoves is the state machine as a list of SQL.
func legalMoves() string {
	moves := make([]string, len(account.Moves))
	for i, m := range account.Moves {
		moves[i] = fmt.Sprintf("'%s>%s'", m.From, m.To)
	}
	return strings.Join(moves, ", ")
}

// wrongConversions computes every conversion again.
func wrongConversions(v view) ([]Violation, error) {
	rows, err := v.tx.Model(&transactionRow{}).Where("conversion IS NOT NULL").Rows()
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var violations []Violation
	for rows.Next() && len(violations) < maxViolations {
		var row transactionRow
		if err := v.tx.ScanRows(rows, &row); err != nil {
			return nil, err
		}
		if fault := faultOfConversion(row); fault != "" {
			violations = append(violations, Violation{Text: fmt.Sprintf("transaction_id=%s fault=%s", row.ID, fault), TransactionID: row.ID})
		}
	}
	return violations, rows.Err()
}

// wrongRates are conversions of what follows a payment at another rate than the payment's.
func wrongRates(v view) ([]Violation, error) {
	rate := func(of string) string { return "CAST(" + of + ".conversion AS jsonb) ->> 'rate'" }
	if v.dialect == SQLite {
		rate = func(of string) string { return "json_extract(" + of + ".conversion, '$.rate')" }
	}
	return none(`SELECT c.id AS transaction_id, ` + rate("c") + ` AS rate, ` + rate("p") + ` AS followed FROM transactions c
		JOIN transactions p ON p.id = c.linked_transaction_id WHERE c.conversion IS NOT NULL AND ` + rate("c") + ` <> ` + rate("p"))(v)
}

func faultOfConversion(row transactionRow) string {
	row.ExternalTarget = "" // it is sealed, and says nothing of conversions
	t, err := row.toTransaction()
	if err != nil {
		return err.Error()
	}
	c := t.Conversion
	if t.LinkedID != uuid.Nil {
		return faultOfPart(t)
	}
	if err := c.Check(); err != nil {
		return err.Error()
	}
	if c.Original() != t.Amount && (t.Received == nil || c.Original() != *t.Received) {
		return fmt.Sprintf("converts %s, the transaction is of %s", c.Original(), t.Amount)
	}
	wanted := "down"
	switch {
	case c.Converted() == t.Posted && t.Type != account.TypeDeposit:
		wanted = "up"
	case c.Converted() == t.Posted, c.Converted() == t.CounterpartyPosted:
	default:
		return fmt.Sprintf("converted to %s, posted %s and %s", c.Converted(), t.Posted, t.CounterpartyPosted)
	}
	if got := c.Rounding().String(); got != wanted {
		return "rounded " + got + ", against the holder is " + wanted
	}
	return ""
}

// faultOfPart: what follows a conversion has the exact product at the payment's own rate. Its rounded amount is what the sum of the
// parts comes to less what was posted before (I17), so it is off by less than two minor units.
func faultOfPart(t *account.Transaction) string {
	c := t.Conversion
	converted, exact, err := c.Rate().Convert(c.Original(), fx.Up)
	switch {
	case err != nil:
		return err.Error()
	case exact != c.Exact():
		return "exact is " + exact + ", stored " + c.Exact()
	case c.Original() != t.Amount || c.Converted() != t.Posted:
		return fmt.Sprintf("converts %s to %s, the transaction is of %s and posted %s", c.Original(), c.Converted(), t.Amount, t.Posted)
	}
	if off := converted.Minor() - t.Posted.Minor(); off < -2 || off > 2 {
		return fmt.Sprintf("posted %s, the product is %s", t.Posted, exact)
	}
	return ""
}

// damagedPages reads the whole file of an SQLite database. PostgreSQL looks after its own.
func damagedPages(v view) ([]Violation, error) {
	if v.dialect == Postgres {
		return nil, nil
	}
	return none("SELECT integrity_check AS damage FROM pragma_integrity_check WHERE integrity_check <> 'ok'")(v)
}
