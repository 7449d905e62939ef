package account

import (
	"context"
	"encoding/binary"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"florin/domain/account"
	"florin/webapi/decode"
	"florin/webapi/middleware"
	"florin/webapi/wire"
)

// Entries shows the ledger lines of an account, newest first: a page as JSON, or the whole range as a statement
// where the client asks for text/csv.
func (h *Handlers) Entries(c *fiber.Ctx) error {
	reader := middleware.Caller(c).UserID
	id, err := decode.ID(c, "id")
	if err != nil {
		return err
	}
	query, err := decode.ReadQuery(c, "from", "to", "limit", "cursor")
	if err != nil {
		return err
	}
	from, to, err := readRange(query)
	if err != nil {
		return err
	}
	filter := account.EntryFilter{From: from, To: to}
	c.Vary(fiber.HeaderAccept)
	if c.Accepts(fiber.MIMEApplicationJSON, mimeCSV) == mimeCSV {
		return h.sendStatement(c, reader, id, filter)
	}
	paging, err := h.cursors.Page(reader, "entries:"+id.String(), query)
	if err != nil {
		return err
	}
	ask := paging.Ask()
	filter.BeforeSeq, filter.Limit = seqOf(ask.Before), ask.Limit
	lines, err := h.entries(c.UserContext(), reader, id, filter)
	if err != nil {
		return err
	}
	lines, next := decode.Cut(paging, lines, func(e account.EntryLine) uuid.UUID { return idOf(e.AccountSeq) })
	page := Entries{Data: make([]Entry, 0, len(lines)), NextCursor: next}
	for _, e := range lines {
		page.Data = append(page.Data, entryOf(e))
	}
	return wire.Send(c, fiber.StatusOK, page)
}

func (h *Handlers) entries(ctx context.Context, reader, id uuid.UUID, filter account.EntryFilter) ([]account.EntryLine, error) {
	_, lines, err := h.accounts.Entries(ctx, reader, id, filter)
	return lines, err
}

// idOf carries an entry's sequence number in a cursor, which is sealed around an id.
func idOf(seq int64) uuid.UUID {
	var id uuid.UUID
	binary.BigEndian.PutUint64(id[8:], uint64(seq)) //nolint:gosec // the same bits come back in seqOf
	return id
}

// seqOf is the sequence number in an opened cursor, 0 for the start.
func seqOf(id uuid.UUID) int64 {
	return int64(binary.BigEndian.Uint64(id[8:])) //nolint:gosec // the bits that idOf has put there
}
