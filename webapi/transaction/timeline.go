package transaction

import (
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"florin/domain/account"
	"florin/pkg/telemetry"
	"florin/webapi/decode"
	"florin/webapi/middleware"
	"florin/webapi/wire"
)

// Timeline is all that happened to a transaction, in order of time.
type Timeline struct {
	Data       []Item  `json:"data" nullable:"false"`
	NextCursor *string `json:"next_cursor" description:"Always null: a timeline is one page."`
}

// Item is one thing that happened.
type Item struct {
	At      time.Time         `json:"at"`
	Kind    string            `json:"kind" example:"state_change" description:"api_call, provider_call, webhook, listing, state_change, entry, linked or delivery."`
	Summary string            `json:"summary" example:"pending to completed"`
	Detail  map[string]string `json:"detail" nullable:"false"`
	TraceID *string           `json:"trace_id" example:"4bf92f3577b34da6a3ce929d0e0e4736"`
}

// Timeline shows all that happened to a transaction.
func (h *Handlers) Timeline(c *fiber.Ctx) error {
	if err := decode.NoQuery(c); err != nil {
		return err
	}
	id, err := decode.ID(c, "id")
	if err != nil {
		return err
	}
	items, err := h.transactions.Timeline(c.UserContext(), middleware.Caller(c).UserID, id)
	if err != nil {
		return err
	}
	shown := Timeline{Data: make([]Item, 0, len(items))}
	for _, i := range items {
		shown.Data = append(shown.Data, itemOf(i))
	}
	return wire.Send(c, fiber.StatusOK, shown)
}

func itemOf(i account.TimelineItem) Item {
	return Item{At: i.At.UTC(), Kind: i.Kind, Summary: i.Summary, Detail: i.Detail, TraceID: traceID(i.TraceParent)}
}

// traceID is the second part of a traceparent, nil without one.
func traceID(carried string) *string {
	parent, _ := telemetry.SplitCarried(carried)
	parts := strings.Split(parent, "-")
	if len(parts) != 4 {
		return nil
	}
	return &parts[1]
}
