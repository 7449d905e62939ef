package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"

	"florin/domain/account"
	"florin/domain/money"
	"florin/infra/database/databasetest/oracle"
)

// provider is the name of the model bank in the books.
const provider = "mock"

// errLost is an answer that never came.
var errLost = errors.New("the answer was lost")

// payment is a payment or a payout at the model bank.
type payment struct {
	oracle.Payment
	out     bool // a payout
	account uuid.UUID
	after   int // refunds, disputes and other parts that it has had
}

// notice is a webhook that the bank wants to deliver.
type notice struct {
	event account.PaymentReceivedEvent
	// matters is one whose loss nothing but the bank's list of events would mend.
	matters bool
}

// bank is a payment provider in memory: it keeps its own ledger, honours idempotency keys, and loses calls and answers as the
// history's dice say. It serves one goroutine at a time.
type bank struct {
	random   *rand.Rand
	now      account.Clock
	payments []*payment
	byKey    map[string]*payment // nil for a key that was refused
	outbox   []notice
	events   int
	// calm ends all trouble, for the end of a history.
	calm bool
	// die is called where the server dies in the middle of a call.
	die func()
}

func newBank(random *rand.Rand, now account.Clock) *bank {
	return &bank{random: random, now: now, byKey: map[string]*payment{}}
}

// trouble is what happens to one call.
type trouble int

const (
	fine trouble = iota
	lostBefore
	lostAfter
	retryLater
	dieBefore
	dieAfter
)

func (b *bank) trouble() trouble {
	if b.calm {
		return fine
	}
	switch n := b.random.IntN(100); {
	case n < 6:
		return lostBefore
	case n < 16:
		return lostAfter
	case n < 19:
		return retryLater
	case n < 22:
		return dieBefore
	case n < 26:
		return dieAfter
	default:
		return fine
	}
}

// call runs what a call does at the bank, unless the call does not arrive, and loses the answer where it is to be lost.
func (b *bank) call(do func() error) error {
	t := b.trouble()
	switch t {
	case lostBefore, dieBefore:
		if t == dieBefore {
			b.die()
		}
		return &account.ProviderError{Class: account.ErrProviderUnknown, Cause: errLost}
	case retryLater:
		return &account.ProviderError{Class: account.ErrProviderRetryable, RetryAfter: 2 * time.Second}
	}
	err := do()
	switch t {
	case dieAfter:
		b.die()
	case lostAfter:
	default:
		return err
	}
	return &account.ProviderError{Class: account.ErrProviderUnknown, Cause: errLost}
}

// Name implements account.PaymentProvider.
func (b *bank) Name() string { return provider }

// InitiateDeposit implements account.PaymentProvider.
func (b *bank) InitiateDeposit(_ context.Context, in account.DepositInstruction) (account.Initiation, error) {
	return b.initiate(in.IdempotencyKey, in.TransactionID, in.AccountID, in.Amount, false)
}

// InitiateWithdraw implements account.PaymentProvider.
func (b *bank) InitiateWithdraw(_ context.Context, in account.WithdrawInstruction) (account.Initiation, error) {
	return b.initiate(in.IdempotencyKey, in.TransactionID, in.AccountID, in.Amount, true)
}

func (b *bank) initiate(key string, transactionID, accountID uuid.UUID, amount money.Money, out bool) (got account.Initiation, err error) {
	err = b.call(func() error {
		p, known := b.byKey[key]
		if !known {
			if b.random.IntN(12) > 0 {
				p = &payment{out: out, account: accountID}
				p.ID, p.TransactionID = fmt.Sprintf("pay-%d", len(b.payments)+1), transactionID.String()
				p.Amount, p.Currency, p.State = amount.Minor(), amount.Currency().Code(), "pending"
				b.payments = append(b.payments, p)
				b.tell(p, account.ReceivedPending, "", p.Amount, false)
			}
			b.byKey[key] = p
		}
		if p == nil {
			return &account.ProviderError{Class: account.ErrProviderRefused, Code: "declined", Message: "The payment was declined."}
		}
		got.PaymentID = p.ID
		if !known && !b.calm && b.random.IntN(10) == 0 {
			b.settle(p, "completed")
			got.Report = p.report(b.now())
		}
		return nil
	})
	if err != nil {
		return account.Initiation{}, err
	}
	return got, nil
}

