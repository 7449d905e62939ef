package user

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"florin/domain/errs"
	domain "florin/domain/user"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// memory is a user store, the accounts and the credentials of a test.
type memory struct {
	users     map[uuid.UUID]domain.User
	acts      []domain.Audit
	rich      bool
	confirmed []string
	forgotten []uuid.UUID
	meanwhile func()
}

func (m *memory) CreateUser(_ context.Context, u domain.User, act domain.Audit) error {
	for _, other := range m.users {
		if strings.EqualFold(other.Username(), u.Username()) {
			return errs.New(errs.Conflict, "username_taken", "taken")
		}
	}
	m.users[u.ID()] = u
	m.acts = append(m.acts, act)
	return nil
}

func (m *memory) UserByID(_ context.Context, id uuid.UUID) (domain.User, error) {
	if u, found := m.users[id]; found {
		return u, nil
	}
	return domain.User{}, errs.Missing("user")
}

func (m *memory) UserByIdentity(context.Context, string) (domain.User, error) {
	return domain.User{}, errs.Missing("user")
}

func (m *memory) ChangeUser(ctx context.Context, id uuid.UUID, change func(*domain.User) error, act domain.Audit) (domain.User, error) {
	if m.meanwhile != nil {
		m.meanwhile()
	}
	u, err := m.UserByID(ctx, id)
	if err != nil {
		return u, err
	}
	if err := change(&u); err != nil {
		return domain.User{}, err
	}
	m.users[id] = u
	m.acts = append(m.acts, act)
	return u, nil
}

func (m *memory) DeleteUser(ctx context.Context, id uuid.UUID, at time.Time, act domain.Audit) error {
	_, err := m.ChangeUser(ctx, id, func(u *domain.User) error { u.Anonymise(at); return nil }, act)
	return err
}

func (m *memory) Record(_ context.Context, act domain.Audit) error {
	m.acts = append(m.acts, act)
	return nil
}

func (m *memory) AdminExists(context.Context) (bool, error) {
	for _, u := range m.users {
		if u.Role() == domain.RoleAdmin {
			return true, nil
		}
	}
	return false, nil
}

func (m *memory) MoneyOnAccounts(context.Context, uuid.UUID) (bool, error) { return m.rich, nil }

func (m *memory) Normal(password string) string { return password }

func (m *memory) Hash(_ context.Context, password string, _ domain.Origin) (string, error) {
	return "hash of " + password, nil
}

func (m *memory) Confirm(_ context.Context, _ domain.Principal, u domain.User, password string, _ domain.Origin) error {
	m.confirmed = append(m.confirmed, u.Username())
	if u.PasswordHash() != "hash of "+password {
		return errs.New(errs.Unauthenticated, "wrong_password", "wrong")
	}
	return nil
}

func (m *memory) Forget(id uuid.UUID) { m.forgotten = append(m.forgotten, id) }

func newService(t *testing.T) (*Service, *memory) {
	t.Helper()
	m := &memory{users: map[uuid.UUID]domain.User{}}
	s, err := NewService(ServiceDeps{Users: m, Accounts: m, Credentials: m, Now: func() time.Time { return now }})
	require.NoError(t, err)
	return s, m
}

const secret = "a-long-enough-secret"

func register(t *testing.T, s *Service, name string) (domain.User, domain.Principal) {
	t.Helper()
	u, err := s.Register(context.Background(), Registration{Username: name, Email: name + "@example.com", Password: secret}, domain.Origin{Address: "192.0.2.1"})
	require.NoError(t, err)
	return u, domain.Principal{UserID: u.ID(), Role: domain.RoleUser}
}

func TestRegister(t *testing.T) {
	s, m := newService(t)
	u, _ := register(t, s, "ada")
	require.Equal(t, domain.RoleUser, u.Role())
	require.Equal(t, "hash of "+secret, u.PasswordHash())
	require.Equal(t, "user.registered", m.acts[0].Action)
	require.Equal(t, "192.0.2.1", m.acts[0].Address)
	_, err := s.Register(context.Background(), Registration{Username: "ADA", Email: "x@example.com", Password: secret}, domain.Origin{})
	require.Equal(t, "username_taken", errs.CodeOf(err))
	_, err = s.Register(context.Background(), Registration{Username: "x", Email: "x", Password: "x"}, domain.Origin{})
	require.Equal(t, "invalid_fields", errs.CodeOf(err))
	require.Len(t, m.users, 1)
}

func TestS1_OthersAreNotFound(t *testing.T) {
	s, m := newService(t)
	ctx := context.Background()
	ada, self := register(t, s, "ada")
	_, bob := register(t, s, "bob")
	name := "renamed"
	for who, caller := range map[string]domain.Principal{"other": bob, "nobody": {}} {
		_, err := s.Get(ctx, caller, ada.ID())
		require.Equal(t, errs.NotFound, errs.KindOf(err), who)
		_, err = s.Update(ctx, caller, ada.ID(), Update{Username: &name}, domain.Origin{})
		require.Equal(t, errs.NotFound, errs.KindOf(err), who)
		require.Equal(t, errs.NotFound, errs.KindOf(s.Delete(ctx, caller, ada.ID(), secret, domain.Origin{})), who)
	}
	require.Equal(t, ada, m.users[ada.ID()])
	u, err := s.Get(ctx, self, ada.ID())
	require.NoError(t, err)
	require.Equal(t, ada, u)
}

