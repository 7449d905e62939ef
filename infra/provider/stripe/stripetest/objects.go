package stripetest

import (
	"fmt"
	"net/url"
	"strconv"
)

// add makes an object.
func (s *Server) add(prefix, kind, account string, o object) object {
	s.serial++
	id := fmt.Sprintf("%s_%06d", prefix, s.serial)
	o["id"], o["object"], o["created"], o["livemode"] = id, kind, s.now().Unix(), false
	if o["metadata"] == nil {
		o["metadata"] = object{}
	}
	s.objects[id], s.owner[id] = o, account
	s.order = append(s.order, id)
	return o
}

// find is an object of a kind and an account.
func (s *Server) find(kind, id, account string) (object, bool) {
	o, ok := s.objects[id]
	return o, ok && o["object"] == kind && s.owner[id] == account
}

// list is a page of the objects of a kind that match, newest first.
func (s *Server) list(kind, account string, q url.Values, match func(object) bool) object {
	limit, err := strconv.Atoi(q.Get("limit"))
	if err != nil {
		limit = 10
	}
	data, more, begun := []object{}, false, q.Get("starting_after") == ""
	for i := len(s.order) - 1; i >= 0; i-- {
		id := s.order[i]
		o := s.objects[id]
		switch {
		case !begun:
			begun = id == q.Get("starting_after")
		case o["object"] != kind || s.owner[id] != account || !within(o["created"].(int64), q) || !match(o):
		case len(data) == limit:
			more = true
		default:
			data = append(data, o)
		}
	}
	return object{"object": "list", "data": data, "has_more": more, "url": "/v1/" + kind + "s"}
}

func within(at int64, q url.Values) bool {
	for name, holds := range map[string]func(bound int64) bool{
		"created[gte]": func(b int64) bool { return at >= b }, "created[gt]": func(b int64) bool { return at > b },
		"created[lte]": func(b int64) bool { return at <= b }, "created[lt]": func(b int64) bool { return at < b },
	} {
		if bound, err := strconv.ParseInt(q.Get(name), 10, 64); err == nil && !holds(bound) {
			return false
		}
	}
	return true
}

func meta(o object) object {
	m, _ := o["metadata"].(object)
	return m
}
