package main

// mutations are the guards. A text that is not found stops the run: then the guard has moved, and this list must follow. The guarded
// updates on SQLite are not among them: its one writer reads and writes in one transaction, so there is nothing for them to find.
var mutations = []mutation{
	{"effects: primary key", []edit{{file: "migrations/sqlite/00001_core.sql",
		from: "    created_at     timestamp   NOT NULL,\n    PRIMARY KEY (provider, ref, effect)\n", to: "    created_at     timestamp   NOT NULL\n"}},
		[]check{simulation}},
	{"effects: the look-up before the effect", []edit{{file: "service/account/confirmation.go",
		from: "case c.unit.Effect(c.fact()):", to: "case false && c.unit.Effect(c.fact()):"}},
		[]check{simulation}},
	{"inbox: unique index", []edit{{file: "migrations/sqlite/00001_core.sql",
		from: "CREATE UNIQUE INDEX inbox_event_key", to: "CREATE INDEX inbox_event_key"}},
		[]check{simulation}},
	{"idempotency: the look-up of the key", []edit{{file: "service/account/idempotency.go",
		from: "	record, ok := u.Key()\n	if !ok {\n		return false, nil\n	}\n	return true,", to: "	record, ok := u.Key()\n	if true || !ok {\n		return false, nil\n	}\n	return true,"}},
		[]check{simulation}},
	{"row locks on PostgreSQL", []edit{{file: "infra/database/commit_postgres.go", from: " FOR NO KEY UPDATE", to: "", all: true}},
		[]check{lockTests, chaosTests}},
	{"guarded updates on PostgreSQL", []edit{{file: "infra/database/pgrecord.go",
		from: `"t.%s IS NOT DISTINCT FROM v.was_%s"`, to: `"(true OR t.%s IS NOT DISTINCT FROM v.was_%s)"`}},
		[]check{storeTests}},
	{"status: only legal moves", []edit{
		{file: "domain/account/status.go", from: "	return false\n}\n\n// Terminal", to: "	return true\n}\n\n// Terminal"},
		{file: "service/account/confirmation_payment.go", from: "if t.Status() != account.PaymentStatusInitiated || c.otherPayment() {", to: "if c.otherPayment() {"}},
		[]check{simulation}},
	{"unknown COMMIT: the same ids again", []edit{
		{file: "infra/database/ledger.go", from: "			err = l.settle(ctx, b)\n", to: "			err = errNotCommitted\n"},
		{file: "service/account/initiate.go", from: "			return s.open(ctx, u, in, id, q, key, &out)\n",
			to: "			id, _ = uuid.NewV7()\n			return s.open(ctx, u, in, id, q, nil, &out)\n"}},
		[]check{commitTests}},
	{"event row: one with each move", []edit{{file: "infra/database/bus.go", from: "	u.AddEvent(event)\n", to: "	_ = u\n"}},
		[]check{simulation}},
	{"hold: a withdrawal keeps its money aside", []edit{{file: "service/account/initiate.go", from: "		u.AddHold(hold)\n", to: "		_ = hold\n"}},
		[]check{simulation}},
	{"provider: the same key for the same attempt", []edit{{file: "service/account/transaction_factory.go",
		from: `t.ProviderKey("deposit"), Tr`, to: `t.ProviderKey("deposit") + uuid.NewString(), Tr`}},
		[]check{simulation}},
}
