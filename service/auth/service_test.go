package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"florin/domain/errs"
	"florin/domain/user"
)

func TestLoginByUsernameOrEmail(t *testing.T) {
	b := newBench(t)
	for _, identity := range []string{"ada", " ADA ", "Ada@Example.com"} {
		tokens, err := b.Login(context.Background(), identity, goodPW, user.Origin{Address: "192.0.2.1", Request: "r1"})
		require.NoError(t, err)
		principal, err := b.Verify(context.Background(), tokens.Access)
		require.NoError(t, err)
		require.Equal(t, b.ada.ID(), principal.UserID)
	}
	last := b.store.acts[len(b.store.acts)-1]
	require.Equal(t, "login.succeeded", last.Action)
	require.Equal(t, "192.0.2.1", last.Address)
}

func TestS11_EndedTokensAreRefusedWithinFiveSeconds(t *testing.T) {
	b := newBench(t)
	ctx := context.Background()
	tokens := b.login(t)
	other := b.login(t)
	verify := func(token string) error { _, err := b.Verify(ctx, token); return err }
	require.NoError(t, verify(tokens.Access))
	asked := b.store.standing
	for range 100 {
		require.NoError(t, verify(tokens.Access))
	}
	require.Equal(t, asked, b.store.standing, "a verified token is believed for a while")

	principal, err := b.Verify(ctx, tokens.Access)
	require.NoError(t, err)
	require.NoError(t, b.Logout(ctx, principal, user.Origin{}))
	b.requireRefused(t, tokens.Access, "logged out here: at once")
	require.NoError(t, verify(other.Access), "the other session goes on")

	b.store.change(b.ada.ID(), func(u *user.User) { u.SetPassword("$new", b.clock.now()) })
	require.NoError(t, verify(other.Access), "another server changed the password: this one has it cached")
	b.clock.pass(5 * time.Second)
	b.requireRefused(t, other.Access, "5 s later it is refused")
}

func TestS11_LogoutRacingAVerification(t *testing.T) {
	c := newCache()
	now := time.Unix(1_700_000_000, 0).UTC()
	p := user.Principal{ExpiresAt: now.Add(time.Hour)}
	_, epoch, found := c.get([32]byte{1}, now)
	require.False(t, found)
	c.forget(p.UserID, p.SessionID)
	c.put([32]byte{1}, p, epoch, now)
	_, _, found = c.get([32]byte{1}, now)
	require.False(t, found, "what was verified before the logout is not remembered after it")
}

func TestS12_RefreshRotates(t *testing.T) {
	b := newBench(t)
	ctx := context.Background()
	first := b.login(t)
	second, err := b.Refresh(ctx, first.Refresh, user.Origin{})
	require.NoError(t, err)
	require.NotEqual(t, first.Refresh, second.Refresh)
	_, err = b.Verify(ctx, second.Access)
	require.NoError(t, err)
	require.NotContains(t, fmt.Sprint(b.store.tokens), strings.TrimPrefix(second.Refresh, refreshPrefix), "only the hash is stored")

	b.clock.pass(user.RepeatGrace + time.Second)
	_, err = b.Refresh(ctx, first.Refresh, user.Origin{})
	require.Equal(t, "invalid_refresh_token", errs.CodeOf(err))
	b.requireRefused(t, second.Access, "reuse ended the family")
	_, err = b.Refresh(ctx, second.Refresh, user.Origin{})
	require.Equal(t, "invalid_refresh_token", errs.CodeOf(err))
	_, err = b.Refresh(ctx, second.Access, user.Origin{})
	require.Equal(t, "invalid_refresh_token", errs.CodeOf(err), "an access token is no refresh token")
}

// TestS67_TwoRefreshesAtOnce: a second tab, another server, a client that lost the answer.
func TestS67_TwoRefreshesAtOnce(t *testing.T) {
	b := newBench(t)
	ctx := context.Background()
	elsewhere, err := NewService(ServiceDeps{Users: b.store, Sessions: b.store,
		Secrets: []string{secretB, secretA}, Now: b.clock.now, Passwords: b.passwords})
	require.NoError(t, err)
	first := b.login(t)
	second, err := b.Refresh(ctx, first.Refresh, user.Origin{})
	require.NoError(t, err)
	b.clock.pass(9 * time.Second)
	for _, server := range []*Service{b.Service, elsewhere} { // its first secret is another already
		again, err := server.Refresh(ctx, first.Refresh, user.Origin{})
		require.NoError(t, err)
		require.Equal(t, second.Refresh, again.Refresh, "the same, so that reuse still tells")
		_, err = elsewhere.Verify(ctx, again.Access)
		require.NoError(t, err)
	}
	third, err := b.Refresh(ctx, second.Refresh, user.Origin{})
	require.NoError(t, err)
	b.clock.pass(time.Second)
	late, err := b.Refresh(ctx, first.Refresh, user.Origin{})
	require.NoError(t, err)
	require.Equal(t, third.Refresh, late.Refresh,
		"what it was exchanged for is used already: the newest")

	b.clock.pass(2 * time.Second)
	_, err = b.Refresh(ctx, first.Refresh, user.Origin{})
	require.Equal(t, "invalid_refresh_token", errs.CodeOf(err))
	b.requireRefused(t, third.Access, "12 s later it ends the session")
	_, err = b.Refresh(ctx, third.Refresh, user.Origin{})
	require.Equal(t, "invalid_refresh_token", errs.CodeOf(err))
}

