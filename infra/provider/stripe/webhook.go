package stripe

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"florin/domain/account"
)

// envelope is an event around its object.
type envelope struct {
	Object   string    `json:"object"` // "event"; Stripe's thin events have other names
	ID       string    `json:"id"`
	Type     string    `json:"type"`
	Account  string    `json:"account"` // the connected account that it is of, "" for our own
	Livemode *bool     `json:"livemode"`
	Created  seconds   `json:"created"`
	Data     eventData `json:"data"`
}

// seconds is a Unix time; 0 where it is written in another way.
type seconds int64

func (s *seconds) UnmarshalJSON(raw []byte) error {
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err == nil {
		*s = seconds(n)
	}
	return nil
}

type eventData struct {
	Object json.RawMessage `json:"object"`
}

// ParseWebhook implements account.PaymentProvider. It reads what an event needs whatever API version the event is rendered
// in. What is authentic and handled but cannot be read is ReceivedForeign, to be looked at, and
// what is no event as we know them is ReceivedIgnored, with a failure: an error would have Stripe
// send the same for three days. Only what is no JSON is one. Events of connected accounts are
// ReceivedConsult: whether the account is one that we
// onboarded, only the store knows.
func (c *Client) ParseWebhook(raw []byte, header http.Header) (account.PaymentReceivedEvent, error) {
	at, err := c.authenticate(raw, header)
	if err != nil {
		return account.PaymentReceivedEvent{}, fmt.Errorf("stripe: %w: %w", account.ErrWebhookNotAuthentic, err)
	}
	event, err := c.parse(raw, at)
	if err != nil {
		return account.PaymentReceivedEvent{}, fmt.Errorf("stripe: %w: %w", account.ErrWebhookMalformed, err)
	}
	return event, nil
}

// parse reads the event, believed to be authentic. The event keeps no reference to raw.
func (c *Client) parse(raw []byte, at time.Time) (account.PaymentReceivedEvent, error) {
	if !json.Valid(raw) {
		return account.PaymentReceivedEvent{}, errors.New("the body is not JSON")
	}
	e, err := readEnvelope(raw)
	event := account.PaymentReceivedEvent{
		Provider: Name, EventID: e.ID, Kind: account.ReceivedIgnored, Type: e.Type,
		OccurredAt: when(int64(e.Created), at),
		Cause:      account.CauseWebhook, Raw: slices.Clone(raw),
	}
	if err != nil {
		return unusable(event, err), nil
	}
	translate, handled := translations[e.Type]
	if !handled {
		return event, nil
	}
	switch {
	case e.Livemode == nil:
		return foreign(event, "unreadable_event", "the event does not say which mode it is of"), nil
	case *e.Livemode != c.live:
		return foreign(event, "other_mode", "an event of the other mode, test or live"), nil
	case e.Account != "" && !validID(e.Account):
		return foreign(event, "unreadable_event", "the account is not an id"), nil
	}
	if err := translate(e, &event); err != nil {
		if e.others() {
			return others(event), nil
		}
		return foreign(event, "unreadable_event", "the event's object cannot be read: "+plainText(err.Error())), nil
	}
	if e.Account != "" && event.Kind != account.ReceivedIgnored {
		event.Kind = account.ReceivedConsult
	}
	return event, nil
}

// readEnvelope returns as much of the event as can be read, with why it is none that we can use.
func readEnvelope(raw []byte) (envelope, error) {
	var e envelope
	err := json.Unmarshal(raw, &e)
	named := e.Type != "" && len(e.Type) <= 128 && plainText(e.Type) == e.Type
	if !named {
		e.Type = ""
	}
	switch {
	case !validID(e.ID):
		e.ID = ""
		return e, errors.New("the event has no id")
	case e.Object != "" && e.Object != "event":
		return e, errors.New("an event of another kind than those that carry their object")
	case err != nil:
		return e, errors.New("the body is not an event")
	case !named:
		return e, errors.New("the type is not a name")
	}
	return e, nil
}

