package database

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"florin/domain/account"
)

// Vault seals what must not lie in clear in the database. Without one nothing is sealed, and what
// is sealed is not read.
type Vault interface {
	// Seal seals the text; what it is about must be said again to open it.
	Seal(plain []byte, about string) (string, error)
	Open(sealed, about string) (plain []byte, current bool, err error)
	// Current is how what is sealed under the newest key begins.
	Current() string
}

// sealedText is how all that is sealed begins. JSON, which is what lies in these columns, never
// does.
const sealedText = "s1."

func isSealed(text string) bool { return strings.HasPrefix(text, sealedText) }

// What is sealed is bound to its row, so that it opens in no other.
func aboutTarget(id uuid.UUID) string { return "target of transaction " + id.String() }
func aboutEvent(id uuid.UUID) string  { return "payload of event " + id.String() }
func aboutLetter(id uuid.UUID) string { return "payload of dead letter " + id.String() }

func (db *DB) seal(text, about string) (string, error) {
	if text == "" || db.options.Vault == nil {
		return text, nil
	}
	sealed, err := db.options.Vault.Seal([]byte(text), about)
	if err != nil {
		return "", fmt.Errorf("seal the %s: %w", about, err)
	}
	return sealed, nil
}

// unseal opens a text; one from before there were keys is read as it is.
func (db *DB) unseal(text, about string) (string, error) {
	switch {
	case !isSealed(text):
		return text, nil
	case db.options.Vault == nil:
		return "", fmt.Errorf("open the %s: no DATA_KEY is given", about)
	}
	plain, _, err := db.options.Vault.Open(text, about)
	if err != nil {
		return "", fmt.Errorf("open the %s: %w", about, err)
	}
	return string(plain), nil
}

func (db *DB) transactionOf(row transactionRow) (*account.Transaction, error) {
	target, err := db.unseal(string(row.ExternalTarget), aboutTarget(row.ID))
	if err != nil {
		return nil, err
	}
	row.ExternalTarget = nullText(target)
	return row.toTransaction()
}

func (db *DB) transactionsOf(rows []transactionRow) ([]*account.Transaction, error) {
	return convertAll(rows, db.transactionOf)
}

func (db *DB) recordOf(row inboxRow) (*account.InboxRecord, error) {
	payload, err := db.unseal(row.Payload, aboutEvent(row.ID))
	if err != nil {
		return nil, err
	}
	row.Payload = payload
	return row.toRecord()
}

func (db *DB) letterOf(row deadLetterRow) (account.DeadLetter, error) {
	payload, err := db.unseal(row.Payload, aboutLetter(row.ID))
	if err != nil {
		return account.DeadLetter{}, err
	}
	row.Payload = payload
	return row.toDeadLetter(), nil
}

// sealRows seals what a batch inserts.
func (db *DB) sealRows(r *rowsToAdd) error {
	for i := range r.transactions {
		row := &r.transactions[i]
		target, err := db.seal(string(row.ExternalTarget), aboutTarget(row.ID))
		if err != nil {
			return err
		}
		row.ExternalTarget = nullText(target)
	}
	var err error
	for i := range r.inbox {
		row := &r.inbox[i]
		if row.Payload, err = db.seal(row.Payload, aboutEvent(row.ID)); err != nil {
			return err
		}
	}
	for i := range r.deadLetters {
		row := &r.deadLetters[i]
		if row.Payload, err = db.seal(row.Payload, aboutLetter(row.ID)); err != nil {
			return err
		}
	}
	return nil
}

// Privacy seals anew what an older key has sealed, or none, and erases what need not be kept. Any
// number of servers may run it: what is done already is left alone.
type Privacy struct{ db *DB }

// NewPrivacy returns it for an open, migrated database.
func NewPrivacy(db *DB) *Privacy { return &Privacy{db: db} }

// sealedColumn is a column whose texts are sealed, with what they are about.
type sealedColumn struct {
	table, column string
	about         func(uuid.UUID) string
}

var sealedColumns = []sealedColumn{
	{"transactions", "external_target", aboutTarget},
	{"inbox", "payload", aboutEvent},
	{"dead_letters", "payload", aboutLetter},
}

// privacyPage bounds what is looked at in one statement.
const privacyPage = 500

