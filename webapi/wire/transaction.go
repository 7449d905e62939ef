package wire

import (
	"time"

	"github.com/google/uuid"

	"florin/domain/account"
	"florin/domain/fx"
)

// Transaction is the JSON of a transaction as one of its accounts sees it.
type Transaction struct {
	ID                    uuid.UUID         `json:"id" format:"uuid"`
	Type                  string            `json:"type" enum:"deposit,withdraw,transfer,refund,refund_reversal,chargeback,chargeback_reversal,payout_return,correction,fee,unmatched"`
	Direction             string            `json:"direction" enum:"in,out" description:"As the account sees it."`
	Status                string            `json:"status" enum:"initiated,pending,completed,failed"`
	AccountID             *uuid.UUID        `json:"account_id" format:"uuid" description:"The reader's account."`
	UserID                *uuid.UUID        `json:"user_id" format:"uuid" description:"The reader."`
	Amount                string            `json:"amount" pattern:"^[0-9]+(\\.[0-9]+)?$" example:"100.00" description:"Positive, with exactly the currency's minor digits."`
	Currency              string            `json:"currency" pattern:"^[A-Z]{3}$" example:"EUR"`
	ReceivedAmount        *string           `json:"received_amount" example:"95.00" description:"What the provider reports, where it differs from amount."`
	PostedAmount          *string           `json:"posted_amount" example:"108.40" description:"What the account was or will be changed by, in its own currency."`
	PostedCurrency        *string           `json:"posted_currency" example:"USD"`
	Conversion            *Conversion       `json:"conversion" description:"Null in one currency."`
	Provider              string            `json:"provider" example:"mock" description:"internal for a transfer."`
	PaymentID             *string           `json:"payment_id" description:"The provider's id of the payment."`
	NextAction            *NextAction       `json:"next_action" description:"What the payer must do for the payment to go on; null once it has ended."`
	MoneySource           *string           `json:"money_source" example:"card" description:"Where the money comes from. Of what a provider has taken back beyond the payment: suspense, receivable or balance."`
	ExternalTarget        *ExternalTarget   `json:"external_target" description:"Masked to the last four characters."`
	CounterpartyAccountID *uuid.UUID        `json:"counterparty_account_id" format:"uuid" description:"The other account of a transfer."`
	LinkedTransactionID   *uuid.UUID        `json:"linked_transaction_id" format:"uuid" description:"Points from what follows to what it follows."`
	Failure               *Failure          `json:"failure" description:"Why it failed; null unless it did."`
	Metadata              map[string]string `json:"metadata" nullable:"false"`
	CreatedAt             time.Time         `json:"created_at"`
	UpdatedAt             time.Time         `json:"updated_at"`
	CompletedAt           *time.Time        `json:"completed_at"`
	Balances              []Balance         `json:"balances,omitempty" description:"Of a dry run: the reader's accounts as they would be."`
}

// Conversion is how the amount was turned into another currency.
type Conversion struct {
	OriginalAmount    string    `json:"original_amount" example:"100.00"`
	OriginalCurrency  string    `json:"original_currency" example:"EUR"`
	ConvertedAmount   string    `json:"converted_amount" example:"108.40"`
	ConvertedCurrency string    `json:"converted_currency" example:"USD"`
	Rate              string    `json:"rate" example:"1.0840"`
	Source            string    `json:"source" example:"ecb"`
	QuotedAt          time.Time `json:"quoted_at" description:"The rate's own date, as its source gives it"`
	ExpiresAt         time.Time `json:"expires_at"`
}

// NextAction is what a client does for the payment to go on.
type NextAction struct {
	Type         string `json:"type" example:"redirect"`
	URL          string `json:"url,omitempty" example:"https://pay.example/session/1"`
	ClientSecret string `json:"client_secret,omitempty"`
}

