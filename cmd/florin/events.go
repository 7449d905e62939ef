package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"slices"

	"github.com/spf13/cobra"

	"florin/infra/database"
	"florin/pkg/eventbus"
)

// replayBatch is how many events are published at once.
const replayBatch = 500

func (p *program) eventsCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "events", Short: "Look after the log of payment events", Args: cobra.NoArgs,
		Long: "Every move of a payment is an event of the log. Brokers and other subscribers read it, each behind a cursor of its own.",
	}
	lag := &cobra.Command{
		Use: "lag", Short: "List the subscribers and how far they are behind", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return p.listLags(c.Context()) },
	}
	var r replay
	again := &cobra.Command{
		Use: "replay", Short: "Publish events of the log to a broker once more", Args: cobra.NoArgs,
		Long: "Publishes events to a broker of EVENT_BUS_URL that has lost them, with the ids, positions and numbers that they had.\n" +
			"No cursor moves. A listener that still has them sees repeats.",
		RunE: func(c *cobra.Command, _ []string) error { return p.replayEvents(c.Context(), r) },
	}
	again.Flags().StringVar(&r.subscriber, "subscriber", "", "the broker by its subscriber's name, such as nats:florin.events; not needed where there is one")
	again.Flags().Int64Var(&r.from, "from", 0, "the first position")
	again.Flags().Int64Var(&r.to, "to", 0, "the last position; the end of the log where it is not given")
	again.Flags().StringVar(&r.transaction, "transaction", "", "the events of this transaction alone")
	again.MarkFlagsOneRequired("from", "transaction")
	c.AddCommand(lag, again)
	return c
}

func (p *program) listLags(ctx context.Context) error {
	var lags []eventbus.Lag
	err := p.withStore(ctx, func(db *database.DB) (err error) {
		lags, err = database.NewLog(db, systemClock).Lags(ctx)
		return err
	})
	if err != nil {
		return err
	}
	type row struct {
		Subscriber string `json:"subscriber"`
		Events     int64  `json:"events"`
	}
	rows := make([]row, 0, len(lags))
	for _, lag := range lags {
		rows = append(rows, row{lag.Name, lag.Events})
	}
	return p.print(map[string]any{"data": rows}, func(w io.Writer) {
		for _, r := range rows {
			fmt.Fprintf(w, "%-40s %10d behind\n", r.Subscriber, r.Events)
		}
	})
}

// replay is what to publish again, and to whom.
type replay struct {
	subscriber  string
	from, to    int64
	transaction string
}

// replayed is what was done.
type replayed struct {
	Subscriber string `json:"subscriber"`
	Events     int    `json:"events"`
	// Position is the last that was looked at: where it ended early, the next one is where to go on.
	Position int64 `json:"position"`
}

func (r *replay) check() error {
	if r.transaction != "" {
		if _, err := parseID(r.transaction); err != nil {
			return fmt.Errorf("--transaction: %w", err)
		}
	}
	if r.from == 0 {
		r.from = 1
	}
	if r.to == 0 {
		r.to = math.MaxInt64
	}
	if r.from < 1 || r.to < r.from {
		return errors.New("--from and --to must be positions, the first not above the last")
	}
	return nil
}

func (p *program) replayEvents(ctx context.Context, r replay) (err error) {
	if err := r.check(); err != nil {
		return err
	}
	broker, err := p.brokerCalled(r.subscriber)
	if err != nil {
		return err
	}
	bus, err := openBus(broker, eventbus.Options{Now: systemClock, Logger: p.commandLog(slog.LevelError)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, bus.Close()) }()
	db, err := p.openStore(ctx, slog.LevelWarn)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	log := database.NewLog(db, systemClock)
	head, err := log.Head(ctx)
	if err != nil {
		return err
	}
	r.to = min(r.to, head)
	done := replayed{Subscriber: broker.SubscriberName(), Position: r.from - 1}
	if err := r.run(ctx, log, bus.PublishBatch, &done, p.progress("replay")); err != nil {
		return fmt.Errorf("stopped after position %d, with %d events published: %w", done.Position, done.Events, err)
	}
	return p.print(done, func(w io.Writer) {
		fmt.Fprintf(w, "%d events published to %s, up to position %d\n", done.Events, done.Subscriber, done.Position)
	})
}

// brokerCalled is the broker of EVENT_BUS_URL by its subscriber's name, or the only one.
func (p *program) brokerCalled(name string) (eventbus.Broker, error) {
	config, faults := readConfig(p.environ)
	faults = slices.DeleteFunc(faults, func(f fault) bool { return f.name != "EVENT_BUS_URL" && f.name != "EVENT_BUS_URL_FILE" })
	if len(faults) > 0 {
		return eventbus.Broker{}, faults
	}
	var names []string
	for _, broker := range config.EventBus {
		if broker.SubscriberName() == name || name == "" && len(config.EventBus) == 1 {
			return broker, nil
		}
		names = append(names, broker.SubscriberName())
	}
	if len(names) == 0 {
		return eventbus.Broker{}, errors.New("EVENT_BUS_URL names no broker")
	}
	return eventbus.Broker{}, fmt.Errorf("--subscriber must be one of %v", names)
}

// logReader is the log as a replay reads it.
type logReader interface {
	ReadAfter(ctx context.Context, position int64, limit int) ([]eventbus.PositionedEvent, error)
}

// run publishes batch by batch, and stops at the first that is not taken.
func (r *replay) run(ctx context.Context, log logReader, publish eventbus.BatchHandler, done *replayed, progress func(done, total int)) error {
	total := int(max(0, r.to-r.from+1))
	for done.Position < r.to {
		events, err := log.ReadAfter(ctx, done.Position, int(min(replayBatch, r.to-done.Position)))
		if err != nil {
			return err
		}
		if len(events) == 0 {
			return nil
		}
		last := events[len(events)-1].Position
		if r.transaction != "" {
			events = slices.DeleteFunc(events, func(e eventbus.PositionedEvent) bool { return e.Event.TransactionID != r.transaction })
		}
		if len(events) > 0 {
			if err := errors.Join(publish(ctx, events)...); err != nil {
				return err
			}
		}
		done.Events += len(events)
		done.Position = last
		progress(int(last-r.from+1), total)
	}
	return nil
}
