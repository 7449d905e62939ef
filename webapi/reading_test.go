package webapi

import (
	"encoding/csv"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"florin/domain/account"
	"florin/domain/currency"
	"florin/domain/money"
	accountsvc "florin/service/account"
)

func TestStatusHasAnETagAndCanBeWaitedFor(t *testing.T) {
	s := newTestServer(t)
	s.accounts.outcome = accountsvc.Outcome{Transaction: aDeposit(account.PaymentStatusPending)}
	path := "/transaction/" + payment.String() + "/status"
	first := s.do(t, ada, "GET", path, "")
	require.Equal(t, 200, first.status)
	require.Equal(t, `{"id":"`+payment.String()+`","type":"deposit","status":"pending","failure":null,"updated_at":"2026-01-01T12:00:00Z"}`, first.body)
	require.Empty(t, first.header.Get("Preference-Applied"))
	require.Zero(t, s.accounts.waited)
	tag := first.header.Get("ETag")
	require.Regexp(t, `^"[0-9a-f]{32}"$`, tag)
	for _, header := range []string{tag, "W/" + tag, `"x", ` + tag, "*"} {
		unchanged := s.do(t, ada, "GET", path, "", "If-None-Match: "+header)
		require.Equal(t, 304, unchanged.status, header)
		require.Empty(t, unchanged.body)
		require.Equal(t, tag, unchanged.header.Get("ETag"))
	}
	require.Equal(t, 200, s.do(t, ada, "GET", path, "", `If-None-Match: "x"`).status)

	s.accounts.outcome.Transaction = aDeposit(account.PaymentStatusFailed)
	waited := s.do(t, ada, "GET", path, "", "Prefer: wait=99", "If-None-Match: "+tag)
	require.Equal(t, 200, waited.status)
	require.Equal(t, "wait=30", waited.header.Get("Preference-Applied"))
	require.Equal(t, 30*time.Second, s.accounts.waited)
	require.NotEqual(t, tag, waited.header.Get("ETag"))
	require.Equal(t, 404, s.do(t, bob, "GET", path, "").status)
	require.Equal(t, 400, s.do(t, ada, "GET", "/transaction/nope/status", "").status)
}

func TestTransactionAndTimeline(t *testing.T) {
	s := newTestServer(t)
	s.accounts.outcome = accountsvc.Outcome{Transaction: aDeposit(account.PaymentStatusCompleted)}
	s.accounts.timeline = []account.TimelineItem{{At: noon, Kind: "api_call", Summary: "deposit asked for",
		TraceParent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}, {At: noon, Kind: "entry", Detail: map[string]string{"a": "b"}}}
	require.Equal(t, 200, s.do(t, ada, "GET", "/transaction/"+payment.String(), "").status)
	require.Equal(t, 404, s.do(t, bob, "GET", "/transaction/"+payment.String(), "").status)
	a := s.do(t, ada, "GET", "/transaction/"+payment.String()+"/timeline", "")
	require.JSONEq(t, `{"data":[{"at":"2026-01-01T12:00:00Z","kind":"api_call","summary":"deposit asked for","detail":{},"trace_id":"4bf92f3577b34da6a3ce929d0e0e4736"},
		{"at":"2026-01-01T12:00:00Z","kind":"entry","summary":"","detail":{"a":"b"},"trace_id":null}],"next_cursor":null}`, a.body)
}

func TestBalanceNowAndThen(t *testing.T) {
	s := newTestServer(t)
	path := "/account/" + adasEUR.String() + "/balance"
	require.JSONEq(t, `{"account_id":"`+adasEUR.String()+`","currency":"EUR","posted":"100.00","held":"20.00","available":"80.00","as_of":"2026-01-01T12:00:00Z"}`,
		s.do(t, ada, "GET", path, "").body)
	require.JSONEq(t, `{"account_id":"`+adasEUR.String()+`","currency":"EUR","posted":"42.00","as_of":"2025-12-31T23:00:00.5Z"}`,
		s.do(t, ada, "GET", path+"?at=2026-01-01T00:00:00.5%2B01:00", "").body)
	require.Equal(t, 400, s.do(t, ada, "GET", path+"?at=yesterday", "").status)
	require.Equal(t, 422, s.do(t, ada, "GET", path+"?at=2026-01-02T00:00:00Z", "").status)
	require.Equal(t, 404, s.do(t, bob, "GET", path, "").status)
	s.accounts.totals = []account.Total{{Currency: currency.JPY, Posted: money.New(1200, currency.JPY), Held: money.New(200, currency.JPY)}}
	require.JSONEq(t, `{"totals":[{"currency":"JPY","posted":"1200","held":"200","available":"1000"}]}`,
		s.do(t, ada, "GET", "/accounts/balance/aggregate", "").body)
	s.accounts.totals = nil
	require.JSONEq(t, `{"totals":[]}`, s.do(t, ada, "GET", "/accounts/balance/aggregate", "").body)
}

// next reads a page's cursor.
func next(t *testing.T, a answer) *string {
	t.Helper()
	var page struct {
		Data       []json.RawMessage `json:"data"`
		NextCursor *string           `json:"next_cursor"`
	}
	require.Equal(t, 200, a.status, a.body)
	require.NoError(t, json.Unmarshal([]byte(a.body), &page))
	require.NotNil(t, page.Data)
	return page.NextCursor
}

