package fx

import "fmt"

// Rounding is what becomes of the part of a converted amount that is smaller than the minor unit. It goes
// against the holder of the account: what is credited is rounded Down, what is debited is rounded Up, so that
// no sequence of conversions wins by rounding. The zero value is no rounding and is refused.
type Rounding uint8

const (
	// Down is toward zero: for credits.
	Down Rounding = iota + 1
	// Up is away from zero: for debits.
	Up
)

// ParseRounding reads what String wrote: "down" or "up".
func ParseRounding(text string) (Rounding, error) {
	switch text {
	case "down":
		return Down, nil
	case "up":
		return Up, nil
	}
	return 0, fmt.Errorf("unknown rounding %q", text)
}

// String is "down" or "up".
func (r Rounding) String() string {
	switch r {
	case Down:
		return "down"
	case Up:
		return "up"
	}
	return fmt.Sprintf("rounding(%d)", uint8(r))
}
