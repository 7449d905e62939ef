package stripetest

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

func readAll(r *http.Request) []byte {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	return body
}

func missing(id string) (int, object) {
	return http.StatusNotFound, errorBody("invalid_request_error", "resource_missing", "No such object: "+id)
}

func invalid(code, message string) (int, object) {
	return http.StatusBadRequest, errorBody("invalid_request_error", code, message)
}

// look answers a GET.
func (s *Server) look(path string, q url.Values, account string) (int, object) {
	parts := strings.Split(strings.TrimPrefix(path, "/v1/"), "/")
	if parts[0] == "checkout" {
		parts = parts[1:]
	}
	kind, ok := map[string]string{
		"payment_intents": "payment_intent", "sessions": "checkout.session", "charges": "charge", "refunds": "refund",
		"balance_transactions": "balance_transaction", "transfers": "transfer", "payouts": "payout", "accounts": "account",
		"events": "event",
	}[parts[0]]
	switch {
	case !ok || len(parts) > 2:
		return missing(path)
	case len(parts) == 2:
		if o, found := s.find(kind, parts[1], account); found {
			return http.StatusOK, o
		}
		return missing(parts[1])
	case kind == "event":
		return http.StatusOK, s.listEvents(q, account)
	}
	page := s.list(kind, account, q, func(o object) bool {
		for _, field := range []string{"payment_intent", "charge", "transfer_group", "destination"} {
			if want := q.Get(field); want != "" && o[field] != want {
				return false
			}
		}
		return true
	})
	if kind == "balance_transaction" {
		s.expand(page, q)
	}
	return http.StatusOK, page
}

// act does what a POST asks for.
func (s *Server) act(path string, form url.Values, account string) (int, object) {
	parts := strings.Split(strings.TrimPrefix(path, "/v1/"), "/")
	switch {
	case path == "/v1/payment_intents":
		return s.newIntent(form)
	case path == "/v1/checkout/sessions":
		return s.newSession(form)
	case path == "/v1/refunds":
		return s.newRefund(form)
	case path == "/v1/transfers":
		return s.newTransfer(form)
	case path == "/v1/payouts":
		return s.newPayout(form, account)
	case path == "/v1/accounts":
		return s.newAccount(form)
	case path == "/v1/account_links":
		return s.newLink(form)
	case len(parts) == 3 && parts[0] == "payment_intents" && parts[2] == "cancel":
		return s.cancelIntent(parts[1])
	case len(parts) == 4 && parts[1] == "sessions" && parts[3] == "expire":
		return s.expire(parts[2])
	case len(parts) == 3 && parts[0] == "transfers" && parts[2] == "reversals":
		return s.reverse(parts[1], form)
	case len(parts) == 3 && parts[0] == "payouts" && parts[2] == "cancel":
		return s.cancelPayout(parts[1], account)
	default:
		return missing(path)
	}
}

// amount reads a positive amount.
func amount(form url.Values, name string) (int64, bool) {
	n, err := strconv.ParseInt(form.Get(name), 10, 64)
	return n, err == nil && n > 0
}

// group reads the members of metadata[…], under the prefix.
func group(form url.Values, prefix string) object {
	m := object{}
	for name := range form {
		if rest, found := strings.CutPrefix(name, prefix+"["); found {
			m[strings.TrimSuffix(rest, "]")] = form.Get(name)
		}
	}
	return m
}

func (s *Server) newIntent(form url.Values) (int, object) {
	n, ok := amount(form, "amount")
	if !ok || len(form.Get("currency")) != 3 || form.Get("automatic_payment_methods[enabled]") != "true" {
		return invalid("parameter_missing", "amount, currency and automatic_payment_methods are needed here.")
	}
	o := s.makeIntent(n, form.Get("currency"), group(form, "metadata"))
	return http.StatusOK, clone(o)
}

