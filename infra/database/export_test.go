package database

import "github.com/jackc/pgx/v5"

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

// Traced are options that let a tracer see every statement on PostgreSQL.
func Traced(o Options, tracer pgx.QueryTracer) Options {
	o.tracer = tracer
	return o
}
