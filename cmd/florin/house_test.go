package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The house rules of docs/architecture.md, kept by tests: who may import whom, what may be called what, what stands where.

const module = "florin/"

type goPackage struct {
	ImportPath string
	Imports    []string // of the files that are no tests
}

// path is the package's folder in the module.
func (p goPackage) path() string { return strings.TrimPrefix(p.ImportPath, module) }

// ours returns the folder of an import of this module.
func ours(imported string) (path string, ok bool) { return strings.CutPrefix(imported, module) }

func house(t *testing.T) []goPackage {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", module+"...")
	command.Stderr = t.Output()
	output, err := command.Output()
	require.NoError(t, err)
	var packages []goPackage
	decoder := json.NewDecoder(strings.NewReader(string(output)))
	for {
		var p goPackage
		err := decoder.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		packages = append(packages, p)
	}
	require.Greater(t, len(packages), 15)
	return packages
}

// mayImport is, for each layer, the layers below it. What a layer may do inside itself is in sideways.
var mayImport = map[string][]string{
	"domain":     {"domain"},
	"pkg":        {"pkg", "domain"},
	"migrations": {},
	"service":    {"service", "domain", "pkg"},
	"infra":      {"infra", "domain", "pkg", "migrations"},
	"webapi":     {"webapi", "service", "domain", "pkg"},
	"cmd":        {"webapi", "service", "infra", "domain", "pkg", "docs"},
	"docs":       {},
}

func TestHouse_LayersImportDownwardsOnly(t *testing.T) {
	for _, p := range house(t) {
		layer, _, _ := strings.Cut(p.path(), "/")
		allowed, known := mayImport[layer]
		if !assert.True(t, known, "%s is in no layer", p.path()) {
			continue
		}
		for _, imported := range p.Imports {
			if path, ok := ours(imported); ok {
				below, _, _ := strings.Cut(path, "/")
				assert.Contains(t, allowed, below, "%s imports %s", p.path(), path)
			}
		}
	}
}

// room is the part of a layer that must not know its neighbours: a service, a feature of the web API, an adapter. It is ""
// for what all of a layer share.
func room(path string) string {
	parts := strings.Split(path, "/")
	switch parts[0] {
	case "service":
		return strings.Join(parts[:min(2, len(parts))], "/")
	case "webapi":
		shared := []string{"problem", "middleware", "decode", "wire", "call", "contract"}
		if len(parts) == 1 || slices.Contains(shared, parts[1]) {
			return ""
		}
		return strings.Join(parts[:2], "/")
	case "infra":
		kinds := []string{"provider", "eventbus", "fx", "notify"} // of which there are several adapters each
		if len(parts) > 2 && slices.Contains(kinds, parts[1]) {
			return strings.Join(parts[:3], "/")
		}
		return strings.Join(parts[:min(2, len(parts))], "/")
	}
	return ""
}

func TestHouse_NoSidewaysImports(t *testing.T) {
	for _, p := range house(t) {
		for _, imported := range p.Imports {
			path, ok := ours(imported)
			if from, to := room(p.path()), room(path); ok && from != "" && to != "" && strings.HasPrefix(path, strings.Split(from, "/")[0]+"/") {
				assert.Equal(t, from, to, "%s imports %s", p.path(), path)
			}
		}
	}
}

// livesIn says where a library may be imported, by the beginning of its path.
var livesIn = map[string][]string{
	"gorm.io/":                    {"infra/database"},
	"github.com/jackc/":           {"infra/database"},
	"github.com/pressly/goose":    {"infra/database"},
	"modernc.org/sqlite":          {"infra/database"},
	"github.com/stripe/":          {"infra/provider/stripe"},
	"github.com/gofiber/":         {"webapi", "cmd"},
	"github.com/valyala/fasthttp": {"webapi", "cmd"},
	"github.com/nats-io/":         {"infra/eventbus/jetstream"},
	"github.com/twmb/franz-go":    {"infra/eventbus/kafka"},
	"github.com/gomodule/redigo":  {"infra/eventbus/redis"},
	"github.com/yuin/goldmark":    {"webapi"},
	"github.com/spf13/":           {"cmd"},
	"github.com/caarlos0/env":     {"cmd"},
}

func TestHouse_LibrariesStayInTheirRooms(t *testing.T) {
	for _, p := range house(t) {
		for _, imported := range p.Imports {
			for library, rooms := range livesIn {
				if !strings.HasPrefix(imported, library) {
					continue
				}
				inside := slices.ContainsFunc(rooms, func(room string) bool {
					return p.path() == room || strings.HasPrefix(p.path(), room+"/")
				})
				assert.True(t, inside, "%s imports %s", p.path(), imported)
			}
		}
	}
}

