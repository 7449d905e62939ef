package stripe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/stripe/stripe-go/v76"

	"florin/domain/account"
)

const (
	eventsKept = 30 * 24 * time.Hour // by Stripe
	// eventsSettle is how long an event may take to show in the list.
	eventsSettle = time.Minute
	// roundEvery is the least time that one round of listing covers: a round asks once for each connected account.
	roundEvery = 30 * time.Second
	// maxAskedAtOnce bounds the questions of one ListEvents where nothing is to be told.
	maxAskedAtOnce = 50
)

// ListEvents implements account.PaymentProvider. Stripe lists the events of our own account and of each connected one apart, so
// the listing goes in rounds: a span of time, of our own account and then of every account that we onboarded, in the order of
// their ids. A page may be empty and not the last; the end is reached when the cursor comes back as it was.
func (c *Client) ListEvents(ctx context.Context, cursor string) ([]account.PaymentReceivedEvent, string, error) {
	at, err := readPosition(cursor)
	if err != nil {
		return nil, "", fmt.Errorf("stripe: list events: %w", err)
	}
	events, next, err := c.listEvents(ctx, at)
	if err != nil {
		return nil, "", fmt.Errorf("stripe: list events: %w", err)
	}
	return events, next.String(), nil
}

// position is how far the listing is. Times are Unix seconds.
type position struct {
	from    int64  // where the round begins: everything before was told
	to      int64  // where it ends, 0 where none is under way
	told    int64  // of the account, everything before was told
	account string // whose events are being told, "" for our own
}

// String is the position as a cursor: "from" between two rounds, "from-to-told-account" in one.
func (p position) String() string {
	if p.to == 0 {
		return strconv.FormatInt(p.from, 10)
	}
	return fmt.Sprintf("%d-%d-%d-%s", p.from, p.to, p.told, p.account)
}

func readPosition(cursor string) (p position, err error) {
	if cursor == "" {
		return position{}, nil
	}
	foreign := unknown("bad_cursor", errors.New("the cursor is not one of ours"))
	parts := strings.SplitN(cursor, "-", 4)
	times := []*int64{&p.from, &p.to, &p.told}
	switch {
	case len(parts) == 4 && (parts[3] == "" || validID(parts[3])):
		p.account, parts = parts[3], parts[:3]
	case len(parts) != 1:
		return position{}, foreign
	}
	for i, text := range parts {
		if *times[i], err = strconv.ParseInt(text, 10, 64); err != nil || *times[i] <= 0 {
			return position{}, foreign
		}
	}
	return p, nil
}

func (c *Client) listEvents(ctx context.Context, at position) ([]account.PaymentReceivedEvent, position, error) {
	now := c.now()
	if at.to == 0 {
		at.from = max(at.from, now.Add(-eventsKept).Unix())
		until := now.Add(-eventsSettle).Unix()
		if until-at.from < int64(roundEvery/time.Second) {
			return nil, at, nil
		}
		at.to, at.told = until, at.from
	}
	for range maxAskedAtOnce {
		events, told, err := c.span(ctx, at)
		if err != nil {
			return nil, at, err
		}
		at.told = told
		if at.told >= at.to {
			if at, err = c.nextAccount(ctx, at); err != nil {
				return nil, at, err
			}
		}
		if len(events) > 0 || at.to == 0 {
			return events, at, nil
		}
	}
	return nil, at, nil
}

// nextAccount is the beginning of the next account's part of the round, or the end of the round. An account that is added
// meanwhile has no payout of ours in a span that is over.
func (c *Client) nextAccount(ctx context.Context, at position) (position, error) {
	next, err := c.accounts.ListPayoutAccounts(ctx, Name, at.account, 1)
	switch {
	case err != nil:
		return at, err
	case len(next) == 0:
		return position{from: at.to}, nil
	}
	at.account, at.told = next[0].ID, at.from
	return at, nil
}

// span tells the events of the position's account from where it is on, and up to where it now is. Stripe lists the newest
// first, so the span is halved until a page holds it.
func (c *Client) span(ctx context.Context, at position) (events []account.PaymentReceivedEvent, told int64, err error) {
	for to := at.to; ; to = at.told + (to-at.told)/2 {
		got, err := c.eventPage(ctx, at, to, "")
		if at.account != "" && codeOf(err) == codeNoAccess {
			return nil, at.to, nil // its owner has cut it off from us: nothing of it can be known any more
		}
		if err != nil {
			return nil, 0, err
		}
		if got.HasMore && to-at.told > 1 {
			continue
		}
		events, err := c.eventsOf(ctx, got, at, to)
		return events, to, err
	}
}

func codeOf(err error) string {
	var said *account.ProviderError
	if errors.As(err, &said) {
		return said.Code
	}
	return ""
}

// connectedTypes are the events of connected accounts that concern us. Everything else on them is between the payee and Stripe.
var connectedTypes = []string{"payout.paid", "payout.failed", "payout.canceled", "account.updated"}

// eventPage lists what was created on the position's account from there on, up to before another second.
func (c *Client) eventPage(ctx context.Context, at position, to int64, after string) (listing, error) {
	return c.page(ctx, how{account: at.account}, after, func(api *resources, p stripe.ListParams) (*stripe.APIResponse, error) {
		params := &stripe.EventListParams{ListParams: p, CreatedRange: &stripe.RangeQueryParams{GreaterThanOrEqual: at.told, LesserThan: to}}
		if at.account != "" {
			params.Types = stripe.StringSlice(connectedTypes)
		}
		it := api.Events.List(params)
		return it.EventList().LastResponse, it.Err()
	})
}

// eventsOf reads the page and, where one second has more than a page, all of that second; the oldest first.
func (c *Client) eventsOf(ctx context.Context, got listing, at position, to int64) ([]account.PaymentReceivedEvent, error) {
	var events []account.PaymentReceivedEvent
	for range maxPages {
		for _, raw := range got.Data {
			raw, err := ofAccountNamed(raw, at.account)
			if err != nil {
				return nil, err
			}
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
		if got, err = c.eventPage(ctx, at, to, last); err != nil {
			return nil, err
		}
	}
	return nil, unknown("too_many", errors.New("a second has more events than can be listed"))
}

// ofAccountNamed is the event with the account that it was listed for, which a webhook names and a list need not.
func ofAccountNamed(raw json.RawMessage, account string) (json.RawMessage, error) {
	var e envelope
	var members map[string]json.RawMessage
	if json.Unmarshal(raw, &e) != nil || json.Unmarshal(raw, &members) != nil {
		return nil, unknown("bad_answer", errors.New("an event of the list cannot be read"))
	}
	switch {
	case e.Account == account:
		return raw, nil
	case e.Account != "":
		return nil, unknown("answer_mismatch", errors.New("an event of another account is in the list"))
	}
	members["account"] = json.RawMessage(strconv.Quote(account))
	return json.Marshal(members)
}
