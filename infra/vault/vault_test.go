package vault_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/infra/vault"
)

const (
	older = "an older secret of the server, long enough"
	newer = "a newer secret of the server, long enough"
)

func TestVaultKeepsWhatItSeals(t *testing.T) {
	t.Parallel()
	v, err := vault.New(vault.Keys(vault.Data, []string{older}))
	require.NoError(t, err)
	sealed, err := v.Seal([]byte("canary"), "endpoint 1")
	require.NoError(t, err)
	assert.NotContains(t, sealed, "canary")
	again, err := v.Seal([]byte("canary"), "endpoint 1")
	require.NoError(t, err)
	assert.NotEqual(t, sealed, again, "the same secret twice does not show")

	plain, current, err := v.Open(sealed, "endpoint 1")
	require.NoError(t, err)
	assert.Equal(t, "canary", string(plain))
	assert.True(t, current)

	_, _, err = v.Open(sealed, "endpoint 2")
	require.Error(t, err, "in the row of another endpoint it does not open")
	_, _, err = v.Open(sealed[:len(sealed)-2]+"AA", "endpoint 1")
	require.Error(t, err)
	for _, wrong := range []string{"", "s1", "s1.x.y.z", "s2" + sealed[2:], "s1.000000000000." + strings.Split(sealed, ".")[2], "s1." + strings.Split(sealed, ".")[1] + ".?"} {
		_, _, err := v.Open(wrong, "endpoint 1")
		require.Error(t, err, wrong)
		require.NotContains(t, err.Error(), sealed)
	}
}

func TestVaultOpensWhatAnOlderSecretHasSealed(t *testing.T) {
	t.Parallel()
	v, err := vault.New(vault.Keys(vault.Data, []string{older}))
	require.NoError(t, err)
	sealed, err := v.Seal([]byte("canary"), "it")
	require.NoError(t, err)

	require.NoError(t, v.SetKeys(vault.Keys(vault.Data, []string{newer, older})))
	plain, current, err := v.Open(sealed, "it")
	require.NoError(t, err)
	assert.Equal(t, "canary", string(plain))
	assert.False(t, current, "it is to be sealed anew")

	require.NoError(t, v.SetKeys(vault.Keys(vault.Data, []string{newer})))
	_, _, err = v.Open(sealed, "it")
	require.Error(t, err)
	require.Error(t, v.SetKeys(nil))
	_, err = vault.New(nil)
	require.Error(t, err)
}

// TestS72_WhatTheTokensSecretSealedIsSealedAnew: secrets of webhooks from before there was a key of
// their own.
func TestS72_WhatTheTokensSecretSealedIsSealedAnew(t *testing.T) {
	t.Parallel()
	before, err := vault.New(vault.Keys(vault.Webhooks, []string{older}))
	require.NoError(t, err)
	sealed, err := before.Seal([]byte("canary"), "it")
	require.NoError(t, err)
	now, err := vault.New(append(vault.Keys(vault.Data, []string{newer}), vault.Keys(vault.Webhooks, []string{older})...))
	require.NoError(t, err)
	plain, current, err := now.Open(sealed, "it")
	require.NoError(t, err)
	assert.Equal(t, "canary", string(plain))
	assert.False(t, current)
	anew, err := now.Seal(plain, "it")
	require.NoError(t, err)
	assert.True(t, strings.HasPrefix(anew, now.Current()))
	_, _, err = before.Open(anew, "it")
	require.Error(t, err, "who has the secret of the tokens alone opens nothing")
	same, err := vault.New(vault.Keys(vault.Data, []string{older}))
	require.NoError(t, err)
	_, _, err = same.Open(sealed, "it")
	require.Error(t, err, "one text used for both makes two keys")
}
