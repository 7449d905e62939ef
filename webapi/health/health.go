// Package health says whether the process lives and whether it can serve.
package health

import (
	"context"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"
)

// checkTimeout bounds one check: an orchestrator asks every few seconds.
const checkTimeout = 2 * time.Second

// Check looks at one thing that the server needs.
type Check struct {
	Name string
	// Run returns nil when the thing is well. Its error goes to the log, never into the answer.
	Run func(ctx context.Context) error
	// Note makes a failure a note: the server stays ready without the thing.
	Note bool
}

// Result is one check in the answer of /readyz.
type Result struct {
	Name   string `json:"name" required:"true" example:"database"`
	Status string `json:"status" required:"true" enum:"ok,note,failed" description:"A note does not make the server unready"`
}

// Response is the answer of /healthz and /readyz.
type Response struct {
	Status string `json:"status" required:"true" enum:"ok,unready"`
	// Profile marks a server that looks like production and moves no real money.
	Profile string   `json:"profile,omitempty" enum:"staging" description:"Only of /readyz, and only in staging"`
	Checks  []Result `json:"checks,omitempty" description:"What was looked at; only of /readyz"`
}

// Handlers serves /healthz and /readyz.
type Handlers struct {
	// Profile is shown in the answer of /readyz, "" for none.
	Profile string

	checks []Check
	report func(name string, err error)
}

// New returns the handlers; report hears of each failed check and may be nil.
func New(report func(name string, err error), checks ...Check) *Handlers {
	if report == nil {
		report = func(string, error) {}
	}
	return &Handlers{checks: checks, report: report}
}

// Live serves GET /healthz: 200 while the process runs.
func (h *Handlers) Live(c *fiber.Ctx) error { return c.JSON(Response{Status: "ok"}) }

// Ready serves GET /readyz: 200 when every check that is not a note passes, 503 otherwise, with the names.
func (h *Handlers) Ready(c *fiber.Ctx) error {
	ctx, cancel := context.WithTimeout(c.UserContext(), checkTimeout)
	defer cancel()
	results := make([]Result, len(h.checks))
	var wait sync.WaitGroup
	for i, check := range h.checks {
		wait.Go(func() { results[i] = h.run(ctx, check) })
	}
	wait.Wait()
	answer := Response{Status: "ok", Profile: h.Profile, Checks: results}
	for _, result := range results {
		if result.Status == "failed" {
			answer.Status = "unready"
			c.Set(fiber.HeaderRetryAfter, "1")
			c.Status(fiber.StatusServiceUnavailable)
		}
	}
	return c.JSON(answer)
}

func (h *Handlers) run(ctx context.Context, check Check) Result {
	err := check.Run(ctx)
	if err == nil {
		return Result{Name: check.Name, Status: "ok"}
	}
	h.report(check.Name, err)
	if check.Note {
		return Result{Name: check.Name, Status: "note"}
	}
	return Result{Name: check.Name, Status: "failed"}
}
