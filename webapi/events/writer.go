package events

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"go.opentelemetry.io/otel/trace"

	"florin/domain/account"
	"florin/pkg/eventbus"
	"florin/service/stream"
)

// goodbyeWithin is how long a stream that is over may still take to say so.
const goodbyeWithin = time.Second

// burst is how many events are written before they are sent.
const burst = 64

// recheckWithin bounds a look at a credential.
const recheckWithin = 3 * time.Second

// errGone is a client that takes nothing any more.
var errGone = errors.New("client is gone")

// writer is one answer on its way.
type writer struct {
	deps   Deps
	stream *stream.Stream
	conn   net.Conn
	valid  func(context.Context) error
	retry  time.Duration
	span   trace.SpanContext // of the request

	out    *bufio.Writer
	unsent int
}

// run writes the answer. The server calls it in a goroutine of its own, which ends with the stream: a client that has gone
// away shows at the next write, at the latest a keep-alive.
func (w *writer) run(out *bufio.Writer) {
	w.out = out
	reason := stream.EndedFailed
	// A client that does not read holds up a write; the end must not wait for it.
	stop := context.AfterFunc(w.stream.Context(), func() { w.expectWithin(goodbyeWithin) })
	defer func() {
		// Nobody else recovers here, and one stream must not end the process.
		if cause := recover(); cause != nil {
			w.deps.Log.Error("event stream panicked", "error", fmt.Sprint(cause))
		}
		w.stream.End(reason)
		if reason = w.stream.Close(); reason != stream.EndedByClient {
			// For people. Nothing is lost with it, so its own failure is not either.
			_ = w.send(": ended, " + reason + "\n\n")
		}
		stop()
	}()
	reason = w.follow()
}

// follow returns why the stream is over.
func (w *writer) follow() (reason string) {
	ctx := trace.ContextWithSpanContext(w.stream.Context(), w.span)
	// The first id lets also a client that has seen no event resume where it began.
	if w.send(fmt.Sprintf("retry: %d\nid: %d\n\n", w.retry.Milliseconds(), w.stream.Start())) != nil {
		return stream.EndedByClient
	}
	err := w.catchUp(ctx)
	keepAlive, recheck := time.NewTicker(w.deps.Times.KeepAlive), time.NewTicker(w.deps.Times.Recheck)
	defer keepAlive.Stop()
	defer recheck.Stop()
	for err == nil && ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case e := <-w.stream.Events():
			err = w.showAll(ctx, e)
		case <-keepAlive.C:
			err = w.touch()
		case <-recheck.C:
			if w.recheck(ctx) != nil {
				return stream.EndedCredential
			}
		}
	}
	if err != nil && !errors.Is(err, errGone) {
		w.deps.Log.WarnContext(ctx, "event stream failed", "error", err)
		return stream.EndedFailed
	}
	return stream.EndedByClient
}

// catchUp shows the backlog. That may take long enough for the credential to end meanwhile.
func (w *writer) catchUp(ctx context.Context) error {
	done, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		w.watch(ctx, done)
	}()
	defer func() {
		close(done)
		<-watched
	}()
	err := w.stream.CatchUp(func(position int64, e account.PaymentEvent) error { return w.show(ctx, position, e) })
	if err != nil {
		return err
	}
	return w.flush()
}

// watch ends the stream with its credential, until done is closed.
func (w *writer) watch(ctx context.Context, done <-chan struct{}) {
	recheck := time.NewTicker(w.deps.Times.Recheck)
	defer recheck.Stop()
	for {
		select {
		case <-done:
			return
		case <-ctx.Done():
			return
		case <-recheck.C:
			if w.recheck(ctx) != nil {
				w.stream.End(stream.EndedCredential)
				return
			}
		}
	}
}

// recheck fails too where nobody can say whether the credential still holds: the client resumes when somebody can.
func (w *writer) recheck(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, recheckWithin)
	defer cancel()
	return eventbus.Safely(func() error { return w.valid(ctx) })
}

// showAll sends an event and those that wait behind it at once.
func (w *writer) showAll(ctx context.Context, e *eventbus.PositionedEvent) error {
	for {
		if err := w.show(ctx, e.Position, e.Event); err != nil {
			return err
		}
		select {
		case e = <-w.stream.Events():
			if ctx.Err() != nil {
				return nil
			}
		default:
			return w.flush()
		}
	}
}

func (w *writer) show(ctx context.Context, position int64, e account.PaymentEvent) error {
	body, err := eventbus.MarshalCloudEvent(position, e)
	if err != nil {
		return err
	}
	_, span := eventbus.StartDelivery(ctx, "stream event", position, e)
	defer span.End()
	if _, err := fmt.Fprintf(w.out, "id: %d\nevent: %s\ndata: %s\n\n", position, eventbus.CloudEventType+string(e.Status), body); err != nil {
		return errGone
	}
	if w.unsent++; w.unsent >= burst {
		return w.flush()
	}
	return nil
}

// touch shows that the stream lives, and how far it has come: who resumes from there need not read what is other people's.
func (w *writer) touch() error {
	if position, idle := w.stream.Idle(); idle {
		return w.send(fmt.Sprintf("id: %d\n\n", position))
	}
	return w.send(": busy\n\n")
}

func (w *writer) send(text string) error {
	if _, err := w.out.WriteString(text); err != nil {
		return errGone
	}
	return w.flush()
}

func (w *writer) flush() error {
	within := w.deps.Times.Write
	if w.stream.Context().Err() != nil {
		within = goodbyeWithin
	}
	w.expectWithin(within)
	if err := w.out.Flush(); err != nil {
		return errGone
	}
	w.deps.Sent(w.unsent)
	w.unsent = 0
	return nil
}

// expectWithin is when what is being written must have been taken. A connection that refuses a deadline is closed already.
func (w *writer) expectWithin(d time.Duration) { _ = w.conn.SetWriteDeadline(time.Now().Add(d)) }
