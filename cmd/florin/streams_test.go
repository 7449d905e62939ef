package main

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/infra/database"
	"florin/infra/database/databasetest"
	"florin/service/stream"
)

// TestS58_StreamShowsOnesOwnEventsAlone has three people follow while two of them move money. What the third one hears
// after it all shows that nothing of it was his.
func TestS58_StreamShowsOnesOwnEventsAlone(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		ada, bob, eve := r.user(), r.user(), r.user()
		adas, bobs, eves := ada.open("EUR"), bob.open("EUR"), eve.open("EUR")
		atAda, atBob, atEve := ada.follow(), bob.follow(), eve.follow()

		ada.fund(adas, "25.00", "EUR")
		sent := ada.do("POST", "/account/"+adas+"/transfer", fmt.Sprintf(
			`{"amount":"5.00","currency":"EUR","destination_account_id":%q,"metadata":{"note":"between us"}}`, bobs))
		require.Equal(t, 200, sent.status, "%s", sent.body)
		eve.fund(eves, "1.00", "EUR")

		got := atAda.events(5)
		assert.Equal(t, []string{"initiated 1", "pending 2", "completed 3", "initiated 1", "completed 2"}, statuses(t, got))
		deposit, transfer := got[2].cloudEvent(t), got[4].cloudEvent(t)
		assert.Equal(t, int64(2500), deposit.Data.Amount)
		assert.Equal(t, "in", deposit.Data.Direction)
		assert.Equal(t, adas, deposit.Data.AccountID)
		assert.Equal(t, sent.text(t, "id"), transfer.Subject)
		assert.Equal(t, "out", transfer.Data.Direction)
		assert.Equal(t, adas, transfer.Data.AccountID)
		assert.Equal(t, bobs, transfer.Data.CounterpartyAccountID)

		received := atBob.events(2)
		assert.Equal(t, []string{"initiated 1", "completed 2"}, statuses(t, received))
		arrived := received[1].cloudEvent(t)
		assert.Equal(t, transfer.ID, arrived.ID)
		assert.Equal(t, "in", arrived.Data.Direction)
		assert.Equal(t, bobs, arrived.Data.AccountID)
		assert.Equal(t, bob.id, arrived.Data.UserID)
		assert.Equal(t, adas, arrived.Data.CounterpartyAccountID)
		for _, f := range received {
			assert.NotContains(t, f.data, ada.id, "the sender's user is nobody else's business")
			assert.NotContains(t, f.data, "between us")
		}
		for _, f := range got {
			assert.NotContains(t, f.data, bob.id)
		}

		for _, f := range atEve.events(3) {
			assert.Equal(t, eve.id, f.cloudEvent(t).Data.UserID)
		}
		for _, c := range []*client{ada, bob, eve} {
			assert.Equal(t, 401, (&client{r: c.r}).do("GET", "/events", "").status)
		}
	})
}

// TestEventsCarryTheTraceOfTheirCall, also those that the provider's webhook caused, and the stream tells the caller alone.
func TestEventsCarryTheTraceOfTheirCall(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		ada, bob := r.user(), r.user()
		adas, bobs := ada.open("EUR"), bob.open("EUR")
		atAda, atBob := ada.follow(), bob.follow()
		const traced = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
		r.complete(ada.deposit(adas, "25.00", "EUR", "Traceparent", traced).text(t, "payment_id"))
		got := atAda.events(3)
		require.Equal(t, 200, ada.transfer(adas, bobs, "5.00", "EUR", "Traceparent", traced).status)
		for _, f := range append(got, atAda.events(2)...) {
			assert.Contains(t, f.cloudEvent(t).TraceParent, "4bf92f3577b34da6a3ce929d0e0e4736")
		}
		for _, f := range atBob.events(2) {
			assert.Empty(t, f.cloudEvent(t).TraceParent)
		}
	})
}

