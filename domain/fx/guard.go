package fx

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"time"

	"florin/domain/currency"
	"florin/domain/errs"
)

// maxJump is the factor from which on a rate is taken for a fault of its source.
const maxJump = 10

// Guard is a Source that passes on what another source says unless that is absurd. It is safe for
// concurrent use. It remembers one rate of each pair that was asked for and exists, so at most one of each
// pair of ISO currencies.
type Guard struct {
	source Source
	maxAge time.Duration
	now    func() time.Time

	mu       sync.Mutex
	accepted map[pair]Rate
}

type pair struct{ from, to currency.Currency }

// NewGuard guards src. A rate must not be older than maxAge, nor dated further ahead than that; 0 is no
// limit, for a table that is dated on purpose.
func NewGuard(src Source, maxAge time.Duration, now func() time.Time) *Guard {
	return &Guard{source: src, maxAge: maxAge, now: now, accepted: make(map[pair]Rate)}
}

// Rate returns the source's rate, with the errors of Source. A rate of another pair, a stale one, and one
// that is 10 times the last accepted rate of the pair or more, or a 10th or less, are rates_unavailable. A
// currency that really jumped so far, as by a redenomination, is accepted after a restart: somebody should
// have looked at it.
func (g *Guard) Rate(ctx context.Context, from, to currency.Currency) (Rate, error) {
	rate, err := g.source.Rate(ctx, from, to)
	if err != nil {
		var known *errs.Error
		if errors.As(err, &known) {
			return Rate{}, err
		}
		return Rate{}, SourceDown(err, "the exchange rates are not available")
	}
	if rate.from != from || rate.to != to || rate.IsZero() {
		return Rate{}, SourceDown(fmt.Errorf("asked for %s to %s, got %s", from, to, rate),
			"the source of exchange rates answered another question")
	}
	if err := g.checkAge(rate); err != nil {
		return Rate{}, err
	}
	if err := g.accept(rate); err != nil {
		return Rate{}, err
	}
	return rate, nil
}

func (g *Guard) checkAge(rate Rate) error {
	if g.maxAge == 0 {
		return nil
	}
	age := g.now().Sub(rate.at)
	if age > g.maxAge || age < -g.maxAge {
		return SourceDown(fmt.Errorf("%s is dated %s, the limit is %s", rate, rate.at.Format(time.RFC3339), g.maxAge),
			fmt.Sprintf("the exchange rate from %s to %s is stale", rate.from, rate.to))
	}
	return nil
}

// accept compares the rate with the last accepted one of its pair and takes its place.
func (g *Guard) accept(rate Rate) error {
	key := pair{rate.from, rate.to}
	g.mu.Lock()
	defer g.mu.Unlock()
	last, seen := g.accepted[key]
	if seen && (reaches(rate, last, maxJump) || reaches(last, rate, maxJump)) {
		return SourceDown(fmt.Errorf("%s after %s", rate, last),
			fmt.Sprintf("the exchange rate from %s to %s is not plausible", rate.from, rate.to))
	}
	// Answers of concurrent calls arrive in any order: an older rate must not replace a newer one.
	if !seen || !rate.at.Before(last.at) {
		g.accepted[key] = rate
	}
	return nil
}

// reaches says that a is at least factor times b.
func reaches(a, b Rate, factor int64) bool {
	left := new(big.Int).SetUint64(a.value.Coef())
	left.Mul(left, pow10(b.value.Scale()))
	right := new(big.Int).SetUint64(b.value.Coef())
	right.Mul(right, pow10(a.value.Scale()))
	right.Mul(right, big.NewInt(factor))
	return left.Cmp(right) >= 0
}
