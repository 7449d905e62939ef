package database_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"florin/domain/errs"
	"florin/domain/user"
	"florin/infra/database"
	"florin/infra/database/databasetest"
)

var userEpoch = time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)

func newUser(t *testing.T, username, email string) user.User {
	t.Helper()
	u, err := user.New(user.Fresh{ID: uuid.Must(uuid.NewV7()), Username: username, Email: email, PasswordHash: "$hash", Role: user.RoleUser, At: userEpoch})
	require.NoError(t, err)
	return u
}

func act(action string) user.Audit {
	return user.Audit{ID: uuid.Must(uuid.NewV7()), Actor: "test", Action: action, Subject: "s", Address: "192.0.2.1", Request: "r", At: userEpoch}
}

func auditCount(t *testing.T, db *database.DB, action string) int64 {
	t.Helper()
	var count int64
	require.NoError(t, db.Reader().Raw("SELECT COUNT(*) FROM audit WHERE action = ?", action).Scan(&count).Error)
	return count
}

func TestUsersAreStoredAndFound(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		ctx, users := context.Background(), database.NewUsers(db)
		u := newUser(t, "Ada", "Ada@example.com")
		require.NoError(t, users.CreateUser(ctx, u, act("user.registered")))
		require.Equal(t, int64(1), auditCount(t, db, "user.registered"))

		byID, err := users.UserByID(ctx, u.ID())
		require.NoError(t, err)
		require.Equal(t, u, byID)
		for _, identity := range []string{"ada", "ADA", "ada@EXAMPLE.com"} {
			found, err := users.UserByIdentity(ctx, identity)
			require.NoError(t, err)
			require.Equal(t, u.ID(), found.ID())
		}
		_, err = users.UserByIdentity(ctx, "nobody")
		require.Equal(t, errs.NotFound, errs.KindOf(err))

		err = users.CreateUser(ctx, newUser(t, "aDA", "other@example.com"), act("user.registered"))
		require.Equal(t, "username_taken", errs.CodeOf(err))
		err = users.CreateUser(ctx, newUser(t, "other", "ada@Example.com"), act("user.registered"))
		require.Equal(t, "email_taken", errs.CodeOf(err))
		require.Equal(t, int64(1), auditCount(t, db, "user.registered"), "a refused registration leaves no act")
	})
}

func TestS11_NewPasswordEndsSessions(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		ctx, users := context.Background(), database.NewUsers(db)
		u := newUser(t, "ada", "ada@example.com")
		require.NoError(t, users.CreateUser(ctx, u, act("user.registered")))
		family := uuid.Must(uuid.NewV7())
		require.NoError(t, users.StartSession(ctx, u, token(u.ID(), family, "h1"), act("login.succeeded")))
		standing, err := users.Standing(ctx, u.ID(), family)
		require.NoError(t, err)
		require.Equal(t, user.Standing{Role: user.RoleUser, Generation: 1, Open: true}, standing)

		after, err := users.ChangeUser(ctx, u.ID(), func(u *user.User) error { u.SetPassword("$new", userEpoch); return nil }, act("user.updated"))
		require.NoError(t, err)
		require.Equal(t, int64(2), after.Generation())
		standing, err = users.Standing(ctx, u.ID(), family)
		require.NoError(t, err)
		require.False(t, standing.Open)
		require.Equal(t, int64(2), standing.Generation)

		err = users.StartSession(ctx, u, token(u.ID(), uuid.Must(uuid.NewV7()), "h2"), act("login.succeeded"))
		require.Equal(t, errs.Unauthenticated, errs.KindOf(err), "a login that read the old password comes too late")
	})
}

func token(owner, family uuid.UUID, hash string) user.RefreshToken {
	return user.RefreshToken{ID: uuid.Must(uuid.NewV7()), Family: family, UserID: owner, Hash: hash, CreatedAt: userEpoch, ExpiresAt: userEpoch.Add(time.Hour)}
}

func TestS12_ReuseOfARefreshTokenEndsTheFamily(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		ctx, users := context.Background(), database.NewUsers(db)
		u := newUser(t, "ada", "ada@example.com")
		require.NoError(t, users.CreateUser(ctx, u, act("user.registered")))
		family := uuid.Must(uuid.NewV7())
		require.NoError(t, users.StartSession(ctx, u, token(u.ID(), family, "h1"), act("login.succeeded")))

		owner, row, outcome, err := users.RotateSession(ctx, "h1", token(uuid.Nil, uuid.Nil, "h2"), nil,
			act("session.reused"))
		require.NoError(t, err)
		require.Equal(t, user.RotationDone, outcome)
		require.Equal(t, u.ID(), owner.ID())
		require.Equal(t, family, row.Family)

		late := token(uuid.Nil, uuid.Nil, "h3")
		late.CreatedAt = userEpoch.Add(user.RepeatGrace + time.Microsecond)
		_, row, outcome, err = users.RotateSession(ctx, "h1", late, []string{"h2"}, act("session.reused"))
		require.NoError(t, err)
		require.Equal(t, user.RotationReused, outcome)
		require.Equal(t, u.ID(), row.UserID)
		require.Equal(t, int64(1), auditCount(t, db, "session.reused"))

		for _, hash := range []string{"h1", "h2", "h3", "unknown"} {
			_, _, outcome, err = users.RotateSession(ctx, hash, token(uuid.Nil, uuid.Nil, "next"+hash), nil,
				act("session.reused"))
			require.NoError(t, err)
			require.Equal(t, user.RotationRefused, outcome, hash)
		}
		standing, err := users.Standing(ctx, u.ID(), family)
		require.NoError(t, err)
		require.False(t, standing.Open)
	})
}

