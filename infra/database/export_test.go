package database

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
