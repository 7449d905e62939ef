package main

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/webapi"
)

// access is what a route answers to each kind of caller. Where it is about something of the owner, other must get what he
// gets for an id that nobody has.
type access struct {
	body                      string
	none, owner, other, admin int
}

// rights is one row for each route. What stands for the owner's things is filled in: {account}, {transaction}, {user}.
func rights() map[string]access {
	const mine, admins = 404, 404
	money := `"amount":"1.00","currency":"EUR"`
	return map[string]access{
		"POST /user":    {`{"username":"x"}`, 422, 422, 422, 422},
		"GET /user/:id": {"", 401, 200, mine, admins},
		"PUT /user/:id": {`{"email":"{user}@example.org","current_password":"` + rigPassword + `"}`,
			401, 200, mine, admins},
		"DELETE /user/:id":   {`{"password":"` + rigPassword + `"}`, 401, 409, mine, admins},
		"POST /auth/login":   {`{"identity":"nobody","password":"nothing"}`, 401, 401, 401, 401},
		"POST /auth/refresh": {`{"refresh_token":"nothing"}`, 401, 401, 401, 401},
		"POST /auth/logout":  {`{"refresh_token":"nothing"}`, 204, 204, 204, 204},

		"GET /auth/sessions":        {"", 401, 200, 200, 200},
		"DELETE /auth/sessions/:id": {"", 401, 204, mine, admins},
		"DELETE /auth/sessions":     {"", 401, 204, 204, 204},

		"POST /account":                   {`{"currency":"JPY"}`, 401, 201, 201, 201},
		"GET /accounts":                   {"", 401, 200, 200, 200},
		"GET /accounts/balance/aggregate": {"", 401, 200, 200, 200},
		"GET /account/:id":                {"", 401, 200, mine, admins},
		"GET /account/:id/balance":        {"", 401, 200, mine, admins},
		"GET /account/:id/explain":        {"", 401, 200, mine, admins},
		"GET /account/:id/transactions":   {"", 401, 200, mine, admins},
		"GET /account/:id/entries":        {"", 401, 200, mine, admins},
		"POST /account/:id/close":         {"{}", 401, 409, mine, admins},
		"POST /account/:id/deposit":       {`{` + money + `,"money_source":"card"}`, 401, 202, mine, admins},
		"POST /account/:id/withdraw":      {`{` + money + `,"external_target":{"bank_account_number":"DE89370400440532013000"}}`, 401, 202, mine, admins},
		"POST /account/:id/transfer":      {`{` + money + `,"destination_account_id":"{destination}"}`, 401, 200, mine, admins},

		"GET /transaction/:id":          {"", 401, 200, mine, admins},
		"GET /transaction/:id/status":   {"", 401, 200, mine, admins},
		"GET /transaction/:id/timeline": {"", 401, 200, mine, admins},
		"POST /transaction/:id/refund":  {`{"amount":"1.00"}`, 401, 202, mine, admins},
		"POST /transaction/:id/cancel":  {"{}", 401, 409, mine, admins},

		"POST /stripe/account/onboard":       {"", 401, 422, 422, 422}, // no provider here onboards
		"GET /stripe/account/onboard/status": {"", 401, 422, 422, 422},

		"GET /events":                                                {"", 401, 400, 400, 400}, // see send: a stream that is taken has no end
		"POST /webhook-endpoints":                                    {`{"url":"https://example.com/hook"}`, 401, 201, 201, 201},
		"GET /webhook-endpoints":                                     {"", 401, 200, 200, 200},
		"GET /webhook-endpoints/:id":                                 {"", 401, 200, mine, admins},
		"PUT /webhook-endpoints/:id":                                 {`{"description":"mine"}`, 401, 200, mine, admins},
		"DELETE /webhook-endpoints/:id":                              {"", 401, 204, mine, admins},
		"POST /webhook-endpoints/:id/rotate-secret":                  {"{}", 401, 404, mine, admins}, // the owner has just deleted it
		"GET /webhook-endpoints/:id/deliveries":                      {"", 401, 404, mine, admins},
		"POST /webhook-endpoints/:id/deliveries/:delivery_id/resend": {"{}", 401, 404, mine, admins},

		"POST /webhook/payment":   {"{}", 400, 400, 400, 400},
		"POST /webhook/:provider": {"{}", 400, 400, 400, 400},

		"GET /":             {"", 200, 200, 200, 200},
		"GET /healthz":      {"", 200, 200, 200, 200},
		"GET /readyz":       {"", 200, 200, 200, 200},
		"GET /openapi.json": {"", 200, 200, 200, 200},
		"GET /docs":         {"", 200, 200, 200, 200},
		"GET /docs/errors":  {"", 200, 200, 200, 200},
		"GET /docs/:asset":  {"", 200, 200, 200, 200},
	}
}

