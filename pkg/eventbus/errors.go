package eventbus

import (
	"context"
	"errors"
	"fmt"

	"florin/domain/errs"
)

var (
	// ErrAway is what an event fails with when something else is to blame: a broker or a database that cannot be reached.
	// It counts as no try. The subscriber waits and goes on where it was, for as long as that takes.
	ErrAway = errors.New("cannot be reached")
	// ErrTooLarge is an event above MaxEventBytes.
	ErrTooLarge = errors.New("event is too large")
	// ErrBehind is an event that was not tried because an earlier one of its transaction has failed.
	ErrBehind = errors.New("an earlier event of the transaction has failed")
)

// Away makes of an error one that is ErrAway.
func Away(what string, err error) error { return fmt.Errorf("%s: %w: %w", what, ErrAway, err) }

// notItsFault says that the event is not to blame for the error.
func notItsFault(ctx context.Context, err error) bool {
	return errors.Is(err, ErrAway) || errs.KindOf(err) == errs.Unavailable || ctx.Err() != nil
}
