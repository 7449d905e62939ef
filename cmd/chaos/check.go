package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"florin/infra/database"
	"florin/infra/database/databasetest/oracle"
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
			return errors.Join(fmt.Errorf("never within %s: %s", quietWithin, what), err)
		}
		if err := w.pass(ctx, lookEvery); err != nil {
			return err
		}
	}
}

// left is what is still to be done.
func (w *world) left(ctx context.Context, db *database.DB) ([]string, error) {
	all, err := oracle.Left(ctx, db)
	if err != nil {
		return nil, err
	}
	export, err := w.export(ctx)
	if err != nil {
		return nil, err
	}
	if export.PendingWebhooks > 0 {
		all = append(all, fmt.Sprintf("%d webhooks", export.PendingWebhooks))
	}
	return all, nil
}

// check waits until nothing is left to do, and looks for everything that must not be.
func (w *world) check(ctx context.Context) error {
	db, err := w.open(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }() // read only
	var left []string
	err = w.until(ctx, "nothing is left to do", func() (bool, error) {
		left, err = w.left(ctx, db)
		return err == nil && len(left) == 0, err
	})
	if err != nil {
		return fmt.Errorf("%w: %d left, as %q", err, len(left), left[:min(len(left), 5)])
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
	books, err := oracle.Read(ctx, db)
	if err != nil {
		return err
	}
	w.result.Checks++
	w.result.Invariants = len(checks)
	v := oracle.Compare(books, w.accounts, w.history.operations, export)
	w.result.BankPayments = len(export.Payments)
	w.result.Lost, w.result.Doubled, w.result.BankDiffers = v.Lost, v.Doubled, v.Differs
	for _, f := range v.Findings {
		w.history.find("%s", f)
	}
	return nil
}

func (w *world) export(ctx context.Context) (oracle.Ledger, error) {
	var ledger oracle.Ledger
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
