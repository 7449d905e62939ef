package main

import (
	"net"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestF134_MisspeltSettingsAreRefusedAllAtOnce(t *testing.T) {
	_, faults := readConfig(map[string]string{"PROFLE": "production", "DATABASE_URI": "x", "STRIPE_KEY": "sk", "WEBHOOK_PRIVATE": "true",
		"JWT_SECRETS_FILE": "/x", "TLS_CERT_FILE": "/x", "http_addr": "x", "RATE_LIMIT": "many"})
	said := map[string]string{}
	for _, f := range faults {
		said[f.name] = f.text
	}
	for name, meant := range map[string]string{"PROFLE": "PROFILE", "DATABASE_URI": "DATABASE_URL", "JWT_SECRETS_FILE": "JWT_SECRET_FILE",
		"TLS_CERT_FILE": "TLS_CERT", "http_addr": "HTTP_ADDR"} {
		assert.Contains(t, said[name], "did you mean "+meant+"?", name)
	}
	assert.Contains(t, said, "STRIPE_KEY")
	assert.Contains(t, said, "WEBHOOK_PRIVATE")
	assert.Contains(t, said, "RATE_LIMIT")
	assert.Len(t, faults, 8)
}

func TestF134_WhatOthersSetPasses(t *testing.T) {
	_, faults := readConfig(map[string]string{"PATH": "/bin", "HOME": "/", "LANG": "C", "SSL_CERT_FILE": "/x", "HTTP_PROXY": "x", "HTTPS_PROXY": "x",
		"HOSTNAME": "x", "TEST_DATABASE_URL": "x", "GOGC": "50", "XDG_DATA_DIRS": "x", "FLORIN_CRASHPOINT": "w7", "FLORIN_SOAK": "10s",
		"FLORIN_TEST_CONTROL": "stdin", "FLORIN_LANE_BATCH": "1", "FLORIN_SERVICE_HOST": "10.0.0.1", "FLORIN_PORT": "tcp://10.0.0.1:8080",
		"FLORIN_PORT_8080_TCP_ADDR": "10.0.0.1", "FLORIN_SERVICE_PORT_HTTP": "8080", "STRIPE_SUCCES_URL": ""})
	assert.Empty(t, faults)
}

func TestF134_AServerWhoseAddressIsTakenTouchesNothing(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	for _, name := range []string{"HTTP_ADDR", "ADMIN_ADDR"} {
		folder := filepath.Join(t.TempDir(), "data")
		code, _, stderr := command(t, settings(t, map[string]string{"DATA_DIR": folder, name: taken.Addr().String()}), "serve")
		assert.Equal(t, 1, code)
		assert.Contains(t, stderr, "address already in use")
		assert.NoDirExists(t, folder)
	}
}
