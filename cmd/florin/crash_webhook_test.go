package main

import (
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"florin/pkg/crashpoint"
)

// shortly is a downtime that outlives the leases of a killed server, but lets no open payment fall due.
const shortly = 4 * time.Second

// Where a confirmation dies, in the order of its statements. w5 is hit by each balance: of the hold, then of the account.
var (
	inConfirmation = plan(crashPlan{
		deposits:    {"w1", "w2", "w3", "w4", "w6", "w5"},
		withdrawals: {"w1", "w2", "w3", "w4", "w6", "w5", "w5:2"}})
	behindConfirmation = plan(crashPlan{deposits: {"w7", "w8"}, withdrawals: {"w7", "w8"}})
	storedAlone        = plan(crashPlan{deposits: {"f1", "w8", "f2", "f3"}})
	beforeCall         = plan(crashPlan{deposits: {"p1"}})
	holding            = plan(crashPlan{withdrawals: {"p1", "p3"}})
	stopping           = plan(crashPlan{deposits: {"s1", "s2"}, withdrawals: {"s1", "s2"}})
)

func TestF61_KilledAtEveryStatementOfTheConfirmation(t *testing.T) {
	eachCrash(t, inConfirmation, func(w *crashWorld, point string) {
		q := w.opened()
		payment := q.payment()
		w.dies(point, func() { w.complete(payment) })
		w.look(func() {
			require.EqualValues(w.t, 1, w.count("SELECT COUNT(*) FROM transactions WHERE id = ? AND status = 'pending'", q.id))
			for table, rows := range q.traces(payment) {
				require.Zero(w.t, rows, "%s: all is rolled back", table)
			}
		})
		w.returns(shortly)
		require.Equal(w.t, w.balanceNow(), w.me.balance(w.main), "nothing has moved yet")
		q.completed()
		w.look(func() {
			require.Equal(w.t, map[string]int64{"entries": 2, "effects": 1, "inbox": 1}, q.traces(payment))
		})
	})
}

func TestF59_KilledBetweenCommitAndAcknowledgement(t *testing.T) {
	eachCrash(t, behindConfirmation, func(w *crashWorld, point string) {
		q := w.opened()
		payment := q.payment()
		w.dies(point, func() { w.complete(payment) })
		once := map[string]int64{"entries": 2, "effects": 1, "inbox": 1}
		w.look(func() {
			require.EqualValues(w.t, 1, w.count("SELECT COUNT(*) FROM transactions WHERE id = ? AND status = 'completed'", q.id))
			require.Equal(w.t, once, q.traces(payment))
		})
		if point == "w8" {
			w.until(func() bool { return w.app.Bank.PendingWebhooks() == 0 }, "the 200 reached the bank")
		} else {
			require.Equal(w.t, 1, w.app.Bank.PendingWebhooks(), "the bank was not answered and sends it again")
		}
		w.returns(shortly)
		q.completed()
		w.look(func() { require.Equal(w.t, once, q.traces(payment)) })
	})
}

// TestF60_KilledWithAnEventStoredAlone: a success after a failure is stored alone, because the bank must be asked first.
// The bank's webhooks are held back, so that it is the stored event that is worked off; no clock moves.
func TestF60_KilledWithAnEventStoredAlone(t *testing.T) {
	eachCrash(t, storedAlone, func(w *crashWorld, point string) {
		q := w.opened()
		payment := q.payment()
		w.fail(payment)
		w.await(q.id, "failed")
		w.until(func() bool { return w.app.Bank.PendingWebhooks() == 0 }, "the bank's notices are delivered")
		w.dies(point, func() {
			late := w.bank("POST", "/payments/"+payment+"/complete", `{"force":true}`)
			require.Equal(w.t, 200, late.status, "%s", late.body)
		})
		w.look(func() {
			stored := w.count("SELECT COUNT(*) FROM inbox WHERE payment_id = ? AND kind = 'payment.completed' AND status = 'received' AND reason = 'ask_provider'", payment)
			if point == "f3" {
				require.Zero(w.t, stored, "worked off")
			} else {
				require.EqualValues(w.t, 1, stored, "stored without its effect")
				require.EqualValues(w.t, 1, w.count("SELECT COUNT(*) FROM transactions WHERE id = ? AND status = 'failed'", q.id))
			}
		})
		if point != "f1" {
			w.until(func() bool { return w.app.Bank.PendingWebhooks() == 0 }, "the 200 reached the bank")
		}
		w.returns(0)
		restarted := time.Now()
		w.await(q.id, "completed")
		require.Less(w.t, time.Since(restarted), 5*time.Second)
		q.completed()
		w.look(func() {
			require.EqualValues(w.t, 2, w.count("SELECT COUNT(*) FROM entries WHERE transaction_id = ?", q.id))
			require.EqualValues(w.t, 1, w.count("SELECT COUNT(*) FROM reviews WHERE transaction_id = ? AND kind = 'late_success'", q.id))
		})
	})
}