func (p *payment) report(now time.Time) account.PaymentReport {
	r := account.PaymentReport{PaymentID: p.ID, TransactionID: uuid.MustParse(p.TransactionID), Kind: account.ReceivedPending,
		Amount: p.Amount, Currency: p.Currency, OccurredAt: now}
	switch p.State {
	case "completed", "returned":
		r.Kind, r.Amount = account.ReceivedCompleted, p.Came()
	case "failed":
		r.Kind, r.Failure = account.ReceivedFailed, &account.Failure{Code: "declined", Message: "The payment was declined."}
	}
	return r
}

// GetPaymentStatus implements account.PaymentProvider. It never lags.
func (b *bank) GetPaymentStatus(_ context.Context, ref account.PaymentRef) (report account.PaymentReport, err error) {
	return b.about(ref, func(*payment) {})
}

// CancelPayment implements account.PaymentProvider.
func (b *bank) CancelPayment(_ context.Context, ref account.PaymentRef) (account.PaymentReport, error) {
	return b.about(ref, func(p *payment) {
		if p.State == "pending" {
			b.settle(p, "failed")
		}
	})
}

func (b *bank) about(ref account.PaymentRef, do func(*payment)) (report account.PaymentReport, err error) {
	err = b.call(func() error {
		i := slices.IndexFunc(b.payments, func(p *payment) bool {
			return p.ID == ref.PaymentID || (ref.PaymentID == "" && p.TransactionID == ref.TransactionID.String())
		})
		if i < 0 {
			return &account.ProviderError{Class: account.ErrProviderNotFound}
		}
		do(b.payments[i])
		report = b.payments[i].report(b.now())
		return nil
	})
	return report, err
}

var errNotThere = errors.New("the model bank has no such call")

// RefundPayment implements account.PaymentProvider.
func (b *bank) RefundPayment(context.Context, account.RefundInstruction) (account.Initiation, error) {
	return account.Initiation{}, errNotThere
}

// Consult implements account.PaymentProvider.
func (b *bank) Consult(context.Context, account.PaymentReceivedEvent) ([]account.PaymentReceivedEvent, error) {
	return nil, errNotThere
}

// ListEvents implements account.PaymentProvider.
func (b *bank) ListEvents(context.Context, string) ([]account.PaymentReceivedEvent, string, error) {
	return nil, "", errNotThere
}

// ParseWebhook implements account.PaymentProvider: the notices of the model bank are no bytes.
func (b *bank) ParseWebhook([]byte, http.Header) (account.PaymentReceivedEvent, error) {
	return account.PaymentReceivedEvent{}, account.ErrWebhookMalformed
}

// SignsWebhook implements account.PaymentProvider.
func (b *bank) SignsWebhook(http.Header) bool { return false }

// tell puts a notice in the outbox.
func (b *bank) tell(p *payment, kind account.ReceivedKind, ref string, amount int64, matters bool) {
	b.events++
	id := fmt.Sprintf("evt-%d", b.events)
	e := account.PaymentReceivedEvent{Provider: provider, EventID: id, Kind: kind, Type: string(kind), PaymentID: p.ID, Ref: ref,
		TransactionID: uuid.MustParse(p.TransactionID), Amount: amount, Currency: p.Currency, OccurredAt: b.now(),
		Cause: account.CauseWebhook, Raw: []byte(id)}
	if kind == account.ReceivedFailed {
		e.Failure = &account.Failure{Code: "declined", Message: "The payment was declined."}
	}
	b.outbox = append(b.outbox, notice{e, matters})
}

