package auth

import (
	"net/netip"
	"sync"
	"time"

	"florin/domain/errs"
)

const (
	// freeFailures is how many wrong passwords an account or an address may send before it has to wait.
	freeFailures = 10
	// maxAtOnce bounds the guesses of one account that run before any of them has failed.
	maxAtOnce = 32
	// The growing delays end here: an address waits for long, an account never so long that its owner is kept out.
	maxAddressDelay = 15 * time.Minute
	maxAccountDelay = time.Minute
	// forgetAfter is when failures are no longer counted.
	forgetAfter = time.Hour
	// A device that logged in passes an account's delay for this long, so that guesses of others do not lock it out.
	knownFor   = 30 * 24 * time.Hour
	maxTracked = 20_000
)

type tries struct {
	failures int
	running  int
	last     time.Time
}

// throttle counts failed passwords by account and by address in the memory of this process: it slows guessing down;
// what must hold across servers is the cost of the hash.
type throttle struct {
	mu        sync.Mutex
	accounts  map[string]*tries
	addresses map[string]*tries
	known     map[[2]string]time.Time
}

func newThrottle() *throttle {
	return &throttle{accounts: map[string]*tries{}, addresses: map[string]*tries{}, known: map[[2]string]time.Time{}}
}

// begin admits one guess or returns errs.Limited. Each admitted guess is ended with one call of its result.
func (t *throttle) begin(account, address string, now time.Time) error {
	address = network(address)
	t.mu.Lock()
	defer t.mu.Unlock()
	if wait := t.addresses[address].wait(now, maxAddressDelay); wait > 0 {
		return tooManyFailures(wait)
	}
	seen, known := t.known[[2]string{account, address}]
	if known && now.Sub(seen) < knownFor {
		t.track(t.accounts, account, now).running++
		return nil
	}
	if wait := t.accounts[account].wait(now, maxAccountDelay); wait > 0 {
		return tooManyFailures(wait)
	}
	entry := t.track(t.accounts, account, now)
	// Past the free ones, guesses go one at a time: the delay is not evaded by sending them together.
	if entry.running >= maxAtOnce || entry.failures >= freeFailures && entry.running > 0 {
		return tooManyFailures(time.Second)
	}
	entry.running++
	return nil
}

// outcome is how a guess ended.
type outcome uint8

const (
	undecided outcome = iota // the password was not compared
	wrong
	correct
)

func (t *throttle) end(account, address string, result outcome, now time.Time) {
	address = network(address)
	t.mu.Lock()
	defer t.mu.Unlock()
	entry := t.track(t.accounts, account, now)
	if entry.running > 0 {
		entry.running--
	}
	switch result {
	case wrong:
		entry.fail(now)
		t.track(t.addresses, address, now).fail(now)
	case correct:
		entry.failures = 0
		if len(t.known) >= maxTracked {
			clear(t.known)
		}
		t.known[[2]string{account, address}] = now
	case undecided:
	}
}

func (t *throttle) track(group map[string]*tries, key string, now time.Time) *tries {
	if entry, found := group[key]; found {
		return entry
	}
	if len(group) >= maxTracked {
		makeRoom(group, now)
	}
	entry := &tries{}
	group[key] = entry
	return entry
}

// makeRoom drops what counts least: first what is forgotten anyway, then what is not delayed yet, then all.
func makeRoom(group map[string]*tries, now time.Time) {
	for key, entry := range group {
		if entry.running == 0 && now.Sub(entry.last) > forgetAfter {
			delete(group, key)
		}
	}
	if len(group) < maxTracked {
		return
	}
	for key, entry := range group {
		if entry.running == 0 && entry.failures < freeFailures {
			delete(group, key)
		}
	}
	if len(group) >= maxTracked {
		clear(group)
	}
}

func (e *tries) fail(now time.Time) {
	if now.Sub(e.last) > forgetAfter {
		e.failures = 0
	}
	e.failures++
	e.last = now
}

// wait is how long the next guess has to wait: 1 s after the free ones, doubled by each further failure.
func (e *tries) wait(now time.Time, longest time.Duration) time.Duration {
	if e == nil || e.failures < freeFailures || now.Sub(e.last) > forgetAfter {
		return 0
	}
	delay := longest
	if doublings := e.failures - freeFailures; doublings < 20 {
		delay = min(longest, time.Second<<doublings)
	}
	return max(0, delay-now.Sub(e.last))
}

func tooManyFailures(wait time.Duration) error {
	return &errs.Error{Kind: errs.Limited, Code: "too_many_failures", RetryAfter: wait,
		Message: "too many failed logins, wait before the next"}
}

// network is what one person commands: an IPv4 address, or a /64 of IPv6.
func network(address string) string {
	addr, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	addr = addr.Unmap().WithZone("")
	if addr.Is6() {
		if prefix, err := addr.Prefix(64); err == nil {
			return prefix.String()
		}
	}
	return addr.String()
}
