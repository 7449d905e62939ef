package main

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestF120_StatusIsMonotonicAndNeverAheadOfTheBalance polls while the bank completes: what was completed once stays so, and
// its money shows in every later look at the balance.
func TestF120_StatusIsMonotonicAndNeverAheadOfTheBalance(t *testing.T) {
	rank := map[string]int{"initiated": 1, "pending": 2, "completed": 3}
	eachRig(t, func(t *testing.T, r *rig) {
		c := r.user()
		for range 4 {
			euros := c.open("EUR")
			r.holdWebhooks()
			d := c.deposit(euros, "100.00", "EUR")
			id := d.text(t, "id")
			var stop atomic.Bool
			var polls sync.WaitGroup
			var completions atomic.Int64
			for range 8 {
				polls.Go(func() {
					last := 0
					for !stop.Load() {
						now := rank[c.quick("GET", "/transaction/"+id+"/status", "").text(t, "status")]
						if !assert.GreaterOrEqual(t, now, last, "status") {
							return
						}
						if last = now; now < rank["completed"] {
							continue
						}
						completions.Add(1)
						shown := c.quick("GET", "/account/"+euros+"/balance", "").text(t, "available")
						if !assert.Equal(t, "100.00", shown, "completed, but not on the account") {
							return
						}
					}
				})
			}
			r.complete(d.text(t, "payment_id"))
			r.releaseWebhooks()
			r.until(func() bool { return completions.Load() >= 16 || t.Failed() }, "the polls see it completed")
			stop.Store(true)
			polls.Wait()
			require.Equal(t, "100.00 0.00 100.00", c.balance(euros))
		}
	})
}

func TestF120_PreferWaitIsAnsweredWithTheCurrentStateWhenTheServerStops(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c := r.user()
		euros := c.open("EUR")
		d := c.deposit(euros, "100.00", "EUR")
		r.quiet()
		type given struct {
			status  int
			applied string
			answer  answer
		}
		answers := make(chan given, 2)
		wait := func(method, path, body string) {
			header := http.Header{"Prefer": {"wait=30"}, "Authorization": {"Bearer " + c.token}, "Content-Type": {"application/json"}}
			response, content, err := r.try(context.Background(), method, path, []byte(body), header)
			if assert.NoError(t, err) {
				answers <- given{response.StatusCode, response.Header.Get("Preference-Applied"), answer{body: content}}
				return
			}
			answers <- given{}
		}
		go wait("GET", "/transaction/"+d.text(t, "id")+"/status", "")
		go wait("POST", "/account/"+euros+"/deposit", `{"amount":"5.00","currency":"EUR","money_source":"card"}`)
		r.until(func() bool { return r.app.Waiters.Count() == 2 }, "both wait")
		began := time.Now()
		r.stop()
		assert.Less(t, time.Since(began), 10*time.Second)
		for range 2 {
			a := <-answers
			assert.Contains(t, []int{200, 202}, a.status)
			assert.Equal(t, "wait=30", a.applied)
			assert.Equal(t, "pending", a.answer.text(t, "status"))
		}
		r.start()
		require.Equal(t, "pending", c.status(d.text(t, "id")))
	})
}

// TestStopWaitsForNoUnusedConnectionToTheBank: a burst of calls makes our client open connections that it then does not
// need, and a server that shuts down takes a connection without a request for busy.
func TestStopWaitsForNoUnusedConnectionToTheBank(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c := r.user()
		euros := c.open("EUR")
		for range 2 {
			atOnce(100, func(int) {
				c.quick("POST", "/account/"+euros+"/deposit", `{"amount":"1.00","currency":"EUR","money_source":"card"}`)
			})
			r.restart() // fails where Stop does
		}
		require.EqualValues(t, 200, r.count("SELECT COUNT(*) FROM transactions WHERE status = 'pending'"))
	})
}
