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

func (p *program) migrateCommand() *cobra.Command {
	return &cobra.Command{
		Use: "migrate", Short: "Bring the database's schema up to date", Args: cobra.NoArgs,
		Long: "Applies the migrations that are missing, under a lock, and lists all of them. A server does the same when it starts.",
		RunE: func(c *cobra.Command, _ []string) error { return p.migrate(c.Context()) },
	}
}

type migrationState struct {
	Version   int64     `json:"version"`
	File      string    `json:"file"`
	AppliedAt time.Time `json:"applied_at"`
	New       bool      `json:"new"`
}

func (p *program) migrate(ctx context.Context) (err error) {
	level := slog.LevelInfo // which tells of each migration as it is applied
	if p.json {
		level = slog.LevelWarn
	}
	config, err := loadStoreConfig(p.environ)
	if err != nil {
		return err
	}
	db, err := database.Open(ctx, string(config.DatabaseURL), database.Options{Logger: p.commandLog(level)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	before, _, err := database.Version(ctx, db)
	if err != nil {
		return err
	}
	if err := database.Migrate(ctx, db); err != nil {
		return err
	}
	known, err := database.Status(ctx, db)
	if err != nil {
		return err
	}
	states := make([]migrationState, 0, len(known))
	for _, m := range known {
		states = append(states, migrationState{Version: m.Version, File: m.File, AppliedAt: m.AppliedAt, New: m.Version > before})
	}
	return p.print(map[string]any{"migrations": states}, func(w io.Writer) {
		for _, s := range states {
			mark := "already applied"
			if s.New {
				mark = "applied now"
			}
			fmt.Fprintf(w, "%05d  %-40s %s  %s\n", s.Version, s.File, s.AppliedAt.Format(time.RFC3339), mark)
		}
	})
}
