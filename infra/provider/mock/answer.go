package mock

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"

	"florin/domain/account"
)

// createBody is the body of a new payment or payout. Its fields come from the instruction alone, and encoding/json
// sorts maps, so that the same instruction always gives the same bytes.
type createBody struct {
	TransactionID uuid.UUID         `json:"transaction_id"`
	AccountID     uuid.UUID         `json:"account_id"`
	Amount        int64             `json:"amount"`
	Currency      string            `json:"currency"`
	MoneySource   string            `json:"money_source,omitempty"`
	PaymentFlow   string            `json:"payment_flow,omitempty"`
	Target        *targetBody       `json:"external_target,omitempty"`
	Metadata      map[string]string `json:"metadata,omitempty"`
}

type targetBody struct {
	BankAccountNumber     string `json:"bank_account_number,omitempty"`
	RoutingNumber         string `json:"routing_number,omitempty"`
	ExternalWalletAddress string `json:"external_wallet_address,omitempty"`
}

// payment is a payment as the bank answers it.
type payment struct {
	ID            string       `json:"id"`
	TransactionID string       `json:"transaction_id"`
	Amount        int64        `json:"amount"`
	Currency      string       `json:"currency"`
	State         string       `json:"state"`
	Failure       *failureBody `json:"failure"`
	// Moved is what came or was paid, where that is not what was asked.
	Moved *struct {
		Amount   int64  `json:"amount"`
		Currency string `json:"currency"`
	} `json:"moved"`
	NextAction *struct {
		Type         string `json:"type"`
		URL          string `json:"url"`
		ClientSecret string `json:"client_secret"`
	} `json:"next_action"`
	UpdatedAt time.Time `json:"updated_at"`

	transactionID uuid.UUID
	kind          account.ReceivedKind
}

type failureBody struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// kindOf is what each state of the bank is in our words.
var kindOf = map[string]account.ReceivedKind{
	"pending":   account.ReceivedPending,
	"completed": account.ReceivedCompleted,
	"failed":    account.ReceivedFailed,
	"canceled":  account.ReceivedFailed,
	"returned":  account.ReceivedFailed,
}

func decodePayment(raw []byte) (payment, error) {
	var p payment
	if err := json.Unmarshal(raw, &p); err != nil {
		return payment{}, unknown("bad_answer", fmt.Errorf("read answer: %w", err))
	}
	return p.checked()
}

func decodeList(raw []byte) ([]payment, error) {
	var list struct {
		Data []payment `json:"data"`
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, unknown("bad_answer", fmt.Errorf("read answer: %w", err))
	}
	if list.Data == nil {
		return nil, unknown("bad_answer", errors.New("the answer has no list of payments"))
	}
	for i, p := range list.Data {
		checked, err := p.checked()
		if err != nil {
			return nil, err
		}
		list.Data[i] = checked
	}
	return list.Data, nil
}

func (p payment) checked() (payment, error) {
	id, err := parseUUID(p.TransactionID)
	if err != nil {
		return payment{}, unknown("bad_answer", err)
	}
	kind, known := kindOf[p.State]
	if !known || !validID(p.ID) || p.Amount <= 0 || !validCurrency(p.Currency) || p.UpdatedAt.IsZero() ||
		(p.Moved != nil && (p.Moved.Amount <= 0 || !validCurrency(p.Moved.Currency))) {
		return payment{}, unknown("bad_answer", errors.New("the answer is not a payment"))
	}
	p.transactionID, p.kind = id, kind
	return p, nil
}

// weight orders payments of one transaction by how much they matter.
func (p payment) weight() int {
	switch p.kind {
	case account.ReceivedCompleted:
		return 2
	case account.ReceivedPending:
		return 1
	default:
		return 0
	}
}

func (p payment) report() account.PaymentReport {
	report := account.PaymentReport{
		PaymentID:     p.ID,
		TransactionID: p.transactionID,
		Kind:          p.kind,
		Amount:        p.Amount,
		Currency:      p.Currency,
		OccurredAt:    p.UpdatedAt.UTC().Truncate(time.Microsecond),
	}
	if p.Moved != nil {
		report.Amount, report.Currency = p.Moved.Amount, p.Moved.Currency
	}
	switch {
	case p.State == "returned":
		report.Failure = &account.Failure{Code: "returned", Message: "The payout came back."}
	case p.State == "canceled":
		report.Failure = &account.Failure{Code: "canceled", Message: "The payment was canceled."}
	case p.kind == account.ReceivedFailed:
		report.Failure = p.Failure.inOurWords()
	}
	return report
}

