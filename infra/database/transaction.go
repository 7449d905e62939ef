package database

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/google/uuid"

	"florin/domain/account"
	"florin/domain/money"
)

// transactionRow is a row of transactions.
type transactionRow struct {
	ID                    uuid.UUID `gorm:"column:id;primaryKey"`
	Type                  string
	Status                string
	Version               int
	UserID                nullID        `gorm:"column:user_id"`
	AccountID             nullID        `gorm:"column:account_id"`
	CounterpartyAccountID nullID        `gorm:"column:counterparty_account_id"`
	Amount                int64         `gorm:"column:amount"`
	Currency              string        `gorm:"column:currency"`
	PostedAmount          nullCount     `gorm:"column:posted_amount"`
	PostedCurrency        nullText      `gorm:"column:posted_currency"`
	CounterpartyAmount    nullCount     `gorm:"column:counterparty_amount"`
	CounterpartyCurrency  nullText      `gorm:"column:counterparty_currency"`
	ReceivedAmount        sql.NullInt64 `gorm:"column:received_amount"`
	Conversion            nullText      `gorm:"column:conversion"`
	Provider              string        `gorm:"column:provider"`
	PaymentID             nullText      `gorm:"column:payment_id"`
	PaymentFlow           string        `gorm:"column:payment_flow"`
	NextAction            nullText      `gorm:"column:next_action"`
	MoneySource           string        `gorm:"column:money_source"`
	ExternalTarget        nullText      `gorm:"column:external_target"`
	LinkedTransactionID   nullID        `gorm:"column:linked_transaction_id"`
	FailureCode           nullText      `gorm:"column:failure_code"`
	FailureMessage        nullText      `gorm:"column:failure_message"`
	Metadata              string        `gorm:"column:metadata"`
	Attempt               int           `gorm:"column:attempt"`
	Tries                 int           `gorm:"column:tries"`
	Fence                 int64         `gorm:"column:fence"`
	NextAttemptAt         moment        `gorm:"column:next_attempt_at"`
	ExpiresAt             moment        `gorm:"column:expires_at"`
	RequestID             string        `gorm:"column:request_id"`
	TraceParent           string        `gorm:"column:trace_parent"`
	Created               moment        `gorm:"column:created_at"`
	Updated               moment        `gorm:"column:updated_at"`
	Completed             moment        `gorm:"column:completed_at"`
}

func (transactionRow) TableName() string { return "transactions" }

func transactionToRow(t *account.Transaction) (transactionRow, error) {
	row := transactionRow{
		ID: t.ID, Type: string(t.Type), Status: string(t.Status()), Version: t.Version(), UserID: nullID(t.UserID),
		AccountID: nullID(t.AccountID), CounterpartyAccountID: nullID(t.CounterpartyID),
		Amount: t.Amount.Minor(), Currency: t.Amount.Currency().Code(),
		PostedAmount: nullCount(t.Posted.Minor()), PostedCurrency: nullText(t.Posted.Currency().Code()),
		CounterpartyAmount:   nullCount(t.CounterpartyPosted.Minor()),
		CounterpartyCurrency: nullText(t.CounterpartyPosted.Currency().Code()),
		Provider:             t.Provider, PaymentID: nullText(t.PaymentID), PaymentFlow: t.PaymentFlow, MoneySource: t.MoneySource,
		LinkedTransactionID: nullID(t.LinkedID), Attempt: t.Attempt, Tries: t.Tries, Fence: t.Fence,
		NextAttemptAt: momentOf(t.NextAttemptAt), ExpiresAt: momentOf(t.ExpiresAt), RequestID: t.RequestID, TraceParent: t.TraceParent,
		Created: momentOf(t.CreatedAt), Updated: momentOf(t.UpdatedAt), Completed: momentOf(t.CompletedAt),
	}
	if f := t.Failure(); f != nil {
		row.FailureCode, row.FailureMessage = nullText(f.Code), nullText(f.Message)
	}
	if t.Received != nil {
		if t.Received.Currency() != t.Amount.Currency() {
			return transactionRow{}, fmt.Errorf("transaction %s asks for %s and received %s", t.ID, t.Amount, t.Received)
		}
		row.ReceivedAmount = sql.NullInt64{Int64: t.Received.Minor(), Valid: true}
	}
	if err := row.encode(t); err != nil {
		return transactionRow{}, fmt.Errorf("row of transaction %s: %w", t.ID, err)
	}
	return row, nil
}

// encode fills the columns that are JSON.
func (r *transactionRow) encode(t *account.Transaction) (err error) {
	r.Metadata = "{}"
	if len(t.Metadata) > 0 {
		if r.Metadata, err = encodeJSON(t.Metadata); err != nil {
			return err
		}
	}
	if t.Conversion != nil && !t.Conversion.IsZero() {
		if r.Conversion, err = encodeConversion(*t.Conversion); err != nil {
			return err
		}
	}
	var text string
	if t.NextAction != nil {
		if text, err = encodeJSON(t.NextAction); err != nil {
			return err
		}
		r.NextAction = nullText(text)
	}
	if t.Target != nil {
		if text, err = encodeJSON(targetJSON(*t.Target)); err != nil {
			return err
		}
		r.ExternalTarget = nullText(text)
	}
	return nil
}

