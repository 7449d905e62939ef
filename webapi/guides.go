package webapi

import (
	"bytes"
	"fmt"
	"path"
	"strings"
	"sync"

	"github.com/gofiber/fiber/v2"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	tables "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/renderer"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

// Guide is a document that is served at /docs/<name>.
type Guide struct {
	// Name is the last part of its address. Path is its file, which links of other guides name.
	// About is a line about it.
	Name, Path, About string
	Markdown          []byte
}

// guide is a Guide with its page, which is rendered when it is first asked for.
type guide struct {
	Guide
	title string
	page  func() ([]byte, error)
}

// catalogueName is the guide that the type of every problem links to.
const catalogueName = "errors"

const mimeMarkdown = "text/markdown"

func newGuides(given []Guide) (map[string]*guide, []*guide) {
	byName, byPath := make(map[string]*guide, len(given)), make(map[string]*guide, len(given))
	listed := make([]*guide, 0, len(given))
	for _, g := range given {
		made := &guide{Guide: g, title: titleOf(g.Markdown)}
		byName[g.Name], byPath[g.Path] = made, made
		listed = append(listed, made)
	}
	for _, g := range listed {
		g.page = sync.OnceValues(func() ([]byte, error) { return g.render(byPath) })
	}
	return byName, listed
}

// titleOf is the first heading.
func titleOf(markdown []byte) string {
	for line := range strings.Lines(string(markdown)) {
		if title, found := strings.CutPrefix(line, "# "); found {
			return strings.TrimSpace(title)
		}
	}
	return ""
}

// Guide answers with a guide, as a page or, where that is preferred, as the Markdown that it is
// written in.
func (d *docs) Guide(c *fiber.Ctx, g *guide) error {
	if c.Accepts(fiber.MIMETextHTML, mimeMarkdown) == mimeMarkdown {
		return sendCached(c, mimeMarkdown+"; charset=utf-8", g.Markdown)
	}
	page, err := g.page()
	if err != nil {
		return err
	}
	return sendPage(c, page)
}

// render makes the page. Raw HTML in the Markdown is left out.
func (g *guide) render(others map[string]*guide) ([]byte, error) {
	// An alignment by style would want another policy.
	table := extension.NewTable(
		extension.WithTableCellAlignMethod(extension.TableCellAlignAttribute),
	)
	markdown := goldmark.New(
		goldmark.WithExtensions(table),
		goldmark.WithParserOptions(
			parser.WithAutoHeadingID(),
			parser.WithASTTransformers(util.Prioritized(&anchors{g.Path, others}, 100)),
		),
		goldmark.WithRendererOptions(
			renderer.WithNodeRenderers(util.Prioritized(wideTables{}, 10)),
		),
	)
	var body bytes.Buffer
	if err := markdown.Convert(g.Markdown, &body); err != nil {
		return nil, fmt.Errorf("render guide %s: %w", g.Name, err)
	}
	return framed(g.title+" - Florin", body.Bytes())
}

// anchors makes each row of a table that begins with a code a target of links, and lets links
// between files lead to pages.
type anchors struct {
	path   string
	others map[string]*guide
}

// Transform implements parser.ASTTransformer.
func (a *anchors) Transform(document *ast.Document, reader text.Reader, _ parser.Context) {
	used := map[string]bool{}
	var rows []*tables.TableRow
	var links []*ast.Link
	_ = ast.Walk(
		document,
		func(n ast.Node, entering bool) (ast.WalkStatus, error) { // no step of it fails
			if !entering {
				return ast.WalkContinue, nil
			}
			switch n := n.(type) {
			case *ast.Heading:
				if id, found := n.AttributeString("id"); found {
					used[string(id.([]byte))] = true
				}
			case *tables.TableRow:
				rows = append(rows, n)
			case *ast.Link:
				links = append(links, n)
			}
			return ast.WalkContinue, nil
		},
	)
	for _, row := range rows {
		if id := codeOf(row, reader.Source()); id != "" && !used[id] {
			used[id] = true
			row.SetAttributeString("id", []byte(id))
		}
	}
	for _, link := range links {
		a.lead(link)
	}
}

// codeOf is the code that the row begins with, "" where it begins otherwise.
func codeOf(row *tables.TableRow, source []byte) string {
	cell := row.FirstChild()
	if cell == nil {
		return ""
	}
	code, ok := cell.FirstChild().(*ast.CodeSpan)
	if !ok {
		return ""
	}
	text, ok := code.FirstChild().(*ast.Text)
	if !ok {
		return ""
	}
	id := string(text.Segment.Value(source))
	if strings.ContainsAny(id, " \t\"'<>&") {
		return ""
	}
	return id
}

// lead turns a link to another guide's file into one to its page. A file that has no page leaves
// its text alone.
func (a *anchors) lead(link *ast.Link) {
	to := string(link.Destination)
	if strings.HasPrefix(to, "#") || strings.HasPrefix(to, "/") || strings.Contains(to, "://") {
		return
	}
	file, fragment, found := strings.Cut(to, "#")
	if other, served := a.others[path.Join(path.Dir(a.path), file)]; served {
		to = "/docs/" + other.Name
		if found {
			to += "#" + fragment
		}
		link.Destination = []byte(to)
		return
	}
	parent := link.Parent()
	for child := link.FirstChild(); child != nil; child = link.FirstChild() {
		parent.InsertBefore(parent, link, child)
	}
	parent.RemoveChild(parent, link)
}

// wideTables lets a table that is wider than the page be moved by itself.
type wideTables struct{}

// RegisterFuncs implements renderer.NodeRenderer.
func (wideTables) RegisterFuncs(r renderer.NodeRendererFuncRegisterer) {
	r.Register(
		tables.KindTable,
		func(w util.BufWriter, _ []byte, _ ast.Node, entering bool) (ast.WalkStatus, error) {
			tag := "</table></div>\n"
			if entering {
				tag = "<div class=\"wide\"><table>\n"
			}
			_, err := w.WriteString(tag)
			return ast.WalkContinue, err
		},
	)
}
