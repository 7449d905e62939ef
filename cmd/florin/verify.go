package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"florin/infra/database"
)

func (p *program) verifyCommand() *cobra.Command {
	return &cobra.Command{
		Use: "verify", Short: "Check the invariants of the books", Args: cobra.NoArgs,
		Long: "Checks every invariant of the books in one snapshot of the database, beside running servers.\nThe exit code is 1 when one is violated.",
		RunE: func(c *cobra.Command, _ []string) error { return p.verify(c.Context()) },
	}
}

type finding struct {
	OK     bool         `json:"ok"`
	Checks []checkState `json:"checks"`
}

type checkState struct {
	ID         string   `json:"id"`
	Name       string   `json:"name"`
	OK         bool     `json:"ok"`
	Violations []string `json:"violations"`
	TookMS     int64    `json:"took_ms"`
}

func (p *program) verify(ctx context.Context) (err error) {
	db, err := p.openStore(ctx, slog.LevelWarn)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	found, err := p.check(ctx, db)
	if err != nil {
		return err
	}
	if err := p.print(found, found.table); err != nil {
		return err
	}
	if !found.OK {
		return errViolations
	}
	return nil
}

// check looks at every invariant.
func (p *program) check(ctx context.Context, db *database.DB) (finding, error) {
	checks, err := database.Verify(ctx, db, time.Now().UTC(), p.progress("invariants"))
	if err != nil {
		return finding{}, err
	}
	found := finding{OK: len(database.Broken(checks)) == 0, Checks: make([]checkState, 0, len(checks))}
	for _, c := range checks {
		found.Checks = append(found.Checks, checkState{ID: c.ID, Name: c.Name, OK: c.OK(),
			Violations: c.Lines(), TookMS: c.Elapsed.Milliseconds()})
	}
	return found, nil
}

func (f finding) table(w io.Writer) {
	broken := 0
	for _, c := range f.Checks {
		mark := "ok"
		if !c.OK {
			mark = "VIOLATED"
			broken++
		}
		fmt.Fprintf(w, "%-4s %-9s %s\n", c.ID, mark, c.Name)
		for _, v := range c.Violations {
			fmt.Fprintf(w, "     %s\n", v)
		}
	}
	fmt.Fprintf(w, "%d invariants hold, %d violated\n", len(f.Checks)-broken, broken)
}
