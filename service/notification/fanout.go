package notification

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"florin/domain/account"
	"florin/domain/errs"
	"florin/domain/notification"
	"florin/pkg/eventbus"
)

// FanoutName is the durable subscriber that records deliveries.
const FanoutName = "webhooks"

// Fanout is a subscriber of the log that records one delivery for each event and endpoint that asks for it. An event that comes
// again records nothing new.
//
// An endpoint hears of what is committed after it was created. So one look at the endpoints is enough for all events that have
// a position by then, and where there is none the events need not be read.
type Fanout struct {
	recorder notification.Recorder
	clock    account.Clock
	woken    func()
}

// NewFanout returns a subscriber. woken is called when deliveries were recorded; it must not block.
func NewFanout(recorder notification.Recorder, clock account.Clock, woken func()) *Fanout {
	return &Fanout{recorder: recorder, clock: clock, woken: woken}
}

// PassOver says that there is no endpoint: nobody wants the events up to the position.
func (f *Fanout) PassOver(ctx context.Context, _ int64) (bool, error) {
	any, err := f.recorder.AnyEndpoint(ctx)
	return !any, err
}

// Handle is its eventbus.BatchHandler. The deliveries are recorded together, and where that is refused, those of each event alone:
// an event that is to blame holds up no other transaction.
func (f *Fanout) Handle(ctx context.Context, events []eventbus.PositionedEvent) []error {
	results, err := f.record(ctx, events)
	switch {
	case err == nil:
		return results
	case len(events) == 1 || errs.KindOf(err) == errs.Unavailable || ctx.Err() != nil:
		return eventbus.All(len(events), fmt.Errorf("record deliveries: %w", err))
	}
	return eventbus.InWaves(events, func(wave []eventbus.PositionedEvent) []error {
		results := make([]error, len(wave))
		for i := range wave {
			results[i] = f.Handle(ctx, wave[i:i+1])[0]
		}
		return results
	})
}

// record stores the deliveries of all events but those that can have none, whose errors are the results. The error says that
// nothing is stored.
func (f *Fanout) record(ctx context.Context, events []eventbus.PositionedEvent) (results []error, err error) {
	results = make([]error, len(events))
	deliveries, err := f.decide(ctx, events, results)
	if err != nil || len(deliveries) == 0 {
		return results, err
	}
	if err := f.recorder.AddDeliveries(ctx, deliveries, f.clock()); err != nil {
		return nil, err
	}
	f.woken()
	return results, nil
}

// decide is what is to be delivered, and notes in results which events cannot be.
func (f *Fanout) decide(ctx context.Context, events []eventbus.PositionedEvent, results []error) ([]notification.Delivery, error) {
	endpoints, err := f.recorder.EnabledEndpoints(ctx, concerned(events))
	if err != nil {
		return nil, err
	}
	now := f.clock()
	var deliveries []notification.Delivery
	failed := map[string]bool{}
	for i, e := range events {
		if failed[e.Event.TransactionID] {
			results[i] = eventbus.ErrBehind
			continue
		}
		its, err := deliveriesOf(e, endpoints, now)
		if err != nil {
			results[i], failed[e.Event.TransactionID] = err, true
			continue
		}
		deliveries = append(deliveries, its...)
	}
	return deliveries, nil
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

// deliveriesOf are one for each endpoint that asks for the event, as the endpoint's user may see it.
func deliveriesOf(e eventbus.PositionedEvent, endpoints []notification.Endpoint, now time.Time) ([]notification.Delivery, error) {
	kind := account.Type(e.Event.Metadata[account.OperationKey])
	var deliveries []notification.Delivery
	for _, endpoint := range endpoints {
		view, his := e.Event.SeenBy(endpoint.UserID().String())
		if !his || !endpoint.Wants(kind, e.Event.Status) {
			continue
		}
		d, err := newDelivery(e.Position, view, kind, endpoint, now)
		if err != nil {
			return nil, fmt.Errorf("deliveries of event %s: %w", e.Event.EventID, err)
		}
		deliveries = append(deliveries, d)
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
