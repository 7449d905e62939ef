package decode

import (
	"github.com/google/uuid"

	"florin/domain/account"
)

// Paging is the part of a list that a reader asks for.
type Paging struct {
	cursors Cursors
	reader  uuid.UUID
	list    string
	before  uuid.UUID
	limit   int
}

// Page reads limit and cursor. The list names the route and whatever it is limited to, such as "transactions:" and the
// account. errs.Malformed "invalid_limit" or "invalid_cursor".
func (s Cursors) Page(reader uuid.UUID, list string, query Query) (Paging, error) {
	limit, err := query.Limit()
	if err != nil {
		return Paging{}, err
	}
	before, err := s.Open(reader, list, query["cursor"])
	return Paging{cursors: s, reader: reader, list: list, before: before, limit: limit}, err
}

// Ask is what to ask the store for: one row more than is shown tells whether there is a next page.
func (p Paging) Ask() account.Page { return account.Page{Before: p.before, Limit: p.limit + 1} }

// Cut returns the rows that are shown, and the cursor of the next page, nil on the last one.
func Cut[T any](p Paging, found []T, id func(T) uuid.UUID) (shown []T, next *string) {
	if len(found) <= p.limit {
		return found, nil
	}
	cursor := p.cursors.Seal(p.reader, p.list, id(found[p.limit-1]))
	return found[:p.limit], &cursor
}
