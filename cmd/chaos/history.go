package main

import (
	"fmt"
	"sync"
)

// outcome is what a client knows of an operation.
type outcome int

const (
	unknown outcome = iota // no answer yet, or none that says: it happened once or not at all
	acked                  // it was accepted, and must be in the books once
	refused                // it was refused, and must not be there
)

// The kinds of operations, as the API names their transactions.
const (
	deposit  = "deposit"
	withdraw = "withdraw"
	transfer = "transfer"
)

// operation is one thing that a client wants done, however often it has to ask.
type operation struct {
	id       string // its own, kept in the transaction's metadata
	kind     string
	from, to *account // the account that the request is about, and a transfer's destination
	amount   int64    // minor units of from's currency
	scenario string   // of the bank, "" for none
	key      string   // Idempotency-Key

	outcome       outcome
	transaction   string // id, once it is acked
	wasUnknown    bool   // at least one try had no answer
	tries         int
	foundByLookup bool // unknown to the client for good, and found in the books or proven absent
}

func (o *operation) String() string {
	return fmt.Sprintf("%s %s of %d (scenario %q, key %s, transaction %s, %d tries)", o.kind, o.id, o.amount, o.scenario, o.key, o.transaction, o.tries)
}

// history is every operation that any client ever began, and what was wrong with answers.
type history struct {
	mu         sync.Mutex
	operations []*operation
	findings   []string
	replays    int
}

func (h *history) begin(o *operation) {
	h.mu.Lock()
	defer h.mu.Unlock()
	o.id = fmt.Sprintf("op-%d", len(h.operations)+1)
	o.key = "chaos-" + o.id
	h.operations = append(h.operations, o)
}

// find notes something that must not be.
func (h *history) find(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.findings = append(h.findings, fmt.Sprintf(format, args...))
}

func (h *history) replayed() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.replays++
}

// account is a customer's account.
type account struct {
	id, currency string
	owner        *customer
}
