package webapi

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"florin/domain/account"
	"florin/domain/currency"
	"florin/domain/errs"
	"florin/domain/money"
	accountsvc "florin/service/account"
)

const depositBody = `{"amount":"100.00","currency":"EUR","money_source":"card"}`

func depositPath() string { return "/account/" + adasEUR.String() + "/deposit" }

func TestMoneyRequestsReachTheService(t *testing.T) {
	s := newTestServer(t)
	s.accounts.outcome = accountsvc.Outcome{Transaction: aDeposit(account.PaymentStatusPending), Side: adasEUR}
	a := s.do(t, ada, "POST", depositPath(), `{"amount":100.00,"currency":"EUR","money_source":"card","payment_flow":"hosted",
		"provider":"mock","metadata":{"order":"7"}}`, "Prefer: wait=12", "X-Request-Id: req-1")
	require.Equal(t, 202, a.status, a.body)
	require.Equal(t, "/transaction/"+payment.String()+"/status", a.header.Get("Location"))
	require.Equal(t, "wait=12", a.header.Get("Preference-Applied"))
	require.Empty(t, a.header.Get("Idempotency-Replayed"))
	call := s.accounts.calls[0]
	require.Equal(t, accountsvc.Call{UserID: ada, AccountID: adasEUR, Amount: "100.00", Currency: "EUR", Provider: "mock",
		Metadata: map[string]string{"order": "7"}, Wait: 12 * time.Second, Address: "127.0.0.1", RequestID: "req-1"}, call)
	require.Equal(t, "card", s.accounts.deposit.MoneySource)
	require.Equal(t, "hosted", s.accounts.deposit.PaymentFlow)

	s.accounts.outcome.Transaction = aDeposit(account.PaymentStatusFailed)
	a = s.do(t, ada, "POST", "/account/"+adasEUR.String()+"/withdraw",
		`{"amount":"5","currency":"EUR","external_target":{"bank_account_number":"DE0212345","routing_number":"110","external_wallet_address":"0xabc"}}`)
	require.Equal(t, 200, a.status, a.body)
	require.Empty(t, a.header.Get("Location"))
	require.Contains(t, a.body, `"failure":{"code":"declined","message":"The card was declined."}`)
	require.Equal(t, account.ExternalTarget{BankAccountNumber: "DE0212345", RoutingNumber: "110", ExternalWalletAddress: "0xabc"}, s.accounts.target)

	a = s.do(t, ada, "POST", "/account/"+adasEUR.String()+"/transfer",
		`{"amount":"5","currency":"EUR","destination_account_id":"`+bobsUSD.String()+`"}`)
	require.Equal(t, 200, a.status, a.body)
	require.Equal(t, bobsUSD, s.accounts.transfer.DestinationID)
}

func TestDryRunShowsBalancesAndUsesNoLocation(t *testing.T) {
	s := newTestServer(t)
	s.accounts.outcome = accountsvc.Outcome{Transaction: aDeposit(account.PaymentStatusInitiated), Side: adasEUR,
		Balances: []accountsvc.Balance{{AccountID: adasEUR, Posted: money.New(200_00, currency.EUR), Held: money.Zero(currency.EUR), Available: money.New(200_00, currency.EUR)}}}
	a := s.do(t, ada, "POST", depositPath()+"?dry_run=true", depositBody)
	require.Equal(t, 200, a.status, a.body)
	require.True(t, s.accounts.calls[0].DryRun)
	require.Empty(t, a.header.Get("Location"))
	require.Contains(t, a.body, `"balances":[{"account_id":"`+adasEUR.String()+`","currency":"EUR","posted":"200.00","held":"0.00","available":"200.00"}]`)
}

func TestF2_ReplayIsTheFirstAnswerByteForByte(t *testing.T) {
	s := newTestServer(t)
	s.accounts.outcome = accountsvc.Outcome{Transaction: aDeposit(account.PaymentStatusPending), Side: adasEUR}
	first := s.do(t, ada, "POST", depositPath(), depositBody, "Idempotency-Key: k1")
	require.Equal(t, 202, first.status, first.body)
	stored := s.accounts.calls[0].Key.Render(&s.accounts.outcome)
	require.Equal(t, first.body, string(stored.Body))

	s.accounts.outcome = accountsvc.Outcome{Answer: &stored, Replayed: true}
	again := s.do(t, ada, "POST", depositPath(), depositBody, "Idempotency-Key: k1")
	require.Equal(t, first.status, again.status)
	require.Equal(t, first.body, again.body)
	require.Equal(t, first.header.Get("Location"), again.header.Get("Location"))
	require.Equal(t, "true", again.header.Get("Idempotency-Replayed"))
}

