package auth

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"florin/domain/errs"
	"florin/domain/user"
)

const (
	secretA = "k3Jd8sLq0ZxV7bNm2RtY5uIoP9aWeFgH"
	secretB = "Zp4Qw8Er1Ty6Ui3Op0As7Df2Gh9Jk5Lx"
	goodPW  = "a-long-enough-secret"
)

// memory is a user and session store as far as auth needs one.
type memory struct {
	mu       sync.Mutex
	users    map[uuid.UUID]user.User
	tokens   map[string]*stored
	acts     []user.Audit
	standing int
	down     error
}

type stored struct {
	user.RefreshToken
	used    time.Time
	revoked bool
}

func (m *memory) UserByIdentity(_ context.Context, identity string) (user.User, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, u := range m.users {
		if u.Username() == identity || u.Email() == identity {
			return u, nil
		}
	}
	return user.User{}, errs.Missing("user")
}

func (m *memory) StartSession(_ context.Context, _ user.User, t user.RefreshToken, act user.Audit) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tokens[t.Hash] = &stored{RefreshToken: t}
	m.acts = append(m.acts, act)
	return nil
}

func (m *memory) RotateSession(_ context.Context, hash string, next user.RefreshToken, nexts []string, act user.Audit) (user.User, user.RefreshToken, user.Rotation, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	shown, found := m.tokens[hash]
	if !found || shown.revoked || !shown.ExpiresAt.After(next.CreatedAt) {
		return user.User{}, next, user.RotationRefused, nil
	}
	next.Family, next.UserID, next.ExpiresAt = shown.Family, shown.UserID, shown.ExpiresAt
	if shown.Used && next.CreatedAt.Sub(shown.used) <= user.RepeatGrace {
		for _, hash := range nexts {
			if t, found := m.tokens[hash]; found {
				return m.users[shown.UserID], t.RefreshToken, user.RotationRepeated, nil
			}
		}
		return user.User{}, next, user.RotationRefused, nil
	}
	if shown.Used {
		m.revoke(shown.Family)
		m.acts = append(m.acts, act)
		return m.users[shown.UserID], next, user.RotationReused, nil
	}
	shown.Used, shown.used = true, next.CreatedAt
	m.tokens[next.Hash] = &stored{RefreshToken: next}
	return m.users[shown.UserID], next, user.RotationDone, nil
}

func (m *memory) revoke(family uuid.UUID) {
	for _, t := range m.tokens {
		if t.Family == family {
			t.revoked = true
		}
	}
}

func (m *memory) EndSession(_ context.Context, family uuid.UUID, act user.Audit) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.revoke(family)
	m.acts = append(m.acts, act)
	return nil
}

func (m *memory) EndSessionOf(ctx context.Context, _, family uuid.UUID, act user.Audit) error {
	return m.EndSession(ctx, family, act)
}

func (m *memory) EndOtherSessions(context.Context, uuid.UUID, uuid.UUID, user.Audit) error {
	return nil
}

func (m *memory) Sessions(context.Context, uuid.UUID, time.Time) ([]user.Session, error) {
	return nil, nil
}

func (m *memory) SessionByHash(_ context.Context, hash string) (uuid.UUID, uuid.UUID, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if t, found := m.tokens[hash]; found {
		return t.Family, t.UserID, nil
	}
	return uuid.Nil, uuid.Nil, errs.Missing("session")
}

func (m *memory) Standing(_ context.Context, userID, family uuid.UUID) (user.Standing, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.standing++
	if m.down != nil {
		return user.Standing{}, m.down
	}
	u, found := m.users[userID]
	open := false
	for _, t := range m.tokens {
		open = open || t.Family == family && t.UserID == userID && !t.revoked
	}
	return user.Standing{Role: u.Role(), Generation: u.Generation(), Open: open && found && !u.Deleted()}, nil
}

func (m *memory) Record(_ context.Context, act user.Audit) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.acts = append(m.acts, act)
	return nil
}

func (m *memory) change(id uuid.UUID, change func(*user.User)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	u := m.users[id]
	change(&u)
	m.users[id] = u
}

// clock stands still until a test moves it.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

type bench struct {
	*Service
	store *memory
	clock *clock
	ada   user.User
}

// newBench hashes cheaply; newBenchAt at a cost.
func newBench(t *testing.T) *bench { return newBenchAt(t, Cost{MemoryKiB: 8, Passes: 1}) }

func newBenchAt(t *testing.T, cost Cost) *bench {
	t.Helper()
	b := &bench{store: &memory{users: map[uuid.UUID]user.User{}, tokens: map[string]*stored{}},
		clock: &clock{at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}}
	service, err := NewService(ServiceDeps{Users: b.store, Sessions: b.store,
		Secrets: []string{secretA}, Now: b.clock.now,
		Passwords: NewPasswords(cost, 2, 0)})
	require.NoError(t, err)
	b.Service = service
	hash, err := service.Hash(context.Background(), goodPW, user.Origin{})
	require.NoError(t, err)
	b.ada, err = user.New(user.Fresh{ID: uuid.Must(uuid.NewV7()), Username: "ada", Email: "ada@example.com", PasswordHash: hash, Role: user.RoleUser, At: b.clock.now()})
	require.NoError(t, err)
	b.store.users[b.ada.ID()] = b.ada
	return b
}

func (b *bench) login(t *testing.T) Tokens {
	t.Helper()
	tokens, err := b.Login(context.Background(), "ada", goodPW, user.Origin{Address: "192.0.2.7"})
	require.NoError(t, err)
	return tokens
}
