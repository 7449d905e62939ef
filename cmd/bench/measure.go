package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"florin/infra/database/databasetest/sqlline"
)

const (
	// openShare is the part of the closed throughput that an open loop offers, in percent, unless -rate says another rate.
	openShare = 60
	// openFallback is the rate where no closed throughput was measured.
	openFallback = 500
)

// server measures the cells of one system on a server of its own, and proves its books afterwards.
func (p *pass) server(ctx context.Context, s system, cells []cell) (err error) {
	options, err := p.serverOptions(ctx, s)
	if err != nil {
		return err
	}
	var told *listeners
	if s == toldPostgres {
		if told, err = openListeners(); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, told.close()) }()
		options.brokerURL = told.brokerURL()
	}
	process, err := p.startTwice(ctx, s, options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, process.stop()) }()
	c, err := newCustomers(ctx, process.address, p.settings.users, p.settings.accounts, p.bank)
	if err != nil {
		return errors.Join(fmt.Errorf("set up: %w", err), process.lastWords())
	}
	defer c.close()
	if told != nil {
		if err := told.follow(ctx, c); err != nil {
			return errors.Join(err, process.lastWords())
		}
	}
	for _, next := range cells {
		r, err := p.measure(ctx, next, process, c)
		if err != nil {
			return errors.Join(fmt.Errorf("%s: %w", next.name(), err), process.lastWords())
		}
		if told != nil {
			r.Told = told.told()
			for way, n := range r.Told {
				if n == 0 && r.Fault == "" { // one of the money says more
					r.Fault = "nothing came by way of " + way
				}
			}
		}
		p.keep(r)
	}
	return p.prove(ctx, s, options, process)
}

func (p *pass) serverOptions(ctx context.Context, s system) (serverOptions, error) {
	folder, err := p.newFolder(s)
	if err != nil {
		return serverOptions{}, err
	}
	o := serverOptions{binary: p.binary, folder: folder, bankURL: p.bank.url()}
	switch s {
	case onSQLite, oneSQLite:
		o.databaseURL = "sqlite://" + filepath.Join(folder, "florin.db")
	default:
		if o.databaseURL, err = sqlline.CreateDatabase(ctx, p.database.URL, databaseOf(s)); err != nil {
			return serverOptions{}, err
		}
	}
	if s == onePostgres || s == oneSQLite {
		o.laneBatch = 1
	}
	return o, nil
}

// databaseOf names a system's database on the PostgreSQL server.
func databaseOf(s system) string { return "florin-" + string(s) }

// startTwice notes how long the server takes to its first answer, on an empty database and on one with its schema.
func (p *pass) startTwice(ctx context.Context, s system, o serverOptions) (*serverProcess, error) {
	first, err := startServer(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := first.stop(); err != nil {
		return nil, err
	}
	second, err := startServer(ctx, o)
	if err != nil {
		return nil, err
	}
	p.run.Starts = append(p.run.Starts, start{s, milliseconds(first.start), milliseconds(second.start)})
	return second, nil
}

// prove stops the server and looks at what it has left behind.
func (p *pass) prove(ctx context.Context, s system, o serverOptions, process *serverProcess) error {
	if err := process.stop(); err != nil {
		return err
	}
	complaints, err := process.complaints()
	if err != nil {
		return err
	}
	if complaints > 0 {
		p.run.Faults = append(p.run.Faults, fmt.Sprintf("%s: %d errors in the server's log; %v", s, complaints, process.lastWords()))
	}
	if err := verifyBooks(ctx, o); err != nil {
		p.run.Faults = append(p.run.Faults, fmt.Sprintf("%s: %v", s, err))
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return sqlline.DropDatabase(ctx, p.database.URL, databaseOf(s))
}

// edge is what is read at an end of the window.
type edge struct {
	at      time.Time
	usage   usage
	balance int64 // minor units; of deposits alone
	err     error
}

// measure runs one cell on the server and checks the money afterwards.
func (p *pass) measure(ctx context.Context, c cell, process *serverProcess, people *customers) (*result, error) {
	if err := people.refresh(ctx); err != nil {
		return nil, err
	}
	before, err := people.total(ctx)
	if err != nil {
		return nil, err
	}
	var count accepted
	workers := make([]operation, c.Connections)
	for i := range workers {
		connection := &conn{address: people.address}
		defer connection.close()
		pick := newPicker(c.Spread, len(people.accounts), uint64(i))
		if c.Work == workDeposit {
			workers[i] = people.deposits(connection, pick, p.bank, &count)
		} else {
			workers[i] = people.transfers(connection, pick)
		}
	}
	pid := process.cmd.Process.Pid
	var edges []edge
	var residentKiB, peakKiB int64
	var relay time.Duration
	rate := p.rateOf(c)
	m := p.load(ctx, c, workers, rate, func() {
		e := p.lookAt(ctx, c, pid, people)
		if len(edges) == 1 {
			relay, err = process.relayAge(ctx)
			e.err = errors.Join(e.err, err)
			residentKiB, peakKiB, _ = memory(pid) // 0 where the system does not tell
		}
		edges = append(edges, e)
	})
	if len(edges) < 2 {
		return nil, ctx.Err()
	}
	if err := errors.Join(edges[0].err, edges[1].err); err != nil {
		return nil, err
	}
	if c.Work == workDeposit {
		// What counts is what the balances show, not what was answered.
		m.done, m.elapsed = (edges[1].balance-edges[0].balance)/depositMinor, edges[1].at.Sub(edges[0].at)
	}
	r := newResult(c, m, 1)
	r.CPU = per1000(edges[0].usage, edges[1].usage, r.Operations)
	r.ResidentMiB, r.PeakMiB, r.RelayMS = float64(residentKiB)/1024, float64(peakKiB)/1024, milliseconds(relay)
	if c.Open {
		r.OfferedPS = rate
	}
	people.check(ctx, r, before, count.deposits.Load())
	return r, process.awaitRelay(ctx)
}

// lookAt reads the balances between two looks at the clock, and takes the middle for their time.
func (p *pass) lookAt(ctx context.Context, c cell, pid int, people *customers) edge {
	e := edge{at: time.Now()}
	if c.Work == workDeposit {
		e.balance, e.err = people.total(ctx)
		e.at = e.at.Add(time.Since(e.at) / 2)
	}
	e.usage = p.used(pid)
	return e
}

// rateOf is what an open loop offers.
func (p *pass) rateOf(c cell) int64 {
	switch {
	case !c.Open:
		return 0
	case p.settings.rate > 0:
		return p.settings.rate
	}
	c.Open, c.Connections = false, 64
	if closed := p.run.find(c.name()); closed != nil {
		return max(int64(closed.PerSecond)*openShare/100, 1)
	}
	return openFallback
}

// check compares the balances with what was done: a transfer changes no sum, and every deposit that was accepted is credited
// within settledWithin.
func (c *customers) check(ctx context.Context, r *result, before, deposits int64) {
	if r.Work != workDeposit {
		after, err := c.total(ctx)
		switch {
		case err != nil:
			r.Fault = err.Error()
		case after != before:
			r.Fault = fmt.Sprintf("the sum of the balances went from %d to %d minor units", before, after)
		}
		return
	}
	if deposits == 0 {
		r.Fault = "no deposit was accepted"
		return
	}
	after, err := c.awaitTotal(ctx, before+deposits*depositMinor)
	if err != nil {
		r.Fault = err.Error()
	}
	credited := float64(after-before) / float64(deposits*depositMinor)
	r.Credited = &credited
}