func TestFingerprintIsOfTheRequestNotOfItsSpelling(t *testing.T) {
	s := newTestServer(t)
	s.accounts.outcome = accountsvc.Outcome{Transaction: aDeposit(account.PaymentStatusPending), Side: adasEUR}
	print := func(path, body string, headers ...string) string {
		a := s.do(t, ada, "POST", path, body, append(headers, "Idempotency-Key: k")...)
		require.Equal(t, 202, a.status, a.body)
		return s.accounts.calls[len(s.accounts.calls)-1].Key.Fingerprint
	}
	first := print(depositPath(), `{"amount":"100.00","currency":"EUR","money_source":"card","metadata":{"a":"1","b":"2"}}`)
	require.Len(t, first, 64)
	same := map[string]string{
		"order":  `{"metadata":{"b":"2","a":"1"},"money_source":"card","currency":"EUR","amount":"100.00"}`,
		"space":  ` {"amount": "100.00", "currency":"EUR","money_source":"card","metadata":{"a":"1","b":"2"}}` + "\n",
		"number": `{"amount":100.00,"currency":"EUR","money_source":"card","metadata":{"a":"1","b":"2"}}`,
	}
	for name, body := range same {
		require.Equal(t, first, print(depositPath(), body, "Prefer: wait=1"), name)
	}
	other := map[string]string{
		"amount":   `{"amount":"100.01","currency":"EUR","money_source":"card","metadata":{"a":"1","b":"2"}}`,
		"metadata": `{"amount":"100.00","currency":"EUR","money_source":"card","metadata":{"a":"1","b":"3"}}`,
		"shifted":  `{"amount":"100.00","currency":"EUR","money_source":"card","metadata":{"a":"1\",\"b\":\"2"}}`,
	}
	for name, body := range other {
		require.NotEqual(t, first, print(depositPath(), body), name)
	}
	body := `{"amount":"100.00","currency":"EUR"}`
	deposit := print(depositPath(), body)
	require.NotEqual(t, deposit, print("/account/"+bobsUSD.String()+"/deposit", body), "F7: another account")
	require.NotEqual(t, deposit, print("/account/"+adasEUR.String()+"/transfer", body), "F7: another route")
}

func TestF9_MalformedKeysAreRefused(t *testing.T) {
	s := newTestServer(t)
	cases := map[string][]string{
		"empty":   {"Idempotency-Key: "},
		"long":    {"Idempotency-Key: " + strings.Repeat("k", 256)},
		"unicode": {"Idempotency-Key: é"},
		"twice":   {"Idempotency-Key: a", "Idempotency-Key: a"},
	}
	for name, headers := range cases {
		for _, path := range []string{depositPath(), "/account"} {
			a := s.do(t, ada, "POST", path, `{"currency":"EUR"}`, headers...)
			require.Equal(t, 400, a.status, name+" "+a.body)
			p := a.problem(t)
			require.Equal(t, "invalid_idempotency_key", p.Code, name)
			require.Equal(t, "/docs/errors#invalid_idempotency_key", p.Type)
		}
	}
	require.Contains(t, s.raw(t, "POST "+depositPath()+" HTTP/1.1\r\nHost: x\r\nIdempotency-Key: a\x01b\r\nContent-Length: 0\r\n\r\n"), "HTTP/1.1 400 ")
	require.Empty(t, s.accounts.calls)
	require.Equal(t, uuid.Nil, s.accounts.opened.UserID)

	s.accounts.outcome = accountsvc.Outcome{Transaction: aDeposit(account.PaymentStatusPending), Side: adasEUR}
	require.Equal(t, 202, s.do(t, ada, "POST", depositPath(), depositBody).status, "a missing key is allowed")
	require.Nil(t, s.accounts.calls[0].Key)
	require.Equal(t, 202, s.do(t, ada, "POST", depositPath(), depositBody, "Idempotency-Key: "+strings.Repeat("k", 255)).status)
}

func TestF17_WhatIsNotInTheContractIsMalformed(t *testing.T) {
	s := newTestServer(t)
	bodies := map[string]string{
		"duplicate":       `{"amount":"1","amount":"2","currency":"EUR","money_source":"card"}`,
		"unknown":         `{"amount":"1","currency":"EUR","money_source":"card","user_id":"x"}`,
		"case":            `{"Amount":"1","currency":"EUR","money_source":"card"}`,
		"amount type":     `{"amount":true,"currency":"EUR","money_source":"card"}`,
		"amount null":     `{"amount":null,"currency":"EUR","money_source":"card"}`,
		"currency type":   `{"amount":"1","currency":978,"money_source":"card"}`,
		"metadata type":   `{"amount":"1","currency":"EUR","money_source":"card","metadata":{"a":1}}`,
		"quote type":      `{"amount":"1","currency":"EUR","money_source":"card","quote_id":"7"}`,
		"trailing":        depositBody + `{}`,
		"NaN":             `{"amount":NaN,"currency":"EUR","money_source":"card"}`,
		"not an object":   `[]`,
		"not JSON":        `amount=1`,
		"nested too deep": `{"metadata":` + strings.Repeat("[", 30_000) + strings.Repeat("]", 30_000) + `}`,
	}
	for name, body := range bodies {
		a := s.do(t, ada, "POST", depositPath(), body)
		require.Equal(t, 400, a.status, name+": "+a.body)
		a.problem(t)
	}
	require.Equal(t, 400, s.do(t, ada, "POST", depositPath()+"?dry_run=1", depositBody).status)
	require.Equal(t, 400, s.do(t, ada, "POST", depositPath()+"?dry_run=true&dry_run=true", depositBody).status)
	require.Equal(t, 400, s.do(t, ada, "POST", depositPath()+"?other=1", depositBody).status)
	require.Equal(t, 400, s.do(t, ada, "POST", "/account/7/deposit", depositBody).status)
	require.Empty(t, s.accounts.calls)
}

