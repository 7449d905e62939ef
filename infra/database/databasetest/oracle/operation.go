// Package oracle says what must be in the books, by what clients know of their operations and by what the bank says of its payments,
// and finds where they differ. The chaos rig and the simulation hold their books to it.
package oracle

import "fmt"

// Outcome is what a client knows of an operation.
type Outcome int

// The outcomes.
const (
	Unknown Outcome = iota // no answer, or none that says: it happened once or not at all
	Acked                  // it was accepted, and must be in the books once
	Refused                // it was refused, and must not be there
)

// The kinds of operations, as transactions are named.
const (
	Deposit  = "deposit"
	Withdraw = "withdraw"
	Transfer = "transfer"
)

// Account is a customer's account.
type Account struct{ ID, Currency string }

// Operation is one thing that a client wants done, however often it has to ask.
type Operation struct {
	ID       string // its own, kept in the transaction's metadata as "op"
	Kind     string
	From, To *Account // the account that the request is about, and a transfer's destination
	Amount   int64    // minor units of From's currency
	Scenario string   // of the bank, "" for none
	Key      string   // Idempotency-Key

	Outcome       Outcome
	Transaction   string // id, once it is acked
	WasUnknown    bool   // at least one try had no answer
	Tries         int
	FoundByLookup bool // unknown to its client for good, and found in the books or proven absent
}

// String names the operation for people.
func (o *Operation) String() string {
	return fmt.Sprintf("%s %s of %d (scenario %q, key %s, transaction %s, %d tries)", o.Kind, o.ID, o.Amount, o.Scenario, o.Key, o.Transaction, o.Tries)
}

// Payment is a payment or a payout in the bank's ledger, as the mock bank exports it. Amounts are minor units.
type Payment struct {
	ID            string `json:"id"`
	TransactionID string `json:"transaction_id"`
	Amount        int64  `json:"amount"`
	Currency      string `json:"currency"`
	State         string `json:"state"`
	Moved         *Moved `json:"moved"` // nil where it is what was asked
	Returned      int64  `json:"returned"`
	Fee           int64  `json:"fee"`
	Refunds       []Part `json:"refunds"`
	Disputes      []Part `json:"disputes"`
}

// Moved is what came or was paid in place of what was asked.
type Moved struct {
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
}

// Part is a refund or a dispute.
type Part struct {
	Amount int64  `json:"amount"`
	State  string `json:"state"`
}

// Came is what the payment moved at first, 0 where it never did.
func (p Payment) Came() int64 {
	if p.State != "completed" && p.State != "returned" {
		return 0
	}
	if p.Moved != nil {
		return p.Moved.Amount
	}
	return p.Amount
}

// Back is what of it went back.
func (p Payment) Back() int64 {
	if p.Came() == 0 {
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

// kept is what a deposit has left on its account. What came beyond it waits in suspense, and goes
// back before the account owes more than it was credited with.
func (o *Operation) kept(p Payment) int64 {
	credited, back := min(p.Came(), o.Amount), p.Back()
	if beyond := back - credited; beyond > 0 {
		back -= min(beyond, p.Came()-credited)
	}
	return credited - back
}

// Ledger is what the bank says of itself.
type Ledger struct {
	Payments        []Payment `json:"payments"`
	PendingWebhooks int       `json:"pending_webhooks"`
}
