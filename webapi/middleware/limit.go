package middleware

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"
	"golang.org/x/time/rate"

	"florin/domain/errs"
)

// maxBuckets bounds the callers of one generation that are remembered; two generations are.
const maxBuckets = 20_000

// Limiter bounds how often each caller may send requests. Each process counts for itself.
type Limiter struct {
	burst  int
	every  rate.Limit
	window time.Duration
	now    func() time.Time

	mu       sync.Mutex
	turned   time.Time
	current  map[string]*rate.Limiter
	previous map[string]*rate.Limiter
}

// NewLimiter reads a limit as in RATE_LIMIT: "600/m" with s, m or h, or "off", which gives a Limiter that admits all.
func NewLimiter(limit string, now func() time.Time) (*Limiter, error) {
	if limit == "off" {
		return &Limiter{}, nil
	}
	countText, unit, _ := strings.Cut(limit, "/")
	window, known := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}[unit]
	count, err := strconv.Atoi(countText)
	if err != nil || !known || count < 1 {
		return nil, fmt.Errorf(`rate limit %q is neither like "600/m" nor "off"`, limit)
	}
	return &Limiter{burst: count, every: rate.Every(window / time.Duration(count)), window: window, now: now,
		turned: now(), current: map[string]*rate.Limiter{}}, nil
}

// PerCaller limits by user where Identify or Authenticate ran before and found one, by address otherwise.
func (l *Limiter) PerCaller() fiber.Handler {
	return func(c *fiber.Ctx) error {
		if l.off() {
			return c.Next()
		}
		key := "address " + networkOf(Address(c))
		if caller, known := Identified(c); known {
			key = "user " + caller.UserID.String()
		}
		if err := l.admit(key); err != nil {
			return err
		}
		return c.Next()
	}
}

// PerAddress limits by address, whoever the caller is.
func (l *Limiter) PerAddress() fiber.Handler {
	return func(c *fiber.Ctx) error {
		if l.off() {
			return c.Next()
		}
		if err := l.admit("address " + networkOf(Address(c))); err != nil {
			return err
		}
		return c.Next()
	}
}

// AdmitAddress counts one request of its address, whoever the caller is: for what costs more than a
// request. A nil Limiter admits all.
func (l *Limiter) AdmitAddress(c *fiber.Ctx) error {
	if l == nil {
		return nil
	}
	return l.admit("address " + networkOf(Address(c)))
}

func (l *Limiter) off() bool { return l.burst == 0 }

func (l *Limiter) admit(key string) error {
	if l.off() {
		return nil
	}
	now := l.now()
	reservation := l.bucket(key, now).ReserveN(now, 1)
	delay := reservation.DelayFrom(now)
	if delay == 0 {
		return nil
	}
	reservation.CancelAt(now)
	return &errs.Error{Kind: errs.Limited, Code: "rate_limited", Message: "too many requests", RetryAfter: delay}
}

// bucket finds the caller's bucket. A generation ends after a window, in which every bucket fills up again, so that
// what is dropped with it was full; or when it holds too many callers, which bounds the memory.
func (l *Limiter) bucket(key string, now time.Time) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.current) >= maxBuckets || now.Sub(l.turned) > l.window {
		l.previous, l.current, l.turned = l.current, map[string]*rate.Limiter{}, now
	}
	if bucket, found := l.current[key]; found {
		return bucket
	}
	bucket, found := l.previous[key]
	if !found {
		bucket = rate.NewLimiter(l.every, l.burst)
	}
	l.current[key] = bucket
	return bucket
}

// networkOf is what one person commands: an IPv4 address, or a /64 of IPv6.
func networkOf(addr netip.Addr) string {
	if addr.Is6() {
		if prefix, err := addr.Prefix(64); err == nil {
			return prefix.String()
		}
	}
	return addr.String()
}

// Maintenance refuses every request for now.
func Maintenance(*fiber.Ctx) error {
	return &errs.Error{Kind: errs.Unavailable, Code: "maintenance", Message: "no money is moved while the books are compared with the providers'",
		RetryAfter: time.Minute}
}

// Concurrency admits at most the number of requests at once and refuses the others without waiting. Each call makes a
// share of its own: routes that must not starve get their own.
func Concurrency(most int) fiber.Handler {
	slots := make(chan struct{}, most)
	return func(c *fiber.Ctx) error {
		select {
		case slots <- struct{}{}:
			place := &place{free: sync.OnceFunc(func() { <-slots })}
			if caller, known := Identified(c); known {
				place.user = caller.UserID.String()
			}
			defer place.free()
			c.SetUserContext(context.WithValue(c.UserContext(), placeKey{}, place))
			return c.Next()
		default:
			return &errs.Error{Kind: errs.Unavailable, Code: "overloaded", Message: "too many requests at once", RetryAfter: time.Second}
		}
	}
}
