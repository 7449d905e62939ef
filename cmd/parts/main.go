// Command parts says what Florin is made of.
//
//	parts sbom <binary> <file>   write the binary's parts as a CycloneDX document
//	parts outdated               list the direct dependencies that are behind
//
// It needs nothing but the standard library, so that the list of parts has none of its own.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "parts:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, arguments []string, out io.Writer) error {
	switch {
	case len(arguments) == 3 && arguments[0] == "sbom":
		return writeBOM(arguments[1], arguments[2])
	case len(arguments) == 1 && arguments[0] == "outdated":
		modules, err := direct(ctx)
		if err != nil {
			return err
		}
		return report(out, modules)
	default:
		return errors.New("usage: parts sbom <binary> <file> | parts outdated")
	}
}
