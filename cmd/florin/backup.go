package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"florin/infra/database"
)

func (p *program) backupCommand() *cobra.Command {
	var to string
	command := &cobra.Command{
		Use: "backup --to FILE", Short: "Copy the embedded database", Args: cobra.NoArgs,
		Long: "Writes a copy of the embedded database as it is at one moment, beside running servers. The copy is checked and on the disk\nwhen the command ends; a file that is there is not overwritten. PostgreSQL has its own tools: see docs/operations.md.",
		RunE: func(c *cobra.Command, _ []string) error { return p.backup(c.Context(), to) },
	}
	command.Flags().StringVar(&to, "to", "", "the file to write")
	if err := command.MarkFlagRequired("to"); err != nil {
		panic(err) // the flag is the line above
	}
	return command
}

func (p *program) backup(ctx context.Context, to string) error {
	var size int64
	err := p.withStore(ctx, func(db *database.DB) (err error) {
		size, err = database.Backup(ctx, db, to, p.progress("MB"))
		return err
	})
	if err != nil {
		return err
	}
	return p.print(map[string]any{"file": to, "bytes": size}, func(w io.Writer) {
		fmt.Fprintf(w, "%s: %d bytes, checked\n", to, size)
	})
}