// sealMarkRow is a row of seal_marks: everything that was made before Since is sealed under the
// key.
type sealMarkRow struct {
	Name    string `gorm:"column:name;primaryKey"`
	SealKey string `gorm:"column:seal_key"`
	Since   moment `gorm:"column:since"`
}

func (sealMarkRow) TableName() string { return "seal_marks" }

// overlap is how far behind its mark a pass looks again: an older server may have written there
// under an older key, or none, while servers were replaced.
const overlap = 24 * time.Hour

// Reseal seals under the newest key what is not, and returns how many texts that were and how many
// no key opens; those are left alone. The first pass under a key looks at every row, a later one at
// what was made since.
func (p *Privacy) Reseal(ctx context.Context, now time.Time) (resealed, lost int, err error) {
	if p.db.options.Vault == nil {
		return 0, 0, nil
	}
	for _, of := range sealedColumns {
		done, unopened, err := p.resealColumn(ctx, of, now)
		resealed, lost = resealed+done, lost+unopened
		if err != nil {
			return resealed, lost, toErrs("reseal "+of.table, err)
		}
	}
	return resealed, lost, nil
}

func (p *Privacy) resealColumn(ctx context.Context, of sealedColumn, now time.Time) (resealed, lost int, err error) {
	current := p.db.options.Vault.Current()
	var mark sealMarkRow
	if err := p.db.Reader().WithContext(ctx).Where("name = ?", of.table).Limit(1).Find(&mark).Error; err != nil {
		return 0, 0, err
	}
	last := uuid.Nil
	if mark.SealKey == current {
		last = firstIDAt(mark.Since.at.Add(-overlap))
	}
	for {
		var rows []struct {
			ID   uuid.UUID
			Text nullText
		}
		err := p.db.Reader().WithContext(ctx).Table(of.table).Select("id, "+of.column+" AS text").
			Where("id > ?", last).Order("id").Limit(privacyPage).Scan(&rows).Error
		if err != nil {
			return resealed, lost, err
		}
		var anew []resealing
		for _, row := range rows {
			last = row.ID
			was := string(row.Text)
			if was == "" || strings.HasPrefix(was, current) {
				continue
			}
			sealed, err := p.resealed(was, of.about(row.ID))
			if err != nil {
				lost++
				continue
			}
			anew = append(anew, resealing{row.ID, was, sealed})
		}
		done, err := p.storeSealed(ctx, of, anew)
		resealed += done
		if err != nil {
			return resealed, lost, err
		}
		if len(rows) < privacyPage {
			break
		}
	}
	if lost > 0 {
		return resealed, lost, nil // the key may come back
	}
	mark = sealMarkRow{Name: of.table, SealKey: current, Since: momentOf(now)}
	return resealed, 0, p.db.Writer().WithContext(ctx).Clauses(clause.OnConflict{UpdateAll: true}).Create(&mark).Error
}

// resealing is a text as it lies there and as it is to lie there.
type resealing struct {
	id       uuid.UUID
	was, now string
}

// storeSealed stores a page in one commit. Where somebody else was first, their text stays.
func (p *Privacy) storeSealed(ctx context.Context, of sealedColumn, anew []resealing) (stored int, err error) {
	if len(anew) == 0 {
		return 0, nil
	}
	err = p.db.inTx(ctx, func(tx *gorm.DB) error {
		for _, text := range anew {
			done := tx.Exec("UPDATE "+of.table+" SET "+of.column+" = ? WHERE id = ? AND "+of.column+" = ?", text.now, text.id, text.was)
			if done.Error != nil {
				return done.Error
			}
			stored += int(done.RowsAffected)
		}
		return nil
	})
	return stored, err
}

func (p *Privacy) resealed(text, about string) (string, error) {
	plain, err := p.db.unseal(text, about)
	if err != nil {
		return "", err
	}
	return p.db.seal(plain, about)
}

// firstIDAt is below every id that is drawn from the time on: ids of version 7 begin with theirs.
func firstIDAt(at time.Time) uuid.UUID {
	var id uuid.UUID
	ms := uint64(max(at.UnixMilli(), 0)) //nolint:gosec // not below zero
	for i := range 6 {
		id[i] = byte(ms >> (40 - 8*i))
	}
	return id
}

// erasureRow is a row of erasures: a user who has left, and whether what named them is erased.
type erasureRow struct {
	UserID uuid.UUID `gorm:"column:user_id;primaryKey"`
	Asked  moment    `gorm:"column:asked_at"`
	Done   moment    `gorm:"column:done_at"`
}

