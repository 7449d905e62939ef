package main

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
)

// secret is a text that must not be printed: every way to format it gives the same few letters.
type secret string

const hidden = "[secret]"

func (secret) String() string               { return hidden }
func (secret) GoString() string             { return hidden }
func (secret) LogValue() slog.Value         { return slog.StringValue(hidden) }
func (secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// secrets reads a comma-separated list, as of a secret that is being rotated.
func secrets(list string) []secret {
	var each []secret
	for _, s := range strings.Split(list, ",") {
		if s = strings.TrimSpace(s); s != "" {
			each = append(each, secret(s))
		}
	}
	return each
}

// reveal is what the secrets say, for those who use them.
func reveal(list []secret) []string {
	texts := make([]string, len(list))
	for i, s := range list {
		texts[i] = string(s)
	}
	return texts
}

// The secrets that are made and kept in the data folder where development sets none.
const (
	jwtSecretFile     = "jwt_secret"
	dataKeyFile       = "data_key"
	webhookSecretFile = "mock_webhook_secret" //nolint:gosec // the name of a file
	bankKeyFile       = "mock_bank_api_key"   //nolint:gosec // the name of a file
)

// keepSecrets fills what development may leave unset with secrets of the data folder, made at the first start. They are
// files, so that `florin mock-bank` and a restarted server know the same ones, and a change of a file is a rotation.
func (c *Config) keepSecrets() error {
	if c.Production {
		return nil
	}
	if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
		return fmt.Errorf("keep secrets: %w", err)
	}
	for _, kept := range []struct {
		into         *[]secret
		file, prefix string
	}{
		{&c.JWTSecrets, jwtSecretFile, ""},
		{&c.DataKeys, dataKeyFile, ""},
		{&c.MockWebhookSecrets, webhookSecretFile, "whsec_"},
		{&c.MockBankAPIKey, bankKeyFile, ""},
	} {
		if len(*kept.into) > 0 {
			continue
		}
		text, err := keptSecret(filepath.Join(c.DataDir, kept.file), kept.prefix)
		if err != nil {
			return fmt.Errorf("keep secrets: %w", err)
		}
		*kept.into = secrets(text)
	}
	return nil
}

// findDataKey takes the key that development has kept, where there is one: a command that needs the
// database alone makes none.
func (c *Config) findDataKey() error {
	if c.Production || len(c.DataKeys) > 0 {
		return nil
	}
	text, err := readSecret(filepath.Join(c.DataDir, dataKeyFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the data key: %w", err)
	}
	c.DataKeys = secrets(text)
	return nil
}

// keptSecret reads the file, or makes it with 256 random bits. Two programs that start at once read the same secret: the
// file appears whole or not at all, and the first one stays.
func keptSecret(path, prefix string) (string, error) {
	text, err := readSecret(path)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return text, err
	}
	random := make([]byte, 32)
	if _, err := rand.Read(random); err != nil {
		return "", err
	}
	draft, err := os.CreateTemp(filepath.Dir(path), ".secret-*") // which gives it mode 0600
	if err != nil {
		return "", err
	}
	defer os.Remove(draft.Name())
	_, err = fmt.Fprintln(draft, prefix+base64.StdEncoding.EncodeToString(random))
	if err := errors.Join(err, draft.Sync(), draft.Close()); err != nil {
		return "", err
	}
	if err := os.Link(draft.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	return readSecret(path)
}

// readSecret reads a secret without the line end that editors leave.
func readSecret(path string) (string, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	text := strings.TrimRight(string(content), "\r\n")
	if text == "" {
		return "", fmt.Errorf("%s is empty", path)
	}
	return text, nil
}
