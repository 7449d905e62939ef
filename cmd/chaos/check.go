package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"florin/infra/database"
)

const (
	// quietWithin is how long everything that a cycle has begun may take to end.
	quietWithin = 90 * time.Second
	lookEvery   = 50 * time.Millisecond
)

// count is the answer to a query for one number.
func count(ctx context.Context, db *database.DB, query string, args ...any) (n int64, err error) {
	err = db.Reader().WithContext(ctx).Raw(query, args...).Row().Scan(&n)
	return n, err
}

// awaitStranded measures how long after the last kill the last payment moves on that a kill has left without an answer of its
// provider.
func (w *world) awaitStranded(ctx context.Context) error {
	db, err := w.open(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }() // read only
	killed := w.result.lastKill
	at := killed.UTC().Truncate(time.Microsecond)
	first := true
	return w.until(ctx, "no payment is stranded", func() (bool, error) {
		n, err := count(ctx, db, "SELECT COUNT(*) FROM transactions WHERE status = 'initiated' AND created_at < ?", at)
		if err == nil && n == 0 && !first {
			w.result.resumed.add(time.Since(killed))
		}
		first = false
		return n == 0, err
	})
}

// until asks again and again whether it is so.
func (w *world) until(ctx context.Context, what string, is func() (bool, error)) error {
	deadline := time.Now().Add(quietWithin)
	for {
		so, err := is()
		if so && err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("never within %s: %s: %w", quietWithin, what, err)
		}
		if err := w.pass(ctx, lookEvery); err != nil {
			return err
		}
	}
}

// open work, by what is to come to nothing.
var openWork = map[string]string{
	"events without position": "SELECT COUNT(*) FROM event_batches WHERE position IS NULL",
	"events of the provider":  "SELECT COUNT(*) FROM inbox WHERE status IN ('received', 'parked')",
	"open payments":           "SELECT COUNT(*) FROM transactions WHERE next_attempt_at IS NOT NULL",
	"holds":                   "SELECT COUNT(*) FROM holds WHERE status = 'active'",
}

// check waits until nothing is left to do, and looks for everything that must not be.
func (w *world) check(ctx context.Context) error {
	db, err := w.open(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }() // read only
	left := map[string]int64{}
	err = w.until(ctx, "nothing is left to do", func() (bool, error) {
		clear(left)
		for what, query := range openWork {
			n, err := count(ctx, db, query)
			if err != nil {
				return false, err
			}
			left[what] = n
		}
		export, err := w.export(ctx)
		if err != nil {
			return false, err
		}
		left["webhooks"] = int64(export.PendingWebhooks)
		return !slices.ContainsFunc(slices.Collect(maps.Values(left)), func(n int64) bool { return n > 0 }), nil
	})
	if err != nil {
		return fmt.Errorf("%w: %v", err, left)
	}
	checks, err := database.Verify(ctx, db, time.Now().UTC(), nil)
	if err != nil {
		return err
	}
	for _, c := range database.Broken(checks) {
		for _, v := range c.Violations {
			w.history.find("%s broken (%s): %s", c.ID, c.Name, v)
		}
	}
	export, err := w.export(ctx)
	if err != nil {
		return err
	}
	books, err := readBooks(ctx, db)
	if err != nil {
		return err
	}
	w.result.Checks++
	w.result.Invariants = len(checks)
	w.compare(books, export)
	return nil
}

// bankPayment is a payment or a payout in the bank's ledger.
type bankPayment struct {
	ID            string `json:"id"`
	Object        string `json:"object"`
	TransactionID string `json:"transaction_id"`
	Amount        int64  `json:"amount"`
	Currency      string `json:"currency"`
	State         string `json:"state"`
	Moved         *struct {
		Amount   int64  `json:"amount"`
		Currency string `json:"currency"`
	} `json:"moved"`
	Returned int64 `json:"returned"`
	Fee      int64 `json:"fee"`
	Refunds  []struct {
		Amount int64  `json:"amount"`
		State  string `json:"state"`
	} `json:"refunds"`
	Disputes []struct {
		Amount int64  `json:"amount"`
		State  string `json:"state"`
	} `json:"disputes"`
}

// came is what the payment moved at first, 0 where it never did.
func (p bankPayment) came() int64 {
	if p.State != "completed" && p.State != "returned" {
		return 0
	}
	if p.Moved != nil {
		return p.Moved.Amount
	}
	return p.Amount
}

// back is what of it went back.
func (p bankPayment) back() int64 {
	if p.came() == 0 {
		return 0
	}
	sum := p.Returned
	for _, r := range p.Refunds {
		if r.State == "completed" {
			sum += r.Amount
		}
	}
	for _, d := range p.Disputes {
		if d.State != "won" {
			sum += d.Amount
		}
	}
	return sum
}

// bankLedger is what the bank says of itself.
type bankLedger struct {
	Payments        []bankPayment `json:"payments"`
	PendingWebhooks int           `json:"pending_webhooks"`
}

func (w *world) export(ctx context.Context) (bankLedger, error) {
	var ledger bankLedger
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+w.bankAt+"/ledger", nil)
	if err != nil {
		return ledger, err
	}
	request.Header.Set("Authorization", "Bearer "+bankKey)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return ledger, err
	}
	defer func() { _ = response.Body.Close() }()
	if err := json.NewDecoder(response.Body).Decode(&ledger); err != nil {
		return ledger, fmt.Errorf("read the bank's ledger: %w", err)
	}
	return ledger, nil
}
