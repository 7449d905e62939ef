package webapi

import (
	"net/http"

	webaccount "florin/webapi/account"
	webauth "florin/webapi/auth"
	"florin/webapi/health"
	"florin/webapi/payout"
	"florin/webapi/transaction"
	webuser "florin/webapi/user"
	"florin/webapi/wire"
)

// deleteUserBody is a body on DELETE, which a document states only on purpose.
type deleteUserBody struct{ webuser.DeleteRequest }

// ForceRequestBody implements openapi.RequestBodyEnforcer.
func (deleteUserBody) ForceRequestBody() {}

var createUser = Operation{
	ID: "createUser", Tag: tagUsers, Summary: "Register",
	Description: "Creates a user. Names and addresses are unique, letter case aside.",
	Body:        webuser.CreateRequest{},
	Example:     map[string]any{"username": "ada", "email": "ada@example.com", "password": "a-long-enough-secret"},
	Answers:     []Answer{{Status: http.StatusCreated, Body: webuser.Response{}, Headers: locationHeader{}}},
	Problems:    []int{http.StatusConflict, http.StatusUnprocessableEntity},
}

type locationHeader struct {
	Location string `header:"Location" description:"Where it is."`
}

var getUser = Operation{
	ID: "getUser", Tag: tagUsers, Summary: "Read a user",
	Description: "For the user itself. Another's is as one that does not exist, " +
		"for administrators too.",
	Params:  idParam{},
	Answers: []Answer{{Status: http.StatusOK, Body: webuser.Response{}}},
}

var updateUser = Operation{
	ID: "updateUser", Tag: tagUsers, Summary: "Change a user",
	Description: "What is left out stays as it is. A new email or password needs `current_password`, " +
		"and the user is told by mail. A new password ends every session.",
	Params: idParam{}, Body: webuser.UpdateRequest{},
	Example:  map[string]any{"email": "ada@example.org", "current_password": "a-long-enough-secret"},
	Answers:  []Answer{{Status: http.StatusOK, Body: webuser.Response{}}},
	Problems: []int{http.StatusForbidden, http.StatusConflict, http.StatusUnprocessableEntity},
}

var deleteUser = Operation{
	ID: "deleteUser", Tag: tagUsers, Summary: "Delete a user",
	Description: "Refused while money is on the accounts. The user is anonymised; the books stay.",
	Params:      idParam{}, Body: deleteUserBody{}, Example: map[string]any{"password": "a-long-enough-secret"},
	Answers:  []Answer{{Status: http.StatusNoContent}},
	Problems: []int{http.StatusConflict, http.StatusUnprocessableEntity},
}

var login = Operation{
	ID: "login", Tag: tagUsers, Summary: "Log in",
	Description: "With the username or the email. Failures are answered more and more slowly, to each " +
		"network for itself. With the `device_token` of an earlier login the guesses of others do " +
		"not count.",
	Body:     webauth.LoginRequest{},
	Example:  map[string]any{"identity": "ada", "password": "a-long-enough-secret"},
	Answers:  []Answer{{Status: http.StatusOK, Body: webauth.TokenResponse{}}},
	Problems: []int{http.StatusUnauthorized, http.StatusUnprocessableEntity},
}

var refresh = Operation{
	ID: "refresh", Tag: tagUsers, Summary: "Get new tokens",
	Description: "A refresh token is good for once. For 10 seconds more it gives the same tokens " +
		"again, for a second tab and for a lost answer; later it ends the session. A session ends " +
		"30 days after its login.",
	Body:     webauth.RefreshRequest{},
	Answers:  []Answer{{Status: http.StatusOK, Body: webauth.TokenResponse{}}},
	Problems: []int{http.StatusUnauthorized, http.StatusUnprocessableEntity},
}

var logout = Operation{
	ID: "logout", Tag: tagUsers, Summary: "Log out",
	Description: "Ends the session of the access token, of the refresh token in the body, or of both.",
	Body:        webauth.LogoutRequest{}, BodyOptional: true,
	Answers:  []Answer{{Status: http.StatusNoContent}},
	Problems: []int{http.StatusUnauthorized},
}

var listSessions = Operation{
	ID: "listSessions", Tag: tagUsers, Summary: "List one's sessions",
	Description: "Those that are open, the newest first. One more than 50 ends the oldest.",
	Answers:     []Answer{{Status: http.StatusOK, Body: webauth.Sessions{}}},
}

