package webapi

import (
	"github.com/gofiber/fiber/v2"

	webaccount "florin/webapi/account"
	webauth "florin/webapi/auth"
	"florin/webapi/deadletter"
	"florin/webapi/events"
	"florin/webapi/health"
	"florin/webapi/integrity"
	"florin/webapi/payout"
	"florin/webapi/reconciliation"
	"florin/webapi/review"
	"florin/webapi/transaction"
	webuser "florin/webapi/user"
	"florin/webapi/webhookendpoint"
)

// Access says who may use a route.
type Access uint8

const (
	// Open is for everybody.
	Open Access = iota
	// Signed is for whoever can sign the body: providers.
	Signed
	// Optional is for everybody too, but who has a credential is known by it.
	Optional
	// User is for whoever has a good credential.
	User
	// Admin is for the role admin.
	Admin
)

// Body says what body a route takes, and so how large it may be.
type Body uint8

const (
	// NoBody is a route that reads none.
	NoBody Body = iota
	// JSONBody is at most 64 KiB.
	JSONBody
	// WebhookBody is at most 256 KiB and the sender's own.
	WebhookBody
)

// Share is the part of the server's capacity that a route takes from. What moves money, and what providers tell
// us, keeps its own when the rest is flooded.
type Share uint8

const (
	// Free takes from none: it must always answer.
	Free Share = iota
	// General is for reading and for all that is not below.
	General
	// Money is for what moves money.
	Money
	// Providers is for webhooks.
	Providers
)

// Route is one line of the web API. The same table registers the routes, makes the OpenAPI document, and is what
// tests go through.
type Route struct {
	Method    string
	Path      string
	Access    Access
	Body      Body
	Share     Share
	Handler   fiber.Handler
	Operation Operation
}

// handlers are the features that the table speaks of.
type handlers struct {
	account     *webaccount.Handlers
	webhooks    *webaccount.Webhooks
	endpoints   *webhookendpoint.Handlers
	transaction *transaction.Handlers
	user        *webuser.Handlers
	auth        *webauth.Handlers
	events      *events.Handlers
	payout      *payout.Handlers
	health      *health.Handlers
	docs        *docs
	letters     *deadletter.Handlers
	reviews     *review.Handlers
	integrity   *integrity.Handlers

	reconciliation *reconciliation.Handlers
	adminDocs      *docs
}

// routes is the whole public surface on one page.
func routes(h handlers) []Route {
	const get, post, put, del = fiber.MethodGet, fiber.MethodPost, fiber.MethodPut, fiber.MethodDelete
	return []Route{
		{post, "/user", Open, JSONBody, General, h.user.Create, createUser},
		{get, "/user/:id", User, NoBody, General, h.user.Get, getUser},
		{put, "/user/:id", User, JSONBody, General, h.user.Update, updateUser},
		{del, "/user/:id", User, JSONBody, General, h.user.Delete, deleteUser},
		{post, "/auth/login", Open, JSONBody, General, h.auth.Login, login},
		{post, "/auth/refresh", Open, JSONBody, General, h.auth.Refresh, refresh},
		{post, "/auth/logout", Optional, JSONBody, General, h.auth.Logout, logout},
		{get, "/auth/sessions", User, NoBody, General, h.auth.Sessions, listSessions},
		{del, "/auth/sessions/:id", User, NoBody, General, h.auth.EndSession, endSession},
		{del, "/auth/sessions", User, NoBody, General, h.auth.EndOtherSessions, endOtherSessions},

		{post, "/account", User, JSONBody, General, h.account.Open, openAccount},
		{get, "/accounts", User, NoBody, General, h.account.List, listAccounts},
		{get, "/accounts/balance/aggregate", User, NoBody, General, h.account.Aggregate, aggregateBalances},
		{get, "/account/:id", User, NoBody, General, h.account.Get, getAccount},
		{get, "/account/:id/balance", User, NoBody, General, h.account.Balance, getBalance},
		{get, "/account/:id/explain", User, NoBody, General, h.account.Explain, explainAccount},
		{get, "/account/:id/transactions", User, NoBody, General, h.account.Transactions, listTransactions},
		{get, "/account/:id/entries", User, NoBody, General, h.account.Entries, listEntries},
		{post, "/account/:id/close", User, JSONBody, General, h.account.Close, closeAccount},

		{post, "/account/:id/deposit", User, JSONBody, Money, h.account.Deposit, deposit},
		{post, "/account/:id/withdraw", User, JSONBody, Money, h.account.Withdraw, withdraw},
		{post, "/account/:id/transfer", User, JSONBody, Money, h.account.Transfer, transfer},

		{get, "/transaction/:id", User, NoBody, General, h.transaction.Get, getTransaction},
		{get, "/transaction/:id/status", User, NoBody, General, h.transaction.Status, getStatus},
		{post, "/transaction/:id/refund", User, JSONBody, Money, h.transaction.Refund, refundTransaction},
		{post, "/transaction/:id/cancel", User, JSONBody, Money, h.transaction.Cancel, cancelTransaction},
		{get, "/transaction/:id/timeline", User, NoBody, General, h.transaction.Timeline, getTimeline},
		{get, "/events", User, NoBody, General, h.events.Follow, followEvents},

		{post, "/webhook-endpoints", User, JSONBody, General, h.endpoints.Create, createEndpoint},
		{get, "/webhook-endpoints", User, NoBody, General, h.endpoints.List, listEndpoints},
		{get, "/webhook-endpoints/:id", User, NoBody, General, h.endpoints.Get, getEndpoint},
		{put, "/webhook-endpoints/:id", User, JSONBody, General, h.endpoints.Update, updateEndpoint},
		{del, "/webhook-endpoints/:id", User, NoBody, General, h.endpoints.Delete, deleteEndpoint},
		{post, "/webhook-endpoints/:id/rotate-secret", User, JSONBody, General, h.endpoints.Rotate, rotateSecret},
		{get, "/webhook-endpoints/:id/deliveries", User, NoBody, General, h.endpoints.Deliveries, listDeliveries},
		{post, "/webhook-endpoints/:id/deliveries/:delivery_id/resend", User, JSONBody, General, h.endpoints.Resend, resendDelivery},

		{post, "/stripe/account/onboard", User, NoBody, General, h.payout.Onboard, onboard},
		{get, "/stripe/account/onboard/status", User, NoBody, General, h.payout.Status, onboardStatus},

		{post, "/webhook/payment", Signed, WebhookBody, Providers, h.webhooks.PaymentWebhookHandler, paymentWebhook},
		{post, "/webhook/:provider", Signed, WebhookBody, Providers, h.webhooks.ProviderWebhookHandler, providerWebhook},

		{get, "/", Open, NoBody, Free, h.docs.Front, frontPage},
		{get, "/healthz", Open, NoBody, Free, h.health.Live, alive},
		{get, "/readyz", Open, NoBody, Free, h.health.Ready, ready},
		{get, "/openapi.json", Open, NoBody, Free, h.docs.Document, openapiDocument},
		{get, "/docs", Open, NoBody, Free, h.docs.Page, docsPage},
		{get, "/docs/errors", Open, NoBody, Free, h.docs.Errors, docsErrors},
		{get, "/docs/:asset", Open, NoBody, Free, h.docs.Asset, docsAsset},
	}
}
