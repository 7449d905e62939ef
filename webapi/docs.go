package webapi

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/adaptor"
	"github.com/swaggest/swgui"
	"github.com/swaggest/swgui/v5emb"
)

// docs serves what describes the API, from the program itself: nothing is loaded from elsewhere.
type docs struct {
	// document is made when it is first asked for, because that takes longer than all else at the start.
	document  func() ([]byte, error)
	page      []byte
	policy    string
	catalogue []byte
	assets    fiber.Handler
}

var inlineScript = regexp.MustCompile(`(?s)<script>(.*?)</script>`)

// newDocs renders the pages once. The catalogue of error codes is Markdown.
func newDocs(catalogue []byte) (*docs, error) {
	ui := v5emb.NewHandlerWithConfig(swgui.Config{Title: "Florin", SwaggerJSON: "/openapi.json", BasePath: "/docs", JsonEditor: false})
	page := pageRecorder{header: http.Header{}}
	ui.ServeHTTP(&page, &http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/docs"}})
	if page.status != 0 && page.status != http.StatusOK || page.body.Len() == 0 {
		return nil, fmt.Errorf("render docs page: status %d", page.status)
	}
	return &docs{page: page.body.Bytes(), policy: docsPolicy(page.body.Bytes()), catalogue: cataloguePage(catalogue), assets: adaptor.HTTPHandler(ui)}, nil
}

// docsPolicy allows this page's own scripts, by hash where they are inline, and its calls to this server. The page
// sets styles on elements, which no hash covers.
func docsPolicy(page []byte) string {
	sources := "'self'"
	for _, script := range inlineScript.FindAllSubmatch(page, -1) {
		sum := sha256.Sum256(script[1])
		sources += " 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	return "default-src 'none'; script-src " + sources + "; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
		"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}

// Document answers with the OpenAPI document.
func (d *docs) Document(c *fiber.Ctx) error {
	document, err := d.document()
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderContentType, fiber.MIMEApplicationJSON)
	return c.Send(document)
}

// Page answers with the page that shows the document.
func (d *docs) Page(c *fiber.Ctx) error {
	c.Set(fiber.HeaderContentSecurityPolicy, d.policy)
	c.Set(fiber.HeaderContentType, fiber.MIMETextHTMLCharsetUTF8)
	return c.Send(d.page)
}

// Asset answers with a file that the page loads.
func (d *docs) Asset(c *fiber.Ctx) error {
	if err := d.assets(c); err != nil {
		return err
	}
	if c.Response().StatusCode() != fiber.StatusOK {
		return fiber.ErrNotFound
	}
	c.Set(fiber.HeaderCacheControl, "public, max-age=3600")
	return nil
}

// Errors answers with the catalogue of error codes, which the type of every problem links to.
func (d *docs) Errors(c *fiber.Ctx) error {
	c.Set(fiber.HeaderContentType, fiber.MIMETextHTMLCharsetUTF8)
	return c.Send(d.catalogue)
}

// cataloguePage makes every code in a first table cell (| `code` | …) or heading (## code) a target of links, and
// leaves the text as it is otherwise.
func cataloguePage(markdown []byte) []byte {
	var page strings.Builder
	page.WriteString("<!DOCTYPE html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Florin: error codes</title><body><pre>\n")
	for line := range strings.Lines(string(markdown)) {
		if code, ok := catalogued(line); ok {
			page.WriteString(`<a id="` + html.EscapeString(code) + `"></a>`)
		}
		page.WriteString(html.EscapeString(line))
	}
	page.WriteString("</pre></body></html>\n")
	return []byte(page.String())
}

func catalogued(line string) (string, bool) {
	if heading, ok := strings.CutPrefix(line, "## "); ok {
		return strings.TrimSpace(heading), true
	}
	cell, ok := strings.CutPrefix(line, "| `")
	if !ok {
		return "", false
	}
	code, _, ok := strings.Cut(cell, "`")
	return code, ok
}

// pageRecorder keeps what a handler writes.
type pageRecorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (p *pageRecorder) Header() http.Header         { return p.header }
func (p *pageRecorder) WriteHeader(status int)      { p.status = status }
func (p *pageRecorder) Write(b []byte) (int, error) { return p.body.Write(b) }
