package bank

import (
	"net/http"
	"slices"
	"time"
)

// moved is what came of a payment where that is not what was asked.
type moved struct {
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
}

// refund is money of a payment that goes back to its payer.
type refund struct {
	ID            string     `json:"id"`
	TransactionID string     `json:"transaction_id,omitempty"` // the customer's own id of it, "" where the bank began it
	Amount        int64      `json:"amount"`
	State         State      `json:"state"` // pending, completed or failed; a completed one can still fail
	Failure       *Failure   `json:"failure,omitempty"`
	DueAt         *time.Time `json:"due_at,omitempty"` // when it completes by itself
	CreatedAt     time.Time  `json:"created_at"`
	UpdatedAt     time.Time  `json:"updated_at"`
}

// dispute is money of a payment that the bank has taken back because its payer disputes it.
type dispute struct {
	ID     string       `json:"id"`
	Amount int64        `json:"amount"`
	State  disputeState `json:"state"`
	Turn   int          `json:"turn,omitempty"` // how often the money was taken, from 2 on
}

type disputeState string

const (
	disputeOpen disputeState = "open"
	disputeWon  disputeState = "won"
	disputeLost disputeState = "lost"
)

// came is what the payment has moved.
func (p *payment) came() moved {
	if p.Moved != nil {
		return *p.Moved
	}
	return moved{p.Amount, p.Currency}
}

// left is what of a completed payment is neither refunded, nor on its way back, nor disputed, nor returned.
func (p *payment) left() int64 {
	rest := p.came().Amount - p.Returned
	for _, r := range p.Refunds {
		if r.State != StateFailed {
			rest -= r.Amount
		}
	}
	for _, d := range p.Disputes {
		if d.State != disputeWon {
			rest -= d.Amount
		}
	}
	return rest
}

// part is the amount asked for, or all that is left for 0. It is refused where the payment is not a completed one of the kind, and
// where it is more than what is left.
func (p *payment) part(kind Kind, amount int64) (int64, error) {
	if p.Kind != kind || p.State != StateCompleted {
		return 0, &refusal{http.StatusConflict, "not_completed", "That takes a completed " + string(kind) + "."}
	}
	rest := p.left()
	if amount == 0 {
		amount = rest
	}
	if amount <= 0 || amount > rest {
		return 0, &refusal{http.StatusUnprocessableEntity, "amount_exceeds_payment", "The amount is more than what is left of the payment."}
	}
	return amount, nil
}

// notice is a webhook about a part of the payment.
func (p *payment) notice(kind string, amount int64, now time.Time, name func(*webhookData)) (*webhook, error) {
	data := p.data()
	data.Amount = amount
	name(&data)
	return newNotice(kind, data, now)
}

func (p *payment) refundNotice(r refund, now time.Time) (*webhook, error) {
	kind := "payment.refunded"
	if r.State == StateFailed {
		kind = "refund.failed"
	}
	return p.notice(kind, r.Amount, now, func(d *webhookData) {
		d.RefundID, d.RefundTransactionID, d.Failure = r.ID, r.TransactionID, r.Failure
	})
}

func (p *payment) disputeNotice(d dispute, now time.Time) (*webhook, error) {
	kind := map[disputeState]string{disputeOpen: "payment.disputed", disputeWon: "payment.dispute_won", disputeLost: "payment.dispute_lost"}[d.State]
	return p.notice(kind, d.Amount, now, func(data *webhookData) {
		data.DisputeID, data.Turn = d.ID, d.Turn
	})
}

// moveRefund takes the refund at the index to a state, on a list of its own.
func (p *payment) moveRefund(i int, to State, failure *Failure, now time.Time) (*webhook, error) {
	p.Refunds = slices.Clone(p.Refunds)
	r := &p.Refunds[i]
	r.State, r.Failure, r.UpdatedAt = to, failure, now
	return p.refundNotice(*r, now)
}

func (p *payment) moveDispute(i int, to disputeState, now time.Time) (*webhook, error) {
	p.Disputes = slices.Clone(p.Disputes)
	d := &p.Disputes[i]
	if d.State == disputeWon { // the bank takes again what it had given back
		d.Turn = max(1, d.Turn) + 1
	}
	d.State = to
	return p.disputeNotice(*d, now)
}

func one(w *webhook, err error) ([]*webhook, error) {
	if err != nil {
		return nil, err
	}
	return []*webhook{w}, nil
}

// The steps that scenarios are made of.

// refundAll is the bank's own refund of all that is left, done at once.
func refundAll(p *payment, now time.Time) ([]*webhook, error) {
	made := refund{ID: shortID("re_"), Amount: p.left(), State: StateCompleted, CreatedAt: now, UpdatedAt: now}
	p.Refunds = append(slices.Clone(p.Refunds), made)
	return one(p.refundNotice(made, now))
}

func failRefund(p *payment, now time.Time) ([]*webhook, error) {
	return one(p.moveRefund(len(p.Refunds)-1, StateFailed, refundFailure(), now))
}

func refundFailure() *Failure {
	return &Failure{Code: "refund_failed", Message: "The payer's bank did not take the refund."}
}

func openDispute(p *payment, now time.Time) ([]*webhook, error) {
	made := dispute{ID: shortID("dp_"), Amount: p.left(), State: disputeOpen}
	p.Disputes = append(slices.Clone(p.Disputes), made)
	return one(p.disputeNotice(made, now))
}

func endDispute(to disputeState) step {
	return func(p *payment, now time.Time) ([]*webhook, error) {
		return one(p.moveDispute(len(p.Disputes)-1, to, now))
	}
}

// failPaid: the bank says that it paid, and then that it did not.
func failPaid(p *payment, now time.Time) ([]*webhook, error) {
	p.State, p.Failure = StateFailed, &Failure{Code: "account_unknown", Message: "The payment came back."}
	return one(newWebhook(p, now))
}

// returnPaid sends a payout back whole; money that came in has nowhere to return to and stays.
func returnPaid(p *payment, now time.Time) ([]*webhook, error) {
	if p.Kind != KindPayout {
		return nil, nil
	}
	return one(p.giveBack(p.left(), now))
}

func (p *payment) giveBack(amount int64, now time.Time) (*webhook, error) {
	if p.Returned > 0 {
		p.Returns = max(1, p.Returns) + 1
	}
	p.Returned += amount
	if p.Returned == p.came().Amount {
		p.State = StateReturned
	}
	return p.notice("payout.returned", amount, now, func(d *webhookData) { d.Turn = p.Returns })
}

// feeOf is what the scenario takes: 1 %, and at least one minor unit.
func feeOf(amount int64) int64 { return max(1, amount/100) }

func takeFee(p *payment, now time.Time) ([]*webhook, error) {
	p.Fee = feeOf(p.came().Amount)
	return one(p.notice("payment.fee", p.Fee, now, func(d *webhookData) { d.FeeID = "fee_" + p.ID }))
}
