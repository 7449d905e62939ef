package kafka

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"florin/pkg/eventbus"
)

// SubscribePaymentEvents reads the topic in a consumer group of that name, as eventbus.EventBus says. Of each partition
// the offset before the first event that is not settled is committed, after the handling.
func (b *Bus) SubscribePaymentEvents(ctx context.Context, name string, handle eventbus.Handler) error {
	s := &source{bus: b, group: name, partitions: make(map[int32]*partition)}
	return eventbus.Consume(ctx, s, b.options.Lanes(name), handle)
}

// source is a subscription.
type source struct {
	bus    *Bus
	group  string
	client *kgo.Client

	mu         sync.Mutex
	partitions map[int32]*partition
}

// partition is what this member holds of one.
type partition struct {
	held []*held // by offset
	lost bool    // given to another member
}

type held struct {
	offset  int64
	epoch   int32
	settled bool
}

func (s *source) open(ctx context.Context) error {
	if s.client != nil {
		return nil
	}
	options := append(s.bus.connection(),
		kgo.ConsumerGroup(s.group), kgo.ConsumeTopics(s.bus.broker.Name), kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.SessionTimeout(15*time.Second), kgo.HeartbeatInterval(2*time.Second),
		kgo.FetchMaxWait(500*time.Millisecond), kgo.FetchMaxBytes(4<<20), kgo.FetchMaxPartitionBytes(1<<20), kgo.MaxConcurrentFetches(2),
		kgo.OnPartitionsRevoked(s.revoked),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, gone map[string][]int32) { s.lose(gone) }))
	client, err := kgo.NewClient(options...)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, publishWithin)
	defer cancel()
	if err := s.bus.ensure(ctx, client); err != nil {
		client.Close()
		return err
	}
	s.client = client
	return nil
}

// Receive waits for records.
func (s *source) Receive(ctx context.Context, limit int, wait time.Duration) ([]*eventbus.Item, error) {
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	within, cancel := context.WithTimeout(ctx, max(wait, time.Millisecond))
	defer cancel()
	fetched := s.client.PollRecords(within, limit)
	var items []*eventbus.Item
	s.mu.Lock()
	fetched.EachRecord(func(r *kgo.Record) { items = append(items, s.taken(r)) })
	s.mu.Unlock()
	var failure error
	fetched.EachError(func(_ string, _ int32, err error) {
		if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
			failure = eventbus.Away("fetch", err)
		}
	})
	return items, failure
}

// taken notes a record as held. The lock is held.
func (s *source) taken(r *kgo.Record) *eventbus.Item {
	p, known := s.partitions[r.Partition]
	if !known {
		p = &partition{}
		s.partitions[r.Partition] = p
	}
	h := &held{offset: r.Offset, epoch: r.LeaderEpoch}
	p.held = append(p.held, h)
	headers := make(map[string]string, len(r.Headers))
	for _, header := range r.Headers {
		headers[header.Key] = string(header.Value)
	}
	item := eventbus.Message{Body: r.Value, Headers: headers}.Item()
	item.Settle = func(bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		h.settled = true
	}
	item.Lost = func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return p.lost
	}
	return item
}

// Report commits what is settled, and lets the group change.
func (s *source) Report(ctx context.Context) error {
	if s.client == nil {
		return nil
	}
	defer s.client.AllowRebalance()
	return s.commit(ctx)
}

func (s *source) commit(ctx context.Context) error {
	offsets := make(map[int32]kgo.EpochOffset)
	counts := make(map[*partition]int)
	s.mu.Lock()
	for number, p := range s.partitions {
		n := 0
		for n < len(p.held) && p.held[n].settled {
			offsets[number] = kgo.EpochOffset{Epoch: p.held[n].epoch, Offset: p.held[n].offset + 1}
			n++
		}
		counts[p] = n
	}
	s.mu.Unlock()
	if len(offsets) == 0 {
		return nil
	}
	var failure error
	s.client.CommitOffsetsSync(ctx, map[string]map[int32]kgo.EpochOffset{s.bus.broker.Name: offsets},
		func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, answer *kmsg.OffsetCommitResponse, err error) {
			failure = err
			if err != nil {
				return
			}
			for _, topic := range answer.Topics {
				for _, p := range topic.Partitions {
					failure = cmp.Or(failure, kerr.ErrorForCode(p.ErrorCode))
				}
			}
		})
	if failure != nil {
		return eventbus.Away("commit", failure)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for p, n := range counts {
		p.held = p.held[n:]
	}
	return nil
}

// revoked is called when partitions go to another member: what is settled is committed before.
func (s *source) revoked(ctx context.Context, _ *kgo.Client, gone map[string][]int32) {
	ctx, cancel := context.WithTimeout(ctx, publishWithin)
	defer cancel()
	if err := s.commit(ctx); err != nil {
		s.bus.options.Logger.WarnContext(ctx, "partitions were given away without a commit", slog.String("subscriber", s.group),
			slog.Any("error", err))
	}
	s.lose(gone)
}

// lose drops what is held of partitions. Their new member gets it again.
func (s *source) lose(gone map[string][]int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, number := range gone[s.bus.broker.Name] {
		if p, held := s.partitions[number]; held {
			p.lost = true
			delete(s.partitions, number)
		}
	}
}

// Close leaves the group.
func (s *source) Close(context.Context) error {
	if s.client != nil {
		s.client.CloseAllowingRebalance()
	}
	return nil
}
