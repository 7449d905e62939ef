package account_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"florin/domain/account"
	accountsvc "florin/service/account"
)

// paid is a completed deposit.
func (b *bench) paid(id uuid.UUID, amount, code string) *account.Transaction {
	out, err := b.svc.Deposit(b.t.Context(), accountsvc.DepositRequest{Call: b.call(id, amount, code)})
	require.NoError(b.t, err)
	b.confirm(out.Transaction)
	return b.store.transaction(out.Transaction.ID)
}

// part is an event about a part of a payment.
func (b *bench) part(kind account.ReceivedKind, t *account.Transaction, ref string, minor int64) account.PaymentReceivedEvent {
	e := b.webhook(kind, t, minor, t.Amount.Currency().Code())
	e.Ref = ref
	return e
}

func (b *bench) hear(e account.PaymentReceivedEvent) {
	require.NoError(b.t, b.handler.HandlePaymentReceived(b.t.Context(), e))
}

// hearTwice also states the same fact under another event id.
func (b *bench) hearTwice(e account.PaymentReceivedEvent) {
	b.hear(e)
	b.hear(e)
	b.events++
	e.EventID = fmt.Sprint("evt_again_", b.events)
	b.hear(e)
}

// workOff has the worker take up what waits until nothing of it changes any more.
func (b *bench) workOff() {
	for range 10 {
		waiting := 0
		for key, row := range b.store.inbox {
			if row.Status != account.InboxReceived && row.Status != account.InboxParked {
				continue
			}
			require.NoError(b.t, b.svc.Retry(b.t.Context(), &row), key.EventID)
			waiting++
		}
		if waiting == 0 {
			return
		}
	}
}

// followers counts what follows a payment, by type, completed alone.
func (b *bench) followers(of uuid.UUID) map[account.Type]int {
	count := map[account.Type]int{}
	for _, t := range b.store.transactions {
		parent := b.store.transactions[t.LinkedID]
		if t.Status() == account.PaymentStatusCompleted && (t.LinkedID == of || (parent != nil && parent.LinkedID == of)) {
			count[t.Type]++
		}
	}
	return count
}

func permutations(n int, each func(order []int)) {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	var place func(i int)
	place = func(i int) {
		if i == n {
			each(order)
			return
		}
		for j := i; j < n; j++ {
			order[i], order[j] = order[j], order[i]
			place(i + 1)
			order[i], order[j] = order[j], order[i]
		}
	}
	place(0)
}

// TestF72_EveryOrderOfAFlowsEventsComesToTheSame sends each event twice and its fact under another event id, in all 720 orders.
func TestF72_EveryOrderOfAFlowsEventsComesToTheSame(t *testing.T) {
	b := newBench(t)
	permutations(6, func(order []int) {
		id := b.open("EUR")
		out, err := b.svc.Deposit(t.Context(), accountsvc.DepositRequest{Call: b.call(id, "100.00", "EUR")})
		require.NoError(t, err)
		d := out.Transaction
		refund, other, dispute := "re_"+d.ID.String(), "re2_"+d.ID.String(), "dp_"+d.ID.String()
		events := []account.PaymentReceivedEvent{
			b.webhook(account.ReceivedCompleted, d, 10000, "EUR"),
			b.part(account.ReceivedRefunded, d, refund, 3000),
			b.part(account.ReceivedRefundFailed, d, refund, 3000),
			b.part(account.ReceivedDisputed, d, dispute, 5000),
			b.part(account.ReceivedDisputeWon, d, dispute, 5000),
			b.part(account.ReceivedRefunded, d, other, 2000),
		}
		for _, i := range order {
			b.hearTwice(events[i])
		}
		b.workOff()
		require.Equal(t, "80.00", b.store.account(id).Posted().Decimal(), "order %v", order)
		require.True(t, b.store.account(id).Owed().IsZero())
		require.Equal(t, map[account.Type]int{account.TypeRefund: 2, account.TypeRefundReversal: 1, account.TypeChargeback: 1,
			account.TypeChargebackReversal: 1}, b.followers(d.ID), "order %v", order)
	})
}

// model is an account in plain integers.
type model struct{ posted, held, owed int64 }

func (m *model) take(n int64) {
	covered := min(m.posted-m.held, n)
	m.posted, m.owed = m.posted-covered, m.owed+n-covered
}

func (m *model) give(n int64) {
	settled := min(m.owed, n)
	m.owed, m.posted = m.owed-settled, m.posted+n-settled
}

// flow is one random history of an account beside its model.
type flow struct {
	*rapid.T
	b       *bench
	id      uuid.UUID
	m       model
	made    int
	paid    []*account.Transaction
	left    map[uuid.UUID]int64
	open    []*account.Transaction // withdrawals and refunds of ours
	sent    []*account.Transaction
	refunds map[string]*account.Transaction
	amounts map[string]int64
	pending map[string]bool // disputes and refunds that can still be undone
}

