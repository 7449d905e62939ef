// Package email sends mails over SMTP.
package email

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/mail"
	"net/url"
	"strconv"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	domain "florin/domain/mail"
)

// Config is what a Sender is built from.
type Config struct {
	// URL is smtp://user:password@host:port, with the port 587 when it has none, or smtps:// with 465. A smtp connection is
	// turned to TLS with STARTTLS, and refused where the server does not offer that, unless the URL says
	// ?starttls=off: that is for a server on this machine, and sends the password in clear.
	URL string
	// From is the sender, as in "Florin <no-reply@example.com>".
	From string
	// Timeout bounds one mail: connecting, and the whole conversation; 20 s when 0.
	Timeout time.Duration
	// TLS is for tests, nil otherwise.
	TLS *tls.Config
}

// Sender implements mail.Sender. It is safe for concurrent use.
type Sender struct {
	server  server
	from    *mail.Address
	timeout time.Duration
	tls     *tls.Config
}

var _ domain.Sender = (*Sender)(nil)

type server struct {
	host, user, password string
	port                 int
	implicit             bool // TLS from the first byte
	clear                bool // no TLS at all
}

// New returns a sender. It connects to nobody yet. The error shows nothing of the URL but its host.
func New(c Config) (*Sender, error) {
	at, err := parse(c.URL)
	if err != nil {
		return nil, err
	}
	from, err := mail.ParseAddress(c.From)
	if err != nil {
		return nil, fmt.Errorf("%q is no sender like \"Name <name@example.com>\"", c.From)
	}
	if c.Timeout == 0 {
		c.Timeout = 20 * time.Second
	}
	return &Sender{server: at, from: from, timeout: c.Timeout, tls: c.TLS}, nil
}

func parse(text string) (server, error) {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.Path != "" && u.Path != "/" {
		return server{}, errors.New("not a URL like smtp://user:password@host:port")
	}
	at := server{host: u.Hostname(), user: u.User.Username(), port: 587}
	at.password, _ = u.User.Password()
	switch u.Scheme {
	case "smtp":
	case "smtps":
		at.implicit, at.port = true, 465
	default:
		return server{}, errors.New("the scheme is neither smtp nor smtps")
	}
	if port := u.Port(); port != "" {
		if at.port, err = strconv.Atoi(port); err != nil || at.port < 1 || at.port > 65535 {
			return server{}, fmt.Errorf("%q is no port", port)
		}
	}
	switch query := u.Query(); {
	case len(query) == 0:
	case len(query) == 1 && query.Get("starttls") == "off" && !at.implicit:
		at.clear = true
	default:
		return server{}, errors.New("the only parameter is starttls=off, of smtp")
	}
	return at, nil
}

// Send implements mail.Sender. Errors hold the server's words, never the password.
func (s *Sender) Send(ctx context.Context, m domain.Message) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	message, err := s.compose(m)
	if err != nil {
		return fmt.Errorf("compose mail: %w: %w", domain.ErrRefused, err)
	}
	client, err := gomail.NewClient(s.server.host, s.options()...)
	if err != nil {
		return fmt.Errorf("open mail client: %w", err)
	}
	if err := client.DialWithContext(ctx); err != nil {
		return fmt.Errorf("reach mail server: %w", s.clean(err))
	}
	// What the deadline leaves over would keep the conversation: the connection is cut with it.
	defer context.AfterFunc(ctx, func() { _ = client.Close() })()
	failure := client.Send(message)
	_ = client.Close() // the mail was taken or refused before; how the goodbye goes changes nothing
	if failure == nil {
		return nil
	}
	var refused *gomail.SendError
	if errors.As(failure, &refused) && refused.ErrorCode() >= 500 {
		return fmt.Errorf("%w: %w", domain.ErrRefused, s.clean(failure))
	}
	return fmt.Errorf("send mail: %w", s.clean(failure))
}

func (s *Sender) compose(m domain.Message) (*gomail.Msg, error) {
	message := gomail.NewMsg()
	message.FromMailAddress(s.from)
	if err := message.To(m.To); err != nil {
		return nil, errors.New("the address is not one")
	}
	_, domainName, _ := strings.Cut(s.from.Address, "@")
	message.SetMessageIDWithValue(m.ID + "@" + domainName)
	message.SetDateWithValue(m.At)
	// Out-of-office answers must not come back (RFC 3834).
	message.SetGenHeader("Auto-Submitted", "auto-generated")
	message.Subject(m.Subject)
	message.SetBodyString(gomail.TypeTextPlain, m.Text)
	message.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	return message, nil
}

func (s *Sender) options() []gomail.Option {
	secure := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: s.server.host}
	if s.tls != nil {
		secure = s.tls.Clone()
	}
	options := []gomail.Option{gomail.WithPort(s.server.port), gomail.WithTimeout(s.timeout), gomail.WithTLSConfig(secure),
		gomail.WithHELO("localhost"), gomail.WithoutNoop()}
	switch {
	case s.server.implicit:
		options = append(options, gomail.WithSSL())
	case s.server.clear:
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
	default:
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	}
	if s.server.user != "" {
		kind := gomail.SMTPAuthAutoDiscover
		if s.server.clear {
			kind = gomail.SMTPAuthPlainNoEnc
		}
		options = append(options, gomail.WithSMTPAuth(kind), gomail.WithUsername(s.server.user), gomail.WithPassword(s.server.password))
	}
	return options
}

// clean keeps an error's text, without the credentials should a server repeat them. It is an error that wraps nothing:
// go-mail's hold the message.
func (s *Sender) clean(err error) error {
	text := err.Error()
	for _, secret := range []string{s.server.password, s.server.user} {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "***")
		}
	}
	return errors.New(text)
}
