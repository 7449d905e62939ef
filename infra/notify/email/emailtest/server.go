// Package emailtest is a mail server on loopback for tests: a real SMTP conversation, well-behaved or not.
package emailtest

import (
	"bufio"
	"encoding/base64"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// Behaviour is how the server treats whoever connects.
type Behaviour int

// The behaviours.
const (
	Accept Behaviour = iota
	// Silent says nothing at all.
	Silent
	// RefuseForGood answers a recipient with 550, RefuseForNow with 451.
	RefuseForGood
	RefuseForNow
	// DropAfterData takes the message and closes the connection before it says so.
	DropAfterData
)

// Server is the server. Its methods are safe for concurrent use.
type Server struct {
	listener net.Listener
	done     sync.WaitGroup

	mu        sync.Mutex
	behaviour Behaviour
	messages  []Message
	logins    []string
	open      map[net.Conn]bool
}

// Message is a mail that the server took.
type Message struct {
	From, To string // of the envelope
	Header   mail.Header
	Subject  string
	Parts    map[string]string // by media type, decoded
	Raw      string
}

// Start serves until the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &Server{listener: listener, open: map[net.Conn]bool{}}
	s.done.Go(s.accept)
	t.Cleanup(func() {
		_ = listener.Close()
		s.mu.Lock()
		for conn := range s.open {
			_ = conn.Close()
		}
		s.mu.Unlock()
		s.done.Wait()
	})
	return s
}

// URL is for SMTP_URL, with the credentials, which are taken whatever they are.
func (s *Server) URL(user, password string) string {
	return "smtp://" + user + ":" + password + "@" + s.listener.Addr().String() + "?starttls=off"
}

// Behave changes what the next connections meet.
func (s *Server) Behave(b Behaviour) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.behaviour = b
}

// Messages are the mails taken so far, in order.
func (s *Server) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Message(nil), s.messages...)
}

// Logins are the credentials that were shown, decoded.
func (s *Server) Logins() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.logins...)
}

func (s *Server) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.open[conn] = true
		behaviour := s.behaviour
		s.mu.Unlock()
		s.done.Go(func() {
			s.converse(conn, behaviour)
			_ = conn.Close()
			s.mu.Lock()
			defer s.mu.Unlock()
			delete(s.open, conn)
		})
	}
}

func (s *Server) converse(conn net.Conn, behaviour Behaviour) {
	in := bufio.NewReader(conn)
	if behaviour == Silent {
		_, _ = io.Copy(io.Discard, in)
		return
	}
	say := func(line string) { _, _ = io.WriteString(conn, line+"\r\n") }
	say("220 emailtest ESMTP")
	var m Message
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		switch verb, rest, _ := strings.Cut(line, " "); strings.ToUpper(verb) {
		case "EHLO":
			say("250-emailtest")
			say("250-AUTH PLAIN")
			say("250 8BITMIME")
		case "AUTH":
			_, shown, _ := strings.Cut(rest, " ")
			login, _ := base64.StdEncoding.DecodeString(shown)
			s.mu.Lock()
			s.logins = append(s.logins, string(login))
			s.mu.Unlock()
			say("235 welcome")
		case "MAIL":
			m = Message{From: address(rest)}
			say("250 ok")
		case "RCPT":
			m.To = address(rest)
			switch behaviour {
			case RefuseForGood:
				say("550 5.1.1 no such user " + m.To)
			case RefuseForNow:
				say("451 4.7.1 come back later")
			default:
				say("250 ok")
			}
		case "DATA":
			say("354 go on")
			if m.Raw, err = data(in); err != nil {
				return
			}
			s.keep(m)
			if behaviour == DropAfterData {
				return
			}
			say("250 taken")
		case "QUIT":
			say("221 bye")
			return
		default: // RSET, NOOP
			say("250 ok")
		}
	}
}

func (s *Server) keep(m Message) {
	if parsed, err := mail.ReadMessage(strings.NewReader(m.Raw)); err == nil {
		m.Header = parsed.Header
		m.Subject, _ = new(mime.WordDecoder).DecodeHeader(parsed.Header.Get("Subject"))
		m.Parts = parts(parsed)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = append(s.messages, m)
}

func parts(m *mail.Message) map[string]string {
	found := map[string]string{}
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		return found
	}
	reader := multipart.NewReader(m.Body, params["boundary"])
	for {
		part, err := reader.NextRawPart()
		if err != nil {
			return found
		}
		kind, _, _ := mime.ParseMediaType(part.Header.Get("Content-Type"))
		var body io.Reader = part
		if strings.EqualFold(part.Header.Get("Content-Transfer-Encoding"), "quoted-printable") {
			body = quotedprintable.NewReader(part)
		}
		text, _ := io.ReadAll(body)
		found[kind] = string(text)
	}
}

// data reads a message up to the line with a dot alone, and takes the doubled dots back.
func data(in *bufio.Reader) (string, error) {
	var text strings.Builder
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return "", err
		}
		if line == ".\r\n" {
			return text.String(), nil
		}
		text.WriteString(strings.TrimPrefix(line, "."))
	}
}

func address(argument string) string {
	_, after, _ := strings.Cut(argument, "<")
	found, _, _ := strings.Cut(after, ">")
	return found
}
