package main

import (
	"bufio"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"florin/pkg/eventbus"
)

// frame is one message of an event stream.
type frame struct{ id, event, data, comment, retry string }

func (f frame) position(t testing.TB) int64 {
	t.Helper()
	position, err := strconv.ParseInt(f.id, 10, 64)
	require.NoError(t, err, "%+v", f)
	return position
}

func (f frame) cloudEvent(t testing.TB) eventbus.CloudEvent {
	t.Helper()
	var e eventbus.CloudEvent
	require.NoError(t, json.Unmarshal([]byte(f.data), &e), "%+v", f)
	return e
}

// follower is a client of GET /events. Its frames are closed when the stream has ended.
type follower struct {
	t        testing.TB
	response *http.Response
	frames   chan frame
	start    frame // the first, without an event
	last     string
}

// follow opens a stream, which must be taken, and returns when it is live. Headers are name, value.
func (c *client) follow(headers ...string) *follower {
	c.r.t.Helper()
	response := c.stream(headers...)
	require.Equal(c.r.t, 200, response.StatusCode)
	require.Equal(c.r.t, "text/event-stream", response.Header.Get("Content-Type"))
	f := &follower{t: c.r.t, response: response, frames: make(chan frame, 10_000)}
	go read(response, f.frames)
	f.start = f.next()
	require.NotEmpty(c.r.t, f.start.retry)
	require.NotEmpty(c.r.t, f.start.id)
	f.last = f.start.id
	return f
}

// stream asks for a stream and returns the answer as it begins.
func (c *client) stream(headers ...string) *http.Response {
	request, err := http.NewRequestWithContext(c.r.t.Context(), http.MethodGet, c.r.url+"/events", nil)
	require.NoError(c.r.t, err)
	request.Header.Set("Authorization", "Bearer "+c.token)
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Add(headers[i], headers[i+1])
	}
	// A client without a time-out, and a connection that nobody uses after it.
	response, err := (&http.Transport{}).RoundTrip(request)
	require.NoError(c.r.t, err)
	c.r.t.Cleanup(func() { _ = response.Body.Close() })
	return response
}

func read(response *http.Response, frames chan<- frame) {
	defer close(frames)
	var f frame
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "id":
			f.id = value
		case "event":
			f.event = value
		case "data":
			f.data += value
		case "retry":
			f.retry = value
		case "":
			if lines.Text() != "" {
				f.comment = value
				continue
			}
			frames <- f
			f = frame{}
		}
	}
}

// next is the next frame, whatever it is.
func (f *follower) next() frame {
	f.t.Helper()
	select {
	case got, open := <-f.frames:
		require.True(f.t, open, "the stream has ended")
		return got
	case <-time.After(rigPatience):
		require.FailNow(f.t, "no frame came")
		return frame{}
	}
}

// events waits for n events and checks what holds of each.
func (f *follower) events(n int) []frame {
	f.t.Helper()
	var got []frame
	for len(got) < n {
		next := f.next()
		if next.event == "" {
			continue
		}
		e := next.cloudEvent(f.t)
		require.Equal(f.t, next.event, e.Type)
		require.Equal(f.t, next.id, e.Position)
		last, err := strconv.ParseInt(f.last, 10, 64)
		require.NoError(f.t, err)
		require.Greater(f.t, next.position(f.t), last, "positions grow")
		f.last = next.id
		got = append(got, next)
	}
	return got
}

// ended waits until the stream is over, and returns the frames that still came.
func (f *follower) ended(within time.Duration) []frame {
	f.t.Helper()
	var rest []frame
	deadline := time.After(within)
	for {
		select {
		case got, open := <-f.frames:
			if !open {
				return rest
			}
			rest = append(rest, got)
		case <-deadline:
			require.FailNow(f.t, "the stream did not end", "%d frames came", len(rest))
		}
	}
}

// leave goes away as a client does: without a word.
func (f *follower) leave() { _ = f.response.Body.Close() }

// statuses is "status seq" of events, in order.
func statuses(t testing.TB, frames []frame) []string {
	var told []string
	for _, f := range frames {
		e := f.cloudEvent(t)
		told = append(told, strings.TrimPrefix(e.Type, eventbus.CloudEventType)+" "+strconv.Itoa(e.Seq))
	}
	return told
}
