package account

// PaymentStatus is where a transaction stands.
type PaymentStatus string

// The statuses of a transaction. Completed is final; Failed has one late door, see CanMove.
const (
	PaymentStatusInitiated PaymentStatus = "initiated"
	PaymentStatusPending   PaymentStatus = "pending"
	PaymentStatusCompleted PaymentStatus = "completed"
	PaymentStatusFailed    PaymentStatus = "failed"
)

// Move is one step of the state machine. From is "" for a new transaction.
type Move struct{ From, To PaymentStatus }

// Moves is the whole state machine, drawn in docs/state-machine.md. The move failed → completed is the late
// door: it opens only when the provider proves that it has the money.
var Moves = []Move{
	{"", PaymentStatusInitiated},
	{PaymentStatusInitiated, PaymentStatusPending},
	{PaymentStatusInitiated, PaymentStatusCompleted},
	{PaymentStatusInitiated, PaymentStatusFailed},
	{PaymentStatusPending, PaymentStatusCompleted},
	{PaymentStatusPending, PaymentStatusFailed},
	{PaymentStatusFailed, PaymentStatusCompleted},
}

// CanMove says whether the state machine has the step.
func CanMove(from, to PaymentStatus) bool {
	for _, m := range Moves {
		if m.From == from && m.To == to {
			return true
		}
	}
	return false
}

// Terminal says that nothing more is expected: the transaction is completed or failed.
func (s PaymentStatus) Terminal() bool {
	return s == PaymentStatusCompleted || s == PaymentStatusFailed
}

// Valid says whether s is a status.
func (s PaymentStatus) Valid() bool {
	return s == PaymentStatusInitiated || s == PaymentStatusPending || s.Terminal()
}
