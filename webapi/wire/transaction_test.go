package wire

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"florin/domain/account"
	"florin/domain/currency"
	"florin/domain/fx"
	"florin/domain/money"
)

var (
	sender    = uuid.MustParse("0198c0de-0000-7000-8000-0000000000aa")
	receiver  = uuid.MustParse("0198c0de-0000-7000-8000-0000000000bb")
	from      = uuid.MustParse("0198c0de-0000-7000-8000-0000000000a1")
	to        = uuid.MustParse("0198c0de-0000-7000-8000-0000000000b1")
	id        = uuid.MustParse("0198c0de-0000-7000-8000-000000000001")
	at        = time.Date(2026, 1, 1, 12, 0, 0, 123456000, time.UTC)
	eur       = func(minor int64) money.Money { return money.New(minor, currency.EUR) }
	usd       = func(minor int64) money.Money { return money.New(minor, currency.USD) }
	noFailure *account.Failure
)

func converted(t *testing.T, original, result money.Money, rate, exact string) *fx.Conversion {
	t.Helper()
	r, err := fx.NewRate(original.Currency(), result.Currency(), rate, "ecb", at)
	require.NoError(t, err)
	c := fx.LoadConversion(fx.StoredConversion{Original: original, Converted: result, Exact: exact, Rate: r, Rounding: fx.Down,
		QuotedAt: at, ExpiresAt: at.Add(time.Minute)})
	return &c
}

func shown(t *testing.T, v any) string {
	t.Helper()
	body, err := MarshalJSON(v)
	require.NoError(t, err)
	return string(body)
}

// The members, their order and their forms are those of the contract's example.
func TestTransactionIsWrittenAsTheContractSays(t *testing.T) {
	d := &account.Transaction{ID: id, Type: account.TypeDeposit, UserID: sender, AccountID: from, Amount: eur(100_00), Posted: usd(108_40),
		Conversion: converted(t, eur(100_00), usd(108_40), "1.0840", "108.40"), Provider: "mock", PaymentID: "pay_1",
		NextAction: &account.NextAction{Type: "redirect", URL: "https://pay.example/?a=1&b=<2>"}, MoneySource: "card", CreatedAt: at, UpdatedAt: at}
	d.RestoreStatus(account.PaymentStatusPending, 2, noFailure)
	want := `{"id":"` + id.String() + `","type":"deposit","direction":"in","status":"pending","account_id":"` + from.String() + `","user_id":"` + sender.String() + `",` +
		`"amount":"100.00","currency":"EUR","received_amount":null,"posted_amount":"108.40","posted_currency":"USD",` +
		`"conversion":{"original_amount":"100.00","original_currency":"EUR","converted_amount":"108.40","converted_currency":"USD",` +
		`"rate":"1.0840","source":"ecb","quoted_at":"2026-01-01T12:00:00.123456Z","expires_at":"2026-01-01T12:01:00.123456Z"},` +
		`"provider":"mock","payment_id":"pay_1","next_action":{"type":"redirect","url":"https://pay.example/?a=1&b=<2>"},` +
		`"money_source":"card","external_target":null,"counterparty_account_id":null,"linked_transaction_id":null,` +
		`"failure":null,"metadata":{},"created_at":"2026-01-01T12:00:00.123456Z","updated_at":"2026-01-01T12:00:00.123456Z","completed_at":null}`
	require.Equal(t, want, shown(t, TransactionOf(d, from, sender)))
}

func TestWithdrawalIsMaskedAndSaysWhyItFailed(t *testing.T) {
	received := eur(99_00)
	w := &account.Transaction{ID: id, Type: account.TypeWithdraw, UserID: sender, AccountID: from, Amount: eur(100_00), Posted: eur(100_00), Received: &received,
		Target:   &account.ExternalTarget{BankAccountNumber: "DE02120300000000206789", RoutingNumber: "021", ExternalWalletAddress: ""},
		Metadata: map[string]string{"b": "2", "a": "1"}, CreatedAt: at, UpdatedAt: at}
	w.RestoreStatus(account.PaymentStatusFailed, 3, &account.Failure{Code: "declined", Message: "no"})
	got := shown(t, TransactionOf(w, from, sender))
	require.Contains(t, got, `"direction":"out"`)
	require.Contains(t, got, `"external_target":{"bank_account_number":"****6789","routing_number":"****"}`)
	require.Contains(t, got, `"failure":{"code":"declined","message":"no"}`)
	require.Contains(t, got, `"received_amount":"99.00"`)
	require.Contains(t, got, `"metadata":{"a":"1","b":"2"}`)
	require.NotContains(t, got, "0300")
}

