//go:build crashpoint

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"florin/pkg/eventbus"
	accountsvc "florin/service/account"
)

// A build with crash points runs as a process of its own, whose tests cannot hand it Options: they come in the environment.
// No other build reads these.
const (
	// envClockAhead is a duration: how far the program's clock is ahead of the machine's.
	envClockAhead = "FLORIN_TEST_CLOCK_AHEAD"
	// envSink is a file to which a durable subscriber appends every event, one JSON object a line.
	envSink = "FLORIN_TEST_SINK"
	// sinkName is that subscriber's.
	sinkName = "test-sink"
)

func testOptions(environ map[string]string, o Options) (Options, error) {
	if text := environ[envClockAhead]; text != "" {
		ahead, err := time.ParseDuration(text)
		if err != nil {
			return o, fmt.Errorf("%s: %w", envClockAhead, err)
		}
		o.Clock = func() time.Time { return accountsvc.SystemClock().Add(ahead) }
	}
	if path := environ[envSink]; path != "" {
		// Never closed: it is there for as long as the process.
		file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return o, err
		}
		o.Subscribers = map[string]eventbus.PositionedHandler{sinkName: func(_ context.Context, e eventbus.PositionedEvent) error {
			line, err := json.Marshal(e)
			if err != nil {
				return err
			}
			_, err = file.Write(append(line, '\n'))
			return err
		}}
	}
	return o, nil
}