var endSession = Operation{
	ID: "endSession", Tag: tagUsers, Summary: "End a session",
	Description: "Its tokens are refused within 5 seconds everywhere.",
	Params:      idParam{}, Answers: []Answer{{Status: http.StatusNoContent}},
}

var endOtherSessions = Operation{
	ID: "endOtherSessions", Tag: tagUsers, Summary: "End all other sessions",
	Description: "All of the caller's but the one that the request comes from, which " +
		"`POST /auth/logout` ends.",
	Answers: []Answer{{Status: http.StatusNoContent}},
}

var getTransaction = Operation{
	ID: "getTransaction", Tag: tagTransactions, Summary: "Read a transaction",
	Description: "As the caller's side of it: of a transfer between two people, neither sees the other's user or metadata.",
	Params:      idParam{},
	Answers:     []Answer{{Status: http.StatusOK, Body: wire.Transaction{}}},
}

var getStatus = Operation{
	ID: "getTransactionStatus", Tag: tagTransactions, Summary: "Follow a transaction",
	Description: "With `Prefer: wait=N` the answer is held until the transaction is terminal or N seconds have passed, which is no error. " +
		"With `If-None-Match` it is 304 while nothing has changed.",
	Params: struct {
		idParam
		preferParam
		IfNoneMatch string `header:"If-None-Match"`
	}{},
	Answers: []Answer{
		{Status: http.StatusOK, Body: transaction.Status{}, Headers: statusHeaders{}},
		{Status: http.StatusNotModified, Headers: statusHeaders{}},
	},
}

var refundTransaction = Operation{
	ID: "refundTransaction", Tag: tagMoney, Summary: "Refund a deposit",
	Description: "Gives money of a completed deposit back to its payer: a part of it, or all that is left. The amount is held at once, becomes a " +
		"debit when the provider confirms, and is released when the refund fails. The answer is the refund, a transaction of its own that is " +
		"linked to the deposit.",
	Params: moneyParams{}, Body: transaction.RefundRequest{}, BodyOptional: true,
	Example: map[string]any{"amount": "20.00"},
	Answers: moneyAnswers, Problems: moneyProblems,
}

var cancelTransaction = Operation{
	ID: "cancelTransaction", Tag: tagMoney, Summary: "Cancel a payment",
	Description: "Gives an open deposit or withdrawal up, while its provider still allows it. 202 where the provider has not answered: its status " +
		"tells what becomes of it. Canceling a canceled payment changes nothing.",
	Params: moneyParams{}, Body: transaction.CancelRequest{}, BodyOptional: true,
	Answers: moneyAnswers, Problems: moneyProblems,
}

var getTimeline = Operation{
	ID: "getTransactionTimeline", Tag: tagTransactions, Summary: "See all that happened to a transaction",
	Description: "The API call, provider calls, webhooks, state changes and entries in the order of their times, with trace ids.",
	Params:      idParam{},
	Answers:     []Answer{{Status: http.StatusOK, Body: transaction.Timeline{}}},
}

type streamHeaders struct {
	Buffering string `header:"X-Accel-Buffering" enum:"no" description:"Keeps a proxy from gathering events before it passes them on."`
}

var followEvents = Operation{
	ID: "followEvents", Tag: tagTransactions, Summary: "Follow one's payment events",
	Description: "Server-Sent Events: one for each move of the caller's transactions, of transfers also when somebody else sends them. " +
		"`id` is the position in the log of all events, `event` the type and `data` the JSON of a CloudEvents 1.0 event " +
		"(docs/events). With the id of the last event seen, the stream goes on behind it, on any server. Ids between events " +
		"are those of other people; an id without data only says how far the stream has come. The stream ends when the access " +
		"token does, at a logout within 5 seconds, when the client reads too slowly, and when the server stops.",
	Params: struct {
		LastEventID string `header:"Last-Event-ID" pattern:"^[0-9]+$" description:"Go on behind this event. Counts more than the query."`
		Query       string `query:"last_event_id" pattern:"^[0-9]+$" description:"The same, for clients that cannot set the header."`
	}{},
	Answers: []Answer{{Status: http.StatusOK, Body: "", ContentType: "text/event-stream", Headers: streamHeaders{},
		Description: "Events until the stream ends."}},
	Problems: []int{http.StatusBadRequest, http.StatusUnprocessableEntity},
}

