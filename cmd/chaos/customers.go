package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"florin/infra/database/databasetest/oracle"
)

// clientsOfUser is how many clients work for one user: they compete for its accounts.
const clientsOfUser = 4

// tokenAge is when users log in again; tokens live for 15 minutes.
const tokenAge = 5 * time.Minute

// scenarios that a payment can be asked for with. They are those after which it settles by itself.
type scenario struct {
	name   string
	weight int
	slow   bool // settles only when the provider is asked, after 15 s and more
}

var depositScenarios = []scenario{
	{"", 60, false}, {"decline", 3, false}, {"decline_later", 3, false}, {"duplicate", 6, false}, {"early", 4, false}, {"late", 2, false},
	{"reorder", 4, false}, {"timeout_but_charged", 1, false}, {"partial_capture", 3, false}, {"wrong_amount", 3, false}, {"fee", 3, false},
	{"refund", 3, false}, {"refund_fails", 3, false}, {"dispute", 2, false}, {"dispute_won", 2, false}, {"dispute_lost", 2, false},
	{"paid_then_failed", 2, false}, {"drop", 3, true},
}

var payoutScenarios = []scenario{
	{"", 60, false}, {"decline", 4, false}, {"decline_later", 6, false}, {"duplicate", 6, false}, {"early", 4, false}, {"late", 2, false},
	{"reorder", 4, false}, {"timeout_but_charged", 1, false}, {"wrong_amount", 3, false}, {"paid_then_failed", 3, false}, {"return", 4, false},
	{"drop", 3, true},
}

// scenario draws one.
func (w *world) scenario(list []scenario, random *rand.Rand) string {
	sum := 0
	for _, s := range list {
		if !s.slow || !w.settings.short {
			sum += s.weight
		}
	}
	n := random.IntN(sum)
	for _, s := range list {
		if s.slow && w.settings.short {
			continue
		}
		if n -= s.weight; n < 0 {
			return s.name
		}
	}
	return ""
}

// openClients registers the users, opens their accounts and makes the clients.
func (w *world) openClients(random func(stream uint64) *rand.Rand) error {
	users := (w.settings.clients + clientsOfUser - 1) / clientsOfUser
	for i := range users {
		u := &customer{name: fmt.Sprintf("customer%d", i+1)}
		c := w.newClient(u, random(uint64(1000+i)))
		if _, err := c.must(http.MethodPost, "/user", fmt.Sprintf(`{"username":%q,"email":"%s@example.com","password":%q}`, u.name, u.name, password)); err != nil {
			return err
		}
		w.users = append(w.users, u)
	}
	if err := w.logIn(); err != nil {
		return err
	}
	for _, u := range w.users {
		c := w.newClient(u, random(0))
		for _, currency := range []string{"EUR", "EUR", "USD"} {
			got, err := c.must(http.MethodPost, "/account", fmt.Sprintf(`{"currency":%q}`, currency))
			if err != nil {
				return err
			}
			u.accounts = append(u.accounts, &oracle.Account{ID: got.ID, Currency: currency})
		}
		w.accounts = append(w.accounts, u.accounts...)
	}
	for i := range w.settings.clients {
		w.clients = append(w.clients, w.newClient(w.users[i%users], random(uint64(i+1))))
	}
	return nil
}

func (w *world) newClient(u *customer, random *rand.Rand) *client {
	return &client{world: w, who: u, others: w.accounts, random: random,
		http: &http.Client{Timeout: answerWithin, Transport: &http.Transport{MaxIdleConnsPerHost: 1}}}
}

// logIn gives everybody a new token where the old ones are no longer young. It must not run beside the load.
func (w *world) logIn() error {
	if time.Since(w.loggedIn) < tokenAge {
		return nil
	}
	w.loggedIn = time.Now()
	for _, u := range w.users {
		u.token.Store(nil)
		c := w.newClient(u, nil)
		got, err := c.must(http.MethodPost, "/auth/login", fmt.Sprintf(`{"identity":%q,"password":%q}`, u.name, password))
		if err != nil {
			return err
		}
		u.token.Store(&got.Access)
	}
	return nil
}

// load starts the clients. stop ends them, and resolved waits until they know what they can know; it needs a server that serves.
func (w *world) load() (stop func(), resolved func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, c := range w.clients {
		running.Go(func() { c.run(ctx) })
	}
	return cancel, func() {
		cancel()
		running.Wait()
		for _, c := range w.clients {
			running.Go(c.resolve)
		}
		running.Wait()
	}
}
