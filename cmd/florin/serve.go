package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"florin/pkg/telemetry"
)

func (p *program) serveCommand() *cobra.Command {
	return &cobra.Command{
		Use: "serve", Short: "Serve the API (what florin does without a command)", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return p.serve(c.Context()) },
	}
}

// profileEvery is how many allocated bytes lie between two that the memory profile samples. A payment takes 30 KB: at Go's own
// 512 KiB, walking the stack of every twentieth payment would be seen in the figures.
const profileEvery = 4 << 20

// serve runs the server until ctx ends or a part of it fails, and then ends it in order.
func (p *program) serve(ctx context.Context) error {
	config, err := loadConfig(p.environ)
	if err != nil {
		return err
	}
	began := time.Now()
	runtime.MemProfileRate = profileEvery
	log := telemetry.NewLogger(p.stderr, slog.LevelInfo)
	options, err := testOptions(p.environ, Options{Log: log})
	if err != nil {
		return err
	}
	log.Info("starting", config.summary()...)
	app, err := NewApp(ctx, config, options)
	if err != nil {
		return err
	}
	if p.environ["GOGC"] == "" {
		tuneCollector(app.DB.Dialect())
	}
	app.Start()
	log.Info("serving", "url", app.PublicURL(), "admin_url", app.AdminURL(), "database", string(app.DB.Dialect()),
		"version", version(), "took_ms", time.Since(began).Milliseconds())
	if p.started != nil {
		p.started(app)
	}
	failure := p.attend(ctx, app)
	if failure != nil {
		log.Error("a part of the server failed", "error", failure)
	}
	// A part that failed is among the errors of Stop.
	return app.Stop()
}

// releaseEvery is how often the program gives back what it does not use of itself: first when it has started, and then now and
// again, because what an idle server, a burst and a rare request use is not the same.
const releaseEvery = 5 * time.Second

// attend waits for the end. Meanwhile it says what to try once the administrator exists, and reloads on SIGHUP.
func (p *program) attend(ctx context.Context, app *App) error {
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	defer signal.Stop(reload)
	ready := app.adminReady
	release := time.NewTicker(startsAfter)
	defer release.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-app.Failed():
			return err
		case <-release.C:
			release.Reset(releaseEvery)
			if err := releaseProgram(); err != nil {
				app.Log.Warn("pages of the program not given back", "error", err)
			}
		case <-ready:
			ready = nil
			if err := p.welcome(app); err != nil {
				app.Log.Warn("welcome not printed", "error", err)
			}
		case <-reload:
			p.reload(app)
		}
	}
}

func (p *program) reload(app *App) {
	fresh, err := loadConfig(p.environ)
	if err == nil {
		err = app.Reload(fresh)
	}
	if err != nil {
		app.Log.Error("reload failed, what could not be read stays as it was", "error", err)
		return
	}
	app.Log.Info("secrets read again")
}
