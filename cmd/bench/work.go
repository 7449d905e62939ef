package main

import (
	"context"
	crand "crypto/rand"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"
)

// What each operation moves, as text for the API and in minor units.
const (
	transferAmount = "0.01"
	depositAmount  = "1.00"
	depositMinor   = 100
)

// spread says which of the accounts an operation touches.
type spread string

const (
	uniform spread = "uniform" // any as likely as any other
	zipf    spread = "zipf"    // few often and most seldom: the k-th with a probability that falls with k^-1.1
	hot     spread = "hot"     // the first is one side of every transfer, and the target of every deposit
)

const zipfExponent = 1.1

// picker draws accounts by their numbers. It serves one goroutine.
type picker struct {
	spread   spread
	accounts int
	random   *rand.Rand
	zipf     *rand.Zipf
}

// newPicker draws from at least two accounts. The same seed draws the same.
func newPicker(s spread, accounts int, seed uint64) *picker {
	random := rand.New(rand.NewPCG(seed, 0x666c6f72696e))                                          //nolint:gosec // a load is to be the same each time
	return &picker{s, accounts, random, rand.NewZipf(random, zipfExponent, 1, uint64(accounts-1))} //nolint:gosec // at least 1
}

// pair is two accounts that differ.
func (p *picker) pair() (from, to int) {
	if p.spread == hot {
		other := 1 + p.random.IntN(p.accounts-1)
		// Both ways, so that the hot account keeps its funds.
		if p.random.IntN(2) == 0 {
			return 0, other
		}
		return other, 0
	}
	from = p.one()
	for to = p.one(); to == from; {
		to = p.one()
	}
	return from, to
}

func (p *picker) one() int {
	switch p.spread {
	case hot:
		return 0
	case zipf:
		return int(p.zipf.Uint64()) //nolint:gosec // below the number of accounts
	default:
		return p.random.IntN(p.accounts)
	}
}

// keys makes Idempotency-Keys that were never used before.
type keys struct {
	run  string
	used atomic.Uint64
}

func newKeys() *keys { return &keys{run: "bench-" + crand.Text()} }

func (k *keys) fresh() header {
	return header{"Idempotency-Key", fmt.Sprintf("%s-%d", k.run, k.used.Add(1))}
}

// transfers is the operation of one client that transfers between customers' accounts.
func (c *customers) transfers(connection *conn, pick *picker) operation {
	return func(ctx context.Context) string {
		from, to := pick.pair()
		source := c.accounts[from]
		body := `{"amount":"` + transferAmount + `","currency":"EUR","destination_account_id":"` + c.accounts[to].id + `"}`
		status, _, err := connection.call(ctx, http.MethodPost, "/account/"+source.id+"/transfer", body, source.owner.bearer(), c.keys.fresh())
		return failureOf(status, err, http.StatusOK)
	}
}

// accepted counts the deposits whose webhook was answered with 200: money that must be on the accounts.
type accepted struct{ deposits atomic.Int64 }

// confirmTries is how often a bank sends a webhook that is not taken.
const confirmTries = 20

// deposits is the operation of one client whose payments the bank confirms: the deposit, then the signed webhook. It is over
// when the webhook has been answered, which is after the commit that credits the account.
func (c *customers) deposits(connection *conn, pick *picker, b *bank, count *accepted) operation {
	return func(ctx context.Context) string {
		return c.deposit(ctx, connection, c.accounts[pick.one()], depositAmount, depositMinor, b, count)
	}
}

func (c *customers) deposit(ctx context.Context, connection *conn, to accountOf, amount string, minor int64, b *bank, count *accepted) string {
	body := `{"amount":"` + amount + `","currency":"EUR","money_source":"card"}`
	status, answer, err := connection.call(ctx, http.MethodPost, "/account/"+to.id+"/deposit", body, to.owner.bearer(), c.keys.fresh())
	if failure := failureOf(status, err, http.StatusAccepted, http.StatusOK); failure != "" {
		return failure
	}
	var opened struct {
		ID string `json:"id"`
	}
	if json.Unmarshal(answer, &opened) != nil || opened.ID == "" {
		return "unreadable"
	}
	failure := ""
	for range confirmTries {
		body, headers, err := b.confirm(payment{opened.ID, minor, "EUR"})
		if err != nil {
			return "unsigned"
		}
		status, _, err := connection.call(ctx, http.MethodPost, "/webhook/mock", body, headers...)
		if failure = failureOf(status, err, http.StatusOK); failure == "" {
			count.deposits.Add(1)
			return ""
		}
		if !waitUntil(ctx, time.Now().Add(10*afterFailure)) {
			break
		}
	}
	return "webhook_" + failure
}
