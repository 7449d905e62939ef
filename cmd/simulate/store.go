package main

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"

	"florin/domain/account"
	"florin/domain/errs"
	"florin/infra/database"
)

// template is a migrated SQLite file, of which every history gets a copy.
func template(ctx context.Context, folder string) (content []byte, err error) {
	path := filepath.Join(folder, "template.db")
	db, err := open(ctx, path)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(database.Migrate(ctx, db), db.Close()); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

func open(ctx context.Context, path string) (*database.DB, error) {
	return database.Open(ctx, "sqlite://"+path, database.Options{Logger: slog.New(slog.DiscardHandler), Readers: 1})
}

// workFolder is in memory where that can be had: a simulation proves nothing about disks.
func workFolder() (string, error) {
	if folder, err := os.MkdirTemp("/dev/shm", "florin-simulate-"); err == nil {
		return folder, nil
	}
	return os.MkdirTemp("", "florin-simulate-")
}

// errDead is what a server that has died says to the one who asked: nothing that he could read.
var errDead = errs.New(errs.Unavailable, "database_unavailable", "The server is dead.")

// mortal is the ledger of one server. The server dies at a commit, before or behind it, where the dice say so, and a dead one
// writes nothing any more.
type mortal struct {
	account.Ledger
	random *rand.Rand
	dead   atomic.Bool
	calm   *bool
}

// Do implements account.Ledger.
func (m *mortal) Do(ctx context.Context, needs account.Needs, fn func(ctx context.Context, u account.UnitOfWork) error) error {
	if m.dead.Load() {
		return errDead
	}
	dice := 1000
	if !*m.calm {
		dice = m.random.IntN(1000)
	}
	switch {
	case dice < 12:
		m.dead.Store(true)
		return errDead
	case dice < 20: // the database is away for a moment
		return errs.New(errs.Unavailable, "database_unavailable", "The database does not answer.")
	}
	err := m.Ledger.Do(ctx, needs, fn)
	if dice < 36 {
		m.dead.Store(true) // the commit has been made, and nobody hears of it
	}
	if m.dead.Load() {
		return errDead
	}
	return err
}
