package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"florin/infra/database/databasetest"
)

// image is what Docker runs where no local server is installed.
const image = "postgres:17-alpine"

// source is a server, where it came from, and how to end it.
type source struct {
	url, origin string
	stop        func() error
}

// obtain finds a server: the one of TEST_DATABASE_URL, local programs, Docker, or, as root on Debian, a new package. One that it
// starts has the settings.
func obtain(ctx context.Context, settings []string) (source, error) {
	if url := os.Getenv(databasetest.EnvURL); url != "" {
		return source{url: url, origin: databasetest.EnvURL, stop: func() error { return nil }}, nil
	}
	local, err := startLocal(ctx, settings)
	if !errors.Is(err, databasetest.ErrNoPostgres) {
		return local, err
	}
	if exec.CommandContext(ctx, "docker", "info").Run() == nil {
		return startDocker(ctx, settings)
	}
	if _, aptErr := exec.LookPath("apt-get"); aptErr == nil && os.Geteuid() == 0 {
		if err := install(ctx); err != nil {
			return source{}, err
		}
		return startLocal(ctx, settings)
	}
	return source{}, err
}

func startLocal(ctx context.Context, settings []string) (source, error) {
	server, err := databasetest.Start(ctx, settings...)
	if err != nil {
		return source{}, err
	}
	return source{url: server.URL, origin: "a throwaway server from this machine's programs", stop: server.Stop}, nil
}

func install(ctx context.Context) error {
	for _, arguments := range [][]string{{"update"}, {"install", "-y", "--no-install-recommends", "postgresql"}} {
		fmt.Println("no PostgreSQL found: running apt-get", strings.Join(arguments, " "))
		command := exec.CommandContext(ctx, "apt-get", arguments...)
		command.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		command.Stdout, command.Stderr = os.Stderr, os.Stderr
		if err := command.Run(); err != nil {
			return fmt.Errorf("apt-get %s: %w", arguments[0], err)
		}
	}
	return nil
}

func startDocker(ctx context.Context, settings []string) (source, error) {
	fmt.Println("no PostgreSQL found: starting", image, "in Docker")
	arguments := []string{"run", "--detach", "--rm", "--publish", "127.0.0.1::5432", "--env", "POSTGRES_HOST_AUTH_METHOD=trust", image}
	for _, setting := range append([]string{"fsync=off", "full_page_writes=off", "max_connections=400"}, settings...) {
		arguments = append(arguments, "-c", setting)
	}
	output, err := docker(ctx, arguments...)
	if err != nil {
		return source{}, err
	}
	container := strings.TrimSpace(output)
	stop := func() error {
		_, err := docker(context.Background(), "rm", "--force", container)
		return err
	}
	address, err := docker(ctx, "port", container, "5432/tcp")
	if err != nil {
		return source{}, errors.Join(err, stop())
	}
	first, _, _ := strings.Cut(strings.TrimSpace(address), "\n")
	found := source{url: "postgres://postgres@" + first + "/postgres?sslmode=disable", origin: image + " in Docker", stop: stop}
	if err := awaitAnswer(ctx, found.url); err != nil {
		return source{}, errors.Join(err, stop())
	}
	return found, nil
}

func docker(ctx context.Context, arguments ...string) (string, error) {
	var output, problem bytes.Buffer
	command := exec.CommandContext(ctx, "docker", arguments...)
	command.Stdout, command.Stderr = &output, &problem
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("docker %s: %w: %s", arguments[0], err, problem.String())
	}
	return output.String(), nil
}

// awaitAnswer waits until the server inside the container takes connections from outside.
func awaitAnswer(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	again := time.NewTicker(200 * time.Millisecond)
	defer again.Stop()
	for {
		conn, err := pgx.Connect(ctx, url)
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the container does not answer: %w", err)
		case <-again.C:
		}
	}
}