// TestS69_AnAdministratorCannotBecomeACustomer: what is left to them wants a reason, and is in the
// audit.
func TestS69_AnAdministratorCannotBecomeACustomer(t *testing.T) {
	s, m := newService(t)
	ctx := context.Background()
	ada, self := register(t, s, "ada")
	boss, _ := register(t, s, "boss")
	admin := domain.Principal{UserID: boss.ID(), Role: domain.RoleAdmin}
	email, fresh, current := "boss@example.org", "another-long-secret", secret
	for _, up := range []Update{{Email: &email}, {Password: &fresh},
		{Password: &fresh, Email: &email, CurrentPassword: &current}} {
		_, err := s.Update(ctx, admin, ada.ID(), up, domain.Origin{})
		require.Equal(t, errs.NotFound, errs.KindOf(err))
	}
	_, err := s.Get(ctx, admin, ada.ID())
	require.Equal(t, errs.NotFound, errs.KindOf(err))
	require.Equal(t, errs.NotFound, errs.KindOf(s.Delete(ctx, admin, ada.ID(), secret,
		domain.Origin{})))
	require.Equal(t, ada, m.users[ada.ID()])

	on := func(who domain.Principal, id uuid.UUID, reason string) Administration {
		return Administration{Caller: who, UserID: id, Reason: reason,
			From: domain.Origin{Address: "192.0.2.1"}}
	}
	before := len(m.acts)
	_, err = s.Inspect(ctx, on(admin, ada.ID(), " "))
	require.Equal(t, "reason_required", errs.CodeOf(err))
	_, err = s.Inspect(ctx, on(self, boss.ID(), "curious"))
	require.Equal(t, errs.NotFound, errs.KindOf(err))
	require.Len(t, m.acts, before)
	seen, err := s.Inspect(ctx, on(admin, ada.ID(), "a question by phone"))
	require.NoError(t, err)
	require.Equal(t, ada, seen)
	last := m.acts[len(m.acts)-1]
	require.Equal(t, []string{boss.ID().String(), "user.inspected", ada.ID().String(),
		"a question by phone", "192.0.2.1"},
		[]string{last.Actor, last.Action, last.Subject, last.Reason, last.Address})

	require.Equal(t, "wrong_password", errs.CodeOf(s.Erase(ctx, on(admin, ada.ID(), "asked for"),
		"wrong-password")))
	require.Equal(t, "own_admin", errs.CodeOf(s.Erase(ctx, on(admin, boss.ID(), "tired"), secret)))
	require.NoError(t, s.Erase(ctx, on(admin, ada.ID(), "asked for"), secret))
	require.True(t, m.users[ada.ID()].Deleted())
	require.Equal(t, "asked for", m.acts[len(m.acts)-1].Reason)
	_, err = s.Inspect(ctx, on(admin, ada.ID(), "again"))
	require.Equal(t, errs.NotFound, errs.KindOf(err))
}

// TestS68_EmailAndPasswordWantThePresentPassword: always, and the owner is told at every address.
func TestS68_EmailAndPasswordWantThePresentPassword(t *testing.T) {
	s, m := newService(t)
	s.tell = true
	ctx := context.Background()
	ada, self := register(t, s, "ada")
	fresh, wrong, current, email, common := "another-long-secret", "not-the-password", secret, "ada@example.org", "password123"
	for code, up := range map[string]Update{
		"password_required": {Password: &fresh},
		"wrong_password":    {Password: &fresh, CurrentPassword: &wrong},
		"weak_password":     {Password: &common, CurrentPassword: &current},
	} {
		_, err := s.Update(ctx, self, ada.ID(), up, domain.Origin{})
		require.Equal(t, code, errs.CodeOf(err))
	}
	_, err := s.Update(ctx, self, ada.ID(), Update{Email: &email}, domain.Origin{})
	require.Equal(t, "password_required", errs.CodeOf(err))
	_, err = s.Update(ctx, self, ada.ID(), Update{Email: &email, CurrentPassword: &wrong},
		domain.Origin{})
	require.Equal(t, "wrong_password", errs.CodeOf(err))
	require.Equal(t, ada, m.users[ada.ID()])

	told := func() (list []string) {
		for _, n := range m.acts[len(m.acts)-1].Notices {
			require.Equal(t, ada.ID(), n.UserID)
			list = append(list, string(n.Kind)+" "+n.Address)
		}
		return list
	}
	_, err = s.Update(ctx, self, ada.ID(), Update{Email: &email, CurrentPassword: &current},
		domain.Origin{})
	require.NoError(t, err)
	require.Equal(t, []string{"email_changed ada@example.com", "email_changed ada@example.org"},
		told())
	u, err := s.Update(ctx, self, ada.ID(), Update{Password: &fresh, CurrentPassword: &current},
		domain.Origin{})
	require.NoError(t, err)
	require.Equal(t, []string{"password_changed ada@example.org"}, told())
	require.Equal(t, int64(2), u.Generation())
	require.Contains(t, m.forgotten, ada.ID())
	require.Equal(t, "password", m.acts[len(m.acts)-1].Detail)
	mute, name := false, "ada2"
	_, err = s.Update(ctx, self, ada.ID(), Update{EmailNotifications: &mute, Username: &name,
		Email: &email}, domain.Origin{})
	require.NoError(t, err, "an address that stays is no change")
	require.Empty(t, told())

	m.meanwhile = func() { v := m.users[ada.ID()]; v.SetPassword("$other", now); m.users[ada.ID()] = v }
	_, err = s.Update(ctx, self, ada.ID(), Update{Password: &current, CurrentPassword: &fresh},
		domain.Origin{})
	require.Equal(t, "user_changed", errs.CodeOf(err), "two changes at once: one is told")
}

