package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/infra/provider/mock/bank"
)

const (
	goodSecret  = "q8Zr2LmN5vXc7TbY1wKd9HsJ4pFg6UaE"
	goodWebhook = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
)

func TestConfigHasWorkingDefaults(t *testing.T) {
	c, err := loadConfig(map[string]string{})
	require.NoError(t, err)
	assert.False(t, c.Production)
	assert.Equal(t, "127.0.0.1:8080", c.HTTPAddr)
	assert.Equal(t, "127.0.0.1:8081", c.AdminAddr)
	assert.Equal(t, secret("sqlite://data/florin.db"), c.DatabaseURL)
	assert.Equal(t, "mock", c.PaymentProvider)
	assert.Equal(t, 24*time.Hour, c.PaymentDeadline)
	assert.Equal(t, "1000000000.00", c.AmountLimit)
	assert.Equal(t, time.Second, c.MockAutocomplete)
	assert.Equal(t, "600/m", c.RateLimit)
	assert.Equal(t, "10/m", c.RegistrationLimit)
	assert.True(t, c.onSQLite())
}

func TestConfigReadsEverySetting(t *testing.T) {
	c, err := loadConfig(map[string]string{"HTTP_ADDR": "0.0.0.0:80", "DATA_DIR": "/var/lib/florin/", "JWT_SECRET": goodSecret + ", " + goodSecret + "x",
		"MOCK_AUTOCOMPLETE": "off", "MOCK_WEBHOOK_SECRET": goodWebhook, "PAYMENT_DEADLINE": "90m", "CORS_ORIGINS": "https://a.example",
		"TRUSTED_PROXIES": "10.0.0.0/8", "WEBHOOK_ALLOW_PRIVATE": "true", "RATE_LIMIT": "off", "MOCK_BANK_URL": "http://127.0.0.1:8082",
		"MOCK_BANK_API_KEY": "k", "TLS_CERT": "", "FLORIN_LANE_BATCH": "7"})
	require.NoError(t, err)
	assert.Equal(t, secret("sqlite:///var/lib/florin/florin.db"), c.DatabaseURL)
	assert.Equal(t, []string{goodSecret, goodSecret + "x"}, reveal(c.JWTSecrets))
	assert.Equal(t, bank.AutocompleteOff, c.MockAutocomplete)
	assert.Equal(t, 90*time.Minute, c.PaymentDeadline)
	assert.Contains(t, c.CORSOrigins, "https://a.example")
	assert.Len(t, c.TrustedProxies, 1)
	assert.True(t, c.WebhookAllowPrivate)
	assert.Equal(t, 7, c.LaneBatch)
}

func TestConfigNamesEveryFaultAtOnceAndNoSecret(t *testing.T) {
	const canary = "c4naryc4nary"
	environ := map[string]string{"PROFILE": "trial", "HTTP_ADDR": "8080", "ADMIN_ADDR": "host:port", "TLS_CERT": "cert.pem",
		"TRUSTED_PROXIES": "nowhere", "CORS_ORIGINS": "*", "DATABASE_URL": "mysql://root:" + canary + "@db/florin", "JWT_SECRET": canary,
		"ADMIN_PASSWORD": "short", "PAYMENT_PROVIDER": "paypal", "PAYMENT_DEADLINE": "tomorrow", "AMOUNT_LIMIT": "1e9",
		"MOCK_BANK_URL": "127.0.0.1", "MOCK_BANK_WEBHOOK_URL": "ftp://x", "MOCK_WEBHOOK_SECRET": canary, "MOCK_AUTOCOMPLETE": "-1s",
		"FX_SOURCE": "ecb", "RATE_LIMIT": "many", "REGISTRATION_LIMIT": "few", "FLORIN_LANE_BATCH": "0", "WEBHOOK_ALLOW_PRIVATE": "maybe", "EVENT_BUS_URL": "nats://" + canary,
		"SMTP_URL_FILE": "/nowhere/smtp"}
	_, err := loadConfig(environ)
	var faults configError
	require.ErrorAs(t, err, &faults)
	named := map[string]bool{}
	for _, f := range faults {
		named[f.name] = true
	}
	for name := range environ {
		assert.True(t, named[name], "%s is at fault and not named", name)
	}
	assert.NotContains(t, err.Error(), canary)
}

