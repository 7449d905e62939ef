package database

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"florin/domain/errs"
	"florin/domain/user"
)

// Users keeps users, their sessions and the audit of both. It implements user.Store, user.SessionStore and
// user.AccountsOf.
type Users struct{ db *DB }

// NewUsers returns the repository on an open, migrated database.
func NewUsers(db *DB) *Users { return &Users{db: db} }

type userRow struct {
	ID              uuid.UUID
	Username        string
	Email           string
	PasswordHash    string
	Role            string
	TokenGeneration int64
	// EmailNotifications is 1, or 0 for a user who wants none.
	EmailNotifications int
	CreatedAt          time.Time
	UpdatedAt          time.Time
	DeletedAt          *time.Time
}

func (userRow) TableName() string { return "users" }

func userToRow(u user.User) userRow {
	s := u.State()
	notified := 1
	if s.Muted {
		notified = 0
	}
	return userRow{EmailNotifications: notified, ID: s.ID, Username: s.Username, Email: s.Email, PasswordHash: s.PasswordHash, Role: string(s.Role),
		TokenGeneration: s.Generation, CreatedAt: s.CreatedAt, UpdatedAt: s.UpdatedAt, DeletedAt: s.DeletedAt}
}

func (r userRow) toUser() user.User {
	state := user.State{ID: r.ID, Username: r.Username, Email: r.Email, PasswordHash: r.PasswordHash, Role: user.Role(r.Role),
		Generation: r.TokenGeneration, Muted: r.EmailNotifications == 0, CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC()}
	if r.DeletedAt != nil {
		at := r.DeletedAt.UTC()
		state.DeletedAt = &at
	}
	return user.Load(state)
}

// CreateUser implements user.Store.
func (s *Users) CreateUser(ctx context.Context, u user.User, act user.Audit) error {
	row := userToRow(u)
	err := s.db.inTx(ctx, func(tx *gorm.DB) error {
		if err := tx.Create(&row).Error; err != nil {
			return err
		}
		return appendAudit(tx, act)
	})
	return toErrs("create user", takenName(err))
}

// UserByID implements user.Store.
func (s *Users) UserByID(ctx context.Context, id uuid.UUID) (user.User, error) {
	return s.findUser(s.db.Reader().WithContext(ctx).Where("id = ?", id))
}

// UserByIdentity implements user.Store.
func (s *Users) UserByIdentity(ctx context.Context, identity string) (user.User, error) {
	column := "lower(username) = ?"
	if strings.Contains(identity, "@") {
		column = "lower(email) = ?"
	}
	return s.findUser(s.db.Reader().WithContext(ctx).Where(column, strings.ToLower(identity)).Where("deleted_at IS NULL"))
}

func (s *Users) findUser(query *gorm.DB) (user.User, error) {
	var row userRow
	switch err := query.Take(&row).Error; {
	case errors.Is(err, gorm.ErrRecordNotFound):
		return user.User{}, errs.Missing("user")
	case err != nil:
		return user.User{}, toErrs("find user", err)
	}
	return row.toUser(), nil
}

// ChangeUser implements user.Store.
func (s *Users) ChangeUser(ctx context.Context, id uuid.UUID, change func(*user.User) error, act user.Audit) (user.User, error) {
	var after user.User
	err := s.db.inTx(ctx, func(tx *gorm.DB) error {
		before, err := lockUser(tx, id)
		if err != nil {
			return err
		}
		after = before
		if err := change(&after); err != nil {
			return err
		}
		return storeUser(tx, before, after, act)
	})
	if err != nil {
		return user.User{}, toErrs("change user", takenName(err))
	}
	return after, nil
}

// DeleteUser implements user.Store.
func (s *Users) DeleteUser(ctx context.Context, id uuid.UUID, at time.Time, act user.Audit) error {
	err := s.db.inTx(ctx, func(tx *gorm.DB) error {
		before, err := lockUser(tx, id)
		if err != nil {
			return err
		}
		if err := closeAccounts(tx, id, at.UTC().Truncate(time.Microsecond)); err != nil {
			return err
		}
		if err := endEndpointsOf(tx, id, at); err != nil {
			return err
		}
		if err := tx.Where("user_id = ?", id).Delete(&payoutTargetRow{}).Error; err != nil {
			return err
		}
		if err := askErasure(tx, id, at); err != nil {
			return err
		}
		after := before
		after.Anonymise(at)
		return storeUser(tx, before, after, act)
	})
	return toErrs("delete user", err)
}