func TestDelete(t *testing.T) {
	s, m := newService(t)
	ctx := context.Background()
	ada, self := register(t, s, "ada")
	require.Equal(t, "wrong_password", errs.CodeOf(s.Delete(ctx, self, ada.ID(), "wrong-password", domain.Origin{})))
	m.rich = true
	require.Equal(t, "money_on_accounts", errs.CodeOf(s.Delete(ctx, self, ada.ID(), secret, domain.Origin{})))
	require.False(t, m.users[ada.ID()].Deleted())
	m.rich = false
	require.NoError(t, s.Delete(ctx, self, ada.ID(), secret, domain.Origin{}))
	require.True(t, m.users[ada.ID()].Deleted())
	require.Contains(t, m.forgotten, ada.ID())
	_, err := s.Get(ctx, self, ada.ID())
	require.Equal(t, errs.NotFound, errs.KindOf(err))
}

func TestS18_AdminIsMadeOnce(t *testing.T) {
	s, m := newService(t)
	ctx := context.Background()
	_, err := s.EnsureAdmin(ctx, "admin123")
	require.Error(t, err, "a common password is refused here too")
	made, err := s.EnsureAdmin(ctx, "")
	require.NoError(t, err)
	generated := made.Generated
	require.Equal(t, "admin", made.Username)
	require.GreaterOrEqual(t, len(generated), 22, "128 random bits")
	require.Len(t, m.users, 1)
	for _, u := range m.users {
		require.Equal(t, domain.RoleAdmin, u.Role())
		require.Equal(t, "hash of "+generated, u.PasswordHash())
	}
	again, err := s.EnsureAdmin(ctx, secret)
	require.NoError(t, err)
	require.Empty(t, again)
	require.Len(t, m.users, 1)
	other, om := newService(t)
	none, err := other.EnsureAdmin(ctx, secret)
	require.NoError(t, err)
	require.Equal(t, Bootstrap{Username: "admin"}, none, "a given password is not shown")
	require.Len(t, om.users, 1)
}

// TestS64_NoUserStandsInTheAdministratorsWay: strangers have the names already.
func TestS64_NoUserStandsInTheAdministratorsWay(t *testing.T) {
	s, m := newService(t)
	ctx := context.Background()
	for _, name := range []string{"admin", "administrator"} {
		_, err := s.Register(ctx, Registration{Username: name, Email: name + "@example.com",
			Password: secret}, domain.Origin{})
		require.Equal(t, "reserved_name", errs.CodeOf(err))
		u, err := domain.New(domain.Fresh{ID: uuid.New(), Username: name, Email: name + "@example.com",
			PasswordHash: "$h", Role: domain.RoleUser, At: now})
		require.NoError(t, err)
		m.users[u.ID()] = u
	}
	made, err := s.EnsureAdmin(ctx, secret)
	require.NoError(t, err)
	require.Contains(t, made.Username, "florin-admin-")
	admins := 0
	for _, u := range m.users {
		if u.Role() == domain.RoleAdmin {
			admins++
			require.Equal(t, made.Username, u.Username())
			require.NoError(t, domain.Check(u.Username(), u.Email()))
		}
	}
	require.Equal(t, 1, admins)
	again, err := s.EnsureAdmin(ctx, secret)
	require.NoError(t, err)
	require.Empty(t, again)
}

func TestS64_NobodyRenamesThemselvesToTheService(t *testing.T) {
	s, m := newService(t)
	ctx := context.Background()
	ada, self := register(t, s, "ada")
	name, email, current := "Adm1n", "admin@florin.invalid", secret
	_, err := s.Update(ctx, self, ada.ID(), Update{Username: &name}, domain.Origin{})
	require.Equal(t, "reserved_name", errs.CodeOf(err))
	_, err = s.Update(ctx, self, ada.ID(), Update{Email: &email, CurrentPassword: &current},
		domain.Origin{})
	require.Equal(t, "reserved_name", errs.CodeOf(err))
	require.Equal(t, ada, m.users[ada.ID()])
}
