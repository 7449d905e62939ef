package main

import (
	"fmt"
	"math/rand/v2"
	"time"

	"florin/infra/database"
	"florin/pkg/crashpoint"
)

// The links that the rig can disturb.
const (
	frontLink    = "clients" // between the clients, the bank's webhooks and the server
	bankLink     = "bank"    // between the server and the bank
	databaseLink = "database"
)

// victim is a process that a step kills.
type victim string

const (
	theServer   victim = "server"
	thePostgres victim = "postgres"
	nobody      victim = ""
)

// disturbance is something that is wrong for a while: a toxic on a link, a link that is cut, or a server that is stopped by
// SIGSTOP and goes on later.
type disturbance struct {
	link   string // "" stops the server
	toxic  string // JSON as Toxiproxy takes it; "" cuts the link
	lasts  time.Duration
	called string
}

// step is a time of load, perhaps a disturbance within it, and then a kill.
type step struct {
	load    time.Duration
	trouble *disturbance
	kills   victim
	// point is where the server is to die, "" for wherever it is. One that it does not reach in time is killed all the same.
	point string
}

// cycle is steps, after which the load rests and everything is checked.
type cycle []step

// stepsInCycle is how many kills there are between two checks at the most.
const stepsInCycle = 10

// plan is the whole schedule. It comes of the seed alone.
func plan(s settings, dialect database.Dialect, random *rand.Rand) []cycle {
	kills := make([]victim, s.kills)
	for i := range kills {
		kills[i] = theServer
	}
	if dialect == database.Postgres {
		for range s.pgKills {
			kills = append(kills, thePostgres)
		}
	}
	random.Shuffle(len(kills), func(i, j int) { kills[i], kills[j] = kills[j], kills[i] })
	var cycles []cycle
	for len(kills) > 0 {
		n := min(stepsInCycle, len(kills))
		var c cycle
		for _, v := range kills[:n] {
			c = append(c, newStep(v, dialect, random))
		}
		cycles, kills = append(cycles, c), kills[n:]
	}
	return cycles
}

func newStep(v victim, dialect database.Dialect, random *rand.Rand) step {
	made := step{load: between(random, 150*time.Millisecond, 700*time.Millisecond), kills: v}
	if v == theServer && random.IntN(2) == 0 {
		made.point = points[random.IntN(len(points))]
	}
	if random.IntN(5) < 3 {
		made.trouble = newTrouble(dialect, random)
	}
	return made
}

// points are those that a load reaches by itself.
var points = []string{
	crashpoint.RequestParsed, crashpoint.KeyInserted, crashpoint.TransactionInserted, crashpoint.HoldInserted, crashpoint.EventInserted,
	crashpoint.RequestCommitted, crashpoint.ReplyWritten,
	crashpoint.BeforeProviderCall, crashpoint.ProviderCallUnanswered, crashpoint.ProviderCallAnswered, crashpoint.ProviderStepOpen,
	crashpoint.ProviderStepCommitted,
	crashpoint.WebhookVerified, crashpoint.WebhookInboxRow, crashpoint.WebhookEffectRow, crashpoint.WebhookEntries,
	crashpoint.WebhookBalances, crashpoint.WebhookEventRow, crashpoint.WebhookCommitted, crashpoint.WebhookAnswered,
	crashpoint.RelayLeased, crashpoint.RelayPositionsSet, crashpoint.RelayCommitted,
}

func newTrouble(dialect database.Dialect, random *rand.Rand) *disturbance {
	d := &disturbance{lasts: between(random, 100*time.Millisecond, 600*time.Millisecond)}
	links := []string{frontLink, bankLink, bankLink, ""}
	if dialect == database.Postgres {
		links = append(links, databaseLink, databaseLink)
	}
	d.link = links[random.IntN(len(links))]
	if d.link == "" {
		d.called = "server stopped"
		return d
	}
	kinds := []struct{ name, attributes string }{
		{"", ""},
		{"latency", fmt.Sprintf(`{"latency":%d,"jitter":%d}`, 5+random.IntN(60), random.IntN(40))},
		{"timeout", fmt.Sprintf(`{"timeout":%d}`, 50+random.IntN(200))},
		{"reset_peer", fmt.Sprintf(`{"timeout":%d}`, random.IntN(30))},
		{"limit_data", fmt.Sprintf(`{"bytes":%d}`, 200+random.IntN(8000))},
		{"slicer", `{"average_size":64,"size_variation":32,"delay":200}`},
	}
	kind := kinds[random.IntN(len(kinds))]
	if kind.name == "" {
		d.called = d.link + " cut"
		return d
	}
	direction := []string{"upstream", "downstream"}[random.IntN(2)]
	d.toxic = fmt.Sprintf(`{"name":"trouble","type":%q,"stream":%q,"toxicity":%s,"attributes":%s}`, kind.name, direction,
		[]string{"1", "0.5"}[random.IntN(2)], kind.attributes)
	d.called = fmt.Sprintf("%s %s %s", d.link, kind.name, direction)
	return d
}

func between(random *rand.Rand, from, to time.Duration) time.Duration {
	return from + time.Duration(random.Int64N(int64(to-from)))
}
