package decode

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

func TestS48_WhatIsTheNumberOfACard(t *testing.T) {
	for text, is := range map[string]bool{
		"4242424242424242":                     true,
		"4222222222222":                        true, // thirteen
		"30569309025904":                       true,
		"378282246310005":                      true,
		"3782 822463 10005":                    true,
		"5555-5555-5555-4444":                  true,
		"6304 0000 0000 0000 000":              true,
		"6304000000000000000":                  true,
		"5555 5555 5555 4445":                  false, // the check digit
		"my card is 4242424242424242.":         true,
		"a 1 4242 4242 4242 4242 b":            true,
		"pan=4242424242424242;cvc=123":         true,
		"4242424242424241":                     false,
		"424242424242":                         false, // twelve
		"42424242424242424242":                 false, // twenty
		"ch_4242424242424242":                  false,
		"x4242424242424242":                    false,
		"4242424242424242f00d":                 false,
		"4242,4242,4242,4242":                  false,
		"4242  4242  4242  4242":               false,
		"1767268800123":                        false, // a time in milliseconds
		"1767268800123456789":                  false,
		"20261125000017":                       false, // an order of a day
		"0000000000000000":                     false,
		"0190a0b0-7000-7000-8000-000000000018": false,
		"11111111-4242-4242-4242-424242424242": false,
		"+49 151 1234 5678":                    false,
		"":                                     false,
	} {
		require.Equal(t, is, holdsCard(text), text)
	}
	for range 20_000 {
		id := uuid.NewString()
		require.False(t, holdsCard(id), id)
	}
}

// TestS48_TheQuickLookMissesNothing: what the body's bytes do not show cannot be in a text of it.
func TestS48_TheQuickLookMissesNothing(t *testing.T) {
	require.False(t, mayHoldCard([]byte(`{"amount":"10.00","currency":"EUR","destination_account_id":"0190a0b0-aaaa-7000-8000-0000a0000018"}`)))
	for _, text := range []string{`4242424242424242`, `4242-4242-4242-4242`, `4222222222222`, `\u0034222222222222`} {
		require.True(t, mayHoldCard([]byte(`{"name":"`+text+`"}`)), text)
	}
}

func FuzzCards(f *testing.F) {
	for _, seed := range []string{"4242424242424242", "4242 4242 4242 4242", "3782-822463-10005", "é4242424242424242", "4242\x004242", "6304000000000000000 "} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if holdsCard(text) {
			require.True(t, mayHoldCard([]byte(text)), text)
		}
	})
}
