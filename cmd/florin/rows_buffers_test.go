package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	accountsvc "florin/service/account"
)

// sentRequest is a request of TestF16 and what became of it.
type sentRequest struct {
	kind, key, text string
	metadata        map[string]string
	answer          answer
}

// TestF16_BuffersAreReused: the server reads every request into a buffer that has held others, of all lengths and kinds, and
// nothing of those may show in what is stored.
func TestF16_BuffersAreReused(t *testing.T) {
	const workers, each = 8, 250
	eachRig(t, func(t *testing.T, r *rig) {
		c, account, other := funded(r)
		c.fund(account, "900.00", "EUR")
		var running sync.WaitGroup
		all := make([][]sentRequest, workers)
		for w := range workers {
			running.Go(func() {
				for i := range each {
					q, err := c.mixed(t, w*each+i, account, other)
					if err != nil {
						t.Errorf("%s: %v", q.kind, err)
						return
					}
					all[w] = append(all[w], q)
				}
			})
		}
		running.Wait()
		r.quiet()
		stored := r.storedRequests()
		kinds := map[string]int64{}
		for _, requests := range all {
			for _, q := range requests {
				kinds[q.kind]++
				q.requireStored(t, stored[accountsvc.KeyHash(uuid.MustParse(c.id), q.key).String()])
			}
		}
		require.EqualValues(t, workers*each, kinds["transfer"]+kinds["deposit"]+kinds["withdraw"]+kinds["open"]+kinds["refused"])
		require.EqualValues(t, len(stored), kinds["transfer"]+kinds["deposit"]+kinds["withdraw"]+kinds["open"])
		spent, held := kinds["transfer"], kinds["withdraw"]
		require.Equal(t, fmt.Sprintf("%d.00 %d.00 %d.00", 1000-spent, held, 1000-spent-held), c.balance(account))
		require.Equal(t, fmt.Sprintf("%d.00 0.00 %d.00", spent, spent), c.balance(other))
	})
}

// storedRequest is what the tables hold of a request with a key.
type storedRequest struct {
	KeyHash, ResourceID, ResponseBody, Name                string
	Type, Metadata, MoneySource, ExternalTarget, RequestID string
}

// storedRequests is all requests with a key, by its hash.
func (r *rig) storedRequests() map[string]storedRequest {
	var rows []storedRequest
	require.NoError(r.t, r.app.DB.Reader().WithContext(r.t.Context()).Raw(`SELECT CAST(k.key_hash AS text) AS key_hash, k.resource_id, k.response_body, a.name,
			t.type, t.metadata, t.money_source, t.external_target, t.request_id FROM idempotency_keys k
		LEFT JOIN accounts a ON a.id = k.resource_id LEFT JOIN transactions t ON t.id = k.resource_id`).Scan(&rows).Error)
	byHash := make(map[string]storedRequest, len(rows))
	for _, row := range rows {
		if row.ExternalTarget != "" {
			target, _, err := r.app.vault.Open(row.ExternalTarget, "target of transaction "+row.ResourceID)
			require.NoError(r.t, err)
			row.ExternalTarget = string(target)
		}
		byHash[row.KeyHash] = row
	}
	return byHash
}

// mixed sends the n-th request: its kind, lengths and contents follow from n. Most of them are cheap.
func (c *client) mixed(t *testing.T, n int, account, other string) (sentRequest, error) {
	text := fmt.Sprintf("%d-%s", n, strings.Repeat(string(rune('a'+n%26)), n*7%60))
	q := sentRequest{text: text, key: fmt.Sprintf("%d %s.", n, strings.Repeat(string(rune('A'+n%26)), n*13%240)),
		metadata: map[string]string{"n": text, strings.Repeat("k", 1+n%40): strings.Repeat(text, 1+n%8)}}
	metadata, err := json.Marshal(q.metadata)
	if err != nil {
		return q, err
	}
	path, body := "/account/"+account+"/", fmt.Sprintf(`{"metadata":%s,"amount":"1.00","currency":"EUR",`, metadata)
	switch {
	case n%50 == 0:
		q.kind, path, body = "deposit", path+"deposit", body+fmt.Sprintf(`"money_source":%q}`, text)
	case n%50 == 25:
		q.kind, path, body = "withdraw", path+"withdraw", body+fmt.Sprintf(`"external_target":{"external_wallet_address":%q}}`, text)
	case n%5 == 1:
		q.kind, path, body = "transfer", path+"transfer", body+fmt.Sprintf(`"destination_account_id":%q}`, other)
	case n%5 == 3:
		q.kind, path, body = "open", "/account", fmt.Sprintf(`{"name":%q,"currency":"EUR"}`, text)
	default:
		q.kind, path, body = "refused", path+"transfer", body+fmt.Sprintf(`"destination_account_id":%q}`, uuid.NewString())
	}
	q.answer, err = c.send(t.Context(), path, body, "Idempotency-Key", q.key, "X-Request-Id", fmt.Sprintf("request-%d", n))
	return q, err
}

// requireStored requires that what is stored is what was sent and answered, byte for byte.
func (q sentRequest) requireStored(t *testing.T, row storedRequest) {
	t.Helper()
	if q.kind == "refused" {
		requireProblem(t, q.answer, 422, "destination_unavailable", "destination_account_id")
		require.Equal(t, "request-"+strings.SplitN(q.text, "-", 2)[0], q.answer.text(t, "request_id"))
		require.Zero(t, row)
		return
	}
	require.Contains(t, []int{200, 201, 202}, q.answer.status, "%s", q.answer.body)
	require.Equal(t, q.answer.text(t, "id"), row.ResourceID)
	require.Equal(t, string(q.answer.body), row.ResponseBody)
	if q.kind == "open" {
		require.Equal(t, q.text, row.Name)
		return
	}
	var metadata map[string]string
	require.NoError(t, json.Unmarshal([]byte(row.Metadata), &metadata))
	require.Equal(t, q.kind, row.Type)
	require.Equal(t, q.metadata, metadata)
	require.Equal(t, "request-"+strings.SplitN(q.text, "-", 2)[0], row.RequestID)
	switch q.kind {
	case "deposit":
		require.Equal(t, q.text, row.MoneySource)
	case "withdraw":
		require.Contains(t, row.ExternalTarget, `"`+q.text+`"`)
	}
}
