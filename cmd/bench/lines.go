package main

import (
	"context"
	"fmt"
	"sync/atomic"

	"florin/infra/database/databasetest/sqlline"
)

// lines measures the SQL lines on books of their own, and proves the books afterwards.
func (p *pass) lines(ctx context.Context, name string) error {
	cells := of(sqlLines, p.cells)
	if len(cells) == 0 {
		return nil
	}
	url, err := sqlline.CreateDatabase(ctx, p.database.URL, name)
	if err != nil {
		return err
	}
	books, err := sqlline.Open(ctx, url, p.settings.accounts)
	if err != nil {
		return err
	}
	var credits atomic.Int64
	for _, c := range cells {
		if err := p.line(ctx, books, c, &credits); err != nil {
			return fmt.Errorf("%s: %w", c.name(), err)
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := books.Check(ctx, credits.Load()); err != nil {
		p.run.Faults = append(p.run.Faults, name+": "+err.Error())
	}
	// Otherwise its vacuuming would fall into the cells that follow.
	return sqlline.DropDatabase(ctx, p.database.URL, name)
}

func (p *pass) line(ctx context.Context, books *sqlline.Books, c cell, credits *atomic.Int64) error {
	var firstError atomic.Pointer[error]
	workers := make([]operation, c.Connections)
	for i := range workers {
		client, err := books.Client(ctx)
		if err != nil {
			return err
		}
		defer client.Close(context.WithoutCancel(ctx))
		do := lineOf(c, client, newPicker(c.Spread, books.Len(), uint64(i)), credits)
		workers[i] = func(ctx context.Context) string {
			// The end of the run must not cut a statement off: whether it was committed would be unknown.
			if err := do(context.WithoutCancel(ctx)); err != nil {
				firstError.CompareAndSwap(nil, &err)
				return "sql"
			}
			return ""
		}
	}
	var edges []usage
	m := p.load(ctx, c, workers, 0, func() { edges = append(edges, p.used(0)) })
	if len(edges) < 2 {
		return ctx.Err()
	}
	perOperation := int64(1)
	if c.Work == lineE {
		perOperation = perCommit
	}
	r := newResult(c, m, perOperation)
	r.CPU = per1000(edges[0], edges[1], r.Operations)
	if err := firstError.Load(); err != nil {
		r.Fault = (*err).Error()
	}
	p.keep(r)
	return nil
}

func lineOf(c cell, client *sqlline.Client, pick *picker, credits *atomic.Int64) func(context.Context) error {
	switch c.Work {
	case lineD:
		return func(ctx context.Context) error {
			from, to := pick.pair()
			return client.Transfer(ctx, from, to)
		}
	case lineDP:
		return func(ctx context.Context) error {
			from, to := pick.pair()
			return client.TransferPipelined(ctx, from, to)
		}
	case lineB:
		return func(ctx context.Context) error {
			err := client.Credit(ctx, pick.one())
			if err == nil {
				credits.Add(1)
			}
			return err
		}
	default: // lineE
		pairs := make([]sqlline.Pair, perCommit)
		return func(ctx context.Context) error {
			for i := range pairs {
				pairs[i].From, pairs[i].To = pick.pair()
			}
			return client.TransferMany(ctx, pairs)
		}
	}
}
