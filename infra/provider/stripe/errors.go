package stripe

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode"

	"github.com/stripe/stripe-go/v76"

	"florin/domain/account"
)

// codeMissing is Stripe's code for an object that is not there.
const codeMissing = "resource_missing"

// codeNoAccess is our code for a connected account that our key does not reach: it was closed, or its owner cut it off.
const codeNoAccess = "payouts_disabled"

// errStoredFailure is a failure of Stripe's own that it keeps under our key: the same key gives it for ever.
var errStoredFailure = errors.New("a failure is stored under the key")

func unknown(code string, cause error) error {
	return &account.ProviderError{Class: account.ErrProviderUnknown, Code: code,
		Message: "The provider has not confirmed the payment yet.", Cause: cause}
}

// classify sorts what a call came to. Only a status that says no, together with an error body of Stripe's own, is a refusal:
// a gateway's page proves nothing. Causes hold no text of an answer: it may be anything.
func (c *Client) classify(err error, seen *note) error {
	var said *stripe.Error
	if !errors.As(err, &said) {
		return c.unreadable(err, seen)
	}
	cause := fmt.Errorf("answered %d %s %s, request %s", seen.status, plainCode(string(said.Type)), plainCode(string(said.Code)), seen.requestID)
	switch {
	case seen.status == http.StatusTooManyRequests,
		seen.status == http.StatusConflict && (said.Code == "idempotency_key_in_use" || said.Code == stripe.ErrorCodeLockTimeout):
		return c.busy(string(said.Code), seen, cause)
	case said.Type == stripe.ErrorTypeIdempotency:
		// The key has a payment with other parameters: that is no refusal of the payment.
		return unknown("key_reused", cause)
	case seen.status == http.StatusForbidden && said.Code == stripe.ErrorCodeAccountInvalid:
		// Not our key is at fault, but the one account in whose name the call was made. Nothing was done.
		return refusal(string(said.Code), cause)
	case seen.status == http.StatusUnauthorized || seen.status == http.StatusForbidden:
		return unknown("provider_credentials", fmt.Errorf("our API key is not taken: %w", cause))
	case seen.status >= 500 && seen.replayed:
		return unknown("stored_failure", fmt.Errorf("%w: %w", errStoredFailure, cause))
	case said.Type == stripe.ErrorTypeCard:
		return &account.ProviderError{Class: account.ErrProviderRefused, Code: declineCode(string(said.Code), string(said.DeclineCode)),
			Message: orText(plainText(said.Msg), "The payment was declined."), Cause: cause}
	case said.Type == stripe.ErrorTypeInvalidRequest && seen.status >= 400 && seen.status < 500:
		return refusal(string(said.Code), cause)
	default:
		return unknown("", cause)
	}
}

// unreadable is an error without an error body of Stripe's: no answer, or one that is not Stripe's.
func (c *Client) unreadable(err error, seen *note) error {
	switch {
	case seen.status == http.StatusTooManyRequests:
		return c.busy("", seen, errors.New("answered 429"))
	case seen.status >= 500 && seen.replayed:
		return unknown("stored_failure", fmt.Errorf("%w: answered %d", errStoredFailure, seen.status))
	case seen.status != 0:
		return unknown("bad_answer", fmt.Errorf("the answer with status %d cannot be read", seen.status))
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return unknown("no_answer", context.DeadlineExceeded)
	default:
		return unknown("no_answer", err)
	}
}

func (c *Client) busy(code string, seen *note, cause error) error {
	return &account.ProviderError{Class: account.ErrProviderRetryable, Code: plainCode(code),
		Message: "The provider is busy.", RetryAfter: seen.wait(c.now()), Cause: cause}
}

// refusal is a request that Stripe did not take. Its text speaks of parameters and is for the log alone.
func refusal(code string, cause error) error {
	e := &account.ProviderError{Class: account.ErrProviderRefused, Code: "invalid", Message: "The provider does not accept the payment.", Cause: cause}
	switch code {
	case codeMissing:
		e.Code = codeMissing
	case "amount_too_small", "amount_too_large":
		e.Code, e.Message = code, "The provider does not accept payments of this size."
	case "balance_insufficient", "insufficient_funds":
		e.Code, e.Message = "provider_balance", "The payout cannot be made at present."
	case "payouts_not_allowed", "account_invalid", "insufficient_capabilities_for_transfer", "no_account":
		e.Code, e.Message = codeNoAccess, "The payout account cannot receive money at present."
	case "charge_already_refunded", "refund_disputed_payment", "charge_disputed":
		e.Code, e.Message = code, "The payment can no longer be refunded."
	}
	return e
}

// declineCode is a declined card in our words.
func declineCode(code, decline string) string {
	for _, said := range []string{decline, code} {
		switch said {
		case "insufficient_funds", "expired_card", "incorrect_cvc", "processing_error", "authentication_required":
			return said
		}
	}
	return "declined"
}

func orText(text, other string) string {
	if text == "" {
		return other
	}
	return text
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

// validID says whether s is an id as Stripe gives them: it goes into our rows, logs and URLs.
func validID(s string) bool {
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
	return s != "" && len(s) <= 255 && strings.Trim(s, allowed) == ""
}
