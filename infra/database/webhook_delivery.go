package database

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"florin/domain/account"
	"florin/domain/errs"
	"florin/domain/notification"
)

// insertBatch bounds the rows of one insert: each has a parameter per column.
const insertBatch = 200

// AnyEndpoint implements notification.Recorder.
func (w *Webhooks) AnyEndpoint(ctx context.Context) (bool, error) {
	var any []int
	err := w.db.Reader().WithContext(ctx).Raw("SELECT 1 FROM webhook_endpoints WHERE status = 'enabled' LIMIT 1").Scan(&any).Error
	return len(any) > 0, toErrs("look for webhook endpoints", err)
}

// EnabledEndpoints implements notification.Recorder.
func (w *Webhooks) EnabledEndpoints(ctx context.Context, users []uuid.UUID) ([]notification.Endpoint, error) {
	var rows []endpointRow
	err := w.db.Reader().WithContext(ctx).Where("user_id IN ? AND status = 'enabled'", users).Order("id").Find(&rows).Error
	if err != nil {
		return nil, toErrs("find enabled webhook endpoints", err)
	}
	return convertAll(rows, endpointRow.toEndpoint)
}

// AddDeliveries implements notification.Recorder.
func (w *Webhooks) AddDeliveries(ctx context.Context, deliveries []notification.Delivery, now time.Time) error {
	ids := map[uuid.UUID]bool{}
	var concerned []uuid.UUID
	for _, d := range deliveries {
		if !ids[d.EndpointID] {
			ids[d.EndpointID] = true
			concerned = append(concerned, d.EndpointID)
		}
	}
	err := w.db.inTx(ctx, func(tx *gorm.DB) error {
		var endpoints []endpointRow
		// The cursor behind the events is committed later, and so is lost with the deliveries or not at all.
		err := tx.Clauses(clause.Locking{Strength: "NO KEY UPDATE"}).Where("id IN ? AND status = 'enabled'"+w.db.unhurried(), concerned).
			Order("id").Find(&endpoints).Error
		if err != nil {
			return err
		}
		enabled := map[uuid.UUID]bool{}
		for _, e := range endpoints {
			enabled[e.ID] = true
		}
		var rows []deliveryRow
		for _, d := range deliveries {
			if enabled[d.EndpointID] {
				rows = append(rows, deliveryToRow(d))
			}
		}
		if len(rows) == 0 {
			return nil
		}
		once := clause.OnConflict{Columns: []clause.Column{{Name: "endpoint_id"}, {Name: "event_id"}}, DoNothing: true}
		if err := tx.Clauses(once).CreateInBatches(&rows, insertBatch).Error; err != nil {
			return err
		}
		for _, e := range endpoints {
			if err := wakeEndpoint(tx, e, momentOf(now)); err != nil {
				return err
			}
		}
		return nil
	})
	return toErrs("add webhook deliveries", err)
}

// wakeEndpoint makes a locked endpoint due at the time, unless it rests until later, is due before, or is a worker's: that one
// finds what is new before it gives the endpoint back.
func wakeEndpoint(tx *gorm.DB, e endpointRow, at moment) error {
	if e.ResumeAt.at.After(at.at) {
		at = e.ResumeAt
	}
	if e.Tries > 0 || !e.NextAttemptAt.at.IsZero() && !e.NextAttemptAt.at.After(at.at) {
		return nil
	}
	return tx.Exec("UPDATE webhook_endpoints SET next_attempt_at = ? WHERE id = ?", at, e.ID).Error
}

// FindDeliveries implements notification.Endpoints.
func (w *Webhooks) FindDeliveries(ctx context.Context, endpointID uuid.UUID, page account.Page) ([]notification.Delivery, error) {
	reader := w.db.Reader().WithContext(ctx)
	var rows []deliveryRow
	if err := paged(reader.Where("endpoint_id = ?", endpointID), page).Find(&rows).Error; err != nil {
		return nil, toErrs("find webhook deliveries", err)
	}
	deliveries, err := withAttempts(reader, rows)
	return deliveries, toErrs("find webhook attempts", err)
}

// withAttempts are the deliveries with all that was tried, oldest first.
func withAttempts(reader *gorm.DB, rows []deliveryRow) ([]notification.Delivery, error) {
	deliveries := make([]notification.Delivery, len(rows))
	ids := make([]uuid.UUID, len(rows))
	at := map[uuid.UUID]int{}
	for i, row := range rows {
		deliveries[i], ids[i], at[row.ID] = row.toDelivery(), row.ID, i
	}
	var attempts []attemptRow
	if err := reader.Where("delivery_id IN ?", ids).Order("delivery_id, number").Find(&attempts).Error; err != nil {
		return nil, err
	}
	for _, row := range attempts {
		attempt, err := row.toAttempt()
		if err != nil {
			return nil, err
		}
		d := &deliveries[at[row.DeliveryID]]
		d.Attempts = append(d.Attempts, attempt)
	}
	return deliveries, nil
}

