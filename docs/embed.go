// Package docs holds the documents that the running server shows.
package docs

import "embed"

// Guide is a document for those who use the server.
type Guide struct {
	// Name is the last part of its address; Path is its file, from this folder; About says in a line what it is for.
	Name, Path, About string
	Markdown          []byte
}

//go:embed errors.md webhooks.md event-driven-payments.md state-machine.md configuration.md operations.md scaling.md security.md
//go:embed events/README.md providers/mock.md providers/stripe.md
var files embed.FS

// Walk is the first walk through the API: a shell script that README, the start and the front page show. It begins with the
// line WalkURL.
//
//go:embed walk.sh
var Walk string

// WalkURL is the line of Walk that says where the server is.
const WalkURL = "url=http://127.0.0.1:8080\n"

// shown are the guides, in the order in which the front page lists them.
var shown = []Guide{
	{Name: "errors", Path: "errors.md", About: "Every code, what it means and what to do"},
	{Name: "event-driven-payments", Path: "event-driven-payments.md", About: "How a payment goes on after the request, and how to follow it"},
	{Name: "events", Path: "events/README.md", About: "What each event says, and its schemas"},
	{Name: "webhooks", Path: "webhooks.md", About: "How to receive events at your own server, and check their signatures"},
	{Name: "state-machine", Path: "state-machine.md", About: "Which states a transaction has, and what moves it"},
	{Name: "mock", Path: "providers/mock.md", About: "The bank to try with, and how to make it fail"},
	{Name: "stripe", Path: "providers/stripe.md", About: "Taking and paying out money with Stripe"},
	{Name: "configuration", Path: "configuration.md", About: "Every setting, and what production refuses"},
	{Name: "operations", Path: "operations.md", About: "Running it: metrics, alerts, reviews, backups"},
	{Name: "scaling", Path: "scaling.md", About: "What one server carries, and how to run several"},
	{Name: "security", Path: "security.md", About: "What is defended, what proves it, and how to report a fault"},
}

// Guides are the documents that are served. The type of every problem points into the one named errors.
func Guides() []Guide {
	guides := make([]Guide, len(shown))
	for i, g := range shown {
		text, err := files.ReadFile(g.Path)
		if err != nil {
			panic(err) // the list above and the one for the compiler differ: every start would tell
		}
		guides[i] = g
		guides[i].Markdown = text
	}
	return guides
}
