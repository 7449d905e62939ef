package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/webapi"
)

const (
	// overloadFor names how long TestF123 lasts; two seconds without it. How fast a refusal is is measured in the long form alone, on
	// a machine that does nothing else.
	overloadFor = "FLORIN_OVERLOAD"
	// moneyAtOnce is the share of the requests that move money in these tests.
	moneyAtOnce = 16
)

// narrow is a program whose shares are small.
func narrow(_ *Config, o *Options) { o.Capacity = webapi.Capacity{Money: moneyAtOnce, Providers: 4} }

// load is what became of requests.
type load struct {
	mu      sync.Mutex
	good    int
	refused []time.Duration // how long each refusal took
}

// one is a deposit that waits for a second in vain, so that the share bounds the peak and not the machine, which the clients
// are on too.
func (l *load) one(c *client, account string) {
	begun := time.Now()
	a := c.deposit(account, "1.00", "EUR", "Prefer", "wait=1")
	took := time.Since(begun)
	l.mu.Lock()
	defer l.mu.Unlock()
	if a.status == 202 {
		l.good++
		return
	}
	l.refused = append(l.refused, took)
	assert.Equal(c.r.t, 503, a.status, "%s", a.body)
	assert.Contains(c.r.t, string(a.body), `"overloaded"`)
	assert.NotEmpty(c.r.t, a.header.Get("Retry-After"))
}

// closed has as many clients as the share has places, each with one request after the other.
func (l *load) closed(c *client, account string, lasting time.Duration) {
	until := time.Now().Add(lasting)
	atOnce(moneyAtOnce, func(int) {
		for time.Now().Before(until) {
			l.one(c, account)
		}
	})
}

// open begins so many requests a second, whatever became of those before.
func (l *load) open(c *client, account string, rate int, lasting time.Duration) {
	var requests sync.WaitGroup
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	for until := time.Now().Add(lasting); time.Now().Before(until); <-tick.C {
		requests.Go(func() { l.one(c, account) })
	}
	requests.Wait()
}

// TestF123_FiveTimesTheCapacity: what the program can do it goes on doing, and the rest is refused at once.
func TestF123_FiveTimesTheCapacity(t *testing.T) {
	lasting := 2 * time.Second
	if text := os.Getenv(overloadFor); text != "" {
		var err error
		lasting, err = time.ParseDuration(text)
		require.NoError(t, err, overloadFor)
	}
	eachRig(t, func(t *testing.T, r *rig) {
		c := r.user()
		euros := c.open("EUR")
		var peak, over load
		peak.closed(c, euros, 2*time.Second)
		perSecond := peak.good / 2
		require.Empty(t, peak.refused)
		before := runtime.NumGoroutine()

		over.open(c, euros, 5*perSecond, lasting)
		require.NotEmpty(t, over.refused)
		goodput := over.good * int(time.Second) / int(lasting)
		slices.Sort(over.refused)
		t.Logf("peak %d/s, then %d/s offered: %d/s done, %d refused, half of them within %s", perSecond, 5*perSecond, goodput,
			len(over.refused), over.refused[len(over.refused)/2])
		assert.GreaterOrEqual(t, 10*goodput, 8*perSecond, "four fifths of the peak")
		if os.Getenv(overloadFor) != "" {
			assert.Less(t, over.refused[len(over.refused)/2], 20*time.Millisecond)
		}
		assert.Less(t, runtime.NumGoroutine(), before+1000, "nothing piles up")
		var memory runtime.MemStats
		runtime.ReadMemStats(&memory)
		assert.Less(t, memory.HeapInuse, uint64(256<<20))

		a := c.deposit(euros, "1.00", "EUR")
		require.Contains(t, []int{200, 202}, a.status, "normal again at once: %s", a.body)
	}, narrow)
}

// TestF63_S27_EachShareIsRefusedAlone: a flood of one kind leaves the others their places.
func TestF63_S27_EachShareIsRefusedAlone(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c := r.user()
		euros := c.open("EUR")
		c.fund(euros, "50.00", "EUR")
		var flood sync.WaitGroup
		var refused atomic.Int64
		defer flood.Wait()
		stop := make(chan struct{})
		defer close(stop)
		for n := range moneyAtOnce { // four times the share of the webhooks
			flood.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					default:
					}
					id := fmt.Sprintf("evt_flood_%d_%d", n, i)
					body := event("payment.processing", "pay_of_nobody", "00000000-0000-4000-8000-000000000000", 100, "EUR")
					status := r.webhook(id, body)
					assert.Contains(t, []int{200, 503}, status)
					if status == 503 {
						refused.Add(1)
					}
				}
			})
		}
		for range 20 {
			a := c.transfer(euros, c.open("EUR"), "1.00", "EUR")
			require.Equal(t, 200, a.status, "%s", a.body)
		}
		r.until(func() bool { return refused.Load() > 0 }, "the flood is bounded")
	}, narrow)
}
