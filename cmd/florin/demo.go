package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"florin/infra/database"
)

func (p *program) demoCommand() *cobra.Command {
	var url string
	c := &cobra.Command{
		Use: "demo", Short: "Tell the story of some payments", Args: cobra.NoArgs,
		Long: "Registers a user, opens two accounts and moves mock money: in, out, and across currencies. It uses the server\nof --url, else one that runs on HTTP_ADDR, else it starts one of its own on a throwaway database.",
		RunE: func(c *cobra.Command, _ []string) error { return p.demo(c.Context(), url) },
	}
	c.Flags().StringVar(&url, "url", "", "a running server, as in http://127.0.0.1:8080")
	return c
}

// story is what the demo did, for --json.
type story struct {
	URL      string          `json:"url"`
	Steps    []step          `json:"steps"`
	Timeline []timelineEntry `json:"timeline"`
	Balances []balance       `json:"balances"`
	// Verified is nil where the server's database is out of reach.
	Verified *finding `json:"verified"`
}

type step struct {
	What   string `json:"what"`
	Result string `json:"result"`
	TookMS int64  `json:"took_ms"`
}

func (p *program) demo(ctx context.Context, url string) (err error) {
	if url == "" {
		url = p.runningServer(ctx)
	}
	if url == "" {
		app, stop, err := p.ownServer(ctx)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, stop()) }()
		return p.tell(ctx, app.PublicURL(), func(ctx context.Context) (*finding, error) {
			found, err := p.check(ctx, app.DB)
			return &found, err
		})
	}
	return p.tell(ctx, strings.TrimRight(url, "/"), p.checkReachable)
}

// runningServer is the URL of the server that runs on HTTP_ADDR here, "" where none is ready.
func (p *program) runningServer(ctx context.Context) string {
	config, err := loadConfig(p.environ)
	if err != nil || config.TLSCert != "" {
		return ""
	}
	url := "http://" + config.HTTPAddr
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/readyz", nil)
	if err != nil {
		return ""
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return ""
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return ""
	}
	return url
}

// ownServer starts a server for the demo alone, on free ports and in a folder that goes with it.
func (p *program) ownServer(ctx context.Context) (app *App, stop func() error, err error) {
	folder, err := os.MkdirTemp("", "florin-demo-")
	if err != nil {
		return nil, nil, err
	}
	remove := func() error { return os.RemoveAll(folder) }
	config, err := loadConfig(map[string]string{"DATA_DIR": folder, "HTTP_ADDR": "127.0.0.1:0", "ADMIN_ADDR": "127.0.0.1:0",
		"MOCK_AUTOCOMPLETE": "300ms"})
	if err != nil {
		return nil, nil, errors.Join(err, remove())
	}
	if app, err = NewApp(ctx, config, Options{Log: p.commandLog(slog.LevelError)}); err != nil {
		return nil, nil, errors.Join(err, remove())
	}
	app.Start()
	return app, func() error { return errors.Join(app.Stop(), remove()) }, nil
}

// checkReachable verifies the database that DATABASE_URL names, if it can be opened: it is taken for the server's. Nothing
// is created for it.
func (p *program) checkReachable(ctx context.Context) (_ *finding, err error) {
	config, err := loadStoreConfig(p.environ)
	if err != nil {
		return nil, nil
	}
	db, err := database.OpenExisting(ctx, string(config.DatabaseURL), database.Options{Logger: p.commandLog(slog.LevelError)})
	if err != nil {
		return nil, nil
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	found, err := p.check(ctx, db)
	return &found, err
}

// tell runs the story and prints it as it goes.
func (p *program) tell(ctx context.Context, url string, verify func(context.Context) (*finding, error)) error {
	t := teller{client: newDemoClient(url), story: story{URL: url}, out: p.stdout}
	if p.json {
		t.out = io.Discard
	}
	fmt.Fprintf(t.out, "Florin at %s\n\n", url)
	if err := t.run(ctx); err != nil {
		return err
	}
	found, err := verify(ctx)
	if err != nil {
		return err
	}
	t.story.Verified = found
	switch {
	case found == nil:
		fmt.Fprintln(t.out, "\nThe server's database is not within reach, so its invariants were not checked.")
	case found.OK:
		fmt.Fprintln(t.out)
		found.table(t.out)
		fmt.Fprintf(t.out, "\nThe books are sound: %d invariants hold.\n", len(found.Checks))
	default:
		fmt.Fprintln(t.out)
		found.table(t.out)
	}
	if err := p.print(t.story, func(io.Writer) {}); err != nil {
		return err
	}
	if found != nil && !found.OK {
		return errViolations
	}
	return nil
}

// teller runs one step after the other.
type teller struct {
	client *demoClient
	story  story
	out    io.Writer
}

func (t *teller) step(what string, do func() (string, error)) error {
	began := time.Now()
	result, err := do()
	took := time.Since(began)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	t.story.Steps = append(t.story.Steps, step{What: what, Result: result, TookMS: took.Milliseconds()})
	fmt.Fprintf(t.out, "%7d ms  %-50s %s\n", took.Milliseconds(), what, result)
	return nil
}

// steps runs functions until one fails.
func steps(each ...func() error) error {
	for _, do := range each {
		if err := do(); err != nil {
			return err
		}
	}
	return nil
}
