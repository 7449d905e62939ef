package database

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
)

// OpenExisting is Open for those who must not make a database: it refuses one that is not there, one that is empty and one
// without Florin's tables, and leaves each as it is.
func OpenExisting(ctx context.Context, url string, options Options) (_ *DB, err error) {
	if path, onFile := strings.CutPrefix(url, "sqlite://"); onFile {
		file, err := os.Stat(path)
		switch {
		case err != nil && os.IsNotExist(err):
			return nil, fmt.Errorf("no database at %s; is DATA_DIR right?", path)
		case err != nil:
			return nil, fmt.Errorf("open sqlite: %w", err)
		case !file.Mode().IsRegular():
			return nil, fmt.Errorf("%s is no file, so it is no database; is DATA_DIR right?", path)
		case file.Size() == 0:
			return nil, errNoSchema
		}
	}
	db, err := Open(ctx, url, options)
	if err != nil {
		return nil, err
	}
	if err := db.checkSchema(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// errNoSchema is a database in which no server of Florin has ever worked.
var errNoSchema = errors.New("the database has no tables of Florin's: is it the right one? florin migrate makes them")

// checkSchema looks for tables of the first migration.
func (db *DB) checkSchema(ctx context.Context) error {
	query := "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name IN ('goose_db_version', 'accounts', 'log_head')"
	if db.dialect == Postgres {
		query = "SELECT COUNT(*) FROM unnest(ARRAY['goose_db_version', 'accounts', 'log_head']) AS name WHERE to_regclass(name) IS NOT NULL"
	}
	var tables int
	if err := db.reader.WithContext(ctx).Raw(query).Scan(&tables).Error; err != nil {
		return toErrs("look for the tables", err)
	}
	if tables < 3 {
		return errNoSchema
	}
	return nil
}