// TestEventsResumeBehindTheLastOneSeen cuts a stream after each event and goes on with the id, by header and by query.
func TestEventsResumeBehindTheLastOneSeen(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		ada, bob := r.user(), r.user()
		adas, bobs := ada.open("EUR"), bob.open("EUR")
		whole := ada.follow()
		ada.fund(adas, "25.00", "EUR")
		bob.fund(bobs, "25.00", "EUR")
		require.Equal(t, 200, bob.transfer(bobs, adas, "1.00", "EUR").status)
		all := whole.events(5)
		last := whole.start.id
		for i, want := range all {
			f := ada.follow("Last-Event-ID", last)
			assert.Equal(t, last, f.start.id)
			rest := f.events(len(all) - i)
			assert.Equal(t, all[i:], rest, "the same events, byte for byte")
			f.leave()
			last = want.id
		}
		beginning := ada.follow("Last-Event-ID", "0")
		assert.Equal(t, all, beginning.events(5))
		// A browser that comes back sends the header, and its first query once more.
		require.Equal(t, 400, ada.do("GET", "/events?last_event_id=x", "").status)
		require.Equal(t, 400, ada.do("GET", "/events", "", "Last-Event-ID", "-1").status)
		require.Equal(t, 400, ada.do("GET", "/events", "", "Last-Event-ID", "1", "Last-Event-ID", "2").status)
		unknown := ada.do("GET", "/events", "", "Last-Event-ID", "9223372036854775807")
		require.Equal(t, 400, unknown.status)
		assert.Equal(t, "invalid_last_event_id", unknown.text(t, "code"))
		assert.Equal(t, 200, ada.do("HEAD", "/events", "").status)
		r.until(func() bool { return r.app.Streams.Count() == 2 }, "those that left are noticed")
	}, func(_ *Config, o *Options) { o.StreamTimes.KeepAlive = 20 * time.Millisecond })
}

// TestStreamsStayWithinTheirCaps opens as many as one user and one server may have, and sees the places come back.
func TestStreamsStayWithinTheirCaps(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		ada, bob, eve := r.user(), r.user(), r.user()
		first, second := ada.follow(), ada.follow()
		full := ada.do("GET", "/events", "")
		require.Equal(t, 429, full.status)
		assert.Equal(t, "too_many_streams", full.text(t, "code"))
		assert.NotEmpty(t, full.header.Get("Retry-After"))
		bob.follow()
		busy := eve.do("GET", "/events", "")
		require.Equal(t, 503, busy.status)
		assert.Equal(t, "streams_full", busy.text(t, "code"))
		first.leave()
		r.until(func() bool { return r.app.Streams.Count() == 2 }, "the place is free")
		ada.follow()
		second.leave()
	}, func(_ *Config, o *Options) {
		o.Streams = stream.Limits{PerUser: 2, Total: 3}
		o.StreamTimes.KeepAlive = 20 * time.Millisecond
	})
}

// TestS11_LogoutEndsTheStream, and so does the end of the token.
func TestS11_LogoutEndsTheStream(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		ada, bob := r.user(), r.user()
		atAda, atBob := ada.follow(), bob.follow()
		began := time.Now()
		require.Equal(t, 204, ada.do("POST", "/auth/logout", "").status)
		rest := atAda.ended(5 * time.Second)
		assert.Less(t, time.Since(began), 5*time.Second)
		assert.Equal(t, "ended, credential", rest[len(rest)-1].comment)

		select {
		case f, open := <-atBob.frames:
			require.True(t, open, "another user's stream goes on")
			assert.Empty(t, f.event)
		default:
		}
		r.advance(15*time.Minute + time.Second)
		atBob.ended(5 * time.Second)
		assert.Equal(t, 401, bob.do("GET", "/events", "").status)
	})
}

// TestF121_ShutdownEndsOpenStreams stops the program under clients that would stay for ever, one of which does not read.
func TestF121_ShutdownEndsOpenStreams(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		ada := r.user()
		adas := ada.open("EUR")
		var followers []*follower
		for range 7 {
			followers = append(followers, ada.follow())
		}
		ada.stream()
		ada.fund(adas, "25.00", "EUR")
		for _, f := range followers {
			f.events(3)
		}
		r.check()
		began := time.Now()
		r.stop()
		assert.Less(t, time.Since(began), 10*time.Second)
		for _, f := range followers {
			rest := f.ended(time.Second)
			assert.Equal(t, "ended, shutdown", rest[len(rest)-1].comment)
		}
	})
}

