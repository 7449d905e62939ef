package stripetest

import (
	"maps"
)

// What follows is what payers, banks, payees and people at the Dashboard do. Every one emits the events that Stripe would.

// do runs an act under the lock, on an object that must be there.
func (s *Server) do(id string, act func(o object)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.objects[id]
	if !ok {
		panic("stripetest: no object " + id)
	}
	act(o)
}

// Pay has the payer pay the intent.
func (s *Server) Pay(intent string) {
	s.do(intent, func(o object) { s.succeed(o, o["amount"].(int64)) })
}

// PayPart captures a part of what was asked, or, above it, what the test wants to see refused.
func (s *Server) PayPart(intent string, received int64) {
	s.do(intent, func(o object) { s.succeed(o, received) })
}

func (s *Server) succeed(i object, received int64) {
	fee := received*29/1000 + 30
	b := s.balance("charge", received, fee, object{"currency": i["currency"]})
	c := s.add("ch", "charge", "", object{"amount": received, "amount_refunded": int64(0), "refunded": false, "currency": i["currency"], "paid": true,
		"status": "succeeded", "payment_intent": i["id"], "balance_transaction": b["id"], "metadata": maps.Clone(meta(i))})
	b["source"] = c["id"]
	i["status"], i["amount_received"], i["latest_charge"], i["last_payment_error"] = "succeeded", received, c["id"], nil
	s.emit("payment_intent.succeeded", "", i)
	s.emit("charge.succeeded", "", c)
}

// Decline has the payer try with a card that is declined: the intent waits for another.
func (s *Server) Decline(intent, declineCode string) {
	s.do(intent, func(o object) {
		o["status"] = "requires_payment_method"
		o["last_payment_error"] = object{"type": "card_error", "code": "card_declined", "decline_code": declineCode, "message": "No."}
		s.emit("payment_intent.payment_failed", "", o)
	})
}

// DeclineCard is Decline with a card that Stripe calls by that name.
func (s *Server) DeclineCard(intent, card string) {
	s.do(intent, func(o object) {
		o["status"] = "requires_payment_method"
		o["last_payment_error"] = object{"type": "card_error", "code": "card_declined", "decline_code": "generic_decline", "message": "No.",
			"payment_method": object{"id": "pm_" + card, "object": "payment_method", "type": "card", "card": object{"fingerprint": card}}}
		s.emit("payment_intent.payment_failed", "", o)
	})
}

// Process has the payer choose a method that takes days.
func (s *Server) Process(intent string) {
	s.do(intent, func(o object) {
		o["status"] = "processing"
		s.emit("payment_intent.processing", "", o)
	})
}

// Cancel has somebody cancel the intent at the Dashboard.
func (s *Server) Cancel(intent string) {
	s.do(intent, func(o object) {
		o["status"] = "canceled"
		s.emit("payment_intent.canceled", "", o)
	})
}

// Visit has the payer come to the page of the session and fill it in: an intent comes into being. It returns its id.
func (s *Server) Visit(session string) (intent string) {
	s.do(session, func(o object) {
		m, _ := o["intent_metadata"].(object)
		i := s.makeIntent(o["amount_total"].(int64), o["currency"].(string), maps.Clone(m))
		intent = i["id"].(string)
		o["payment_intent"] = intent
	})
	return intent
}

// PaySession has the payer pay on the page. It returns the intent's id.
func (s *Server) PaySession(session string) (intent string) {
	intent = s.Visit(session)
	s.do(session, func(o object) {
		o["status"], o["payment_status"], o["url"] = "complete", "paid", nil
		s.succeed(s.objects[intent], o["amount_total"].(int64))
		s.emit("checkout.session.completed", "", o)
	})
	return intent
}

// PaySessionLater has the payer choose a method on the page that takes days. It returns the intent's id.
func (s *Server) PaySessionLater(session string) (intent string) {
	intent = s.Visit(session)
	s.do(session, func(o object) {
		o["status"], o["payment_status"], o["url"] = "complete", "unpaid", nil
		i := s.objects[intent]
		i["status"] = "processing"
		s.emit("payment_intent.processing", "", i)
		s.emit("checkout.session.completed", "", o)
	})
	return intent
}

// SettleSession ends what PaySessionLater began.
func (s *Server) SettleSession(session string, paid bool) {
	s.do(session, func(o object) {
		i := s.objects[o["payment_intent"].(string)]
		if !paid {
			i["status"] = "requires_payment_method"
			s.emit("payment_intent.payment_failed", "", i)
			s.emit("checkout.session.async_payment_failed", "", o)
			return
		}
		o["payment_status"] = "paid"
		s.succeed(i, o["amount_total"].(int64))
		s.emit("checkout.session.async_payment_succeeded", "", o)
	})
}

// ExpireSession ends a session that nobody paid on.
func (s *Server) ExpireSession(session string) {
	s.do(session, func(o object) { s.expired(o) })
}

// Refund gives money back at the Dashboard. It returns the refund's id.
func (s *Server) Refund(intent string, amount int64) (id string) {
	s.do(intent, func(o object) {
		id = s.refunded(s.objects[o["latest_charge"].(string)], amount, object{})["id"].(string)
	})
	return id
}

