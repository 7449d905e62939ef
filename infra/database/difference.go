package database

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"florin/domain/account"
	"florin/domain/user"
)

// runRow is a row of reconciliation_runs.
type runRow struct {
	ID          uuid.UUID `gorm:"column:id;primaryKey"`
	Provider    string
	Started     moment `gorm:"column:started_at"`
	Ended       moment `gorm:"column:ended_at"`
	Matched     int64
	UnderWay    int64 `gorm:"column:under_way"`
	Differences int64
	Found       int64
	Closed      int64
	CoversFrom  moment
	CoversTo    moment
	ListUntil   moment
}

func (runRow) TableName() string { return "reconciliation_runs" }

func runToRow(r account.ReconciliationRun) runRow {
	return runRow{ID: r.ID, Provider: r.Provider, Started: momentOf(r.StartedAt), Ended: momentOf(r.EndedAt), Matched: r.Matched,
		UnderWay: r.UnderWay, Differences: r.Differences, Found: r.Found, Closed: r.Closed,
		CoversFrom: momentOf(r.CoversFrom), CoversTo: momentOf(r.CoversTo),
		ListUntil: momentOf(r.ListUntil)}
}

func (r runRow) toRun() (account.ReconciliationRun, error) {
	return account.ReconciliationRun{ID: r.ID, Provider: r.Provider, StartedAt: r.Started.at, EndedAt: r.Ended.at, Matched: r.Matched,
		UnderWay: r.UnderWay, Differences: r.Differences, Found: r.Found, Closed: r.Closed,
		CoversFrom: r.CoversFrom.at, CoversTo: r.CoversTo.at, ListUntil: r.ListUntil.at}, nil
}

// differenceRow is a row of reconciliation_differences.
type differenceRow struct {
	ID       uuid.UUID `gorm:"column:id;primaryKey"`
	Provider string
	Effect   string
	Ref      string
	Currency string
	Ours     sql.NullInt64
	Theirs   sql.NullInt64
	RunID    uuid.UUID `gorm:"column:run_id"`
	ReviewID uuid.UUID `gorm:"column:review_id"`
	Created  moment    `gorm:"column:created_at"`
	Seen     moment    `gorm:"column:seen_at"`
	Closed   moment    `gorm:"column:closed_at"`
}

func (differenceRow) TableName() string { return "reconciliation_differences" }

func (r differenceRow) key() account.MovementKey {
	return account.MovementKey{Effect: account.MovementEffect(r.Effect), Ref: r.Ref, Currency: r.Currency}
}

func (r differenceRow) toDifference() (account.Difference, error) {
	d := account.Difference{ID: r.ID, Provider: r.Provider, MovementKey: r.key(), RunID: r.RunID, ReviewID: r.ReviewID,
		CreatedAt: r.Created.at, SeenAt: r.Seen.at, ClosedAt: r.Closed.at}
	if r.Ours.Valid {
		d.Ours = &r.Ours.Int64
	}
	if r.Theirs.Valid {
		d.Theirs = &r.Theirs.Int64
	}
	return d, nil
}

func nullableInt(n *int64) sql.NullInt64 {
	if n == nil {
		return sql.NullInt64{}
	}
	return sql.NullInt64{Int64: *n, Valid: true}
}

// SaveRun implements account.Reconciliations.
func (r *Reconciliations) SaveRun(ctx context.Context, run account.ReconciliationRun, seen []account.Difference) (account.ReconciliationRun, []account.Difference, error) {
	var saved account.ReconciliationRun
	var found []account.Difference
	err := r.db.inTx(ctx, func(tx *gorm.DB) error {
		s := saving{tx: tx, run: run, now: momentOf(r.now()).at}
		err := s.all(seen)
		saved, found = s.run, s.found
		return err
	})
	if err != nil {
		return account.ReconciliationRun{}, nil, toErrs("save reconciliation", err)
	}
	return saved, found, nil
}

// openedAtOnce is how many new differences a run opens: a list of another bank differs in all, and one commit must not hold up
// those that move money. The next runs open the rest.
const openedAtOnce = 1000

// saving is a run being stored.
type saving struct {
	tx    *gorm.DB
	run   account.ReconciliationRun
	now   time.Time
	found []account.Difference
}

