package databasetest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"florin/infra/database"
)

// WatchCommits notes for each commit that changes one of the tables of a PostgreSQL database whether it waits for the disk, and
// returns how to ask: "table on" and "table off", each once, in order.
func WatchCommits(t testing.TB, db *database.DB, tables ...string) func() []string {
	t.Helper()
	run := func(statement string) { require.NoError(t, db.Writer().Exec(statement).Error) }
	run("CREATE TABLE watched_commits (name text, waits text)")
	run(`CREATE FUNCTION watch_commit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		INSERT INTO watched_commits VALUES (TG_TABLE_NAME, current_setting('synchronous_commit')); RETURN NULL; END $$`)
	for _, table := range tables {
		run("CREATE CONSTRAINT TRIGGER watch_commit AFTER INSERT OR UPDATE ON " + table +
			" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION watch_commit()")
	}
	return func() (seen []string) {
		t.Helper()
		require.NoError(t, db.Reader().Raw("SELECT DISTINCT name || ' ' || waits FROM watched_commits ORDER BY 1").Scan(&seen).Error)
		return seen
	}
}
