package webapi

import (
	"slices"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"
	"github.com/stretchr/testify/require"

	"florin/webapi/contract"
)

// TestS49_DocumentIsTheRoutes compares the document with what the router really has, both ways.
func TestS49_DocumentIsTheRoutes(t *testing.T) {
	s := newTestServer(t)
	var registered []string
	for _, route := range s.public.GetRoutes(true) {
		if route.Method != fiber.MethodHead {
			registered = append(registered, route.Method+" "+documentPath(route.Path))
		}
	}
	slices.Sort(registered)
	documented := slices.Clone(s.contract.Paths)
	slices.Sort(documented)
	require.NotEmpty(t, registered)
	require.Equal(t, registered, documented)
}

func TestDocumentIsValidAndWhole(t *testing.T) {
	s := newTestServer(t)
	document, err := s.Document()
	require.NoError(t, err)
	_, err = contract.Load(document)
	require.NoError(t, err)
	names := map[string]bool{}
	for _, route := range s.Routes {
		op := route.Operation
		require.NotEmpty(t, op.Summary, route.Path)
		require.NotEmpty(t, op.Description, route.Path)
		require.NotEmpty(t, op.Answers, route.Path)
		require.False(t, names[op.ID], "operation %q twice", op.ID)
		names[op.ID] = true
		require.Equal(t, strings.HasPrefix(route.Path, "/webhook/"), route.Body == WebhookBody, route.Path)
		if route.Method == fiber.MethodGet {
			require.Equal(t, NoBody, route.Body, route.Path)
		}
	}
}