// FailRefund has a refund come back from the payer's bank.
func (s *Server) FailRefund(refund string) {
	s.do(refund, func(o object) {
		o["status"], o["failure_reason"] = "failed", "lost_or_stolen_card"
		c := s.objects[o["charge"].(string)]
		c["amount_refunded"] = c["amount_refunded"].(int64) - o["amount"].(int64)
		s.balance("refund_failure", o["amount"].(int64), 0, o)
		s.emit("refund.failed", "", o)
		s.emit("charge.refund.updated", "", o)
	})
}

// Inquire has the payer's bank ask about a payment: no money moves. It returns the dispute's id.
func (s *Server) Inquire(intent string) (id string) {
	s.do(intent, func(o object) {
		d := s.makeDispute(o, "warning_needs_response")
		id = d["id"].(string)
		s.emit("charge.dispute.created", "", d)
	})
	return id
}

// CloseInquiry ends an inquiry that came to nothing.
func (s *Server) CloseInquiry(dispute string) {
	s.do(dispute, func(o object) {
		o["status"] = "warning_closed"
		s.emit("charge.dispute.closed", "", o)
	})
}

// Dispute has the payer's bank take the money of a payment back, with a fee. It returns the dispute's id.
func (s *Server) Dispute(intent string) (id string) {
	s.do(intent, func(o object) {
		d := s.makeDispute(o, "needs_response")
		id = d["id"].(string)
		s.emit("charge.dispute.created", "", d)
		n := d["amount"].(int64)
		d["balance_transactions"] = []object{clone(s.balance("adjustment", -n, 1500, d))}
		s.emit("charge.dispute.funds_withdrawn", "", d)
	})
	return id
}

// DisputeAgain has the payer's bank take the money of a dispute again that was won.
func (s *Server) DisputeAgain(dispute string) {
	s.do(dispute, func(o object) {
		o["status"] = "needs_response"
		b := s.balance("adjustment", -o["amount"].(int64), 0, o)
		o["balance_transactions"] = append(o["balance_transactions"].([]object), clone(b))
		s.emit("charge.dispute.funds_withdrawn", "", o)
	})
}

func (s *Server) makeDispute(i object, status string) object {
	return s.add("dp", "dispute", "", object{"amount": i["amount_received"], "currency": i["currency"], "charge": i["latest_charge"], "payment_intent": i["id"],
		"status": status, "reason": "fraudulent", "balance_transactions": []object{}})
}

// CloseDispute ends it; a dispute that is won brings the money back.
func (s *Server) CloseDispute(dispute string, won bool) {
	s.do(dispute, func(o object) {
		o["status"] = "lost"
		if won {
			o["status"] = "won"
			b := s.balance("adjustment", o["amount"].(int64), 0, o)
			o["balance_transactions"] = append(o["balance_transactions"].([]object), clone(b))
			s.emit("charge.dispute.funds_reinstated", "", o)
		}
		s.emit("charge.dispute.closed", "", o)
	})
}

// NewAccount is a connected account, complete or not. It returns its id.
func (s *Server) NewAccount(complete bool) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.makeAccount(object{})
	a["details_submitted"], a["payouts_enabled"] = complete, complete
	return a["id"].(string)
}

// SetAccount has the payee complete the account, or Stripe stop its payouts.
func (s *Server) SetAccount(id string, complete, payoutsEnabled bool) {
	s.do(id, func(o object) {
		o["details_submitted"], o["payouts_enabled"] = complete, payoutsEnabled
		s.emit("account.updated", id, o)
	})
}

// CutOff has the payee end our access to the account.
func (s *Server) CutOff(account string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cut[account] = true
}

func (s *Server) isCut(account string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cut[account]
}

// PayOut has the payout arrive.
func (s *Server) PayOut(payout string) {
	s.do(payout, func(o object) {
		o["status"] = "paid"
		s.emit("payout.paid", s.owner[payout], o)
	})
}

// SendOut has the payout leave: it cannot be canceled any more.
func (s *Server) SendOut(payout string) {
	s.do(payout, func(o object) { o["status"] = "in_transit" })
}

// FailPayout has the payee's bank send the payout back, also after it was paid.
func (s *Server) FailPayout(payout, code string) {
	s.do(payout, func(o object) {
		o["status"], o["failure_code"], o["failure_message"] = "failed", code, "No."
		s.emit("payout.failed", s.owner[payout], o)
	})
}

// Reverse takes a transfer back at the Dashboard.
func (s *Server) Reverse(transfer string, amount int64) {
	s.do(transfer, func(o object) { s.reversed(o, amount, object{}) })
}

// Sell has another program on the account take a payment. It returns the intent's id.
func (s *Server) Sell(amount int64, currency string) (intent string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.makeIntent(amount, currency, object{})
	s.succeed(i, amount)
	return i["id"].(string)
}

// PayOwner has Stripe pay of our own balance to the bank of the account's owner. It returns the payout's id.
func (s *Server) PayOwner(amount int64, currency string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.add("po", "payout", "", object{"amount": amount, "currency": currency, "status": "paid", "automatic": true})
	s.balance("payout", -amount, 0, o)
	s.emit("payout.paid", "", o)
	return o["id"].(string)
}

// Set changes one field of an object, without an event.
func (s *Server) Set(id, field string, value any) {
	s.do(id, func(o object) { o[field] = value })
}

func clone(o object) object {
	c := maps.Clone(o)
	for k, v := range c {
		if m, ok := v.(object); ok {
			c[k] = maps.Clone(m)
		}
	}
	return c
}
