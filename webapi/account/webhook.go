package account

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/gofiber/fiber/v2"

	"florin/domain/account"
	"florin/domain/errs"
	"florin/webapi/wire"
)

// storeAgainAfter is how long a provider is asked to wait before it sends an event again.
const storeAgainAfter = 5 * time.Second

// The verdicts on a webhook, as they are counted.
const (
	VerdictStored       = "stored"
	VerdictNotAuthentic = "not_authentic"
	VerdictMalformed    = "malformed"
	VerdictNotStored    = "not_stored"
	VerdictOutOfTime    = "out_of_time" // not authentic for its time alone
)

// providerUnknown is the label of a webhook that no configured provider has signed; the sender's own words are
// never a label.
const providerUnknown = "unknown"

// ReceivedPublisher dispatches what a provider told us. It returns nil only once the event is stored or has had
// its effect.
type ReceivedPublisher interface {
	PublishPaymentReceived(ctx context.Context, event account.PaymentReceivedEvent) error
}

// WebhookDeps is what the webhook handlers are built from.
type WebhookDeps struct {
	Bus       ReceivedPublisher
	Providers map[string]account.PaymentProvider
	// Count counts a webhook by provider and verdict; nil counts nothing.
	Count func(provider, verdict string)
	// Log is slog.Default when nil.
	Log *slog.Logger
}

// Webhooks receives what providers report. It takes no bearer token: a webhook proves itself by its signature.
type Webhooks struct {
	bus       ReceivedPublisher
	providers map[string]account.PaymentProvider
	order     []string // so that the choice among several that could have signed is always the same
	count     func(provider, verdict string)
	log       *slog.Logger
}

// NewWebhooks returns the handlers.
func NewWebhooks(deps WebhookDeps) *Webhooks {
	w := &Webhooks{bus: deps.Bus, providers: deps.Providers, count: deps.Count, log: deps.Log}
	for name := range deps.Providers {
		w.order = append(w.order, name)
	}
	slices.Sort(w.order)
	if w.count == nil {
		w.count = func(string, string) {}
	}
	if w.log == nil {
		w.log = slog.Default()
	}
	return w
}

// PaymentWebhookHandler takes the webhooks of every configured provider, told apart by their signature header.
func (w *Webhooks) PaymentWebhookHandler(c *fiber.Ctx) error {
	header := headerOf(c)
	var candidates []account.PaymentProvider
	for _, name := range w.order {
		if w.providers[name].SignsWebhook(header) {
			candidates = append(candidates, w.providers[name])
		}
	}
	return w.receive(c, header, candidates)
}

// ProviderWebhookHandler takes the webhooks of the provider named in the path, and of no other.
func (w *Webhooks) ProviderWebhookHandler(c *fiber.Ctx) error {
	provider, ok := w.providers[c.Params("provider")]
	if !ok {
		return errs.Missing("Provider")
	}
	return w.receive(c, headerOf(c), []account.PaymentProvider{provider})
}

// receive reads the event, stores it, and only then says so.
func (w *Webhooks) receive(c *fiber.Ctx, header http.Header, candidates []account.PaymentProvider) error {
	// Copied, because the event outlives the request and the server reuses its buffers.
	raw := bytes.Clone(c.BodyRaw())
	event, err := w.parse(raw, header, candidates)
	if err != nil {
		return err
	}
	if err := w.bus.PublishPaymentReceived(c.UserContext(), event); err != nil {
		w.count(event.Provider, VerdictNotStored)
		w.log.ErrorContext(c.UserContext(), "webhook not stored", "provider", event.Provider, "event_id", event.EventID, "error", err)
		notStored := errs.Wrap(err, errs.Unavailable, "webhook_not_stored", "The event could not be stored. Send it again.")
		notStored.RetryAfter = storeAgainAfter
		return notStored
	}
	w.count(event.Provider, VerdictStored)
	return wire.Send(c, fiber.StatusOK, WebhookReceived{Received: true})
}

// parse asks the candidates in turn, because several partners may sign with the same headers. The first that
// can tell that the event is its own, decides.
func (w *Webhooks) parse(raw []byte, header http.Header, candidates []account.PaymentProvider) (account.PaymentReceivedEvent, error) {
	blamed, verdict := providerUnknown, VerdictNotAuthentic
	for _, provider := range candidates {
		blamed = provider.Name()
		event, err := provider.ParseWebhook(raw, header)
		if errors.Is(err, account.ErrWebhookOutOfTime) {
			verdict = VerdictOutOfTime
			break
		}
		if errors.Is(err, account.ErrWebhookNotAuthentic) {
			continue
		}
		if err != nil {
			w.count(blamed, VerdictMalformed)
			w.log.Error("authentic webhook cannot be read", "provider", blamed, "reason", err)
			return event, errs.Wrap(err, errs.Malformed, "webhook_malformed", "The event cannot be read.")
		}
		event.Provider = provider.Name()
		event.Cause = account.CauseWebhook
		event.Raw = raw
		return event, nil
	}
	w.count(blamed, verdict)
	return account.PaymentReceivedEvent{}, errs.Wrap(account.ErrWebhookNotAuthentic, errs.Malformed, "webhook_not_authentic",
		"The signature does not hold, or the time is outside of the window.")
}

// headerOf is the request's headers as net/http has them. The server has made their names canonical already.
func headerOf(c *fiber.Ctx) http.Header {
	raw := &c.Request().Header
	header := make(http.Header, raw.Len())
	values := make([]string, 0, raw.Len())
	for name, value := range raw.All() {
		values = append(values, string(value))
		if before, repeated := header[string(name)]; repeated {
			header[string(name)] = append(before, string(value))
			continue
		}
		header[string(name)] = values[len(values)-1 : len(values) : len(values)]
	}
	return header
}
