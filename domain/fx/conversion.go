package fx

import (
	"fmt"
	"time"

	"florin/domain/money"
)

// Conversion is an amount turned into another currency, with all that is needed to prove it later. It is
// stored with its transaction and never computed anew. The zero value is no conversion.
type Conversion struct {
	stored StoredConversion
}

// StoredConversion is a conversion as a store knows it: the argument of LoadConversion, nothing else.
type StoredConversion struct {
	Original, Converted money.Money
	Exact               string // major units of Converted's currency
	Rate                Rate
	Rounding            Rounding
	QuotedAt, ExpiresAt time.Time
}

// LoadConversion returns a stored conversion as it was stored, right or wrong; it is for stores alone.
// Check tells which.
func LoadConversion(stored StoredConversion) Conversion {
	stored.QuotedAt, stored.ExpiresAt = stamp(stored.QuotedAt), stamp(stored.ExpiresAt)
	return Conversion{stored: stored}
}

// Original is the amount before the conversion.
func (c Conversion) Original() money.Money { return c.stored.Original }

// Converted is the amount after it, rounded to the minor unit.
func (c Conversion) Converted() money.Money { return c.stored.Converted }

// Exact is the unrounded converted amount in major units, as plain decimal text ("108.40333").
func (c Conversion) Exact() string { return c.stored.Exact }

// Rate is the rate that was used.
func (c Conversion) Rate() Rate { return c.stored.Rate }

// Rounding is how Exact became Converted.
func (c Conversion) Rounding() Rounding { return c.stored.Rounding }

// QuotedAt is when the rate was promised, UTC.
func (c Conversion) QuotedAt() time.Time { return c.stored.QuotedAt }

// ExpiresAt is until when it was promised, UTC.
func (c Conversion) ExpiresAt() time.Time { return c.stored.ExpiresAt }

// IsZero says that this is no conversion.
func (c Conversion) IsZero() bool { return c.stored.Rate.IsZero() }

// Check computes the conversion again and returns an error where the stored one differs: the converted
// amount must be the exact product, rounded as stated (invariant I16).
func (c Conversion) Check() error {
	converted, exact, err := c.Rate().Convert(c.Original(), c.Rounding())
	if err != nil {
		// Not %w: what the caller of a conversion did wrong is here a fault of the books.
		return fmt.Errorf("check conversion of %s at %s: %v", c.Original(), c.Rate(), err) //nolint:errorlint // as said above
	}
	if converted != c.Converted() || exact != c.Exact() {
		return fmt.Errorf("check conversion of %s at %s rounded %s: stored %s (exact %s), computed %s (exact %s)",
			c.Original(), c.Rate(), c.Rounding(), c.Converted(), c.Exact(), converted, exact)
	}
	return nil
}
