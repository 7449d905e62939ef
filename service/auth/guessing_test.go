package auth

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"florin/domain/errs"
	"florin/domain/user"
)

// guessAtOnce sends so many wrong passwords at the same time and returns how many of them were
// compared.
func guessAtOnce(n int, guess func(n int) error) int64 {
	var compared atomic.Int64
	var all sync.WaitGroup
	begin := make(chan struct{})
	for i := range n {
		all.Go(func() {
			<-begin
			if errs.KindOf(guess(i)) == errs.Unauthenticated {
				compared.Add(1)
			}
		})
	}
	close(begin)
	all.Wait()
	return compared.Load()
}

func TestS65_GuessesAtTheSameTimeAreCounted(t *testing.T) {
	ctx := context.Background()
	from := user.Origin{Address: "203.0.113.9"}
	b := newBench(t)
	compared := guessAtOnce(150, func(int) error {
		_,
			err := b.Login(ctx, "ada", "wrong-password", from)
		return err
	})
	require.LessOrEqual(t, compared, int64(freeFailures), "of one user")
	require.Positive(t, compared)

	b = newBench(t)
	compared = guessAtOnce(150, func(n int) error {
		_, err := b.Login(ctx, fmt.Sprint("nobody", n), "wrong-password", from)
		return err
	})
	require.LessOrEqual(t, compared, int64(100), "of 150 users, from one address")

	b = newBench(t)
	compared = guessAtOnce(150, func(n int) error {
		_, err := b.Login(ctx, "ada", "wrong-password",
			user.Origin{Address: fmt.Sprintf("203.0.113.%d", n)})
		return err
	})
	require.LessOrEqual(t, compared, int64(100), "of one user, from 150 addresses")
}

// TestS66_TheOwnerLogsInWhileOthersGuess: three attackers guess all the time, each from an address
// of its own; the owner comes from an address that was never seen.
func TestS66_TheOwnerLogsInWhileOthersGuess(t *testing.T) {
	b := newBench(t)
	ctx := context.Background()
	guesses := 0
	attack := func() {
		for attacker := range 3 {
			_, err := b.Login(ctx, "ada", "wrong-password",
				user.Origin{Address: fmt.Sprintf("203.0.113.%d", attacker)})
			if errs.KindOf(err) == errs.Unauthenticated {
				guesses++
			}
		}
	}
	for range 20 {
		attack()
	}
	for n := range 100 {
		attack()
		_, err := b.Login(ctx, "ada", goodPW, user.Origin{Address: fmt.Sprintf("192.0.2.%d", n)})
		require.NoError(t, err, "login %d", n)
		b.clock.pass(2 * time.Second)
	}
	require.LessOrEqual(t, guesses, 60, "and guessing stays slow")
}

// TestS66_OneAddressOfManyUsers: what one user behind an address mistypes keeps nobody else there
// out.
func TestS66_OneAddressOfManyUsers(t *testing.T) {
	b := newBench(t)
	ctx := context.Background()
	backend := user.Origin{Address: "198.51.100.1"}
	for range 12 {
		_, err := b.Login(ctx, "somebody", "wrong-password", backend)
		require.Error(t, err)
	}
	_, err := b.Login(ctx, "somebody", "wrong-password", backend)
	require.Equal(t, errs.Limited, errs.KindOf(err))
	_, err = b.Login(ctx, "ada", goodPW, backend)
	require.NoError(t, err)
}

// TestS66_DeviceTokensOutliveARestart: a login with a device token is throttled apart, also by a
// server that was just started.
func TestS66_DeviceTokensOutliveARestart(t *testing.T) {
	b := newBench(t)
	ctx := context.Background()
	device := b.login(t).Device
	again, err := NewService(ServiceDeps{Users: b.store, Sessions: b.store,
		Secrets: []string{secretB, secretA},
		Now:     b.clock.now, Passwords: b.passwords})
	require.NoError(t, err)
	for n := range accountFailures {
		_, _ = again.Login(ctx, "ada", "wrong-password",
			user.Origin{Address: fmt.Sprintf("203.0.113.%d", n%250)})
	}
	here := user.Origin{Address: "203.0.113.1"} // as the attackers
	for range freeFailures {
		_, _ = again.Login(ctx, "ada", "wrong-password", here)
	}
	_, err = again.Login(ctx, "ada", goodPW, here)
	require.Equal(t, errs.Limited, errs.KindOf(err))
	with := here
	with.Device = device
	tokens, err := again.Login(ctx, "ada", goodPW, with)
	require.NoError(t, err)

	other := b.ada.ID()
	other[0]++
	ring := again.keys.Load()
	for name, text := range map[string]string{"none": "", "noise": "fdt_noise",
		"altered":      tokens.Device[:len(tokens.Device)-2] + "AA",
		"access token": tokens.Access} {
		_, known := ring.knownDevice(text, b.ada.ID(), b.clock.now())
		require.False(t, known, name)
	}
	was, known := ring.knownDevice(device, b.ada.ID(), b.clock.now())
	require.True(t, known)
	is, known := ring.knownDevice(tokens.Device, b.ada.ID(), b.clock.now())
	require.True(t, known)
	require.Equal(t, was, is, "one device, one counter")
	_, known = ring.knownDevice(device, other, b.clock.now())
	require.False(t, known, "of another user")
	_, known = ring.knownDevice(device, b.ada.ID(), b.clock.now().Add(deviceLifetime))
	require.False(t, known, "too old")

	with.Device = tokens.Device
	compared := guessAtOnce(50, func(int) error {
		_,
			err := again.Login(ctx, "ada", "wrong-password", with)
		return err
	})
	require.LessOrEqual(t, compared, int64(freeFailures), "who stole one guesses no faster")
}

