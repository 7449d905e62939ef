package database

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"florin/domain/notification"
)

// ClaimEndpoints implements notification.Queue.
func (w *Webhooks) ClaimEndpoints(ctx context.Context, now time.Time, limit int, until func(tries int) time.Time) ([]notification.Claim, error) {
	rows, err := claim(ctx, w.db, "webhook_endpoints", now, limit, func(plan *plan, row *endpointRow) {
		row.NextAttemptAt = plan.add(row.ID, until(row.Tries))
		row.Tries, row.Fence = row.Tries+1, row.Fence+1
	})
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	secrets, err := w.secretsOf(ctx, rows, now)
	if err != nil {
		return nil, err
	}
	return convertAll(rows, func(row endpointRow) (notification.Claim, error) {
		e, err := row.toEndpoint()
		return notification.Claim{Endpoint: e, Secrets: secrets[row.ID], Fence: row.Fence,
			Health: notification.Health{Failures: row.Failures, ResumeAt: row.ResumeAt.at}}, err
	})
}

// secretsOf are the secrets of the endpoints that sign at the time, newest first.
func (w *Webhooks) secretsOf(ctx context.Context, endpoints []endpointRow, now time.Time) (map[uuid.UUID][]notification.SealedSecret, error) {
	ids := make([]uuid.UUID, len(endpoints))
	for i, e := range endpoints {
		ids[i] = e.ID
	}
	var rows []secretRow
	err := w.db.Reader().WithContext(ctx).Where("endpoint_id IN ? AND (expires_at IS NULL OR expires_at > ?)", ids, momentOf(now)).
		Order("id DESC").Find(&rows).Error
	if err != nil {
		return nil, toErrs("read webhook secrets", err)
	}
	byEndpoint := map[uuid.UUID][]notification.SealedSecret{}
	for _, row := range rows {
		byEndpoint[row.EndpointID] = append(byEndpoint[row.EndpointID], row.toSecret())
	}
	return byEndpoint, nil
}

// DueDeliveries implements notification.Queue.
func (w *Webhooks) DueDeliveries(ctx context.Context, c notification.Claim, now time.Time, limit int) ([]notification.Delivery, error) {
	var rows []deliveryRow
	err := w.db.Reader().WithContext(ctx).Where(`endpoint_id = ? AND next_attempt_at <= ? AND EXISTS
		(SELECT 1 FROM webhook_endpoints e WHERE e.id = endpoint_id AND e.status = 'enabled' AND e.fence = ?)`,
		c.Endpoint.ID(), momentOf(now), c.Fence).Order("next_attempt_at, id").Limit(limit).Find(&rows).Error
	if err != nil {
		return nil, toErrs("read due webhooks", err)
	}
	deliveries := make([]notification.Delivery, len(rows))
	for i, row := range rows {
		deliveries[i] = row.toDelivery()
	}
	return deliveries, nil
}

// Record implements notification.Queue.
func (w *Webhooks) Record(ctx context.Context, c notification.Claim, results []notification.Result) error {
	attempts, err := convertAll(results, func(r notification.Result) (attemptRow, error) { return attemptToRow(r.Delivery.ID, r.Attempt) })
	if err != nil || len(results) == 0 {
		return err
	}
	err = w.db.inTx(ctx, func(tx *gorm.DB) error {
		endpoint, err := w.lockClaimed(tx, c)
		if err != nil {
			return err
		}
		if err := w.moveDeliveries(tx, results); err != nil {
			return err
		}
		if err := tx.Create(&attempts).Error; err != nil {
			return err
		}
		if err := addDeadLetters(tx, results); err != nil {
			return err
		}
		return recordHealth(tx, endpoint, results[len(results)-1])
	})
	return toErrs("record webhook attempts", err)
}

