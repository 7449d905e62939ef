package main

import (
	"fmt"
	"sync"

	"florin/infra/database/databasetest/oracle"
)

// history is every operation that any client ever began, and what was wrong.
type history struct {
	mu         sync.Mutex
	operations []*oracle.Operation
	findings   []string
	replays    int
}

func (h *history) begin(o *oracle.Operation) {
	h.mu.Lock()
	defer h.mu.Unlock()
	o.ID = fmt.Sprintf("op-%d", len(h.operations)+1)
	o.Key = "chaos-" + o.ID
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