// TestStreamsAcrossServers follows at one server what is done at the other, and goes on at the other where the first stops.
func TestStreamsAcrossServers(t *testing.T) {
	t.Parallel()
	url := secret(databasetest.URL(t, database.Postgres))
	first := newRig(t, database.Postgres, func(c *Config, _ *Options) { c.DatabaseURL = url })
	second := newRig(t, database.Postgres, func(c *Config, _ *Options) {
		c.DatabaseURL, c.MockBankURL = url, "http://"+first.app.bankListener.Addr().String()
	})
	ada := first.user()
	there := &client{r: second, id: ada.id, token: ada.token}
	adas, other := ada.open("EUR"), there.open("EUR")
	ada.fund(adas, "100.00", "EUR")
	atFirst, atSecond := ada.follow("Last-Event-ID", "0"), there.follow("Last-Event-ID", "0")
	var clients sync.WaitGroup
	for n := range 4 {
		clients.Go(func() {
			c := ada
			if n%2 == 1 {
				c = there
			}
			for range 10 {
				assert.Equal(t, 200, c.transfer(adas, other, "1.00", "EUR").status)
			}
		})
	}
	clients.Wait()
	const all = 3 + 40*2
	want := atFirst.events(all)
	assert.Equal(t, want, atSecond.events(all), "both servers tell the same, byte for byte")
	for _, i := range []int{0, 1, 40, all - 2} {
		resumed := there.follow("Last-Event-ID", want[i].id)
		assert.Equal(t, want[i+1:], resumed.events(all-1-i))
		resumed.leave()
	}
}

// TestManyStreamsMissNothing follows with 200 streams while money moves, some of which are cut and resumed on the way. Each
// must have told exactly the events of its user, in order.
func TestManyStreamsMissNothing(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		const people, streams, transfers = 10, 20, 30
		users, accounts := make([]*client, people), make([]string, people)
		for i := range users {
			users[i] = r.user()
			accounts[i] = users[i].open("EUR")
			users[i].fund(accounts[i], "100.00", "EUR")
		}
		r.quiet()
		var followers [people][streams]*follower
		var opening sync.WaitGroup
		for i, u := range users {
			opening.Go(func() {
				for n := range streams {
					followers[i][n] = u.follow()
				}
			})
		}
		opening.Wait()
		require.False(t, t.Failed())

		var paying sync.WaitGroup
		for i, u := range users {
			paying.Go(func() {
				for n := range transfers {
					assert.Equal(t, 200, u.transfer(accounts[i], accounts[(i+1+n%(people-1))%people], "0.10", "EUR").status)
				}
			})
		}
		// Meanwhile one stream of each user is cut and resumed after each event.
		expected := func(i int) int { return int(r.eventsOf(users[i].id)) - 3 }
		resumed := make([][]frame, people)
		var cutting sync.WaitGroup
		for i, u := range users {
			cutting.Go(func() {
				f := followers[i][0]
				for range 4 {
					resumed[i] = append(resumed[i], f.events(1)...)
					f.leave()
					f = u.follow("Last-Event-ID", f.last)
				}
				followers[i][0] = f
			})
		}
		paying.Wait()
		cutting.Wait()
		require.False(t, t.Failed())
		for i := range users {
			n := expected(i)
			require.GreaterOrEqual(t, n, 2*transfers)
			want := followers[i][1].events(n)
			for k := 2; k < streams; k++ {
				require.Equal(t, want, followers[i][k].events(n))
			}
			require.Equal(t, want, append(resumed[i], followers[i][0].events(n-len(resumed[i]))...))
			ids := map[string]bool{}
			for _, f := range want {
				e := f.cloudEvent(t)
				ids[e.ID] = true
				require.Equal(t, users[i].id, e.Data.UserID)
			}
			require.Len(t, ids, n, "none twice")
		}
	}, func(_ *Config, o *Options) { o.Streams.PerUser = 40 })
}

// eventsOf is how many events of the log concern the user.
func (r *rig) eventsOf(user string) int64 {
	return r.count(`SELECT COUNT(*) FROM payment_events e JOIN transactions t ON t.id = e.transaction_id
		WHERE t.user_id = ? OR (t.user_id <> ? AND t.counterparty_account_id IN (SELECT id FROM accounts WHERE user_id = ?))`, user, user, user)
}
