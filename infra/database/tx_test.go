package database_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"florin/domain/errs"
	"florin/infra/database"
	"florin/infra/database/databasetest"
)

const takeLease = "INSERT INTO leases (name, holder, fence, expires_at) VALUES (?, 'h', 1, ?)"

func leases(t *testing.T, db *database.DB) (count int64) {
	t.Helper()
	require.NoError(t, db.Reader().Table("leases").Count(&count).Error)
	return count
}

func TestInTxCommitsOrRollsBack(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		refusal := errors.New("refused")
		insert := func(name string, end func() error) func(*gorm.DB) error {
			return func(tx *gorm.DB) error {
				if err := tx.Exec(takeLease, name, noon).Error; err != nil {
					return err
				}
				return end()
			}
		}
		require.ErrorIs(t, database.InTx(db, t.Context(), insert("a", func() error { return refusal })), refusal)
		require.PanicsWithValue(t, "stop", func() {
			_ = database.InTx(db, t.Context(), insert("a", func() error { panic("stop") }))
		})
		ctx, cancel := context.WithCancel(t.Context())
		require.ErrorIs(t, database.InTx(db, ctx, insert("a", func() error { cancel(); return nil })), context.Canceled)
		require.Zero(t, leases(t, db))
		require.NoError(t, database.InTx(db, t.Context(), insert("a", func() error { return nil })))
		require.EqualValues(t, 1, leases(t, db))
	})
}

func TestUniqueViolationsCarryTheirName(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		const addUser = "INSERT INTO users (id, username, email, password_hash, created_at, updated_at) VALUES (?, ?, ?, 'x', ?, ?)"
		add := func(name, mail string) error {
			return database.InTx(db, t.Context(), func(tx *gorm.DB) error {
				return tx.Exec(addUser, uuid.New(), name, mail, noon, noon).Error
			})
		}
		require.NoError(t, add("Ann", "a@example.com"))
		err := add("ann", "b@example.com")
		require.ErrorIs(t, err, database.Unique)
		require.ErrorIs(t, err, gorm.ErrDuplicatedKey)
		require.Equal(t, "users_username_key", database.ConstraintOf(err))
		require.Equal(t, errs.Internal, errs.KindOf(database.ToErrs("add user", err)))

		token := func() error {
			var user uuid.UUID
			return database.InTx(db, t.Context(), func(tx *gorm.DB) error {
				if err := tx.Raw("SELECT id FROM users").Row().Scan(&user); err != nil {
					return err
				}
				return tx.Exec(`INSERT INTO refresh_tokens (id, family_id, user_id, token_hash, created_at, expires_at)
					VALUES (?, ?, ?, 'same', ?, ?)`, uuid.New(), uuid.New(), user, noon, noon).Error
			})
		}
		require.NoError(t, token())
		err = token()
		require.ErrorIs(t, err, database.Unique)
		want := map[database.Dialect]string{database.SQLite: "refresh_tokens.token_hash", database.Postgres: "refresh_tokens_token_hash_key"}
		require.Equal(t, want[db.Dialect()], database.ConstraintOf(err))
	})
}

// cutter is a proxy that, once armed, passes a client's COMMIT on and cuts the connection before the answer.
type cutter struct {
	listener net.Listener
	server   string
	armed    atomic.Bool
	passed   chan struct{} // closed when the server has answered the COMMIT that nobody heard
	once     sync.Once
}

func startCutter(t *testing.T, server string) *cutter {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	c := &cutter{listener: listener, server: server, passed: make(chan struct{})}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go c.serve(client)
		}
	}()
	return c
}

func (c *cutter) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", c.server)
	if err != nil {
		return
	}
	defer server.Close()
	var cut atomic.Bool
	go func() {
		buffer := make([]byte, 64<<10)
		for {
			n, err := client.Read(buffer)
			if err != nil {
				_ = server.Close()
				return
			}
			if c.armed.Load() && bytes.Contains(bytes.ToLower(buffer[:n]), []byte("commit")) {
				cut.Store(true)
			}
			if _, err := server.Write(buffer[:n]); err != nil {
				return
			}
		}
	}()
	buffer := make([]byte, 64<<10)
	for {
		n, err := server.Read(buffer)
		if err != nil {
			return
		}
		if cut.Load() {
			c.once.Do(func() { close(c.passed) })
			return
		}
		if _, err := io.Copy(client, bytes.NewReader(buffer[:n])); err != nil {
			return
		}
	}
}

func TestF97_LostAnswerToCommitIsUnknown(t *testing.T) {
	t.Parallel()
	direct := databasetest.URL(t, database.Postgres)
	address, err := url.Parse(direct)
	require.NoError(t, err)
	proxy := startCutter(t, address.Host)
	address.Host = proxy.listener.Addr().String()
	db := databasetest.OpenURL(t, address.String(), database.Options{})

	proxy.armed.Store(true)
	err = database.InTx(db, t.Context(), func(tx *gorm.DB) error { return tx.Exec(takeLease, "a", noon).Error })
	require.ErrorIs(t, err, database.CommitUnknown)
	require.Equal(t, errs.Unavailable, errs.KindOf(database.ToErrs("take lease", err)))
	<-proxy.passed
	proxy.armed.Store(false)
	err = database.InTx(db, t.Context(), func(tx *gorm.DB) error { return tx.Exec(takeLease, "a", noon).Error })
	require.ErrorIs(t, err, database.Unique, "the first one was committed, and the pool has healed")
}

