package account

import (
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"florin/domain/account"
	"florin/webapi/decode"
	"florin/webapi/middleware"
	"florin/webapi/wire"
)

// Explanation is the JSON of what makes a balance.
type Explanation struct {
	AccountID uuid.UUID       `json:"account_id" format:"uuid"`
	Currency  string          `json:"currency" pattern:"^[A-Z]{3}$" example:"EUR"`
	Status    string          `json:"status" enum:"active,frozen,closed"`
	AsOf      time.Time       `json:"as_of"`
	Posted    ExplainedPosted `json:"posted"`
	Held      ExplainedHeld   `json:"held"`
	Available string          `json:"available" example:"80.00" description:"posted less held."`
	Owed      string          `json:"owed" example:"0.00" description:"What was taken back and the balance did not cover; credits settle it first."`
}

// ExplainedPosted is what makes the posted balance.
type ExplainedPosted struct {
	Amount  string      `json:"amount" example:"100.00" description:"by_kind and earlier add up to it."`
	ByKind  []EntriesOf `json:"by_kind" nullable:"false" description:"The newest 10000 lines, by the type of their transaction and by direction."`
	Earlier Remainder   `json:"earlier"`
	Newest  []Entry     `json:"newest" nullable:"false" maxItems:"10" description:"The last lines, newest first."`
}

// EntriesOf is what the ledger lines of one kind come to.
type EntriesOf struct {
	Type      string `json:"type" example:"deposit"`
	Direction string `json:"direction" enum:"in,out"`
	Count     int64  `json:"count" minimum:"1"`
	Amount    string `json:"amount" pattern:"^-?[0-9]+(\\.[0-9]+)?$" example:"100.00" description:"Signed."`
}

// Remainder is what the lines or holds come to that are not told by kind or one by one.
type Remainder struct {
	Count  int64  `json:"count" minimum:"0"`
	Amount string `json:"amount" example:"0.00"`
}

// ExplainedHeld is what makes the held amount.
type ExplainedHeld struct {
	Amount string     `json:"amount" example:"20.00" description:"holds and other add up to it."`
	Holds  []OpenHold `json:"holds" nullable:"false" maxItems:"100" description:"The oldest first."`
	Other  Remainder  `json:"other"`
}

// OpenHold is money set aside for a transaction that is open.
type OpenHold struct {
	TransactionID uuid.UUID  `json:"transaction_id" format:"uuid"`
	Type          string     `json:"type" enum:"withdraw,refund"`
	Status        string     `json:"status" enum:"initiated,pending"`
	Provider      string     `json:"provider" example:"mock"`
	Amount        string     `json:"amount" example:"20.00"`
	NextStep      string     `json:"next_step" enum:"send,await_provider" description:"It is to be sent to the provider, or the provider has it and will say what became of it."`
	NextAttemptAt *time.Time `json:"next_attempt_at" description:"When we look at it again by ourselves, if nothing comes before."`
	CreatedAt     time.Time  `json:"created_at"`
}

// Explain serves GET /account/:id/explain: 200, 404.
func (h *Handlers) Explain(c *fiber.Ctx) error {
	if err := decode.NoQuery(c); err != nil {
		return err
	}
	id, err := decode.ID(c, "id")
	if err != nil {
		return err
	}
	e, err := h.accounts.ExplainAccount(c.UserContext(), middleware.Caller(c).UserID, id)
	if err != nil {
		return err
	}
	return wire.Send(c, fiber.StatusOK, explanationOf(e, h.now()))
}

func explanationOf(e *account.Explanation, now time.Time) Explanation {
	a := e.Account
	shown := Explanation{
		AccountID: a.ID, Currency: a.Currency.Code(), Status: string(a.Status()), AsOf: now.UTC(),
		Available: a.Available().Decimal(), Owed: a.Owed().Decimal(),
		Posted: ExplainedPosted{Amount: a.Posted().Decimal(), ByKind: make([]EntriesOf, 0, len(e.Kinds)),
			Earlier: Remainder{e.EarlierCount, e.Earlier.Decimal()}, Newest: make([]Entry, 0, len(e.Newest))},
		Held: ExplainedHeld{Amount: a.Held().Decimal(), Holds: make([]OpenHold, 0, len(e.Holds)),
			Other: Remainder{e.OtherHoldsCount, e.OtherHolds.Decimal()}},
	}
	for _, k := range e.Kinds {
		of := EntriesOf{Type: string(k.Type), Direction: "out", Count: k.Count, Amount: k.Amount.Decimal()}
		if k.In {
			of.Direction = "in"
		}
		shown.Posted.ByKind = append(shown.Posted.ByKind, of)
	}
	for _, line := range e.Newest {
		shown.Posted.Newest = append(shown.Posted.Newest, entryOf(line))
	}
	for _, hold := range e.Holds {
		open := OpenHold{TransactionID: hold.TransactionID, Type: string(hold.Type), Status: string(hold.Status), Provider: hold.Provider,
			Amount: hold.Amount.Decimal(), NextStep: "send", CreatedAt: hold.CreatedAt.UTC()}
		if hold.Sent {
			open.NextStep = "await_provider"
		}
		if at := hold.NextAttemptAt.UTC(); !hold.NextAttemptAt.IsZero() {
			open.NextAttemptAt = &at
		}
		shown.Held.Holds = append(shown.Held.Holds, open)
	}
	return shown
}