// ExternalTarget is where a withdrawal goes, masked.
type ExternalTarget struct {
	BankAccountNumber     string `json:"bank_account_number,omitempty" example:"****6789"`
	RoutingNumber         string `json:"routing_number,omitempty" example:"****0021"`
	ExternalWalletAddress string `json:"external_wallet_address,omitempty"`
}

// Failure is why a transaction failed.
type Failure struct {
	Code    string `json:"code" example:"declined"`
	Message string `json:"message" example:"The card was declined."`
}

// TransactionOf shows the transaction to the reader as his account `side` sees it. Of a transfer that somebody
// else has sent, nothing of the sender shows but the account that it came from.
func TransactionOf(t *account.Transaction, side, reader uuid.UUID) Transaction {
	w := Transaction{
		ID: t.ID, Type: string(t.Type), Direction: t.Direction(side), Status: string(t.Status()),
		AccountID: optionalID(&t.AccountID), UserID: optionalID(&t.UserID),
		Amount: t.Amount.Decimal(), Currency: t.Amount.Currency().Code(),
		Conversion: conversionOf(t.Conversion),
		Provider:   t.Provider, PaymentID: optionalText(&t.PaymentID), NextAction: nextActionOf(t.NextAction),
		MoneySource: optionalText(&t.MoneySource), ExternalTarget: targetOf(t.Target),
		CounterpartyAccountID: optionalID(&t.CounterpartyID), LinkedTransactionID: optionalID(&t.LinkedID),
		Failure: FailureOf(t.Failure()), Metadata: t.Metadata,
		CreatedAt: t.CreatedAt.UTC(), UpdatedAt: t.UpdatedAt.UTC(), CompletedAt: optionalTime(t.CompletedAt),
	}
	if t.Received != nil {
		w.ReceivedAmount, _ = optionalAmount(*t.Received)
	}
	w.PostedAmount, w.PostedCurrency = optionalAmount(t.Posted)
	if t.CounterpartyID != uuid.Nil && side == t.CounterpartyID {
		receive(&w, t, reader)
	}
	return w
}

// receive turns the sender's view of a transfer into the receiver's. A conversion that was made on the sender's
// side would tell the receiver what the sender's account is kept in.
func receive(w *Transaction, t *account.Transaction, reader uuid.UUID) {
	w.AccountID, w.CounterpartyAccountID = optionalID(&t.CounterpartyID), optionalID(&t.AccountID)
	w.PostedAmount, w.PostedCurrency = optionalAmount(t.CounterpartyPosted)
	if reader == t.UserID {
		return
	}
	w.UserID, w.Metadata = optionalID(&reader), nil
	if t.CounterpartyPosted.Currency() == t.Amount.Currency() {
		w.Conversion = nil
	}
}

// FailureOf is nil for none.
func FailureOf(f *account.Failure) *Failure {
	if f == nil {
		return nil
	}
	return &Failure{Code: f.Code, Message: f.Message}
}

func conversionOf(c *fx.Conversion) *Conversion {
	if c == nil || c.IsZero() {
		return nil
	}
	return &Conversion{
		OriginalAmount: c.Original().Decimal(), OriginalCurrency: c.Original().Currency().Code(),
		ConvertedAmount: c.Converted().Decimal(), ConvertedCurrency: c.Converted().Currency().Code(),
		Rate: c.Rate().Value(), Source: c.Rate().Source(),
		QuotedAt: c.Rate().At().UTC(), ExpiresAt: c.ExpiresAt().UTC(),
	}
}

func nextActionOf(n *account.NextAction) *NextAction {
	if n == nil {
		return nil
	}
	return &NextAction{Type: n.Type, URL: n.URL, ClientSecret: n.ClientSecret}
}

func targetOf(t *account.ExternalTarget) *ExternalTarget {
	if t == nil || t.IsZero() {
		return nil
	}
	masked := t.Masked()
	return &ExternalTarget{
		BankAccountNumber: masked.BankAccountNumber, RoutingNumber: masked.RoutingNumber,
		ExternalWalletAddress: masked.ExternalWalletAddress,
	}
}