// Resend implements notification.Endpoints.
func (w *Webhooks) Resend(ctx context.Context, endpointID, deliveryID uuid.UUID, at time.Time) (notification.Delivery, error) {
	var reopened []notification.Delivery
	err := w.db.inTx(ctx, func(tx *gorm.DB) error {
		if err := reopenDelivery(tx, endpointID, deliveryID, momentOf(at)); err != nil {
			return err
		}
		settled := tx.Exec(`UPDATE dead_letters SET status = 'redriven', settled_at = ?
			WHERE source = 'delivery' AND source_id = ? AND status = 'open'`, momentOf(at), deliveryID)
		if settled.Error != nil {
			return settled.Error
		}
		var row deliveryRow
		err := tx.Where("id = ?", deliveryID).Take(&row).Error
		if err != nil {
			return err
		}
		reopened, err = withAttempts(tx, []deliveryRow{row})
		return err
	})
	if err != nil {
		return notification.Delivery{}, toErrs("resend webhook", err)
	}
	return reopened[0], nil
}

// redriveDelivery is how a dead letter's delivery is taken up again.
func redriveDelivery(tx *gorm.DB, id uuid.UUID, now time.Time) error {
	var row deliveryRow
	err := tx.Where("id = ? AND status = ?", id, string(notification.DeliveryDead)).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return errs.New(errs.Conflict, "not_dead", "What this dead letter is about is not dead any more.")
	}
	if err != nil {
		return err
	}
	return reopenDelivery(tx, row.EndpointID, id, momentOf(now))
}

// reopenDelivery makes a delivery of the endpoint due now, with the whole schedule before it, and wakes the endpoint even from
// a rest: somebody wants to see it go. errs.NotFound; errs.Conflict "endpoint_disabled".
func reopenDelivery(tx *gorm.DB, endpointID, deliveryID uuid.UUID, now moment) error {
	var endpoint endpointRow
	err := tx.Clauses(clause.Locking{Strength: "NO KEY UPDATE"}).Where("id = ?", endpointID).Take(&endpoint).Error
	if err != nil {
		return err
	}
	reopened := tx.Exec(`UPDATE webhook_deliveries SET status = 'pending', since = ?, tries = 0, next_attempt_at = ?, finished_at = NULL
		WHERE id = ? AND endpoint_id = ?`, now, now, deliveryID, endpointID)
	switch {
	case reopened.Error != nil:
		return reopened.Error
	case reopened.RowsAffected == 0:
		return errs.Missing("Delivery")
	case endpoint.Status != string(notification.EndpointEnabled):
		return errs.New(errs.Conflict, "endpoint_disabled", "The endpoint is disabled; enable it first.")
	}
	if err := tx.Exec("UPDATE webhook_endpoints SET failures = 0, resume_at = NULL WHERE id = ?", endpointID).Error; err != nil {
		return err
	}
	endpoint.ResumeAt = moment{}
	return wakeEndpoint(tx, endpoint, now)
}

// purgeDeliveries bounds the deliveries that one transaction of PurgeDeliveries removes.
const purgeDeliveries = 500

// PurgeDeliveries removes the deliveries whose schedule began before the time, with their attempts, and returns how many: they
// have ended, unless their endpoint is disabled. It blocks for as long as there is something to remove, in transactions of their own; errs.Unavailable where the database is down, with the
// number removed so far.
func (w *Webhooks) PurgeDeliveries(ctx context.Context, before time.Time) (int, error) {
	purged := 0
	for {
		var ids []uuid.UUID
		err := w.db.inTx(ctx, func(tx *gorm.DB) error {
			err := tx.Model(&deliveryRow{}).Clauses(claimed).Where("since < ?", momentOf(before)).
				Limit(purgeDeliveries).Pluck("id", &ids).Error
			if err != nil || len(ids) == 0 {
				return err
			}
			if err := tx.Exec("DELETE FROM webhook_attempts WHERE delivery_id IN ?", ids).Error; err != nil {
				return err
			}
			return tx.Exec("DELETE FROM webhook_deliveries WHERE id IN ?", ids).Error
		})
		if err != nil {
			return purged, toErrs("purge webhook deliveries", err)
		}
		purged += len(ids)
		if len(ids) < purgeDeliveries {
			return purged, nil
		}
		if err := ctx.Err(); err != nil {
			return purged, fmt.Errorf("purge webhook deliveries: %w", err)
		}
	}
}

// Waiting is how many deliveries to enabled endpoints wait, and since when the oldest of them was due; a zero time where none is
// due.
func (w *Webhooks) Waiting(ctx context.Context, now time.Time) (deliveries int64, oldest time.Time, err error) {
	var row struct {
		Deliveries int64
		Oldest     moment
	}
	err = w.db.Reader().WithContext(ctx).Raw(`SELECT COUNT(*) AS deliveries, MIN(CASE WHEN d.next_attempt_at <= ? THEN d.next_attempt_at END) AS oldest
		FROM webhook_deliveries d JOIN webhook_endpoints e ON e.id = d.endpoint_id AND e.status = 'enabled'
		WHERE d.next_attempt_at IS NOT NULL`, momentOf(now)).Scan(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		err = nil
	}
	return row.Deliveries, row.Oldest.at, toErrs("count waiting webhooks", err)
}