// webhookEvent is a body of the provider's own making: its bytes are authenticated, then read by its adapter.
type webhookEvent map[string]any

var webhookExample = map[string]any{"type": "payment.completed", "timestamp": "2026-01-01T00:00:00Z", "data": map[string]any{
	"payment_id": "pay_1", "transaction_id": "0198c0de-0000-7000-8000-000000000001", "amount": 10000, "currency": "USD", "failure": nil}}

var paymentWebhook = Operation{
	ID: "paymentWebhook", Tag: tagWebhooks, Summary: "Take a webhook of any provider",
	Description: "The provider is told apart by its signature header. 200 means that the event is stored; after 503 it is to be sent again.",
	Body:        webhookEvent{}, Example: webhookExample,
	Answers:  []Answer{{Status: http.StatusOK, Body: webaccount.WebhookReceived{}}},
	Problems: []int{http.StatusUnsupportedMediaType},
}

var providerWebhook = Operation{
	ID: "providerWebhook", Tag: tagWebhooks, Summary: "Take a webhook of one provider",
	Description: "As POST /webhook/payment, for the provider in the path alone.",
	Body:        webhookEvent{}, Example: webhookExample,
	Params: struct {
		Provider string `path:"provider" example:"stripe"`
	}{},
	Answers:  []Answer{{Status: http.StatusOK, Body: webaccount.WebhookReceived{}}},
	Problems: []int{http.StatusUnsupportedMediaType},
}

var alive = Operation{
	ID: "healthz", Tag: tagService, Summary: "Is the process alive",
	Description: "200 while it runs, whatever it depends on.",
	Answers:     []Answer{{Status: http.StatusOK, Body: health.Response{}}},
}

var ready = Operation{
	ID: "readyz", Tag: tagService, Summary: "Can the server serve",
	Description: "Names what is not ready. A note does not make the server unready.",
	Answers: []Answer{
		{Status: http.StatusOK, Body: health.Response{}},
		{Status: http.StatusServiceUnavailable, Body: health.Response{}, Headers: retryHeaders{}, Description: "Not ready."},
	},
}

var openapiDocument = Operation{
	ID: "openapi", Tag: tagService, Summary: "This document",
	Description: "OpenAPI 3.1, made from the types that the routes read and write.",
	Answers:     []Answer{{Status: http.StatusOK, Body: map[string]any{}}},
}

var frontPage = Operation{
	ID: "index", Tag: tagService, Summary: "Where everything is",
	Description: "For a browser a page, for all others JSON.",
	Answers:     []Answer{{Status: http.StatusOK, Body: index{}}},
}

var docsPage = Operation{
	ID: "docs", Tag: tagService, Summary: "This document as a page",
	Description: "Served whole from the program; it loads nothing from elsewhere.",
	Answers:     []Answer{{Status: http.StatusOK, ContentType: "text/html"}},
}

var docsErrors = Operation{
	ID: "docsErrors", Tag: tagService, Summary: "The catalogue of error codes",
	Description: "What the `type` of a problem links to: a page, or Markdown with `Accept: text/markdown`.",
	Answers:     []Answer{{Status: http.StatusOK, ContentType: "text/html"}},
}

var docsAsset = Operation{
	ID: "docsAsset", Tag: tagService, Summary: "A guide, or a file of the page",
	Description: "Guides are HTML, or Markdown with `Accept: text/markdown`. The rest are scripts, styles and images of GET /docs.",
	Params: struct {
		Asset string `path:"asset" example:"swagger-ui.css"`
	}{},
	Answers: []Answer{{Status: http.StatusOK, ContentType: "*/*"}},
}

var onboard = Operation{
	ID: "onboard", Tag: tagMoney, Summary: "Set up the account that withdrawals with Stripe are paid to",
	Description: "Opens a payout account for the caller where there is none yet, and answers with the page on which it is completed.",
	Answers:     []Answer{{Status: http.StatusOK, Body: payout.Link{}}},
	Problems:    []int{http.StatusBadRequest, http.StatusUnprocessableEntity},
}

var onboardStatus = Operation{
	ID: "onboardStatus", Tag: tagMoney, Summary: "See how far the payout account is",
	Description: "Both are false where there is no account yet.",
	Answers:     []Answer{{Status: http.StatusOK, Body: payout.Status{}}},
	Problems:    []int{http.StatusBadRequest, http.StatusUnprocessableEntity},
}