func aTransfer(t *testing.T, amount, debit, credit money.Money, c *fx.Conversion) *account.Transaction {
	t.Helper()
	x := &account.Transaction{ID: id, Type: account.TypeTransfer, UserID: sender, AccountID: from, Amount: amount, Posted: debit,
		CounterpartyID: to, CounterpartyPosted: credit, Conversion: c, Provider: account.ProviderInternal,
		Metadata: map[string]string{"note": "private"}, CreatedAt: at, UpdatedAt: at, CompletedAt: at}
	x.RestoreStatus(account.PaymentStatusCompleted, 2, noFailure)
	return x
}

func TestTransferIsSeenFromTheReadersSide(t *testing.T) {
	x := aTransfer(t, eur(100_00), eur(100_00), usd(108_40), converted(t, eur(100_00), usd(108_40), "1.0840", "108.40"))
	sent, got := TransactionOf(x, from, sender), TransactionOf(x, to, receiver)

	require.Equal(t, []any{"out", from, sender, to, "100.00", "EUR"},
		[]any{sent.Direction, *sent.AccountID, *sent.UserID, *sent.CounterpartyAccountID, *sent.PostedAmount, *sent.PostedCurrency})
	require.Equal(t, map[string]string{"note": "private"}, sent.Metadata)

	require.Equal(t, []any{"in", to, receiver, from, "108.40", "USD"},
		[]any{got.Direction, *got.AccountID, *got.UserID, *got.CounterpartyAccountID, *got.PostedAmount, *got.PostedCurrency})
	require.NotNil(t, got.Conversion, "the receiver's own account was converted into")
	require.NotContains(t, shown(t, got), sender.String())
	require.NotContains(t, shown(t, got), "private")

	own := TransactionOf(x, to, sender)
	require.Equal(t, "in", own.Direction)
	require.Equal(t, map[string]string{"note": "private"}, own.Metadata, "both accounts are the reader's")
}

func TestReceiverDoesNotLearnTheSendersCurrency(t *testing.T) {
	x := aTransfer(t, usd(108_40), eur(100_01), usd(108_40), converted(t, usd(108_40), eur(100_01), "0.9225", "99.9990"))
	require.NotNil(t, TransactionOf(x, from, sender).Conversion)
	got := shown(t, TransactionOf(x, to, receiver))
	require.NotContains(t, got, "EUR")
	require.Contains(t, got, `"conversion":null`)
}

func TestAmountsHaveTheCurrencysDigits(t *testing.T) {
	for _, c := range []struct {
		amount money.Money
		want   string
	}{{money.New(1200, currency.JPY), `"amount":"1200"`}, {money.New(1250, currency.KWD), `"amount":"1.250"`}, {eur(5), `"amount":"0.05"`}} {
		d := &account.Transaction{ID: id, Type: account.TypeDeposit, Amount: c.amount}
		require.Contains(t, shown(t, TransactionOf(d, uuid.Nil, uuid.Nil)), c.want)
	}
}

func TestWhatIsNotKnownIsNull(t *testing.T) {
	got := shown(t, TransactionOf(&account.Transaction{ID: id, Type: account.TypeUnmatched, Amount: eur(1)}, uuid.Nil, sender))
	for _, member := range []string{"account_id", "user_id", "posted_amount", "posted_currency", "payment_id", "money_source", "completed_at"} {
		require.Contains(t, got, `"`+member+`":null`)
	}
	require.NotContains(t, got, uuid.Nil.String())
}