func (p payment) nextAction() *account.NextAction {
	if p.NextAction == nil {
		return nil
	}
	return &account.NextAction{Type: p.NextAction.Type, URL: p.NextAction.URL, ClientSecret: p.NextAction.ClientSecret}
}

// inOurWords bounds what the bank says of a failure; it reaches the account's owner. A nil body is a failure
// without a reason.
func (f *failureBody) inOurWords() *account.Failure {
	if f == nil {
		return &account.Failure{Code: "failed", Message: "The payment failed."}
	}
	return &account.Failure{Code: plainCode(f.Code), Message: plainText(f.Message)}
}

func unknown(code string, cause error) error {
	return &account.ProviderError{Class: account.ErrProviderUnknown, Code: code,
		Message: "The provider has not confirmed the payment yet.", Cause: cause}
}

// classify is the error for an answer to a create call that is not a payment. Only a status that says no, together with
// an error body of the bank's own, is a refusal: a gateway's 4xx page proves nothing about the bank.
func (c *Client) classify(got answered) error {
	said := errorOf(got)
	cause := fmt.Errorf("answered %d %s", got.status, said.Code)
	switch got.status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return c.retryable(got, said, cause)
	case http.StatusConflict:
		if said.Code == "in_flight" {
			return c.retryable(got, said, cause)
		}
		return unknown(said.Code, cause)
	case http.StatusUnauthorized, http.StatusForbidden:
		return unknown("provider_credentials", fmt.Errorf("the bank does not take our API key: %w", cause))
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		return unknown("provider_address", fmt.Errorf("there is no such call at the bank's address: %w", cause))
	}
	if got.status < 400 || got.status > 499 || said.Code == "" {
		return unknown("bad_answer", cause)
	}
	return &account.ProviderError{Class: account.ErrProviderRefused, Code: ourCode(said.Code),
		Message: plainText(said.Message), Cause: cause}
}

func (c *Client) retryable(got answered, said failureBody, cause error) error {
	return &account.ProviderError{Class: account.ErrProviderRetryable, Code: said.Code,
		Message: "The provider is busy.", RetryAfter: c.retryAfter(got.header), Cause: cause}
}

// lookupError is the error for an answer to a look-up or a cancelation that is not a payment. There is nothing to
// refuse in a question: it is absent, to be asked again, or unknown.
func (c *Client) lookupError(got answered) error {
	said := errorOf(got)
	if got.status == http.StatusNotFound && said.Code == "not_found" {
		return account.ErrProviderNotFound
	}
	err := c.classify(got)
	var said4xx *account.ProviderError
	if errors.As(err, &said4xx) && errors.Is(said4xx.Class, account.ErrProviderRefused) {
		return unknown(said4xx.Code, said4xx.Cause)
	}
	return err
}

// errorOf reads the bank's error body; its code is "" where the answer has none.
func errorOf(got answered) failureBody {
	var body struct {
		Error failureBody `json:"error"`
	}
	if err := json.Unmarshal(got.body, &body); err != nil || body.Error.Code == "" {
		return failureBody{}
	}
	return failureBody{Code: plainCode(body.Error.Code), Message: plainText(body.Error.Message)}
}

// ourCode is the bank's refusal code in our words.
func ourCode(code string) string {
	switch code {
	case "malformed", "too_large", "unknown_scenario":
		return "invalid"
	}
	return code
}

// maxRetryAfter bounds what a provider may make us wait.
const maxRetryAfter = time.Hour

// retryAfter reads the header in both of its forms, 0 where it is absent or makes no sense.
func (c *Client) retryAfter(header http.Header) time.Duration {
	value := header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return min(maxRetryAfter, time.Duration(seconds)*time.Second)
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(maxRetryAfter, max(0, at.Sub(c.now())))
}

// plainCode passes a snake_case code and replaces anything else.
func plainCode(code string) string {
	if code == "" || len(code) > 64 || strings.Trim(code, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
		return "failed"
	}
	return code
}

// plainText keeps the printable part of a foreign sentence, up to 200 characters: it ends in logs and pages.
func plainText(text string) string {
	kept := make([]rune, 0, 200)
	for _, r := range text {
		if len(kept) == cap(kept) {
			break
		}
		if unicode.IsPrint(r) && r != unicode.ReplacementChar {
			kept = append(kept, r)
		}
	}
	return string(kept)
}

func validCurrency(code string) bool {
	return len(code) == 3 && strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

// parseUUID takes the canonical form alone.
func parseUUID(text string) (uuid.UUID, error) {
	id, err := uuid.Parse(text)
	if err != nil || id.String() != strings.ToLower(text) {
		return uuid.Nil, errors.New("transaction_id is not a UUID")
	}
	return id, nil
}
