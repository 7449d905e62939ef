package redis

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

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
	renew   = goredis.NewScript(`if redis.call("get", KEYS[1]) == ARGV[1] then return redis.call("pexpire", KEYS[1], ARGV[2]) end return 0`)
	release = goredis.NewScript(`if redis.call("get", KEYS[1]) == ARGV[1] then return redis.call("del", KEYS[1]) end return 0`)
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
	streams, err := s.bus.client.XReadGroup(ctx, &goredis.XReadGroupArgs{Group: s.group, Consumer: consumer,
		Streams: []string{s.bus.broker.Name, ">"}, Count: int64(limit), Block: min(max(wait, time.Millisecond), longestBlock)}).Result()
	switch {
	case errors.Is(err, goredis.Nil):
		return nil, nil
	case err != nil && strings.HasPrefix(err.Error(), "NOGROUP"):
		// The broker has lost the stream or the group. What is there by now is read from the start.
		return nil, s.createGroup(ctx)
	case err != nil:
		return nil, s.away(ctx, "wait for entries", err)
	}
	var items []*eventbus.Item
	for _, stream := range streams {
		items = append(items, s.items(mine, stream.Messages)...)
	}
	return items, nil
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
	taken, err := s.bus.client.SetNX(ctx, s.key, s.member, turnFor).Result()
	if err != nil {
		return nil, s.away(ctx, "take the turn", err)
	}
	if !taken {
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
		claimed, next, err := s.bus.client.XAutoClaim(ctx, &goredis.XAutoClaimArgs{Stream: s.bus.broker.Name, Group: s.group,
			Consumer: consumer, Start: start, Count: 500}).Result()
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

func (s *source) createGroup(ctx context.Context) error {
	err := s.bus.client.XGroupCreateMkStream(ctx, s.bus.broker.Name, s.group, "0").Err()
	if err != nil && !strings.HasPrefix(err.Error(), "BUSYGROUP") {
		return s.away(ctx, "create the group", err)
	}
	return nil
}

func (s *source) items(mine *turn, messages []goredis.XMessage) []*eventbus.Item {
	items := make([]*eventbus.Item, 0, len(messages))
	for _, m := range messages {
		headers := make(map[string]string, len(m.Values))
		for name, value := range m.Values {
			headers[name], _ = value.(string)
		}
		item := eventbus.Message{Body: []byte(headers[fieldEvent]), Headers: headers}.Item()
		item.Lost = mine.over.Load
		item.Settle = func(bool) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.settled = append(s.settled, m.ID)
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
	if err := s.bus.client.XAck(ctx, s.bus.broker.Name, s.group, settled...).Err(); err != nil {
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
		kept, err := renew.Run(within, s.bus.client, []string{s.key}, s.member, turnFor.Milliseconds()).Int()
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
	return release.Run(ctx, s.bus.client, []string{s.key}, s.member).Err()
}
