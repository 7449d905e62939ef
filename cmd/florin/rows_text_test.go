package main

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestF154_TextThatNoDatabaseHolds: U+0000 and bytes that are not UTF-8, wherever a client's text is looked up or stored.
func TestF154_TextThatNoDatabaseHolds(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c, account, _ := funded(r)
		admin := r.admin()
		before := r.rows()
		for _, text := range []string{`a\u0000`, `\u0000`, `x\u0000y\u0000`} {
			for _, q := range []struct{ path, body string }{
				{"/auth/login", `{"identity":"` + text + `","password":"a-long-enough-secret"}`},
				{"/auth/login", `{"identity":"ada","password":"` + text + `"}`},
				{"/auth/refresh", `{"refresh_token":"` + text + `"}`},
				{"/user", `{"username":"` + text + `","email":"a@example.com","password":"a-long-enough-secret"}`},
				{"/account", `{"currency":"` + text + `"}`},
				{"/account", `{"currency":"EUR","name":"` + text + `"}`},
				{"/account/" + account + "/deposit",
					`{"amount":"1.00","currency":"EUR","money_source":"card","metadata":{"` + text + `":"a"}}`},
				{"/account/" + account + "/deposit",
					`{"amount":"1.00","currency":"EUR","money_source":"card","metadata":{"a":"` + text + `"}}`},
			} {
				a := c.do("POST", q.path, q.body)
				require.Equal(t, 400, a.status, "%s %s: %s", q.path, q.body, a.body)
				require.Equal(t, "unstorable_text", a.text(t, "code"))
			}
		}
		for _, text := range []string{"\x00", "mock\x00", "\xff", "a\x00b"} {
			text = url.QueryEscape(text)
			for _, path := range []string{"/account/" + account + "/transactions?type=" + text,
				"/account/" + account + "/transactions?cursor=" + text, "/accounts?cursor=" + text, "/account/" + text,
				"/accounts?" + text + "=1"} {
				require.Equal(t, 400, c.do("GET", path, "").status, path)
			}
			for _, path := range []string{"/admin/reviews?kind=", "/admin/reviews?provider=", "/admin/dead-letters?source=",
				"/admin/dead-letters?source_name=", "/admin/dead-letters?provider=", "/admin/reconciliation?provider="} {
				require.Contains(t, []int{400, 404}, r.administer(admin.token, "GET", path+text, "").status, path)
			}
		}
		require.Equal(t, before, r.rows())
	})
}