// TestF18_AmountsAreRefusedByField goes through the real service, which refuses an amount before it asks a store.
func TestF18_AmountsAreRefusedByField(t *testing.T) {
	s := newTestServer(t, func(d *Deps) { d.Accounts = accountsvc.NewService(accountsvc.ServiceDeps{}) })
	cases := []struct{ amount, currency, field string }{
		{`"0"`, "EUR", "amount"}, {`0`, "EUR", "amount"}, {`"-1"`, "EUR", "amount"}, {`-1.00`, "EUR", "amount"},
		{`""`, "EUR", "amount"}, {`"12.345"`, "EUR", "amount"}, {`12.345`, "EUR", "amount"}, {`"1.0"`, "JPY", "amount"},
		{`"1.2345"`, "KWD", "amount"}, {`1e400`, "EUR", "amount"}, {`1e2`, "EUR", "amount"}, {`"1e2"`, "EUR", "amount"},
		{`"9223372036854775808"`, "EUR", "amount"}, {`92233720368547758.08`, "EUR", "amount"}, {`"1000000000.01"`, "EUR", "amount"},
		{`" 1"`, "EUR", "amount"}, {`"NaN"`, "EUR", "amount"}, {`"1,5"`, "EUR", "amount"}, {`"1"`, "eur", "currency"}, {`"1"`, "", "currency"},
	}
	for _, c := range cases {
		a := s.do(t, ada, "POST", depositPath(), `{"amount":`+c.amount+`,"currency":"`+c.currency+`","money_source":"card"}`)
		require.Equal(t, 422, a.status, c.amount+" "+c.currency+": "+a.body)
		require.Equal(t, c.field, a.problem(t).Errors[0].Field, c.amount)
	}
}

func TestRefusalsBecomeProblems(t *testing.T) {
	s := newTestServer(t)
	inFlight := errs.New(errs.Conflict, "idempotency_key_in_flight", "running")
	inFlight.RetryAfter = 1500 * time.Millisecond
	cases := []struct {
		err    error
		status int
		retry  string
	}{
		{account.ErrInsufficientFunds, 422, ""},
		{errs.Missing("Account"), 404, ""},
		{inFlight, 409, "2"},
		{errs.New(errs.Unavailable, "database_unavailable", "down"), 503, "1"},
	}
	for _, c := range cases {
		s.accounts.err = c.err
		a := s.do(t, ada, "POST", depositPath(), depositBody)
		require.Equal(t, c.status, a.status)
		require.Equal(t, errs.CodeOf(c.err), a.problem(t).Code)
		require.Equal(t, c.retry, a.header.Get("Retry-After"))
	}
	s.accounts.err = nil
	a := s.do(t, ada, "POST", depositPath(), `{"amount":"1","currency":"EUR","money_source":"card","quote_id":"`+payment.String()+`"}`)
	require.Equal(t, 422, a.status)
	require.Equal(t, "quote_id", a.problem(t).Errors[0].Field)
}

func TestOpenAccountAnswersAndReplays(t *testing.T) {
	s := newTestServer(t)
	s.accounts.opening = accountsvc.AccountOutcome{Account: anAccount(adasEUR, 0, 0)}
	first := s.do(t, ada, "POST", "/account", `{"currency":"EUR","name":"Savings"}`, "Idempotency-Key: k")
	require.Equal(t, 201, first.status, first.body)
	require.Equal(t, "/account/"+adasEUR.String(), first.header.Get("Location"))
	require.Equal(t, `{"id":"`+adasEUR.String()+`","name":"Savings","currency":"EUR","status":"active",`+
		`"balance":{"posted":"0.00","held":"0.00","available":"0.00"},"created_at":"2026-01-01T12:00:00Z"}`, first.body)
	require.Equal(t, ada, s.accounts.opened.UserID)
	stored := s.accounts.opened.Key.Render(anAccount(adasEUR, 0, 0))
	s.accounts.opening = accountsvc.AccountOutcome{Answer: &stored, Replayed: true}
	again := s.do(t, ada, "POST", "/account", `{"name":"Savings","currency":"EUR"}`, "Idempotency-Key: k")
	require.Equal(t, first.body, again.body)
	require.Equal(t, first.header.Get("Location"), again.header.Get("Location"))
	require.Equal(t, "true", again.header.Get("Idempotency-Replayed"))
}