func TestDeferredRefusalAtCommitIsDefinite(t *testing.T) {
	t.Parallel()
	db := databasetest.Open(t, database.Postgres, database.Options{})
	require.NoError(t, db.Writer().Exec("CREATE TABLE late (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)").Error)
	err := database.InTx(db, t.Context(), func(tx *gorm.DB) error { return tx.Exec("INSERT INTO late VALUES (1), (1)").Error })
	require.ErrorIs(t, err, database.Unique)
	require.NotErrorIs(t, err, database.CommitUnknown)
}

func TestF98_WaitForAConnectionIsBounded(t *testing.T) {
	t.Parallel()
	for _, dialect := range []database.Dialect{database.SQLite, database.Postgres} {
		t.Run(string(dialect), func(t *testing.T) {
			t.Parallel()
			db := databasetest.Open(t, dialect, database.Options{Writers: 1, Readers: 1, ConnWait: time.Second})
			err := database.InTx(db, t.Context(), func(*gorm.DB) error {
				began := time.Now()
				err := database.InTx(db, t.Context(), func(*gorm.DB) error { return nil })
				require.Less(t, time.Since(began), 3*time.Second)
				require.GreaterOrEqual(t, time.Since(began), 900*time.Millisecond)
				return err
			})
			require.ErrorIs(t, err, database.Unavailable)
			var answer *errs.Error
			require.ErrorAs(t, database.ToErrs("take", err), &answer)
			require.Equal(t, "database_unavailable", answer.Code)
			require.Equal(t, 2*time.Second, answer.RetryAfter)
			require.NoError(t, database.InTx(db, t.Context(), func(*gorm.DB) error { return nil }), "the pool is whole again")
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			cancel()
			require.ErrorIs(t, db.Reader().WithContext(ctx).Exec("SELECT 1").Error, context.Canceled)
		})
	}
}

func TestF99_TimeoutsRollBackAndAreUnavailable(t *testing.T) {
	t.Parallel()
	db := databasetest.Open(t, database.Postgres, database.Options{
		LockTimeout: 50 * time.Millisecond, StatementTimeout: 200 * time.Millisecond, IdleInTransactionTimeout: 2 * time.Second,
	})
	require.NoError(t, db.Writer().Exec(takeLease, "a", noon).Error)
	const grab = "UPDATE leases SET fence = fence + 1"
	err := database.InTx(db, t.Context(), func(tx *gorm.DB) error {
		require.NoError(t, tx.Exec(grab).Error)
		return database.InTx(db, t.Context(), func(other *gorm.DB) error { return other.Exec(grab).Error })
	})
	require.ErrorIs(t, err, database.Unavailable)
	require.ErrorContains(t, err, "55P03")
	err = database.InTx(db, t.Context(), func(tx *gorm.DB) error { return tx.Exec("SELECT pg_sleep(5)").Error })
	require.ErrorIs(t, err, database.Unavailable)
	require.ErrorContains(t, err, "57014")
	err = database.InTx(db, t.Context(), func(tx *gorm.DB) error {
		var backend int
		require.NoError(t, tx.Exec(grab).Error)
		require.NoError(t, tx.Raw("SELECT pg_backend_pid()").Scan(&backend).Error)
		require.Eventually(t, func() bool {
			var alive int
			require.NoError(t, db.Reader().Raw("SELECT count(*) FROM pg_stat_activity WHERE pid = ?", backend).Scan(&alive).Error)
			return alive == 0
		}, 10*time.Second, 20*time.Millisecond)
		return nil
	})
	require.Error(t, err)
	var fence int64
	require.NoError(t, db.Reader().Raw("SELECT fence FROM leases").Scan(&fence).Error)
	require.EqualValues(t, 1, fence)
}

func TestF101_ReadThenWriteUnderManyWriters(t *testing.T) {
	t.Parallel()
	db := databasetest.Open(t, database.SQLite, database.Options{ConnWait: time.Minute})
	require.NoError(t, db.Writer().Exec(takeLease, "a", noon).Error)
	const writers, rounds = 64, 4
	var all sync.WaitGroup
	failures := make(chan error, writers*rounds)
	for range writers {
		all.Go(func() {
			for range rounds {
				failures <- database.InTx(db, context.Background(), func(tx *gorm.DB) error {
					var fence int64
					if err := tx.Raw("SELECT fence FROM leases WHERE name = 'a'").Scan(&fence).Error; err != nil {
						return err
					}
					return tx.Exec("UPDATE leases SET fence = ? WHERE name = 'a'", fence+1).Error
				})
				var count int64
				failures <- db.Reader().Table("leases").Count(&count).Error
			}
		})
	}
	go func() { all.Wait(); close(failures) }()
	for err := range failures {
		require.NoError(t, err)
	}
	var fence int64
	require.NoError(t, db.Reader().Raw("SELECT fence FROM leases").Scan(&fence).Error)
	require.EqualValues(t, 1+writers*rounds, fence)
}
