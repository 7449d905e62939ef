package database

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"florin/domain/errs"
	"florin/domain/user"
)

type refreshTokenRow struct {
	ID        uuid.UUID
	FamilyID  uuid.UUID
	UserID    uuid.UUID
	TokenHash string
	CreatedAt time.Time
	ExpiresAt time.Time
	UsedAt    *time.Time
	RevokedAt *time.Time
}

func (refreshTokenRow) TableName() string { return "refresh_tokens" }

func refreshTokenToRow(t user.RefreshToken) refreshTokenRow {
	return refreshTokenRow{ID: t.ID, FamilyID: t.Family, UserID: t.UserID, TokenHash: t.Hash, CreatedAt: t.CreatedAt, ExpiresAt: t.ExpiresAt}
}

// StartSession implements user.SessionStore.
func (s *Users) StartSession(ctx context.Context, u user.User, t user.RefreshToken, act user.Audit) error {
	row := refreshTokenToRow(t)
	err := s.db.inTx(ctx, func(tx *gorm.DB) error {
		now, err := lockUser(tx, u.ID())
		if err != nil && errs.KindOf(err) != errs.NotFound {
			return err
		}
		if err != nil || now.Generation() != u.Generation() {
			return errs.New(errs.Unauthenticated, "invalid_credentials", "username, email or password is wrong")
		}
		if err := endOldest(tx, u.ID(), t.CreatedAt); err != nil {
			return err
		}
		if err := tx.Create(&row).Error; err != nil {
			return err
		}
		return appendAudit(tx, act)
	})
	return toErrs("start session", err)
}

// openTokens is the tokens of a user's open sessions: each session has one.
func openTokens(tx *gorm.DB, userID uuid.UUID, now time.Time) *gorm.DB {
	return tx.Model(&refreshTokenRow{}).
		Where("user_id = ? AND used_at IS NULL AND revoked_at IS NULL AND expires_at > ?", userID, now)
}

// endOldest makes room for one more session. The ids of sessions are in the order of their logins.
func endOldest(tx *gorm.DB, userID uuid.UUID, now time.Time) error {
	var families []uuid.UUID
	err := openTokens(tx, userID, now).Order("family_id").Pluck("family_id", &families).Error
	if err != nil {
		return err
	}
	for i := range max(0, len(families)-user.MaxSessions+1) {
		if err := revokeFamily(tx, families[i], now); err != nil {
			return err
		}
	}
	return nil
}

// Sessions implements user.SessionStore.
func (s *Users) Sessions(ctx context.Context, userID uuid.UUID, now time.Time) (
	[]user.Session, error) {
	var rows []refreshTokenRow
	err := openTokens(s.db.Reader().WithContext(ctx), userID, now).Order("family_id DESC").
		Limit(2 * user.MaxSessions).Find(&rows).Error
	if err != nil {
		return nil, toErrs("list sessions", err)
	}
	sessions := make([]user.Session, len(rows))
	for i, r := range rows {
		sessions[i] = user.Session{ID: r.FamilyID, UsedAt: r.CreatedAt.UTC(), EndsAt: r.ExpiresAt.UTC()}
	}
	return sessions, nil
}

// EndSessionOf implements user.SessionStore.
func (s *Users) EndSessionOf(ctx context.Context, userID, family uuid.UUID, act user.Audit) error {
	err := s.db.inTx(ctx, func(tx *gorm.DB) error {
		if _, err := lockUser(tx, userID); err != nil {
			return err
		}
		var found int64
		err := openTokens(tx, userID, act.At).Where("family_id = ?", family).Count(&found).Error
		if err != nil {
			return err
		}
		if found == 0 {
			return errs.Missing("session")
		}
		if err := revokeFamily(tx, family, act.At); err != nil {
			return err
		}
		return appendAudit(tx, act)
	})
	return toErrs("end session", err)
}

// EndOtherSessions implements user.SessionStore.
func (s *Users) EndOtherSessions(ctx context.Context, userID, but uuid.UUID, act user.Audit) error {
	err := s.db.inTx(ctx, func(tx *gorm.DB) error {
		if _, err := lockUser(tx, userID); err != nil {
			return err
		}
		err := tx.Exec(`UPDATE refresh_tokens SET revoked_at = ?
			WHERE user_id = ? AND family_id <> ? AND revoked_at IS NULL`, act.At, userID, but).Error
		if err != nil {
			return err
		}
		return appendAudit(tx, act)
	})
	return toErrs("end sessions", err)
}

// RotateSession implements user.SessionStore.
func (s *Users) RotateSession(ctx context.Context, hash string, next user.RefreshToken,
	nexts []string, act user.Audit) (
	u user.User, stored user.RefreshToken, outcome user.Rotation, err error) {
	stored = next
	err = s.db.inTx(ctx, func(tx *gorm.DB) error {
		outcome = user.RotationRefused
		shown, err := refreshToken(tx, hash)
		if errs.KindOf(err) == errs.NotFound && err != nil {
			return nil
		}
		if err != nil {
			return err
		}
		stored.Family, stored.UserID = shown.FamilyID, shown.UserID
		stored.ExpiresAt = shown.ExpiresAt.UTC()
		if u, err = lockUser(tx, shown.UserID); err != nil {
			if errs.KindOf(err) == errs.NotFound {
				return nil
			}
			return err
		}
		outcome, err = rotate(tx, shown.ID, stored, act)
		if outcome == user.RotationRepeated {
			stored, outcome, err = exchangedFor(tx, stored.Family, nexts)
		}
		return err
	})
	if err != nil {
		return user.User{}, user.RefreshToken{}, user.RotationRefused, toErrs("rotate session", err)
	}
	return u, stored, outcome, nil
}

