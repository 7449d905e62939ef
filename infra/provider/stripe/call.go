package stripe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/stripe/stripe-go/v76"

	"florin/domain/account"
)

// how is how a call is made: under which key, and in whose name.
type how struct {
	key     string // the idempotency key, "" for a question
	account string // the connected account, "" for our own
}

// call makes one call and returns the answer's JSON. What stripe-go makes of the answer is not used: our own reading of an
// object is the same for answers and for events, whatever API version they are in.
func (c *Client) call(ctx context.Context, h how, do func(api *resources, p stripe.Params) (*stripe.APIResponse, error)) ([]byte, error) {
	ctx, seen := noting(ctx)
	p := stripe.Params{Context: ctx}
	if h.key != "" {
		p.IdempotencyKey = stripe.String(h.key)
	}
	if h.account != "" {
		p.StripeAccount = stripe.String(h.account)
	}
	got, err := do(c.api.Load(), p)
	if err != nil {
		return nil, c.classify(err, seen)
	}
	if got == nil || seen.status != http.StatusOK {
		return nil, unknown("bad_answer", fmt.Errorf("answered %d", seen.status))
	}
	return got.RawJSON, nil
}

// question is call for what changes nothing: there is nothing to refuse in it, and what is not there is ErrProviderNotFound.
func (c *Client) question(ctx context.Context, h how, do func(api *resources, p stripe.Params) (*stripe.APIResponse, error)) ([]byte, error) {
	raw, err := c.call(ctx, h, do)
	var said *account.ProviderError
	if errors.As(err, &said) && errors.Is(said.Class, account.ErrProviderRefused) {
		if said.Code == codeMissing {
			return nil, account.ErrProviderNotFound
		}
		return nil, unknown(said.Code, said.Cause)
	}
	return raw, err
}

// creation is one POST that makes something.
type creation struct {
	how
	// old says that the key may be forgotten at Stripe, which keeps keys for 24 hours.
	old  bool
	post func(api *resources, p stripe.Params) (*stripe.APIResponse, error)
	// find looks for what an earlier attempt has made: ErrProviderNotFound where there is proven to be nothing.
	find func() ([]byte, error)
}

// maxKeys bounds how many keys one step goes through.
const maxKeys = 4

// create makes it, once. Stripe stores a failure of its own (a 500) under the key and gives it again for ever; what then
// exists is looked up, and only where nothing does, the next key is taken. The keys follow one from the other and every run
// goes through them from the first, so that no crash in between can make a second one.
func (c *Client) create(ctx context.Context, step creation) ([]byte, error) {
	if step.old {
		raw, err := step.find()
		if !errors.Is(err, account.ErrProviderNotFound) {
			return raw, err
		}
	}
	first := step.key
	for n := range maxKeys {
		if n > 0 {
			step.key = fmt.Sprintf("%s_again%d", first, n)
		}
		raw, err := c.call(ctx, step.how, step.post)
		if !errors.Is(err, errStoredFailure) {
			return raw, err
		}
		raw, findErr := step.find()
		if !errors.Is(findErr, account.ErrProviderNotFound) {
			if findErr != nil {
				return nil, errors.Join(err, findErr)
			}
			return raw, nil
		}
	}
	return nil, unknown("stored_failure", errors.New("every key of the step has a stored failure"))
}

const (
	pageSize = 100
	maxPages = 50
)

// list gives the objects of a listing, newest first, as far as keep wants them. It is unknown where there is no end.
func (c *Client) list(ctx context.Context, h how, page func(api *resources, p stripe.ListParams) (*stripe.APIResponse, error),
	keep func(raw json.RawMessage) bool) ([]json.RawMessage, error) {
	var kept []json.RawMessage
	after := ""
	for range maxPages {
		got, err := c.page(ctx, h, after, page)
		if err != nil {
			return nil, err
		}
		for _, raw := range got.Data {
			if keep(raw) {
				kept = append(kept, raw)
			}
		}
		if !got.HasMore {
			return kept, nil
		}
		if after, err = got.last(); err != nil {
			return nil, err
		}
	}
	return nil, unknown("too_many", errors.New("the listing has no end"))
}

func (c *Client) page(ctx context.Context, h how, after string, page func(api *resources, p stripe.ListParams) (*stripe.APIResponse, error)) (listing, error) {
	raw, err := c.question(ctx, h, func(api *resources, p stripe.Params) (*stripe.APIResponse, error) {
		lp := stripe.ListParams{Context: p.Context, Limit: stripe.Int64(pageSize), Single: true, StripeAccount: p.StripeAccount}
		if after != "" {
			lp.StartingAfter = stripe.String(after)
		}
		return page(api, lp)
	})
	if err != nil {
		return listing{}, err
	}
	return read[listing](raw, "list")
}

// listing is a page of a list.
type listing struct {
	Object  string            `json:"object"`
	Data    []json.RawMessage `json:"data"`
	HasMore bool              `json:"has_more"`
}

func (l listing) kind() string { return l.Object }

func (l listing) last() (string, error) {
	if len(l.Data) == 0 {
		return "", unknown("bad_answer", errors.New("an empty page says that there are more"))
	}
	var object struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(l.Data[len(l.Data)-1], &object); err != nil || !validID(object.ID) {
		return "", unknown("bad_answer", errors.New("an object of a list has no id"))
	}
	return object.ID, nil
}

// typed is an object that knows what it says it is.
type typed interface{ kind() string }

// read reads an answer and checks that it is what was asked for.
func read[T typed](raw []byte, kind string) (T, error) {
	var object T
	if err := json.Unmarshal(raw, &object); err != nil {
		var none T
		return none, unknown("bad_answer", errors.New("the answer cannot be read"))
	}
	if object.kind() != kind {
		var none T
		return none, unknown("bad_answer", errors.New("the answer is not a "+kind))
	}
	return object, nil
}
