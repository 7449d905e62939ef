package notification

import (
	"slices"
	"strings"

	"florin/domain/account"
	"florin/domain/errs"
)

// maxFilters bounds the filters of an endpoint: more than there are events say nothing more.
const maxFilters = 64

// eventTypes are the types of transactions that an endpoint can ask for.
var eventTypes = []string{"deposit", "withdraw", "transfer", "refund", "refund_reversal", "chargeback", "chargeback_reversal",
	"payout_return", "correction", "fee", "unmatched"}

// anything stands for every type or every status.
const anything = "*"

// Filter is a kind of event that an endpoint asks for: a type and a status, each of which may be every one.
type Filter struct{ kind, status string }

// EventName is what an event is called in filters: the type of its transaction and the status that it moved to.
func EventName(kind account.Type, status account.PaymentStatus) string {
	return string(kind) + "." + string(status)
}

// ParseFilter reads "deposit.completed", "deposit.*", "*.failed" or "*". errs.Refused in the field events.
func ParseFilter(text string) (Filter, error) {
	if text == anything {
		return Filter{anything, anything}, nil
	}
	kind, status, found := strings.Cut(text, ".")
	if !found || kind != anything && !slices.Contains(eventTypes, kind) || status != anything && !account.PaymentStatus(status).Valid() {
		return Filter{}, errs.InField("events", "unknown_event",
			"An event is a type of transaction and a status, such as deposit.completed, deposit.* or *.failed.")
	}
	return Filter{kind, status}, nil
}

// String is the filter as it is written.
func (f Filter) String() string {
	if f.kind == anything && f.status == anything {
		return anything
	}
	return f.kind + "." + f.status
}

// Matches says whether the event is of the kind that is asked for.
func (f Filter) Matches(kind account.Type, status account.PaymentStatus) bool {
	return (f.kind == anything || f.kind == string(kind)) && (f.status == anything || f.status == string(status))
}

// parseFilters reads a list; an empty one asks for everything. A repeated filter counts once.
func parseFilters(texts []string) ([]Filter, error) {
	if len(texts) > maxFilters {
		return nil, errs.InField("events", "too_many", "More than 64 events are named.")
	}
	var filters []Filter
	for _, text := range texts {
		f, err := ParseFilter(text)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(filters, f) {
			filters = append(filters, f)
		}
	}
	if len(filters) == 0 {
		filters = []Filter{{anything, anything}}
	}
	return filters, nil
}
