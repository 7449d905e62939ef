package webapi

import (
	"bytes"
	"html/template"
	"regexp"
	"strings"

	"github.com/gofiber/fiber/v2"
)

// Walk is the first walk through the API that the front page shows: a shell script with the line
// URL in it, which says where the server is. Without a script there is none.
type Walk struct{ Script, URL string }

// index is what the front page is for programs: where the rest is.
type index struct {
	Service string `json:"service" example:"florin"`
	Docs    string `json:"docs" example:"/docs" description:"The API as a page."`
	OpenAPI string `json:"openapi" example:"/openapi.json"`
	Errors  string `json:"errors" example:"/docs/errors" description:"The catalogue of error codes."`
	Alive   string `json:"alive" example:"/healthz"`
	Ready   string `json:"ready" example:"/readyz"`
}

var links = index{
	Service: "florin",
	Docs:    "/docs",
	OpenAPI: "/openapi.json",
	Errors:  "/docs/errors",
	Alive:   "/healthz",
	Ready:   "/readyz",
}

// Front answers with the front page, for programs as JSON.
func (d *docs) Front(c *fiber.Ctx) error {
	if c.Accepts(fiber.MIMEApplicationJSON, fiber.MIMETextHTML) != fiber.MIMETextHTML {
		c.Vary(fiber.HeaderAccept)
		return c.JSON(links)
	}
	page, err := d.frontPage(addressOf(c))
	if err != nil {
		return err
	}
	return sendPage(c, page)
}

// plainHost is a host that means nothing else in a shell.
var plainHost = regexp.MustCompile(`^[A-Za-z0-9.-]+(:[0-9]+)?$|^\[[0-9a-fA-F:]+\](:[0-9]+)?$`)

// addressOf is the server's address as the browser knows it, "" where that is no plain one.
func addressOf(c *fiber.Ctx) string {
	if !plainHost.MatchString(c.Hostname()) {
		return ""
	}
	return c.Protocol() + "://" + c.Hostname()
}

// frontLink is a link of the front page.
type frontLink struct{ To, Name, About string }

func (d *docs) frontPage(address string) ([]byte, error) {
	script := d.walk.Script
	if address != "" && script != "" {
		script = strings.Replace(script, d.walk.URL, "url="+address+"\n", 1)
	}
	var guides []frontLink
	for _, g := range d.listed {
		guides = append(guides, frontLink{"/docs/" + g.Name, g.title, g.About})
	}
	var body bytes.Buffer
	err := front.Execute(&body, struct {
		Starts, Guides []frontLink
		Walk           string
	}{[]frontLink{
		{"/docs", "API", "Every route with its fields, answers and examples"},
		{"/openapi.json", "OpenAPI document", "The same for generators and tools"},
		{"/docs/errors", "Error codes", "What each means and what to do"},
		{"/readyz", "Status", "Whether all parts of the server are ready"},
	}, guides, script})
	if err != nil {
		return nil, err
	}
	return framed("Florin", body.Bytes())
}

var front = template.Must(template.New("front").Parse(`<h1>Florin is running</h1>
<p class="lead">It takes money in from a payment provider, keeps it in a double-entry ledger, moves it between accounts, and pays it out again.</p>
<ul class="cards starts">
{{range .Starts}}<li><a href="{{.To}}"><b>{{.Name}}</b><span>{{.About}}</span></a></li>
{{end}}</ul>
{{if .Walk}}<h2 id="walk">A deposit, from registration to balance</h2>
<p>Paste this into a POSIX shell. It needs curl. The money is that of a mock bank.</p>
<pre><code>{{.Walk}}</code></pre>
{{end}}<h2 id="guides">Guides</h2>
<ul class="cards">
{{range .Guides}}<li><a href="{{.To}}"><b>{{.Name}}</b><span>{{.About}}</span></a></li>
{{end}}</ul>
`))
