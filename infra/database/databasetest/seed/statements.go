package seed

import (
	"fmt"
	"time"

	"florin/domain/currency"
	"florin/domain/ledger"
)

// statements are the SQL of a plan. The numbers in it are the plan's own, so nothing is bound.
type statements struct {
	Plan
	expressions
}

// The system accounts on the other side of deposits and of withdrawals.
var (
	clearing = ledger.ProviderClearing("mock", currency.EUR)
	payout   = ledger.PayoutClearing("mock", currency.EUR)
)

func (s statements) start() string { return fmt.Sprintf("CAST(%d AS bigint)", s.Start.Unix()) }
func (s statements) sec(n string) string {
	return fmt.Sprintf("(%d + %d * %s)", s.Start.Unix(), s.Every/time.Second, n)
}
func (s statements) user(number string) string { return s.id(s.start(), partUser, number) }
func (s statements) account(number string) string {
	return s.id(s.start(), partAccount, number)
}
func (s statements) owner(account string) string {
	return s.user(fmt.Sprintf("(%s) %% %d", account, s.Users))
}
func (s statements) transaction(n string) string { return s.id(s.sec(n), partTransaction, n) }

// people writes the users, a session of each, their empty accounts and the two system accounts.
func (s statements) people() []string {
	at := s.at(s.start())
	return []string{
		fmt.Sprintf(`INSERT INTO users (id, username, email, password_hash, created_at, updated_at)
			SELECT %s, 'seeded' || n, 'seeded' || n || '@example.org', '%s', %s, %s FROM %s`,
			s.user("n"), s.PasswordHash, at, at, s.series(0, s.Users-1)),
		fmt.Sprintf(`INSERT INTO refresh_tokens (id, family_id, user_id, token_hash, created_at, expires_at)
			SELECT %s, %s, %s, 'seeded' || n, %s, %s FROM %s`,
			s.id(s.start(), partSession, "n"), s.id(s.start(), partSession, "n"), s.user("n"), at, at, s.series(0, s.Users-1)),
		fmt.Sprintf(`INSERT INTO accounts (id, kind, user_id, currency, posted, created_at, updated_at)
			SELECT %s, 'user', %s, '%s', 0, %s, %s FROM %s`,
			s.account("n"), s.owner("n"), currencyCode, at, at, s.series(0, s.Accounts-1)),
		fmt.Sprintf(`INSERT INTO accounts (id, kind, code, currency, created_at, updated_at) VALUES
			('%[1]s', 'system', '%[2]s', '%[5]s', %[6]s, %[6]s), ('%[3]s', 'system', '%[4]s', '%[5]s', %[6]s, %[6]s)`,
			clearing.ID(), clearing.Code, payout.ID(), payout.Code, currencyCode, at),
	}
}

// payments writes the transactions from first to last with all that belongs to them.
func (s statements) payments(first, last int) []string {
	// One row for each transaction: its number and time, its type, the number of the account that it is on, that of the receiver
	// of a transfer, and the amount.
	drawn := fmt.Sprintf(`(SELECT n, %s AS sec,
			CASE WHEN n <= %[2]d OR n %% 5 = 0 THEN 'deposit' WHEN n %% 10 = 3 THEN 'withdraw' ELSE 'transfer' END AS type,
			CASE WHEN n <= %[2]d THEN n - 1 ELSE %[3]s * %[2]d / 4294967296 END AS a, CASE WHEN n <= %[2]d THEN %[4]d ELSE 1 + n %% %[5]d END AS amount,
			(n * 2246822519 %% 4294967296) * %[6]d / 4294967296 AS step FROM %[7]s) AS drawn`,
		s.sec("n"), s.Accounts, "("+scattered("n")+")", Funding, maxAmount, s.Accounts-1, s.series(first, last))
	t := fmt.Sprintf(`(SELECT n, sec, type, a, (a + 1 + step) %% %d AS b, amount FROM %s) AS t`, s.Accounts, drawn)
	lines := `(SELECT n, sec, 1 AS line, a AS account, -amount AS amount FROM ` + t + ` WHERE type <> 'deposit'
		UNION ALL SELECT n, sec, 2, CASE WHEN type = 'deposit' THEN a ELSE b END, amount FROM ` + t + ` WHERE type <> 'withdraw') AS lines`
	steps := `(SELECT t.*, seq FROM ` + t + ` JOIN (SELECT 1 AS seq UNION ALL SELECT 2 UNION ALL SELECT 3) AS steps ON seq < 3 OR type <> 'transfer') AS steps`
	return append([]string{s.insertTransactions(t), s.insertSystemEntries(t), s.insertEntries(lines), s.updateAccounts(lines), s.insertHolds(t),
		s.insertKeys(t), s.insertInbox(t), s.insertEffects(t), s.insertCalls(t)}, s.insertEvents(steps)...)
}

