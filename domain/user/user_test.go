package user

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"florin/domain/errs"
)

func TestNamesAreChecked(t *testing.T) {
	for _, c := range []struct {
		username, email string
		faults          []string
	}{
		{"ada", "ada@example.com", nil},
		{"A.d-a_9", "a+b@sub.example.co", nil},
		{strings.Repeat("a", 32), strings.Repeat("a", 64) + "@example.com", nil},
		{"ab", "ada@example.com", []string{"username"}},
		{strings.Repeat("a", 33), "ada@example.com", []string{"username"}},
		{"ada lovelace", "ada@example.com", []string{"username"}},
		{"ada@example.com", "ada@example.com", []string{"username"}},
		{"adä", "ada@example.com", []string{"username"}},
		{"ada\n", "ada@example.com", []string{"username"}},
		{"ada", "", []string{"email"}},
		{"ada", "ada", []string{"email"}},
		{"ada", "ada@localhost", []string{"email"}},
		{"ada", "a@b@example.com", []string{"email"}},
		{"ada", "ada@-example.com", []string{"email"}},
		{"ada", "ada..l@example.com", []string{"email"}},
		{"ada", "ada@example.com\r\nBcc: x@example.com", []string{"email"}},
		{"ada", strings.Repeat("a", 65) + "@example.com", []string{"email"}},
		{"ada", "ada@" + strings.Repeat("a.", 130) + "com", []string{"email"}},
		{"", "", []string{"username", "email"}},
	} {
		requireFaults(t, c.faults, Check(c.username, c.email), c.username+" "+c.email)
	}
}

func requireFaults(t *testing.T, names []string, err error, why string) {
	t.Helper()
	if names == nil {
		require.NoError(t, err, why)
		return
	}
	var refused *errs.Error
	require.True(t, errors.As(err, &refused), why)
	require.Equal(t, errs.Refused, refused.Kind)
	var got []string
	for _, field := range refused.Fields {
		got = append(got, field.Name)
	}
	require.Equal(t, names, got, why)
}

func TestS64_NamesOfTheServiceAreReserved(t *testing.T) {
	for _, name := range []string{"admin", "ADMIN", "Administrator", "adm1n", "a-d-m-i-n", "admin_",
		"adrnin", "r00t", "system", "Support",
		"5upport", "flor1n", "F.l.o.r.i.n", "security", "he1p", "billing", "bi11ing", "postmaster", "no-reply"} {
		requireFaults(t, []string{"username"}, CheckNew(name, "ada@example.com", "a-long-enough-secret"),
			name)
	}
	for _, email := range []string{"admin@florin.invalid", "ADMIN@Florin.INVALID",
		"x@mail.florin.invalid", "deleted-1@deleted.invalid"} {
		requireFaults(t, []string{"email"}, CheckNew("ada", email, "a-long-enough-secret"), email)
	}
	for _, name := range []string{"ada", "adams", "helper", "rooted", "minister", "florian", "systema",
		"user1-abc", "info42"} {
		require.NoError(t, CheckNew(name, name+"@florin.example", "a-long-enough-secret"), name)
	}
	require.NoError(t, CheckReserved("", ""))
}

func TestS17_WeakPasswordsAreRefused(t *testing.T) {
	require.Greater(t, len(commonPasswords), 1500)
	for _, password := range []string{"", "1234567", "password", "PASSWORD", "Password1", "12345678", "qwertyuiop", "iloveyou",
		"password123", "trustno1", strings.Repeat("é", 129), strings.Repeat("x", 20), "ada-lovelace", "ada@example.com", "valid\xffbytes"} {
		require.NotEmpty(t, CheckPassword(password, "Ada-Lovelace", "Ada@example.com"), password)
	}
	for _, password := range []string{"a-long-enough-secret", strings.Repeat("é", 127) + "x", strings.Repeat("word ", 16), "Tr0ub4dor&3"} {
		require.Empty(t, CheckPassword(password, "ada", "ada@example.com"), password)
	}
}

func TestUserLife(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.FixedZone("x", 3600))
	_, err := New(Fresh{ID: uuid.New(), Username: "ada", Email: "ada@example.com", Role: RoleUser, At: at})
	require.Error(t, err, "no hash")
	u, err := New(Fresh{ID: uuid.New(), Username: "ada", Email: "ada@example.com", PasswordHash: "$h", Role: RoleUser, At: at})
	require.NoError(t, err)
	require.Equal(t, time.Date(2026, 3, 1, 11, 0, 0, 123456000, time.UTC), u.CreatedAt())
	require.Equal(t, u, Load(u.State()))

	require.Error(t, u.Rename("a", "", at))
	require.Equal(t, "ada", u.Username(), "a refused change changes nothing")
	require.NoError(t, u.Rename("", "new@example.com", at))
	require.Equal(t, []string{"ada", "new@example.com"}, []string{u.Username(), u.Email()})
	require.Equal(t, int64(1), u.Generation())
	u.SetPassword("$n", at)
	require.Equal(t, int64(2), u.Generation())
	u.Anonymise(at)
	require.True(t, u.Deleted())
	require.Equal(t, int64(3), u.Generation())
	require.NotContains(t, u.Username()+u.Email()+u.PasswordHash(), "ada@")
	require.NotContains(t, u.Email(), "example")
}
