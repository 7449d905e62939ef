package stripe

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/client"

	"florin/domain/account"
)

const (
	eventsKept = 30 * 24 * time.Hour // by Stripe
	// eventsSettle is how long an event may take to show in the list.
	eventsSettle = time.Minute
)

// ListEvents implements account.PaymentProvider. The cursor is the Unix second up to which everything was told; Stripe lists
// the newest first, so a span of time is halved until a page holds it. Events of connected accounts are not in this list;
// payouts are asked about one by one.
func (c *Client) ListEvents(ctx context.Context, cursor string) ([]account.PaymentReceivedEvent, string, error) {
	events, next, err := c.listEvents(ctx, cursor)
	if err != nil {
		return nil, "", fmt.Errorf("stripe: list events: %w", err)
	}
	return events, next, nil
}

func (c *Client) listEvents(ctx context.Context, cursor string) ([]account.PaymentReceivedEvent, string, error) {
	now := c.now()
	until := now.Add(-eventsSettle).Unix()
	from := now.Add(-eventsKept).Unix()
	if cursor != "" {
		told, err := strconv.ParseInt(cursor, 10, 64)
		if err != nil {
			return nil, "", unknown("bad_cursor", errors.New("the cursor is not one of ours"))
		}
		from = max(from, told)
	}
	for to := until; from < to; to = from + (to-from)/2 {
		got, err := c.eventPage(ctx, from, to, "")
		if err != nil {
			return nil, "", err
		}
		if got.HasMore && to-from > 1 {
			continue
		}
		events, err := c.eventsOf(ctx, got, from, to)
		return events, strconv.FormatInt(to, 10), err
	}
	return nil, strconv.FormatInt(from, 10), nil
}

// eventPage lists what was created from a second on, up to before another.
func (c *Client) eventPage(ctx context.Context, from, to int64, after string) (listing, error) {
	return c.page(ctx, how{}, after, func(api *client.API, p stripe.ListParams) (*stripe.APIResponse, error) {
		it := api.Events.List(&stripe.EventListParams{ListParams: p,
			CreatedRange: &stripe.RangeQueryParams{GreaterThanOrEqual: from, LesserThan: to}})
		return it.EventList().LastResponse, it.Err()
	})
}

// eventsOf reads the page and, where one second has more than a page, all of that second; the oldest first.
func (c *Client) eventsOf(ctx context.Context, got listing, from, to int64) ([]account.PaymentReceivedEvent, error) {
	var events []account.PaymentReceivedEvent
	for range maxPages {
		for _, raw := range got.Data {
			event, err := c.parse(raw, c.now())
			if err != nil {
				return nil, unknown("bad_answer", err)
			}
			events = append([]account.PaymentReceivedEvent{event}, events...)
		}
		if !got.HasMore {
			return events, nil
		}
		last, err := got.last()
		if err != nil {
			return nil, err
		}
		if got, err = c.eventPage(ctx, from, to, last); err != nil {
			return nil, err
		}
	}
	return nil, unknown("too_many", errors.New("a second has more events than can be listed"))
}
