package review

import (
	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"florin/domain/account"
	service "florin/service/account"
	"florin/webapi/decode"
	"florin/webapi/middleware"
	"florin/webapi/wire"
)

// ListParams are the filters of a list.
type ListParams struct {
	Status        string    `query:"status" enum:"open,settled"`
	Kind          string    `query:"kind" example:"surplus"`
	TransactionID uuid.UUID `query:"transaction_id" format:"uuid"`
}

// SettleRequest is the body of a decision.
type SettleRequest struct {
	Outcome   string     `json:"outcome" required:"true" enum:"credit_account,charge_account,take_back,return_to_payer,write_off,dismiss"`
	Reason    string     `json:"reason" required:"true" minLength:"1" maxLength:"500" description:"Why, for the audit." example:"the payer wrote which account it is for"`
	AccountID *uuid.UUID `json:"account_id,omitempty" format:"uuid" description:"The account that credit_account credits."`
}

// List serves GET /admin/reviews: a page, newest first.
func (h *Handlers) List(c *fiber.Ctx) error {
	reader := middleware.Caller(c).UserID
	query, err := decode.ReadQuery(c, "limit", "cursor", "status", "kind", "transaction_id")
	if err != nil {
		return err
	}
	status, err := query.OneOf("status", string(account.ReviewOpen), string(account.ReviewSettled))
	if err != nil {
		return err
	}
	transaction, err := query.ID("transaction_id")
	if err != nil {
		return err
	}
	filter := account.ReviewFilter{Status: account.ReviewStatus(status), Kind: query["kind"], TransactionID: transaction}
	list := "reviews:" + status + ":" + filter.Kind + ":" + transaction.String()
	paging, err := h.cursors.Page(reader, list, query)
	if err != nil {
		return err
	}
	found, err := h.reviews.Reviews(c.UserContext(), filter, paging.Ask())
	if err != nil {
		return err
	}
	found, next := decode.Cut(paging, found, func(r account.Review) uuid.UUID { return r.ID })
	page := Reviews{Data: make([]Summary, 0, len(found)), NextCursor: next}
	for _, r := range found {
		page.Data = append(page.Data, summaryOf(r))
	}
	return wire.Send(c, fiber.StatusOK, page)
}

// Get serves GET /admin/reviews/:id: 200, 404.
func (h *Handlers) Get(c *fiber.Ctx) error {
	if err := decode.NoQuery(c); err != nil {
		return err
	}
	id, err := decode.ID(c, "id")
	if err != nil {
		return err
	}
	found, err := h.reviews.Review(c.UserContext(), id)
	if err != nil {
		return err
	}
	return wire.Send(c, fiber.StatusOK, reviewOf(found))
}

// Settle serves POST /admin/reviews/:id/settle: 200; 404, 409 already_settled, 422 outcome_not_allowed and more.
func (h *Handlers) Settle(c *fiber.Ctx) error {
	if err := decode.NoQuery(c); err != nil {
		return err
	}
	id, err := decode.ID(c, "id")
	if err != nil {
		return err
	}
	var in SettleRequest
	if err := decode.Body(c, &in); err != nil {
		return err
	}
	settlement := service.Settlement{ReviewID: id, Outcome: account.ReviewOutcome(in.Outcome), By: middleware.Operator(c, in.Reason)}
	if in.AccountID != nil {
		settlement.AccountID = *in.AccountID
	}
	settled, err := h.reviews.SettleReview(c.UserContext(), settlement)
	if err != nil {
		return err
	}
	return wire.Send(c, fiber.StatusOK, reviewOf(settled))
}