func TestS12_ExpiredAndRacingRefreshTokens(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		ctx, users := context.Background(), database.NewUsers(db)
		u := newUser(t, "ada", "ada@example.com")
		require.NoError(t, users.CreateUser(ctx, u, act("user.registered")))
		family := uuid.Must(uuid.NewV7())
		require.NoError(t, users.StartSession(ctx, u, token(u.ID(), family, "h1"), act("login.succeeded")))
		late := token(uuid.Nil, uuid.Nil, "late")
		late.CreatedAt = userEpoch.Add(time.Hour)
		_, _, outcome, err := users.RotateSession(ctx, "h1", late, nil, act("session.reused"))
		require.NoError(t, err)
		require.Equal(t, user.RotationRefused, outcome)

		var done, repeated, reused atomic.Int64
		race := func(at time.Time, hash string) {
			var wait sync.WaitGroup
			for range 8 {
				wait.Go(func() {
					next := token(uuid.Nil, uuid.Nil, hash)
					next.CreatedAt = at
					_, row, outcome, err := users.RotateSession(ctx, "h1", next, []string{"other key", hash},
						act("session.reused"))
					switch {
					case err == nil && outcome == user.RotationDone:
						done.Add(1)
					case err == nil && outcome == user.RotationRepeated && row.Hash == "next" && row.Family == family && !row.Used:
						repeated.Add(1)
					case err == nil && outcome == user.RotationReused:
						reused.Add(1)
					}
				})
			}
			wait.Wait()
		}
		race(userEpoch, "next")
		require.Equal(t, []int64{1, 7, 0}, []int64{done.Load(), repeated.Load(), reused.Load()},
			"one of the racers wins, the others get the same")
		race(userEpoch.Add(user.RepeatGrace), "next")
		require.EqualValues(t, 15, repeated.Load())
		race(userEpoch.Add(user.RepeatGrace+time.Microsecond), "next")
		require.Equal(t, []int64{1, 15, 1}, []int64{done.Load(), repeated.Load(), reused.Load()},
			"too late: the first ends the family, the others find it ended")
	})
}

// TestS73_SessionsAreFewAndEnd: one more than the most ends the oldest; each has its end from the
// login on; a user ends their own.
func TestS73_SessionsAreFewAndEnd(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		ctx, users := context.Background(), database.NewUsers(db)
		u, other := newUser(t, "ada", "ada@example.com"), newUser(t, "bob", "bob@example.com")
		require.NoError(t, users.CreateUser(ctx, u, act("user.registered")))
		require.NoError(t, users.CreateUser(ctx, other, act("user.registered")))
		var families []uuid.UUID
		start := func(u user.User, hash string) uuid.UUID {
			family := uuid.Must(uuid.NewV7())
			require.NoError(t, users.StartSession(ctx, u, token(u.ID(), family, hash),
				act("login.succeeded")))
			return family
		}
		foreign := start(other, "foreign")
		for n := range user.MaxSessions {
			families = append(families, start(u, fmt.Sprint("h", n)))
		}
		_, row, outcome, err := users.RotateSession(ctx, "h0", token(uuid.Nil, uuid.Nil, "h0b"), nil,
			act("session.reused"))
		require.NoError(t, err)
		require.Equal(t, user.RotationDone, outcome)
		require.Equal(t, userEpoch.Add(time.Hour), row.ExpiresAt, "a refresh does not put the end off")
		families = append(families, start(u, "more"), start(u, "most"))
		open, err := users.Sessions(ctx, u.ID(), userEpoch)
		require.NoError(t, err)
		require.Len(t, open, user.MaxSessions)
		for i, s := range open {
			require.Equal(t, families[len(families)-1-i], s.ID,
				"the newest first; the two oldest logins are over")
			require.Equal(t, userEpoch.Add(time.Hour), s.EndsAt)
		}
		later, err := users.Sessions(ctx, u.ID(), userEpoch.Add(time.Hour))
		require.NoError(t, err)
		require.Empty(t, later)

		end := act("session.ended")
		require.Equal(t, errs.NotFound, errs.KindOf(users.EndSessionOf(ctx, u.ID(), foreign,
			act("session.ended"))))
		require.Equal(t, errs.NotFound, errs.KindOf(users.EndSessionOf(ctx, u.ID(), families[0],
			act("session.ended"))), "it is over")
		require.NoError(t, users.EndSessionOf(ctx, u.ID(), open[0].ID, end))
		require.Equal(t, errs.NotFound, errs.KindOf(users.EndSessionOf(ctx, u.ID(), open[0].ID,
			act("session.ended"))))
		require.NoError(t, users.EndOtherSessions(ctx, u.ID(), open[7].ID, act("session.ended")))
		open, err = users.Sessions(ctx, u.ID(), userEpoch)
		require.NoError(t, err)
		require.Len(t, open, 1)
		standing, err := users.Standing(ctx, other.ID(), foreign)
		require.NoError(t, err)
		require.True(t, standing.Open, "another user's goes on")
		require.EqualValues(t, 2, auditCount(t, db, "session.ended"))
	})
}

