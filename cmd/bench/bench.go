package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"florin/infra/database/databasetest"
	"florin/infra/database/databasetest/sqlline"
)

// durable are the settings of the PostgreSQL server: a commit is on the disk when it is answered, and nothing that a server in
// use needs is off. The buffers and the log are large enough that no checkpoint falls into a cell.
var durable = []string{"fsync=on", "synchronous_commit=on", "full_page_writes=on", "autovacuum=on",
	"shared_buffers=512MB", "max_wal_size=4GB", "checkpoint_timeout=30min"}

// bench measures cells. It owns the bank and a folder for what the servers write.
type bench struct {
	settings settings
	cells    []cell
	binary   string
	folder   string
	bank     *bank
	out      io.Writer
	postgres map[string]string // the server's settings, as it told them
}

// run measures every cell once, on servers of its own.
func (b *bench) run(ctx context.Context) (_ *run, err error) {
	r := &run{}
	p, err := b.begin(ctx, r)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.database.Stop()) }()
	if err := p.lines(ctx, "sql_before"); err != nil {
		return nil, err
	}
	for _, s := range servers {
		if own := of(s, b.cells); len(own) > 0 {
			if err := p.server(ctx, s, own); err != nil {
				return nil, fmt.Errorf("%s: %w", s, err)
			}
		}
		// Once more, on the other side of what they are compared with: a machine that has become slower meanwhile shows.
		if s == onPostgres && len(of(s, b.cells)) > 0 {
			if err := p.lines(ctx, "sql_after"); err != nil {
				return nil, err
			}
		}
	}
	r.compare()
	return r, nil
}

// begin starts a database for a run, with more settings where they are to differ. Whoever has it stops it.
func (b *bench) begin(ctx context.Context, r *run, settings ...string) (_ *pass, err error) {
	fsync, err := fsyncTime(b.folder)
	if err != nil {
		return nil, err
	}
	r.FsyncMS = milliseconds(fsync)
	database, err := databasetest.Start(ctx, append(slices.Clone(durable), settings...)...)
	if err != nil {
		return nil, err
	}
	p := &pass{bench: b, run: r, database: database}
	if b.postgres, err = sqlline.Describe(ctx, database.URL); err != nil {
		return nil, errors.Join(err, database.Stop())
	}
	if p.databasePID, err = postmaster(database.Folder); err != nil {
		return nil, errors.Join(err, database.Stop())
	}
	return p, nil
}

// pass is one run on its way.
type pass struct {
	*bench
	run         *run
	database    *databasetest.Server
	databasePID int
}

// usage is what processes have used since they began.
type usage struct {
	server, database, generator time.Duration
	known                       bool
}

// used reads the processor time; serverPID is 0 where there is no server.
func (p *pass) used(serverPID int) usage {
	var u usage
	var server stat
	var errServer error
	if serverPID != 0 {
		server, errServer = readStat(serverPID)
	}
	own, errOwn := readStat(os.Getpid())
	tree, errTree := cpuOfTree(p.databasePID)
	u.server, u.generator, u.database = server.own, own.own, tree
	u.known = errors.Join(errServer, errOwn, errTree) == nil
	return u
}

// per1000 is nil where the system does not tell.
func per1000(from, to usage, operations int64) *cpu {
	if !from.known || !to.known || operations == 0 {
		return nil
	}
	share := func(from, to time.Duration) float64 { return (to - from).Seconds() / float64(operations) * 1000 }
	return &cpu{share(from.server, to.server), share(from.database, to.database), share(from.generator, to.generator)}
}

// load runs the workers, closed or at the cell's rate.
func (p *pass) load(ctx context.Context, c cell, workers []operation, rate int64, edge func()) measured {
	w := window{warmup: p.settings.warmup, duration: p.settings.duration, edge: edge}
	if c.Open {
		return runOpen(ctx, workers, rate, w)
	}
	return runClosed(ctx, workers, w)
}

// keep tells and keeps a result.
func (p *pass) keep(r *result) {
	fmt.Fprintln(p.out, line(r))
	p.run.keep(r)
}

// newFolder is for one server.
func (p *pass) newFolder(s system) (string, error) {
	folder, err := os.MkdirTemp(p.folder, string(s)+"-")
	if err != nil {
		return "", err
	}
	return filepath.Abs(folder)
}
