package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/domain/user"
	"florin/infra/database"
	"florin/infra/notify/email/emailtest"
	"florin/service/auth"
	"florin/webapi/middleware"
)

// signIn is the body of a login.
func signIn(identity, password string) string {
	return fmt.Sprintf(`{"identity":%q,"password":%q}`, identity, password)
}

// refreshWith is the body of a refresh.
func refreshWith(token string) string { return fmt.Sprintf(`{"refresh_token":%q}`, token) }

// TestS62_RegistrationsAndLoginsInNumbers: one address registers 560 users and tries 300 logins. It
// gets few of either, and the owner, who comes from another one, logs in meanwhile.
func TestS62_RegistrationsAndLoginsInNumbers(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		owner := r.user()
		name := owner.do("GET", "/user/"+owner.id, "").text(t, "username")
		nobody := &client{r: r}
		began := time.Now()
		require.Equal(t, 200, nobody.do("POST", "/auth/login", signIn(name, rigPassword)).status)
		alone := time.Since(began)
		var registered, compared atomic.Int64
		var flood sync.WaitGroup
		var next atomic.Int64
		const requests, flooding = 860, "203.0.113.1"
		for range 64 {
			flood.Go(func() {
				for n := next.Add(1); n <= requests; n = next.Add(1) {
					var a answer
					name := fmt.Sprintf("name%d", n)
					if n%3 == 0 {
						a = nobody.do("POST", "/auth/login", signIn(name, "a wrong password"),
							"X-Forwarded-For", flooding)
					} else {
						a = nobody.do("POST", "/user", fmt.Sprintf(
							`{"username":%q,"email":"%s@example.com","password":%q}`, name, name, rigPassword),
							"X-Forwarded-For", flooding)
					}
					switch a.status {
					case 201:
						registered.Add(1)
					case 401:
						compared.Add(1)
					default:
						assert.Contains(t, []int{429, 503}, a.status, "%s", a.body)
						assert.NotEmpty(t, a.header.Get("Retry-After"))
					}
				}
			})
		}
		r.until(func() bool { return compared.Load() > 0 && registered.Load() > 0 },
			"the flood is there")
		var took []time.Duration
		for n := range 5 {
			began := time.Now()
			in := nobody.do("POST", "/auth/login", signIn(name, rigPassword),
				"X-Forwarded-For", fmt.Sprintf("192.0.2.%d", n))
			took = append(took, time.Since(began))
			require.Equal(t, 200, in.status, "%s", in.body)
		}
		flood.Wait()
		slices.Sort(took)
		t.Logf("the owner's logins took %s; %d registered, %d guesses compared",
			took, registered.Load(), compared.Load())
		// The machine does other things too, which a login before the flood has felt as well.
		assert.Less(t, took[0], max(time.Second, 5*alone), "the fastest")
		assert.LessOrEqual(t, registered.Load(), int64(20))
		assert.LessOrEqual(t, compared.Load(), int64(110))
	}, func(c *Config, o *Options) {
		c.RateLimit = "100000/m"
		c.TrustedProxies, _ = middleware.ParseProxies("127.0.0.1")
		o.Passwords = auth.NewPasswords(auth.Cost{MemoryKiB: 8 * 1024, Passes: 1}, 2, 0)
	})
}

// TestS64_AUserCalledAdminFailsNoStart: a stranger has the name; the program starts, and its
// administrator has another.
func TestS64_AUserCalledAdminFailsNoStart(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		<-r.app.adminReady
		require.NoError(t, r.app.DB.Writer().Exec(`UPDATE users SET role = 'user',
			email = 'stranger@example.com' WHERE username = 'admin'`).Error)
		r.restart()
		<-r.app.adminReady
		require.Equal(t, []string{"administrator"},
			r.column("SELECT username FROM users WHERE role = 'admin'"))
		boss := &client{r: r}
		boss.login("administrator")
		require.Equal(t, 200, r.administer(boss.token, "GET", "/admin/reviews", "").status)
		stranger := &client{r: r}
		stranger.login("admin")
		require.Equal(t, 403, r.administer(stranger.token, "GET", "/admin/reviews", "").status)
		for _, body := range []string{
			`{"username":"Adm1n","email":"a@example.com","password":"a good password 42"}`,
			`{"username":"somebody","email":"admin@florin.invalid","password":"a good password 42"}`,
		} {
			(&client{r: r}).do("POST", "/user", body).refused(t, 422, "reserved_name")
		}
	})
}

