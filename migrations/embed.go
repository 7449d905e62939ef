// Package migrations holds the schema: one tree of numbered SQL files for each database. The two trees say the same
// thing, and a test in infra/database compares what they build. A file that has been released is never changed; every new one
// must leave the program before it working, so that old and new servers can run side by side; one that still older programs
// cannot live with raises schema_floor to the oldest that can.
package migrations

import "embed"

// Files holds the folders "postgres" and "sqlite".
//
//go:embed postgres/*.sql sqlite/*.sql
var Files embed.FS
