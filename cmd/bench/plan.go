package main

import (
	"fmt"
	"regexp"
	"strconv"
)

// system is what is put under load.
type system string

const (
	sqlLines     system = "sql"           // statements of our own, from this process
	onPostgres   system = "postgres"      // the server on PostgreSQL
	onePostgres  system = "postgres-one"  // the same with one operation in a commit
	toldPostgres system = "postgres-told" // the same with listeners: streams, webhooks and a broker
	onSQLite     system = "sqlite"        // the server on SQLite
	oneSQLite    system = "sqlite-one"    // the same with one operation in a commit
)

// servers is the order in which they are measured. Each runs alone.
var servers = []system{onPostgres, toldPostgres, onePostgres, onSQLite, oneSQLite}

// The kinds of work. What the SQL lines do is said in infra/database/databasetest/sqlline.
const (
	workTransfer = "transfer"
	workDeposit  = "deposit"
	lineD        = "d"  // one transfer in a transaction, a statement at a time
	lineDP       = "dp" // the same in two round trips
	lineB        = "b"  // one credit in a transaction
	lineE        = "e"  // perCommit transfers in a transaction, set-based
)

// perCommit is how many transfers line e commits together.
const perCommit = 100

// cell is one measurement: a work on a system, spread over the accounts, from so many connections.
type cell struct {
	System      system `json:"system"`
	Work        string `json:"work"`
	Spread      spread `json:"spread"`
	Connections int    `json:"connections"`
	// Open is a load at a fixed rate; the connections are then as many as it needs, up to so many.
	Open bool `json:"open"`
}

// name is unique: "postgres/transfer/hot/64".
func (c cell) name() string {
	last := strconv.Itoa(c.Connections)
	if c.Open {
		last = "open"
	}
	return fmt.Sprintf("%s/%s/%s/%s", c.System, c.Work, c.Spread, last)
}

// openConnections is the most that an open loop uses.
const openConnections = 256

// allCells is everything that can be measured, in order. What the table "Reach" compares comes first, so that little time
// lies between the two sides of a ratio.
func allCells() []cell {
	cells := []cell{
		{sqlLines, lineD, uniform, 16, false},
		{sqlLines, lineD, hot, 16, false},
		{sqlLines, lineDP, uniform, 16, false},
		{sqlLines, lineDP, hot, 16, false},
		{sqlLines, lineD, uniform, 1, false},
		{sqlLines, lineB, uniform, 64, false},
		{sqlLines, lineE, uniform, 1, false},
	}
	for _, s := range []system{onPostgres, onSQLite} {
		for _, connections := range []int{64, 256, 16, 1} {
			for _, work := range []string{workTransfer, workDeposit} {
				for _, spread := range []spread{uniform, hot, zipf} {
					cells = append(cells, cell{s, work, spread, connections, false})
				}
			}
		}
		cells = append(cells,
			cell{s, workTransfer, uniform, openConnections, true},
			cell{s, workTransfer, hot, openConnections, true},
			cell{s, workDeposit, uniform, openConnections, true})
	}
	return append(cells,
		cell{toldPostgres, workTransfer, uniform, 64, false},
		cell{onePostgres, workTransfer, uniform, 1, false},
		cell{onePostgres, workTransfer, uniform, 64, false},
		cell{oneSQLite, workTransfer, uniform, 64, false})
}

// plan is the cells whose name matches.
func plan(only *regexp.Regexp) []cell {
	var chosen []cell
	for _, c := range allCells() {
		if only.MatchString(c.name()) {
			chosen = append(chosen, c)
		}
	}
	return chosen
}

// of is those of the cells that a system has.
func of(s system, cells []cell) []cell {
	var own []cell
	for _, c := range cells {
		if c.System == s {
			own = append(own, c)
		}
	}
	return own
}
