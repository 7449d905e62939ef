package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"florin/domain/account"
	"florin/infra/database"
	"florin/infra/vault"
)

// program is one invocation, so that tests can make their own.
type program struct {
	environ        map[string]string
	stdout, stderr io.Writer
	json           bool
	// started, when set, is told of a server that serves.
	started func(*App)
}

// errViolations ends a command whose finding was printed already.
var errViolations = errors.New("the books violate invariants")

// run executes a command line and returns the exit code: 0, 1 for a failure or a bad finding, 2 for a wrong command line.
func (p *program) run(ctx context.Context, args []string) int {
	root := p.root()
	root.SetArgs(args)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	understood := false
	root.PersistentPreRunE = func(c *cobra.Command, _ []string) error {
		// cobra looks for required flags after this hook only.
		if err := errors.Join(c.ValidateRequiredFlags(), c.ValidateFlagGroups()); err != nil {
			return err
		}
		understood = true
		return nil
	}
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errViolations), errors.Is(err, errDrift), errors.Is(err, errNotCompared):
		return 1
	case understood:
		fmt.Fprintln(p.stderr, "florin:", err)
		return 1
	default:
		fmt.Fprintf(p.stderr, "florin: %v\nSee florin --help.\n", err)
		return 2
	}
}

func (p *program) root() *cobra.Command {
	serve := p.serveCommand()
	root := &cobra.Command{
		Use:           "florin",
		Short:         "An event-driven payments backend: pay-ins, a double-entry ledger, pay-outs",
		Long:          "Florin takes money in from a payment provider, keeps it in a double-entry ledger, moves it and pays it out.\nWithout a command it serves. Settings are environment variables; see docs/configuration.md.",
		Args:          cobra.NoArgs,
		RunE:          serve.RunE,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.PersistentFlags().BoolVar(&p.json, "json", false, "print JSON")
	root.AddCommand(serve, p.migrateCommand(), p.verifyCommand(), p.backupCommand(), p.deadLettersCommand(), p.reviewsCommand(), p.reconcileCommand(),
		p.eventsCommand(), p.operatorsCommand(), p.mockBankCommand(), p.demoCommand(), p.versionCommand())
	return root
}

// print writes a result: as one JSON document with --json, as text for people otherwise.
func (p *program) print(result any, text func(w io.Writer)) error {
	if !p.json {
		text(p.stdout)
		return nil
	}
	encoder := json.NewEncoder(p.stdout)
	encoder.SetIndent("", "  ")
	return encoder.Encode(result)
}

// commandLog is for commands that people run: what is worth knowing on the way, without time and level.
func (p *program) commandLog(level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(p.stderr, &slog.HandlerOptions{Level: level, ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
			return slog.Attr{}
		}
		return a
	}}))
}

// openStore opens the database for a command that works on it beside running servers, and makes none.
func (p *program) openStore(ctx context.Context, level slog.Level) (*database.DB, error) {
	config, err := loadStoreConfig(p.environ)
	if err != nil {
		return nil, err
	}
	if err := config.findDataKey(); err != nil {
		return nil, err
	}
	options := database.Options{Logger: p.commandLog(level)}
	if len(config.DataKeys) > 0 {
		if options.Vault, err = vault.New(vault.Keys(vault.Data, reveal(config.DataKeys))); err != nil {
			return nil, err
		}
	}
	return database.OpenExisting(ctx, string(config.DatabaseURL), options)
}

// withStore opens the store for one command.
func (p *program) withStore(ctx context.Context, do func(*database.DB) error) (err error) {
	db, err := p.openStore(ctx, slog.LevelWarn)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return do(db)
}

// listedAtOnce is how many rows a command prints or settles at the most.
const listedAtOnce = 1000

// pageBefore is the part of a list that a command is asked for.
func pageBefore(before string, limit int) (account.Page, error) {
	page := account.Page{Limit: min(max(limit, 1), listedAtOnce)}
	if before == "" {
		return page, nil
	}
	var err error
	page.Before, err = parseID(before)
	return page, err
}

func parseID(text string) (uuid.UUID, error) {
	id, err := uuid.Parse(text)
	if err != nil {
		return uuid.Nil, fmt.Errorf("%q is not an id", text)
	}
	return id, nil
}

// progress returns what to call after each step. It counts where a person looks on, and nothing otherwise.
func (p *program) progress(what string) func(done, total int) {
	file, isFile := p.stderr.(*os.File)
	if p.json || !isFile || !term.IsTerminal(int(file.Fd())) {
		return func(int, int) {}
	}
	var drawn time.Time
	return func(done, total int) {
		switch now := time.Now(); {
		case done >= total:
			fmt.Fprint(file, "\r\033[K")
		case now.Sub(drawn) > 100*time.Millisecond:
			drawn = now
			fmt.Fprintf(file, "\r\033[K%s: %d of %d", what, done, total)
		}
	}
}

func (p *program) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			info := buildInfo()
			return p.print(info, func(w io.Writer) {
				fmt.Fprintf(w, "florin %s (%s, revision %s)\n", info.Version, info.Go, info.Revision)
			})
		},
	}
}

type build struct {
	Version  string `json:"version"`
	Revision string `json:"revision"`
	Go       string `json:"go"`
}

// buildInfo is what the linker knows; a build outside of a repository knows no revision.
func buildInfo() build {
	b := build{Version: "unknown", Revision: "unknown"}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	b.Go = info.GoVersion
	if info.Main.Version != "" {
		b.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			b.Revision = s.Value
		}
	}
	return b
}

func version() string { return buildInfo().Version }
