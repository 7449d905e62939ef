package auth

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/google/uuid"

	"florin/domain/user"
)

// cacheTTL is how long a verified token is believed without asking the store again. It is the bound within which a
// logout on another server takes effect here (S11 asks for 5 s).
const cacheTTL = 4 * time.Second

// maxCached bounds the memory; a full cache is emptied, which costs one look-up a token.
const maxCached = 20_000

type cached struct {
	principal user.Principal
	until     time.Time
}

// cache holds verified tokens by their hash, so that a dump of the memory shows none of them.
type cache struct {
	mu      sync.Mutex
	entries map[[sha256.Size]byte]cached
	// epoch grows with every removal: a verification that began before one must not store its result after it.
	epoch uint64
}

func newCache() *cache {
	return &cache{entries: make(map[[sha256.Size]byte]cached)}
}

func (c *cache) get(key [sha256.Size]byte, now time.Time) (user.Principal, uint64, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	entry, found := c.entries[key]
	if found && (now.Before(entry.until)) {
		return entry.principal, c.epoch, true
	}
	delete(c.entries, key)
	return user.Principal{}, c.epoch, false
}

func (c *cache) put(key [sha256.Size]byte, p user.Principal, epoch uint64, now time.Time) {
	until := now.Add(cacheTTL)
	if p.ExpiresAt.Before(until) {
		until = p.ExpiresAt
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if epoch != c.epoch {
		return
	}
	if len(c.entries) >= maxCached {
		clear(c.entries)
	}
	c.entries[key] = cached{principal: p, until: until}
}

// forget drops every token of the user, or of the one session when session is not nil.
func (c *cache) forget(userID, session uuid.UUID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.epoch++
	for key, entry := range c.entries {
		if entry.principal.UserID == userID && (session == uuid.Nil || entry.principal.SessionID == session) {
			delete(c.entries, key)
		}
	}
}

func (c *cache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.epoch++
	clear(c.entries)
}
