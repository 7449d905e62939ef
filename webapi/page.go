package webapi

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"html/template"
	"strings"

	"github.com/gofiber/fiber/v2"
)

// style is of all pages that people read. It follows the reader's choice of light or dark.
const style = `:root{color-scheme:light dark;--ink:#1d2329;--soft:#59636e;--line:#d8dee4;--back:#fff;--tint:#f5f7f9;--link:#0b5cad;--mark:#fff3c4}
@media(prefers-color-scheme:dark){:root{--ink:#e2e6ea;--soft:#9aa5b1;--line:#333c46;--back:#14181d;--tint:#1c2229;--link:#7ab7f5;--mark:#3d3412}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--back);color:var(--ink);font:16px/1.6 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
a{color:var(--link);text-underline-offset:.15em}
header,main,footer{max-width:68rem;margin:0 auto;padding:0 1.25rem}
header{display:flex;flex-wrap:wrap;gap:.25rem 1.25rem;align-items:baseline;padding-top:1.1rem;padding-bottom:1.1rem}
header a{text-decoration:none}
header .name{font-weight:700;font-size:1.15rem;color:var(--ink);margin-right:auto}
footer{color:var(--soft);font-size:.875rem;margin-top:3rem;padding-top:1rem;padding-bottom:2rem;border-top:1px solid var(--line)}
h1,h2,h3,h4{line-height:1.25;margin:2.2em 0 .6em}
h1{font-size:1.9rem;margin-top:.8em}
h2{font-size:1.35rem}
h3{font-size:1.1rem}
p,ul,ol,table,pre,dl{margin:0 0 1.1rem}
p,ul,ol{max-width:48rem}
.lead{font-size:1.15rem;color:var(--soft);max-width:44rem}
code,pre{font:.875em/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
code{background:var(--tint);border-radius:4px;padding:.1em .3em;overflow-wrap:anywhere}
pre{background:var(--tint);border:1px solid var(--line);border-radius:8px;padding:1rem;overflow-x:auto}
pre code{background:none;padding:0;overflow-wrap:normal}
.wide{overflow-x:auto;margin:0 0 1.1rem}
table{border-collapse:collapse;width:100%;margin:0;font-size:.925rem}
th,td{text-align:left;vertical-align:top;padding:.5rem .9rem .5rem 0;border-bottom:1px solid var(--line);min-width:5.5rem}
th{color:var(--soft);font-weight:600}
td:first-child code{white-space:nowrap}
:target{background:var(--mark);scroll-margin-top:1rem}
.cards{display:grid;max-width:none;grid-template-columns:repeat(auto-fill,minmax(15rem,1fr));gap:.9rem;padding:0;list-style:none}
.starts{grid-template-columns:repeat(auto-fill,minmax(12rem,1fr))}
.cards a{display:block;height:100%;border:1px solid var(--line);border-radius:8px;padding:.85rem 1rem;text-decoration:none;color:inherit}
.cards a:hover{border-color:var(--link)}
.cards b{display:block;color:var(--link)}
.cards span{color:var(--soft);font-size:.925rem}
blockquote{margin:0 0 1.1rem;padding-left:1rem;border-left:3px solid var(--line);color:var(--soft)}`

// pagePolicy allows the one style, by its hash, and nothing else: the pages have no script and load
// nothing.
var pagePolicy = fmt.Sprintf(
	"default-src 'none'; style-src 'sha256-%s'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
	base64.StdEncoding.EncodeToString(
		func() []byte { sum := sha256.Sum256([]byte(style)); return sum[:] }(),
	),
)

var frame = template.Must(template.New("page").Parse(`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{{.Title}}</title>
<link rel="icon" href="data:,">
<style>{{.Style}}</style>
</head>
<body>
<header><a class="name" href="/">Florin</a> <a href="/docs">API</a> <a href="/docs/errors">Errors</a> <a href="/#guides">Guides</a></header>
<main>
{{.Body}}</main>
<footer>Florin, a payments backend. Served by this program alone: nothing on this page is loaded from elsewhere.</footer>
</body>
</html>
`))

// framed puts a body of our own making into the page.
func framed(title string, body []byte) ([]byte, error) {
	var page bytes.Buffer
	err := frame.Execute(&page, struct {
		Title string
		Style template.CSS
		Body  template.HTML
	}{title, style, template.HTML(body)}) //nolint:gosec // rendered by us, without raw HTML of others
	return page.Bytes(), err
}

// sendCached answers with what seldom changes: whoever has it already is told so alone.
func sendCached(c *fiber.Ctx, mediaType string, body []byte) error {
	sum := sha256.Sum256(body)
	tag := `"` + hex.EncodeToString(sum[:12]) + `"`
	c.Set(fiber.HeaderETag, tag)
	c.Set(fiber.HeaderCacheControl, "no-cache")
	c.Vary(fiber.HeaderAccept)
	if strings.Contains(
		c.Get(fiber.HeaderIfNoneMatch),
		tag,
	) { // a proxy may have made it a weak one
		return c.SendStatus(fiber.StatusNotModified)
	}
	c.Set(fiber.HeaderContentType, mediaType)
	return c.Send(body)
}

// sendPage is sendCached for HTML.
func sendPage(c *fiber.Ctx, page []byte) error {
	c.Set(fiber.HeaderContentSecurityPolicy, pagePolicy)
	return sendCached(c, fiber.MIMETextHTMLCharsetUTF8, page)
}
