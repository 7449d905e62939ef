package main

import (
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/service/integrity"
)

// proving is the program with a quick proof of the books, and without the error records that the test provokes.
func proving(_ *Config, o *Options) {
	o.Integrity = integrity.Config{Every: 50 * time.Millisecond}
	o.Log = slog.New(slog.DiscardHandler)
}

// TestI3_TamperedAccountIsFrozenAndAllElseGoesOn: somebody with the rights of the database adds a cent to a balance. With the next
// commit on that account it is frozen, alerted and reviewed within seconds; other accounts go on.
func TestI3_TamperedAccountIsFrozenAndAllElseGoesOn(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		boss, c, other := r.admin(), r.user(), r.user()
		euros, theirs := c.open("EUR"), other.open("EUR")
		c.fund(euros, "100.00", "EUR")
		other.fund(theirs, "100.00", "EUR")
		proof := func() (state struct {
			Sound          bool
			ProvedPosition int64 `json:"proved_position"`
			LagEvents      int64 `json:"lag_events"`
			Broken         []struct {
				Invariant string
				Accounts  []string
			}
		}) {
			shown := r.administer(boss.token, "GET", "/admin/integrity", "")
			require.Equal(t, 200, shown.status, "%s", shown.body)
			require.NoError(t, json.Unmarshal(shown.body, &state))
			return state
		}
		r.until(func() bool { s := proof(); return s.Sound && s.LagEvents == 0 && s.ProvedPosition > 0 }, "the log is proved")

		require.NoError(t, r.app.DB.Writer().Exec("UPDATE accounts SET posted = posted + 1 WHERE id = ?", euros).Error)
		require.Equal(t, 202, c.withdraw(euros, "1.00", "EUR").status)
		committed := time.Now()
		r.until(func() bool { return c.do("GET", "/account/"+euros, "").text(t, "status") == "frozen" }, "the account is frozen")
		assert.Less(t, time.Since(committed), 5*time.Second)
		c.transfer(euros, theirs, "1.00", "EUR").refused(t, 422, "account_frozen")
		assert.Equal(t, "active", other.do("GET", "/account/"+theirs, "").text(t, "status"))
		require.Equal(t, 202, other.withdraw(theirs, "1.00", "EUR").status)
		r.until(func() bool { return r.alerts("integrity") == 1 }, "it is told")
		state := proof()
		require.Len(t, state.Broken, 1)
		assert.Equal(t, "I3", state.Broken[0].Invariant)
		assert.Equal(t, []string{euros}, state.Broken[0].Accounts)
		assert.EqualValues(t, 1, r.count("SELECT COUNT(*) FROM reviews WHERE kind = 'integrity'"))
		assert.EqualValues(t, 1, r.count("SELECT COUNT(*) FROM audit WHERE action = 'account.freeze' AND actor = 'system' AND subject = ?", euros))

		require.NoError(t, r.app.DB.Writer().Exec("UPDATE accounts SET posted = posted - 1 WHERE id = ?", euros).Error)
		r.until(func() bool { return proof().Sound }, "it is seen to be right again")
		assert.Equal(t, 200, r.freeze(boss, "unfreeze", euros).status)
		require.Equal(t, 200, c.transfer(euros, theirs, "1.00", "EUR").status)
		require.Equal(t, "99.00 1.00 98.00", c.balance(euros))
	}, proving)
}