func (f *flow) pick(from []*account.Transaction) (int, *account.Transaction) {
	if len(from) == 0 {
		return 0, nil
	}
	i := rapid.IntRange(0, len(from)-1).Draw(f.T, "which")
	return i, from[i]
}

func (f *flow) name(prefix string) string {
	f.made++
	return fmt.Sprint(prefix, f.id, f.made)
}

func (f *flow) deposit(n int64) {
	out, err := f.b.svc.Deposit(f.b.t.Context(), accountsvc.DepositRequest{Call: f.b.call(f.id, fmt.Sprintf("%d.%02d", n/100, n%100), "EUR")})
	require.NoError(f, err)
	f.b.hear(f.b.webhook(account.ReceivedCompleted, out.Transaction, n, "EUR"))
	f.m.give(n)
	f.paid = append(f.paid, out.Transaction)
	f.left[out.Transaction.ID] = n
}

func (f *flow) withdraw(n int64) {
	out, err := f.b.svc.Withdraw(f.b.t.Context(), accountsvc.WithdrawRequest{Call: f.b.call(f.id, fmt.Sprintf("%d.%02d", n/100, n%100), "EUR"),
		Target: account.ExternalTarget{RoutingNumber: "1"}})
	switch {
	case f.m.owed > 0:
		require.ErrorIs(f, err, account.ErrAccountInDebt)
	case f.m.posted-f.m.held < n:
		require.ErrorIs(f, err, account.ErrInsufficientFunds)
	default:
		require.NoError(f, err)
		f.m.held += n
		f.open = append(f.open, out.Transaction)
	}
}

// end settles an open withdrawal or refund of ours.
func (f *flow) end(done bool) {
	i, t := f.pick(f.open)
	if t == nil {
		return
	}
	f.open = append(f.open[:i:i], f.open[i+1:]...)
	n := t.Amount.Minor()
	f.m.held -= n
	kinds := [2]account.ReceivedKind{account.ReceivedFailed, account.ReceivedCompleted}
	e := f.b.webhook(account.ReceivedFailed, t, n, "EUR")
	if t.Type == account.TypeRefund {
		kinds = [2]account.ReceivedKind{account.ReceivedRefundFailed, account.ReceivedRefunded}
		e.TransactionID, e.FollowID, e.Ref, e.PaymentID = t.LinkedID, t.ID, "pay_"+t.ID.String(), "pay_"+t.LinkedID.String()
	}
	if done {
		e.Kind = kinds[1]
		f.m.posted -= n
		if t.Type == account.TypeWithdraw {
			f.sent = append(f.sent, t)
		}
	} else {
		e.Kind = kinds[0]
		f.left[t.LinkedID] += n
	}
	f.b.hearTwice(e)
}

func (f *flow) takeBack(kind account.ReceivedKind) {
	_, d := f.pick(f.paid)
	if d == nil || f.left[d.ID] == 0 {
		return
	}
	n := rapid.Int64Range(1, f.left[d.ID]).Draw(f.T, "part")
	ref := f.name(string(kind))
	e := f.b.part(kind, d, ref, n)
	f.b.hearTwice(e)
	f.left[d.ID] -= n
	f.m.take(n)
	f.refunds[ref], f.amounts[ref] = d, n
	f.pending[ref] = kind == account.ReceivedDisputed
}

func (f *flow) undo() {
	for ref, disputed := range f.pending {
		kind := account.ReceivedRefundFailed
		if disputed {
			kind = account.ReceivedDisputeWon
		}
		e := f.b.part(kind, f.refunds[ref], ref, f.amounts[ref])
		f.b.hearTwice(e)
		f.left[f.refunds[ref].ID] += f.amounts[ref]
		f.m.give(f.amounts[ref])
		delete(f.pending, ref)
		return
	}
}

func (f *flow) refund() {
	_, d := f.pick(f.paid)
	if d == nil || f.left[d.ID] == 0 {
		return
	}
	n := rapid.Int64Range(1, f.left[d.ID]).Draw(f.T, "part")
	out, err := f.b.svc.RefundTransaction(f.b.t.Context(), accountsvc.RefundRequest{DepositID: d.ID,
		Call: accountsvc.Call{UserID: f.b.user, Amount: fmt.Sprintf("%d.%02d", n/100, n%100)}})
	switch {
	case f.m.owed > 0:
		require.ErrorIs(f, err, account.ErrAccountInDebt)
	case f.m.posted-f.m.held < n:
		require.ErrorIs(f, err, account.ErrInsufficientFunds)
	default:
		require.NoError(f, err)
		f.m.held += n
		f.left[d.ID] -= n
		f.open = append(f.open, out.Transaction)
	}
}