func (s *Server) makeIntent(n int64, currency string, m object) object {
	o := s.add("pi", "payment_intent", "", object{"amount": n, "amount_received": int64(0), "currency": currency, "status": "requires_payment_method",
		"metadata": m, "latest_charge": nil, "last_payment_error": nil, "cancellation_reason": nil, "canceled_at": nil})
	o["client_secret"] = fmt.Sprint(o["id"], "_secret_", s.serial)
	s.emit("payment_intent.created", "", o)
	return o
}

func (s *Server) cancelIntent(id string) (int, object) {
	o, ok := s.find("payment_intent", id, "")
	if !ok {
		return missing(id)
	}
	if meta(o)["florin_flow"] == "checkout" {
		return invalid("payment_intent_unexpected_state", "The session is to be expired instead.")
	}
	if o["status"] != "requires_payment_method" && o["status"] != "requires_action" && o["status"] != "requires_capture" {
		return invalid("payment_intent_unexpected_state", "It cannot be canceled any more.")
	}
	o["status"], o["canceled_at"] = "canceled", s.now().Unix()
	s.emit("payment_intent.canceled", "", o)
	return http.StatusOK, clone(o)
}

func (s *Server) newSession(form url.Values) (int, object) {
	n, ok := amount(form, "line_items[0][price_data][unit_amount]")
	currency := form.Get("line_items[0][price_data][currency]")
	if !ok || len(currency) != 3 || form.Get("mode") != "payment" || form.Get("success_url") == "" {
		return invalid("parameter_missing", "The session wants mode, line_items and success_url.")
	}
	o := s.add("cs_test", "checkout.session", "", object{"mode": "payment", "status": "open", "payment_status": "unpaid", "payment_intent": nil,
		"amount_total": n, "currency": currency, "metadata": group(form, "metadata"), "client_reference_id": form.Get("client_reference_id"),
		"intent_metadata": group(form, "payment_intent_data[metadata]")})
	o["url"] = "https://checkout.stripe.test/c/pay/" + o["id"].(string)
	return http.StatusOK, clone(o)
}

func (s *Server) expire(id string) (int, object) {
	o, ok := s.find("checkout.session", id, "")
	if !ok {
		return missing(id)
	}
	if o["status"] != "open" {
		return invalid("", "Only open sessions expire.")
	}
	s.expired(o)
	return http.StatusOK, clone(o)
}

func (s *Server) expired(o object) {
	o["status"], o["url"] = "expired", nil
	if id, _ := o["payment_intent"].(string); id != "" {
		i := s.objects[id]
		i["status"] = "canceled"
		s.emit("payment_intent.canceled", "", i)
	}
	s.emit("checkout.session.expired", "", o)
}

func (s *Server) newRefund(form url.Values) (int, object) {
	i, ok := s.find("payment_intent", form.Get("payment_intent"), "")
	if !ok {
		return missing(form.Get("payment_intent"))
	}
	n, ok := amount(form, "amount")
	c, paid := s.objects[fmt.Sprint(i["latest_charge"])]
	if !ok || !paid || c["amount_refunded"].(int64)+n > c["amount"].(int64) {
		return invalid("charge_already_refunded", "There is not that much left to refund.")
	}
	return http.StatusOK, clone(s.refunded(c, n, group(form, "metadata")))
}

func (s *Server) refunded(c object, n int64, m object) object {
	c["amount_refunded"] = c["amount_refunded"].(int64) + n
	c["refunded"] = c["amount_refunded"] == c["amount"]
	r := s.add("re", "refund", "", object{"amount": n, "currency": c["currency"], "charge": c["id"], "payment_intent": c["payment_intent"],
		"status": "succeeded", "metadata": m, "failure_reason": nil})
	r["balance_transaction"] = s.balance("refund", -n, 0, r)["id"]
	s.emit("charge.refunded", "", c)
	s.emit("refund.created", "", r)
	return r
}

