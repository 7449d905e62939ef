package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	accountsvc "florin/service/account"
)

// holdWebhooks keeps the bank's webhooks back; releaseWebhooks lets them go, those that wait too.
func (r *rig) holdWebhooks() { r.app.Bank.SetWebhookURL("") }

func (r *rig) releaseWebhooks() { r.app.Bank.SetWebhookURL(r.url + "/webhook/mock") }

// bankPayments are the ids of the payments that the bank has for a transaction of ours.
func (r *rig) bankPayments(transaction string) []string {
	var list struct {
		Data []struct {
			ID string `json:"id"`
		} `json:"data"`
	}
	require.NoError(r.t, json.Unmarshal(r.bank("GET", "/payments?transaction_id="+transaction, "").body, &list))
	ids := []string{}
	for _, p := range list.Data {
		ids = append(ids, p.ID)
	}
	return ids
}

// column is the answer to a query for one column.
func (r *rig) column(query string, args ...any) []string {
	list := []string{}
	require.NoError(r.t, r.app.DB.Reader().WithContext(context.Background()).Raw(query, args...).Scan(&list).Error)
	return list
}

// history is the statuses that the transaction went through.
func (r *rig) history(transaction string) []string {
	return r.column("SELECT to_status FROM payment_events WHERE transaction_id = ? ORDER BY seq", transaction)
}

// inbox is "status: reason" of an event of the mock.
func (r *rig) inbox(event string) string {
	rows := r.column("SELECT status || ': ' || reason FROM inbox WHERE provider = 'mock' AND event_id = ?", event)
	return strings.Join(rows, "; ")
}

// metric is a counter as it stands on the admin listener, with its labels in the order of their names; 0 where it is
// not there.
func (r *rig) metric(line string) int64 {
	for _, have := range strings.Split(r.metrics(), "\n") {
		if value, found := strings.CutPrefix(have, line+" "); found {
			n, err := strconv.ParseInt(value, 10, 64)
			require.NoError(r.t, err, have)
			return n
		}
	}
	return 0
}

func (r *rig) metrics() string {
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, r.app.AdminURL()+"/metrics", nil)
	require.NoError(r.t, err)
	response, err := r.http.Do(request)
	require.NoError(r.t, err)
	defer func() { _ = response.Body.Close() }()
	var page bytes.Buffer
	_, err = page.ReadFrom(response.Body)
	require.NoError(r.t, err)
	require.Equal(r.t, 200, response.StatusCode)
	return page.String()
}

func (r *rig) alerts(kind string) int64 {
	return r.metric(fmt.Sprintf(`florin_alerts_total{kind=%q}`, kind))
}

// verdicts is how many events of the mock ended so.
func (r *rig) verdicts(verdict string) int64 {
	return r.metric(fmt.Sprintf(`florin_provider_events_total{provider="mock",verdict=%q}`, verdict))
}

// admin is the administrator, logged in.
func (r *rig) admin() *client {
	<-r.app.adminReady
	c := &client{r: r, id: r.column("SELECT id FROM users WHERE username = 'admin'")[0]}
	c.login("admin")
	return c
}

// payoutWith is a withdrawal in a scenario of the mock bank.
func (c *client) payoutWith(scenario, account, amount, currency string, headers ...string) answer {
	return c.do("POST", "/account/"+account+"/withdraw", fmt.Sprintf(
		`{"amount":%q,"currency":%q,"external_target":{"bank_account_number":"DE89370400440532013000"},"metadata":{"mock_scenario":%q}}`,
		amount, currency, scenario), headers...)
}

// refused checks that the answer is a problem of the status and code.
func (a answer) refused(t testing.TB, status int, code string) {
	t.Helper()
	require.Equal(t, status, a.status, "%s", a.body)
	require.Equal(t, code, a.text(t, "code"), "%s", a.body)
	require.Equal(t, "application/problem+json", a.header.Get("Content-Type"))
	if status == 503 || status == 429 {
		require.NotEmpty(t, a.header.Get("Retry-After"))
	}
}

// atOnce runs n functions that all start together, and waits for them.
func atOnce(n int, run func(i int)) {
	var done sync.WaitGroup
	begin := make(chan struct{})
	for i := range n {
		done.Go(func() {
			<-begin
			run(i)
		})
	}
	close(begin)
	done.Wait()
}

// tally counts what concurrent requests were answered with.
type tally struct {
	mu   sync.Mutex
	seen map[string]int
}

func (c *tally) add(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen == nil {
		c.seen = map[string]int{}
	}
	c.seen[what]++
}

// outcome is the status of the answer, with the code of a problem.
func (a answer) outcome(t testing.TB) string {
	if a.status >= 400 {
		return fmt.Sprint(a.status, " ", a.text(t, "code"))
	}
	return fmt.Sprint(a.status)
}

// impatient makes the program give a provider that does not answer up soon.
func impatient(_ *Config, o *Options) {
	within := 400 * time.Millisecond
	if underRace {
		within *= 5
	}
	o.Limits = accountsvc.Limits{ReplyWithin: within, CallTimeout: 2 * within}
}

// journal is a log that can be read while it is written.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}
