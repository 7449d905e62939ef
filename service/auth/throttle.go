package auth

import (
	"net/netip"
	"sync"
	"time"

	"florin/domain/errs"
)

const (
	// freeFailures is how many wrong passwords one party may send for an account before it has to
	// wait.
	freeFailures = 10
	// maxDelay is where the growing delay of a party ends.
	maxDelay = 15 * time.Minute
	// forgetAfter is when the failures of a party are no longer counted.
	forgetAfter = time.Hour
	// What a network may get wrong on all accounts together, and all unknown parties on one account:
	// so many at once, and then one after each pause.
	networkFailures, networkPause = 100, 6 * time.Second
	accountFailures, accountPause = 100, time.Minute
	// A network that logged in passes the account's delay for this long.
	knownFor   = 30 * 24 * time.Hour
	maxTracked = 20_000
)

// guess is one try of a password. Whoever tries is a party: a network, or, where credential is set,
// the holder of a device token or of a session of the account, wherever it is. A guess that fails
// delays its own party alone.
type guess struct {
	account, network string
	credential       string
	// confirms says that a user who is logged in confirms an act.
	confirms bool
}

func (g guess) party() [2]string {
	if g.credential != "" {
		return [2]string{g.account, g.credential}
	}
	return [2]string{g.account, g.network}
}

// throttle counts failed passwords in the memory of this process: it slows guessing down; what must
// hold across servers is the cost of the hash. A guess that runs counts as failed until it ends, so
// that guesses sent together gain nothing.
type throttle struct {
	mu       sync.Mutex
	parties  map[[2]string]*tries
	networks map[string]*drip
	accounts map[string]*drip
	known    map[[2]string]time.Time
}

func newThrottle() *throttle {
	return &throttle{parties: map[[2]string]*tries{}, networks: map[string]*drip{},
		accounts: map[string]*drip{}, known: map[[2]string]time.Time{}}
}

// begin admits one guess or returns errs.Limited. Each admitted guess is ended with one call of its result.
func (t *throttle) begin(g guess, now time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	party := t.party(g, now)
	network, account := t.drips(g, now)
	wait := party.wait(now)
	// Who shows a credential is counted by it: what others do at the same network or to the same
	// account does not delay it.
	if g.credential == "" {
		wait = max(wait, network.wait(now))
		if now.Sub(t.known[g.party()]) >= knownFor {
			wait = max(wait, account.wait(now))
		}
	}
	if wait > 0 {
		return tooManyFailures(wait)
	}
	party.running++
	network.running++
	account.running++
	return nil
}

// outcome is how a guess ended.
type outcome uint8

const (
	undecided outcome = iota // the password was not compared
	wrong
	correct
)

func (t *throttle) end(g guess, result outcome, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	party := t.party(g, now)
	network, account := t.drips(g, now)
	for _, running := range []*int{&party.running, &network.running, &account.running} {
		*running = max(0, *running-1)
	}
	switch result {
	case wrong:
		party.fail(now)
		network.fail(now)
		account.fail(now)
	case correct:
		party.failures = 0
		for key := range t.known {
			if len(t.known) < maxTracked {
				break
			}
			delete(t.known, key)
		}
		t.known[[2]string{g.account, g.network}] = now
	case undecided:
	}
}

func (t *throttle) party(g guess, now time.Time) *tries {
	return tracked(t.parties, g.party(), func(e *tries) rank {
		switch {
		case e.running == 0 && now.Sub(e.last) > forgetAfter:
			return forgotten
		case e.running == 0 && e.failures < freeFailures:
			return undelayed
		}
		return delayed
	}, &tries{})
}

func (t *throttle) drips(g guess, now time.Time) (network, account *drip) {
	importance := func(d *drip) rank {
		switch {
		case d.running == 0 && !d.full.After(now):
			return forgotten
		case d.running == 0 && d.wait(now) == 0:
			return undelayed
		}
		return delayed
	}
	ofNetwork := &drip{most: networkFailures, pause: networkPause}
	ofAccount := &drip{most: accountFailures, pause: accountPause}
	return tracked(t.networks, g.network, importance, ofNetwork),
		tracked(t.accounts, g.account, importance, ofAccount)
}

// rank is how much a counter counts when there is no room for all.
type rank uint8

const (
	forgotten rank = iota
	undelayed
	delayed
)

// tracked finds the counter of the key or adds the fresh one. A full group drops what counts least:
// what is forgotten anyway, then what delays nobody yet, then all.
func tracked[K comparable, E any](group map[K]*E, key K, importance func(*E) rank, fresh *E) *E {
	if entry, found := group[key]; found {
		return entry
	}
	for _, least := range []rank{forgotten, undelayed, delayed} {
		if len(group) < maxTracked {
			break
		}
		for key, entry := range group {
			if importance(entry) <= least {
				delete(group, key)
			}
		}
	}
	group[key] = fresh
	return fresh
}

// tries are the guesses of one party for one account.
type tries struct {
	failures int
	running  int
	last     time.Time
}

func (e *tries) fail(now time.Time) {
	if now.Sub(e.last) > forgetAfter {
		e.failures = 0
	}
	e.failures++
	e.last = now
}

// wait is how long the next guess has to wait: 1 s after the free ones, doubled by each further
// failure. Past the free ones, guesses go one at a time.
func (e *tries) wait(now time.Time) time.Duration {
	failures := e.failures
	if now.Sub(e.last) > forgetAfter {
		failures = 0
	}
	switch {
	case failures+e.running < freeFailures:
		return 0
	case e.running > 0:
		return time.Second
	}
	delay := maxDelay
	if doublings := failures - freeFailures; doublings < 20 {
		delay = min(maxDelay, time.Second<<doublings)
	}
	return max(0, delay-now.Sub(e.last))
}

// drip takes so many failures at once and forgets one after each pause. full is when all are
// forgotten.
type drip struct {
	most    int
	pause   time.Duration
	running int
	full    time.Time
}

func (d *drip) fail(now time.Time) {
	if d.full.Before(now) {
		d.full = now
	}
	d.full = d.full.Add(d.pause)
}

// wait is how long the next guess has to wait. It must find room beside those that failed and those
// that run; of the latter it is soon known whether they failed.
func (d *drip) wait(now time.Time) time.Duration {
	room := time.Duration(d.most)*d.pause - max(0, d.full.Sub(now))
	switch {
	case room < d.pause:
		return d.pause - room
	case room < time.Duration(d.running+1)*d.pause:
		return time.Second
	}
	return 0
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
