package problem

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/domain/errs"
)

// catalogueFile is what the type of every problem links to.
const catalogueFile = "../../docs/errors.md"

var kindNames = map[string]errs.Kind{
	"Internal": errs.Internal, "Malformed": errs.Malformed, "Unauthenticated": errs.Unauthenticated, "Forbidden": errs.Forbidden,
	"NotFound": errs.NotFound, "Conflict": errs.Conflict, "TooLarge": errs.TooLarge, "Unsupported": errs.Unsupported,
	"Refused": errs.Refused, "Limited": errs.Limited, "Unavailable": errs.Unavailable, "Timeout": errs.Timeout,
}

// TestCatalogueIsTheCodes compares docs/errors.md with the codes that the source names: neither has one that the other has not.
func TestCatalogueIsTheCodes(t *testing.T) {
	documented := readCatalogue(t)
	used := map[string]string{} // kind by code, "" where the place does not say
	for _, folder := range []string{"domain", "service", "infra", "webapi", "cmd"} {
		collectCodes(t, filepath.Join("../..", folder), used)
	}
	require.Greater(t, len(used), 50, "the search finds codes")
	for code, kind := range used {
		row, ok := documented[code]
		if !assert.True(t, ok, "%s is not in %s", code, catalogueFile) || kind == "" {
			continue
		}
		assert.Equal(t, kind, row.kind, "kind of %s", code)
		assert.Equal(t, StatusOf(kindNames[kind]), row.status, "status of %s", code)
	}
	for code := range documented {
		assert.Contains(t, used, code, "%s is in %s and nowhere in the source", code, catalogueFile)
	}
}

type catalogueRow struct {
	kind   string
	status int
}

var cataloguePattern = regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| (\\w+) \\| (\\d{3}) \\|")

func readCatalogue(t *testing.T) map[string]catalogueRow {
	t.Helper()
	text, err := os.ReadFile(catalogueFile)
	require.NoError(t, err)
	rows := map[string]catalogueRow{}
	for _, match := range cataloguePattern.FindAllStringSubmatch(string(text), -1) {
		status, err := strconv.Atoi(match[3])
		require.NoError(t, err)
		assert.NotContains(t, rows, match[1], "listed twice")
		rows[match[1]] = catalogueRow{match[2], status}
	}
	return rows
}

func collectCodes(t *testing.T, folder string, used map[string]string) {
	t.Helper()
	files := token.NewFileSet()
	require.NoError(t, filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(files, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(node ast.Node) bool {
			switch n := node.(type) {
			case *ast.CallExpr:
				codeOfCall(n, used)
			case *ast.CompositeLit:
				// Those of providers are their own: they end in a transaction's failure, not in a problem.
				if !strings.Contains(filepath.ToSlash(path), "/infra/provider/") {
					codeOfLiteral(n, used)
				}
			}
			return true
		})
		return nil
	}))
}

// codeOfCall reads the calls that make errors: which argument is the code, and which the kind.
func codeOfCall(call *ast.CallExpr, used map[string]string) {
	code, kind := -1, -1
	switch nameOf(call.Fun) {
	case "errs.New", "New":
		kind, code = 0, 1
	case "errs.Wrap":
		kind, code = 1, 2
	case "errs.InField", "inQuery", "inField":
		code = 1
	}
	if code < 0 || code >= len(call.Args) {
		return
	}
	kindName := ""
	if kind >= 0 {
		kindName = strings.TrimPrefix(nameOf(call.Args[kind]), "errs.")
		if _, known := kindNames[kindName]; !known {
			return // another New
		}
	}
	note(call.Args[code], kindName, used)
}

// codeOfLiteral reads errs.Error, errs.Field and the faults of this package.
func codeOfLiteral(literal *ast.CompositeLit, used map[string]string) {
	switch nameOf(literal.Type) {
	case "errs.Error", "errs.Field", "fault", "":
	default:
		return
	}
	kind := ""
	for _, element := range literal.Elts {
		if pair, ok := element.(*ast.KeyValueExpr); ok && nameOf(pair.Key) == "Kind" {
			kind = strings.TrimPrefix(nameOf(pair.Value), "errs.")
		}
	}
	for _, element := range literal.Elts {
		if pair, ok := element.(*ast.KeyValueExpr); ok && (nameOf(pair.Key) == "Code" || nameOf(pair.Key) == "code") {
			note(pair.Value, kind, used)
		}
	}
}

func note(value ast.Expr, kind string, used map[string]string) {
	literal, ok := value.(*ast.BasicLit)
	if !ok || literal.Kind != token.STRING {
		return
	}
	code, err := strconv.Unquote(literal.Value)
	if err != nil {
		return
	}
	if used[code] == "" {
		used[code] = kind
	}
}

func nameOf(expr ast.Expr) string {
	switch e := expr.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return nameOf(e.X) + "." + e.Sel.Name
	default:
		return ""
	}
}
