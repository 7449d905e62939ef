package database

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"florin/domain/account"
	"florin/domain/integrity"
)

// Integrity implements integrity.Proofs.
type Integrity struct {
	db  *DB
	now account.Clock
}

var _ integrity.Proofs = (*Integrity)(nil)

// NewIntegrity returns the proof of an open, migrated database.
func NewIntegrity(db *DB, now account.Clock) *Integrity { return &Integrity{db: db, now: now} }

// What a finding was found by. What the log has shown is looked at again with every round; what only a look at everything can show
// is cleared by the next such look.
const (
	foundInLog  = "log"
	foundInFull = "full"
)

// The open findings that a round looks at again, and that State shows, at the most.
const (
	recheckLimit = 200
	brokenLimit  = 100
)

// moneyRules are the invariants that say whether the money on an account can be trusted. What breaks one freezes the accounts
// that it is about; the others are about work and order alone.
var moneyRules = []string{"I2", "I3", "I4", "I5", "I7", "I8", "I9", "I12", "I13", "I15", "I16", "I17", "I23"}

type findingRow struct {
	ID            uuid.UUID `gorm:"column:id;primaryKey"`
	Invariant     string
	Subject       string
	Source        string
	Detail        string
	AccountID     nullID `gorm:"column:account_id"`
	TransactionID nullID `gorm:"column:transaction_id"`
	Accounts      string
	Found         moment `gorm:"column:found_at"`
	Handled       moment `gorm:"column:handled_at"`
	Cleared       moment `gorm:"column:cleared_at"`
}

func (findingRow) TableName() string { return "integrity_findings" }

// key names what at most one open finding may have.
func (r findingRow) key() [2]string { return [2]string{r.Invariant, r.Subject} }

func (r findingRow) toFinding() integrity.Finding {
	f := integrity.Finding{ID: r.ID, Invariant: r.Invariant, Subject: r.Subject, Detail: r.Detail, TransactionID: uuid.UUID(r.TransactionID), FoundAt: r.Found.at}
	for id := range strings.SplitSeq(r.Accounts, ",") {
		if parsed, err := uuid.Parse(id); err == nil {
			f.Accounts = append(f.Accounts, parsed)
		}
	}
	return f
}

// State implements integrity.Proofs.
func (i *Integrity) State(ctx context.Context) (s integrity.State, err error) {
	err = i.db.snapshot(ctx, func(tx *gorm.DB) error {
		var row struct {
			Position, Head, FullTookMs int64
			ProvedAt, FullAt           moment
		}
		if err := tx.Raw(`SELECT position, (SELECT position FROM log_head WHERE id = 1) AS head, full_took_ms, proved_at, full_at
			FROM integrity WHERE id = 1`).Scan(&row).Error; err != nil {
			return err
		}
		s = integrity.State{Position: row.Position, Head: row.Head, ProvedAt: row.ProvedAt.at, FullAt: row.FullAt.at,
			FullTook: time.Duration(row.FullTookMs) * time.Millisecond}
		if err := tx.Model(&findingRow{}).Where("cleared_at IS NULL").Count(&s.BrokenCount).Error; err != nil {
			return err
		}
		open, err := openFindings(tx, "cleared_at IS NULL", brokenLimit)
		for _, f := range open {
			s.Broken = append(s.Broken, f.toFinding())
		}
		return err
	})
	return s, toErrs("read the state of the proof", err)
}

func openFindings(tx *gorm.DB, where string, limit int) (open []findingRow, err error) {
	err = tx.Where(where).Order("id").Limit(limit).Find(&open).Error
	return open, err
}

// Pending implements integrity.Proofs.
func (i *Integrity) Pending(ctx context.Context) (pending bool, err error) {
	err = i.db.Reader().WithContext(ctx).Raw(`SELECT (SELECT position FROM log_head WHERE id = 1) > (SELECT position FROM integrity WHERE id = 1)
		OR EXISTS (SELECT 1 FROM integrity_findings WHERE cleared_at IS NULL AND (source = 'log' OR handled_at IS NULL))`).Scan(&pending).Error
	return pending, toErrs("look for what is not proved", err)
}

