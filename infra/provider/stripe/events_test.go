package stripe_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"florin/domain/account"
)

func TestListEvents(t *testing.T) {
	b := newBench(t)
	for range 130 {
		b.paid(b.deposit(1000, "EUR", ""))
		b.advance(time.Second)
	}
	b.advance(time.Hour)
	want := b.stripe.Events()
	var got []string
	cursor := ""
	for range 40 {
		events, next, err := b.client.ListEvents(t.Context(), cursor)
		require.NoError(t, err)
		for _, e := range events {
			got = append(got, e.EventID)
		}
		if next == cursor {
			break
		}
		cursor = next
	}
	require.Len(t, got, len(want))
	for i := range want {
		require.Equal(t, want[i].ID, got[i])
	}
	_, _, err := b.client.ListEvents(t.Context(), "nonsense")
	require.Error(t, err)
}

// drained is what is listed from the cursor on, in order, with the cursor behind it.
func (b *bench) drained(cursor string) (events []account.PaymentReceivedEvent, next string) {
	for range 1000 {
		page, next, err := b.client.ListEvents(b.t.Context(), cursor)
		require.NoError(b.t, err)
		events = append(events, page...)
		if next == cursor {
			return events, next
		}
		cursor = next
	}
	require.Fail(b.t, "the list has no end")
	return nil, ""
}

// TestF64_EventsOfConnectedAccounts: payouts happen on the accounts of payees, each of which has a list of its own.
func TestF64_EventsOfConnectedAccounts(t *testing.T) {
	b := newBench(t)
	want := map[string]string{} // payout by account
	var last string
	for range 70 { // more than are asked at once
		b.payee = b.onboard(true)
		last = b.payee
	}
	for n, payee := range slices.Sorted(maps.Keys(b.accounts)) {
		if n%20 != 0 {
			continue
		}
		b.payee = payee
		made, err := b.client.InitiateWithdraw(t.Context(), b.withdrawal(1000, "EUR"))
		require.NoError(t, err)
		b.stripe.PayOut(made.PaymentID)
		want[payee] = made.PaymentID
		b.advance(time.Second)
	}
	stranger := b.stripe.NewAccount(true)
	b.stripe.SetAccount(stranger, true, true)
	b.advance(2 * time.Minute)

	check := func(events []account.PaymentReceivedEvent) {
		t.Helper()
		got := map[string]string{}
		for _, e := range events {
			require.NotEqual(t, "payout.created", e.Type, "what does not concern us is not asked for")
			if e.Type != "payout.paid" {
				continue
			}
			require.Equal(t, account.ReceivedConsult, e.Kind)
			facts, err := b.client.Consult(t.Context(), e)
			require.NoError(t, err)
			require.Len(t, facts, 1, "the event says whose it is, although the list does not")
			var named struct{ Account string }
			require.NoError(t, json.Unmarshal(e.Raw, &named))
			got[named.Account] = facts[0].PaymentID
		}
		require.Equal(t, want, got)
	}
	events, cursor := b.drained("")
	check(events)
	again, _ := b.drained(fmt.Sprint(noon.Add(-time.Hour).Unix())) // as cursors were before
	check(again)

	// A payout days later, of an account of the end of the list; one of the others has been cut off, one is new.
	b.advance(72 * time.Hour)
	for payee, payout := range want {
		b.stripe.FailPayout(payout, "account_closed")
		b.stripe.CutOff(payee)
		break
	}
	b.payee = b.onboard(true)
	require.Less(t, last, b.payee)
	b.stripe.SetAccount(b.payee, true, true)
	b.advance(2 * time.Minute)
	events, cursor = b.drained(cursor)
	require.Len(t, events, 1)
	require.Equal(t, "account.updated", events[0].Type)

	b.advance(time.Second)
	events, next := b.drained(cursor)
	require.Empty(t, events)
	require.Equal(t, cursor, next, "a round covers some time, or there would be one in every second")
	for _, bad := range []string{"nonsense", "-1", "0", "1-2", "1-2-3", "1-2-3-../x", "1-2-3-acct_1-x y", "9999999999999999999"} {
		_, _, err := b.client.ListEvents(t.Context(), bad)
		require.Error(t, err, bad)
	}
}

// TestF64_MoreThanAPageOfOneAccount: the round remembers how far it is with each account.
func TestF64_MoreThanAPageOfOneAccount(t *testing.T) {
	b := newBench(t)
	for n := range 230 {
		b.stripe.SetAccount(b.payee, true, n%2 == 0)
		if n%3 == 0 {
			b.advance(time.Second)
		}
	}
	b.advance(2 * time.Minute)
	events, _ := b.drained("")
	require.Len(t, events, 230)
	for i, e := range events[1:] {
		require.Less(t, events[i].EventID, e.EventID)
	}
}
