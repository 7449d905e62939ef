package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"florin/infra/database/databasetest/oracle"
)

const (
	// answerWithin is a client's patience for one answer: longer than the server lets a client wait for a provider.
	answerWithin = 8 * time.Second
	// knownWithin is how long clients ask, once nothing is wrong any more, before they leave an operation unknown for good.
	knownWithin = 45 * time.Second
)

// customer is a user with accounts.
type customer struct {
	name     string
	token    atomic.Pointer[string]
	accounts []*oracle.Account
}

// client does one operation after the other for a customer.
type client struct {
	world  *world
	who    *customer
	others []*oracle.Account // of everybody
	random *rand.Rand
	http   *http.Client
	later  []*oracle.Operation // whose outcome is asked for when the load has ended
}

// run works until ctx ends, and asks then for what it does not know yet.
func (c *client) run(ctx context.Context) {
	for ctx.Err() == nil {
		o := c.draw()
		c.world.history.begin(o)
		c.try(o, 2)
		rest(c.random, 0, 8*time.Millisecond)
	}
}

// resolve asks again for everything that had no answer. A part of it is left unknown, as by clients that are gone.
func (c *client) resolve() {
	began := time.Now()
	for _, o := range c.later {
		if c.random.IntN(5) == 0 {
			continue
		}
		for o.Outcome == oracle.Unknown && time.Since(began) < knownWithin {
			c.try(o, 1)
		}
	}
	c.later = nil
}

// try asks up to n times. What is unknown then is for later.
func (c *client) try(o *oracle.Operation, n int) {
	first := o.Tries == 0
	for range n {
		o.Tries++
		c.ask(o)
		if o.Outcome != oracle.Unknown {
			break
		}
		o.WasUnknown = true
		rest(c.random, 20*time.Millisecond, 150*time.Millisecond)
	}
	switch {
	case o.Outcome == oracle.Unknown && first:
		c.later = append(c.later, o)
	case o.Outcome == oracle.Acked && c.random.IntN(30) == 0:
		c.repeat(o)
	}
}

// repeat sends an operation again that is known to be accepted.
func (c *client) repeat(o *oracle.Operation) {
	again := *o
	again.Outcome, again.Transaction = oracle.Unknown, ""
	c.ask(&again)
	switch {
	case again.Outcome == oracle.Refused:
		c.world.history.find("a repeat of an accepted operation was refused: %s", o)
	case again.Outcome == oracle.Acked && again.Transaction != o.Transaction:
		c.world.history.find("doubled: a repeat got transaction %s: %s", again.Transaction, o)
	case again.Outcome == oracle.Acked:
		c.world.history.replayed()
	}
}

// draw chooses what to do next.
func (c *client) draw() *oracle.Operation {
	o := &oracle.Operation{From: c.who.accounts[c.random.IntN(len(c.who.accounts))], Amount: 1 + c.random.Int64N(50_00)}
	switch n := c.random.IntN(10); {
	case n < 4:
		o.Kind, o.Amount = oracle.Deposit, o.Amount*2
		o.Scenario = c.world.scenario(depositScenarios, c.random)
	case n < 6:
		o.Kind = oracle.Withdraw
		o.Scenario = c.world.scenario(payoutScenarios, c.random)
	default:
		o.Kind = oracle.Transfer
		for o.To == nil || o.To == o.From {
			o.To = c.others[c.random.IntN(len(c.others))]
		}
	}
	return o
}

// body is the request of an operation, the same bytes each time.
func bodyOf(o *oracle.Operation) string {
	metadata := fmt.Sprintf(`{"op":%q}`, o.ID)
	if o.Scenario != "" {
		metadata = fmt.Sprintf(`{"mock_scenario":%q,"op":%q}`, o.Scenario, o.ID)
	}
	money := fmt.Sprintf(`"amount":"%d.%02d","currency":%q`, o.Amount/100, o.Amount%100, o.From.Currency)
	switch o.Kind {
	case oracle.Deposit:
		return fmt.Sprintf(`{%s,"money_source":"card","metadata":%s}`, money, metadata)
	case oracle.Withdraw:
		return fmt.Sprintf(`{%s,"external_target":{"bank_account_number":"DE89370400440532013000"},"metadata":%s}`, money, metadata)
	default:
		return fmt.Sprintf(`{%s,"destination_account_id":%q,"metadata":%s}`, money, o.To.ID, metadata)
	}
}

// answer is what the rig reads of any answer.
type answer struct {
	status    int
	header    http.Header
	ID        string `json:"id"`
	Code      string `json:"code"`
	Detail    string `json:"detail"`
	RequestID string `json:"request_id"`
	Access    string `json:"access_token"`
}

// refusals are the codes of a definite no that the load can run into.
var refusals = map[string]bool{"insufficient_funds": true, "account_in_debt": true, "amount_too_small": true}

// ask sends the operation once and sorts the answer. One that belongs to no class is a finding.
func (c *client) ask(o *oracle.Operation) {
	got, err := c.call(http.MethodPost, "/account/"+o.From.ID+"/"+o.Kind, bodyOf(o), o.Key)
	switch {
	case err != nil: // no answer, or one that broke off
	case got.status == http.StatusOK || got.status == http.StatusAccepted:
		o.Outcome, o.Transaction = oracle.Acked, got.ID
		if got.ID == "" {
			c.world.history.find("an accepted operation has no id: %s", o)
		}
	case got.status == http.StatusUnprocessableEntity && refusals[got.Code]:
		o.Outcome = oracle.Refused
	case got.status == http.StatusConflict && got.Code == "idempotency_key_in_flight", got.status == http.StatusServiceUnavailable:
		if got.header.Get("Retry-After") == "" {
			c.world.history.find("%d %s without Retry-After, request %s: %s", got.status, got.Code, got.RequestID, o)
		}
	default:
		c.world.unexplained(got, o)
	}
}

// call sends a request to the server through its proxy.
func (c *client) call(method, path, body, key string) (answer, error) {
	request, err := http.NewRequestWithContext(context.Background(), method, "http://"+c.world.front+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	request.GetBody = nil // or the transport repeats by itself what carries an Idempotency-Key
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	if token := c.who.token.Load(); token != nil {
		request.Header.Set("Authorization", "Bearer "+*token)
	}
	if key != "" {
		request.Header.Set("Idempotency-Key", key)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{}, err
	}
	got := answer{status: response.StatusCode, header: response.Header}
	if err := json.Unmarshal(content, &got); err != nil {
		return answer{}, fmt.Errorf("%s %s: %d: %w", method, path, response.StatusCode, err)
	}
	return got, nil
}

// must is call for what is asked while nothing is wrong.
func (c *client) must(method, path, body string) (answer, error) {
	got, err := c.call(method, path, body, "")
	if err == nil && got.status >= 300 {
		err = fmt.Errorf("%s %s: %d %s: %s", method, path, got.status, got.Code, got.Detail)
	}
	return got, err
}

func rest(random *rand.Rand, from, to time.Duration) { time.Sleep(between(random, from, to)) }