func TestS11_EndedSessionIsClosed(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		ctx, users := context.Background(), database.NewUsers(db)
		u := newUser(t, "ada", "ada@example.com")
		require.NoError(t, users.CreateUser(ctx, u, act("user.registered")))
		one, other := uuid.Must(uuid.NewV7()), uuid.Must(uuid.NewV7())
		require.NoError(t, users.StartSession(ctx, u, token(u.ID(), one, "h1"), act("login.succeeded")))
		require.NoError(t, users.StartSession(ctx, u, token(u.ID(), other, "h2"), act("login.succeeded")))
		family, owner, err := users.SessionByHash(ctx, "h1")
		require.NoError(t, err)
		require.Equal(t, []uuid.UUID{one, u.ID()}, []uuid.UUID{family, owner})
		require.NoError(t, users.EndSession(ctx, one, act("session.ended")))
		require.NoError(t, users.EndSession(ctx, one, act("session.ended")), "ending it again is no error")
		for session, open := range map[uuid.UUID]bool{one: false, other: true, uuid.Must(uuid.NewV7()): false} {
			standing, err := users.Standing(ctx, u.ID(), session)
			require.NoError(t, err)
			require.Equal(t, open, standing.Open)
		}
		standing, err := users.Standing(ctx, uuid.Must(uuid.NewV7()), other)
		require.NoError(t, err)
		require.False(t, standing.Open, "a session of somebody else")
	})
}

func TestDeletedUserIsAnonymous(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		ctx, users := context.Background(), database.NewUsers(db)
		u := newUser(t, "ada", "ada@example.com")
		require.NoError(t, users.CreateUser(ctx, u, act("user.registered")))
		account := uuid.Must(uuid.NewV7())
		require.NoError(t, db.Writer().Exec(`INSERT INTO accounts (id, kind, user_id, currency, posted, created_at, updated_at)
			VALUES (?, 'user', ?, 'EUR', 100, ?, ?)`, account, u.ID(), userEpoch, userEpoch).Error)

		rich, err := users.MoneyOnAccounts(ctx, u.ID())
		require.NoError(t, err)
		require.True(t, rich)
		err = users.DeleteUser(ctx, u.ID(), userEpoch, act("user.deleted"))
		require.Equal(t, "money_on_accounts", errs.CodeOf(err))
		found, err := users.UserByID(ctx, u.ID())
		require.NoError(t, err)
		require.Equal(t, u, found)

		require.NoError(t, db.Writer().Exec("UPDATE accounts SET posted = 0 WHERE id = ?", account).Error)
		require.NoError(t, users.DeleteUser(ctx, u.ID(), userEpoch, act("user.deleted")))
		found, err = users.UserByID(ctx, u.ID())
		require.NoError(t, err)
		require.True(t, found.Deleted())
		require.NotContains(t, found.Username()+found.Email()+found.PasswordHash(), "ada")
		var status string
		require.NoError(t, db.Reader().Raw("SELECT status FROM accounts WHERE id = ?", account).Scan(&status).Error)
		require.Equal(t, "closed", status)
		_, err = users.UserByIdentity(ctx, found.Username())
		require.Equal(t, errs.NotFound, errs.KindOf(err))
		require.Equal(t, errs.NotFound, errs.KindOf(users.DeleteUser(ctx, u.ID(), userEpoch, act("user.deleted"))))
		require.NoError(t, users.CreateUser(ctx, newUser(t, "ada", "ada@example.com"), act("user.registered")), "the name is free again")
	})
}

func TestS18_AdminExists(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		ctx, users := context.Background(), database.NewUsers(db)
		exists, err := users.AdminExists(ctx)
		require.NoError(t, err)
		require.False(t, exists)
		admin, err := user.New(user.Fresh{ID: uuid.Must(uuid.NewV7()), Username: "admin", Email: "a@example.com", PasswordHash: "$h", Role: user.RoleAdmin, At: userEpoch})
		require.NoError(t, err)
		require.NoError(t, users.CreateUser(ctx, admin, act("admin.created")))
		exists, err = users.AdminExists(ctx)
		require.NoError(t, err)
		require.True(t, exists)
	})
}