func (f *flow) comeBack() {
	i, w := f.pick(f.sent)
	if w == nil {
		return
	}
	f.sent = append(f.sent[:i:i], f.sent[i+1:]...)
	n := rapid.Int64Range(1, w.Amount.Minor()).Draw(f.T, "part")
	e := f.b.webhook(account.ReceivedPayoutReturned, w, n, "EUR")
	f.b.hearTwice(e)
	f.m.give(n)
}

// TestI17_RandomHistoriesEqualTheModel: deposits, refunds, disputes, withdrawals and returns in any sequence leave what plain
// integers say, to the cent, after each step.
func TestI17_RandomHistoriesEqualTheModel(t *testing.T) {
	b := newBench(t)
	rapid.Check(t, func(rt *rapid.T) {
		f := &flow{T: rt, b: b, id: b.open("EUR"), left: map[uuid.UUID]int64{}, refunds: map[string]*account.Transaction{},
			amounts: map[string]int64{}, pending: map[string]bool{}}
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			n := rapid.Int64Range(1, 10_000).Draw(rt, "amount")
			switch rapid.IntRange(0, 8).Draw(rt, "operation") {
			case 0, 1:
				f.deposit(n)
			case 2:
				f.withdraw(n)
			case 3:
				f.end(rapid.Bool().Draw(rt, "done"))
			case 4:
				f.takeBack(account.ReceivedRefunded)
			case 5:
				f.takeBack(account.ReceivedDisputed)
			case 6:
				f.undo()
			case 7:
				f.refund()
			case 8:
				f.comeBack()
			}
			a := b.store.account(f.id)
			require.Equal(rt, f.m, model{a.Posted().Minor(), a.Held().Minor(), a.Owed().Minor()})
		}
	})
}

// TestI16_PartsOfAConversionAddUpToTheWhole refunds a converted deposit in random parts, some of which fail, and then the rest:
// nothing is left and nothing is owed.
func TestI16_PartsOfAConversionAddUpToTheWhole(t *testing.T) {
	b := newBench(t)
	rapid.Check(t, func(rt *rapid.T) {
		to := rapid.SampledFrom([]string{"USD", "JPY", "GBP"}).Draw(rt, "currency")
		id := b.open(to)
		whole := rapid.Int64Range(100, 100_000).Draw(rt, "whole")
		d := b.paid(id, fmt.Sprintf("%d.%02d", whole/100, whole%100), "EUR")
		left := whole
		for i := 0; left > 0; i++ {
			n := left
			if i < 8 {
				n = rapid.Int64Range(1, left).Draw(rt, "part")
			}
			ref := fmt.Sprint("re_", d.ID, i)
			b.hear(b.part(account.ReceivedRefunded, d, ref, n))
			if i < 8 && rapid.Bool().Draw(rt, "fails") {
				b.hear(b.part(account.ReceivedRefundFailed, d, ref, n))
				continue
			}
			left -= n
		}
		a := b.store.account(id)
		require.Equal(rt, model{}, model{a.Posted().Minor(), a.Held().Minor(), a.Owed().Minor()})
	})
}

func TestF47_ForeignEventIsQuarantined(t *testing.T) {
	b := newBench(t)
	id := b.open("EUR")
	out, err := b.svc.Deposit(t.Context(), accountsvc.DepositRequest{Call: b.call(id, "5", "EUR")})
	require.NoError(t, err)
	b.hear(b.webhook(account.ReceivedForeign, out.Transaction, 500, "EUR"))
	assert.Equal(t, account.InboxQuarantined, b.store.inbox[account.InboxKey{Provider: "mock", EventID: "evt_1"}].Status)
	assert.True(t, b.store.account(id).Posted().IsZero())
	require.Len(t, b.store.reviews, 1)
}

// TestConsultedEventAppliesEachFactOnce: the provider has to be asked what the event means, and one of its facts has to wait.
func TestConsultedEventAppliesEachFactOnce(t *testing.T) {
	b := newBench(t)
	id := b.open("EUR")
	out, err := b.svc.Deposit(t.Context(), accountsvc.DepositRequest{Call: b.call(id, "100.00", "EUR")})
	require.NoError(t, err)
	d := out.Transaction
	b.bank.consult = func(account.PaymentReceivedEvent) ([]account.PaymentReceivedEvent, error) {
		return []account.PaymentReceivedEvent{b.part(account.ReceivedRefunded, d, "re_1", 3000), b.part(account.ReceivedRefunded, d, "re_2", 2000)}, nil
	}
	event := b.webhook(account.ReceivedConsult, d, 0, "EUR")
	key := account.InboxKey{Provider: "mock", EventID: event.EventID}
	b.hear(event)
	b.hear(event)
	assert.Equal(t, account.InboxReceived, b.store.inbox[key].Status)
	b.workOff()
	assert.Equal(t, account.InboxParked, b.store.inbox[key].Status, "the deposit is not completed yet")
	b.confirm(d)
	b.workOff()
	assert.Equal(t, account.InboxProcessed, b.store.inbox[key].Status)
	assert.Equal(t, "50.00", b.store.account(id).Posted().Decimal())
	b.hear(event)
	b.workOff()
	assert.Equal(t, "50.00", b.store.account(id).Posted().Decimal())
}