// closeAccounts locks the accounts in the order of their ids, as everything does that moves money, and so waits for
// payments in flight before it looks.
func closeAccounts(tx *gorm.DB, userID uuid.UUID, at time.Time) error {
	var ids []uuid.UUID
	err := tx.Table("accounts").Clauses(clause.Locking{Strength: "NO KEY UPDATE"}).
		Where("user_id = ? AND kind = 'user'", userID).Order("id").Pluck("id", &ids).Error
	if err != nil {
		return err
	}
	rich, err := moneyOnAccounts(tx, userID)
	if err != nil {
		return err
	}
	if rich {
		return errs.New(errs.Conflict, "money_on_accounts", "money, a hold or an open payment is on an account of this user")
	}
	return tx.Exec(`UPDATE accounts SET status = 'closed', closed_at = ?, updated_at = ?
		WHERE user_id = ? AND kind = 'user' AND status <> 'closed'`, at, at, userID).Error
}

// MoneyOnAccounts implements user.AccountsOf.
func (s *Users) MoneyOnAccounts(ctx context.Context, userID uuid.UUID) (bool, error) {
	rich, err := moneyOnAccounts(s.db.Reader().WithContext(ctx), userID)
	return rich, toErrs("look for money of a user", err)
}

func moneyOnAccounts(tx *gorm.DB, userID uuid.UUID) (bool, error) {
	var count int64
	err := tx.Raw(`SELECT
		(SELECT COUNT(*) FROM accounts WHERE user_id = ? AND kind = 'user' AND (posted <> 0 OR held <> 0 OR receivable <> 0)) +
		(SELECT COUNT(*) FROM transactions t JOIN accounts a ON a.id = t.account_id
		  WHERE a.user_id = ? AND a.kind = 'user' AND t.next_attempt_at IS NOT NULL)`, userID, userID).Scan(&count).Error
	return count > 0, err
}

// AdminExists implements user.Store.
func (s *Users) AdminExists(ctx context.Context) (bool, error) {
	var count int64
	err := s.db.Writer().WithContext(ctx).Table("users").
		Where("role = 'admin' AND deleted_at IS NULL").Count(&count).Error
	return count > 0, toErrs("look for an administrator", err)
}

// lockUser loads a living user for the rest of the transaction. Whoever touches a user's sessions locks it first.
func lockUser(tx *gorm.DB, id uuid.UUID) (user.User, error) {
	var row userRow
	err := tx.Clauses(clause.Locking{Strength: "NO KEY UPDATE"}).Where("id = ? AND deleted_at IS NULL", id).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return user.User{}, errs.Missing("user")
	}
	return row.toUser(), err
}

func storeUser(tx *gorm.DB, before, after user.User, act user.Audit) error {
	row := userToRow(after)
	update := tx.Table("users").Where("id = ? AND token_generation = ?", row.ID, before.Generation()).Updates(map[string]any{
		"username": row.Username, "email": row.Email, "password_hash": row.PasswordHash, "role": row.Role,
		"token_generation": row.TokenGeneration, "updated_at": row.UpdatedAt, "email_notifications": row.EmailNotifications,
		"deleted_at": row.DeletedAt})
	if update.Error != nil {
		return update.Error
	}
	if update.RowsAffected != 1 {
		return errs.Missing("user")
	}
	if after.Generation() != before.Generation() {
		revoke := tx.Exec("UPDATE refresh_tokens SET revoked_at = ? WHERE user_id = ? AND revoked_at IS NULL", row.UpdatedAt, row.ID)
		if revoke.Error != nil {
			return revoke.Error
		}
	}
	return appendAudit(tx, act)
}

// takenName turns the refusal of a unique index into the answer for the person who chose the name.
func takenName(err error) error {
	if !errors.Is(err, errUnique) {
		return err
	}
	switch name := constraintOf(err); {
	case strings.Contains(name, "email"):
		return errs.Wrap(err, errs.Conflict, "email_taken", "the email is taken")
	case strings.Contains(name, "username"):
		return errs.Wrap(err, errs.Conflict, "username_taken", "the username is taken")
	}
	return err
}