func (erasureRow) TableName() string { return "erasures" }

// askErasure has what is kept of the user erased soon. It is part of their deletion.
func askErasure(tx *gorm.DB, userID uuid.UUID, at time.Time) error {
	return tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&erasureRow{UserID: userID, Asked: momentOf(at)}).Error
}

// EraseUsers erases what is kept of users who have left, and returns how many. The books stay: what
// moved, when and in which order; and of a target its last four letters.
func (p *Privacy) EraseUsers(ctx context.Context, now time.Time) (int, error) {
	erased := 0
	for {
		var rows []erasureRow
		if err := p.db.Reader().WithContext(ctx).Where("done_at IS NULL").Order("asked_at").Limit(privacyPage).Find(&rows).Error; err != nil {
			return erased, toErrs("find users to erase", err)
		}
		for _, row := range rows {
			if err := p.eraseUser(ctx, row.UserID, now); err != nil {
				return erased, toErrs("erase a user", err)
			}
			erased++
		}
		if len(rows) < privacyPage {
			return erased, nil
		}
	}
}

func (p *Privacy) eraseUser(ctx context.Context, userID uuid.UUID, now time.Time) error {
	var accounts []uuid.UUID
	err := p.db.Reader().WithContext(ctx).Table("accounts").Where("user_id = ? AND kind = 'user'", userID).Pluck("id", &accounts).Error
	if err != nil {
		return err
	}
	for _, account := range accounts {
		for after, more := (cursorOfAccount{}), true; more; {
			if after, more, err = p.eraseSome(ctx, account, after, now); err != nil {
				return err
			}
		}
	}
	return p.db.inTx(ctx, func(tx *gorm.DB) error {
		for _, statement := range []string{
			"UPDATE accounts SET name = '' WHERE user_id = ? AND kind = 'user' AND name <> ''",
			// A key that was finished of late has an answer (I18): it stays, and says nothing.
			"UPDATE idempotency_keys SET response_body = '{}' WHERE user_id = ? AND response_body IS NOT NULL",
			`UPDATE webhook_attempts SET url = '', header = '{}' WHERE delivery_id IN
				(SELECT d.id FROM webhook_deliveries d JOIN webhook_endpoints e ON e.id = d.endpoint_id WHERE e.user_id = ?)`,
			`UPDATE webhook_deliveries SET body = '' WHERE status <> 'pending' AND endpoint_id IN (SELECT id FROM webhook_endpoints WHERE user_id = ?)`,
			`DELETE FROM deposit_origins WHERE transaction_id IN (SELECT t.id FROM transactions t JOIN accounts a ON a.id = t.account_id
				WHERE a.user_id = ? AND t.type = 'deposit')`,
			"DELETE FROM card_failures WHERE user_id = ?",
		} {
			if err := tx.Exec(statement, userID).Error; err != nil {
				return err
			}
		}
		return tx.Exec("UPDATE erasures SET done_at = ? WHERE user_id = ?", momentOf(now), userID).Error
	})
}

// cursorOfAccount is where a walk along the transactions of an account stands.
type cursorOfAccount struct {
	created moment
	id      uuid.UUID
}

// eraseSome erases what the next transactions of the account say of people, and of the events about
// them the bytes that the provider sent. It says how far it came, and whether there may be more.
func (p *Privacy) eraseSome(ctx context.Context, account uuid.UUID, after cursorOfAccount, now time.Time) (last cursorOfAccount, more bool, err error) {
	err = p.db.inTx(ctx, func(tx *gorm.DB) error {
		var rows []struct {
			ID             uuid.UUID
			ExternalTarget nullText
			CreatedAt      moment
		}
		query := tx.Table("transactions").Select("id, external_target, created_at").Where("account_id = ?", account)
		if after.id != uuid.Nil {
			query = query.Where("(created_at, id) > (?, ?)", after.created, after.id)
		}
		if err := query.Order("created_at, id").Limit(privacyPage).Scan(&rows).Error; err != nil || len(rows) == 0 {
			return err
		}
		end := rows[len(rows)-1]
		last, more = cursorOfAccount{end.CreatedAt, end.ID}, len(rows) == privacyPage
		ids := make([]uuid.UUID, len(rows))
		for i, row := range rows {
			ids[i] = row.ID
			if row.ExternalTarget == "" {
				continue
			}
			masked, err := p.masked(row.ID, string(row.ExternalTarget))
			if err != nil {
				return err
			}
			if err := tx.Exec("UPDATE transactions SET external_target = ? WHERE id = ?", masked, row.ID).Error; err != nil {
				return err
			}
		}
		err := tx.Exec("UPDATE transactions SET metadata = '{}', money_source = '' WHERE id IN ? AND (metadata <> '{}' OR money_source <> '')", ids).Error
		if err != nil {
			return err
		}
		var events []inboxRow
		if err := tx.Where("transaction_id IN ? AND raw_erased_at IS NULL AND "+unneeded, ids).Find(&events).Error; err != nil {
			return err
		}
		_, err = p.eraseRaw(tx, events, momentOf(now))
		return err
	})
	return last, more, err
}

