package wire

import (
	"io"
	"net/http/httptest"
	"strings"
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

// TestF149_OneIDIsOneRequest in whatever case it is written; what is no id stays as it is.
func TestF149_OneIDIsOneRequest(t *testing.T) {
	app := fiber.New(fiber.Config{Immutable: true})
	app.Post("/a/:id", func(c *fiber.Ctx) error {
		fingerprint, err := Fingerprint(c, map[string]string{"amount": "1"})
		if err != nil {
			return err
		}
		return c.SendString(fingerprint)
	})
	of := func(id string) string {
		response, err := app.Test(httptest.NewRequest("POST", "/a/"+id, nil))
		require.NoError(t, err)
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		return string(body)
	}
	const id = "0198c0de-0000-7000-8000-0000000000a1"
	require.Equal(t, of(id), of(strings.ToUpper(id)))
	require.NotEqual(t, of("abc"), of("ABC"))
}

func BenchmarkFingerprint(b *testing.B) {
	body := struct {
		Amount      string `json:"amount"`
		Currency    string `json:"currency"`
		Destination string `json:"destination_account_id"`
	}{"0.01", "EUR", "0198c0de-0000-7000-8000-0000000000b1"}
	app := fiber.New(fiber.Config{Immutable: true})
	app.Post("/account/:id/transfer", func(c *fiber.Ctx) error {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := Fingerprint(c, &body); err != nil {
				return err
			}
		}
		return nil
	})
	_, err := app.Test(httptest.NewRequest("POST", "/account/0198c0de-0000-7000-8000-0000000000a1/transfer", nil), -1)
	require.NoError(b, err)
}

// TestF7_FingerprintsOfStoredKeysHold keeps the text that keys in databases carry.
func TestF7_FingerprintsOfStoredKeysHold(t *testing.T) {
	app := fiber.New(fiber.Config{Immutable: true})
	app.Post("/a/:id", func(c *fiber.Ctx) error {
		fingerprint, err := Fingerprint(c, map[string]string{"amount": "1"})
		require.NoError(t, err)
		require.Equal(t, "ddfe159d4aff8f781d645848a5dda3465909d78fa6110486f21ce825f583f0a6", fingerprint)
		return nil
	})
	_, err := app.Test(httptest.NewRequest("POST", "/a/1", nil))
	require.NoError(t, err)
}
