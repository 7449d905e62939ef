package database

import (
	"fmt"

	"github.com/google/uuid"

	"florin/domain/account"
)

// eventRow is a row of payment_events. The payload is the event itself, as whoever reads the log gets it; the other
// columns repeat what queries ask for. Its position is that of its batch, and N-1 behind.
type eventRow struct {
	BatchID       int64     `gorm:"column:batch_id"`
	N             int       `gorm:"column:n"` // 1, 2, … within the batch
	ID            uuid.UUID `gorm:"column:id"`
	TransactionID uuid.UUID `gorm:"column:transaction_id"`
	Seq           int
	FromStatus    nullText `gorm:"column:from_status"`
	ToStatus      string   `gorm:"column:to_status"`
	Cause         string
	Payload       string
	At            moment
}

func (eventRow) TableName() string { return "payment_events" }

func eventToRow(e *account.PaymentEvent) (eventRow, error) {
	id, err := uuid.Parse(e.EventID)
	if err != nil {
		return eventRow{}, fmt.Errorf("id of event %q: %w", e.EventID, err)
	}
	transactionID, err := uuid.Parse(e.TransactionID)
	if err != nil {
		return eventRow{}, fmt.Errorf("transaction of event %s: %w", e.EventID, err)
	}
	e.At = momentOf(e.At).at
	payload, err := encodeJSON(e)
	if err != nil {
		return eventRow{}, fmt.Errorf("payload of event %s: %w", e.EventID, err)
	}
	return eventRow{
		ID: id, TransactionID: transactionID, Seq: e.Seq, FromStatus: nullText(e.From), ToStatus: string(e.Status),
		Cause: string(e.Cause), Payload: payload, At: momentOf(e.At),
	}, nil
}