func (s statements) insertTransactions(t string) string {
	at := s.at("sec")
	return fmt.Sprintf(`INSERT INTO transactions (id, type, status, version, user_id, account_id, counterparty_account_id, amount, currency,
			posted_amount, posted_currency, counterparty_amount, counterparty_currency, provider, payment_id, money_source, request_id,
			created_at, updated_at, completed_at)
		SELECT %s, type, 'completed', CASE type WHEN 'transfer' THEN 2 ELSE 3 END, %s, %s,
			CASE type WHEN 'transfer' THEN %s END, amount, '%[5]s', amount, '%[5]s',
			CASE type WHEN 'transfer' THEN amount END, CASE type WHEN 'transfer' THEN '%[5]s' END,
			CASE type WHEN 'transfer' THEN 'internal' ELSE 'mock' END, CASE WHEN type <> 'transfer' THEN 'pay_' || n END,
			CASE type WHEN 'deposit' THEN 'card' ELSE '' END, 'request-' || n, %[6]s, %[6]s, %[6]s
		FROM %[7]s ORDER BY n`,
		s.transaction("n"), s.owner("a"), s.account("a"), s.account("b"), currencyCode, at, t)
}

func (s statements) insertSystemEntries(t string) string {
	return fmt.Sprintf(`INSERT INTO entries (transaction_id, line, account_id, currency, amount, posted_at)
		SELECT %s, CASE type WHEN 'deposit' THEN 1 ELSE 2 END, %s, '%s', CASE type WHEN 'deposit' THEN -amount ELSE amount END, %s
		FROM %s WHERE type <> 'transfer' ORDER BY n`,
		s.transaction("n"), s.either(clearing.ID(), payout.ID()), currencyCode, s.at("sec"), t)
}

func (s statements) insertHolds(t string) string {
	at := s.at("sec")
	return fmt.Sprintf(`INSERT INTO holds (transaction_id, account_id, currency, amount, captured, status, created_at, ended_at)
		SELECT %s, %s, '%s', amount, amount, 'ended', %s, %s FROM %s WHERE type = 'withdraw' ORDER BY n`,
		s.transaction("n"), s.account("a"), currencyCode, at, at, t)
}

// insertEntries continues each account from where it stands.
func (s statements) insertEntries(lines string) string {
	return fmt.Sprintf(`INSERT INTO entries (transaction_id, line, account_id, currency, amount, account_seq, balance_after, posted_at)
		SELECT %s, line, a.id, '%s', amount, a.entry_seq + ROW_NUMBER() OVER (PARTITION BY account ORDER BY n),
			%s, %s
		FROM %s JOIN accounts a ON a.id = %s ORDER BY n, line`,
		s.transaction("n"), currencyCode, s.whole("a.posted + SUM(amount) OVER (PARTITION BY account ORDER BY n)"), s.at("sec"), lines, s.account("account"))
}

func (s statements) updateAccounts(lines string) string {
	at := s.at("latest")
	return fmt.Sprintf(`UPDATE accounts SET posted = posted + total, entry_seq = entry_seq + many, last_entry_at = %s, updated_at = %s
		FROM (SELECT account, %s AS total, COUNT(*) AS many, MAX(sec) AS latest FROM %s GROUP BY account) AS moved WHERE accounts.id = %s`,
		at, at, s.whole("SUM(amount)"), lines, s.account("account"))
}

func (s statements) insertKeys(t string) string {
	at := s.at("sec")
	return fmt.Sprintf(`INSERT INTO idempotency_keys (key_hash, user_id, fingerprint, resource_id, response_status, response_body, created_at, finished_at)
		SELECT %s, %s, 'request-' || n, %s, CASE type WHEN 'transfer' THEN 200 ELSE 202 END, '{}', %s, %s FROM %s`,
		s.hash("n"), s.owner("a"), s.transaction("n"), at, at, t)
}

