package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestS78_PartsListIsTheBinary: the list is that of the binary, the same each time, and hangs
// together.
func TestS78_PartsListIsTheBinary(t *testing.T) {
	folder := t.TempDir()
	binary, path := filepath.Join(folder, "parts"), filepath.Join(folder, "parts.cdx.json")
	said, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".").CombinedOutput()
	require.NoError(t, err, string(said))
	require.NoError(t, run(t.Context(), []string{"sbom", binary, path}, t.Output()))
	first, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, run(t.Context(), []string{"sbom", binary, path}, t.Output()))
	again, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(first), string(again), "one binary, one document")
	var document bom
	require.NoError(t, json.Unmarshal(first, &document))
	assert.Equal(t, "CycloneDX", document.Format)
	assert.Equal(t, "1.6", document.SpecVersion)
	assert.Regexp(
		t,
		`^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`,
		document.SerialNumber,
	)
	assert.Equal(t, "application", document.Metadata.Component.Type)
	assert.Equal(t, "florin", document.Metadata.Component.Name)
	require.Len(t, document.Components, 1)
	assert.Equal(t, "std", document.Components[0].Name)
}

func TestS78_EveryModuleIsListedOnce(t *testing.T) {
	sum := "h1:" + base64.StdEncoding.EncodeToString(make([]byte, sha256.Size))
	document := describe(
		&debug.BuildInfo{
			GoVersion: "go1.26.8",
			Main:      debug.Module{Path: "florin", Version: "v0.1.0"},
			Settings: []debug.BuildSetting{
				{Key: "vcs.time", Value: "2026-05-01T12:00:00Z"},
				{Key: "vcs.revision", Value: "abc"},
			},
			Deps: []*debug.Module{
				{Path: "github.com/valyala/fasthttp", Version: "v1.78.0", Sum: sum},
				{
					Path:    "example.com/old",
					Version: "v1.0.0",
					Replace: &debug.Module{
						Path:    "example.com/new",
						Version: "v2.0.0+incompatible",
						Sum:     sum,
					},
				},
			},
		},
		[sha256.Size]byte{},
	)
	assert.Equal(t, "2026-05-01T12:00:00Z", document.Metadata.Timestamp)
	var purls []string
	for _, c := range document.Components {
		purls = append(purls, c.PURL)
		assert.Equal(t, c.PURL, c.Ref)
		if c.Name != "std" {
			require.Len(t, c.Hashes, 1, c.Name)
			assert.Equal(t, strings.Repeat("0", 64), c.Hashes[0].Content)
		}
	}
	assert.Equal(
		t,
		[]string{"pkg:golang/std@1.26.8", "pkg:golang/github.com/valyala/fasthttp@v1.78.0",
			"pkg:golang/example.com/new@v2.0.0%2Bincompatible"},
		purls,
	)
	assert.Equal(
		t,
		dependency{"pkg:golang/florin@v0.1.0", purls},
		document.Dependencies[len(document.Dependencies)-1],
	)
	assert.Len(t, document.Dependencies, len(purls)+1)
}

// TestS53_WhatIsBehindIsListed: what reads from outside must not be behind; the rest is told.
func TestS53_WhatIsBehindIsListed(t *testing.T) {
	newer := &struct{ Version string }{"v9.9.9"}
	modules := []required{
		{Path: "github.com/valyala/fasthttp", Version: "v1.78.0"},
		{Path: "github.com/spf13/cobra", Version: "v1.0.0", Update: newer},
	}
	var out strings.Builder
	require.NoError(t, report(&out, modules))
	assert.Contains(t, out.String(), "v9.9.9")
	assert.NotContains(t, out.String(), "fasthttp")
	modules[0].Update = newer
	out.Reset()
	require.Error(t, report(&out, modules))
	assert.Contains(t, out.String(), "HTTP requests")
	modules[0].Update, modules[0].Retracted = nil, []string{"broken"}
	require.Error(t, report(&out, modules))
}

// TestS53_MarkedModulesAreRequired: a module that has another name by now would never be marked.
func TestS53_MarkedModulesAreRequired(t *testing.T) {
	text, err := os.ReadFile("../../go.mod")
	require.NoError(t, err)
	for path := range reads {
		assert.Contains(t, string(text), "\t"+path+" v")
	}
}

// TestS53_TestToolsStayOutOfTheBinary: what only tests use is not among the parts.
func TestS53_TestToolsStayOutOfTheBinary(t *testing.T) {
	list := exec.CommandContext(
		t.Context(),
		"go",
		"list",
		"-deps",
		"-f",
		"{{.ImportPath}}",
		"florin/cmd/florin",
	)
	out, err := list.Output()
	require.NoError(t, err)
	for path := range strings.Lines(string(out)) {
		for _, tool := range []string{"stretchr/", "miniredis", "toxiproxy", "/kfake", "nats-server", "kin-openapi", "rapid", "goleak",
			"santhosh-tekuri", "google.golang.org/grpc", "redis/go-redis", "stripe-go/v76/client"} {
			assert.NotContains(t, path, tool)
		}
	}
}