// TestS69_AnAdministratorIsAUserOnThePublicPort: whatever the role, another's data is not there; on
// the administrators' listener a look and a deletion want a reason and are in the audit, and there
// is no way to a password or an email.
func TestS69_AnAdministratorIsAUserOnThePublicPort(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		boss, victim := r.admin(), r.user()
		path := "/user/" + victim.id
		for _, body := range []string{
			`{"password":"taken over 4711"}`, `{"email":"boss@example.org"}`, `{"email_notifications":false}`,
			`{"password":"taken over 4711","current_password":"` + rigPassword + `"}`,
		} {
			boss.do("PUT", path, body).refused(t, 404, "not_found")
		}
		boss.do("GET", path, "").refused(t, 404, "not_found")
		boss.do("DELETE", path, `{"password":"`+rigPassword+`"}`).refused(t, 404, "not_found")
		require.Equal(t, 200, victim.do("GET", path, "").status)

		for _, act := range []string{"/inspect", "/delete"} {
			blank := r.administer(boss.token, "POST", "/admin/users/"+victim.id+act, `{"reason":" "}`)
			require.Equal(t, 422, blank.status)
			mine := r.administer(victim.token, "POST", "/admin/users/"+boss.id+act, `{"reason":"mine"}`)
			require.Equal(t, 403, mine.status)
		}
		for _, route := range r.app.Server.AdminRoutes {
			require.NotEqual(t, "PUT", route.Method, route.Path)
			require.NotContains(t, route.Path, "password")
		}
		admins := "/admin/users/" + victim.id
		seen := r.administer(boss.token, "POST", admins+"/inspect", `{"reason":"a question"}`)
		require.Equal(t, 200, seen.status, "%s", seen.body)
		require.Equal(t, victim.id, seen.text(t, "id"))
		gone := r.administer(boss.token, "POST", admins+"/delete",
			`{"reason":"asked for","password":"`+rigPassword+`"}`)
		require.Equal(t, 204, gone.status, "%s", gone.body)
		require.Equal(t, []string{"user.deleted asked for", "user.inspected a question"},
			r.column(`SELECT action || ' ' || reason FROM audit WHERE actor = ? AND subject = ?
				AND reason <> '' AND ip <> '' ORDER BY action`, boss.id, victim.id))
	})
}

// TestS73_SessionsAreListedAndEnded: over HTTP, on both databases.
func TestS73_SessionsAreListedAndEnded(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c := r.user()
		name := c.do("GET", "/user/"+c.id, "").text(t, "username")
		second, third := &client{r: r}, &client{r: r}
		second.login(name)
		third.login(name)
		type page struct {
			Data []struct {
				ID        string
				Current   bool
				CreatedAt time.Time `json:"created_at"`
				ExpiresAt time.Time `json:"expires_at"`
			}
		}
		list := func(c *client) (p page) {
			a := c.do("GET", "/auth/sessions", "")
			require.Equal(t, 200, a.status, "%s", a.body)
			require.NoError(t, json.Unmarshal(a.body, &p))
			return p
		}
		open := list(c)
		require.Len(t, open.Data, 3)
		require.Equal(t, []bool{false, false, true},
			[]bool{open.Data[0].Current, open.Data[1].Current, open.Data[2].Current})
		end := open.Data[0].CreatedAt.Add(30 * 24 * time.Hour)
		require.WithinDuration(t, end, open.Data[0].ExpiresAt, time.Second)
		require.Equal(t, 204, c.do("DELETE", "/auth/sessions/"+open.Data[0].ID, "").status)
		require.Equal(t, 404, c.do("DELETE", "/auth/sessions/"+open.Data[0].ID, "").status)
		require.Equal(t, 401, third.do("GET", "/auth/sessions", "").status)
		require.Equal(t, 204, second.do("DELETE", "/auth/sessions", "").status)
		require.Equal(t, 401, c.do("GET", "/auth/sessions", "").status)
		require.Len(t, list(second).Data, 1)
		require.Equal(t, 204, second.do("POST", "/auth/logout", "").status)
		require.Equal(t, 401, second.do("GET", "/auth/sessions", "").status)
	})
}

