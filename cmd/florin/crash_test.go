package main

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Where a client's request dies. What has answered nothing has stored nothing before c6, and everything from there on.
var (
	beforeCommit = plan(crashPlan{deposits: {"c1", "c2", "c3", "c5"}, withdrawals: {"c1", "c2", "c3", "c4", "c5"}})
	afterCommit  = plan(crashPlan{deposits: {"c6", "p1", "p5", "c7"}, withdrawals: {"c6", "p1", "p5", "c7"}})
	atProvider   = plan(crashPlan{deposits: {"p2", "p3", "p4"}, withdrawals: {"p2", "p3", "p4"}})
	answered5xx  = plan(crashPlan{deposits: {"p1", "p6"}, withdrawals: {"p1", "p6"}})
	inTransfer   = plan(crashPlan{transfers: {"c1", "c3", "c2", "w4", "c5", "w5", "c6", "c7"}})
	inRelay      = plan(crashPlan{deposits: {"r1", "r2", "r3"}, withdrawals: {"r1", "r2", "r3"}, transfers: {"r1", "r2", "r3"}})
	inSubscriber = plan(crashPlan{deposits: {"k1", "k2", "k3"}, withdrawals: {"k1", "k2", "k3"}, transfers: {"k1", "k2", "k3"}})
)

func TestF3_KilledBeforeTheFirstCommit(t *testing.T) {
	eachCrash(t, beforeCommit, func(w *crashWorld, point string) {
		q := w.newRequest()
		calls := w.tap.calls()
		w.dies(point, q.send)
		require.Error(w.t, q.lost, "no answer")
		w.look(func() { require.Zero(w.t, q.rows(), "no row") })
		w.returns(downtime)
		require.Equal(w.t, calls, w.tap.calls(), "no provider call")
		q.retry()
		require.Empty(w.t, q.again.header.Get("Idempotency-Replayed"), "the retry is the first that is known of")
		q.finish()
	})
}

func TestF4_KilledBetweenCommitAndReply(t *testing.T) {
	eachCrash(t, afterCommit, func(w *crashWorld, point string) {
		q := w.newRequest()
		calls := w.tap.calls()
		w.dies(point, q.send)
		w.look(func() {
			require.EqualValues(w.t, 1, q.rows())
			status := map[string]string{"c6": "initiated", "p1": "initiated", "p5": "pending", "c7": "pending"}[point]
			require.EqualValues(w.t, 1, w.count("SELECT COUNT(*) FROM transactions WHERE id = ? AND status = ?", q.stored(), status), status)
		})
		if point == "c6" || point == "p1" {
			require.Error(w.t, q.lost)
			require.Equal(w.t, calls, w.tap.calls(), "no provider call")
		}
		if point == "c7" {
			require.NoError(w.t, q.lost, "the reply had left")
		}
		w.returns(downtime)
		q.retry()
		q.finish()
	})
}

// TestF22_KilledWhenTheProviderHadAccepted holds the provider's webhooks back until the payment is pending: it is the same
// call under the same key that finds it again.
func TestF22_KilledWhenTheProviderHadAccepted(t *testing.T) {
	eachCrash(t, atProvider, func(w *crashWorld, point string) {
		q := w.newRequest()
		w.dies(point, func() {
			w.app.Bank.SetWebhookURL("")
			q.send()
		})
		require.Error(w.t, q.lost)
		w.look(func() {
			require.EqualValues(w.t, 1, w.count("SELECT COUNT(*) FROM transactions WHERE id = ? AND status = 'initiated' AND payment_id IS NULL", q.stored()))
		})
		w.returns(downtime)
		q.retry()
		w.await(q.id, "pending")
		q.oneAtTheBank()
		if point != "p2" { // where it is not known whether the first call has arrived
			require.Len(w.t, w.tap.under(q.id), 2, "the call and its repeat")
		}
		q.finish()
	})
}

func TestF90_KilledAtEveryStatementOfATransfer(t *testing.T) {
	eachCrash(t, inTransfer, func(w *crashWorld, point string) {
		q := w.newRequest()
		w.dies(point, q.send)
		committed := point == "c6" || point == "c7"
		if point != "c7" {
			require.Error(w.t, q.lost)
		}
		w.look(func() {
			if !committed {
				require.Zero(w.t, q.rows())
				require.EqualValues(w.t, w.received, w.count("SELECT posted FROM accounts WHERE id = ?", w.friends))
				require.EqualValues(w.t, w.posted, w.count("SELECT posted FROM accounts WHERE id = ?", w.main))
				return
			}
			require.EqualValues(w.t, 1, q.rows())
			require.EqualValues(w.t, 4, w.count("SELECT COUNT(*) FROM entries WHERE transaction_id = ?", q.stored()))
			require.EqualValues(w.t, 1, w.count("SELECT COUNT(*) FROM idempotency_keys WHERE resource_id = ? AND finished_at IS NOT NULL", q.stored()))
		})
		w.returns(downtime)
		q.retry()
		require.Equal(w.t, 200, q.again.status)
		require.Equal(w.t, committed, q.again.header.Get("Idempotency-Replayed") == "true")
		q.finish()
	})
}

func TestF107_KilledBetweenCommitAndRelay(t *testing.T) {
	eachCrash(t, inRelay, func(w *crashWorld, point string) {
		q := w.newRequest()
		w.dies(point, q.send)
		w.look(func() {
			require.EqualValues(w.t, 1, q.rows())
			events := w.count("SELECT COUNT(*) FROM payment_events WHERE transaction_id = ?", q.stored())
			waiting := w.count("SELECT COUNT(*) FROM payment_events e JOIN event_batches b ON b.id = e.batch_id WHERE transaction_id = ? AND position IS NULL", q.stored())
			if point == "r3" {
				require.Less(w.t, waiting, events, "positions are committed")
			} else {
				require.Equal(w.t, waiting, events, "no position is committed")
			}
		})
		w.returns(downtime)
		q.retry()
		q.finish()
	})
}

