package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"florin/domain/currency"
	"florin/domain/money"
)

const (
	password = "correct horse battery"
	// funding is what each account begins with: more than transfers of a cent can use up in a run.
	funding      = "1000000.00"
	fundingMinor = 100_000_000
	// settingUp is how many connections open and fund accounts.
	settingUp = 16
	// settledWithin is how long after a load everything that it set off may take.
	settledWithin = 10 * time.Second
	// tokenAge is when tokens are refreshed; they live for 15 minutes, and a cell is bounded to maxCell.
	tokenAge = 5 * time.Minute
)

// customers are the users and accounts of one server, all made through its API.
type customers struct {
	address  string
	users    []*customer
	accounts []accountOf // of one user after the other; the first is the hot one
	keys     *keys
	tokensAt time.Time
	// settle is how long after a load what was accepted may take to be on the accounts.
	settle time.Duration
}

type customer struct {
	access, refresh string
	// api is for what is asked between the loads.
	api *conn
}

func (u *customer) bearer() header { return header{"Authorization", "Bearer " + u.access} }

type accountOf struct {
	id    string
	owner *customer
}

// tokens is the answer of login and refresh.
type tokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
}

// newCustomers registers users and opens accounts, the same number for each user, and funds them by deposits that the bank
// confirms.
func newCustomers(ctx context.Context, address string, users, accounts int, b *bank) (*customers, error) {
	c := &customers{address: address, users: make([]*customer, users), accounts: make([]accountOf, accounts), keys: newKeys(),
		tokensAt: time.Now(), settle: settledWithin}
	registering, within := errgroup.WithContext(ctx)
	registering.SetLimit(2) // a password hash is a processor for itself
	for i := range c.users {
		registering.Go(func() (err error) {
			c.users[i], err = register(within, address, fmt.Sprintf("customer%d", i))
			return err
		})
	}
	if err := registering.Wait(); err != nil {
		c.close()
		return nil, err
	}
	var count accepted
	opening, within := errgroup.WithContext(ctx)
	for n := range settingUp {
		opening.Go(func() error {
			connection := &conn{address: address}
			defer connection.close()
			for i := n; i < accounts; i += settingUp {
				owner := c.users[i%users]
				if err := c.open(within, connection, owner, i); err != nil {
					return err
				}
				if failure := c.deposit(within, connection, c.accounts[i], funding, fundingMinor, b, &count); failure != "" {
					return fmt.Errorf("fund an account: %s", failure)
				}
			}
			return nil
		})
	}
	if err := opening.Wait(); err != nil {
		c.close()
		return nil, err
	}
	if _, err := c.awaitTotal(ctx, int64(accounts)*fundingMinor); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func register(ctx context.Context, address, name string) (*customer, error) {
	u := &customer{api: &conn{address: address}}
	body := fmt.Sprintf(`{"username":%q,"email":"%s@example.com","password":%q}`, name, name, password)
	if err := u.api.ask(ctx, http.MethodPost, "/user", body, nil); err != nil {
		return u, err
	}
	return u, u.login(ctx, name)
}

// login is for a user who is there already.
func (u *customer) login(ctx context.Context, name string) error {
	var in tokens
	if err := u.api.ask(ctx, http.MethodPost, "/auth/login", fmt.Sprintf(`{"identity":%q,"password":%q}`, name, password), &in); err != nil {
		return err
	}
	u.access, u.refresh = in.Access, in.Refresh
	return nil
}

func (c *customers) open(ctx context.Context, connection *conn, owner *customer, number int) error {
	var opened struct {
		ID string `json:"id"`
	}
	if err := connection.ask(ctx, http.MethodPost, "/account", `{"currency":"EUR"}`, &opened, owner.bearer(), c.keys.fresh()); err != nil {
		return err
	}
	c.accounts[number] = accountOf{opened.ID, owner}
	return nil
}

// refresh gives everybody a new token where the old ones are no longer young. It must not run beside a load.
func (c *customers) refresh(ctx context.Context) error {
	if time.Since(c.tokensAt) < tokenAge {
		return nil
	}
	c.tokensAt = time.Now()
	for _, u := range c.users {
		body, err := json.Marshal(map[string]string{"refresh_token": u.refresh})
		if err != nil {
			return err
		}
		var in tokens
		if err := u.api.ask(ctx, http.MethodPost, "/auth/refresh", string(body), &in); err != nil {
			return err
		}
		u.access, u.refresh = in.Access, in.Refresh
	}
	return nil
}

// total is the sum of what is posted on all accounts, in minor units, as the API tells it. Beside a load it is no snapshot.
func (c *customers) total(ctx context.Context) (int64, error) {
	sum := money.Zero(currency.MustParse("EUR"))
	for _, u := range c.users {
		var answer struct {
			Totals []struct {
				Posted string `json:"posted"`
			} `json:"totals"`
		}
		if err := u.api.ask(ctx, http.MethodGet, "/accounts/balance/aggregate", "", &answer, u.bearer()); err != nil {
			return 0, err
		}
		for _, t := range answer.Totals {
			posted, err := money.Parse(t.Posted, sum.Currency())
			if err != nil {
				return 0, err
			}
			if sum, err = sum.Add(posted); err != nil {
				return 0, err
			}
		}
	}
	return sum.Minor(), nil
}

// awaitTotal waits until the accounts hold the sum, and returns what they hold. The error says where that is something else.
func (c *customers) awaitTotal(ctx context.Context, want int64) (got int64, err error) {
	deadline := time.Now().Add(c.settle)
	for {
		got, err := c.total(ctx)
		switch {
		case err != nil || got == want:
			return got, err
		case time.Now().After(deadline):
			return got, fmt.Errorf("the accounts hold %d minor units %s after the load, not %d", got, c.settle, want)
		}
		if !waitUntil(ctx, time.Now().Add(50*time.Millisecond)) {
			return got, ctx.Err()
		}
	}
}

func (c *customers) close() {
	for _, u := range c.users {
		if u != nil {
			u.api.close()
		}
	}
}
