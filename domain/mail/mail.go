// Package mail holds what users are told by e-mail about their payments.
package mail

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"florin/domain/account"
	"florin/domain/money"
	"florin/domain/user"
)

// Channel is the channel of e-mail, as dead letters name it.
const Channel = "email"

// Kind is what a mail is about.
type Kind string

// The kinds of mails.
const (
	KindCompleted    Kind = "completed"
	KindFailed       Kind = "failed"
	KindRefund       Kind = "refund"
	KindPayoutReturn Kind = "payout_return"
)

// Status is what became of a mail.
type Status string

// The ends of a mail.
const (
	StatusSent Status = "sent"
	// StatusUnwanted is for a user who wants none, or who is gone.
	StatusUnwanted Status = "unwanted"
)

// Mail is one message about one event. Of an event there is at most one.
type Mail struct {
	ID            uuid.UUID
	EventID       uuid.UUID
	UserID        uuid.UUID
	TransactionID uuid.UUID
	Kind          Kind
	Tries         int // with the one under way
	Fence         int64
	CreatedAt     time.Time
}

// Content is what a mail says and to whom. Username and Failure are what a person or a provider wrote.
type Content struct {
	Address  string
	Username string
	Type     account.Type
	Amount   money.Money
	Failure  *account.Failure
	At       time.Time
}

// Store keeps mails.
type Store interface {
	// AddMail stores one that is due now. It does nothing where the event has one.
	AddMail(ctx context.Context, m Mail) error
	// ClaimMails claims those that are due at now. until gets the number of tries made so far.
	ClaimMails(ctx context.Context, now time.Time, limit int, until func(tries int) time.Time) ([]Mail, error)
	// FindContent returns what the mail says; false where its user wants no mail or is gone.
	FindContent(ctx context.Context, m Mail) (Content, bool, error)
	// FinishMail ends a mail that was claimed. It does nothing where a later claim has it.
	FinishMail(ctx context.Context, m Mail, end Status) error
	// BuryMail makes a dead letter of a mail that was claimed, in one commit, and answers false where a later claim has it.
	BuryMail(ctx context.Context, m Mail, letter account.DeadLetter) (bool, error)
}

// NoticeStore keeps the mails about acts on identities; an act stores them.
type NoticeStore interface {
	// ClaimNotices claims those that are due at now. until gets the number of tries made so far.
	ClaimNotices(ctx context.Context, now time.Time, limit int, until func(tries int) time.Time) (
		[]user.Notice, error)
	// FinishNotice ends a notice that was claimed, with the error that it died of, "" where it was
	// sent, and takes its address out. It does nothing where a later claim has it.
	FinishNotice(ctx context.Context, n user.Notice, lastError string) error
}

// Message is a mail as it is sent. ID is the local part of its Message-ID: the same for every repeat.
type Message struct {
	ID                      string
	To, Subject, Text, HTML string
	At                      time.Time
}

// ErrRefused is a mail that its server will never take.
var ErrRefused = errors.New("mail refused")

// Sender sends one message, or returns an error in which ErrRefused means that it need not be tried again. It blocks no
// longer than its own time-out. After an error the message may have been taken all the same.
type Sender interface {
	Send(ctx context.Context, m Message) error
}