// TestS67_TwoServersRefreshAtOnce: the same refresh token at two servers of one database gives one
// pair, good at both.
func TestS67_TwoServersRefreshAtOnce(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c := r.user()
		name := c.do("GET", "/user/"+c.id, "").text(t, "username")
		users := database.NewUsers(r.app.DB)
		second, err := auth.NewService(auth.ServiceDeps{Users: users, Sessions: users,
			Passwords: r.options.Passwords, Secrets: reveal(r.config.JWTSecrets), Now: r.app.Clock})
		require.NoError(t, err)
		in := c.do("POST", "/auth/login", signIn(name, rigPassword))
		shown := in.text(t, "refresh_token")
		var mu sync.Mutex
		next, access := map[string]int{}, []string{}
		atOnce(8, func(i int) {
			var refresh, token string
			if i%2 == 0 {
				a := c.do("POST", "/auth/refresh", refreshWith(shown))
				assert.Equal(t, 200, a.status, "%s", a.body)
				refresh, token = a.text(t, "refresh_token"), a.text(t, "access_token")
			} else {
				tokens, err := second.Refresh(t.Context(), shown, user.Origin{})
				assert.NoError(t, err)
				refresh, token = tokens.Refresh, tokens.Access
			}
			mu.Lock()
			defer mu.Unlock()
			next[refresh]++
			access = append(access, token)
		})
		require.Len(t, next, 1, "all got the same")
		for _, token := range access {
			_, err := second.Verify(t.Context(), token)
			require.NoError(t, err)
			require.Equal(t, 200, (&client{r: r, token: token}).do("GET", "/accounts", "").status)
		}
		r.advance(11 * time.Second)
		reused := c.do("POST", "/auth/refresh", refreshWith(shown))
		reused.refused(t, 401, "invalid_refresh_token")
		for refresh := range next {
			ended := c.do("POST", "/auth/refresh", refreshWith(refresh))
			ended.refused(t, 401, "invalid_refresh_token")
		}
	})
}

// TestS68_EmailAndPasswordWantThePresentPassword: over HTTP, right after the login too, and both
// addresses are told.
func TestS68_EmailAndPasswordWantThePresentPassword(t *testing.T) {
	servers := sync.Map{} // *emailtest.Server by data folder
	eachRig(t, func(t *testing.T, r *rig) {
		kept, _ := servers.Load(r.config.DataDir)
		server := kept.(*emailtest.Server)
		c := r.user()
		path := "/user/" + c.id
		old := c.do("GET", path, "").text(t, "email")
		c.do("PUT", path, `{"email":"thief@example.org"}`).refused(t, 403, "password_required")
		c.do("PUT", path, `{"password":"taken over 4711"}`).refused(t, 403, "password_required")
		guessed := c.do("PUT", path, `{"email":"thief@example.org","current_password":"a wrong password"}`)
		guessed.refused(t, 401, "wrong_password")
		require.Equal(t, old, c.do("GET", path, "").text(t, "email"))

		euros := c.open("EUR")
		c.fund(euros, "100.00", "EUR")
		payOut := func(target string) {
			a := c.do("POST", "/account/"+euros+"/withdraw", fmt.Sprintf(
				`{"amount":"1.00","currency":"EUR","external_target":{"bank_account_number":%q}}`, target))
			require.Equal(t, 202, a.status, "%s", a.body)
		}
		payOut("DE89370400440532013000")
		payOut("DE89 3704 0044 0532 0130 00")
		payOut("FR7630006000011234567890189")
		require.Equal(t, []string{"payout_target_used", "payout_target_used"},
			r.column("SELECT kind FROM notices"), "two targets, each told of once")
		require.Equal(t, []string{}, r.column(
			"SELECT fingerprint FROM payout_targets WHERE fingerprint LIKE '%370400440532%'"))
		for _, body := range []string{
			`{"email":"new@example.org","current_password":"` + rigPassword + `"}`,
			`{"password":"a good password 42","current_password":"` + rigPassword + `"}`,
		} {
			changed := c.do("PUT", path, body)
			require.Equal(t, 200, changed.status, "%s", changed.body)
		}
		require.Equal(t, 401, c.do("GET", path, "").status, "a new password ends every session")
		var told []string
		r.until(func() bool {
			told = nil
			for _, m := range server.Messages() {
				if !strings.Contains(m.Subject, "EUR") { // those are about payments
					told = append(told, m.To+": "+m.Subject)
				}
			}
			return len(told) == 5
		}, "the owner is told")
		const newTarget = ": A withdrawal to an account or wallet that is new for you was begun"
		require.ElementsMatch(t, []string{old + newTarget, old + newTarget,
			old + ": The email address of your account was changed",
			"new@example.org: The email address of your account was changed",
			"new@example.org: The password of your account was changed"}, told)
	}, func(c *Config, _ *Options) {
		server := emailtest.Start(t)
		servers.Store(c.DataDir, server)
		c.SMTPURL, c.MailFrom = secret(server.URL("robot", "pw")), "no-reply@florin.example"
	})
}

