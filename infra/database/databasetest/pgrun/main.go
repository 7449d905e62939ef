// Command pgrun runs the tests with a PostgreSQL that all of them share: it starts a throwaway server, sets TEST_DATABASE_URL,
// runs the command after "--" and stops the server. When the command is "go test", it prints a compact report that says how many
// tests ran on each database. It exits as the command does. With -events it keeps how every test ended in a file, one JSON object a
// line, for cmd/reliability. With -durable a server that it starts waits for the disk, as for measuring.
//
//	go run ./infra/database/databasetest/pgrun [-events file] [-durable] -- go test ./...
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"florin/infra/database/databasetest"
)

func main() {
	events := flag.String("events", "", "file for how every test ended")
	durable := flag.Bool("durable", false, "the server waits for the disk")
	flag.Parse() // it ends at "--"
	arguments := flag.Args()
	if len(arguments) == 0 {
		fmt.Fprintln(os.Stderr, "usage: pgrun [-events file] [-durable] -- command [arguments]")
		os.Exit(2)
	}
	var settings []string
	if *durable {
		settings = []string{"fsync=on", "full_page_writes=on", "autovacuum=on"}
	}
	code, err := run(arguments, *events, settings)
	if err != nil {
		fmt.Fprintln(os.Stderr, "pgrun:", err)
	}
	os.Exit(code)
}

func run(arguments []string, events string, settings []string) (code int, err error) {
	server, err := obtain(context.Background(), settings)
	if err != nil {
		return 1, err
	}
	fmt.Println("postgres:", server.origin)
	defer func() {
		if stopErr := server.stop(); stopErr != nil {
			code, err = max(code, 1), errors.Join(err, stopErr)
		}
	}()
	if err := os.Setenv(databasetest.EnvURL, server.url); err != nil {
		return 1, err
	}
	if len(arguments) > 1 && arguments[0] == "go" && arguments[1] == "test" {
		return runTests(arguments, events)
	}
	command := exec.Command(arguments[0], arguments[1:]...)
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := command.Start(); err != nil {
		return 1, err
	}
	defer passSignals(command)()
	return exitCode(command.Wait())
}

// runTests runs "go test" with -json and reports on its events.
func runTests(arguments []string, keepIn string) (int, error) {
	if !slices.Contains(arguments, "-json") {
		arguments = slices.Insert(slices.Clone(arguments), 2, "-json")
	}
	report := newReport(os.Stdout)
	// Whoever measures, or asks for it, wants to read what passed too.
	report.whole = slices.ContainsFunc(arguments, func(a string) bool { return a == "-v" || strings.HasPrefix(a, "-bench=") })
	if keepIn != "" {
		kept, err := os.Create(keepIn)
		if err != nil {
			return 1, err
		}
		defer kept.Close()
		report.kept = json.NewEncoder(kept)
	}
	command := exec.Command(arguments[0], arguments[1:]...)
	command.Stderr = os.Stderr
	events, err := command.StdoutPipe()
	if err != nil {
		return 1, err
	}
	if err := command.Start(); err != nil {
		return 1, err
	}
	defer passSignals(command)()
	readErr := report.read(events)
	code, err := exitCode(command.Wait())
	report.close()
	if readErr != nil || (code == 0 && report.failed > 0) {
		code = max(code, 1)
	}
	return code, errors.Join(err, readErr)
}

// passSignals lets this process outlive a Ctrl-C, which reaches the command as well, so that the server is stopped after it; a
// TERM is passed on.
func passSignals(command *exec.Cmd) (stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		for received := range signals {
			if received == syscall.SIGTERM {
				_ = command.Process.Signal(received)
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
	}
}

func exitCode(err error) (int, error) {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0, nil
	case errors.As(err, &exit) && exit.ExitCode() > 0:
		return exit.ExitCode(), nil
	default:
		return 1, err
	}
}
