package account

import (
	"context"
	"errors"
	"strings"
	"unicode"

	"github.com/google/uuid"

	"florin/domain/account"
	"florin/domain/currency"
	"florin/domain/errs"
	"florin/domain/fx"
	"florin/domain/money"
)

const (
	maxMetadataKeys  = 50
	maxMetadataKey   = 40
	maxMetadataValue = 500
)

// errDryRun takes a finished dry run's unit of work back.
var errDryRun = errors.New("dry run")

func (s *Service) readAmount(c Call) (money.Money, error) {
	cur, err := currency.Parse(c.Currency)
	if err != nil {
		return money.Money{}, inField("currency", err)
	}
	amount, err := money.Parse(c.Amount, cur)
	if err != nil {
		return money.Money{}, inField("amount", err)
	}
	if !amount.IsPositive() {
		return money.Money{}, errs.InField("amount", "invalid_amount", "The amount must be positive.")
	}
	limit, err := limitIn(s.limits.Amount, cur)
	if err != nil {
		return money.Money{}, err
	}
	if amount.Minor() > limit.Minor() {
		return money.Money{}, errs.InField("amount", "amount_out_of_range", "The amount is above the limit of "+limit.Decimal()+" "+cur.Code()+".")
	}
	return amount, nil
}

// limitIn reads a limit given in major units, without the decimals that the currency does not have.
func limitIn(text string, c currency.Currency) (money.Money, error) {
	whole, decimals, _ := strings.Cut(text, ".")
	if len(decimals) > c.Digits() {
		decimals = decimals[:c.Digits()]
	}
	if decimals != "" {
		whole += "." + decimals
	}
	return money.Parse(whole, c)
}

// inField says of a refusal which field of the request it is about.
func inField(field string, err error) error {
	var e *errs.Error
	if !errors.As(err, &e) {
		return err
	}
	named := *e
	named.Fields = []errs.Field{{Name: field, Code: e.Code, Message: e.Message}}
	return &named
}

func checkMetadata(m map[string]string) error {
	if len(m) > maxMetadataKeys {
		return errs.InField("metadata", "too_many", "Metadata has more than 50 members.")
	}
	for k, v := range m {
		if k == "" || len(k) > maxMetadataKey || len(v) > maxMetadataValue {
			return errs.InField("metadata", "too_long", "A metadata key has 1 to 40 bytes, a value at most 500.")
		}
		if hasControl(k) || hasControl(v) {
			return errs.InField("metadata", "invalid_text", "Metadata holds control characters.")
		}
	}
	return nil
}

func checkText(field, text string, limit int) error {
	if len(text) > limit {
		return errs.InField(field, "too_long", "The text is too long.")
	}
	if hasControl(text) {
		return errs.InField(field, "invalid_text", "The text holds control characters.")
	}
	return nil
}

func hasControl(s string) bool { return strings.ContainsFunc(s, unicode.IsControl) }

// pair is two currencies that a rate is wanted for.
type pair struct{ from, to currency.Currency }

// quotes are the quotes that a request has got so far.
type quotes map[pair]fx.Quote

// quoteMissing takes a unit of work back because it turned out to need a quote: nothing is asked of a source of rates
// while a transaction is open.
type quoteMissing struct{ pair }

func (quoteMissing) Error() string { return "a quote is needed" }

// convert prices an amount in another currency by the quote at hand; quoteMissing where there is none.
func (q quotes) convert(amount money.Money, to currency.Currency, rounding fx.Rounding) (money.Money, *fx.Conversion, error) {
	if amount.Currency() == to {
		return amount, nil, nil
	}
	p := pair{amount.Currency(), to}
	quote, ok := q[p]
	if !ok {
		return money.Money{}, nil, quoteMissing{p}
	}
	c, err := quote.Convert(amount, rounding)
	if err != nil {
		return money.Money{}, nil, inField("amount", err)
	}
	return c.Converted(), &c, nil
}

// withQuotes runs try, fetching between two runs the quote that the first one found missing.
func (s *Service) withQuotes(ctx context.Context, try func(quotes) error) error {
	var q quotes
	for {
		err := try(q)
		var missing quoteMissing
		if !errors.As(err, &missing) {
			return err
		}
		quote, err := s.quote(ctx, missing.pair)
		if err != nil {
			return err
		}
		if q == nil {
			q = quotes{}
		}
		q[missing.pair] = quote
	}
}

func (s *Service) quote(ctx context.Context, p pair) (fx.Quote, error) {
	rate, err := s.rates.Rate(ctx, p.from, p.to)
	if err != nil {
		return fx.Quote{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return fx.Quote{}, err
	}
	return fx.NewQuote(id, rate, s.now(), s.limits.QuoteTTL)
}

func balanceOf(a *account.Account) Balance {
	return Balance{AccountID: a.ID, Posted: a.Posted(), Held: a.Held(), Available: a.Available()}
}