func (s *Server) newTransfer(form url.Values) (int, object) {
	n, ok := amount(form, "amount")
	if _, known := s.find("account", form.Get("destination"), ""); !known {
		return invalid("resource_missing", "No such destination.")
	}
	if !ok {
		return invalid("parameter_missing", "The transfer wants an amount.")
	}
	o := s.add("tr", "transfer", "", object{"amount": n, "amount_reversed": int64(0), "reversed": false, "currency": form.Get("currency"),
		"destination": form.Get("destination"), "transfer_group": form.Get("transfer_group"), "metadata": group(form, "metadata"),
		"reversals": object{"object": "list", "data": []object{}}})
	o["balance_transaction"] = s.balance("transfer", -n, 0, o)["id"]
	return http.StatusOK, clone(o)
}

func (s *Server) reverse(id string, form url.Values) (int, object) {
	t, ok := s.find("transfer", id, "")
	if !ok {
		return missing(id)
	}
	n, ok := amount(form, "amount")
	if !ok || t["amount_reversed"].(int64)+n > t["amount"].(int64) {
		return invalid("", "There is not that much left to reverse.")
	}
	return http.StatusOK, clone(s.reversed(t, n, group(form, "metadata")))
}

func (s *Server) reversed(t object, n int64, m object) object {
	r := s.add("trr", "transfer_reversal", "", object{"amount": n, "currency": t["currency"], "transfer": t["id"], "metadata": m})
	r["balance_transaction"] = s.balance("transfer_refund", n, 0, r)["id"]
	made, _ := t["reversals"].(object)["data"].([]object)
	t["reversals"] = object{"object": "list", "data": append([]object{clone(r)}, made...)}
	t["amount_reversed"] = t["amount_reversed"].(int64) + n
	t["reversed"] = t["amount_reversed"] == t["amount"]
	s.emit("transfer.reversed", "", t)
	return r
}

func (s *Server) newPayout(form url.Values, account string) (int, object) {
	n, ok := amount(form, "amount")
	a, known := s.find("account", account, "")
	switch {
	case !known:
		return invalid("", "Payouts are made on a connected account here.")
	case !ok:
		return invalid("parameter_missing", "The payout wants an amount.")
	case a["payouts_enabled"] != true:
		return invalid("payouts_not_allowed", "The account cannot be paid out to.")
	}
	o := s.add("po", "payout", account, object{"amount": n, "currency": form.Get("currency"), "status": "pending",
		"metadata": group(form, "metadata"), "failure_code": nil, "failure_message": nil,
		"arrival_date": s.now().Truncate(24 * time.Hour).Unix()})
	s.emit("payout.created", account, o)
	return http.StatusOK, clone(o)
}

func (s *Server) cancelPayout(id, account string) (int, object) {
	o, ok := s.find("payout", id, account)
	if !ok {
		return missing(id)
	}
	if o["status"] != "pending" {
		return invalid("", "It is on its way.")
	}
	o["status"] = "canceled"
	s.emit("payout.canceled", account, o)
	return http.StatusOK, clone(o)
}

func (s *Server) newAccount(form url.Values) (int, object) {
	if form.Get("type") != "express" {
		return invalid("", "Express accounts only, here.")
	}
	return http.StatusOK, clone(s.makeAccount(group(form, "metadata")))
}

func (s *Server) makeAccount(m object) object {
	return s.add("acct", "account", "", object{"type": "express", "details_submitted": false, "payouts_enabled": false, "metadata": m})
}

func (s *Server) newLink(form url.Values) (int, object) {
	if _, known := s.find("account", form.Get("account"), ""); !known || form.Get("return_url") == "" || form.Get("refresh_url") == "" {
		return invalid("", "The link wants an account, return_url and refresh_url.")
	}
	s.serial++
	return http.StatusOK, object{"object": "account_link", "created": s.now().Unix(), "expires_at": s.now().Unix() + 300,
		"url": fmt.Sprintf("https://connect.stripe.test/setup/e/%s/%d", form.Get("account"), s.serial)}
}
