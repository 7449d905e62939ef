package jetstream

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"florin/pkg/eventbus"
)

const (
	// group is the one priority group of a consumer: the broker serves one of its members, the others stand by.
	group = "florin"
	// takeOverAfter is when the broker serves another member because the first has died.
	takeOverAfter = 5 * time.Second
	// ackWait is when the broker hands out again what a subscriber that died held. One that lives says so three times as often.
	ackWait = 15 * time.Second
	// againIn is when it hands out what a subscriber that ends gives back.
	againIn = 10 * time.Millisecond
	// lookEvery is after how many waits in vain the consumer is looked for.
	lookEvery = 3
	// onItsWay is how long a message may take that the broker has handed out.
	onItsWay = 100 * time.Millisecond
	// mostPending is how many events may be handed out and not settled.
	mostPending = 1000
)

// SubscribePaymentEvents follows the stream through a durable consumer of that name, as eventbus.EventBus says. A failed
// event is held and tried again here, while the broker hears that it is worked on.
func (b *Bus) SubscribePaymentEvents(ctx context.Context, name string, handle eventbus.Handler) error {
	s := &source{bus: b, durable: plain(name), out: make(map[uint64]handed)}
	alive, stop := context.WithCancel(ctx)
	var beat sync.WaitGroup
	beat.Go(func() { s.sayAlive(alive) })
	defer beat.Wait()
	defer stop()
	return eventbus.Consume(ctx, s, b.options.Lanes(name), handle)
}

// source is a subscription.
type source struct {
	bus     *Bus
	durable string

	stream   string
	consumer jetstream.Consumer
	messages jetstream.MessagesContext
	// unsure is set while another member may hold events that come before those at hand.
	unsure bool
	empty  int // how often in a row nothing came
	kept   []*taken
	last   uint64 // the highest number of what was taken

	mu  sync.Mutex
	out map[uint64]handed // handed out and not settled, by their place in the stream
}

// handed is a message that the broker has handed out, with the number that the consumer gave that.
type handed struct {
	jetstream.Msg
	number uint64
}

// taken is a message with its place in the stream.
type taken struct {
	item *eventbus.Item
	seq  uint64
}

// open finds or creates the consumer. A new one begins with what the stream still has, and so does one that was lost.
func (s *source) open(ctx context.Context) error {
	if s.messages != nil {
		return nil
	}
	js, stream, err := s.bus.ensure(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, publishWithin)
	defer cancel()
	s.consumer, err = js.Consumer(ctx, stream, s.durable)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		s.consumer, err = js.CreateConsumer(ctx, stream, jetstream.ConsumerConfig{
			Durable: s.durable, DeliverPolicy: jetstream.DeliverAllPolicy, AckPolicy: jetstream.AckExplicitPolicy, AckWait: ackWait, MaxDeliver: -1,
			MaxAckPending: mostPending, FilterSubject: s.bus.broker.Name,
			PriorityPolicy: jetstream.PriorityPolicyPinned, PriorityGroups: []string{group}, PinnedTTL: takeOverAfter,
		})
		s.numberAnew()
	}
	if err == nil {
		s.messages, err = s.consumer.Messages(jetstream.PullMaxMessages(256), jetstream.PullExpiry(3*time.Second),
			jetstream.PullPriorityGroup(group), jetstream.WithMessagesErrOnMissingHeartbeat(false))
	}
	if err != nil {
		s.bus.forget()
		s.messages = nil
		return eventbus.Away("open the consumer", err)
	}
	s.stream, s.unsure = stream, true
	return nil
}

// Receive waits for messages.
func (s *source) Receive(ctx context.Context, limit int, wait time.Duration) ([]*eventbus.Item, error) {
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	fresh, err := s.take(ctx, limit, wait)
	if err != nil {
		s.reopen()
		return nil, err
	}
	if len(fresh) == 0 && len(s.kept) == 0 {
		s.unsure = true
		if s.empty++; s.empty%lookEvery == 0 {
			return nil, s.look(ctx)
		}
		return nil, nil
	}
	s.kept = append(s.kept, fresh...)
	if s.unsure {
		others, err := s.heldByOthers(ctx)
		if err != nil || others {
			return nil, err
		}
		s.unsure = false
	}
	slices.SortFunc(s.kept, func(a, b *taken) int { return cmp.Compare(a.seq, b.seq) })
	items := make([]*eventbus.Item, len(s.kept))
	for i, t := range s.kept {
		items[i] = t.item
	}
	s.kept = nil
	return items, nil
}

func (s *source) take(ctx context.Context, limit int, wait time.Duration) ([]*taken, error) {
	var fresh []*taken
	for len(fresh) < limit {
		within, cancel := context.WithTimeout(ctx, wait)
		message, err := s.messages.Next(jetstream.NextContext(within))
		cancel()
		switch {
		case err == nil:
		case errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || errors.Is(err, nats.ErrTimeout):
			return fresh, nil
		default:
			return fresh, eventbus.Away("wait for messages", err)
		}
		if t := s.taken(message); t != nil {
			fresh = append(fresh, t)
		}
		wait = 100 * time.Microsecond // the rest only as far as it is here
	}
	return fresh, nil
}