func TestF108_KilledBetweenDeliveryAndCursor(t *testing.T) {
	eachCrash(t, inSubscriber, func(w *crashWorld, point string) {
		q := w.newRequest()
		repeats := w.repeats
		w.dies(point, q.send)
		w.returns(downtime)
		q.retry()
		q.finish()
		if point == "k2" {
			repeats++
		}
		require.Equal(w.t, repeats, w.repeats, "events that came twice")
	})
}

// crashRequest is one request of a client, and all that becomes of it.
type crashRequest struct {
	w          *crashWorld
	path, body string
	key        string

	first answer // where lost is nil
	lost  error
	again answer // to the retry
	id    string // of its transaction, as a client learns it
}

// newRequest is one of 10.00 EUR in the world's flow, under a new key.
func (w *crashWorld) newRequest() *crashRequest {
	w.asked++
	q := &crashRequest{w: w, path: "/account/" + w.main + "/" + w.flow, key: fmt.Sprintf("request-%d", w.asked)}
	more := map[string]string{
		deposits:    `"money_source":"card"`,
		withdrawals: `"external_target":{"bank_account_number":"DE89370400440532013000"}`,
		transfers:   fmt.Sprintf(`"destination_account_id":%q`, w.friends),
	}[w.flow]
	// A client's own reference tells the requests apart in the database, whether or not they were ever answered.
	q.body = fmt.Sprintf(`{"amount":"10.00","currency":"EUR","metadata":{"order":%q},%s}`, q.key, more)
	return q
}

func (q *crashRequest) once() (answer, error) {
	response, content, err := q.w.try(context.Background(), http.MethodPost, q.path, []byte(q.body), q.header())
	if err != nil {
		return answer{}, err
	}
	q.w.contract.Check(q.w.t, response.Request, response, content)
	return answer{response.StatusCode, response.Header, content}, nil
}

func (q *crashRequest) header() http.Header {
	return http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + q.w.me.token}, "Idempotency-Key": {q.key}}
}

// send sends it to a server that is about to die.
func (q *crashRequest) send() { q.first, q.lost = q.once() }

// rows is how many transactions there are for the request.
func (q *crashRequest) rows() int64 {
	return q.w.count("SELECT COUNT(*) FROM transactions WHERE metadata LIKE ?", `%"`+q.key+`"%`)
}

// stored is the id of the request's transaction in the database.
func (q *crashRequest) stored() (id string) {
	err := q.w.app.DB.Reader().WithContext(context.Background()).
		Raw("SELECT id FROM transactions WHERE metadata LIKE ?", `%"`+q.key+`"%`).Row().Scan(&id)
	require.NoError(q.w.t, err)
	return id
}

// retry sends it again, as a client does that has not heard, and proves that it is still one request.
func (q *crashRequest) retry() {
	t := q.w.t
	t.Helper()
	before := ""
	q.w.look(func() {
		if q.rows() > 0 {
			before = q.stored()
		}
	})
	var err error
	q.again, err = q.once()
	require.NoError(t, err)
	require.Contains(t, []int{200, 202}, q.again.status, "%s", q.again.body)
	q.id = q.again.text(t, "id")
	if before != "" {
		require.Equal(t, before, q.id, "the transaction that was committed")
		require.Equal(t, "true", q.again.header.Get("Idempotency-Replayed"))
	}
	if q.lost == nil {
		require.Equal(t, q.first.status, q.again.status)
		require.Equal(t, string(q.first.body), string(q.again.body), "the first answer, byte for byte")
	}
	q.w.look(func() { require.EqualValues(t, 1, q.rows()) })
}

// finish has the payment completed and everything settled and checked.
func (q *crashRequest) finish() {
	w := q.w
	w.t.Helper()
	switch w.flow {
	case deposits, withdrawals:
		w.await(q.id, "pending")
		if w.flow == withdrawals {
			w.held += 10_00
		}
		require.Equal(w.t, w.balanceNow(), w.me.balance(w.main), "a hold is kept, and nothing else has moved")
		q.oneAtTheBank()
		w.complete(q.payment())
	}
	q.completed()
}

// completed books the request in the model, once its money has moved or is about to.
func (q *crashRequest) completed() {
	w := q.w
	w.t.Helper()
	w.deliver()
	w.await(q.id, "completed")
	switch w.flow {
	case deposits:
		w.posted += 10_00
	case withdrawals:
		w.posted, w.held = w.posted-10_00, w.held-10_00
	case transfers:
		w.posted, w.received = w.posted-10_00, w.received+10_84
	}
	w.settle()
	last, err := q.once()
	require.NoError(w.t, err)
	assert.Equal(w.t, string(q.again.body), string(last.body), "every further repeat gets the same answer")
	assert.Equal(w.t, q.again.status, last.status)
}

// payment is the bank's id of the payment.
func (q *crashRequest) payment() string {
	return q.w.me.do("GET", "/transaction/"+q.id, "").text(q.w.t, "payment_id")
}

// oneAtTheBank: for one transaction of ours the bank has one payment.
func (q *crashRequest) oneAtTheBank() {
	q.w.t.Helper()
	list := q.w.bank("GET", "/payments?transaction_id="+q.id, "").json(q.w.t)["data"]
	require.Len(q.w.t, list, 1)
}