// unusable makes an event one that nothing can be made of. What has no name gets one of its bytes,
// so that a repeat is known.
func unusable(event account.PaymentReceivedEvent, why error) account.PaymentReceivedEvent {
	if event.EventID == "" {
		sum := sha256.Sum256(event.Raw)
		event.EventID = "body_" + hex.EncodeToString(sum[:16])
	}
	event.Type = orText(event.Type, "unknown")
	event.Failure = &account.Failure{Code: account.UnusableEvent, Message: why.Error()}
	return event
}

// others says that the event is about a payment of another program on the same account: the object
// is one that carries our ids where it is ours, and it has none.
func (e envelope) others() bool {
	switch name, _, _ := strings.Cut(e.Type, "."); {
	case name == "payment_intent", name == "checkout", e.Type == "charge.succeeded",
		e.Type == "charge.updated", e.Type == "charge.refunded":
		o, err := object[owned](e)
		return err == nil && o.Metadata.others()
	}
	return false
}

// others makes an event one of another program. What it moves is none of our business.
func others(event account.PaymentReceivedEvent) account.PaymentReceivedEvent {
	event.Kind, event.Owner, event.Failure = account.ReceivedIgnored, account.OwnerOther, nil
	event.TransactionID, event.AccountID, event.Amount, event.Currency = uuid.Nil, uuid.Nil, 0, ""
	return event
}

// foreign makes an event one that a person must look at. Nothing of what it claims is kept but its bytes.
func foreign(event account.PaymentReceivedEvent, code, why string) account.PaymentReceivedEvent {
	event.Kind, event.Failure = account.ReceivedForeign, &account.Failure{Code: code, Message: why}
	event.PaymentID, event.TransactionID, event.AccountID, event.Amount, event.Currency = "", uuid.Nil, uuid.Nil, 0, ""
	event.Card = ""
	return event
}

// translations are the types that mean something here, each with what it makes of the event. All others are ignored.
var translations = map[string]func(envelope, *account.PaymentReceivedEvent) error{
	"payment_intent.succeeded":      ofIntent("succeeded"),
	"payment_intent.processing":     ofIntent("processing"),
	"payment_intent.canceled":       ofIntent("canceled"),
	"payment_intent.payment_failed": ofAttempt,

	"checkout.session.completed":               ofSession(""),
	"checkout.session.async_payment_succeeded": ofSession("paid"),
	"checkout.session.async_payment_failed":    ofSession("failed"),
	"checkout.session.expired":                 ofSession("expired"),

	"charge.succeeded": ofCharge(func(c charge) bool { return c.Paid && c.BalanceTransaction != "" }),
	"charge.updated":   ofCharge(func(c charge) bool { return c.Paid && c.BalanceTransaction != "" }),
	"charge.refunded":  ofCharge(func(charge) bool { return true }),

	"charge.refund.updated": ofRefund,
	"refund.created":        ofRefund,
	"refund.updated":        ofRefund,
	"refund.failed":         ofRefund,

	"charge.dispute.funds_withdrawn":  ofDispute(func(dispute) account.ReceivedKind { return account.ReceivedDisputed }),
	"charge.dispute.funds_reinstated": ofDispute(func(dispute) account.ReceivedKind { return account.ReceivedDisputeWon }),
	"charge.dispute.closed":           ofDispute(closedAs),

	"payout.paid":       ofPayout,
	"payout.failed":     ofPayout,
	"payout.canceled":   ofPayout,
	"transfer.reversed": ofTransfer,
	"account.updated":   ofAccount,
}

// take takes a report's claims into the event.
func take(event *account.PaymentReceivedEvent, r account.PaymentReport, m meta) {
	event.Kind, event.PaymentID, event.TransactionID = r.Kind, r.PaymentID, r.TransactionID
	event.Amount, event.Currency, event.Failure = r.Amount, r.Currency, r.Failure
	event.AccountID = m.id(metaAccount)
	if m.others() {
		event.Owner = account.OwnerOther
	}
}

