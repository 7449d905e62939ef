package fx

import (
	"context"
	"fmt"

	"florin/domain/currency"
	"florin/domain/errs"
)

// Source states rates: the built-in table, a central bank, an HTTP service.
type Source interface {
	// Rate returns the present rate from one currency to another. It may ask the network, within the
	// context's deadline, and must not be called with a transaction open. The errors:
	//
	//	errs.Refused      no_rate            the source has no rate of this pair, and retrying will not help
	//	errs.Unavailable  rates_unavailable  the source is down, or what it says is not usable
	Rate(ctx context.Context, from, to currency.Currency) (Rate, error)
}

// NoRate is the error of a source that does not know the pair.
func NoRate(from, to currency.Currency) error {
	return errs.New(errs.Refused, "no_rate", fmt.Sprintf("there is no exchange rate from %s to %s", from, to))
}

// SourceDown is the error of a source that cannot be used at the moment. The cause is for the log, and may
// be nil.
func SourceDown(cause error, message string) error {
	return errs.Wrap(cause, errs.Unavailable, "rates_unavailable", message)
}
