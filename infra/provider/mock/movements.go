package mock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"florin/domain/account"
)

var _ account.MovementLister = (*Client)(nil)

// ledgerPayment is a payment or a payout as the bank's ledger has it, with all that followed it.
type ledgerPayment struct {
	payment
	Object   string `json:"object"`
	Returned int64  `json:"returned"`
	Fee      int64  `json:"fee"`
	Refunds  []struct {
		ID        string    `json:"id"`
		Amount    int64     `json:"amount"`
		State     string    `json:"state"`
		UpdatedAt time.Time `json:"updated_at"`
	} `json:"refunds"`
	Disputes []struct {
		ID     string `json:"id"`
		Amount int64  `json:"amount"`
		State  string `json:"state"`
	} `json:"disputes"`
}

// ListMovements implements account.MovementLister: the bank's ledger, a page of payments at a time.
func (c *Client) ListMovements(ctx context.Context, cursor string) ([]account.Movement, string, error) {
	page, next, err := c.movements(ctx, cursor)
	if err != nil {
		return nil, "", fmt.Errorf("mock provider: list movements: %w", err)
	}
	return page, next, nil
}

func (c *Client) movements(ctx context.Context, cursor string) ([]account.Movement, string, error) {
	if cursor == "" {
		cursor = "0"
	}
	target := c.base.JoinPath("ledger")
	target.RawQuery = url.Values{"after": {cursor}}.Encode()
	got, err := c.callFor(ctx, http.MethodGet, target, "", nil, maxList)
	if err != nil {
		return nil, "", err
	}
	if got.status != http.StatusOK {
		return nil, "", c.lookupError(got)
	}
	var page struct {
		Payments []ledgerPayment `json:"payments"`
		Next     string          `json:"next"`
	}
	if err := json.Unmarshal(got.body, &page); err != nil || page.Payments == nil {
		return nil, "", unknown("bad_answer", errors.Join(errors.New("the answer is not a page of the ledger"), err))
	}
	var movements []account.Movement
	for _, p := range page.Payments {
		if p.payment, err = p.checked(); err != nil {
			return nil, "", err
		}
		movements = append(movements, p.movements()...)
	}
	return movements, page.Next, nil
}

// movements is what the payment, and each thing that followed it, has changed at the bank. A dispute has no time of its own.
func (p ledgerPayment) movements() []account.Movement {
	report := p.report()
	line := func(effect account.MovementEffect, ref string, amount int64, at time.Time) account.Movement {
		return account.Movement{MovementKey: account.MovementKey{Effect: effect, Ref: ref, Currency: report.Currency}, Amount: amount, ChangedAt: at.UTC()}
	}
	came := report.Amount - p.Returned
	if p.State != "completed" {
		came = 0
	}
	if p.Object == "payout" {
		return []account.Movement{line(account.MovementPayout, p.ID, -came, p.UpdatedAt)}
	}
	lines := []account.Movement{line(account.MovementPayment, p.ID, came, p.UpdatedAt)}
	for _, r := range p.Refunds {
		amount := r.Amount
		if r.State != "completed" {
			amount = 0
		}
		lines = append(lines, line(account.MovementRefund, r.ID, -amount, r.UpdatedAt))
	}
	for _, d := range p.Disputes {
		amount := d.Amount
		if d.State == "won" {
			amount = 0
		}
		lines = append(lines, line(account.MovementDispute, d.ID, -amount, p.UpdatedAt))
	}
	if p.Fee != 0 {
		lines = append(lines, line(account.MovementFee, "fee_"+p.ID, -p.Fee, p.UpdatedAt))
	}
	return lines
}