func (s statements) insertInbox(t string) string {
	at := s.at("sec")
	return fmt.Sprintf(`INSERT INTO inbox (id, provider, event_id, kind, type, payment_id, transaction_id, payload, status, reason, received_at, processed_at)
		SELECT %s, 'mock', 'evt_' || n, 'payment.completed', 'payment.completed', 'pay_' || n, %s,
			'{"amount":' || amount || ',"currency":"%s","cause":"webhook"}', 'processed', 'completed', %s, %s FROM %s WHERE type <> 'transfer' ORDER BY n`,
		s.id("sec", partInbox, "n"), s.transaction("n"), currencyCode, at, at, t)
}

func (s statements) insertEffects(t string) string {
	return fmt.Sprintf(`INSERT INTO effects (provider, ref, effect, transaction_id, created_at)
		SELECT 'mock', 'pay_' || n, 'completed', %s, %s FROM %s WHERE type <> 'transfer' ORDER BY n`, s.transaction("n"), s.at("sec"), t)
}

func (s statements) insertCalls(t string) string {
	at := s.at("sec")
	return fmt.Sprintf(`INSERT INTO provider_calls (id, transaction_id, attempt, operation, outcome, started_at, ended_at)
		SELECT %s, %s, 1, 'initiate_' || type, 'accepted', %s, %s FROM %s WHERE type <> 'transfer' ORDER BY n`,
		s.id("sec", partCall, "n"), s.transaction("n"), at, at, t)
}

// batchOf is the batch of the transaction n. Each has the events of ten, as if ten had shared a commit; a stage is a whole
// number of batches.
const batchOf = "((n - 1) / 10 + 1)"

// insertEvents appends to the log, with the positions that the relay would give.
func (s statements) insertEvents(steps string) []string {
	to := `CASE WHEN seq = 1 THEN 'initiated' WHEN seq = 2 AND type <> 'transfer' THEN 'pending' ELSE 'completed' END`
	from := `CASE seq WHEN 2 THEN 'initiated' WHEN 3 THEN 'pending' END`
	cause := `CASE WHEN seq = 1 OR type = 'transfer' THEN 'request' WHEN seq = 2 THEN 'reply' ELSE 'webhook' END`
	event := s.id("sec", partEvent, "8 * n + seq")
	payload := fmt.Sprintf(`'{"event_id":"' || %s || '","transaction_id":"' || %s || '","account_id":"' || %s || '","user_id":"' || %s
			|| '","amount":' || amount || ',"currency":"%s","status":"' || %s || '","provider":"' || CASE type WHEN 'transfer' THEN 'internal' ELSE 'mock' END
			|| '","timestamp":' || sec || ',"seq":' || seq || ',"from":"' || COALESCE(%s, '') || '","cause":"' || %s || '","at":"' || %s || '"}'`,
		event, s.transaction("n"), s.account("a"), s.owner("a"), currencyCode, to, from, cause, s.rfc3339("sec"))
	return []string{
		fmt.Sprintf(`INSERT INTO event_batches (id, events, at, position)
			SELECT batch, events, %s, (SELECT position FROM log_head) + 1 + %s - events
			FROM (SELECT %s AS batch, COUNT(*) AS events, MAX(sec) AS latest FROM %s GROUP BY 1) AS batches`,
			s.at("latest"), s.whole("SUM(events) OVER (ORDER BY batch)"), batchOf, steps),
		fmt.Sprintf(`INSERT INTO payment_events (batch_id, n, id, transaction_id, seq, from_status, to_status, cause, payload, at)
			SELECT %[1]s, ROW_NUMBER() OVER (PARTITION BY %[1]s ORDER BY n, seq), %[2]s, %[3]s, seq, %[4]s, %[5]s, %[6]s, %[7]s, %[8]s FROM %[9]s`,
			batchOf, event, s.transaction("n"), from, to, cause, payload, s.at("sec"), steps),
		`UPDATE log_head SET position = (SELECT position + events - 1 FROM event_batches ORDER BY id DESC LIMIT 1)`,
	}
}