func TestS3_ListsPageByCursorsOfTheirOwn(t *testing.T) {
	s := newTestServer(t)
	ids := []uuid.UUID{uuid.MustParse("0198c0de-0000-7000-8000-000000000003"), uuid.MustParse("0198c0de-0000-7000-8000-000000000002"), payment}
	for _, id := range ids {
		d := aDeposit(account.PaymentStatusPending)
		d.ID = id
		s.accounts.found = append(s.accounts.found, d)
		s.accounts.held = append(s.accounts.held, anAccount(id, 1, 0))
	}
	transactions := "/account/" + adasEUR.String() + "/transactions"
	for _, path := range []string{"/accounts", transactions} {
		cursor := next(t, s.do(t, ada, "GET", path+"?limit=2", ""))
		require.NotNil(t, cursor)
		require.Equal(t, account.Page{Limit: 3}, s.accounts.page)
		s.do(t, ada, "GET", path+"?limit=2&cursor="+*cursor, "")
		require.Equal(t, account.Page{Before: ids[1], Limit: 3}, s.accounts.page)
		require.Nil(t, next(t, s.do(t, ada, "GET", path+"?limit=3", "")))
		require.Equal(t, 400, s.do(t, bob, "GET", path+"?cursor="+*cursor, "").status, "another user's")
		require.Equal(t, 400, s.do(t, ada, "GET", "/account/"+bobsUSD.String()+"/entries?cursor="+*cursor, "").status, "another list's")
		require.Equal(t, 400, s.do(t, ada, "GET", path+"?cursor=x", "").status)
		require.Equal(t, 400, s.do(t, ada, "GET", path+"?limit=101", "").status)
		require.Equal(t, 400, s.do(t, ada, "GET", path+"?sort=amount", "").status)
	}
	s.do(t, ada, "GET", transactions+"?type=deposit&status=pending&from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z", "")
	require.Equal(t, account.TransactionFilter{Type: "deposit", Status: "pending", From: noon.Add(-12 * time.Hour), To: noon.Add(12 * time.Hour)}, s.accounts.filter)
	require.Equal(t, 400, s.do(t, ada, "GET", transactions+"?type=gift", "").status)
	require.Equal(t, 422, s.do(t, ada, "GET", transactions+"?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "").status)
}

func manyEntries(n int) []account.EntryLine {
	lines := make([]account.EntryLine, 0, n)
	for seq := int64(n); seq > 0; seq-- {
		lines = append(lines, account.EntryLine{TransactionID: payment, TransactionType: account.TypeWithdraw, AccountSeq: seq,
			Amount: money.New(-12_34, currency.EUR), BalanceAfter: money.New(seq, currency.EUR), PostedAt: noon})
	}
	return lines
}

func TestEntriesAsPagesAndAsAStatement(t *testing.T) {
	s := newTestServer(t)
	path := "/account/" + adasEUR.String() + "/entries"
	s.accounts.entries = manyEntries(3)
	first := s.do(t, ada, "GET", path+"?limit=2", "")
	require.Contains(t, first.body, `{"seq":3,"transaction_id":"`+payment.String()+`","type":"withdraw","amount":"-12.34","currency":"EUR","balance_after":"0.03","posted_at":"2026-01-01T12:00:00Z"}`)
	second := s.do(t, ada, "GET", path+"?limit=2&cursor="+*next(t, first), "")
	require.Contains(t, second.body, `"seq":1`)
	require.NotContains(t, second.body, `"seq":2`)
	require.Nil(t, next(t, second))

	s.accounts.entries = manyEntries(2001)
	for _, accept := range []string{"TEXT/CSV", "Text/Csv; q=1", "application/json;q=0.1, TEXT/CSV"} { // F157
		require.Equal(t, "text/csv; charset=utf-8", s.do(t, ada, "GET", path, "", "Accept: "+accept).header.Get("Content-Type"))
	}
	statement := s.do(t, ada, "GET", path, "", "Accept: text/csv")
	require.Equal(t, 200, statement.status)
	require.Equal(t, "text/csv; charset=utf-8", statement.header.Get("Content-Type"))
	require.Contains(t, statement.header.Get("Vary"), "Accept")
	rows, err := csv.NewReader(strings.NewReader(statement.body)).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 2002)
	require.Equal(t, []string{"posted_at", "transaction_id", "type", "amount", "currency", "balance_after"}, rows[0])
	require.Equal(t, []string{"2026-01-01T12:00:00Z", payment.String(), "withdraw", "-12.34", "EUR", "20.01"}, rows[1])
	safe := regexp.MustCompile(`^(-?[0-9.]+|[0-9A-Za-z][^=+@\t\r\n]*)$`)
	for _, row := range rows {
		for _, cell := range row {
			require.Regexp(t, safe, cell)
		}
	}
	s.accounts.entries = manyEntries(25_001)
	refused := s.do(t, ada, "GET", path, "", "Accept: text/csv")
	require.Equal(t, 422, refused.status)
	require.Equal(t, "statement_too_long", refused.problem(t).Code)
}

func TestAccountIsReadAndClosedByItsOwner(t *testing.T) {
	s := newTestServer(t)
	path := "/account/" + adasEUR.String()
	require.Equal(t, 200, s.do(t, ada, "GET", path, "").status)
	require.Equal(t, 200, s.do(t, ada, "POST", path+"/close", "").status)
	require.Equal(t, 200, s.do(t, ada, "POST", path+"/close", "{}").status)
	require.Equal(t, 400, s.do(t, ada, "POST", path+"/close", `{"force":true}`).status)
	require.Equal(t, 404, s.do(t, bob, "GET", path, "").status)
	require.Equal(t, 404, s.do(t, bob, "POST", path+"/close", "").status)
}