// ProveLog implements integrity.Proofs.
func (i *Integrity) ProveLog(ctx context.Context, fence int64, limit int) (integrity.Round, error) {
	var next int64
	var touched, accounts []uuid.UUID
	var again, found []findingRow
	events := 0
	err := i.db.snapshot(ctx, func(tx *gorm.DB) (err error) {
		if next, touched, events, err = i.touched(tx, limit); err != nil {
			return err
		}
		if again, err = openFindings(tx, "cleared_at IS NULL AND source = 'log'", recheckLimit); err != nil || len(again)+len(touched) == 0 {
			return err
		}
		for _, f := range again {
			touched, accounts = append(touched, uuid.UUID(f.TransactionID)), append(accounts, uuid.UUID(f.AccountID))
		}
		p, err := prove(tx, touched, accounts)
		if err != nil {
			return err
		}
		found, err = i.findings(foundInLog, p.broken, p.accountsOf)
		return err
	})
	if err != nil {
		return integrity.Round{}, toErrs("prove the log", err)
	}
	unhandled, err := i.keep(ctx, found, again, func(tx *gorm.DB) error {
		moved := tx.Exec("UPDATE integrity SET position = ?, fence = ?, proved_at = ? WHERE id = 1 AND fence <= ?", next, fence, momentOf(i.now()), fence)
		if moved.Error == nil && moved.RowsAffected == 0 {
			return integrity.ErrFenced
		}
		return moved.Error
	})
	return integrity.Round{Events: events, Unhandled: unhandled}, toErrs("keep the proof of the log", err)
}

// touched are the transactions that the next events are about, and the position of the last of these events.
func (i *Integrity) touched(tx *gorm.DB, limit int) (next int64, transactions []uuid.UUID, events int, err error) {
	if err := tx.Raw("SELECT position FROM integrity WHERE id = 1").Scan(&next).Error; err != nil {
		return 0, nil, 0, err
	}
	var rows []struct {
		Position      int64
		TransactionID uuid.UUID
	}
	err = tx.Raw(`SELECT b.position + e.n - 1 AS position, e.transaction_id FROM event_batches b JOIN payment_events e ON e.batch_id = b.id
		WHERE b.position >= COALESCE((SELECT MAX(position) FROM event_batches WHERE position <= ?), 1) AND b.position + e.n - 1 > ?
		ORDER BY b.position, e.n LIMIT ?`, next, next, limit).Scan(&rows).Error
	for _, row := range rows {
		next = row.Position
		transactions = append(transactions, row.TransactionID)
	}
	return next, sorted(transactions), len(rows), err
}

// ProveAll implements integrity.Proofs.
func (i *Integrity) ProveAll(ctx context.Context) (integrity.Round, error) {
	began := i.now()
	var before []findingRow
	if err := i.db.Reader().WithContext(ctx).Where("cleared_at IS NULL").Find(&before).Error; err != nil {
		return integrity.Round{}, toErrs("read findings", err)
	}
	checks, err := Verify(ctx, i.db, began, nil)
	if err != nil {
		return integrity.Round{}, err
	}
	var broken []brokenRule
	var transactions []uuid.UUID
	cut := map[string]bool{}
	for _, c := range Broken(checks) {
		cut[c.ID] = len(c.Violations) >= maxViolations
		for _, v := range c.Violations {
			broken = append(broken, brokenRule{c.ID, v})
			transactions = append(transactions, v.TransactionID)
		}
	}
	about, err := readFacts(i.db.Reader().WithContext(ctx), transactions, nil)
	if err != nil {
		return integrity.Round{}, toErrs("read what is broken", err)
	}
	found, err := i.findings(foundInFull, broken, about.accountsOf)
	if err != nil {
		return integrity.Round{}, err
	}
	// Where not every violation is listed, one that is not may still be there.
	before = slices.DeleteFunc(before, func(f findingRow) bool { return cut[f.Invariant] })
	unhandled, err := i.keep(ctx, found, before, func(tx *gorm.DB) error {
		ended := i.now()
		return tx.Exec("UPDATE integrity SET full_at = ?, full_took_ms = ? WHERE id = 1", momentOf(ended), ended.Sub(began).Milliseconds()).Error
	})
	return integrity.Round{Unhandled: unhandled}, toErrs("keep the proof of all books", err)
}

