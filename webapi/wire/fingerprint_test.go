package wire

import (
	"io"
	"net/http/httptest"
	"testing"

	"github.com/gofiber/fiber/v2"
	"github.com/stretchr/testify/require"
)

// TestF7_FingerprintNamesMethodRouteAndIDs sends one body everywhere, so that nothing else can tell requests apart.
func TestF7_FingerprintNamesMethodRouteAndIDs(t *testing.T) {
	app := fiber.New(fiber.Config{Immutable: true})
	print := func(c *fiber.Ctx) error {
		fingerprint, err := Fingerprint(c, map[string]string{"amount": "1"})
		if err != nil {
			return err
		}
		return c.SendString(fingerprint)
	}
	app.Post("/a/:id", print)
	app.Put("/a/:id", print)
	app.Post("/a/:id/b", print)
	app.Post("/two/:x/:y", print)
	seen := map[string]string{}
	for _, r := range [][2]string{{"POST", "/a/1"}, {"POST", "/a/2"}, {"PUT", "/a/1"}, {"POST", "/a/1/b"}, {"POST", "/two/1/23"}, {"POST", "/two/12/3"}} {
		response, err := app.Test(httptest.NewRequest(r[0], r[1], nil))
		require.NoError(t, err)
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.Len(t, body, 64)
		require.NotContains(t, seen, string(body), "%v is taken for %s", r, seen[string(body)])
		seen[string(body)] = r[0] + " " + r[1]
	}
}
