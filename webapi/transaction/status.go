package transaction

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"florin/domain/account"
	"florin/webapi/decode"
	"florin/webapi/middleware"
	"florin/webapi/wire"
)

// Status is where a transaction stands, for clients that poll or wait.
type Status struct {
	ID        uuid.UUID     `json:"id" format:"uuid"`
	Type      string        `json:"type" example:"deposit"`
	Status    string        `json:"status" enum:"initiated,pending,completed,failed"`
	Failure   *wire.Failure `json:"failure" description:"Null unless it failed."`
	UpdatedAt time.Time     `json:"updated_at"`
}

// Status shows where a transaction stands: at once, or with Prefer: wait=N when it is terminal or N seconds have
// passed. With If-None-Match it is 304 while nothing has changed.
func (h *Handlers) Status(c *fiber.Ctx) error {
	if err := decode.NoQuery(c); err != nil {
		return err
	}
	id, err := decode.ID(c, "id")
	if err != nil {
		return err
	}
	wait, waits := decode.PreferWait(c)
	t, err := h.find(c, id, wait)
	if err != nil {
		return err
	}
	if waits {
		decode.ApplyWait(c, wait)
	}
	answer := wire.NewAnswer(fiber.StatusOK, statusOf(t))
	sum := sha256.Sum256(answer.Body)
	tag := `"` + hex.EncodeToString(sum[:16]) + `"`
	c.Set(fiber.HeaderETag, tag)
	if matches(c.Get(fiber.HeaderIfNoneMatch), tag) {
		c.Status(fiber.StatusNotModified)
		return nil
	}
	return wire.SendAnswer(c, answer)
}

func (h *Handlers) find(c *fiber.Ctx, id uuid.UUID, wait time.Duration) (*account.Transaction, error) {
	reader := middleware.Caller(c).UserID
	if wait == 0 {
		t, _, err := h.transactions.Transaction(c.UserContext(), reader, id)
		return t, err
	}
	t, _, err := h.transactions.WaitTerminal(c.UserContext(), reader, id, wait)
	return t, err
}

func statusOf(t *account.Transaction) Status {
	return Status{ID: t.ID, Type: string(t.Type), Status: string(t.Status()), Failure: wire.FailureOf(t.Failure()), UpdatedAt: t.UpdatedAt.UTC()}
}

// matches compares as If-None-Match does: weakly, with any of a list.
func matches(header, tag string) bool {
	for _, candidate := range strings.Split(header, ",") {
		candidate = strings.TrimPrefix(strings.TrimSpace(candidate), "W/")
		if candidate == "*" || candidate == tag {
			return true
		}
	}
	return false
}