// moveDeliveries writes what came of the attempts to deliveries that nobody else has moved, in a statement that the two
// databases do not share: see Log.mark.
func (w *Webhooks) moveDeliveries(tx *gorm.DB, results []notification.Result) error {
	rows := make([][6]any, len(results))
	for i, r := range results {
		d := deliveryToRow(r.Delivery)
		rows[i] = [6]any{d.ID, d.Status, d.Tries, d.Attempted, d.NextAttemptAt.text(), d.Finished.text()}
	}
	list, err := json.Marshal(rows)
	if err != nil {
		return err
	}
	statement := `UPDATE webhook_deliveries SET status = value ->> 1, tries = value ->> 2, attempted = value ->> 3,
			next_attempt_at = value ->> 4, finished_at = value ->> 5 FROM json_each(?)
		WHERE webhook_deliveries.id = value ->> 0 AND webhook_deliveries.status = 'pending' AND webhook_deliveries.attempted = (value ->> 3) - 1`
	if w.db.dialect == Postgres {
		statement = `UPDATE webhook_deliveries SET status = value ->> 1, tries = CAST(value ->> 2 AS integer), attempted = CAST(value ->> 3 AS integer),
				next_attempt_at = CAST(value ->> 4 AS timestamptz), finished_at = CAST(value ->> 5 AS timestamptz) FROM json_array_elements(CAST(? AS json))
			WHERE webhook_deliveries.id = CAST(value ->> 0 AS uuid) AND webhook_deliveries.status = 'pending'
				AND webhook_deliveries.attempted = CAST(value ->> 3 AS integer) - 1`
	}
	moved := tx.Exec(statement, string(list))
	if moved.Error == nil && moved.RowsAffected != int64(len(results)) {
		return notification.ErrLeaseLost
	}
	return moved.Error
}

func addDeadLetters(tx *gorm.DB, results []notification.Result) error {
	var rows []deadLetterRow
	for _, r := range results {
		if r.Dead != nil {
			rows = append(rows, deadLetterToRow(*r.Dead))
		}
	}
	if len(rows) == 0 {
		return nil
	}
	return tx.Create(&rows).Error
}

// recordHealth writes nothing for an endpoint that goes on to answer well, which is most of them.
func recordHealth(tx *gorm.DB, endpoint endpointRow, r notification.Result) error {
	changes := map[string]any{}
	if resume := momentOf(r.Health.ResumeAt); endpoint.Failures != r.Health.Failures || endpoint.ResumeAt != resume {
		changes["failures"], changes["resume_at"] = r.Health.Failures, resume
	}
	if r.Gone && endpoint.Status == string(notification.EndpointEnabled) {
		e, err := endpoint.toEndpoint()
		if err != nil {
			return err
		}
		e.Disable(notification.DisabledGone, r.Attempt.StartedAt.Add(r.Attempt.Took))
		s := e.State()
		changes["status"], changes["disabled_reason"], changes["next_attempt_at"] = string(s.Status), string(s.Reason), nil
		changes["updated_at"] = momentOf(s.UpdatedAt)
	}
	if len(changes) == 0 {
		return nil
	}
	return tx.Model(&endpointRow{}).Where("id = ?", endpoint.ID).Updates(changes).Error
}

// lockClaimed locks the endpoint if it is still the claim's. notification.ErrLeaseLost. What follows in the transaction is
// unhurried: an attempt whose record is lost is made again, as after every crash behind an answer.
func (w *Webhooks) lockClaimed(tx *gorm.DB, c notification.Claim) (endpointRow, error) {
	var rows []endpointRow
	err := tx.Clauses(clause.Locking{Strength: "NO KEY UPDATE"}).Where("id = ? AND fence = ?"+w.db.unhurried(), c.Endpoint.ID(), c.Fence).
		Find(&rows).Error
	if err != nil {
		return endpointRow{}, err
	}
	if len(rows) == 0 {
		return endpointRow{}, notification.ErrLeaseLost
	}
	return rows[0], nil
}

// Release implements notification.Queue.
func (w *Webhooks) Release(ctx context.Context, c notification.Claim, now time.Time) error {
	err := w.db.inTx(ctx, func(tx *gorm.DB) error {
		endpoint, err := w.lockClaimed(tx, c)
		if err != nil || endpoint.Status != string(notification.EndpointEnabled) {
			return err
		}
		next, err := nextDue(tx, endpoint.ID)
		if err != nil {
			return err
		}
		for _, floor := range []moment{momentOf(now), endpoint.ResumeAt} {
			if !next.at.IsZero() && next.at.Before(floor.at) {
				next = floor
			}
		}
		return tx.Exec("UPDATE webhook_endpoints SET tries = 0, next_attempt_at = ? WHERE id = ?", next, endpoint.ID).Error
	})
	return toErrs("give webhook endpoint back", err)
}
