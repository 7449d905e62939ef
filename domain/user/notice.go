package user

import (
	"time"

	"github.com/google/uuid"
)

// NoticeKind is what a notice is about.
type NoticeKind string

// The kinds of notices.
const (
	NoticeEmail         NoticeKind = "email_changed"
	NoticePassword      NoticeKind = "password_changed" //nolint:gosec // the name of a kind
	NoticePayoutAccount NoticeKind = "payout_account_added"
	NoticePayoutTarget  NoticeKind = "payout_target_used"
)

// Notice is a mail that tells the owner of an act on their identity, so that they learn of one that
// was not theirs. It is sent whether or not they want mail about payments, to an address as it was
// at the act.
type Notice struct {
	ID        uuid.UUID
	UserID    uuid.UUID
	Kind      NoticeKind
	Address   string
	CreatedAt time.Time
	Tries     int // with the one under way
	Fence     int64
}

// MaxNotices is how many notices of a user are made within NoticesWithin: whoever changes addresses
// must not send mail to strangers at will.
const (
	MaxNotices    = 20
	NoticesWithin = time.Hour
)