// taken notes a message as handed out. It returns nil for one that is here already: the broker has lost patience.
func (s *source) taken(message jetstream.Msg) *taken {
	meta, err := message.Metadata()
	if err != nil {
		s.bus.warn("sent a message without its place", err)
		return nil
	}
	seq, number := meta.Sequence.Stream, meta.Sequence.Consumer
	s.last = max(s.last, number)
	s.mu.Lock()
	before, here := s.out[seq]
	if here {
		number = before.number
	}
	s.out[seq] = handed{message, number}
	s.mu.Unlock()
	if here {
		return nil
	}
	headers := make(map[string]string)
	for name := range message.Headers() {
		headers[name] = message.Headers().Get(name)
	}
	item := eventbus.Message{Body: message.Data(), Headers: headers}.Item()
	item.Tries = int(min(meta.NumDelivered, 1<<20)) - 1
	item.Settle = func(handled bool) { s.settle(seq, handled) }
	return &taken{item: item, seq: seq}
}

func (s *source) settle(seq uint64, handled bool) {
	s.mu.Lock()
	message := s.out[seq]
	delete(s.out, seq)
	s.mu.Unlock()
	err := error(nil)
	if handled {
		err = message.Ack()
	} else {
		err = message.TermWithReason("set aside as a dead letter")
	}
	if err != nil {
		s.bus.warn("was not told of a message", err) // which comes again
	}
}

// heldByOthers says whether events are handed out that are not here: those of a member that has just ended or died. They come
// again before what is new to the broker, but not before what is at hand. What the broker had handed out when it was asked and is
// still on its way is taken first: where events come all the time, something always is.
func (s *source) heldByOthers(ctx context.Context) (bool, error) {
	info, err := s.info(ctx)
	if err != nil {
		return false, err
	}
	handedOut := info.Delivered.Consumer
	for s.last < handedOut {
		fresh, err := s.take(ctx, mostPending, onItsWay)
		if err != nil {
			s.reopen()
			return false, err
		}
		if len(fresh) == 0 {
			break // it went to another
		}
		s.kept = append(s.kept, fresh...)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	here := 0
	for _, message := range s.out {
		if message.number <= handedOut {
			here++
		}
	}
	return info.NumAckPending > here, nil
}

func (s *source) info(ctx context.Context) (*jetstream.ConsumerInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, publishWithin)
	defer cancel()
	info, err := s.consumer.Info(ctx)
	if err != nil {
		return nil, eventbus.Away("ask for the consumer", err)
	}
	return info, nil
}

// numberAnew is for a new consumer, which counts from the beginning.
func (s *source) numberAnew() {
	s.last = 0
	s.mu.Lock()
	defer s.mu.Unlock()
	for seq, message := range s.out {
		s.out[seq] = handed{message.Msg, 0}
	}
}

// look finds out why nothing comes. A broker that has lost the consumer does not say so; and one whose servers were choosing a
// leader may have lost what it was asked for, and waits to be asked again.
func (s *source) look(ctx context.Context) error {
	info, err := s.info(ctx)
	if err != nil {
		s.reopen()
		return err
	}
	if info.NumPending > 0 {
		s.messages.Stop()
		s.messages = nil
	}
	return nil
}

// Report does nothing: the broker is told at once.
func (s *source) Report(context.Context) error { return nil }

// sayAlive tells the broker of all that is held, until ctx ends.
func (s *source) sayAlive(ctx context.Context) {
	tick := time.NewTicker(ackWait / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, message := range s.held() {
			if err := message.InProgress(); err != nil {
				s.bus.warn("was not told of a message", err)
				break
			}
		}
	}
}

func (s *source) held() []jetstream.Msg {
	s.mu.Lock()
	defer s.mu.Unlock()
	held := make([]jetstream.Msg, 0, len(s.out))
	for _, message := range s.out {
		held = append(held, message)
	}
	return held
}

// reopen ends the stream of messages after an error. What is held stays held.
func (s *source) reopen() {
	if s.messages != nil {
		s.messages.Stop()
		s.messages = nil
	}
	s.bus.forget()
}

// Close gives back what is held and lets another member work.
func (s *source) Close(ctx context.Context) error {
	if s.messages == nil {
		return nil
	}
	s.messages.Drain()
	var failures []error
	for {
		// What the client has fetched ahead was never looked at.
		message, err := s.messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			break
		}
		failures = append(failures, message.NakWithDelay(againIn))
	}
	for _, message := range s.held() {
		failures = append(failures, message.NakWithDelay(againIn))
	}
	conn, js, err := s.bus.connect()
	if err != nil {
		return errors.Join(append(failures, err)...)
	}
	stream, err := js.Stream(ctx, s.stream)
	if err == nil {
		err = stream.UnpinConsumer(ctx, s.durable, group)
	}
	return errors.Join(append(failures, err, conn.FlushWithContext(ctx))...)
}
