package notification

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"florin/domain/account"
	"florin/domain/notification"
	"florin/pkg/eventbus"
)

// FanoutName is the durable subscriber that records deliveries.
const FanoutName = "webhooks"

// fanoutBatch is how many events are looked at together.
const fanoutBatch = 500

// EventLog is the part of the log that a Fanout reads ahead in.
type EventLog interface {
	Head(ctx context.Context) (int64, error)
	ReadAfter(ctx context.Context, position int64, limit int) ([]eventbus.PositionedEvent, error)
}

// Fanout is a subscriber of the log that records one delivery for each event and endpoint that asks for it. An event that comes
// again records nothing new.
//
// An endpoint hears of what is committed after it was created. So whatever has a position by now can be decided at once, and
// that spares a look at the endpoints for each event.
type Fanout struct {
	log      EventLog
	recorder notification.Recorder
	clock    account.Clock
	woken    func()
	// What lies from from to to is recorded. One handler runs at a time.
	from, to int64
}

// NewFanout returns a subscriber. woken is called when deliveries were recorded; it must not block.
func NewFanout(log EventLog, recorder notification.Recorder, clock account.Clock, woken func()) *Fanout {
	return &Fanout{log: log, recorder: recorder, clock: clock, woken: woken}
}

// Handle is its eventbus.PositionedHandler.
func (f *Fanout) Handle(ctx context.Context, e eventbus.PositionedEvent) error {
	if f.from <= e.Position && e.Position <= f.to {
		return nil
	}
	to, err := f.record(ctx, e.Position)
	if err != nil {
		return fmt.Errorf("record deliveries: %w", err)
	}
	f.from, f.to = e.Position, to
	return nil
}

// record decides on the events from the position on and returns the last of them.
func (f *Fanout) record(ctx context.Context, position int64) (to int64, err error) {
	head, err := f.log.Head(ctx)
	if err != nil {
		return 0, err
	}
	if any, err := f.recorder.AnyEndpoint(ctx); err != nil || !any {
		return head, err
	}
	events, err := f.log.ReadAfter(ctx, position-1, fanoutBatch)
	if err != nil || len(events) == 0 {
		return position, err
	}
	endpoints, err := f.recorder.EnabledEndpoints(ctx, concerned(events))
	if err != nil {
		return 0, err
	}
	deliveries, err := f.deliveries(events, endpoints)
	if err != nil {
		return 0, err
	}
	if len(deliveries) > 0 {
		if err := f.recorder.AddDeliveries(ctx, deliveries, f.clock()); err != nil {
			return 0, err
		}
		f.woken()
	}
	return events[len(events)-1].Position, nil
}

// concerned are the users who own a side of one of the events.
func concerned(events []eventbus.PositionedEvent) []uuid.UUID {
	seen := map[uuid.UUID]bool{}
	var users []uuid.UUID
	for _, e := range events {
		for _, text := range []string{e.Event.UserID, e.Event.CounterpartyUserID} {
			id, err := uuid.Parse(text)
			if err == nil && !seen[id] {
				seen[id] = true
				users = append(users, id)
			}
		}
	}
	return users
}

// deliveries are one for each event and endpoint that asks for it, each with the event as the endpoint's user may see it.
func (f *Fanout) deliveries(events []eventbus.PositionedEvent, endpoints []notification.Endpoint) ([]notification.Delivery, error) {
	now := f.clock()
	var deliveries []notification.Delivery
	for _, e := range events {
		kind := account.Type(e.Event.Metadata[account.OperationKey])
		for _, endpoint := range endpoints {
			view, his := e.Event.SeenBy(endpoint.UserID().String())
			if !his || !endpoint.Wants(kind, e.Event.Status) {
				continue
			}
			d, err := newDelivery(e.Position, view, kind, endpoint, now)
			if err != nil {
				return nil, fmt.Errorf("event %s: %w", e.Event.EventID, err)
			}
			deliveries = append(deliveries, d)
		}
	}
	return deliveries, nil
}

func newDelivery(position int64, view account.PaymentEvent, kind account.Type, endpoint notification.Endpoint, at time.Time) (notification.Delivery, error) {
	body, err := eventbus.MarshalCloudEvent(position, view)
	if err != nil {
		return notification.Delivery{}, err
	}
	eventID, err := uuid.Parse(view.EventID)
	if err != nil {
		return notification.Delivery{}, err
	}
	transactionID, err := uuid.Parse(view.TransactionID)
	if err != nil {
		return notification.Delivery{}, err
	}
	id, err := uuid.NewV7()
	return notification.NewDelivery(id, endpoint.ID(), eventID, transactionID, notification.EventName(kind, view.Status), body,
		view.TraceParent, at), err
}