func TestS67_AFreshTokenIsGoodOnAServerWhoseClockIsBehind(t *testing.T) {
	b := newBench(t)
	tokens := b.login(t)
	behind, err := NewService(ServiceDeps{Users: b.store, Sessions: b.store,
		Secrets: []string{secretA}, Passwords: b.passwords,
		Now: func() time.Time { return b.clock.now().Add(-10 * time.Second) }})
	require.NoError(t, err)
	_, err = behind.Verify(context.Background(), tokens.Access)
	require.NoError(t, err)
}

// TestS73_SessionsEnd: 30 days after the login, however often it is refreshed.
func TestS73_SessionsEnd(t *testing.T) {
	b := newBench(t)
	ctx := context.Background()
	tokens := b.login(t)
	for range 29 {
		b.clock.pass(24 * time.Hour)
		var err error
		tokens, err = b.Refresh(ctx, tokens.Refresh, user.Origin{})
		require.NoError(t, err)
	}
	b.clock.pass(24*time.Hour - time.Minute)
	last, err := b.Refresh(ctx, tokens.Refresh, user.Origin{})
	require.NoError(t, err)
	require.Equal(t, time.Minute, last.ExpiresIn)
	p, err := b.Verify(ctx, last.Access)
	require.NoError(t, err)
	require.LessOrEqual(t, p.ExpiresAt.Sub(b.clock.now()), time.Minute, "streams end with it")
	b.clock.pass(time.Minute)
	b.requireRefused(t, last.Access, "the session is over")
	_, err = b.Refresh(ctx, last.Refresh, user.Origin{})
	require.Equal(t, "invalid_refresh_token", errs.CodeOf(err))
}

func TestLogoutByRefreshToken(t *testing.T) {
	b := newBench(t)
	ctx := context.Background()
	tokens := b.login(t)
	require.NoError(t, b.LogoutByRefresh(ctx, "frt_unknown", user.Origin{}))
	require.NoError(t, b.LogoutByRefresh(ctx, tokens.Refresh, user.Origin{}))
	b.requireRefused(t, tokens.Access, "its session ended")
}

func TestVerifyPassesOutagesOn(t *testing.T) {
	b := newBench(t)
	token := b.login(t).Access
	b.store.down = errs.New(errs.Unavailable, "database_unavailable", "away")
	_, err := b.Verify(context.Background(), token)
	require.Equal(t, errs.Unavailable, errs.KindOf(err), "an outage is not a bad token")
}

func TestS14_UnknownUserIsLikeAWrongPassword(t *testing.T) {
	b := newBenchAt(t, StandardCost)
	ctx := context.Background()
	wall := time.Now // how long something takes, a clock of the test's cannot say
	var medians [2]time.Duration
	var texts [2]string
	for i, identity := range []string{"ada", "nobody"} {
		var took []time.Duration
		for n := range 9 {
			began := wall()
			_, err := b.Login(ctx, identity, "wrong-password", user.Origin{Address: fmt.Sprintf("198.51.100.%d", n)})
			took = append(took, wall().Sub(began))
			var known *errs.Error
			require.True(t, errors.As(err, &known))
			require.Equal(t, "invalid_credentials", known.Code)
			texts[i] = known.Message
		}
		slices.Sort(took)
		medians[i] = took[len(took)/2]
	}
	require.Equal(t, texts[0], texts[1])
	// Without the dummy hash an unknown user is answered a thousand times faster; a busy machine is never so unfair.
	require.Less(t, medians[0], 4*medians[1])
	require.Less(t, medians[1], 4*medians[0])
	for _, act := range b.store.acts {
		require.NotContains(t, act.Subject, "nobody", "what a stranger typed is not kept")
	}
}

