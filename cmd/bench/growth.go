package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"florin/infra/database"
	"florin/infra/database/databasetest/seed"
	"florin/infra/database/databasetest/sqlline"
	"florin/service/auth"
)

// size is how large the books are when they are measured.
type size struct {
	Accounts     int `json:"accounts"`
	Transactions int `json:"transactions"`
}

func (s size) String() string { return fmt.Sprintf("%d:%d", s.Accounts, s.Transactions) }

// smallest is what seeded books need: one account is one deposit.
const smallest = 100

// sizes is a flag: "1000:100000,1000:1000000", accounts and transactions.
type sizes []size

func (s *sizes) String() string {
	texts := make([]string, len(*s))
	for i, one := range *s {
		texts[i] = one.String()
	}
	return strings.Join(texts, ",")
}

// Set reads the flag.
func (s *sizes) Set(text string) error {
	*s = nil
	for part := range strings.SplitSeq(text, ",") {
		left, right, _ := strings.Cut(part, ":")
		accounts, err := strconv.Atoi(left)
		if err != nil {
			return fmt.Errorf("%q is not accounts:transactions", part)
		}
		transactions, err := strconv.Atoi(right)
		if err != nil || accounts < smallest || transactions < accounts {
			return fmt.Errorf("%q is not accounts:transactions, at least %d and as many transactions as accounts", part, smallest)
		}
		*s = append(*s, size{accounts, transactions})
	}
	return nil
}

// grown is what was measured on books of one size.
type grown struct {
	size
	FillS float64          `json:"fill_seconds"`
	Bytes map[string]int64 `json:"bytes_by_table"` // with the indexes, after the fill
	// BytesPerTransfer is how much all tables grew by, for each transfer of the load.
	BytesPerTransfer float64       `json:"bytes_per_transfer"`
	Transfers        *result       `json:"transfers"`
	Reads            []readLatency `json:"reads"`
}

// fillStatement bounds one statement of the fill.
const fillStatement = 30 * time.Minute

// between is the time from one seeded transaction to the next: a month of an account has the same number of lines, however
// long ago the history began.
const between = 30 * time.Second

// growthBuffers is a quarter of the memory of a small server, as docs/scaling.md advises: books of a million payments do not
// fit into what the cells have.
const growthBuffers = "shared_buffers=2GB"

// growth measures the same load and the same reads on books of each size, one after the other on the same server.
func (b *bench) growth(ctx context.Context) (_ *run, err error) {
	r := &run{}
	p, err := b.begin(ctx, r, growthBuffers)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.database.Stop()) }()
	for _, s := range b.settings.growth {
		g, err := p.grow(ctx, s)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s, err)
		}
		r.Growth = append(r.Growth, g)
		p.run.Results = nil // each size has its own
	}
	return r, nil
}

// grow fills a database, measures the server on it, proves the books and drops them.
func (p *pass) grow(ctx context.Context, s size) (_ *grown, err error) {
	g := &grown{size: s}
	options, err := p.serverOptions(ctx, onPostgres)
	if err != nil {
		return nil, err
	}
	books, err := p.fill(ctx, options, g)
	if err != nil {
		return nil, err
	}
	process, err := startServer(ctx, options)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, process.stop()) }()
	c, err := customersOf(ctx, process.address, books, p.settings.users, s.Accounts)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("log in: %w", err), process.lastWords())
	}
	defer c.close()
	// Reads first: the transfers that follow would still be written out beside them.
	if g.Reads, err = p.reads(ctx, process, c, books, s); err != nil {
		return nil, errors.Join(err, process.lastWords())
	}
	if g.Transfers, err = p.measure(ctx, cell{onPostgres, workTransfer, uniform, 64, false}, process, c); err != nil {
		return nil, errors.Join(err, process.lastWords())
	}
	fmt.Fprintln(p.out, line(g.Transfers))
	if g.Transfers.Fault != "" {
		p.run.Faults = append(p.run.Faults, s.String()+": "+g.Transfers.Fault)
	}
	if g.BytesPerTransfer, err = p.bytesPerTransfer(ctx, options, g, books); err != nil {
		return nil, err
	}
	return g, p.prove(ctx, onPostgres, options, process)
}

// fill has the server make its schema, and writes the books.
func (p *pass) fill(ctx context.Context, o serverOptions, g *grown) (*seed.Books, error) {
	process, err := startServer(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := process.stop(); err != nil {
		return nil, err
	}
	hash, err := auth.NewPasswords(auth.StandardCost, 1, 0).Hash(ctx, password, "")
	if err != nil {
		return nil, err
	}
	db, err := database.Open(ctx, o.databaseURL, database.Options{Logger: slog.New(slog.DiscardHandler), StatementTimeout: fillStatement})
	if err != nil {
		return nil, err
	}
	began := time.Now()
	past := time.Duration(g.Transactions+1) * between
	books, err := seed.Fill(ctx, db, seed.Plan{Users: p.settings.users, Accounts: g.Accounts, Transactions: g.Transactions,
		Start: began.Add(-past).UTC().Truncate(time.Second), Every: between, PasswordHash: hash})
	if err = errors.Join(err, db.Close()); err != nil {
		return nil, err
	}
	g.FillS = time.Since(began).Seconds()
	fmt.Fprintf(p.out, "%s: written in %.0f s\n", g.size, g.FillS)
	if err := sqlline.Checkpoint(ctx, o.databaseURL); err != nil {
		return nil, err
	}
	g.Bytes, err = sqlline.TableBytes(ctx, o.databaseURL)
	return books, err
}

// bytesPerTransfer divides the growth of all tables by the number of transfers that were added, those of the warm-up included.
func (p *pass) bytesPerTransfer(ctx context.Context, o serverOptions, g *grown, books *seed.Books) (float64, error) {
	after, err := sqlline.TableBytes(ctx, o.databaseURL)
	if err != nil {
		return 0, err
	}
	added, err := sqlline.CountAfter(ctx, o.databaseURL, "transactions", books.Transaction(g.Transactions))
	if err != nil || added == 0 {
		return 0, err
	}
	return float64(sum(after)-sum(g.Bytes)) / float64(added), nil
}

func sum(bytes map[string]int64) (total int64) {
	for _, n := range bytes {
		total += n
	}
	return total
}

// customersOf logs the users of seeded books in.
func customersOf(ctx context.Context, address string, books *seed.Books, users, accounts int) (*customers, error) {
	c := &customers{address: address, users: make([]*customer, users), accounts: make([]accountOf, accounts), keys: newKeys(),
		tokensAt: time.Now(), settle: settledWithin}
	for i := range c.users {
		c.users[i] = &customer{api: &conn{address: address}}
		if err := c.users[i].login(ctx, books.Username(i)); err != nil {
			c.close()
			return nil, err
		}
	}
	for i := range c.accounts {
		c.accounts[i] = accountOf{books.Account(i).String(), c.users[books.Owner(i)]}
	}
	return c, nil
}
