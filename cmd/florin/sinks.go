package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"florin/infra/eventbus/jetstream"
	"florin/infra/eventbus/kafka"
	"florin/infra/eventbus/redis"
	"florin/pkg/eventbus"
	"florin/webapi/health"
)

// sink publishes the log's events to a broker. It is a durable subscriber with a cursor of its own, so nothing else
// waits for it.
type sink struct {
	name   string
	broker eventbus.Broker
	bus    eventbus.Sink
	took   func(time.Duration)

	mu   sync.Mutex
	last error // of the last publication, nil when it was taken
}

// openBus returns the bus of a broker's URL and touches no network. The error is a fault of the URL.
func openBus(broker eventbus.Broker, options eventbus.Options) (eventbus.Sink, error) {
	switch broker.Scheme {
	case jetstream.Scheme:
		return jetstream.Open(broker, options)
	case kafka.Scheme:
		return kafka.Open(broker, options)
	case redis.Scheme:
		return redis.Open(broker, options)
	default:
		return nil, fmt.Errorf("no broker of this build is called %s", broker.Scheme)
	}
}

// brokers reads EVENT_BUS_URL. No fault shows a value: it may hold a password.
func (r *reader) brokers(list string) []eventbus.Broker {
	if list == "" {
		return nil
	}
	brokers, err := eventbus.ParseBrokers(list)
	if err != nil {
		r.fault("EVENT_BUS_URL", "%v", err)
		return nil
	}
	for i, broker := range brokers {
		bus, err := openBus(broker, eventbus.Options{})
		if err == nil {
			err = bus.Close()
		}
		if err != nil {
			r.fault("EVENT_BUS_URL", "number %d: %v", i+1, err)
		}
	}
	return brokers
}

// openSinks makes a sink for each broker of EVENT_BUS_URL. Without one this costs nothing.
func (a *App) openSinks() error {
	for _, broker := range a.Config.EventBus {
		bus, err := openBus(broker, eventbus.Options{Now: a.Clock, Logger: a.Log})
		if err != nil {
			return describe("EVENT_BUS_URL", err)
		}
		a.closers = append(a.closers, func(context.Context) error { return bus.Close() })
		name := broker.SubscriberName()
		s := &sink{name: name, broker: broker, bus: bus, took: func(took time.Duration) { a.Metrics.Published(name, took) }}
		a.sinks = append(a.sinks, s)
		a.batchSubscribers[name] = batchSubscriber{handle: s.publish}
	}
	return nil
}

// durable is the names of those who follow the log with a stored cursor.
func (a *App) durable() []string {
	return slices.AppendSeq(slices.Collect(maps.Keys(a.subscribers)), maps.Keys(a.batchSubscribers))
}

// publish is the sink's work, and keeps whether the broker took it.
func (s *sink) publish(ctx context.Context, events []eventbus.PositionedEvent) []error {
	began := time.Now()
	sent := eventbus.StartSend(ctx, s.broker, events)
	results := s.bus.PublishBatch(ctx, events)
	sent(results)
	var away error
	for _, err := range results {
		if errors.Is(err, eventbus.ErrAway) {
			away = err
			break
		}
	}
	if away == nil {
		s.took(time.Since(began))
	}
	if ctx.Err() == nil {
		s.mu.Lock()
		s.last = away
		s.mu.Unlock()
	}
	return results
}

// check says whether the broker can be reached: as the last publication found it, or by asking where there was none.
func (s *sink) check(ctx context.Context) error {
	s.mu.Lock()
	last := s.last
	s.mu.Unlock()
	if last != nil {
		return last
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return s.bus.Ping(ctx)
}

// sinkChecks are notes: the API goes on without its brokers.
func (a *App) sinkChecks() []health.Check {
	var checks []health.Check
	for _, s := range a.sinks {
		checks = append(checks, health.Check{Name: s.name, Note: true, Run: s.check})
	}
	return checks
}
