package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"florin/migrations"
	"florin/pkg/crashpoint"
)

// migrationTries is how often a migration of an SQLite file starts again although the version has not moved.
const migrationTries = 5

// Migration is one step of the schema.
type Migration struct {
	Version   int64
	File      string
	AppliedAt time.Time // zero when it is pending
}

// Migrate brings the schema to the version that this program knows. Several programs may do it at once: one does the work, the
// others wait. A schema that is ahead is left alone with a warning as long as it says that this program may work on it: every
// migration that leaves older programs working leaves schema_floor as it is. Otherwise it is refused. A migration that was cut
// off is rolled back, and done at the next start.
//
// A schema that has all of this program's migrations costs one read: no lock is taken and no connection opened.
func Migrate(ctx context.Context, db *DB) error {
	if upToDate(ctx, db) {
		return nil
	}
	for tries := 1; ; tries++ {
		before, _, err := Version(ctx, db)
		if err == nil {
			err = migrateOnce(ctx, db)
		}
		if err == nil || ctx.Err() != nil || tries == migrationTries || db.dialect == Postgres {
			return toErrs("migrate", err)
		}
		// Nothing but the file's own lock keeps two processes apart here. The later one finds the tables built, and a
		// version that has moved, because each step commits its version with its tables.
		after, _, versionErr := Version(ctx, db)
		if !errors.Is(classify(err), errRetry) && (versionErr != nil || after == before) {
			return toErrs("migrate", err)
		}
		if versionErr == nil && after > before {
			tries = 0 // another process may be quicker at every step
		}
	}
}

// upToDate says whether every migration of this program and no other is applied. Where that cannot be read, as in an empty
// database, it is not.
func upToDate(ctx context.Context, db *DB) bool {
	known, err := fs.Glob(migrations.Files, string(db.dialect)+"/*.sql")
	if err != nil {
		return false
	}
	pool, err := db.reader.DB() // past gorm, which would log that the table is missing
	if err != nil {
		return false
	}
	rows, err := pool.QueryContext(ctx, "SELECT DISTINCT version_id FROM goose_db_version WHERE is_applied AND version_id > 0")
	if err != nil {
		return false
	}
	defer rows.Close()
	applied := map[int64]bool{}
	for rows.Next() {
		var version int64
		if rows.Scan(&version) != nil {
			return false
		}
		applied[version] = true
	}
	if rows.Err() != nil || len(applied) != len(known) {
		return false
	}
	return !slices.ContainsFunc(known, func(file string) bool {
		version, err := goose.NumericComponent(file)
		return err != nil || !applied[version]
	})
}

func migrateOnce(ctx context.Context, db *DB) error {
	return withProvider(db, func(provider *goose.Provider) error {
		current, known, err := provider.GetVersions(ctx)
		if err != nil {
			return err
		}
		if current > known {
			return db.checkFloor(ctx, current, known)
		}
		for {
			crashpoint.Hit(crashpoint.MigrationStep)
			step, err := provider.UpByOne(ctx)
			if errors.Is(err, goose.ErrNoNextVersion) {
				return nil
			}
			if err != nil {
				return err
			}
			crashpoint.Hit(crashpoint.MigrationRecorded)
			db.options.Logger.InfoContext(ctx, "migration applied",
				slog.Int64("version", step.Source.Version), slog.Int64("took_ms", step.Duration.Milliseconds()))
		}
	})
}

// checkFloor refuses a newer schema that this program must not work on.
func (db *DB) checkFloor(ctx context.Context, current, known int64) error {
	var floor int64
	if err := db.reader.WithContext(ctx).Raw("SELECT oldest FROM schema_floor WHERE id = 1").Scan(&floor).Error; err != nil {
		return err
	}
	if known < floor {
		return fmt.Errorf("the schema has version %d and is for programs that know version %d or later, this one knows up to %d: start a newer program",
			current, floor, known)
	}
	db.options.Logger.WarnContext(ctx, "the schema is newer than this program", slog.Int64("schema", current), slog.Int64("known", known))
	return nil
}

// Version returns the version of the schema, 0 when there is none, and the one that this program knows.
func Version(ctx context.Context, db *DB) (current, known int64, err error) {
	err = withProvider(db, func(provider *goose.Provider) error {
		current, known, err = provider.GetVersions(ctx)
		return err
	})
	return current, known, toErrs("read schema version", err)
}

// Status lists every migration that this program knows, in order.
func Status(ctx context.Context, db *DB) ([]Migration, error) {
	var list []Migration
	err := withProvider(db, func(provider *goose.Provider) error {
		states, err := provider.Status(ctx)
		for _, state := range states {
			list = append(list, Migration{
				Version: state.Source.Version, File: state.Source.Path, AppliedAt: state.AppliedAt.UTC(),
			})
		}
		return err
	})
	return list, toErrs("read migration status", err)
}

// withProvider runs fn on a connection of its own, without the timeouts of the request path.
func withProvider(db *DB, fn func(*goose.Provider) error) error {
	conn, err := db.openForMigration()
	if err != nil {
		return err
	}
	provider, err := newProvider(db, conn)
	if err != nil {
		return errors.Join(err, conn.Close())
	}
	return errors.Join(fn(provider), provider.Close()) // closes conn too
}

func newProvider(db *DB, conn *sql.DB) (*goose.Provider, error) {
	tree, err := fs.Sub(migrations.Files, string(db.dialect))
	if err != nil {
		return nil, err
	}
	options := []goose.ProviderOption{goose.WithDisableGlobalRegistry(true), goose.WithSlog(slog.New(slog.DiscardHandler))}
	if db.dialect == SQLite {
		return goose.NewProvider(goose.DialectSQLite3, conn, tree, options...)
	}
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300))
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectPostgres, conn, tree, append(options, goose.WithSessionLocker(locker))...)
}
