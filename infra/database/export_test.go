package database

import (
	"database/sql"
	"errors"

	"github.com/jackc/pgx/v5"
)

// The tests live in database_test, because databasetest imports this package.
var (
	Classify      = classify
	ConstraintOf  = constraintOf
	ToErrs        = toErrs
	Unique        = errUnique
	Retry         = errRetry
	Unavailable   = errUnavailable
	CommitUnknown = errCommitUnknown
	InTx          = (*DB).inTx
	WriterConn    = (*DB).writerConn
)

// WithoutMigrations runs fn while the connections of migrations cannot be opened.
func WithoutMigrations(db *DB, fn func() error) error {
	open := db.openForMigration
	defer func() { db.openForMigration = open }()
	db.openForMigration = func() (*sql.DB, error) { return nil, errors.New("no connection for a migration") }
	return fn()
}

// Traced are options that let a tracer see every statement on PostgreSQL.
func Traced(o Options, tracer pgx.QueryTracer) Options {
	o.tracer = tracer
	return o
}

// WithoutCheckpoints ends the copying of an SQLite file's log, which the last closer that Open added does.
func WithoutCheckpoints(db *DB) error {
	last := len(db.closers) - 1
	stop := db.closers[last]
	db.closers = db.closers[:last]
	return stop()
}