// masked is the target as it is shown, sealed: the last four letters of what it says. One that no
// key opens is gone already.
func (p *Privacy) masked(id uuid.UUID, text string) (string, error) {
	plain, err := p.db.unseal(text, aboutTarget(id))
	if err != nil {
		return "{}", nil //nolint:nilerr // it is to be erased, and cannot be read any more
	}
	var row transactionRow
	row.ExternalTarget = nullText(plain)
	target, err := row.target()
	if err != nil {
		return "", err
	}
	masked, err := encodeJSON(targetJSON(target.Masked()))
	if err != nil {
		return "", err
	}
	return p.db.seal(masked, aboutTarget(id))
}

// unneeded are the events that are worked off for good, and that no open review is about.
const unneeded = `status IN ('processed', 'ignored', 'quarantined', 'discarded') AND NOT EXISTS
	(SELECT 1 FROM reviews WHERE reviews.inbox_id = inbox.id AND reviews.status = 'open')`

// EraseRaw erases the bytes that providers sent, of events that were worked off before the time,
// and of dead letters that were settled before it. It returns how many. What was read from them
// stays. It walks through all events, in batches of their own transactions, because an index by
// time would cost every event.
func (p *Privacy) EraseRaw(ctx context.Context, before, now time.Time) (int, error) {
	erased := 0
	for after := uuid.Nil; ; {
		var ids []uuid.UUID
		err := p.db.Reader().WithContext(ctx).Table("inbox").Where("id > ?", after).Order("id").Limit(purgeBatch).Pluck("id", &ids).Error
		if err != nil {
			return erased, toErrs("erase payloads", err)
		}
		if len(ids) == 0 {
			break
		}
		last := ids[len(ids)-1]
		err = p.db.inTx(ctx, func(tx *gorm.DB) error {
			var events []inboxRow
			err := tx.Where("id > ? AND id <= ? AND raw_erased_at IS NULL AND processed_at < ? AND "+unneeded,
				after, last, momentOf(before)).Order("id").Find(&events).Error
			if err != nil {
				return err
			}
			done, err := p.eraseRaw(tx, events, momentOf(now))
			erased += done
			return err
		})
		if err != nil {
			return erased, toErrs("erase payloads", err)
		}
		after = last
	}
	letters := p.db.Writer().WithContext(ctx).Exec(`UPDATE dead_letters SET payload = '' WHERE status <> 'open' AND next_attempt_at IS NULL
		AND settled_at < ? AND payload <> ''`, momentOf(before))
	return erased + int(letters.RowsAffected), toErrs("erase payloads", letters.Error)
}

// eraseRaw takes the bytes out of the events, and seals what is left. What no key opens is left.
func (p *Privacy) eraseRaw(tx *gorm.DB, events []inboxRow, at moment) (erased int, err error) {
	for _, row := range events {
		record, err := p.db.recordOf(row)
		if err != nil {
			continue
		}
		record.Event.Raw = nil
		bare, err := inboxToRow(record)
		if err == nil {
			bare.Payload, err = p.db.seal(bare.Payload, aboutEvent(row.ID))
		}
		if err != nil {
			return erased, err
		}
		done := tx.Exec("UPDATE inbox SET payload = ?, raw_erased_at = ? WHERE id = ? AND fence = ?", bare.Payload, at, row.ID, row.Fence)
		if done.Error != nil {
			return erased, done.Error
		}
		erased += int(done.RowsAffected)
	}
	return erased, nil
}
