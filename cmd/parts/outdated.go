package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"text/tabwriter"
)

// reads says which modules read bytes that strangers send, or that a broken or hostile neighbour
// could: these are kept at their newest. The standard library, which reads TLS and HTTP/2, comes
// with the toolchain.
var reads = map[string]string{
	"github.com/gofiber/fiber/v2":         "HTTP requests",
	"github.com/valyala/fasthttp":         "HTTP requests",
	"github.com/go-json-experiment/json":  "JSON bodies",
	"github.com/golang-jwt/jwt/v5":        "access tokens",
	"github.com/google/uuid":              "ids",
	"github.com/govalues/decimal":         "amounts",
	"github.com/stripe/stripe-go/v76":     "a provider's answers",
	"github.com/jackc/pgx/v5":             "the database's answers, and parameters on their way into SQL",
	"gorm.io/gorm":                        "parameters on their way into SQL",
	"gorm.io/driver/postgres":             "parameters on their way into SQL",
	"modernc.org/sqlite":                  "the database file, and parameters on their way into SQL",
	"github.com/nats-io/nats.go":          "a broker's messages",
	"github.com/twmb/franz-go":            "a broker's messages",
	"github.com/twmb/franz-go/pkg/kmsg":   "a broker's messages",
	"github.com/gomodule/redigo":          "a broker's messages",
	"github.com/wneessen/go-mail":         "a mail server's answers",
	"golang.org/x/crypto":                 "passwords",
	"go.opentelemetry.io/otel":            "trace headers",
	"google.golang.org/protobuf":          "a collector's answers",
	"github.com/prometheus/client_golang": "requests for metrics",
}

// required is a dependency of go.mod, as go list tells of it.
type required struct {
	Path, Version  string
	Main, Indirect bool
	Update         *struct{ Version string }
	Deprecated     string
	Retracted      []string
}

// direct asks the module proxy for the newest version of each direct dependency.
func direct(ctx context.Context) ([]required, error) {
	list := exec.CommandContext(ctx, "go", "list", "-m", "-u", "-retracted", "-json", "all")
	list.Stderr = os.Stderr
	out, err := list.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := list.Start(); err != nil {
		return nil, err
	}
	var modules []required
	for decoder := json.NewDecoder(out); ; {
		var m required
		if err := decoder.Decode(&m); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, errors.Join(fmt.Errorf("read go list: %w", err), list.Wait())
		}
		if !m.Main && !m.Indirect {
			modules = append(modules, m)
		}
	}
	return modules, list.Wait()
}

// report lists what is behind, deprecated or retracted. It is an error where that is something that
// reads what strangers send.
func report(out io.Writer, modules []required) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "module\thas\tnewest\treads from outside")
	behind, urgent := 0, 0
	for _, m := range modules {
		newest := ""
		switch {
		case m.Update != nil:
			newest = m.Update.Version
		case len(m.Retracted) > 0:
			newest = "retracted"
		case m.Deprecated != "":
			newest = "deprecated"
		default:
			continue
		}
		behind++
		if reads[m.Path] != "" {
			urgent++
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", m.Path, m.Version, newest, reads[m.Path])
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(
		out,
		"%d of %d direct dependencies are behind, %d of them read what comes from outside.\n",
		behind,
		len(modules),
		urgent,
	)
	if urgent > 0 {
		return fmt.Errorf("%d to be brought to their newest", urgent)
	}
	return nil
}
