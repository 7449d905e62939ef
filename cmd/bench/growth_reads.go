package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"florin/infra/database/databasetest/seed"
)

// readLatency is how long a read takes that readers clients repeat.
type readLatency struct {
	Name       string           `json:"name"`
	Operations int64            `json:"operations"`
	Latency    quantiles        `json:"latency_ms"`
	CPU        *cpu             `json:"cpu_seconds_per_1000,omitempty"` // nil without /proc
	Failures   map[string]int64 `json:"failures,omitempty"`
}

const (
	// readers is how many clients read at a time: enough to keep two processors busy, too few to queue.
	readers = 2
	// deepLists is how many lists are followed to their middle, for the cursors of deep pages.
	deepLists = 16
	// month is the statement that is read.
	month = 30 * 24 * time.Hour
)

// get is one read: its path, and the header Accept where it needs one.
type get struct{ path, accept string }

// readsOf names the reads and draws one of each for an account.
func (p *pass) readsOf(ctx context.Context, c *customers, books *seed.Books, s size) (names []string, draw func(name string, a int, r *rand.Rand) get, err error) {
	deep, err := deepPages(ctx, c, s)
	if err != nil {
		return nil, nil, err
	}
	from, until := books.At(1), books.At(s.Transactions)
	anyTime := func(r *rand.Rand, last time.Time) time.Time {
		return from.Add(time.Duration(r.Int64N(max(int64(last.Sub(from)), 1)))).Truncate(time.Second)
	}
	names = []string{"balance", "balance at a past time", "transactions, first page", "transactions, page in the middle", "entries, first page",
		"statement of a month", "transaction", "timeline"}
	draw = func(name string, a int, r *rand.Rand) get {
		account := "/account/" + c.accounts[a].id
		switch name {
		case "balance":
			return get{path: account + "/balance"}
		case "balance at a past time":
			return get{path: account + "/balance?at=" + stamp(anyTime(r, until))}
		case "transactions, first page":
			return get{path: account + "/transactions"}
		case "transactions, page in the middle":
			return get{path: deep[a%deepLists]}
		case "entries, first page":
			return get{path: account + "/entries"}
		case "statement of a month":
			begin := anyTime(r, until.Add(-month))
			return get{account + "/entries?from=" + stamp(begin) + "&to=" + stamp(begin.Add(month)), "text/csv"}
		default:
			// The first transaction of an account is the deposit that funded it.
			path := "/transaction/" + books.Transaction(a+1).String()
			if name == "timeline" {
				path += "/timeline"
			}
			return get{path: path}
		}
	}
	return names, draw, nil
}

func stamp(at time.Time) string { return url.QueryEscape(at.UTC().Format(time.RFC3339)) }

// deepPages follows some accounts' lists of transactions to the middle, and returns the paths of the next page.
func deepPages(ctx context.Context, c *customers, s size) ([]string, error) {
	paths := make([]string, deepLists)
	half := s.Transactions / s.Accounts * 9 / 10 // an account has 1.8 lines for each transaction there is to an account
	for a := range paths {
		list := "/account/" + c.accounts[a].id + "/transactions"
		paths[a] = list
		for read := 0; read < half; read += 100 {
			var page struct {
				Next *string `json:"next_cursor"`
			}
			if err := c.accounts[a].owner.api.ask(ctx, http.MethodGet, paths[a]+separator(paths[a])+"limit=100", "", &page, c.accounts[a].owner.bearer()); err != nil {
				return nil, err
			}
			if page.Next == nil {
				break
			}
			paths[a] = list + "?cursor=" + url.QueryEscape(*page.Next)
		}
	}
	return paths, nil
}

func separator(path string) string {
	if u, err := url.Parse(path); err == nil && u.RawQuery != "" {
		return "&"
	}
	return "?"
}

// reads measures each read by itself.
func (p *pass) reads(ctx context.Context, process *serverProcess, c *customers, books *seed.Books, s size) ([]readLatency, error) {
	names, draw, err := p.readsOf(ctx, c, books, s)
	if err != nil {
		return nil, err
	}
	measured := make([]readLatency, 0, len(names))
	for _, name := range names {
		if err := c.refresh(ctx); err != nil {
			return nil, err
		}
		workers := make([]operation, readers)
		for i := range workers {
			connection := &conn{address: c.address}
			defer connection.close()
			random := rand.New(rand.NewPCG(uint64(i), 0x72656164)) //nolint:gosec // a load is to be the same each time
			workers[i] = func(ctx context.Context) string {
				a := random.IntN(len(c.accounts))
				if name == "transactions, page in the middle" {
					a %= deepLists
				}
				next := draw(name, a, random)
				status, _, err := connection.call(ctx, http.MethodGet, next.path, "", c.accounts[a].owner.bearer(), header{"Accept", next.accept})
				return failureOf(status, err, http.StatusOK)
			}
		}
		var edges []usage
		m := p.load(ctx, cell{System: onPostgres, Connections: readers}, workers, 0, func() { edges = append(edges, p.used(process.cmd.Process.Pid)) })
		if len(edges) < 2 {
			return nil, ctx.Err()
		}
		r := readLatency{Name: name, Operations: m.done, Latency: quantilesOf(&m.latency), CPU: per1000(edges[0], edges[1], m.done), Failures: m.failures}
		fmt.Fprintf(p.out, "%s: %s: p50 %.2f ms, p99 %.2f ms\n", s, name, r.Latency.P50, r.Latency.P99)
		if m.done == 0 || len(m.failures) > 0 {
			p.run.Faults = append(p.run.Faults, fmt.Sprintf("%s: %s: %v", s, name, m.failures))
		}
		measured = append(measured, r)
	}
	return measured, ctx.Err()
}