// TestS65_ConfirmationsAreCounted: of a session, apart from what others do at the same account.
func TestS65_ConfirmationsAreCounted(t *testing.T) {
	b := newBench(t)
	ctx := context.Background()
	caller := func() user.Principal {
		p, err := b.Verify(ctx, b.login(t).Access)
		require.NoError(t, err)
		return p
	}
	thief, owner := caller(), caller()
	from := user.Origin{Address: "192.0.2.7"}
	compared := guessAtOnce(150, func(int) error {
		return b.Confirm(ctx, thief, b.ada,
			"wrong-password", from)
	})
	require.LessOrEqual(t, compared, int64(freeFailures))
	require.Positive(t, compared)
	require.NoError(t, b.Confirm(ctx, owner, b.ada, goodPW, from), "another session is not kept out")
	_, err := b.Login(ctx, "ada", goodPW, from)
	require.NoError(t, err)
}

// TestS62_NetworksTakeTurns: who sends many logins waits behind the others.
func TestS62_NetworksTakeTurns(t *testing.T) {
	g := newGate(1)
	ctx := context.Background()
	leave, err := g.enter(ctx, "first")
	require.NoError(t, err)
	var flood []chan struct{}
	for range 300 {
		if place, err := g.queue("flood"); err == nil {
			flood = append(flood, place)
		} else {
			require.Equal(t, errs.Unavailable, errs.KindOf(err))
		}
	}
	require.Len(t, flood, maxQueuedOfNetwork, "the rest is refused at once")
	owner, err := g.queue("owner")
	require.NoError(t, err)
	gone, cancel := context.WithCancel(ctx)
	cancel()
	_, err = g.enter(gone, "gone")
	require.Equal(t, errs.Unavailable, errs.KindOf(err))
	leave()
	g.leave()
	require.Len(t, owner, 1, "the second of all")
	for range maxQueuedOfNetwork {
		g.leave()
	}
	for _, place := range flood {
		require.Len(t, place, 1)
	}
	require.Equal(t, []int{1, 0}, []int{g.free, g.queued})
	require.Empty(t, g.queues)
	require.Empty(t, g.turns)
}

// TestF160_PasswordsAreTheSameHoweverTheyAreTyped: composed and decomposed accents, full-width
// letters.
func TestF160_PasswordsAreTheSameHoweverTheyAreTyped(t *testing.T) {
	p := NewPasswords(Cost{MemoryKiB: 8, Passes: 1}, 2, 0)
	ctx := context.Background()
	composed, decomposed, wide := "caf\u00e9-secret", "cafe\u0301-secret", "ｃａｆé-ｓｅｃｒｅｔ"
	for _, chosen := range []string{composed, decomposed, wide} {
		hash, err := p.Hash(ctx, chosen, "")
		require.NoError(t, err)
		for _, typed := range []string{composed, decomposed, wide} {
			right, err := p.verify(ctx, guess{}, hash, typed)
			require.NoError(t, err)
			require.True(t, right, "%q for %q", typed, chosen)
		}
		right, err := p.verify(ctx, guess{}, hash, "cafe-secret")
		require.NoError(t, err)
		require.False(t, right)
	}
	long := strings.Repeat("e\u0301", user.MaxPassword)
	hash, err := p.Hash(ctx, Normal(long), "")
	require.NoError(t, err)
	longRight, err := p.verify(ctx, guess{}, hash, long)
	require.NoError(t, err)
	require.True(t, longRight, "what counts is the length of the form that is hashed")
	salt := make([]byte, saltBytes)
	right, err := p.verify(ctx, guess{}, p.encode(salt, p.derive(decomposed, salt)), decomposed)
	require.NoError(t, err)
	require.True(t, right, "a hash from before passwords were normalised")
}
