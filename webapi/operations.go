package webapi

import (
	"time"

	"github.com/google/uuid"
)

// The tags that operations are grouped by.
const (
	tagUsers        = "users"
	tagAccounts     = "accounts"
	tagMoney        = "moving money"
	tagTransactions = "transactions"
	tagWebhooks     = "webhooks in"
	tagEndpoints    = "webhooks out"
	tagService      = "service"
)

type idParam struct {
	ID uuid.UUID `path:"id" format:"uuid"`
}

type pageParams struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"25" description:"Rows of a page."`
	Cursor string `query:"cursor" description:"next_cursor of the page before."`
}

type rangeParams struct {
	From time.Time `query:"from" format:"date-time" description:"At or after."`
	To   time.Time `query:"to" format:"date-time" description:"Before."`
}

type keyParam struct {
	IdempotencyKey string `header:"Idempotency-Key" minLength:"1" maxLength:"255" description:"The same key with the same request is answered as the first time."`
}

type preferParam struct {
	Prefer string `header:"Prefer" example:"wait=10" description:"wait=N holds the answer until the transaction is terminal or N seconds have passed, 30 at most."`
}

type moneyParams struct {
	idParam
	keyParam
	preferParam
	DryRun bool `query:"dry_run" description:"Answer with what would be, and store nothing."`
}

// moneyHeaders are on every answer to a money request.
type moneyHeaders struct {
	Replayed string `header:"Idempotency-Replayed" enum:"true" description:"On an answer that was given before."`
	Applied  string `header:"Preference-Applied" example:"wait=10"`
}

type acceptedHeaders struct {
	moneyHeaders
	Location string `header:"Location" description:"Where the status is." example:"/transaction/0198c0de-0000-7000-8000-000000000001/status"`
}

type createdHeaders struct {
	Replayed string `header:"Idempotency-Replayed" enum:"true" description:"On an answer that was given before."`
	Location string `header:"Location" description:"Where it is."`
}

type statusHeaders struct {
	ETag    string `header:"ETag"`
	Applied string `header:"Preference-Applied" example:"wait=10"`
}