func TestS45_ProductionRefusesWhatOnlyDevelopmentMayDo(t *testing.T) {
	production := func(more map[string]string) error {
		environ := map[string]string{"PROFILE": "production"}
		for name, value := range more {
			environ[name] = value
		}
		_, err := loadConfig(environ)
		return err
	}
	bare := production(nil).Error()
	for _, part := range []string{"PAYMENT_PROVIDER: the mock", "JWT_SECRET: production", "DATA_KEY: production", "TLS_CERT: production needs", "ALLOW_SQLITE=true"} {
		assert.Contains(t, bare, part)
	}
	assert.NotContains(t, production(map[string]string{"ALLOW_SQLITE": "true"}).Error(), "DATABASE_URL")
	assert.NotContains(t, production(map[string]string{"DATABASE_URL": "postgres://florin@db/florin?sslmode=verify-full"}).Error(), "DATABASE_URL")
	assert.NotContains(t, production(map[string]string{"TRUSTED_PROXIES": "10.0.0.1"}).Error(), "TLS_CERT")
	assert.NotContains(t, production(map[string]string{"JWT_SECRET": goodSecret}).Error(), "JWT_SECRET")
	assert.NotContains(t, production(map[string]string{"DATA_KEY": goodSecret + ", " + goodSecret + "y"}).Error(), "DATA_KEY")
	assert.Contains(t, production(map[string]string{"DATA_KEY": goodSecret, "JWT_SECRET": goodSecret}).Error(), "DATA_KEY: number 1 is a JWT_SECRET too")
	assert.Contains(t, production(map[string]string{"DATA_KEY": "short"}).Error(), "DATA_KEY: number 1")
	assert.Contains(t, production(map[string]string{"PAYLOAD_RETENTION": "24h"}).Error(), "PAYLOAD_RETENTION")
}

func TestS8_ShortAndSampleSecretsAreRefused(t *testing.T) {
	for _, bad := range []string{"short", "changeme-changeme-changeme-changeme", goodSecret + ",short"} {
		_, err := loadConfig(map[string]string{"JWT_SECRET": bad})
		require.ErrorContains(t, err, "JWT_SECRET", bad)
	}
}

func TestSecretsComeFromFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jwt")
	require.NoError(t, os.WriteFile(path, []byte(goodSecret+"\n"), 0o600))
	c, err := loadConfig(map[string]string{"JWT_SECRET_FILE": path})
	require.NoError(t, err)
	assert.Equal(t, []string{goodSecret}, reveal(c.JWTSecrets))

	_, err = loadConfig(map[string]string{"JWT_SECRET_FILE": path, "JWT_SECRET": goodSecret})
	require.ErrorContains(t, err, "JWT_SECRET_FILE: set together")
	_, err = loadConfig(map[string]string{"JWT_SECRET_FILE": path + ".gone"})
	require.ErrorContains(t, err, "JWT_SECRET_FILE")
}

func TestOperatorsNeedTheDatabaseAlone(t *testing.T) {
	c, err := loadStoreConfig(map[string]string{"PROFILE": "production", "DATABASE_URL": "postgres://florin@db/florin?sslmode=verify-full"})
	require.NoError(t, err)
	assert.Equal(t, "postgres://florin@db/florin?sslmode=verify-full", string(c.DatabaseURL))
	_, err = loadStoreConfig(map[string]string{"DATABASE_URL": "nothing"})
	require.ErrorContains(t, err, "DATABASE_URL")
}

func TestS57_SecretsAreKeptPrivatelyAndOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	read := make([]Config, 16)
	var starting sync.WaitGroup
	for i := range read {
		starting.Go(func() {
			c := Config{DataDir: dir}
			assert.NoError(t, c.keepSecrets())
			read[i] = c
		})
	}
	starting.Wait()
	for _, c := range read {
		assert.Equal(t, reveal(read[0].JWTSecrets), reveal(c.JWTSecrets), "servers that start at once must agree")
		assert.Equal(t, reveal(read[0].MockWebhookSecrets), reveal(c.MockWebhookSecrets))
	}
	assert.NotEqual(t, reveal(read[0].JWTSecrets), reveal(read[0].MockBankAPIKey))
	info, err := os.Stat(dir)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, files, 4, "no draft may be left over")
	for _, f := range files {
		info, err := f.Info()
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), info.Mode().Perm(), f.Name())
	}
	kept, err := loadConfig(map[string]string{"MOCK_WEBHOOK_SECRET": string(read[0].MockWebhookSecrets[0]), "JWT_SECRET": string(read[0].JWTSecrets[0])})
	require.NoError(t, err, "what is made must be good enough to be set")
	assert.NotEmpty(t, kept.JWTSecrets)
}

func TestProductionMakesNoSecrets(t *testing.T) {
	dir := t.TempDir()
	c := Config{DataDir: dir, Production: true}
	require.NoError(t, c.keepSecrets())
	assert.Empty(t, c.JWTSecrets)
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Empty(t, files)
}

func TestASecretIsNeverPrinted(t *testing.T) {
	c := Config{JWTSecrets: secrets(goodSecret), AdminPassword: secret(goodSecret), DatabaseURL: secret(goodSecret)}
	encoded, err := json.Marshal(c)
	require.NoError(t, err)
	for _, text := range []string{fmt.Sprint(c), fmt.Sprintf("%+v", c), fmt.Sprintf("%#v", c), fmt.Sprintf("%s %q", c.JWTSecrets, c.AdminPassword), string(encoded)} {
		assert.NotContains(t, text, goodSecret)
	}
}