func (r transactionRow) toTransaction() (*account.Transaction, error) {
	t := &account.Transaction{
		ID: r.ID, Type: account.Type(r.Type), UserID: uuid.UUID(r.UserID), AccountID: uuid.UUID(r.AccountID),
		CounterpartyID: uuid.UUID(r.CounterpartyAccountID), Provider: r.Provider, PaymentID: string(r.PaymentID), PaymentFlow: r.PaymentFlow,
		MoneySource: r.MoneySource, LinkedID: uuid.UUID(r.LinkedTransactionID), Attempt: r.Attempt, Tries: r.Tries, Fence: r.Fence,
		NextAttemptAt: r.NextAttemptAt.at, ExpiresAt: r.ExpiresAt.at, RequestID: r.RequestID, TraceParent: r.TraceParent,
		CreatedAt: r.Created.at, UpdatedAt: r.Updated.at, CompletedAt: r.Completed.at,
	}
	if err := r.decode(t); err != nil {
		return nil, fmt.Errorf("row of transaction %s: %w", r.ID, err)
	}
	var failure *account.Failure
	if r.FailureCode != "" {
		failure = &account.Failure{Code: string(r.FailureCode), Message: string(r.FailureMessage)}
	}
	t.RestoreStatus(account.PaymentStatus(r.Status), r.Version, failure)
	return t, nil
}

// decode reads the columns that are amounts or JSON.
func (r transactionRow) decode(t *account.Transaction) (err error) {
	if t.Amount, err = moneyFromRow(r.Amount, r.Currency); err != nil {
		return err
	}
	if t.Posted, err = moneyFromRow(int64(r.PostedAmount), string(r.PostedCurrency)); err != nil {
		return err
	}
	if t.CounterpartyPosted, err = moneyFromRow(int64(r.CounterpartyAmount), string(r.CounterpartyCurrency)); err != nil {
		return err
	}
	if r.ReceivedAmount.Valid {
		received := money.New(r.ReceivedAmount.Int64, t.Amount.Currency())
		t.Received = &received
	}
	if r.Conversion != "" {
		conversion, err := decodeConversion(r.Conversion)
		if err != nil {
			return err
		}
		t.Conversion = &conversion
	}
	// an older program may have left it there
	if r.NextAction != "" && !account.PaymentStatus(r.Status).Terminal() {
		t.NextAction = new(account.NextAction)
		if err := json.Unmarshal([]byte(r.NextAction), t.NextAction); err != nil {
			return fmt.Errorf("next action: %w", err)
		}
	}
	if r.ExternalTarget != "" {
		target, err := r.target()
		if err != nil {
			return err
		}
		t.Target = &target
	}
	if r.Metadata != "" && r.Metadata != "{}" {
		if err := json.Unmarshal([]byte(r.Metadata), &t.Metadata); err != nil {
			return fmt.Errorf("metadata: %w", err)
		}
	}
	return nil
}

// target reads a target that is not sealed, or not any more.
func (r transactionRow) target() (account.ExternalTarget, error) {
	var target targetJSON
	if err := json.Unmarshal([]byte(r.ExternalTarget), &target); err != nil {
		return account.ExternalTarget{}, errors.New("external target: not JSON")
	}
	return account.ExternalTarget(target), nil
}

// settled is the row as it stood, with what may move taken from the other: equal to it when nothing else has changed.
func (r transactionRow) settled(now transactionRow) transactionRow {
	r.Status, r.Version, r.PostedAmount, r.PostedCurrency = now.Status, now.Version, now.PostedAmount, now.PostedCurrency
	r.CounterpartyAmount, r.CounterpartyCurrency, r.ReceivedAmount = now.CounterpartyAmount, now.CounterpartyCurrency, now.ReceivedAmount
	r.Conversion, r.PaymentID, r.NextAction, r.MoneySource = now.Conversion, now.PaymentID,
		now.NextAction, now.MoneySource
	r.FailureCode, r.FailureMessage, r.Attempt, r.Tries, r.Fence = now.FailureCode, now.FailureMessage, now.Attempt, now.Tries, now.Fence
	r.NextAttemptAt, r.ExpiresAt, r.Updated, r.Completed = now.NextAttemptAt, now.ExpiresAt, now.Updated, now.Completed
	return r
}

// targetJSON is account.ExternalTarget as it is stored.
type targetJSON struct {
	BankAccountNumber     string `json:"bank_account_number,omitempty"`
	RoutingNumber         string `json:"routing_number,omitempty"`
	ExternalWalletAddress string `json:"external_wallet_address,omitempty"`
	ProviderAccount       string `json:"provider_account,omitempty"`
}

// jsonBuffers are where texts are put together: a text that is written many times in each commit costs its own length alone.
var jsonBuffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func encodeJSON(value any) (string, error) {
	buffer := jsonBuffers.Get().(*bytes.Buffer)
	defer jsonBuffers.Put(buffer)
	buffer.Reset()
	err := json.NewEncoder(buffer).Encode(value)
	return string(bytes.TrimSuffix(buffer.Bytes(), []byte{'\n'})), err
}