func TestHouse_TheDomainKnowsNoLibraries(t *testing.T) {
	allowed := []string{"github.com/google/uuid", "github.com/govalues/decimal"}
	for _, p := range house(t) {
		if !strings.HasPrefix(p.path(), "domain/") {
			continue
		}
		for _, imported := range p.Imports {
			first, _, _ := strings.Cut(imported, "/")
			foreign := strings.Contains(first, ".") // the standard library has no domain names
			assert.True(t, !foreign || slices.Contains(allowed, imported), "%s imports %s", p.path(), imported)
		}
	}
}

func TestHouse_NoPackageIsADrawer(t *testing.T) {
	drawers := []string{"common", "util", "utils", "helper", "helpers", "dto", "mapper", "registry", "handler", "handlers", "mocks", "misc", "base", "shared"}
	for _, p := range house(t) {
		for _, part := range strings.Split(p.path(), "/") {
			assert.NotContains(t, drawers, part, p.path())
		}
	}
}

func TestHouse_NothingElseAtTheTop(t *testing.T) {
	allowed := []string{"cmd", "domain", "service", "infra", "webapi", "pkg", "migrations", "docs", "go.mod", "go.sum", "Makefile",
		"docker-compose.yml", "README.md", "Dockerfile", "LICENSE"}
	ignored := ignoredAtTop(t)
	entries, err := os.ReadDir(root)
	require.NoError(t, err)
	for _, entry := range entries {
		name := entry.Name()
		if strings.HasPrefix(name, ".") || slices.ContainsFunc(ignored, func(pattern string) bool {
			matched, _ := filepath.Match(pattern, name)
			return matched
		}) {
			continue
		}
		assert.Contains(t, allowed, name)
	}
}

// root is the module's folder, from this package's.
const root = "../.."

// ignoredAtTop is what .gitignore says of the top: made by builds and runs, not part of the house.
func ignoredAtTop(t *testing.T) []string {
	t.Helper()
	file, err := os.Open(filepath.Join(root, ".gitignore"))
	require.NoError(t, err)
	defer file.Close()
	var patterns []string
	for lines := bufio.NewScanner(file); lines.Scan(); {
		patterns = append(patterns, strings.Trim(lines.Text(), "/"))
	}
	return patterns
}

func TestHouse_NoFloatNearMoney(t *testing.T) {
	eachFile(t, []string{"domain", "service", "webapi", "infra", "migrations"}, func(path string, file *ast.File) {
		ast.Inspect(file, func(n ast.Node) bool {
			if name, ok := n.(*ast.Ident); ok {
				assert.False(t, name.Name == "float64" || name.Name == "float32", "%s has a %s", path, name.Name)
			}
			return true
		})
	})
}

func TestHouse_TheClockIsInjected(t *testing.T) {
	// The one place that makes the clock of the running program.
	const clock = "service/account/service.go"
	eachFile(t, []string{"domain", "service"}, func(path string, file *ast.File) {
		if path == clock || strings.HasSuffix(path, "_test.go") {
			return
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if selector, ok := n.(*ast.SelectorExpr); ok && selector.Sel.Name == "Now" {
				from, ok := selector.X.(*ast.Ident)
				assert.False(t, ok && from.Name == "time", "%s reads the wall clock", path)
			}
			return true
		})
	})
}

func TestHouse_TestsNeitherSleepNorSkip(t *testing.T) {
	eachFile(t, []string{"cmd", "domain", "service", "webapi", "infra", "pkg"}, func(path string, file *ast.File) {
		if !strings.HasSuffix(path, "_test.go") {
			return
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if selector, ok := n.(*ast.SelectorExpr); ok {
				from, _ := selector.X.(*ast.Ident)
				sleeps := from != nil && from.Name == "time" && selector.Sel.Name == "Sleep"
				skips := from != nil && from.Name == "t" && strings.HasPrefix(selector.Sel.Name, "Skip")
				assert.False(t, sleeps || skips, "%s: %s", path, selector.Sel.Name)
			}
			return true
		})
	})
}

// eachFile parses every Go file below the folders, tests included.
func eachFile(t *testing.T, folders []string, look func(path string, file *ast.File)) {
	t.Helper()
	files := 0
	for _, folder := range folders {
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || filepath.Ext(path) != ".go" {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			relative, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			look(filepath.ToSlash(relative), file)
			files++
			return nil
		})
		require.NoError(t, err)
	}
	require.Positive(t, files)
}
