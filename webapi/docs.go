package webapi

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"regexp"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/adaptor"
	"github.com/swaggest/swgui"
	"github.com/swaggest/swgui/v5emb"
)

// docs serves what describes the API, from the program itself: nothing is loaded from elsewhere.
type docs struct {
	// document is made when it is first asked for, because that takes longer than all else at the start.
	document func() ([]byte, error)
	page     []byte
	policy   string
	assets   fiber.Handler
	guides   map[string]*guide
	listed   []*guide
	walk     Walk
}

var inlineScript = regexp.MustCompile(`(?s)<script>(.*?)</script>`)

func newDocs(given []Guide, walk Walk) (*docs, error) {
	ui := v5emb.NewHandlerWithConfig(swgui.Config{Title: "Florin", SwaggerJSON: "/openapi.json", BasePath: "/docs", JsonEditor: false})
	page := pageRecorder{header: http.Header{}}
	ui.ServeHTTP(&page, &http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/docs"}})
	if page.status != 0 && page.status != http.StatusOK || page.body.Len() == 0 {
		return nil, fmt.Errorf("render docs page: status %d", page.status)
	}
	d := &docs{page: page.body.Bytes(), policy: docsPolicy(page.body.Bytes()), assets: adaptor.HTTPHandler(ui), walk: walk}
	d.guides, d.listed = newGuides(given)
	return d, nil
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

// Asset answers with a guide, or with a file that the page loads.
func (d *docs) Asset(c *fiber.Ctx) error {
	if g, found := d.guides[c.Params("asset")]; found {
		return d.Guide(c, g)
	}
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
	g, found := d.guides[catalogueName]
	if !found {
		return fiber.ErrNotFound
	}
	return d.Guide(c, g)
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
