package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"florin/infra/database"
	"florin/infra/database/databasetest/oracle"
)

// rounds is how often the server may look at what is left before a history must have ended.
const rounds = 60

// end lets everything come to its end without any more trouble, and looks for what must not be.
func (s *simulation) end(ctx context.Context) error {
	s.calm, s.bank.calm = true, true
	for _, o := range s.operations {
		if o.Outcome == oracle.Unknown && s.random.IntN(5) > 0 {
			s.clock.forward(8 * time.Second) // the key of a dead server's request ends
			s.note("%s", s.ask(ctx, o))
		}
	}
	left := ""
	for range rounds {
		if err := s.finish(ctx); err != nil {
			return err
		}
		var err error
		if left, err = s.left(ctx); err != nil {
			return err
		}
		if left == "" {
			break
		}
		s.clock.forward(30 * time.Second)
	}
	if left != "" {
		s.find("never: nothing is left to do: %s", left)
	}
	checks, err := database.Verify(ctx, s.db, s.clock.now(), nil)
	if err != nil {
		return err
	}
	for _, c := range database.Broken(checks) {
		for _, v := range c.Violations {
			s.find("%s broken (%s): %s", c.ID, c.Name, v)
		}
	}
	books, err := oracle.Read(ctx, s.db)
	if err != nil {
		return err
	}
	s.findings = append(s.findings, oracle.Compare(books, s.accounts, s.operations, s.bank.ledger()).Findings...)
	return nil
}

// finish is one round of everything that the bank and the server do by themselves.
func (s *simulation) finish(ctx context.Context) error {
	for _, p := range s.bank.payments {
		if p.State == "pending" {
			s.bank.settle(p, []string{"completed", "failed"}[s.random.IntN(2)])
		}
	}
	waiting := s.bank.outbox
	s.bank.outbox = nil
	for _, n := range waiting {
		if err := s.server.handler.HandlePaymentReceived(ctx, n.event); err != nil {
			return fmt.Errorf("a webhook is refused although nothing is wrong: %w", err)
		}
	}
	if _, err := s.server.sweep.RunOnce(ctx); err != nil {
		return err
	}
	_, err := s.server.relay.RunOnce(ctx)
	return err
}

// left is what is still to be done, "" for nothing.
func (s *simulation) left(ctx context.Context) (string, error) {
	found, err := oracle.Left(ctx, s.db)
	if err != nil || len(found) > 0 {
		return strings.Join(found[:min(len(found), 1)], ""), err
	}
	if len(s.bank.outbox) > 0 {
		return fmt.Sprintf("%d webhooks", len(s.bank.outbox)), nil
	}
	return "", nil
}
