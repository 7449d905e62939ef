package redis

import (
	"context"
	"crypto/rand"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	redigo "github.com/gomodule/redigo/redis"

	"florin/pkg/eventbus"
)

const (
	// turnFor is how long the turn of a member holds that is not heard of; another takes over then. One that lives renews
	// it three times as often.
	turnFor = 10 * time.Second
	// turnLook is how often who stands by looks for a free turn.
	turnLook = 250 * time.Millisecond
	// longestBlock is how long a read may wait: the end of the subscription does not interrupt it.
	longestBlock = 500 * time.Millisecond
	// consumer is the one name in the group: of all members one works.
	consumer = "florin"
)

// renew and release touch the turn only where it is the caller's still.
var (
	renew   = redigo.NewScript(1, `if redis.call("get", KEYS[1]) == ARGV[1] then return redis.call("pexpire", KEYS[1], ARGV[2]) end return 0`)
	release = redigo.NewScript(1, `if redis.call("get", KEYS[1]) == ARGV[1] then return redis.call("del", KEYS[1]) end return 0`)
)

// source is a subscription. Redis would spread the entries over the members of a group and so break the order; a key that
// runs out gives one of them the turn.
type source struct {
	bus    *Bus
	group  string
	key    string // of the turn
	member string // what the key says when the turn is ours

	turn atomic.Pointer[turn]

	mu      sync.Mutex
	settled []string // entries to acknowledge
}

// turn is one time of working.
type turn struct{ over atomic.Bool }

func newSource(b *Bus, group string) *source {
	return &source{bus: b, group: group, key: b.broker.Name + ":turn:" + group, member: rand.Text()}
}

// Receive waits for entries: first for those that an earlier member has left behind, then for new ones.
func (s *source) Receive(ctx context.Context, limit int, wait time.Duration) ([]*eventbus.Item, error) {
	mine := s.turn.Load()
	if mine == nil || mine.over.Load() {
		return s.takeTurn(ctx, wait)
	}
	block := min(max(wait, time.Millisecond), longestBlock)
	reply, err := s.bus.client.do(ctx, "XREADGROUP", "GROUP", s.group, consumer, "COUNT", limit, "BLOCK", block.Milliseconds(),
		"STREAMS", s.bus.broker.Name, ">")
	switch {
	case err != nil && strings.HasPrefix(err.Error(), "NOGROUP"):
		// The broker has lost the stream or the group. What is there by now is read from the start.
		return nil, s.createGroup(ctx)
	case err != nil:
		return nil, s.away(ctx, "wait for entries", err)
	case reply == nil:
		return nil, nil
	}
	entries, err := readStream(reply)
	if err != nil {
		return nil, s.away(ctx, "wait for entries", err)
	}
	return s.items(mine, entries), nil
}

// readStream reads [[stream, entries]], the answer about one stream.
func readStream(reply any) ([]entry, error) {
	streams, err := redigo.Values(reply, nil)
	if err != nil || len(streams) != 1 {
		return nil, errReply
	}
	pair, err := redigo.Values(streams[0], nil)
	if err != nil || len(pair) != 2 {
		return nil, errReply
	}
	return readEntries(pair[1])
}

// away lets the end of the subscription be no error.
func (s *source) away(ctx context.Context, what string, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return eventbus.Away(what, err)
}

// takeTurn waits for the turn, and with it takes what is pending.
func (s *source) takeTurn(ctx context.Context, wait time.Duration) ([]*eventbus.Item, error) {
	// OK where the key was free, nil where another has it.
	taken, err := s.bus.client.do(ctx, "SET", s.key, s.member, "NX", "PX", turnFor.Milliseconds())
	if err != nil {
		return nil, s.away(ctx, "take the turn", err)
	}
	if taken == nil {
		timer := time.NewTimer(min(max(wait, time.Millisecond), turnLook))
		defer timer.Stop()
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		return nil, nil
	}
	mine := &turn{}
	if err := s.createGroup(ctx); err != nil {
		return nil, err
	}
	var items []*eventbus.Item
	for start := "0-0"; ; {
		claimed, next, err := s.claim(ctx, start)
		if err != nil {
			return nil, s.away(ctx, "take what is pending", err)
		}
		items = append(items, s.items(mine, claimed)...)
		if start = next; next == "0-0" {
			break
		}
	}
	s.turn.Store(mine)
	return items, nil
}

// claim takes a part of what is pending, and says where the next part begins: 0-0 where there is none.
func (s *source) claim(ctx context.Context, start string) (claimed []entry, next string, err error) {
	reply, err := redigo.Values(s.bus.client.do(ctx, "XAUTOCLAIM", s.bus.broker.Name, s.group, consumer, 0, start, "COUNT", 500))
	if err != nil {
		return nil, "", err
	}
	if len(reply) < 2 {
		return nil, "", errReply
	}
	if next, err = redigo.String(reply[0], nil); err != nil {
		return nil, "", errReply
	}
	claimed, err = readEntries(reply[1])
	return claimed, next, err
}

func (s *source) createGroup(ctx context.Context) error {
	_, err := s.bus.client.do(ctx, "XGROUP", "CREATE", s.bus.broker.Name, s.group, "0", "MKSTREAM")
	if err != nil && !strings.HasPrefix(err.Error(), "BUSYGROUP") {
		return s.away(ctx, "create the group", err)
	}
	return nil
}

func (s *source) items(mine *turn, entries []entry) []*eventbus.Item {
	items := make([]*eventbus.Item, 0, len(entries))
	for _, e := range entries {
		item := eventbus.Message{Body: []byte(e.fields[fieldEvent]), Headers: e.fields}.Item()
		item.Lost = mine.over.Load
		item.Settle = func(bool) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.settled = append(s.settled, e.id)
		}
		items = append(items, item)
	}
	return items
}

// Report acknowledges what is settled.
func (s *source) Report(ctx context.Context) error {
	s.mu.Lock()
	settled := s.settled
	s.settled = nil
	s.mu.Unlock()
	if len(settled) == 0 {
		return nil
	}
	arguments := []any{s.bus.broker.Name, s.group}
	for _, id := range settled {
		arguments = append(arguments, id)
	}
	if _, err := s.bus.client.do(ctx, "XACK", arguments...); err != nil {
		s.mu.Lock()
		s.settled = append(settled, s.settled...)
		s.mu.Unlock()
		return eventbus.Away("acknowledge", err)
	}
	return nil
}

// keepTurn renews the turn until ctx ends, and gives up what is held where another member has it.
func (s *source) keepTurn(ctx context.Context) {
	tick := time.NewTicker(turnFor / 3)
	defer tick.Stop()
	heard := s.bus.options.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		mine := s.turn.Load()
		if mine == nil || mine.over.Load() {
			heard = s.bus.options.Now()
			continue
		}
		within, cancel := context.WithTimeout(ctx, dialWithin)
		kept, err := s.bus.client.run(within, renew, s.key, s.member, turnFor.Milliseconds())
		cancel()
		switch {
		case err == nil && kept == 1:
			heard = s.bus.options.Now()
		case err == nil, s.bus.options.Now().Sub(heard) > turnFor:
			mine.over.Store(true)
		default:
			s.bus.warn(ctx, "did not renew a subscriber's turn", err)
		}
	}
}

// Close gives the turn to the next member. What is not settled stays pending for that one.
func (s *source) Close(ctx context.Context) error {
	if mine := s.turn.Load(); mine == nil || mine.over.Load() {
		return nil
	}
	_, err := s.bus.client.run(ctx, release, s.key, s.member)
	return err
}