func TestF85_UnsentPayoutOfAFrozenAccountIsReleased(t *testing.T) {
	b := newBench(t)
	id := b.open("EUR")
	b.fund(id, "10.00", "EUR")
	b.bank.initiate = func(uuid.UUID, string) (account.Initiation, error) {
		return account.Initiation{}, account.ErrProviderUnknown
	}
	out, err := b.svc.Withdraw(t.Context(), accountsvc.WithdrawRequest{Call: b.call(id, "4.00", "EUR"), Target: account.ExternalTarget{RoutingNumber: "1"}})
	require.NoError(t, err)
	a := b.store.account(id)
	state := a.State()
	state.Status = account.StatusFrozen
	a.Restore(state)
	b.store.accounts[id] = a
	b.bank.report = func(account.PaymentRef) (account.PaymentReport, error) {
		return account.PaymentReport{}, account.ErrProviderNotFound
	}
	require.NoError(t, b.svc.Resume(t.Context(), b.store.transaction(out.Transaction.ID)))
	after := b.store.transaction(out.Transaction.ID)
	assert.Equal(t, account.PaymentStatusFailed, after.Status())
	assert.Equal(t, "account_frozen", after.Failure().Code)
	assert.True(t, b.store.account(id).Held().IsZero())
	assert.Len(t, b.bank.withdraws, 1, "it is not sent again")
}

func TestF80_PayoutCanceledAfterItWasPaidIsCredited(t *testing.T) {
	b := newBench(t)
	id := b.open("EUR")
	b.fund(id, "10.00", "EUR")
	out, err := b.svc.Withdraw(t.Context(), accountsvc.WithdrawRequest{Call: b.call(id, "4.00", "EUR"), Target: account.ExternalTarget{RoutingNumber: "1"}})
	require.NoError(t, err)
	b.confirm(out.Transaction)
	b.bank.report = func(ref account.PaymentRef) (account.PaymentReport, error) {
		assert.Equal(t, account.TypeWithdraw, ref.Type)
		return account.PaymentReport{PaymentID: ref.PaymentID, Kind: account.ReceivedFailed, Amount: 400, Currency: "EUR"}, nil
	}
	b.hear(b.webhook(account.ReceivedFailed, out.Transaction, 400, "EUR"))
	assert.Equal(t, "6.00", b.store.account(id).Posted().Decimal(), "nothing moves before the provider is asked")
	b.workOff()
	b.hear(b.webhook(account.ReceivedPayoutReturned, out.Transaction, 400, "EUR"))
	assert.Equal(t, "10.00", b.store.account(id).Posted().Decimal())
	assert.Equal(t, map[account.Type]int{account.TypePayoutReturn: 1}, b.followers(out.Transaction.ID))
}

func TestF81_RefundMadeAfterItHadFailedIsDebited(t *testing.T) {
	b := newBench(t)
	id := b.open("EUR")
	d := b.paid(id, "10.00", "EUR")
	b.bank.initiate = func(uuid.UUID, string) (account.Initiation, error) {
		return account.Initiation{}, &account.ProviderError{Class: account.ErrProviderRefused, Code: "declined"}
	}
	out, err := b.svc.RefundTransaction(t.Context(), accountsvc.RefundRequest{DepositID: d.ID, Call: accountsvc.Call{UserID: b.user}})
	require.NoError(t, err)
	require.Equal(t, account.PaymentStatusFailed, out.Transaction.Status())
	require.True(t, b.store.account(id).Held().IsZero())
	b.bank.report = func(ref account.PaymentRef) (account.PaymentReport, error) {
		return account.PaymentReport{PaymentID: "re_1", TransactionID: ref.TransactionID, Kind: account.ReceivedRefunded, Amount: 1000, Currency: "EUR"}, nil
	}
	e := b.part(account.ReceivedRefunded, d, "re_1", 1000)
	e.FollowID = out.Transaction.ID
	b.hear(e)
	b.now = b.now.Add(time.Minute)
	b.workOff()
	assert.Equal(t, account.PaymentStatusCompleted, b.store.transaction(out.Transaction.ID).Status())
	assert.True(t, b.store.account(id).Posted().IsZero())
}
