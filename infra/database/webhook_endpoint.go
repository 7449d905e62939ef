package database

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"florin/domain/account"
	"florin/domain/errs"
	"florin/domain/notification"
)

// Webhooks keeps endpoints and deliveries. It implements notification.Endpoints, Recorder and Queue.
//
// Whoever adds work to an endpoint, or takes it off, locks the endpoint's row first and looks at its deliveries then. So none
// is overlooked by a worker that is just giving the endpoint back.
type Webhooks struct{ db *DB }

// NewWebhooks returns the webhooks of an open, migrated database.
func NewWebhooks(db *DB) *Webhooks { return &Webhooks{db: db} }

// liveSecrets is how many secrets of an endpoint sign at once at the most.
const liveSecrets = 3

// CreateEndpoint implements notification.Endpoints.
func (w *Webhooks) CreateEndpoint(ctx context.Context, e notification.Endpoint, secret notification.SealedSecret, key *account.IdempotencyRecord) (before *account.IdempotencyRecord, err error) {
	row, err := endpointToRow(e)
	if err != nil {
		return nil, err
	}
	err = w.db.inTx(ctx, func(tx *gorm.DB) error {
		// Two requests of a user stand in line here, so that together they do not pass the limit.
		if _, err := lockUser(tx, e.UserID()); err != nil {
			return err
		}
		if before, err = useKey(tx, key); err != nil || before != nil {
			return err
		}
		var count int64
		if err := tx.Model(&endpointRow{}).Where("user_id = ? AND status <> 'deleted'", e.UserID()).Count(&count).Error; err != nil {
			return err
		}
		if count >= notification.MaxEndpoints {
			return errs.New(errs.Refused, "too_many_endpoints", "There are 20 endpoints already.")
		}
		if err := tx.Create(&row).Error; err != nil {
			return err
		}
		return tx.Create(new(secretToRow(secret))).Error
	})
	return before, toErrs("create webhook endpoint", err)
}

// useKey stores the record of a request, or returns the one that is there. One that another request is just storing is waited
// for.
func useKey(tx *gorm.DB, key *account.IdempotencyRecord) (before *account.IdempotencyRecord, err error) {
	if key == nil {
		return nil, nil
	}
	row := keyToRow(key)
	stored := tx.Clauses(clause.OnConflict{Columns: []clause.Column{{Name: "key_hash"}}, DoNothing: true}).Create(&row)
	if stored.Error != nil || stored.RowsAffected == 1 {
		return nil, stored.Error
	}
	var there keyRow
	if err := tx.Where("key_hash = ?", key.Hash).Take(&there).Error; err != nil {
		return nil, err
	}
	return there.toRecord(), nil
}

// FindEndpoint implements notification.Endpoints.
func (w *Webhooks) FindEndpoint(ctx context.Context, userID, id uuid.UUID) (notification.Endpoint, error) {
	var row endpointRow
	err := w.db.Reader().WithContext(ctx).Where("id = ? AND user_id = ? AND status <> 'deleted'", id, userID).Take(&row).Error
	if err != nil {
		return notification.Endpoint{}, found("find webhook endpoint", "Webhook endpoint", err)
	}
	return row.toEndpoint()
}

// FindEndpoints implements notification.Endpoints.
func (w *Webhooks) FindEndpoints(ctx context.Context, userID uuid.UUID, page account.Page) ([]notification.Endpoint, error) {
	query := w.db.Reader().WithContext(ctx).Where("user_id = ? AND status <> 'deleted'", userID)
	var rows []endpointRow
	if err := paged(query, page).Find(&rows).Error; err != nil {
		return nil, toErrs("find webhook endpoints", err)
	}
	return convertAll(rows, endpointRow.toEndpoint)
}

// ChangeEndpoint implements notification.Endpoints.
func (w *Webhooks) ChangeEndpoint(ctx context.Context, userID, id uuid.UUID, change func(*notification.Endpoint) error) (after notification.Endpoint, err error) {
	err = w.db.inTx(ctx, func(tx *gorm.DB) error {
		before, err := lockEndpoint(tx, userID, id)
		if err != nil {
			return err
		}
		if after, err = before.toEndpoint(); err != nil {
			return err
		}
		if err := change(&after); err != nil {
			return err
		}
		row, err := endpointToRow(after)
		if err != nil {
			return err
		}
		changes := map[string]any{"url": row.URL, "events": row.Events, "description": row.Description, "status": row.Status,
			"disabled_reason": row.DisabledReason, "updated_at": row.Updated}
		switch {
		case row.Status != string(notification.EndpointEnabled):
			changes["next_attempt_at"] = nil
		case before.Status != row.Status:
			// What was held goes on at once, and what the endpoint was like before it was disabled counts no more.
			next, err := nextDue(tx, id)
			if err != nil {
				return err
			}
			changes["next_attempt_at"], changes["tries"], changes["failures"], changes["resume_at"] = next, 0, 0, nil
		}
		return tx.Model(&endpointRow{}).Where("id = ?", id).Updates(changes).Error
	})
	if err != nil {
		return notification.Endpoint{}, toErrs("change webhook endpoint", err)
	}
	return after, nil
}