func (s *saving) all(seen []account.Difference) error {
	var rows []differenceRow
	if err := s.tx.Where("provider = ? AND closed_at IS NULL", s.run.Provider).Order("id").Find(&rows).Error; err != nil {
		return err
	}
	open := make(map[account.MovementKey]differenceRow, len(rows))
	for _, row := range rows {
		open[row.key()] = row
	}
	var fresh []account.Difference
	for _, d := range seen {
		row, known := open[d.MovementKey]
		delete(open, d.MovementKey)
		switch {
		case known:
			s.run.Differences++
			err := s.tx.Exec("UPDATE reconciliation_differences SET ours = ?, theirs = ?, seen_at = ? WHERE id = ? AND closed_at IS NULL",
				nullableInt(d.Ours), nullableInt(d.Theirs), s.now, row.ID).Error
			if err != nil {
				return err
			}
		case d.UnderWay:
			s.run.UnderWay++
		default:
			s.run.Differences++
			if len(fresh) < openedAtOnce {
				fresh = append(fresh, d)
			}
		}
	}
	s.run.Found, s.run.Closed = int64(len(fresh)), int64(len(open))
	row := runToRow(s.run)
	if err := s.tx.Create(&row).Error; err != nil {
		return err
	}
	for _, d := range fresh {
		if err := s.open(d); err != nil {
			return err
		}
	}
	for _, row := range rows {
		if _, gone := open[row.key()]; !gone {
			continue
		}
		if err := s.close(row); err != nil {
			return err
		}
	}
	return nil
}

// open stores a difference that is new, with its review.
func (s *saving) open(d account.Difference) error {
	ids := [2]uuid.UUID{}
	for i := range ids {
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		ids[i] = id
	}
	d.ID, d.ReviewID, d.RunID, d.CreatedAt, d.SeenAt = ids[0], ids[1], s.run.ID, s.now, s.now
	review := reviewToRow(account.Review{ID: d.ReviewID, Kind: account.ReviewDrift, Detail: detailOf(d), CreatedAt: s.now})
	if err := s.tx.Create(&review).Error; err != nil {
		return err
	}
	row := differenceRow{ID: d.ID, Provider: d.Provider, Effect: string(d.Effect), Ref: d.Ref, Currency: d.Currency, Ours: nullableInt(d.Ours),
		Theirs: nullableInt(d.Theirs), RunID: d.RunID, ReviewID: d.ReviewID, Created: momentOf(d.CreatedAt), Seen: momentOf(d.SeenAt)}
	if err := s.tx.Create(&row).Error; err != nil {
		return err
	}
	s.found = append(s.found, d)
	return nil
}

// close ends a difference that is gone, and its review unless somebody has settled it.
func (s *saving) close(row differenceRow) error {
	err := s.tx.Exec("UPDATE reconciliation_differences SET closed_at = ? WHERE id = ? AND closed_at IS NULL", s.now, row.ID).Error
	if err != nil {
		return err
	}
	const why = "The two sides agree again."
	settled := s.tx.Exec(`UPDATE reviews SET status = 'settled', settled_at = ?, outcome = ?, settled_by = 'system', settled_why = ?
		WHERE id = ? AND status = 'open'`, s.now, string(account.OutcomeDisappeared), why, row.ReviewID)
	if settled.Error != nil || settled.RowsAffected == 0 {
		return settled.Error
	}
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	return appendAudit(s.tx, user.Audit{ID: id, Actor: "system", Action: "review.settled", Subject: row.ReviewID.String(), Reason: why,
		Detail: string(account.OutcomeDisappeared), At: s.now})
}

// detailOf is a difference in words.
func detailOf(d account.Difference) string {
	side := func(n *int64) string {
		if n == nil {
			return "nothing"
		}
		return fmt.Sprintf("%d", *n)
	}
	return fmt.Sprintf("%s %s of %s: %s here, %s there, in minor units of %s.", d.Effect, d.Ref, d.Provider, side(d.Ours), side(d.Theirs), d.Currency)
}

// FindRuns implements account.Reconciliations.
func (r *Reconciliations) FindRuns(ctx context.Context, provider string, limit int) ([]account.ReconciliationRun, error) {
	query := r.reader(ctx).Order("id DESC").Limit(limit)
	if provider != "" {
		query = r.reader(ctx).Where("provider = ?", provider).Order("started_at DESC").Limit(limit)
	}
	var rows []runRow
	if err := query.Find(&rows).Error; err != nil {
		return nil, toErrs("find reconciliations", err)
	}
	return convertAll(rows, runRow.toRun)
}

// FindDifferences implements account.Reconciliations.
func (r *Reconciliations) FindDifferences(ctx context.Context, page account.Page) ([]account.Difference, error) {
	var rows []differenceRow
	if err := paged(r.reader(ctx).Where("closed_at IS NULL"), page).Find(&rows).Error; err != nil {
		return nil, toErrs("find differences", err)
	}
	return convertAll(rows, differenceRow.toDifference)
}

// CountDifferences implements account.Reconciliations.
func (r *Reconciliations) CountDifferences(ctx context.Context) (map[string]int64, error) {
	var rows []struct {
		Provider string
		Open     int64
	}
	err := r.reader(ctx).Raw("SELECT provider, COUNT(*) AS open FROM reconciliation_differences WHERE closed_at IS NULL GROUP BY provider").Scan(&rows).Error
	counts := make(map[string]int64, len(rows))
	for _, row := range rows {
		counts[row.Provider] = row.Open
	}
	return counts, toErrs("count differences", err)
}
