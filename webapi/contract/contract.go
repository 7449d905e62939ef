// Package contract checks live answers against the OpenAPI document. It is for tests.
package contract

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
)

// Contract is a valid OpenAPI document.
type Contract struct {
	// Paths are "METHOD /path/{id}" of every operation.
	Paths  []string
	router routers.Router
	// held is the answers that were found to hold, by hash: who polls gets the same one many times, and checking compiles
	// the schema anew.
	held sync.Map
}

// TB is the part of testing.TB that Check uses.
type TB interface {
	Helper()
	Errorf(format string, args ...any)
}

// Load reads and validates the document, with its examples.
func Load(document []byte) (*Contract, error) {
	loader := openapi3.NewLoader()
	doc, err := loader.LoadFromData(document)
	if err != nil {
		return nil, fmt.Errorf("load document: %w", err)
	}
	if err := doc.Validate(context.Background(), openapi3.EnableExamplesValidation()); err != nil {
		return nil, fmt.Errorf("validate document: %w", err)
	}
	router, err := legacy.NewRouter(doc)
	if err != nil {
		return nil, fmt.Errorf("route document: %w", err)
	}
	c := &Contract{router: router}
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			c.Paths = append(c.Paths, method+" "+path)
		}
	}
	return c, nil
}

// Check reports where the answer is not what the document says of the request's route: a status, header, media
// type or body that is not described. A request to no route at all must be answered with a problem of 404 or 405.
// The request's own body is not looked at, because tests send wrong ones on purpose.
func (c *Contract) Check(t TB, r *http.Request, response *http.Response, body []byte) {
	t.Helper()
	answer := sha256.Sum256(fmt.Appendf(nil, "%s %s %d %q %q\n%s", r.Method, r.URL.Path, response.StatusCode,
		response.Header["Content-Type"], slices.Sorted(maps.Keys(response.Header)), body))
	if _, ok := c.held.Load(answer); ok {
		return
	}
	if err := c.check(r, response, body); err == nil {
		c.held.Store(answer, struct{}{})
	} else {
		t.Errorf("%s %s answered %d, which is not in the contract: %v\n%s", r.Method, r.URL.Path, response.StatusCode, err, body)
	}
}

func (c *Contract) check(r *http.Request, response *http.Response, body []byte) error {
	if r.Method == http.MethodHead {
		if len(body) != 0 {
			return fmt.Errorf("HEAD has a body")
		}
		return nil
	}
	asked := r.Clone(r.Context())
	asked.URL.Scheme, asked.URL.Host, asked.Host = "", "", ""
	route, params, err := c.router.FindRoute(asked)
	// The document's router takes "/accounts/" for "/accounts"; the server does not.
	if err != nil || len(asked.URL.Path) > 1 && strings.HasSuffix(asked.URL.Path, "/") {
		if response.StatusCode == http.StatusNotFound || response.StatusCode == http.StatusMethodNotAllowed ||
			response.StatusCode == http.StatusNoContent && r.Method == http.MethodOptions {
			return nil
		}
		return fmt.Errorf("no such route is described: %w", err)
	}
	options := &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true,
		ExcludeResponseBody: !strings.Contains(response.Header.Get("Content-Type"), "json")}
	input := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: asked, PathParams: params, Route: route, Options: options},
		Status:                 response.StatusCode,
		Header:                 response.Header,
		Body:                   io.NopCloser(bytes.NewReader(body)),
		Options:                options,
	}
	return openapi3filter.ValidateResponse(context.Background(), input)
}