// TestS1_NobodyReachesWhatIsAnothers goes through the program's own table of routes with each kind of caller. What is
// somebody else's is answered as what does not exist, byte for byte.
func TestS1_NobodyReachesWhatIsAnothers(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		owner, other, admin, leaver, none := r.user(), r.user(), r.admin(), r.user(), &client{r: r}
		euros, destination := owner.open("EUR"), owner.open("EUR")
		owner.fund(euros, "100.00", "EUR")
		paid := r.column("SELECT id FROM transactions WHERE type = 'deposit'")[0]
		endpoint := owner.do("POST", "/webhook-endpoints", `{"url":"https://example.com/hook"}`).text(t, "id")
		second := &client{r: r}
		second.login(owner.do("GET", "/user/"+owner.id, "").text(t, "username"))
		session := r.column("SELECT family_id FROM refresh_tokens WHERE user_id = ? ORDER BY family_id DESC LIMIT 1", owner.id)[0]
		known := map[string]string{"{auth}": session, "{webhook-endpoints}": endpoint, "{account}": euros,
			"{destination}": destination, "{transaction}": paid, "{user}": owner.id}
		rows := rights()
		require.Len(t, rows, len(r.app.Server.Routes), "a row for a route that is not there")
		for _, route := range r.app.Server.Routes {
			name := route.Method + " " + route.Path
			row, ok := rows[name]
			require.True(t, ok, "%s has no row: who may use it?", name)
			about := about(route)
			send := func(c *client, ids map[string]string) answer {
				path := strings.NewReplacer(":id", ids[about], ":delivery_id", uuid.Nil.String(), ":provider", "mock", ":asset", "swagger-ui.css").Replace(route.Path)
				body := row.body
				if route.Path == "/events" {
					path += "?last_event_id=none"
				}
				if route.Path == "/auth/logout" && c != none {
					c = leaver // the others are still needed
				}
				for placeholder, id := range known {
					body = strings.ReplaceAll(body, placeholder, id)
				}
				return c.do(route.Method, path, body)
			}
			if about != "" && row.other == 404 {
				missing := map[string]string{about: uuid.NewString()}
				for _, stranger := range []*client{other, admin} {
					if foreign, absent := send(stranger, known), send(stranger, missing); foreign.status == 404 || stranger == other {
						require.Equal(t, 404, foreign.status, "%s: %s", name, foreign.body)
						require.Equal(t, told(t, absent), told(t, foreign), name)
					}
				}
			}
			require.Equal(t, row.none, send(none, known).status, "%s without credentials", name)
			require.Equal(t, row.other, send(other, known).status, "%s of another", name)
			require.Equal(t, row.admin, send(admin, known).status, "%s by the administrator", name)
			mine := send(owner, known)
			require.Equal(t, row.owner, mine.status, "%s of one's own: %s", name, mine.body)
		}
		for _, list := range []string{"/accounts", "/accounts/balance/aggregate", "/webhook-endpoints"} {
			for _, stranger := range []*client{other, admin} {
				shown := string(stranger.do("GET", list, "").body)
				assert.NotContains(t, shown, euros)
				assert.NotContains(t, shown, endpoint)
				assert.NotContains(t, shown, "EUR")
			}
		}
		require.Equal(t, "99.00 2.00 97.00", owner.balance(euros), "what the owner himself did, once")
		require.Equal(t, "1.00 0.00 1.00", owner.balance(destination))
	})
}

// about is whose id the route's path holds, "" for none.
func about(route webapi.Route) string {
	if !strings.Contains(route.Path, ":id") {
		return ""
	}
	return "{" + strings.Split(route.Path, "/")[1] + "}"
}

// told is what a refusal says, but for where and in which request it was said.
func told(t *testing.T, a answer) string {
	body := a.json(t)
	delete(body, "request_id")
	delete(body, "instance")
	text, err := json.Marshal(body)
	require.NoError(t, err)
	return a.header.Get("Content-Type") + string(text)
}

// TestS49_DocumentIsWhatTheProgramServes: every documented operation is there, under no other method, and every route is
// documented.
func TestS49_DocumentIsWhatTheProgramServes(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		var routes []string
		methods := map[string][]string{}
		for _, route := range r.app.Server.Routes {
			path := strings.NewReplacer(":id", "{id}", ":delivery_id", "{delivery_id}", ":provider", "{provider}", ":asset", "{asset}").Replace(route.Path)
			routes = append(routes, route.Method+" "+path)
			methods[path] = append(methods[path], route.Method)
		}
		require.ElementsMatch(t, r.contract.Paths, routes)
		for path, served := range methods {
			live := strings.NewReplacer("{id}", uuid.NewString(), "{delivery_id}", uuid.NewString(), "{provider}", "mock", "{asset}", "swagger-ui.css").Replace(path)
			for _, method := range []string{"GET", "POST", "PUT", "DELETE", "PATCH"} {
				response, body := r.raw(method, live, nil, http.Header{"Content-Type": {"application/json"}})
				if slices.Contains(served, method) {
					assert.NotContains(t, []int{405, 501}, response.StatusCode, "%s %s", method, path)
					assert.NotContains(t, string(body), `"code":"route_not_found"`, "%s %s", method, path)
				} else {
					assert.Contains(t, []int{404, 405}, response.StatusCode, "%s %s is served and not documented", method, path)
				}
			}
		}
		for _, admins := range []string{"/metrics", "/debug/pprof/", "/console", "/admin/payments", "/v1/accounts"} {
			response, _ := r.raw("GET", admins, nil, nil)
			assert.Equal(t, 404, response.StatusCode, admins)
		}
	})
}
