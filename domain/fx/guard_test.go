package fx_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"florin/domain/currency"
	"florin/domain/errs"
	"florin/domain/fx"
)

// script is a source that answers what the test sets; it is safe for concurrent use.
type script struct {
	mu   sync.Mutex
	rate fx.Rate
	err  error
}

func (s *script) set(rate fx.Rate, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rate, s.err = rate, err
}

func (s *script) Rate(context.Context, currency.Currency, currency.Currency) (fx.Rate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rate, s.err
}

func rateAt(t *testing.T, value string, at time.Time) fx.Rate {
	t.Helper()
	rate, err := fx.NewRate(currency.EUR, currency.USD, value, "test", at)
	if err != nil {
		t.Fatal(err)
	}
	return rate
}

func isUnavailable(err error) bool {
	return errs.CodeOf(err) == "rates_unavailable" && errs.KindOf(err) == errs.Unavailable
}

func TestF91_GuardRefusesStaleRates(t *testing.T) {
	for _, c := range []struct {
		age, maxAge time.Duration
		refused     bool
	}{
		{0, time.Hour, false},
		{time.Hour, time.Hour, false},
		{time.Hour + time.Microsecond, time.Hour, true},
		{24 * time.Hour, time.Hour, true},
		{-time.Hour, time.Hour, false},
		{-time.Hour - time.Microsecond, time.Hour, true},
		{10 * 365 * 24 * time.Hour, 0, false},
		{-24 * time.Hour, 0, false},
	} {
		rate := rateAt(t, "1.0840", noon.Add(-c.age))
		guard := fx.NewGuard(&script{rate: rate}, c.maxAge, func() time.Time { return noon })
		got, err := guard.Rate(t.Context(), currency.EUR, currency.USD)
		switch {
		case c.refused && (!isUnavailable(err) || !got.IsZero() || !strings.Contains(err.Error(), "stale")):
			t.Errorf("age %s of %s: %s, %v", c.age, c.maxAge, got, err)
		case !c.refused && (err != nil || got != rate):
			t.Errorf("age %s of %s: %s, %v", c.age, c.maxAge, got, err)
		}
	}
}

func TestF91_GuardRefusesJumps(t *testing.T) {
	source := &script{}
	guard := fx.NewGuard(source, 0, func() time.Time { return noon })
	for i, c := range []struct {
		value   string
		refused bool
	}{
		{"1.0840", false},
		{"10.840", true},      // ten times
		{"10.8399999", false}, // and just below; now the measure
		{"1.0840", false},
		{"0.10840", true},
		{"0.1084000001", false},
		{"1.084000001", true}, // against the last accepted, not against the first
		{"0.10840", false},
		{"9999999999999999999", true},
		{"0.0000000000000000001", true},
		{"0.2", false},
	} {
		rate := rateAt(t, c.value, noon)
		source.set(rate, nil)
		got, err := guard.Rate(t.Context(), currency.EUR, currency.USD)
		switch {
		case c.refused && (!isUnavailable(err) || !got.IsZero()):
			t.Errorf("%d: %s: %s, %v", i, c.value, got, err)
		case !c.refused && (err != nil || got != rate):
			t.Errorf("%d: %s: %s, %v", i, c.value, got, err)
		}
	}
	yen := newRate(t, currency.EUR, currency.JPY, "161.60")
	source.set(yen, nil)
	if got, err := guard.Rate(t.Context(), currency.EUR, currency.JPY); err != nil || got != yen {
		t.Errorf("another pair is not measured by this one: %s, %v", got, err)
	}
}

func TestF91_GuardKeepsTheNewestRate(t *testing.T) {
	source := &script{}
	guard := fx.NewGuard(source, 0, func() time.Time { return noon })
	for _, rate := range []fx.Rate{rateAt(t, "1", noon), rateAt(t, "5", noon.Add(-time.Hour))} {
		source.set(rate, nil)
		if _, err := guard.Rate(t.Context(), currency.EUR, currency.USD); err != nil {
			t.Fatal(err)
		}
	}
	source.set(rateAt(t, "11", noon.Add(time.Minute)), nil)
	if rate, err := guard.Rate(t.Context(), currency.EUR, currency.USD); !isUnavailable(err) {
		t.Errorf("the older rate that came late became the measure: %s, %v", rate, err)
	}
}

func TestF91_GuardPassesErrorsOn(t *testing.T) {
	cause := errors.New("dial tcp: refused")
	for name, c := range map[string]struct {
		rate fx.Rate
		err  error
		kind errs.Kind
		code string
	}{
		"no pair":         {err: fx.NoRate(currency.EUR, currency.USD), kind: errs.Refused, code: "no_rate"},
		"wrapped no pair": {err: fmt.Errorf("ecb: %w", fx.NoRate(currency.EUR, currency.USD)), kind: errs.Refused, code: "no_rate"},
		"down":            {err: fx.SourceDown(cause, "down"), kind: errs.Unavailable, code: "rates_unavailable"},
		"unknown error":   {err: cause, kind: errs.Unavailable, code: "rates_unavailable"},
		"no rate at all":  {kind: errs.Unavailable, code: "rates_unavailable"},
		"another pair":    {rate: newRate(t, currency.EUR, currency.JPY, "160"), kind: errs.Unavailable, code: "rates_unavailable"},
		"upside down":     {rate: newRate(t, currency.USD, currency.EUR, "0.92"), kind: errs.Unavailable, code: "rates_unavailable"},
	} {
		guard := fx.NewGuard(&script{rate: c.rate, err: c.err}, 0, func() time.Time { return noon })
		got, err := guard.Rate(t.Context(), currency.EUR, currency.USD)
		if errs.KindOf(err) != c.kind || errs.CodeOf(err) != c.code || !got.IsZero() {
			t.Errorf("%s: %s, %v", name, got, err)
		}
		if c.err != nil && !errors.Is(err, c.err) {
			t.Errorf("%s: %v lost its cause", name, err)
		}
	}
}

func TestF91_GuardServesManyAtOnce(t *testing.T) {
	good, bad := rateAt(t, "1.0840", noon), rateAt(t, "108.40", noon)
	source := &script{rate: good}
	guard := fx.NewGuard(source, time.Hour, func() time.Time { return noon })
	if _, err := guard.Rate(t.Context(), currency.EUR, currency.USD); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for i := range 500 {
				source.set([]fx.Rate{good, bad}[i%2], nil)
				got, err := guard.Rate(context.Background(), currency.EUR, currency.USD)
				if err == nil && got != good || err != nil && !isUnavailable(err) {
					t.Errorf("got %s, %v", got, err)
				}
			}
		})
	}
	group.Wait()
}
