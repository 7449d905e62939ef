package oracle

import (
	"context"
	"fmt"

	"florin/infra/database"
)

// openWork finds what is still to be done, one line each. The word "paid" of a bank that says "failed" when
// it is asked may wait for long: the server asks again and again, because a bank that lags says the same. Nothing comes of it.
var openWork = map[string]string{
	"batch of events without position": "SELECT CAST(id AS text) FROM event_batches WHERE position IS NULL",
	"event of the provider": `SELECT i.event_id || ' ' || i.kind || ' ' || i.status || ' ' || i.reason FROM inbox i
		LEFT JOIN transactions t ON t.id = i.transaction_id
		WHERE i.status IN ('received', 'parked')
			AND NOT (i.kind = 'payment.completed' AND COALESCE(t.status, '') = 'failed' AND COALESCE(t.metadata, '') LIKE '%paid_then_failed%')`,
	"open payment": "SELECT CAST(id AS text) || ' ' || type || ' ' || status || ' ' || metadata FROM transactions WHERE next_attempt_at IS NOT NULL",
	"hold":         "SELECT CAST(transaction_id AS text) FROM holds WHERE status = 'active'",
}

// Left is what a server has still to do, one line each.
func Left(ctx context.Context, db *database.DB) ([]string, error) {
	var all []string
	for what, query := range openWork {
		var found []string
		if err := db.Reader().WithContext(ctx).Raw(query).Scan(&found).Error; err != nil {
			return nil, fmt.Errorf("read what is left: %w", err)
		}
		for _, line := range found {
			all = append(all, what+": "+line)
		}
	}
	return all, nil
}