// rotate runs under the lock of the user, and so reads the token again.
func rotate(tx *gorm.DB, shownID uuid.UUID, next user.RefreshToken, act user.Audit) (user.Rotation, error) {
	var shown refreshTokenRow
	if err := tx.Where("id = ?", shownID).Take(&shown).Error; err != nil {
		return user.RotationRefused, err
	}
	switch {
	case shown.RevokedAt != nil:
		return user.RotationRefused, nil
	case shown.UsedAt != nil && next.CreatedAt.Sub(*shown.UsedAt) <= user.RepeatGrace:
		return user.RotationRepeated, nil
	case shown.UsedAt != nil:
		act.Subject, act.Detail = shown.UserID.String(), "session "+shown.FamilyID.String()
		if err := revokeFamily(tx, shown.FamilyID, next.CreatedAt); err != nil {
			return user.RotationRefused, err
		}
		return user.RotationReused, appendAudit(tx, act)
	case !shown.ExpiresAt.After(next.CreatedAt):
		return user.RotationRefused, nil
	}
	if err := tx.Exec("UPDATE refresh_tokens SET used_at = ? WHERE id = ?", next.CreatedAt, shownID).Error; err != nil {
		return user.RotationRefused, err
	}
	row := refreshTokenToRow(next)
	return user.RotationDone, tx.Create(&row).Error
}

// exchangedFor finds the token that the shown one was exchanged for. There is none where a server
// of before has drawn it, or the keys are others now: that tab is refused, and the session goes on
// with the other one.
func exchangedFor(tx *gorm.DB, family uuid.UUID, hashes []string) (
	user.RefreshToken, user.Rotation, error) {
	var row refreshTokenRow
	err := tx.Where("token_hash IN ? AND family_id = ?", hashes, family).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return user.RefreshToken{}, user.RotationRefused, nil
	}
	return user.RefreshToken{ID: row.ID, Family: row.FamilyID, UserID: row.UserID,
		Hash: row.TokenHash, CreatedAt: row.CreatedAt.UTC(), ExpiresAt: row.ExpiresAt.UTC(),
		Used: row.UsedAt != nil}, user.RotationRepeated, err
}

// EndSession implements user.SessionStore.
func (s *Users) EndSession(ctx context.Context, family uuid.UUID, act user.Audit) error {
	err := s.db.inTx(ctx, func(tx *gorm.DB) error {
		var owner refreshTokenRow
		err := tx.Where("family_id = ?", family).Order("created_at").Limit(1).Take(&owner).Error
		if errors.Is(err, gorm.ErrRecordNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		// The lock keeps a rotation that runs at the same time from leaving a living token behind.
		if _, err := lockUser(tx, owner.UserID); err != nil && errs.KindOf(err) != errs.NotFound {
			return err
		}
		if err := revokeFamily(tx, family, act.At); err != nil {
			return err
		}
		return appendAudit(tx, act)
	})
	return toErrs("end session", err)
}

func revokeFamily(tx *gorm.DB, family uuid.UUID, at time.Time) error {
	return tx.Exec("UPDATE refresh_tokens SET revoked_at = ? WHERE family_id = ? AND revoked_at IS NULL", at, family).Error
}

// SessionByHash implements user.SessionStore.
func (s *Users) SessionByHash(ctx context.Context, hash string) (family, userID uuid.UUID, err error) {
	row, err := refreshToken(s.db.Reader().WithContext(ctx), hash)
	if err != nil {
		return uuid.Nil, uuid.Nil, toErrs("find session", err)
	}
	return row.FamilyID, row.UserID, nil
}

func refreshToken(tx *gorm.DB, hash string) (refreshTokenRow, error) {
	var row refreshTokenRow
	err := tx.Where("token_hash = ?", hash).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return row, errs.Missing("session")
	}
	return row, err
}

// Standing implements user.SessionStore.
func (s *Users) Standing(ctx context.Context, userID, family uuid.UUID) (user.Standing, error) {
	var row struct {
		Role            string
		TokenGeneration int64
		Issued          int64
		Revoked         int64
	}
	found := s.db.Reader().WithContext(ctx).Raw(`SELECT u.role, u.token_generation,
		(SELECT COUNT(*) FROM refresh_tokens r WHERE r.family_id = ? AND r.user_id = u.id) AS issued,
		(SELECT COUNT(*) FROM refresh_tokens r WHERE r.family_id = ? AND r.revoked_at IS NOT NULL) AS revoked
		FROM users u WHERE u.id = ? AND u.deleted_at IS NULL`, family, family, userID).Scan(&row)
	if found.Error != nil {
		return user.Standing{}, toErrs("read standing", found.Error)
	}
	return user.Standing{Role: user.Role(row.Role), Generation: row.TokenGeneration,
		Open: found.RowsAffected == 1 && row.Issued > 0 && row.Revoked == 0}, nil
}