// settle ends a payment, or completes one that had failed.
func (b *bank) settle(p *payment, state string) {
	late := p.State == "failed"
	p.State = state
	if state == "failed" {
		b.tell(p, account.ReceivedFailed, "", p.Amount, false)
		return
	}
	if !b.calm {
		switch n := b.random.IntN(20); {
		case n == 0 && !p.out:
			p.Moved = &oracle.Moved{Amount: max(1, p.Amount/2), Currency: p.Currency}
		case n == 1:
			p.Moved = &oracle.Moved{Amount: p.Amount + 100, Currency: p.Currency}
		}
	}
	b.tell(p, account.ReceivedCompleted, "", p.Came(), late)
}

// move lets something happen at the bank.
func (b *bank) move() string {
	if len(b.payments) == 0 {
		return "the bank rests"
	}
	p := b.payments[b.random.IntN(len(b.payments))]
	switch {
	case p.State == "pending" && b.random.IntN(5) == 0:
		b.settle(p, "failed")
	case p.State == "pending":
		b.settle(p, "completed")
	case p.State == "failed" && b.random.IntN(10) == 0:
		b.settle(p, "completed")
	case p.State == "completed" && p.after == 0 && (p.Came() <= p.Amount || !p.out) &&
		b.random.IntN(3) == 0:
		b.part(p)
	default:
		return "the bank rests"
	}
	return fmt.Sprintf("%s is %s", p.ID, p.State)
}

// part is what happens to a completed payment behind its completion: never more than once to one payment.
func (b *bank) part(p *payment) {
	p.after++
	amount := p.Came()
	if b.random.IntN(2) == 0 {
		amount = max(1, amount/3)
	}
	ref := fmt.Sprintf("part-%s", p.ID)
	switch n := b.random.IntN(7); {
	case p.out && n < 4:
		p.Returned = amount
		if amount == p.Came() {
			p.State = "returned"
		}
		b.tell(p, account.ReceivedPayoutReturned, "", amount, true)
	case p.out:
	case n == 0:
		p.Fee = amount
		b.tell(p, account.ReceivedFee, ref, amount, true)
	case n < 4:
		p.Refunds = []oracle.Part{{Amount: amount, State: "completed"}}
		b.tell(p, account.ReceivedRefunded, ref, amount, true)
		if b.random.IntN(3) == 0 {
			p.Refunds[0].State = "failed"
			b.tell(p, account.ReceivedRefundFailed, ref, amount, true)
		}
	default:
		b.dispute(p, ref, amount)
	}
	// what was refunded is disputed too: more is taken than came
	if len(p.Refunds) > 0 && b.random.IntN(4) == 0 {
		b.dispute(p, ref+"-dispute", p.Came())
	}
}

// dispute takes money back; some of it comes back, and some of that is taken again.
func (b *bank) dispute(p *payment, ref string, amount int64) {
	p.Disputes = []oracle.Part{{Amount: amount, State: "lost"}}
	b.tell(p, account.ReceivedDisputed, ref, amount, true)
	for turn := 1; b.random.IntN(2) == 0; turn++ {
		p.Disputes[0].State = "won"
		b.tell(p, account.ReceivedDisputeWon, ref, amount, true)
		b.outbox[len(b.outbox)-1].event.Turn = turn
		if b.random.IntN(2) == 0 {
			return
		}
		p.Disputes[0].State = "lost"
		b.tell(p, account.ReceivedDisputed, ref, amount, true)
		b.outbox[len(b.outbox)-1].event.Turn = turn + 1
	}
}

// ledger is what the bank says of itself.
func (b *bank) ledger() oracle.Ledger {
	l := oracle.Ledger{}
	for _, p := range b.payments {
		l.Payments = append(l.Payments, p.Payment)
	}
	return l
}