func TestS16_FailuresAreSlowedDown(t *testing.T) {
	b := newBench(t)
	ctx := context.Background()
	owner := user.Origin{Address: "192.0.2.7"}
	b.login(t) // the owner's network is known from now on
	attacker := user.Origin{Address: "203.0.113.1"}
	for range freeFailures {
		_, err := b.Login(ctx, "ada", "wrong-password", attacker)
		require.Equal(t, errs.Unauthenticated, errs.KindOf(err))
	}
	var known *errs.Error
	_, err := b.Login(ctx, "ada", "wrong-password", attacker)
	require.True(t, errors.As(err, &known))
	require.Equal(t, errs.Limited, known.Kind)
	require.Equal(t, time.Second, known.RetryAfter)

	b.clock.pass(time.Second)
	_, err = b.Login(ctx, "ada", "wrong-password", attacker)
	require.Equal(t, errs.Unauthenticated, errs.KindOf(err), "the delay is over")
	_, err = b.Login(ctx, "ada@example.com", goodPW, attacker)
	require.True(t, errors.As(err, &known))
	require.Equal(t, 2*time.Second, known.RetryAfter, "it grows, and the email is the same account")

	for n := range accountFailures {
		_, _ = b.Login(ctx, "ada", "wrong-password",
			user.Origin{Address: fmt.Sprintf("198.51.100.%d", n)})
	}
	_, err = b.Login(ctx, "ada", goodPW, user.Origin{Address: "198.51.100.200"})
	require.Equal(t, errs.Limited, errs.KindOf(err),
		"of very many networks, each is refused that was not seen before")
	_, err = b.Login(ctx, "ada", goodPW, owner)
	require.NoError(t, err, "the owner's network is not kept out")
}

func TestS16_OneAddressManyAccounts(t *testing.T) {
	guesses, now := newThrottle(), time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	at := func(account, address string) guess {
		return guess{account: account,
			network: network(address)}
	}
	for n := range networkFailures {
		g := at(fmt.Sprint("user", n), "2001:db8::1")
		require.NoError(t, guesses.begin(g, now))
		guesses.end(g, wrong, now)
	}
	require.Equal(t, errs.Limited, errs.KindOf(guesses.begin(at("fresh", "2001:db8::ffff"), now)),
		"the same /64")
	require.NoError(t, guesses.begin(at("fresh", "2001:db8:1::1"), now))
	require.NoError(t, guesses.begin(at("fresh", "2001:db8::1"), now.Add(networkPause)))
}

func TestS16_DelayIsBoundedAndForgotten(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	entry := &tries{}
	for range 1000 {
		entry.fail(now)
	}
	require.Equal(t, maxDelay, entry.wait(now))
	require.Zero(t, entry.wait(now.Add(forgetAfter+1)))
	guesses := newThrottle()
	for n := range 3 * maxTracked {
		g := guess{account: fmt.Sprint(n), network: fmt.Sprint(n)}
		require.NoError(t, guesses.begin(g, now))
		guesses.end(g, []outcome{wrong, correct}[n%2], now)
	}
	require.LessOrEqual(t, len(guesses.accounts), maxTracked)
	require.LessOrEqual(t, len(guesses.networks), maxTracked)
	require.LessOrEqual(t, len(guesses.parties), maxTracked)
	require.LessOrEqual(t, len(guesses.known), maxTracked)
}

func TestS17_PasswordsAreHashedWithArgon2id(t *testing.T) {
	passwords := NewPasswords(StandardCost, 1, time.Second)
	ctx := context.Background()
	hash, err := passwords.Hash(ctx, goodPW, "")
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$"), hash)
	again, err := passwords.Hash(ctx, goodPW, "")
	require.NoError(t, err)
	require.NotEqual(t, hash, again, "each has its salt")
	long := strings.Repeat("é", user.MaxPassword)
	longHash, err := passwords.Hash(ctx, long, "")
	require.NoError(t, err)
	for _, c := range []struct {
		hash, password string
		right          bool
	}{{hash, goodPW, true}, {hash, goodPW + " ", false}, {hash, "", false}, {longHash, long, true}, {longHash, long + "x", false},
		{longHash, strings.TrimSuffix(long, "é"), false}, {"", goodPW, false}, {"!", "", false}, {passwords.dummy, "", false}} {
		right, err := passwords.verify(ctx, guess{}, c.hash, c.password)
		require.NoError(t, err)
		require.Equal(t, c.right, right)
	}
}

func TestS17_HashesWaitABoundedTime(t *testing.T) {
	passwords := NewPasswords(StandardCost, 2, time.Millisecond)
	for range 2 {
		leave, err := passwords.logins.enter(context.Background(), "")
		require.NoError(t, err)
		defer leave()
	}
	_, err := passwords.verify(context.Background(), guess{}, "", goodPW)
	require.Equal(t, errs.Unavailable, errs.KindOf(err))
	_, err = passwords.Hash(context.Background(), goodPW, "")
	require.NoError(t, err, "what is not a login has places of its own")
}
