package webapi

import (
	"context"
	"net/http"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/adaptor"

	"florin/webapi/middleware"
)

// adminConcurrency is how many requests of administrators run at once.
const adminConcurrency = 64

// adminRoutes is what administrators may do on the admin listener, on one page. Every line is for the role admin, whatever
// it says: what is not open by name is denied before any route is looked for.
func adminRoutes(h handlers) []Route {
	const get, post = fiber.MethodGet, fiber.MethodPost
	return []Route{
		{get, "/admin/dead-letters", Admin, NoBody, General, h.letters.List, listDeadLetters},
		{get, "/admin/dead-letters/:id", Admin, NoBody, General, h.letters.Get, getDeadLetter},
		{post, "/admin/dead-letters/redrive", Admin, JSONBody, General, h.letters.RedriveMany, redriveDeadLetters},
		{post, "/admin/dead-letters/:id/redrive", Admin, JSONBody, General, h.letters.Redrive, redriveDeadLetter},
		{post, "/admin/dead-letters/:id/discard", Admin, JSONBody, General, h.letters.Discard, discardDeadLetter},

		{get, "/admin/reviews", Admin, NoBody, General, h.reviews.List, listReviews},
		{get, "/admin/reviews/:id", Admin, NoBody, General, h.reviews.Get, getReview},
		{post, "/admin/reviews/:id/settle", Admin, JSONBody, General, h.reviews.Settle, settleReview},

		{get, "/admin/reconciliation", Admin, NoBody, General, h.reconciliation.Get, getReconciliation},
		{post, "/admin/reconciliation", Admin, JSONBody, General, h.reconciliation.Request, requestReconciliation},

		{post, "/admin/accounts/:id/freeze", Admin, JSONBody, General, h.account.Freeze, freezeAccount},
		{post, "/admin/accounts/:id/unfreeze", Admin, JSONBody, General, h.account.Unfreeze, unfreezeAccount},

		{post, "/admin/users/:id/inspect", Admin, JSONBody, General, h.user.Inspect, inspectUser},
		{post, "/admin/users/:id/delete", Admin, JSONBody, General, h.user.Erase, eraseUser},

		{get, "/admin/integrity", Admin, NoBody, General, h.integrity.Get, getIntegrity},

		{get, "/admin/openapi.json", Admin, NoBody, General, h.adminDocs.Document, openapiDocument},
	}
}

// adminApp is the side that listens on loopback. Open are the health of the process, metrics and, outside production,
// profiles, which machines ask for; all else needs the role admin, unknown paths too.
func adminApp(deps Deps, table []Route) *fiber.App {
	// It is reached on loopback or on a network of operators' own, by scrapers that know nothing of proxies.
	deps.RequireHTTPS = false
	app := newApp(deps, nil)
	app.Use(middleware.NoBrowsers(deps.AdminHosts))
	app.Get("/healthz", deps.Health.Live)
	if deps.Metrics != nil {
		app.Get("/metrics", ofHTTP(deps.Metrics))
	}
	addProfiles := func() {
		if deps.Profiles != nil {
			app.Get("/debug/pprof", ofHTTP(deps.Profiles))
			app.Get("/debug/pprof/*", ofHTTP(deps.Profiles))
		}
	}
	if !deps.GuardProfiles {
		addProfiles()
	}
	for _, gate := range admission(deps, Route{Access: Admin}, nil) {
		app.Use(gate)
	}
	if deps.GuardProfiles {
		addProfiles()
	}
	running, within := middleware.Concurrency(adminConcurrency), middleware.Deadline(deps.Capacity.withDefaults().Within)
	for _, route := range table {
		app.Add(route.Method, route.Path, running, within, bodyOf(route), route.Handler)
	}
	return app
}

// ofHTTP serves a handler of net/http. It gets a context that nothing ends: fasthttp's own changes under whoever waits for it
// when the server shuts down.
func ofHTTP(handler http.Handler) fiber.Handler {
	return adaptor.HTTPHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler.ServeHTTP(w, r.WithContext(context.WithoutCancel(r.Context())))
	}))
}
