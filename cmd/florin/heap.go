package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"

	"florin/infra/database"
)

// How far the heap may grow before the collector runs: to a fixed size, or by a third of what is live where that is more. What a payment leaves
// behind is dead at once, so the work of the collector falls with the number of its runs, and the sizes are what 60 MB leave
// room for. SQLite keeps its own pages and statements in the process.
const (
	roomForHeap       = 20 << 20
	roomForHeapSQLite = 14 << 20
	leastGrowth       = 30  // per cent of what is live
	mostGrowth        = 400 // an idle heap may triple before the collector looks at it again
)

// tuneCollector sets the collector's pace now and after each of its runs.
func tuneCollector(dialect database.Dialect) {
	room := uint64(roomForHeap)
	if dialect == database.SQLite {
		room = roomForHeapSQLite
	}
	scanned := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"}}
	set := 0
	var tune func(*collected)
	tune = func(run *collected) {
		metrics.Read(scanned)
		live := scanned[0].Value.Uint64()
		if next := growth(room, live, scanned[1].Value.Uint64()+scanned[2].Value.Uint64()); next != set {
			set = next
			debug.SetGCPercent(next)
		}
		runtime.SetFinalizer(run, tune)
	}
	tune(new(collected))
}

// collected is garbage from the beginning: its finalizer runs behind each run of the collector.
type collected struct{ _ [16]byte }

// growth is GOGC such that the heap reaches the room: the goal is the live bytes and that share of them and of the roots
// (runtime/debug.SetGCPercent, "A Guide to the Go Garbage Collector").
func growth(room, live, roots uint64) int {
	if room <= live || live+roots == 0 {
		return leastGrowth
	}
	const step = 10 // setting it stops the world for a moment
	percent := int(min((room-live)*100/(live+roots), mostGrowth)) / step * step
	return max(percent, leastGrowth)
}