func ofIntent(status string) func(envelope, *account.PaymentReceivedEvent) error {
	return func(e envelope, event *account.PaymentReceivedEvent) error {
		i, err := object[intent](e)
		if err != nil {
			return err
		}
		// The type is what happened; the object may be rendered later, or in a version with other names.
		i.Status = status
		r, err := i.report(event.OccurredAt)
		if err == nil {
			take(event, r, i.Metadata)
		}
		return err
	}
}

// ofAttempt: a failed attempt is not the end of its payment.
func ofAttempt(e envelope, event *account.PaymentReceivedEvent) error {
	if err := ofIntent("requires_payment_method")(e, event); err != nil {
		return err
	}
	event.Kind = account.ReceivedAttemptFailed
	i, err := object[intent](e)
	event.Card = i.card()
	return err
}

func ofSession(said string) func(envelope, *account.PaymentReceivedEvent) error {
	return func(e envelope, event *account.PaymentReceivedEvent) error {
		s, err := object[session](e)
		if err != nil || (s.Mode != "" && s.Mode != "payment") {
			return err
		}
		switch said {
		case "paid":
			s.Status, s.PaymentStatus = "complete", "paid"
		case "failed":
			s.Status, s.PaymentStatus = "complete", "unpaid"
		case "expired":
			s.Status = "expired"
		default:
			s.Status = "complete"
		}
		if s.Status == "complete" && s.PaymentIntent == "" {
			event.Kind = account.ReceivedConsult
			return nil
		}
		r, err := s.report(event.OccurredAt)
		if err != nil {
			return err
		}
		if said == "failed" {
			// The page is done with: nobody can try again on it.
			r.Kind, r.Failure = account.ReceivedFailed, &account.Failure{Code: "declined", Message: "The payment was declined."}
		}
		take(event, r, s.Metadata)
		return nil
	}
}

// ofCharge is for charges, which state nothing by themselves: what they cost and what was given back is asked.
func ofCharge(tells func(charge) bool) func(envelope, *account.PaymentReceivedEvent) error {
	return func(e envelope, event *account.PaymentReceivedEvent) error {
		c, err := object[charge](e)
		if err != nil || !tells(c) || c.PaymentIntent == "" {
			return err // a charge without an intent is none of ours
		}
		if !validID(c.ID) || !validID(string(c.PaymentIntent)) {
			return errNotPayment
		}
		event.Kind, event.PaymentID = account.ReceivedConsult, string(c.PaymentIntent)
		event.TransactionID, event.AccountID = c.Metadata.id(metaTransaction), c.Metadata.id(metaAccount)
		return nil
	}
}

func ofRefund(e envelope, event *account.PaymentReceivedEvent) error {
	r, err := object[refund](e)
	if err != nil {
		return err
	}
	report, err := r.report(event.OccurredAt)
	if err != nil || report.Kind == account.ReceivedPending {
		return err
	}
	if r.PaymentIntent == "" {
		event.Kind = account.ReceivedConsult
		return nil
	}
	takeRefund(event, r, report)
	if event.TransactionID == uuid.Nil {
		// a refund from the Dashboard does not have the metadata of its payment
		event.Owner = account.OwnerAsk
	}
	return nil
}

// takeRefund: the event is about the deposit's payment, and names the refund.
func takeRefund(event *account.PaymentReceivedEvent, r refund, report account.PaymentReport) {
	event.Kind, event.Amount, event.Currency, event.Failure = report.Kind, report.Amount, report.Currency, report.Failure
	event.PaymentID, event.TransactionID = string(r.PaymentIntent), r.Metadata.id(metaTransaction)
	event.Ref, event.FollowID = r.ID, r.Metadata.id(metaRefund)
}

func closedAs(d dispute) account.ReceivedKind {
	switch d.Status {
	case "won":
		return account.ReceivedDisputeWon
	case "lost":
		return account.ReceivedDisputeLost
	default: // an inquiry that came to nothing
		return account.ReceivedIgnored
	}
}

