package account

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"florin/domain/account"
	"florin/domain/errs"
)

const (
	mimeCSV       = "text/csv"
	statementPage = 1000
	// maxStatement is the longest statement in lines: about three megabytes, which is held in memory so that a
	// failure on the way is still a problem document and not a file that ends early.
	maxStatement = 25_000
)

var statementColumns = []string{"posted_at", "transaction_id", "type", "amount", "currency", "balance_after"}

// sendStatement answers with all lines in the range as CSV. A range with more than maxStatement lines is refused.
func (h *Handlers) sendStatement(c *fiber.Ctx, reader, id uuid.UUID, filter account.EntryFilter) error {
	var out bytes.Buffer
	w := csv.NewWriter(&out)
	if err := w.Write(statementColumns); err != nil {
		return fmt.Errorf("statement: %w", err)
	}
	filter.Limit = statementPage
	for written := 0; ; {
		lines, err := h.entries(c.UserContext(), reader, id, filter)
		if err != nil {
			return err
		}
		if written += len(lines); written > maxStatement {
			return errs.New(errs.Refused, "statement_too_long",
				fmt.Sprintf("The statement has more than %d lines. Narrow it with from and to.", maxStatement))
		}
		for _, e := range lines {
			if err := w.Write(statementLine(e)); err != nil {
				return fmt.Errorf("statement: %w", err)
			}
		}
		if len(lines) < statementPage {
			break
		}
		filter.BeforeSeq = lines[len(lines)-1].AccountSeq
	}
	w.Flush()
	if err := w.Error(); err != nil {
		return fmt.Errorf("statement: %w", err)
	}
	c.Set(fiber.HeaderContentType, mimeCSV+"; charset=utf-8")
	c.Set(fiber.HeaderContentDisposition, `attachment; filename="statement-`+id.String()+`.csv"`)
	return c.Send(out.Bytes())
}

func statementLine(e account.EntryLine) []string {
	return []string{
		e.PostedAt.UTC().Format(time.RFC3339Nano), e.TransactionID.String(), textCell(string(e.TransactionType)),
		e.Amount.Decimal(), e.Amount.Currency().Code(), e.BalanceAfter.Decimal(),
	}
}

// textCell keeps a spreadsheet from reading a text as a formula. Amounts are not texts: theirs is a minus sign.
func textCell(text string) string {
	if text != "" && strings.ContainsAny(text[:1], "=+-@\t\r\n") {
		return "'" + text
	}
	return text
}