// lockEndpoint loads the user's endpoint for the rest of the transaction. errs.NotFound.
func lockEndpoint(tx *gorm.DB, userID, id uuid.UUID) (endpointRow, error) {
	var row endpointRow
	err := tx.Clauses(clause.Locking{Strength: "NO KEY UPDATE"}).Where("id = ? AND user_id = ? AND status <> 'deleted'", id, userID).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return row, errs.Missing("Webhook endpoint")
	}
	return row, err
}

// nextDue is when the first pending delivery of the endpoint is due, zero where none is.
func nextDue(tx *gorm.DB, id uuid.UUID) (moment, error) {
	var row struct {
		Next moment
	}
	err := tx.Raw("SELECT MIN(next_attempt_at) AS next FROM webhook_deliveries WHERE endpoint_id = ? AND next_attempt_at IS NOT NULL", id).Scan(&row).Error
	return row.Next, err
}

// DeleteEndpoint implements notification.Endpoints.
func (w *Webhooks) DeleteEndpoint(ctx context.Context, userID, id uuid.UUID, at time.Time) error {
	err := w.db.inTx(ctx, func(tx *gorm.DB) error {
		if _, err := lockEndpoint(tx, userID, id); err != nil {
			return err
		}
		return endEndpoints(tx, []uuid.UUID{id}, momentOf(at))
	})
	return toErrs("delete webhook endpoint", err)
}

// endEndpoints deletes endpoints that the transaction has locked.
func endEndpoints(tx *gorm.DB, ids []uuid.UUID, at moment) error {
	// The fence rises, so that what a worker has still under way is recorded nowhere.
	err := tx.Exec(`UPDATE webhook_endpoints SET status = 'deleted', disabled_reason = '', next_attempt_at = NULL, fence = fence + 1,
		url = '', description = '', updated_at = ? WHERE id IN ?`, at, ids).Error
	if err != nil {
		return err
	}
	if err := tx.Exec("DELETE FROM webhook_secrets WHERE endpoint_id IN ?", ids).Error; err != nil {
		return err
	}
	return tx.Exec(`UPDATE webhook_deliveries SET status = 'canceled', next_attempt_at = NULL, finished_at = ?
		WHERE endpoint_id IN ? AND next_attempt_at IS NOT NULL`, at, ids).Error
}

// endEndpointsOf deletes the endpoints of a user who is leaving.
func endEndpointsOf(tx *gorm.DB, userID uuid.UUID, at time.Time) error {
	var ids []uuid.UUID
	err := tx.Model(&endpointRow{}).Clauses(clause.Locking{Strength: "NO KEY UPDATE"}).
		Where("user_id = ? AND status <> 'deleted'", userID).Order("id").Pluck("id", &ids).Error
	if err != nil || len(ids) == 0 {
		return err
	}
	return endEndpoints(tx, ids, momentOf(at))
}

// AddSecret implements notification.Endpoints.
func (w *Webhooks) AddSecret(ctx context.Context, userID uuid.UUID, secret notification.SealedSecret, oldUntil time.Time, key *account.IdempotencyRecord) (
	e notification.Endpoint, before *account.IdempotencyRecord, err error) {
	err = w.db.inTx(ctx, func(tx *gorm.DB) error {
		row, err := lockEndpoint(tx, userID, secret.EndpointID)
		if err != nil {
			return err
		}
		if e, err = row.toEndpoint(); err != nil {
			return err
		}
		if before, err = useKey(tx, key); err != nil || before != nil {
			return err
		}
		until := momentOf(oldUntil)
		err = tx.Exec("UPDATE webhook_secrets SET expires_at = ? WHERE endpoint_id = ? AND (expires_at IS NULL OR expires_at > ?)",
			until, secret.EndpointID, until).Error
		if err != nil {
			return err
		}
		if err := tx.Create(new(secretToRow(secret))).Error; err != nil {
			return err
		}
		return tx.Exec(`DELETE FROM webhook_secrets WHERE endpoint_id = ? AND (expires_at <= ? OR id NOT IN
			(SELECT id FROM webhook_secrets WHERE endpoint_id = ? ORDER BY id DESC LIMIT ?))`,
			secret.EndpointID, momentOf(secret.CreatedAt), secret.EndpointID, liveSecrets).Error
	})
	return e, before, toErrs("add webhook secret", err)
}

// secretsPage bounds what ResealSecrets reads at once.
const secretsPage = 500

// ResealSecrets gives each secret to reseal and stores what it returns; "" leaves it as it is. A secret that another server has
// resealed meanwhile is left alone. It returns how many were stored.
func (w *Webhooks) ResealSecrets(ctx context.Context, reseal func(notification.SealedSecret) (string, error)) (resealed int, err error) {
	for last := uuid.Nil; ; {
		var rows []secretRow
		if err := w.db.Reader().WithContext(ctx).Where("id > ?", last).Order("id").Limit(secretsPage).Find(&rows).Error; err != nil {
			return resealed, toErrs("read webhook secrets", err)
		}
		for _, row := range rows {
			last = row.ID
			fresh, err := reseal(row.toSecret())
			if err != nil {
				return resealed, err
			}
			if fresh == "" {
				continue
			}
			stored := w.db.Writer().WithContext(ctx).Exec("UPDATE webhook_secrets SET sealed = ? WHERE id = ? AND sealed = ?", fresh, row.ID, row.Sealed)
			if stored.Error != nil {
				return resealed, toErrs("reseal webhook secret", stored.Error)
			}
			resealed += int(stored.RowsAffected)
		}
		if len(rows) < secretsPage {
			return resealed, nil
		}
	}
}