// ofDispute is for the events of a dispute that state that money moved, whatever its status is. An inquiry has none of them.
func ofDispute(as func(dispute) account.ReceivedKind) func(envelope, *account.PaymentReceivedEvent) error {
	return func(e envelope, event *account.PaymentReceivedEvent) error {
		d, err := object[dispute](e)
		if err != nil {
			return err
		}
		kind := as(d)
		if kind == account.ReceivedIgnored {
			return nil
		}
		if err := takeDispute(event, d, kind); err != nil {
			return err
		}
		event.Owner = account.OwnerAsk
		if d.PaymentIntent == "" || d.costs() {
			event.Kind = account.ReceivedConsult
		}
		return nil
	}
}

func takeDispute(event *account.PaymentReceivedEvent, d dispute, kind account.ReceivedKind) error {
	if !validID(d.ID) {
		return errNotPayment
	}
	r, err := fact(kind, string(d.PaymentIntent), uuid.Nil, d.Amount, d.Currency, event.OccurredAt)
	if err != nil {
		return err
	}
	take(event, r, nil)
	event.Ref, event.Turn = d.ID, d.turn(kind)
	if kind != account.ReceivedDisputeWon {
		event.Failure = &account.Failure{Code: plainCode(d.Reason), Message: "The payer disputes the payment."}
	}
	return nil
}

// turn is which time the money went that way, by the balance transactions in the event: they are
// the dispute's record of what it has moved, and each event has them as they were when it happened.
// Some may belong together, such as a fee on top; so it is the change of direction that counts. 0
// where there is no record, or where it contradicts the event.
func (d dispute) turn(kind account.ReceivedKind) int {
	moves := slices.Clone(d.BalanceTransactions)
	slices.SortStableFunc(moves, func(a, b balanceTransaction) int {
		return cmp.Compare(a.Created, b.Created)
	})
	taken, given, last := 0, 0, int64(0)
	for _, b := range moves {
		switch {
		case b.Amount < 0 && last >= 0:
			taken++
		case b.Amount > 0 && last < 0:
			given++
		case b.Amount == 0:
			continue
		}
		last = b.Amount
	}
	switch {
	case kind == account.ReceivedDisputeWon:
		return given
	case kind == account.ReceivedDisputeLost && last > 0:
		return 0
	default:
		return taken
	}
}

// costs says that Stripe keeps a fee for the dispute.
func (d dispute) costs() bool {
	return slices.ContainsFunc(d.BalanceTransactions, func(b balanceTransaction) bool { return b.Fee != 0 })
}

// ofPayout: payouts of our own balance to our own bank are no business of this ledger.
func ofPayout(e envelope, event *account.PaymentReceivedEvent) error {
	p, err := object[payout](e)
	if err != nil || e.Account == "" {
		return err
	}
	if !validID(p.ID) {
		return errNotPayment
	}
	event.Kind, event.PaymentID = account.ReceivedConsult, p.ID
	event.TransactionID, event.AccountID = p.Metadata.id(metaTransaction), p.Metadata.id(metaAccount)
	return nil
}

func ofTransfer(e envelope, event *account.PaymentReceivedEvent) error {
	t, err := object[transfer](e)
	if err != nil || t.Metadata.id(metaTransaction) == uuid.Nil {
		return err
	}
	if !validID(t.ID) {
		return errNotPayment
	}
	event.Kind = account.ReceivedConsult
	event.TransactionID, event.AccountID = t.Metadata.id(metaTransaction), t.Metadata.id(metaAccount)
	return nil
}

func ofAccount(e envelope, event *account.PaymentReceivedEvent) error {
	a, err := object[connected](e)
	if err != nil {
		return err
	}
	if !validID(a.ID) {
		return errNotPayment
	}
	event.Kind = account.ReceivedConsult
	return nil
}

// object reads the event's object.
func object[T typed](e envelope) (T, error) {
	var o T
	if err := json.Unmarshal(e.Data.Object, &o); err != nil {
		return o, errNotPayment
	}
	return o, nil
}
