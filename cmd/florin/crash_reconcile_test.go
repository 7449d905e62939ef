package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// unheard is a downtime after which what came by no webhook is asked about and listed, and after which a killed server's lease
// is over.
const unheard = 3 * time.Minute

// Where the server dies that learns of a payment without its webhook: by asking, or from the list.
var inReconciler = plan(crashPlan{deposits: {"e1", "e2", "e3"}, withdrawals: {"e1", "e2", "e3"}})

// TestF64_KilledWhileReconciling: every webhook is lost, and the server that comes back dies while it catches up. The next one
// finds duplicates, and nothing else.
func TestF64_KilledWhileReconciling(t *testing.T) {
	eachCrash(t, inReconciler, func(w *crashWorld, point string) {
		q := w.opened()
		payment := q.payment()
		w.app.Bank.SetWebhookURL("")
		w.complete(payment)
		w.shut()
		w.server.terminate(w.t)
		w.server = nil
		w.advance(unheard)
		w.startArmed = point
		w.start()
		w.server.awaitKill(w.t, point)
		w.server, w.startArmed, w.died = nil, "", point
		applied := map[string]int64{"entries": 2, "effects": 1}
		w.look(func() {
			traces := q.traces(payment)
			delete(traces, "inbox") // one where it was listed, none where it was asked about
			if point == "e3" {
				require.Equal(w.t, applied, traces, "committed")
			} else {
				require.Equal(w.t, map[string]int64{"entries": 0, "effects": 0}, traces, "nothing has happened")
			}
		})
		w.returns(unheard)
		w.await(q.id, "completed")
		w.look(func() {
			w.until(func() bool {
				return w.count("SELECT COUNT(*) FROM inbox WHERE payment_id = ? AND kind = 'payment.completed'", payment) == 1
			},
				"the event is listed")
		})
		q.completed()
		w.look(func() {
			traces := q.traces(payment)
			require.EqualValues(w.t, 1, traces["inbox"], "one row, however often it was told")
			delete(traces, "inbox")
			require.Equal(w.t, applied, traces)
		})
	})
}
