//go:build crashpoint

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"time"

	"florin/pkg/crashpoint"
	"florin/pkg/eventbus"
)

// A build with crash points runs as a process of its own, whose tests cannot hand it Options: they come in the environment.
// No other build reads these.
const (
	// envClockAhead is a duration: how far the program's clock is ahead of the machine's.
	envClockAhead = "FLORIN_TEST_CLOCK_AHEAD"
	// envSink is a file to which a durable subscriber appends every event, one JSON object a line.
	envSink = "FLORIN_TEST_SINK"
	// envControl, when set, has each line of the standard input arm a crash point, and its end end the process.
	envControl = "FLORIN_TEST_CONTROL"
)

func testOptions(environ map[string]string, o Options) (Options, error) {
	if text := environ[envClockAhead]; text != "" {
		ahead, err := time.ParseDuration(text)
		if err != nil {
			return o, fmt.Errorf("%s: %w", envClockAhead, err)
		}
		o.Clock = func() time.Time { return systemClock().Add(ahead) }
	}
	if path := environ[envSink]; path != "" {
		sink, err := newSink(path)
		if err != nil {
			return o, err
		}
		o.Subscribers, o.SubscribersAlone = map[string]eventbus.PositionedHandler{"test-sink": sink}, true
	}
	if environ[envControl] != "" {
		go control(o.Log)
	}
	return o, nil
}

// newSink appends to a file that is never closed: it is there for as long as the process.
func newSink(path string) (eventbus.PositionedHandler, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	return func(_ context.Context, e eventbus.PositionedEvent) error {
		line, err := json.Marshal(e)
		if err != nil {
			return err
		}
		_, err = file.Write(append(line, '\n'))
		return err
	}, nil
}

// control ends the process when whoever drives it is gone, so that no killed test leaves a server behind.
func control(log *slog.Logger) {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if err := crashpoint.Arm(lines.Text()); err != nil {
			log.Error("crash point not armed", "error", err)
			continue
		}
		log.Info("armed", "point", lines.Text())
	}
	os.Exit(3)
}
