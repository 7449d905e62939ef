package webapi

import (
	"time"

	"github.com/google/uuid"

	"florin/webapi/wire"
)

// The examples of the document are of the wire's own types, so that they cannot drift from them.
var (
	exampleID          = uuid.MustParse("0198c0de-0000-7000-8000-000000000001")
	exampleAccount     = uuid.MustParse("0198c0de-0000-7000-8000-00000000000a")
	exampleUser        = uuid.MustParse("0198c0de-0000-7000-8000-0000000000ff")
	exampleTime        = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	exampleTransaction = wire.Transaction{
		ID: exampleID, Type: "deposit", Direction: "in", Status: "pending", AccountID: &exampleAccount, UserID: &exampleUser,
		Amount: "100.00", Currency: "EUR", PostedAmount: new("108.40"), PostedCurrency: new("USD"),
		Conversion: &wire.Conversion{OriginalAmount: "100.00", OriginalCurrency: "EUR", ConvertedAmount: "108.40",
			ConvertedCurrency: "USD", Rate: "1.0840", Source: "ecb", QuotedAt: exampleTime, ExpiresAt: exampleTime.Add(10 * time.Minute)},
		Provider: "mock", PaymentID: new("pay_1"),
		NextAction:  &wire.NextAction{Type: "redirect", URL: "https://pay.example/session/1"},
		MoneySource: new("card"), Metadata: map[string]string{}, CreatedAt: exampleTime, UpdatedAt: exampleTime,
	}
)
