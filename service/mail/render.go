package mail

import (
	"bytes"
	"embed"
	"fmt"
	htmltemplate "html/template"
	"regexp"
	"strings"
	texttemplate "text/template"

	"florin/domain/account"
	"florin/domain/mail"
)

//go:embed templates
var files embed.FS

var (
	textTemplates = texttemplate.Must(texttemplate.ParseFS(files, "templates/*.txt"))
	htmlTemplates = htmltemplate.Must(htmltemplate.ParseFS(files, "templates/*.html"))
)

// said is what the templates see. All texts are of one line; the HTML template escapes them.
type said struct {
	Username, Headline, Amount, Reason, Transaction, At string
}

// longNumber is what could be an account's or a card's number, also in groups, with what may stand before it.
var longNumber = regexp.MustCompile(`[A-Z]{0,2}[0-9](?:[ -]?[0-9A-Z]){6,}`)

// render makes the message. Its subject is our own words; what a person or a provider wrote is hostile until it is one
// line, without a link that a reader would make of it, and without a number of more than four digits.
func render(m mail.Mail, c mail.Content) (mail.Message, error) {
	headline, err := headlineOf(m.Kind, c.Type)
	if err != nil {
		return mail.Message{}, err
	}
	amount := c.Amount.Decimal() + " " + c.Amount.Currency().Code()
	s := said{Username: disarm(c.Username), Headline: headline, Amount: amount, Transaction: m.TransactionID.String(),
		At: c.At.UTC().Format("2 January 2006, 15:04 UTC")}
	if c.Failure != nil && m.Kind == mail.KindFailed {
		s.Reason = disarm(c.Failure.Message)
	}
	var text, html bytes.Buffer
	if err := textTemplates.ExecuteTemplate(&text, "payment.txt", s); err != nil {
		return mail.Message{}, fmt.Errorf("render mail: %w", err)
	}
	if err := htmlTemplates.ExecuteTemplate(&html, "payment.html", s); err != nil {
		return mail.Message{}, fmt.Errorf("render mail: %w", err)
	}
	return mail.Message{ID: m.EventID.String(), To: c.Address, Subject: headline + ": " + amount, Text: text.String(), HTML: html.String(),
		At: m.CreatedAt}, nil
}

func headlineOf(kind mail.Kind, operation account.Type) (string, error) {
	noun, known := map[account.Type]string{"deposit": "deposit", "withdraw": "withdrawal", "transfer": "transfer", "refund": "refund",
		"payout_return": "returned payout"}[operation]
	if !known {
		noun = "payment"
	}
	switch kind {
	case mail.KindCompleted:
		return "Your " + noun + " is completed", nil
	case mail.KindFailed:
		return "Your " + noun + " has failed", nil
	case mail.KindRefund:
		return "Your deposit was refunded", nil
	case mail.KindPayoutReturn:
		return "Your withdrawal came back", nil
	default:
		return "", fmt.Errorf("no words for a mail of the kind %q", kind)
	}
}

// disarm makes a stranger's text fit for a mail.
func disarm(text string) string {
	text = longNumber.ReplaceAllStringFunc(plain(text), func(number string) string {
		digits := strings.NewReplacer(" ", "", "-", "").Replace(number)
		return "****" + digits[max(0, len(digits)-4):]
	})
	return strings.NewReplacer("://", ": //", "www.", "www .", "@", " at ").Replace(text)
}