// TestF160_APasswordTypedInAnotherForm: chosen composed, typed decomposed, and the other way, at
// each place that asks for one.
func TestF160_APasswordTypedInAnotherForm(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		c := &client{r: r}
		const composed, decomposed = "Zoë's café number 4", "Zoe\u0308's cafe\u0301 number 4"
		made := c.do("POST", "/user", fmt.Sprintf(
			`{"username":"zoe","email":"zoe@example.com","password":%q}`, decomposed))
		require.Equal(t, 201, made.status, "%s", made.body)
		path := "/user/" + made.text(t, "id")
		in := c.do("POST", "/auth/login", signIn("zoe", composed))
		require.Equal(t, 200, in.status, "%s", in.body)
		c.token = in.text(t, "access_token")
		changed := c.do("PUT", path,
			fmt.Sprintf(`{"password":%q,"current_password":%q}`, composed+"2", composed))
		require.Equal(t, 200, changed.status, "%s", changed.body)
		in = c.do("POST", "/auth/login", signIn("zoe", decomposed+"2"))
		require.Equal(t, 200, in.status, "%s", in.body)
		c.token = in.text(t, "access_token")
		gone := c.do("DELETE", path, fmt.Sprintf(`{"password":%q}`, decomposed+"2"))
		require.Equal(t, 204, gone.status)
	})
}

// TestS66_NobodyKeepsTheOwnerOut: three threads guess all the time while the owner logs in from
// addresses that were never seen; one user behind a backend's address keeps no other there out; and
// a device is known after a restart, whatever was tried meanwhile.
func TestS66_NobodyKeepsTheOwnerOut(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		owner, colleague, nobody := r.user(), r.user(), &client{r: r}
		name := owner.do("GET", "/user/"+owner.id, "").text(t, "username")
		other := colleague.do("GET", "/user/"+colleague.id, "").text(t, "username")
		login := func(name, password, address, device string) answer {
			return nobody.do("POST", "/auth/login",
				fmt.Sprintf(`{"identity":%q,"password":%q,"device_token":%q}`, name, password,
					device), "X-Forwarded-For", address)
		}
		device := login(name, rigPassword, "192.0.2.250", "").text(t, "device_token")
		require.NotEmpty(t, device)

		stop := make(chan struct{})
		var guessers sync.WaitGroup
		var compared, refused atomic.Int64
		for n := range 3 {
			guessers.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					switch a := login(name, "a wrong password", fmt.Sprintf("203.0.113.%d", n), ""); a.status {
					case 401:
						compared.Add(1)
					case 429:
						refused.Add(1)
					default:
						assert.Fail(t, "neither wrong nor limited", "%d %s", a.status, a.body)
					}
				}
			})
		}
		r.until(func() bool { return refused.Load() > 3 }, "the guessers are slowed down")
		for n := range 100 {
			in := login(name, rigPassword, fmt.Sprintf("192.0.2.%d", n), "")
			assert.Equal(t, 200, in.status, "login %d: %s", n, in.body)
		}
		close(stop)
		guessers.Wait()
		assert.LessOrEqual(t, compared.Load(), int64(60), "and guessing is bounded")

		const backend = "198.51.100.1"
		for range 10 {
			login(name, "a wrong password", backend, "").refused(t, 401, "invalid_credentials")
		}
		login(name, rigPassword, backend, "").refused(t, 429, "too_many_failures")
		require.Equal(t, 200, login(other, rigPassword, backend, "").status,
			"another user of the same backend")

		r.restart()
		for n := range 120 {
			login(name, "a wrong password", fmt.Sprintf("203.0.113.%d", n), "")
		}
		login(name, rigPassword, "192.0.2.251", "").refused(t, 429, "too_many_failures")
		login(name, rigPassword, "192.0.2.251", "fdt_of_nobody").refused(t, 429, "too_many_failures")
		require.Equal(t, 200, login(name, rigPassword, "192.0.2.251", device).status,
			"the device is known")
	}, func(c *Config, _ *Options) { c.TrustedProxies, _ = middleware.ParseProxies("127.0.0.1") })
}
