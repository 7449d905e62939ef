package database

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"florin/domain/account"
	"florin/domain/errs"
	"florin/domain/user"
)

// PayoutAccounts keeps the accounts that users have at providers. It implements account.PayoutAccounts.
type PayoutAccounts struct {
	db *DB
	// Tell says that users are told by mail of an account that is added.
	Tell bool
}

// NewPayoutAccounts returns the repository on an open, migrated database.
func NewPayoutAccounts(db *DB) *PayoutAccounts { return &PayoutAccounts{db: db} }

type payoutAccountRow struct {
	Provider       string    `gorm:"primaryKey"`
	ID             string    `gorm:"column:provider_account_id;primaryKey"`
	UserID         uuid.UUID `gorm:"column:user_id"`
	Complete       bool
	PayoutsEnabled bool   `gorm:"column:payouts_enabled"`
	Created        moment `gorm:"column:created_at"`
	Updated        moment `gorm:"column:updated_at"`
}

func (payoutAccountRow) TableName() string { return "payout_accounts" }

func payoutAccountToRow(a account.PayoutAccount) payoutAccountRow {
	return payoutAccountRow{Provider: a.Provider, ID: a.ID, UserID: a.UserID, Complete: a.Complete, PayoutsEnabled: a.PayoutsEnabled,
		Created: momentOf(a.CreatedAt), Updated: momentOf(a.UpdatedAt)}
}

func (r payoutAccountRow) toPayoutAccount() account.PayoutAccount {
	return account.PayoutAccount{Provider: r.Provider, ID: r.ID, UserID: r.UserID, Complete: r.Complete, PayoutsEnabled: r.PayoutsEnabled,
		CreatedAt: r.Created.at, UpdatedAt: r.Updated.at}
}

// FindPayoutAccount implements account.PayoutAccounts.
func (s *PayoutAccounts) FindPayoutAccount(ctx context.Context, provider string, userID uuid.UUID) (account.PayoutAccount, error) {
	return s.find(s.db.Reader().WithContext(ctx).Where("provider = ? AND user_id = ?", provider, userID))
}

// FindPayoutAccountByID implements account.PayoutAccounts.
func (s *PayoutAccounts) FindPayoutAccountByID(ctx context.Context, provider, id string) (account.PayoutAccount, error) {
	return s.find(s.db.Reader().WithContext(ctx).Where("provider = ? AND provider_account_id = ?", provider, id))
}

func (s *PayoutAccounts) find(query *gorm.DB) (account.PayoutAccount, error) {
	var row payoutAccountRow
	switch err := query.Take(&row).Error; {
	case errors.Is(err, gorm.ErrRecordNotFound):
		return account.PayoutAccount{}, errs.Missing("Payout account")
	case err != nil:
		return account.PayoutAccount{}, toErrs("find payout account", err)
	}
	return row.toPayoutAccount(), nil
}

// ListPayoutAccounts implements account.PayoutAccounts.
func (s *PayoutAccounts) ListPayoutAccounts(ctx context.Context, provider, after string, limit int) ([]account.PayoutAccount, error) {
	var rows []payoutAccountRow
	err := s.db.Reader().WithContext(ctx).Where("provider = ? AND provider_account_id > ?", provider, after).
		Order("provider_account_id").Limit(limit).Find(&rows).Error
	if err != nil {
		return nil, toErrs("list payout accounts", err)
	}
	accounts := make([]account.PayoutAccount, 0, len(rows))
	for _, row := range rows {
		accounts = append(accounts, row.toPayoutAccount())
	}
	return accounts, nil
}

// AddPayoutAccount implements account.PayoutAccounts.
func (s *PayoutAccounts) AddPayoutAccount(ctx context.Context, a account.PayoutAccount) (account.PayoutAccount, error) {
	var kept payoutAccountRow
	err := s.db.inTx(ctx, func(tx *gorm.DB) error {
		row := payoutAccountToRow(a)
		added := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&row)
		if added.Error != nil {
			return added.Error
		}
		if s.Tell && added.RowsAffected == 1 {
			if err := tellOfPayoutAccount(tx, a); err != nil {
				return err
			}
		}
		return tx.Where("provider = ? AND user_id = ?", a.Provider, a.UserID).Take(&kept).Error
	})
	if err != nil {
		return account.PayoutAccount{}, toErrs("add payout account", err)
	}
	return kept.toPayoutAccount(), nil
}

func tellOfPayoutAccount(tx *gorm.DB, a account.PayoutAccount) error {
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	owner, err := lockUser(tx, a.UserID)
	if err != nil {
		return err
	}
	return addNotices(tx, []user.Notice{{ID: id, UserID: a.UserID, Kind: user.NoticePayoutAccount,
		Address: owner.Email(), CreatedAt: a.CreatedAt}})
}

// UpdatePayoutAccount implements account.PayoutAccounts. Of two updates the one with the later time stays.
func (s *PayoutAccounts) UpdatePayoutAccount(ctx context.Context, a account.PayoutAccount) error {
	return toErrs("update payout account", s.db.inTx(ctx, func(tx *gorm.DB) error {
		return tx.Model(&payoutAccountRow{}).
			Where("provider = ? AND provider_account_id = ? AND updated_at <= ?", a.Provider, a.ID, momentOf(a.UpdatedAt)).
			Updates(map[string]any{"complete": a.Complete, "payouts_enabled": a.PayoutsEnabled, "updated_at": momentOf(a.UpdatedAt)}).Error
	}))
}
