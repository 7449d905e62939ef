package middleware

import (
	"os"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestS79_TheTableOfBoundsTellsWhatTheCodeHas reads the table of docs/operations.md.
func TestS79_TheTableOfBoundsTellsWhatTheCodeHas(t *testing.T) {
	known := map[string]int{
		"connections of an address": ConnectionsPerAddress,
		"connections in all":        MaxConnections,
		"waits of a user":           WaitsPerUser,
		"body of a request":         BodyLimit,
		"body of a webhook":         WebhookBodyLimit,
		"headers of a request":      maxHeaderBytes,
		"URL of a request":          maxURIBytes,
		"seconds of a profile":      MaxProfileSeconds,
	}
	text, err := os.ReadFile("../../docs/operations.md")
	require.NoError(t, err)
	section := regexp.MustCompile(`(?s)\n## Bounds\n.*?\n## `).Find(text)
	rows := regexp.MustCompile(`(?m)^\| ([^|]+) \| (\d+) \|`).FindAllSubmatch(section, -1)
	require.Len(t, rows, len(known))
	for _, row := range rows {
		figure, named := known[string(row[1])]
		require.True(t, named, "%s", row[1])
		require.Equal(t, strconv.Itoa(figure), string(row[2]), "%s", row[1])
	}
}
