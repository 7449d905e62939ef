package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/infra/database"
)

// liveEnvironment is what production starts with.
func liveEnvironment(more map[string]string) map[string]string {
	environ := map[string]string{"PROFILE": "production", "JWT_SECRET": goodSecret, "DATA_KEY": goodSecret + "-of-data",
		"TRUSTED_PROXIES":  "10.0.0.0/8",
		"PAYMENT_PROVIDER": "stripe", "STRIPE_API_KEY": "sk_live_" + strings.Repeat("a", 24), "STRIPE_WEBHOOK_SECRET": goodWebhook,
		"DATABASE_URL": "postgres://florin:hunter2@db.example/florin?sslmode=verify-full", "CORS_ORIGINS": "https://a.example"}
	maps.Copy(environ, more)
	return environ
}

var exposed = map[string]map[string]string{
	"webhook_private": {"WEBHOOK_ALLOW_PRIVATE": "true"},
	"rate_limit_off":  {"RATE_LIMIT": "off"},
	"wide_proxies":    {"TRUSTED_PROXIES": "10.0.0.0/8,0.0.0.0/0"},
	"smtp_clear":      {"SMTP_URL": "smtp://u:p@mail.example?starttls=off", "MAIL_FROM": "a@example.com"},
	"postgres_clear":  {"DATABASE_URL": "postgres://florin:hunter2@db.example/florin?sslmode=prefer"},
	"broker_clear":    {"EVENT_BUS_URL": "nats://u:p@mq.example/florin.events"},
	"admin_addr_all":  {"ADMIN_ADDR": ":8081"},
	"stripe_api_base": {"STRIPE_API_BASE": "https://stripe.example"},
	"http_pages":      {"STRIPE_SUCCESS_URL": "http://shop.example/paid", "STRIPE_CANCEL_URL": "https://shop.example/no"},
	"http_origins":    {"CORS_ORIGINS": "http://a.example"},
	"test_key":        {"STRIPE_API_KEY": "sk_test_" + strings.Repeat("a", 24)},
}

func TestS74_ProductionRefusesEachExposureUnlessExceptedByName(t *testing.T) {
	_, faults := readConfig(liveEnvironment(nil))
	require.Empty(t, faults)
	require.Equal(t, slices.Sorted(maps.Keys(exposures)), slices.Sorted(maps.Keys(exposed)))
	all := map[string]string{}
	for name, set := range exposed {
		_, faults := readConfig(liveEnvironment(set))
		require.Len(t, faults, 1, "%s: %v", name, faults)
		assert.Contains(t, set, faults[0].name)
		assert.Contains(t, faults[0].text, name)
		set = maps.Clone(set)
		set["PRODUCTION_EXCEPTIONS"] = name
		_, faults = readConfig(liveEnvironment(set))
		assert.Empty(t, faults, name)
		maps.Copy(all, exposed[name])
	}
	_, faults = readConfig(liveEnvironment(all))
	assert.Len(t, faults, len(exposures), "all at once")
	assert.NotContains(t, faults.Error(), "hunter2")
	_, faults = readConfig(liveEnvironment(map[string]string{"PRODUCTION_EXCEPTIONS": "everything"}))
	require.Len(t, faults, 1)
	assert.Equal(t, "PRODUCTION_EXCEPTIONS", faults[0].name)
}

func TestS74_OtherFormsOfAnExposure(t *testing.T) {
	for setting, values := range map[string][]string{
		"ADMIN_ADDR":      {"0.0.0.0:8081", "[::]:8081"},
		"TRUSTED_PROXIES": {"::/0", "0.0.0.0/1", "2000::/15", "10.0.0.0/7"},
		"DATABASE_URL":    {"postgres://f@db/f", "postgres://f@db/f?sslmode=disable", "postgres://f@localhost/f?host=db", "postgres://f@127.0.0.1,db/f"},
		"EVENT_BUS_URL":   {"redis://:p@mq.example/florin", "kafka://u:p@127.0.0.1:9092,mq.example:9092/florin"},
		"STRIPE_API_BASE": {"http://api.stripe.com", "https://api.stripe.com.example", "https://api.stripe.com:444"},
	} {
		for _, value := range values {
			_, faults := readConfig(liveEnvironment(map[string]string{setting: value}))
			require.Len(t, faults, 1, "%s=%s: %v", setting, value, faults)
			assert.Equal(t, setting, faults[0].name)
		}
	}
	for setting, value := range map[string]string{"DATABASE_URL": "postgres://f@127.0.0.1/f", "EVENT_BUS_URL": "nats://u:p@127.0.0.1/florin.events",
		"ADMIN_ADDR": "10.0.0.5:8081", "STRIPE_API_BASE": "https://api.stripe.com"} {
		_, faults := readConfig(liveEnvironment(map[string]string{setting: value}))
		assert.Empty(t, faults, setting)
	}
}

func TestS74_TheStartSaysWhatItIsWithoutASecret(t *testing.T) {
	c, faults := readConfig(liveEnvironment(map[string]string{"PRODUCTION_EXCEPTIONS": "rate_limit_off", "RATE_LIMIT": "off"}))
	require.Empty(t, faults)
	said := fmt.Sprint(c.summary()...)
	for _, part := range []string{"production", "stripe", "live", "postgres://db.example/florin", "127.0.0.1:8081", "rate_limit_off"} {
		assert.Contains(t, said, part)
	}
	for _, kept := range []string{"hunter2", "sk_live", goodSecret, "florin:"} {
		assert.NotContains(t, said, kept)
	}
}

func TestS75_StagingIsProductionWithTestKeysAlone(t *testing.T) {
	staging := map[string]string{"PROFILE": "staging"}
	_, faults := readConfig(liveEnvironment(staging))
	require.Len(t, faults, 1)
	assert.Equal(t, "STRIPE_API_KEY", faults[0].name)
	maps.Copy(staging, exposed["test_key"])
	c, faults := readConfig(liveEnvironment(staging))
	require.Empty(t, faults)
	assert.True(t, c.Production)
	staging["RATE_LIMIT"] = "off"
	_, faults = readConfig(liveEnvironment(staging))
	assert.Len(t, faults, 1, "staging has production's checks")
}

func TestS75_ReadyzShowsStaging(t *testing.T) {
	for profile, shown := range map[string]any{profileStaging: "staging", profileDevelopment: nil} {
		r := newRig(t, database.SQLite, func(c *Config, _ *Options) { c.Profile = profile })
		answer := r.user().do("GET", "/readyz", "")
		assert.Equal(t, shown, answer.json(t)["profile"], "%s", answer.body)
	}
}
