package deadletter

import (
	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"florin/domain/account"
	"florin/webapi/decode"
	"florin/webapi/middleware"
	"florin/webapi/wire"
)

// ListParams are the filters of a list.
type ListParams struct {
	Status        string    `query:"status" enum:"open,redriven,discarded"`
	Source        string    `query:"source" enum:"inbox,subscriber,delivery"`
	SourceName    string    `query:"source_name" example:"email"`
	TransactionID uuid.UUID `query:"transaction_id" format:"uuid"`
}

// List serves GET /admin/dead-letters: a page, newest first.
func (h *Handlers) List(c *fiber.Ctx) error {
	reader := middleware.Caller(c).UserID
	query, err := decode.ReadQuery(c, "limit", "cursor", "status", "source", "source_name", "transaction_id")
	if err != nil {
		return err
	}
	filter, err := filterOf(query)
	if err != nil {
		return err
	}
	list := "dead-letters:" + string(filter.Status) + ":" + string(filter.Source) + ":" + filter.SourceName + ":" + filter.TransactionID.String()
	paging, err := h.cursors.Page(reader, list, query)
	if err != nil {
		return err
	}
	found, err := h.letters.FindDeadLetters(c.UserContext(), filter, paging.Ask())
	if err != nil {
		return err
	}
	found, next := decode.Cut(paging, found, func(d account.DeadLetter) uuid.UUID { return d.ID })
	page := DeadLetters{Data: make([]DeadLetter, 0, len(found)), NextCursor: next}
	for _, d := range found {
		page.Data = append(page.Data, deadLetterOf(d))
	}
	return wire.Send(c, fiber.StatusOK, page)
}

func filterOf(query decode.Query) (filter account.DeadLetterFilter, err error) {
	status, err := query.OneOf("status", string(account.DeadLetterOpen), string(account.DeadLetterRedriven), string(account.DeadLetterDiscarded))
	if err != nil {
		return filter, err
	}
	source, err := query.OneOf("source", string(account.DeadInbox), string(account.DeadSubscriber), string(account.DeadDelivery))
	if err != nil {
		return filter, err
	}
	transaction, err := query.ID("transaction_id")
	if err != nil {
		return filter, err
	}
	return account.DeadLetterFilter{Status: account.DeadLetterStatus(status), Source: account.DeadLetterSource(source),
		SourceName: query["source_name"], TransactionID: transaction}, nil
}

// Get serves GET /admin/dead-letters/:id: 200 with the payload, 404.
func (h *Handlers) Get(c *fiber.Ctx) error {
	if err := decode.NoQuery(c); err != nil {
		return err
	}
	id, err := decode.ID(c, "id")
	if err != nil {
		return err
	}
	found, err := h.letters.FindDeadLetter(c.UserContext(), id)
	if err != nil {
		return err
	}
	return wire.Send(c, fiber.StatusOK, wholeDeadLetter(found))
}