// findings makes one finding for each invariant and subject.
func (i *Integrity) findings(source string, broken []brokenRule, accountsOf func(transactionID uuid.UUID) []uuid.UUID) ([]findingRow, error) {
	rows := make([]findingRow, 0, len(broken))
	for _, b := range broken {
		id, err := uuid.NewV7()
		if err != nil {
			return nil, err
		}
		row := findingRow{ID: id, Invariant: b.id, Source: source, Detail: b.Text, AccountID: nullID(b.AccountID), TransactionID: nullID(b.TransactionID), Found: momentOf(i.now())}
		accounts := []uuid.UUID{b.AccountID}
		switch {
		case b.AccountID != uuid.Nil:
			row.Subject = "account " + b.AccountID.String()
		case b.TransactionID != uuid.Nil:
			row.Subject = "transaction " + b.TransactionID.String()
			accounts = accountsOf(b.TransactionID)
		default:
			row.Subject, _, _ = strings.Cut(b.Text, " ")
		}
		if slices.Contains(moneyRules, b.id) {
			row.Accounts = joined(accounts)
		}
		if !slices.ContainsFunc(rows, func(r findingRow) bool { return r.key() == row.key() }) {
			rows = append(rows, row)
		}
	}
	return rows, nil
}

func joined(ids []uuid.UUID) string {
	texts := make([]string, 0, len(ids))
	for _, id := range sorted(ids) {
		texts = append(texts, id.String())
	}
	return strings.Join(texts, ",")
}

// keep stores what was found, each with a review, clears those of before that were not found again, and moves the proof, in one
// commit. It returns the open findings that nobody was told of.
func (i *Integrity) keep(ctx context.Context, found, before []findingRow, move func(tx *gorm.DB) error) (unhandled []integrity.Finding, err error) {
	err = i.db.inTx(ctx, func(tx *gorm.DB) error {
		unhandled = nil
		if err := move(tx); err != nil {
			return err
		}
		for _, f := range found {
			if err := i.add(tx, f); err != nil {
				return err
			}
		}
		for _, f := range before {
			if slices.ContainsFunc(found, func(n findingRow) bool { return n.key() == f.key() }) {
				continue
			}
			if err := tx.Exec("UPDATE integrity_findings SET cleared_at = ? WHERE id = ?", momentOf(i.now()), f.ID).Error; err != nil {
				return err
			}
		}
		open, err := openFindings(tx, "cleared_at IS NULL AND handled_at IS NULL", recheckLimit)
		for _, f := range open {
			unhandled = append(unhandled, f.toFinding())
		}
		return err
	})
	return unhandled, err
}

// add stores a finding with its review, unless one like it is open.
func (i *Integrity) add(tx *gorm.DB, f findingRow) error {
	added := tx.Clauses(clause.OnConflict{DoNothing: true, Columns: []clause.Column{{Name: "invariant"}, {Name: "subject"}},
		TargetWhere: clause.Where{Exprs: []clause.Expression{clause.Expr{SQL: "cleared_at IS NULL"}}}}).Create(&f)
	if added.Error != nil || added.RowsAffected == 0 {
		return added.Error
	}
	review := reviewToRow(account.Review{ID: f.ID, Kind: "integrity", Detail: f.Invariant + ": " + f.Detail, CreatedAt: f.Found.at})
	return tx.Create(&review).Error
}

// Handled implements integrity.Proofs.
func (i *Integrity) Handled(ctx context.Context, findingID uuid.UUID) error {
	err := i.db.Writer().WithContext(ctx).Exec("UPDATE integrity_findings SET handled_at = ? WHERE id = ?", momentOf(i.now()), findingID).Error
	return toErrs("note a finding as handled", err)
}
