package email_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/domain/mail"
	"florin/infra/notify/email"
	"florin/infra/notify/email/emailtest"
)

var message = mail.Message{ID: "0198c0de-0000-7000-8000-000000000001", To: "ada@example.com", Subject: "Your deposit is completed: 5.00 €",
	Text: "Hello,\r\n.\r\nthat was a dot.", HTML: "<p>Hello</p>", At: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}

func sender(t *testing.T, url string, timeout time.Duration) *email.Sender {
	t.Helper()
	s, err := email.New(email.Config{URL: url, From: "Florin <no-reply@florin.example>", Timeout: timeout})
	require.NoError(t, err)
	return s
}

func TestMailGoesOutWhole(t *testing.T) {
	server := emailtest.Start(t)
	s := sender(t, server.URL("robot", "hunter2-canary"), 10*time.Second)
	require.NoError(t, s.Send(t.Context(), message))
	require.NoError(t, s.Send(t.Context(), message))
	taken := server.Messages()
	require.Len(t, taken, 2)
	for _, m := range taken {
		assert.Equal(t, "ada@example.com", m.To)
		assert.Equal(t, "no-reply@florin.example", m.From)
		assert.Equal(t, "<0198c0de-0000-7000-8000-000000000001@florin.example>", m.Header.Get("Message-Id"), "the same for a repeat")
		assert.Equal(t, "auto-generated", m.Header.Get("Auto-Submitted"))
		assert.Equal(t, message.Subject, m.Subject)
		assert.Equal(t, message.Text, m.Parts["text/plain"])
		assert.Equal(t, message.HTML, m.Parts["text/html"])
	}
	assert.Equal(t, "\x00robot\x00hunter2-canary", server.Logins()[0])
}

// TestF118_MailServersThatMisbehave: each answer is an error of its class, in bounded time, and tells no credential.
func TestF118_MailServersThatMisbehave(t *testing.T) {
	for name, c := range map[string]struct {
		behaviour emailtest.Behaviour
		refused   bool
		taken     int
	}{
		"refuses for good": {emailtest.RefuseForGood, true, 0},
		"refuses for now":  {emailtest.RefuseForNow, false, 0},
		"says nothing":     {emailtest.Silent, false, 0},
		"drops after DATA": {emailtest.DropAfterData, false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := emailtest.Start(t)
			server.Behave(c.behaviour)
			began := time.Now()
			err := sender(t, server.URL("robot", "hunter2-canary"), time.Second).Send(t.Context(), message)
			require.Error(t, err)
			assert.Less(t, time.Since(began), 8*time.Second)
			assert.NotContains(t, err.Error(), "hunter2")
			if c.refused {
				assert.ErrorIs(t, err, mail.ErrRefused)
			} else {
				assert.NotErrorIs(t, err, mail.ErrRefused)
			}
			assert.Len(t, server.Messages(), c.taken)
		})
	}
	err := sender(t, "smtp://robot:hunter2-canary@127.0.0.1:1?starttls=off", time.Second).Send(t.Context(), message)
	require.Error(t, err)
	assert.NotContains(t, err.Error(), "hunter2")
	assert.NotErrorIs(t, err, mail.ErrRefused)
}

// TestPasswordGoesToNoServerWithoutTLS: the server offers no STARTTLS, and the URL does not say that this is fine.
func TestPasswordGoesToNoServerWithoutTLS(t *testing.T) {
	server := emailtest.Start(t)
	url := server.URL("robot", "hunter2-canary")
	err := sender(t, url[:len(url)-len("?starttls=off")], time.Second).Send(t.Context(), message)
	require.Error(t, err)
	assert.Empty(t, server.Logins())
	assert.Empty(t, server.Messages())
}

func TestS50_HeadersCannotBeInjected(t *testing.T) {
	server := emailtest.Start(t)
	s := sender(t, server.URL("robot", "pw"), 10*time.Second)
	evil := message
	evil.Subject = "Hello\r\nBcc: eve@example.com\r\n\r\nbody"
	_ = s.Send(t.Context(), evil)
	evil = message
	evil.To = "ada@example.com>\r\nRCPT TO:<eve@example.com"
	assert.ErrorIs(t, s.Send(t.Context(), evil), mail.ErrRefused)
	for _, m := range server.Messages() {
		assert.Equal(t, "ada@example.com", m.To)
		assert.Empty(t, m.Header.Get("Bcc"))
	}
}

func TestURLsAreChecked(t *testing.T) {
	for _, url := range []string{"", "smtp://", "http://h", "localhost:25", "smtp://h:0", "smtp://h/path", "smtp://h?starttls=no", "smtps://h?starttls=off",
		"smtp://user:hunter2%zz@h"} {
		_, err := email.New(email.Config{URL: url, From: "a@example.com"})
		require.Error(t, err, url)
		assert.NotContains(t, err.Error(), "hunter2")
	}
	_, err := email.New(email.Config{URL: "smtps://user:pw@h", From: "nobody"})
	require.Error(t, err)
	_, err = email.New(email.Config{URL: "smtps://user:pw@h:4650", From: "Name <a@example.com>"})
	require.NoError(t, err)
}
