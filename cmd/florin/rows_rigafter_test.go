package main

import (
	"encoding/json"
	"fmt"

	"github.com/stretchr/testify/require"
)

// paid deposits and has the bank complete it; it returns the transaction and the payment.
func (c *client) paid(account, amount, currency string) (id, payment string) {
	d := c.deposit(account, amount, currency)
	require.Contains(c.r.t, []int{200, 202}, d.status, "%s", d.body)
	id, payment = d.text(c.r.t, "id"), d.text(c.r.t, "payment_id")
	c.r.complete(payment)
	c.await(id, "completed")
	return id, payment
}

// sent withdraws and has the bank pay it out.
func (c *client) sent(account, amount, currency string) (id, payment string) {
	w := c.withdraw(account, amount, currency)
	require.Equal(c.r.t, 202, w.status, "%s", w.body)
	id, payment = w.text(c.r.t, "id"), w.text(c.r.t, "payment_id")
	c.r.complete(payment)
	c.await(id, "completed")
	return id, payment
}

func (c *client) refund(transaction, body string, headers ...string) answer {
	return c.do("POST", "/transaction/"+transaction+"/refund", body, headers...)
}

func (c *client) cancel(transaction string, headers ...string) answer {
	return c.do("POST", "/transaction/"+transaction+"/cancel", "", headers...)
}

// done calls the bank's API, which must say yes.
func (r *rig) done(path, body string) answer {
	a := r.bank("POST", path, body)
	require.Contains(r.t, []int{200, 201}, a.status, "%s", a.body)
	return a
}

// atBank is a payment as the bank has it.
func (r *rig) atBank(id string) ledgerPayment {
	var p ledgerPayment
	require.NoError(r.t, json.Unmarshal(r.bank("GET", "/payments/"+id, "").body, &p))
	return p
}

// followers is what follows a transaction, in order, as "type status amount posted".
func (r *rig) followers(transaction string) []string {
	return r.column(`SELECT t.type || ' ' || t.status || ' ' || t.amount || ' ' || COALESCE(t.posted_amount, 0) FROM transactions t
		LEFT JOIN transactions p ON p.id = t.linked_transaction_id
		WHERE t.linked_transaction_id = ? OR p.linked_transaction_id = ? ORDER BY t.id`, transaction, transaction)
}

// owed is what the account owes, in minor units.
func (r *rig) owed(account string) int64 {
	return r.count("SELECT receivable FROM accounts WHERE id = ?", account)
}

// part is a body of the mock's webhook about a part of a payment; name is refund_id or dispute_id.
func part(kind, payment, transaction, name, id string, minor int64, currency string) string {
	return fmt.Sprintf(`{"type":%q,"timestamp":"2026-01-01T00:00:00Z","data":{"payment_id":%q,"transaction_id":%q,%q:%q,"amount":%d,"currency":%q,"failure":null}}`,
		kind, payment, transaction, name, id, minor, currency)
}