// TestF21_KilledBetweenCommitAndProviderCall moves no clock: the times are those of a real restart.
func TestF21_KilledBetweenCommitAndProviderCall(t *testing.T) {
	eachCrash(t, beforeCall, func(w *crashWorld, point string) {
		q := w.newRequest()
		w.dies(point, q.send)
		id := ""
		w.look(func() {
			id = q.stored()
			require.EqualValues(w.t, 1, w.count("SELECT COUNT(*) FROM transactions WHERE id = ? AND status = 'initiated'", id))
		})
		w.returns(0)
		restarted := time.Now()
		early, err := q.once()
		require.NoError(w.t, err)
		require.Equal(w.t, 409, early.status, "the lock of the key outlives its holder: %s", early.body)
		require.Contains(w.t, []string{"5", "6", "7"}, early.header.Get("Retry-After"))
		w.await(id, "pending")
		require.Less(w.t, time.Since(restarted), 10*time.Second)
		require.Len(w.t, w.tap.under(id), 1)
		require.Contains(w.t, w.tap.keys(), "florin_"+id+"_1_deposit", "the provider's key is derived")
		q.retry()
		require.Equal(w.t, 202, q.again.status)
		q.finish()
	})
}

// TestF12_FirstTryEndedWith502 has a gateway between client and server, which answers for the server when it dies.
func TestF12_FirstTryEndedWith502(t *testing.T) {
	eachCrash(t, answered5xx, func(w *crashWorld, point string) {
		q := w.newRequest()
		behind := ""
		gateway := httptest.NewServer(&httputil.ReverseProxy{
			Transport: w.http.Transport, ErrorLog: log.New(io.Discard, "", 0),
			Rewrite: func(r *httputil.ProxyRequest) {
				target, err := url.Parse(behind)
				if err == nil {
					r.SetURL(target)
				}
			}})
		defer gateway.Close()
		ask := func() int {
			w.url = gateway.URL
			response, _, err := w.try(w.t.Context(), http.MethodPost, q.path, []byte(q.body), q.header())
			require.NoError(w.t, err)
			return response.StatusCode
		}
		w.dies(point, func() {
			if point == "p6" {
				w.tap.loseNext()
			}
			behind = w.url
			require.Equal(w.t, http.StatusBadGateway, ask(), "after phase 1")
		})
		require.Equal(w.t, http.StatusBadGateway, ask(), "while it is away")
		w.look(func() { require.EqualValues(w.t, 1, q.rows()) })
		w.returns(downtime)
		q.lost = errors.New("502")
		q.retry()
		q.finish()
	})
}

