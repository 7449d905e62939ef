package database

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

// queryLogger is gorm's logger: it tells of slow statements and of errors that nobody expects, with the statement's
// text but never with its parameters: the dialects leave them out.
type queryLogger struct {
	log  *slog.Logger
	slow time.Duration
}

// LogMode changes nothing: the level is the slog handler's business.
func (l queryLogger) LogMode(logger.LogLevel) logger.Interface { return l }

// Info, Warn and Error drop the arguments, which may be values.
func (l queryLogger) Info(ctx context.Context, message string, _ ...any) {
	l.log.InfoContext(ctx, "gorm", slog.String("message", message))
}

// Warn drops the arguments.
func (l queryLogger) Warn(ctx context.Context, message string, _ ...any) {
	l.log.WarnContext(ctx, "gorm", slog.String("message", message))
}

// Error drops the arguments.
func (l queryLogger) Error(ctx context.Context, message string, _ ...any) {
	l.log.ErrorContext(ctx, "gorm", slog.String("message", message))
}

// Trace is called after each statement.
func (l queryLogger) Trace(ctx context.Context, begin time.Time, statement func() (string, int64), err error) {
	took := time.Since(begin)
	if expected(err) && took < l.slow {
		return
	}
	sql, rows := statement()
	attrs := []any{slog.String("sql", sql), slog.Int64("rows", rows), slog.Int64("took_ms", took.Milliseconds())}
	if expected(err) {
		l.log.WarnContext(ctx, "slow query", attrs...)
		return
	}
	l.log.WarnContext(ctx, "query failed", append(attrs, slogError(err))...)
}

// expected says that the caller handles this outcome as an answer; the others end as ERROR where the operation ends.
func expected(err error) bool {
	return err == nil || errors.Is(err, gorm.ErrRecordNotFound) || errors.Is(err, gorm.ErrDuplicatedKey) ||
		errors.Is(err, context.Canceled)
}
