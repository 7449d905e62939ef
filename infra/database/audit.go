package database

import (
	"context"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"florin/domain/account"
	"florin/domain/user"
)

type auditRow struct {
	ID        uuid.UUID
	Actor     string
	Action    string
	Subject   string
	Reason    string
	Detail    string
	IP        string `gorm:"column:ip"`
	RequestID string
	At        time.Time
}

func (auditRow) TableName() string { return "audit" }

// appendAudit adds one act, and its notices, to the transaction of what it tells of.
func appendAudit(tx *gorm.DB, act user.Audit) error {
	if err := addNotices(tx, act.Notices); err != nil {
		return err
	}
	return tx.Create(&auditRow{ID: act.ID, Actor: act.Actor, Action: act.Action, Subject: act.Subject, Reason: act.Reason,
		Detail: act.Detail, IP: act.Address, RequestID: act.Request, At: act.At}).Error
}

// Record implements user.SessionStore.
func (s *Users) Record(ctx context.Context, act user.Audit) error {
	return toErrs("record act", appendAudit(s.db.Writer().WithContext(ctx), act))
}

// auditToRow is an act as a unit of work adds it.
func auditToRow(a account.Audit) auditRow {
	return auditRow{ID: a.ID, Actor: a.Actor, Action: a.Action, Subject: a.Subject, Reason: a.Reason, Detail: a.Detail, IP: a.IP,
		RequestID: a.RequestID, At: momentOf(a.At).at}
}