// TestF75_KilledWithAHold: the hold stays while the payout is unknown, and ends with the payment's deadline at the latest.
func TestF75_KilledWithAHold(t *testing.T) {
	eachCrash(t, holding, func(w *crashWorld, point string) {
		holds := func(q *crashRequest) {
			require.EqualValues(w.t, 1, w.count("SELECT COUNT(*) FROM holds WHERE transaction_id = ? AND status = 'active' AND amount = 1000", q.stored()))
		}
		q := w.newRequest()
		w.dies(point, q.send)
		w.look(func() { holds(q) })
		w.returns(downtime)
		q.retry()
		q.finish()

		q = w.newRequest()
		w.dies(point, q.send)
		w.look(func() { holds(q) })
		w.returns(25 * time.Hour)
		q.retry()
		w.await(q.id, "failed")
		require.Equal(w.t, w.balanceNow(), w.me.balance(w.main), "the hold is released")
		require.Contains(w.t, string(w.me.do("GET", "/transaction/"+q.id, "").body), `"code":"expired"`)
		w.settle()
		payments := w.bank("GET", "/payments?transaction_id="+q.id, "").body
		if point == "p1" {
			require.JSONEq(w.t, `{"data":[]}`, string(payments))
		} else {
			require.Contains(w.t, string(payments), `"state":"canceled"`)
		}
	})
}

// TestF121_KilledWhileItStops: a server that is told to end, and is killed before it has, leaves nothing that the next one does not
// finish.
func TestF121_KilledWhileItStops(t *testing.T) {
	eachCrash(t, stopping, func(w *crashWorld, point string) {
		q := w.opened()
		w.dies(point, func() { require.NoError(w.t, w.server.command.Process.Signal(syscall.SIGTERM)) })
		w.returns(0)
		w.complete(q.payment())
		q.completed()
	})
}

// TestCrashPlansHoldEveryPointOfEachFlow: a point that a run does not reach fails there, and one that no run names fails here.
func TestCrashPlansHoldEveryPointOfEachFlow(t *testing.T) {
	elsewhere := func(point string) bool { return strings.ContainsAny(point[:1], "m") }
	without := func(points ...string) []string {
		return slices.Sorted(slices.Values(slices.DeleteFunc(slices.Clone(crashpoint.All), func(p string) bool {
			return elsewhere(p) || slices.Contains(points, p)
		})))
	}
	planned := crashPlan{}
	for _, p := range allPlans {
		for flow, points := range p {
			for _, point := range points {
				name, _, _ := strings.Cut(point, ":")
				planned[flow] = append(planned[flow], name)
			}
		}
	}
	for flow, points := range map[string][]string{
		deposits:    without("c4"),
		withdrawals: without("f1", "f2", "f3"), // a payout that was made after it had failed is never believed
		transfers:   {"c1", "c2", "c3", "c5", "c6", "c7", "k1", "k2", "k3", "r1", "r2", "r3", "w4", "w5"},
	} {
		slices.Sort(planned[flow])
		require.Equal(t, points, slices.Compact(planned[flow]), flow)
	}
}

// opened is a request of which the payment is pending, with nothing under way.
func (w *crashWorld) opened() *crashRequest {
	w.t.Helper()
	q := w.newRequest()
	q.send()
	require.NoError(w.t, q.lost)
	require.Equal(w.t, 202, q.first.status, "%s", q.first.body)
	q.again, q.id = q.first, q.first.text(w.t, "id")
	w.await(q.id, "pending")
	w.deliver()
	w.until(func() bool { return w.app.Bank.PendingWebhooks() == 0 }, "the bank's notice is delivered")
	if w.flow == withdrawals {
		w.held += 10_00
	}
	return q
}

// traces counts what the completion of a payment leaves behind.
func (q *crashRequest) traces(payment string) map[string]int64 {
	return map[string]int64{
		"entries": q.w.count("SELECT COUNT(*) FROM entries WHERE transaction_id = ?", q.id),
		"effects": q.w.count("SELECT COUNT(*) FROM effects WHERE ref = ?", payment),
		"inbox":   q.w.count("SELECT COUNT(*) FROM inbox WHERE payment_id = ? AND kind = 'payment.completed'", payment),
	}
}

// loginAgain is for tokens that the clock has outrun.
func (w *crashWorld) loginAgain() {
	name := ""
	w.look(func() {
		require.NoError(w.t, w.app.DB.Reader().WithContext(w.t.Context()).Raw("SELECT username FROM users WHERE id = ?", w.me.id).Row().Scan(&name))
	})
	w.me.token = ""
	w.me.login(name)
	w.loggedIn = w.app.Clock()
}
