package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// ErrBackupElsewhere is a backup of a database that has better tools for it.
var ErrBackupElsewhere = errors.New("PostgreSQL is backed up by its own tools: pg_dump, or base backups with WAL archiving")

// Backup writes a copy of an SQLite database as it is at one moment, beside running servers, which go on meanwhile. The copy is
// readable by its owner alone, checked, and on the disk when Backup returns; its size in bytes is returned. A file that is
// there is never overwritten. progress, when not nil, is called with what is written, in MB. ErrBackupElsewhere on PostgreSQL.
func Backup(ctx context.Context, db *DB, path string, progress func(done, total int)) (size int64, err error) {
	if db.dialect == Postgres {
		return 0, ErrBackupElsewhere
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return 0, errors.Join(fmt.Errorf("backup: %s is there already", path), err)
	}
	partial := path + ".partial"
	file, err := os.OpenFile(partial, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return 0, fmt.Errorf("backup: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close(), os.Remove(partial)) }()
	if err := copyInto(ctx, db, partial, progress); err != nil {
		return 0, fmt.Errorf("backup: %w", err)
	}
	if err := checkCopy(ctx, partial); err != nil {
		return 0, fmt.Errorf("backup: %w", err)
	}
	if err := file.Sync(); err != nil {
		return 0, fmt.Errorf("backup: %w", err)
	}
	// A link, because a rename would overwrite what somebody has put there meanwhile.
	if err := os.Link(partial, path); err != nil {
		return 0, fmt.Errorf("backup: %w", err)
	}
	info, err := file.Stat()
	if err != nil {
		return 0, fmt.Errorf("backup: %w", err)
	}
	return info.Size(), syncFolder(filepath.Dir(path))
}

// copyInto writes the database as one snapshot shows it, and tells how far it is.
func copyInto(ctx context.Context, db *DB, path string, progress func(done, total int)) error {
	conn, err := db.openForMigration()
	if err != nil {
		return err
	}
	defer conn.Close()
	var pages, pageSize int64
	if err := conn.QueryRowContext(ctx, "SELECT page_count, page_size FROM pragma_page_count, pragma_page_size").Scan(&pages, &pageSize); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() {
		_, err := conn.ExecContext(ctx, "VACUUM INTO ?", path)
		done <- err
	}()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-tick.C:
			if info, err := os.Stat(path); err == nil && progress != nil {
				total := int(pages*pageSize>>20) + 1
				progress(min(int(info.Size()>>20), total), total)
			}
		}
	}
}

// checkCopy reads the whole copy.
func checkCopy(ctx context.Context, path string) error {
	opened, err := openAlone(path, time.Second)
	if err != nil {
		return err
	}
	err = integrityOf(ctx, opened)
	// The last connection takes the log of the copy away.
	return errors.Join(err, opened.Close())
}

func integrityOf(ctx context.Context, pool *sql.DB) error {
	var health string
	if err := pool.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&health); err != nil {
		return err
	}
	if health != "ok" {
		return fmt.Errorf("the copy is damaged: %s", health)
	}
	return nil
}

func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
