package stripetest

import (
	"fmt"
	"net/url"
	"strings"
)

// balance adds a balance transaction of our own account: what has moved, of which Stripe keeps the fee.
func (s *Server) balance(kind string, amount, fee int64, source object) object {
	return s.add("txn", "balance_transaction", "", object{"type": kind, "amount": amount, "fee": fee, "net": amount - fee,
		"currency": source["currency"], "source": source["id"]})
}

// expand puts objects in the place of ids in a page of balance transactions, as far as it is asked to.
func (s *Server) expand(page object, q url.Values) {
	data := page["data"].([]object)
	for i, b := range data {
		source, ok := s.named(b["source"])
		if !ok || !wants(q, "data.source") {
			continue
		}
		if charge, ok := s.named(source["charge"]); ok && wants(q, "data.source.charge") {
			source["charge"] = charge
		}
		data[i] = clone(b)
		data[i]["source"] = source
	}
}

// named is a copy of the object with the id.
func (s *Server) named(id any) (object, bool) {
	o, ok := s.objects[fmt.Sprint(id)]
	return clone(o), ok
}

func wants(q url.Values, member string) bool {
	for name, values := range q {
		if strings.HasPrefix(name, "expand[") && values[0] == member {
			return true
		}
	}
	return false
}
