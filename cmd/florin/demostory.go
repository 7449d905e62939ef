package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sort"
	"strings"
	"time"
)

// The wire shapes, as far as the story reads them.
type (
	accountView struct {
		ID       string  `json:"id"`
		Currency string  `json:"currency"`
		Balance  balance `json:"balance"`
	}
	balance struct {
		Currency  string `json:"currency,omitempty"`
		Posted    string `json:"posted"`
		Held      string `json:"held"`
		Available string `json:"available"`
	}
	transactionView struct {
		ID             string          `json:"id"`
		Status         string          `json:"status"`
		PostedAmount   string          `json:"posted_amount"`
		PostedCurrency string          `json:"posted_currency"`
		Failure        *failureView    `json:"failure"`
		Conversion     *conversionView `json:"conversion"`
	}
	failureView struct {
		Code string `json:"code"`
	}
	conversionView struct {
		Rate              string `json:"rate"`
		ConvertedAmount   string `json:"converted_amount"`
		ConvertedCurrency string `json:"converted_currency"`
	}
	timelineEntry struct {
		At      time.Time `json:"at"`
		Kind    string    `json:"kind"`
		Summary string    `json:"summary"`
	}
)

// object is a JSON body.
type object map[string]any

// run is the story in its order.
func (t *teller) run(ctx context.Context) error {
	c := t.client
	name, password := "demo-"+strings.ToLower(rand.Text()[:8]), rand.Text()
	var eur, usd accountView
	var first transactionView
	return steps(
		func() error { return t.signUp(ctx, name, password) },
		func() error { return t.open(ctx, "EUR", &eur) },
		func() error { return t.open(ctx, "USD", &usd) },
		func() error {
			return t.money(ctx, "deposit 100.00 EUR by card", eur.ID, "deposit",
				object{"amount": "100.00", "currency": "EUR", "money_source": "card"}, &first)
		},
		func() error {
			var second transactionView
			return t.money(ctx, "deposit 50.00 EUR, each webhook three times", eur.ID, "deposit", object{"amount": "50.00", "currency": "EUR",
				"money_source": "card", "metadata": object{"mock_scenario": "duplicate"}}, &second)
		},
		func() error { return t.repeat(ctx, eur.ID) },
		func() error {
			var out transactionView
			return t.money(ctx, "withdraw 25.00 EUR to a bank account", eur.ID, "withdraw", object{"amount": "25.00", "currency": "EUR",
				"external_target": object{"bank_account_number": "DE00123456786789"}}, &out)
		},
		func() error {
			var across transactionView
			return t.money(ctx, "transfer 40.00 EUR to the USD account", eur.ID, "transfer",
				object{"amount": "40.00", "currency": "EUR", "destination_account_id": usd.ID}, &across)
		},
		func() error { return t.timeline(ctx, c, first.ID) },
		func() error { return t.balances(ctx, eur.ID, usd.ID) },
	)
}

func (t *teller) signUp(ctx context.Context, name, password string) error {
	err := t.step("register "+name, func() (string, error) {
		return "", t.client.post(ctx, "/user", object{"username": name, "email": name + "@example.com", "password": password}, nil)
	})
	if err != nil {
		return err
	}
	return t.step("log in", func() (string, error) {
		var tokens struct {
			AccessToken string `json:"access_token"`
		}
		err := t.client.post(ctx, "/auth/login", object{"identity": name, "password": password}, &tokens)
		t.client.token = tokens.AccessToken
		return "", err
	})
}

func (t *teller) open(ctx context.Context, currency string, into *accountView) error {
	return t.step("open an account in "+currency, func() (string, error) {
		return "", t.client.post(ctx, "/account", object{"currency": currency}, into)
	})
}

// money makes a money request and then waits until the transaction is completed, which a transfer is at once.
func (t *teller) money(ctx context.Context, what, accountID, verb string, body object, into *transactionView) error {
	err := t.step(what, func() (string, error) {
		err := t.client.keyed(ctx, rand.Text(), "/account/"+accountID+"/"+verb, body, into)
		return describeTransaction(*into), err
	})
	if err != nil || into.Status == "completed" {
		return err
	}
	return t.confirmed(ctx, into)
}

func (t *teller) confirmed(ctx context.Context, into *transactionView) error {
	return t.step("  until the bank has confirmed it", func() (string, error) {
		limit := time.Now().Add(time.Minute)
		for !terminal(into.Status) && time.Now().Before(limit) {
			if err := t.client.wait(ctx, "/transaction/"+into.ID+"/status", nil); err != nil {
				return "", err
			}
			if err := t.client.get(ctx, "/transaction/"+into.ID, into); err != nil {
				return "", err
			}
		}
		if into.Status != "completed" {
			return "", errors.New("it is " + describeTransaction(*into))
		}
		return describeTransaction(*into), nil
	})
}

// repeat sends one request twice under one key, as a client does whose connection broke.
func (t *teller) repeat(ctx context.Context, accountID string) error {
	var first, again transactionView
	err := t.step("one deposit of 10.00 EUR sent twice under one key", func() (string, error) {
		key, body := rand.Text(), object{"amount": "10.00", "currency": "EUR", "money_source": "card"}
		for _, into := range []*transactionView{&first, &again} {
			if err := t.client.keyed(ctx, key, "/account/"+accountID+"/deposit", body, into); err != nil {
				return "", err
			}
		}
		if first.ID != again.ID {
			return "", fmt.Errorf("became two transactions, %s and %s", first.ID, again.ID)
		}
		return "is one transaction", nil
	})
	if err != nil {
		return err
	}
	return t.confirmed(ctx, &again)
}

func (t *teller) timeline(ctx context.Context, c *demoClient, id string) error {
	var answer struct {
		Data []timelineEntry `json:"data"`
	}
	if err := c.get(ctx, "/transaction/"+id+"/timeline", &answer); err != nil {
		return fmt.Errorf("timeline: %w", err)
	}
	t.story.Timeline = answer.Data
	sort.SliceStable(answer.Data, func(i, j int) bool { return answer.Data[i].At.Before(answer.Data[j].At) })
	fmt.Fprintln(t.out, "\nThe first deposit, as its timeline tells it:")
	for _, e := range answer.Data {
		fmt.Fprintf(t.out, "  %s  %-14s %s\n", e.At.Format("15:04:05.000"), e.Kind, e.Summary)
	}
	return nil
}

func (t *teller) balances(ctx context.Context, ids ...string) error {
	fmt.Fprintln(t.out, "\nThe balances:")
	for _, id := range ids {
		var a accountView
		if err := t.client.get(ctx, "/account/"+id, &a); err != nil {
			return fmt.Errorf("balances: %w", err)
		}
		a.Balance.Currency = a.Currency
		t.story.Balances = append(t.story.Balances, a.Balance)
		fmt.Fprintf(t.out, "  %s  %10s posted  %10s held  %10s available\n", a.Currency, a.Balance.Posted, a.Balance.Held, a.Balance.Available)
	}
	return nil
}

func terminal(status string) bool { return status == "completed" || status == "failed" }

func describeTransaction(v transactionView) string {
	text := v.Status
	if v.Failure != nil {
		text += " (" + v.Failure.Code + ")"
	}
	if v.Conversion != nil {
		text += fmt.Sprintf(" at %s: %s %s", v.Conversion.Rate, v.Conversion.ConvertedAmount, v.Conversion.ConvertedCurrency)
	}
	return text
}
