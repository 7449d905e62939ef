package fx_test

import (
	"testing"

	"pgregory.net/rapid"

	"florin/domain/currency"
	"florin/domain/errs"
	"florin/domain/fx"
	"florin/domain/money"
)

// purse is a holder with two accounts, and the rates between them.
type purse struct {
	a, b       money.Money
	aToB, bToA fx.Rate
}

// spend moves an amount out of one account and credits the other with its worth, rounded down. It reports
// false where the service would refuse.
func spend(t *rapid.T, from, to *money.Money, rate fx.Rate, amount money.Money) bool {
	credit, _, err := rate.Convert(amount, fx.Down)
	if err != nil {
		return refused(t, err)
	}
	return move(t, from, to, amount, credit)
}

// receive credits one account with an amount and debits the other by its worth, rounded up.
func receive(t *rapid.T, from, to *money.Money, rate fx.Rate, amount money.Money) bool {
	debit, _, err := rate.Convert(amount, fx.Up)
	if err != nil {
		return refused(t, err)
	}
	return move(t, from, to, debit, amount)
}

func refused(t *rapid.T, err error) bool {
	if errs.KindOf(err) != errs.Refused {
		t.Fatalf("convert: %v", err)
	}
	return false
}

func move(t *rapid.T, from, to *money.Money, debit, credit money.Money) bool {
	left, err := from.Sub(debit)
	if err != nil || left.Sign() < 0 {
		return false
	}
	sum, err := to.Add(credit)
	if err != nil {
		t.Fatalf("credit %s: %v", credit, err)
	}
	*from, *to = left, sum
	return true
}

// step makes one of the four moves with a drawn amount.
func (p *purse) step(t *rapid.T) {
	switch rapid.IntRange(0, 3).Draw(t, "move") {
	case 0:
		spend(t, &p.a, &p.b, p.aToB, drawUpTo(t, p.a))
	case 1:
		spend(t, &p.b, &p.a, p.bToA, drawUpTo(t, p.b))
	case 2:
		if most, _, err := p.aToB.Convert(p.a, fx.Up); err == nil {
			receive(t, &p.a, &p.b, p.bToA, drawUpTo(t, most))
		}
	case 3:
		if most, _, err := p.bToA.Convert(p.b, fx.Up); err == nil {
			receive(t, &p.b, &p.a, p.aToB, drawUpTo(t, most))
		}
	}
}

// drawUpTo draws an amount, all of it and one unit often; none where there is none, which is refused later.
func drawUpTo(t *rapid.T, most money.Money) money.Money {
	if !most.IsPositive() {
		return money.Zero(most.Currency())
	}
	minor := rapid.OneOf(rapid.Just(most.Minor()), rapid.Just(int64(1)), rapid.Int64Range(1, most.Minor())).Draw(t, "amount")
	return money.New(minor, most.Currency())
}

// TestF92_NoLoopGains lets a holder convert back and forth at will, with credits rounded down and debits
// rounded up. Whatever is then turned back into the first currency is never more than there was.
func TestF92_NoLoopGains(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from, to := anyPair(t)
		// From 0.00001 to 99999.99999, where the opposite has all its CrossDigits.
		aToB, _ := drawRate(t, from, to, 5)
		bToA, err := fx.Inverse(aToB)
		if err != nil {
			t.Fatalf("Inverse(%s): %v", aToB, err)
		}
		start := money.New(rapid.OneOf(rapid.Int64Range(1, 1000), rapid.Int64Range(1, 100_000_000_000)).Draw(t, "start"), from)
		p := purse{a: start, b: money.Zero(to), aToB: aToB, bToA: bToA}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			p.step(t)
		}
		spend(t, &p.b, &p.a, p.bToA, p.b)
		order, err := p.a.Cmp(start)
		if err != nil || order > 0 {
			t.Fatalf("%s became %s at %s and %s (%v)", start, p.a, aToB, bToA, err)
		}
	})
}

// TestF92_OneRateNeverGains uses one rate in both directions: what a debit paid for an amount is at least
// what a credit gives for it.
func TestF92_OneRateNeverGains(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from, to := anyPair(t)
		rate, _ := anyRate(t, from, to)
		amount := money.New(rapid.Int64Range(1, 1_000_000_000_000).Draw(t, "amount"), from)
		credit, _, creditErr := rate.Convert(amount, fx.Down)
		debit, _, debitErr := rate.Convert(amount, fx.Up)
		if debitErr != nil {
			refused(t, debitErr)
			return
		}
		if creditErr != nil {
			if errs.CodeOf(creditErr) != "amount_too_small" || debit.Minor() != 1 {
				t.Fatalf("%s at %s: credit %v, debit %s", amount, rate, creditErr, debit)
			}
			return
		}
		if gap := debit.Minor() - credit.Minor(); gap < 0 || gap > 1 {
			t.Fatalf("%s at %s: credit %s, debit %s", amount, rate, credit, debit)
		}
	})
}

// TestF92_PingPong is the long loop of one unit and of larger amounts between two currencies.
func TestF92_PingPong(t *testing.T) {
	for _, value := range []string{"1.0840", "161.60", "0.0067", "1", "0.99999", "3"} {
		there := newRate(t, currency.EUR, currency.USD, value)
		back, err := fx.Inverse(there)
		if err != nil {
			t.Fatal(err)
		}
		for _, minor := range []int64{1, 2, 99, 12345, 100_000_000_000} {
			pingPong(t, money.New(minor, currency.EUR), there, back, 10_000)
		}
	}
}

func pingPong(t *testing.T, start money.Money, there, back fx.Rate, times int) {
	t.Helper()
	amount := start
	for range times {
		away, _, err := there.Convert(amount, fx.Down)
		if errs.CodeOf(err) == "amount_too_small" {
			return
		}
		if err != nil {
			t.Fatalf("%s at %s: %v", amount, there, err)
		}
		home, _, err := back.Convert(away, fx.Down)
		if errs.CodeOf(err) == "amount_too_small" {
			return
		}
		if err != nil {
			t.Fatalf("%s at %s: %v", away, back, err)
		}
		if home.Minor() > amount.Minor() {
			t.Fatalf("%s became %s by way of %s at %s", amount, home, away, there)
		}
		amount = home
	}
}
