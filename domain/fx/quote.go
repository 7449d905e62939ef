package fx

import (
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"florin/domain/money"
)

// Quote is a rate that is promised until it expires. Its expiry limits the initiation of a payment, never
// the confirmation of one that was initiated in time: Convert does not look at a clock. The zero value is no
// quote.
type Quote struct {
	id        uuid.UUID
	rate      Rate
	quotedAt  time.Time
	expiresAt time.Time
}

// NewQuote promises the rate from quotedAt for ttl. It refuses a missing id, rate or time and a ttl below
// one microsecond; such an error is the program's own.
func NewQuote(id uuid.UUID, rate Rate, quotedAt time.Time, ttl time.Duration) (Quote, error) {
	switch {
	case id == uuid.Nil:
		return Quote{}, errors.New("new quote: no id")
	case rate.IsZero():
		return Quote{}, errors.New("new quote: no rate")
	case quotedAt.IsZero():
		return Quote{}, errors.New("new quote: no time")
	case ttl < time.Microsecond:
		return Quote{}, fmt.Errorf("new quote: lives for %s", ttl)
	}
	return LoadQuote(id, rate, quotedAt, quotedAt.Add(ttl)), nil
}

// LoadQuote returns a stored quote as it was stored; it is for stores alone.
func LoadQuote(id uuid.UUID, rate Rate, quotedAt, expiresAt time.Time) Quote {
	return Quote{id: id, rate: rate, quotedAt: stamp(quotedAt), expiresAt: stamp(expiresAt)}
}

// ID names the quote.
func (q Quote) ID() uuid.UUID { return q.id }

// Rate is what is promised.
func (q Quote) Rate() Rate { return q.rate }

// QuotedAt is when it was promised, UTC.
func (q Quote) QuotedAt() time.Time { return q.quotedAt }

// ExpiresAt is the first moment at which the promise no longer holds, UTC.
func (q Quote) ExpiresAt() time.Time { return q.expiresAt }

// Expired says that the promise no longer holds at that time.
func (q Quote) Expired(now time.Time) bool { return !now.Before(q.expiresAt) }

// IsZero says that this is no quote.
func (q Quote) IsZero() bool { return q.id == uuid.Nil }

// Convert turns a positive amount of the rate's From into its To, with the errors of Rate.Convert.
func (q Quote) Convert(amount money.Money, rounding Rounding) (Conversion, error) {
	converted, exact, err := q.rate.Convert(amount, rounding)
	if err != nil {
		return Conversion{}, err
	}
	return LoadConversion(StoredConversion{
		Original: amount, Converted: converted, Exact: exact,
		Rate: q.rate, Rounding: rounding, QuotedAt: q.quotedAt, ExpiresAt: q.expiresAt,
	}), nil
}
