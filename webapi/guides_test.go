package webapi

import (
	"testing"

	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	florindocs "florin/docs"
)

// TestF144_GuidesArePages: what a problem's type links to is a page, and lands on its row.
func TestF144_GuidesArePages(t *testing.T) {
	s := newTestServer(t)
	for _, accept := range []string{"Accept: text/html,application/xhtml+xml,*/*;q=0.8", "Accept: */*"} {
		page := s.do(t, uuid.Nil, "GET", "/docs/errors", "", accept)
		require.Equal(t, 200, page.status)
		require.Equal(t, "text/html; charset=utf-8", page.header.Get("Content-Type"))
		require.Contains(t, page.body, `<tr id="insufficient_funds">`)
		require.Contains(t, page.body, "<title>Error codes - Florin</title>")
		require.Contains(t, page.body, `<a href="/docs/mock#scenarios">see</a>`)
		require.NotContains(t, page.body, "<too little>")
		policy := page.header.Get("Content-Security-Policy")
		require.Contains(t, policy, "default-src 'none'; style-src 'sha256-")
		require.NotContains(t, policy, "unsafe")
		require.NotContains(t, page.body, " style=")
		require.NotRegexp(t, `(src|href)="(https?:)?//`, page.body)
		tag := page.header.Get("Etag")
		require.NotEmpty(t, tag)
		again := s.do(t, uuid.Nil, "GET", "/docs/errors", "", accept, "If-None-Match: "+tag)
		require.Equal(t, 304, again.status)
		require.Empty(t, again.body)
	}
	raw := s.do(t, uuid.Nil, "GET", "/docs/errors", "", "Accept: text/markdown")
	require.Equal(t, "text/markdown; charset=utf-8", raw.header.Get("Content-Type"))
	require.Contains(t, raw.body, "| `insufficient_funds` | 422 |")
	require.Contains(t, raw.header.Get("Vary"), "Accept")

	bank := s.do(t, uuid.Nil, "GET", "/docs/mock", "").body
	require.NotContains(t, bank, "<script")
	require.Contains(t, bank, `<a href="/docs/errors#insufficient_funds">codes</a>, why, ours`)
}

// TestF144_FrontPage: a browser gets a page, everything else JSON.
func TestF144_FrontPage(t *testing.T) {
	s := newTestServer(t)
	page := s.do(
		t,
		uuid.Nil,
		"GET",
		"/",
		"",
		"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
	)
	require.Equal(t, 200, page.status)
	require.Equal(t, "text/html; charset=utf-8", page.header.Get("Content-Type"))
	for _, part := range []string{`href="/docs"`, `href="/openapi.json"`, `href="/docs/errors"`, `href="/readyz"`, `href="/docs/mock"`, "All of &lt;them&gt;",
		"\necho &#39;&lt;done&gt;&#39;\n"} {
		require.Contains(t, page.body, part)
	}
	require.Regexp(t, `url=http://127\.0\.0\.1:[0-9]+\n`, page.body)
	require.NotContains(t, page.body, "<script")
	require.NotRegexp(t, `(src|href)="(https?:)?//`, page.body)
	for host, plain := range map[string]bool{"pay.example": true, "127.0.0.1:8080": true, "[::1]:8080": true, "": false, "$(reboot)": false,
		"a;b": false, "a b": false, "a\nb": false} {
		require.Equal(t, plain, plainHost.MatchString(host), host)
	}
	for _, accept := range []string{"Accept: application/json", "Accept: */*", "Accept: application/xml", "X-None: 1"} {
		answer := s.do(t, uuid.Nil, "GET", "/", "", accept)
		require.Equal(t, 200, answer.status)
		require.JSONEq(
			t,
			`{"service":"florin","docs":"/docs","openapi":"/openapi.json","errors":"/docs/errors","alive":"/healthz","ready":"/readyz"}`,
			answer.body,
		)
	}
	require.NotContains(
		t,
		newTestServer(
			t,
			func(d *Deps) { d.Walk = Walk{} },
		).do(t, uuid.Nil, "GET", "/", "", "Accept: text/html").
			body,
		"<pre>",
	)
}

// TestF144_LinksOfTheGuidesLand goes through every link of every guide that the program serves, and
// every code of the catalogue.
func TestF144_LinksOfTheGuidesLand(t *testing.T) {
	s := newTestServer(t, func(d *Deps) {
		d.Guides = nil
		for _, g := range florindocs.Guides() {
			d.Guides = append(d.Guides, Guide(g))
		}
	})
	targets, pages := map[string]bool{
		"/":        true,
		"/docs":    true,
		"/#guides": true,
	}, map[string]string{}
	for _, g := range florindocs.Guides() {
		require.NotEmpty(t, g.About)
		address := "/docs/" + g.Name
		answer := s.do(t, uuid.Nil, "GET", address, "")
		require.Equal(t, 200, answer.status, address)
		require.NotContains(t, answer.body, "<!-- raw HTML omitted -->", address)
		pages[address], targets[address] = answer.body, true
		for _, id := range regexp.MustCompile(` id="([^"]+)"`).FindAllStringSubmatch(answer.body, -1) {
			require.False(t, targets[address+"#"+id[1]], "%s#%s twice", address, id[1])
			targets[address+"#"+id[1]] = true
		}
	}
	for address, page := range pages {
		for _, link := range regexp.MustCompile(` href="([^"]*)"`).FindAllStringSubmatch(page, -1) {
			to := link[1]
			if strings.HasPrefix(to, "#") {
				to = address + to
			}
			if strings.HasPrefix(to, "/") {
				require.True(t, targets[to], "%s links to %s", address, to)
			} else {
				require.Regexp(t, "^(https://|data:,$)", to)
			}
		}
	}
	catalogue, err := os.ReadFile("../docs/errors.md")
	require.NoError(t, err)
	codes := regexp.MustCompile("(?m)^\\| `([a-z0-9_]+)` \\|").
		FindAllStringSubmatch(string(catalogue), -1)
	require.Greater(t, len(codes), 50)
	for _, code := range codes {
		require.True(t, targets["/docs/errors#"+code[1]], code[1])
	}
	require.Contains(t, slices.Collect(maps.Keys(targets)), "/docs/configuration#PROFILE")
}
