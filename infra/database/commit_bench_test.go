package database_test

import (
	"context"
	"testing"

	"github.com/google/uuid"

	"florin/domain/account"
	"florin/infra/database"
	"florin/infra/database/databasetest"
)

// BenchmarkCommit commits transfers of 64 clients at once, on two accounts.
func BenchmarkCommit(b *testing.B) {
	for _, dialect := range []database.Dialect{database.SQLite, database.Postgres} {
		b.Run(string(dialect), func(b *testing.B) {
			k := newBookkeeper(b, databasetest.Open(b, dialect, database.Options{}))
			user, from := k.funded(1 << 40)
			_, to := k.funded(1)
			b.SetParallelism(32)
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					needs, fn := k.transfer(k.newTransfer(user, from, to, eur(1)))
					needs.Transactions = []uuid.UUID{}
					if err := k.ledger.Do(context.Background(), needs, func(ctx context.Context, u account.UnitOfWork) error { return fn(ctx, u) }); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
