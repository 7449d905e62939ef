package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"florin/domain/account"
	"florin/infra/database"
)

// privacy is a loop that any number of servers may run: what one has done, the others find done.
type privacy struct {
	store *database.Privacy
	// keep is how long the bytes are kept that providers sent.
	keep  time.Duration
	now   account.Clock
	log   *slog.Logger
	alert func(kind string)
	every time.Duration
}

// What is done less often than the loop turns.
const (
	resealEvery = time.Hour
	eraseEvery  = 24 * time.Hour
)

// Run works at once and then every so often, until ctx ends.
func (p privacy) Run(ctx context.Context) error {
	tick := time.NewTicker(p.every)
	defer tick.Stop()
	var resealed, erased time.Time
	for {
		now := p.now()
		err := p.eraseUsers(ctx)
		if now.Sub(resealed) >= resealEvery {
			resealed = now
			err = errors.Join(err, p.reseal(ctx))
		}
		if now.Sub(erased) >= eraseEvery {
			erased = now
			err = errors.Join(err, p.erasePayloads(ctx))
		}
		if err != nil && ctx.Err() == nil {
			p.log.WarnContext(ctx, "sealing or erasing failed, will try again", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// RunOnce does all of it.
func (p privacy) RunOnce(ctx context.Context) error {
	return errors.Join(p.eraseUsers(ctx), p.reseal(ctx), p.erasePayloads(ctx))
}

func (p privacy) eraseUsers(ctx context.Context) error {
	erased, err := p.store.EraseUsers(ctx, p.now())
	if erased > 0 {
		p.log.InfoContext(ctx, "data of users who left erased", "users", erased)
	}
	return err
}

func (p privacy) reseal(ctx context.Context) error {
	resealed, lost, err := p.store.Reseal(ctx, p.now())
	if lost > 0 {
		p.alert("data_key")
		p.log.ErrorContext(ctx, "alert: data_key", "alert", "data_key", "texts_that_no_key_opens", lost)
	}
	if resealed > 0 {
		p.log.InfoContext(ctx, "texts sealed under the newest key", "count", resealed)
	}
	return err
}

func (p privacy) erasePayloads(ctx context.Context) error {
	now := p.now()
	erased, err := p.store.EraseRaw(ctx, now.Add(-p.keep), now)
	if erased > 0 {
		p.log.InfoContext(ctx, "old payloads of providers erased", "count", erased)
	}
	return err
}
