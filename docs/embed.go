// Package docs holds the documents that the running server shows.
package docs

import _ "embed"

// Errors is the catalogue of error codes, in Markdown. The type of every problem points into it.
//
//go:embed errors.md
var Errors []byte
