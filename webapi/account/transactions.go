package account

import (
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"florin/domain/account"
	"florin/domain/errs"
	"florin/webapi/decode"
	"florin/webapi/middleware"
	"florin/webapi/wire"
)

// transactionTypes and transactionStatuses are what a list can be narrowed to.
var (
	transactionTypes = []string{"deposit", "withdraw", "transfer", "refund", "refund_reversal", "chargeback",
		"chargeback_reversal", "payout_return", "correction", "fee", "unmatched"}
	transactionStatuses = []string{"initiated", "pending", "completed", "failed"}
)

// TransactionList is a page of transactions, newest first.
type TransactionList struct {
	Data       []wire.Transaction `json:"data" nullable:"false"`
	NextCursor *string            `json:"next_cursor" description:"Opaque; null on the last page."`
}

// Transactions shows what happened on one account, newest first, each as that account sees it.
func (h *Handlers) Transactions(c *fiber.Ctx) error {
	reader := middleware.Caller(c).UserID
	id, err := decode.ID(c, "id")
	if err != nil {
		return err
	}
	query, err := decode.ReadQuery(c, "type", "status", "from", "to", "limit", "cursor")
	if err != nil {
		return err
	}
	filter, err := transactionFilter(query)
	if err != nil {
		return err
	}
	paging, err := h.cursors.Page(reader, "transactions:"+id.String(), query)
	if err != nil {
		return err
	}
	found, err := h.accounts.Transactions(c.UserContext(), reader, id, filter, paging.Ask())
	if err != nil {
		return err
	}
	found, next := decode.Cut(paging, found, func(t *account.Transaction) uuid.UUID { return t.ID })
	page := TransactionList{Data: make([]wire.Transaction, 0, len(found)), NextCursor: next}
	for _, t := range found {
		page.Data = append(page.Data, wire.TransactionOf(t, id, reader))
	}
	return wire.Send(c, fiber.StatusOK, page)
}

func transactionFilter(query decode.Query) (account.TransactionFilter, error) {
	kind, err := query.OneOf("type", transactionTypes...)
	if err != nil {
		return account.TransactionFilter{}, err
	}
	status, err := query.OneOf("status", transactionStatuses...)
	if err != nil {
		return account.TransactionFilter{}, err
	}
	from, to, err := readRange(query)
	if err != nil {
		return account.TransactionFilter{}, err
	}
	return account.TransactionFilter{Type: account.Type(kind), Status: account.PaymentStatus(status), From: from, To: to}, nil
}

// readRange reads from and to; a zero time is an open end.
func readRange(query decode.Query) (from, to time.Time, err error) {
	start, err := query.Time("from")
	if err != nil {
		return from, to, err
	}
	end, err := query.Time("to")
	if err != nil {
		return from, to, err
	}
	if start != nil {
		from = *start
	}
	if end != nil {
		to = *end
	}
	if start != nil && end != nil && !to.After(from) {
		return from, to, errs.InField("to", "invalid_range", "The end of the range is not after its start.")
	}
	return from, to, nil
}
