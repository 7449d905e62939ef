package cards

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

func TestS48_S71_WhatIsTheNumberOfACard(t *testing.T) {
	for text, is := range map[string]bool{
		"4242424242424242":                                     true,
		"4222222222222":                                        true, // thirteen
		"30569309025904":                                       true,
		"378282246310005":                                      true,
		"3782 822463 10005":                                    true,
		"5555-5555-5555-4444":                                  true,
		"2223003122003222":                                     true,
		"3566002020360505":                                     true,
		"6011111111111117":                                     true,
		"6304 0000 0000 0000 000":                              true,
		"6304000000000000000":                                  true,
		"2200000000000004":                                     true,
		"my card is 4242424242424242.":                         true,
		"a 1 4242 4242 4242 4242 b":                            true,
		"pan=4242424242424242;cvc=123":                         true,
		"4242424242424242 12/29 123":                           true,
		"(4242) 4242 4242-4242":                                true,
		"ch_4242424242424242":                                  true,
		"x4242424242424242":                                    true,
		"4242424242424242abc":                                  true,
		"é4242424242424242é":                                   true,
		"4242.4242.4242.4242":                                  true,
		"4242/4242/4242/4242":                                  true,
		"4242_4242_4242_4242":                                  true,
		"4242,4242,4242,4242":                                  true,
		"4242+4242+4242+4242":                                  true,
		"4242  4242  4242  4242":                               true,
		"4242 - 4242 - 4242 - 4242":                            true,
		"4242\n4242\n4242\n4242":                               true,
		"4242\x004242\x004242\x004242":                         true,
		"42424 24242 42424 2":                                  true,
		"4 2 4 2 4 2 4 2 4 2 4 2 4 2 4 2":                      true,
		"4242\u00a04242\u00a04242\u00a04242":                   true,
		"4242\u202f4242\u202f4242\u202f4242":                   true,
		"4242\u200b4242\u200b4242\u200b4242":                   true,
		"4242\u200b\u200c\u200d\u2060\ufeff\u00ad424242424242": true,
		"4242–4242—4242−4242":                                  true,
		"４２４２４２４２４２４２４２４２":                                     true,
		"４２４２　４２４２　４２４２　４２４２":                                  true,
		"٤٢٤٢٤٢٤٢٤٢٤٢٤٢٤٢":                                     true, // Arabic-Indic
		"𝟒𝟐𝟒𝟐𝟒𝟐𝟒𝟐𝟒𝟐𝟒𝟐𝟒𝟐𝟒𝟐":                                 true,
		"⁴²⁴²⁴²⁴²⁴²⁴²⁴²⁴²":                                 true,
		"④②④②④②④②④②④②④②④②":                                 true,
		"4️⃣2️⃣4️⃣2️⃣4️⃣2️⃣4️⃣2️⃣4️⃣2️⃣4️⃣2️⃣4️⃣2️⃣4️⃣2️⃣": true,
		"https://example.com/4242424242424242":             true,
		"https://example.com/?q=4242%204242%204242%204242": true,
		"https://example.com/%34242424242424242":           true,
		"4242424242424242@example.com":                     true,
		"+4242424242424242":                                true, // longer than any telephone number

		"5555 5555 5555 4445":                  false, // the check digit
		"4242424242424241":                     false,
		"424242424242":                         false, // twelve
		"42424242424242424242":                 false, // twenty
		"1767268800123":                        false, // a time in milliseconds
		"1767268800123456789":                  false,
		"20261125000017":                       false, // an order of a day
		"0000000000000000":                     false,
		"0190a0b0-7000-7000-8000-000000000018": false,
		"11111111-4242-4242-4242-424242424242": false,
		"+49 151 1234 5678":                    false,
		"+4915112345678, +4915112345686":       false,
		"507f1f77bcf86cd799439011":             false,
		"4242424242424242aaaaaaaaaaaaaaaa":     false, // a hash
		"DE89 3704 0044 0532 0130 00":          false,
		"ES7921000813610123456789":             false,
		"GB29 NWBK 6016 1331 9268 19":          false,
		"10.00, 20.00, 30.00, 40.00, 50.00":    false,
		"":                                     false,
	} {
		require.Equal(t, is, Holds(text), text)
		if is {
			require.True(t, Suspect(text), text)
		}
	}
	for range 20_000 {
		id := uuid.NewString()
		require.False(t, Holds(id), id)
	}
}

// TestF160_ReferencesAreNoCards: each of these has the check digit of a card, and none begins like
// one of that length.
func TestF160_ReferencesAreNoCards(t *testing.T) {
	for _, reference := range []string{
		"490154203237518",      // IMEI
		"356938035643809",      // IMEI
		"861536030196001",      // IMEI
		"1234567890123452",     // KID
		"0123456789012347",     // KID
		"7992739871300008",     // OCR
		"89014103211118510720", // ICCID
		"8901410321111851072",  // ICCID
		"1111222233334444",
	} {
		require.False(t, Holds(reference), reference)
	}
	require.True(t, number{4, 9, 0, 1, 5, 4, 2, 0, 3, 2, 3, 7, 5, 1, 8}.luhn())
}

func TestS71_AnAccountNumberIsACardOnlyWhereItIsPrintedLikeOne(t *testing.T) {
	for text, is := range map[string]bool{
		"4242424242424242":            true,
		"4242 4242 4242 4242":         true,
		"5555-5555-5555-4444":         true,
		"378282246310005":             true,
		"4222222222222":               false, // thirteen: account numbers are
		"6304000000000000000":         false,
		"646180110400000007":          false, // CLABE
		"DE89370400440532013000":      false,
		"DE02 1203 0000 0000 2020 51": false,
		"000123456789":                false,
	} {
		require.Equal(t, is, HoldsPrinted(text), text)
	}
}

func TestS71_IBANsAreNoCards(t *testing.T) {
	// Parts of these have the prefix, the length and the check digit of a card; the whole has an
	// IBAN's check digits.
	for n := range 97 {
		iban := "FR" + string(rune('0'+n/10)) + string(rune('0'+n%10)) + " 4242 4242 4242 4242 0000 000"
		is := ibanEnd(iban, 0, -1) > 0
		require.Equal(t, !is, Holds(iban), iban)
	}
	require.Equal(t, len("DE89370400440532013000"), ibanEnd("DE89370400440532013000", 0, -1))
	require.Zero(t, ibanEnd("DE88370400440532013000", 0, -1))
}

// TestS71_TheQuickLookCostsNothing: nearly every body of a request is let through by it.
func TestS71_TheQuickLookCostsNothing(t *testing.T) {
	text := `{"amount":"10.00","currency":"EUR","money_source":"card","metadata":{"order":"A-1767268800","note":"two of them, please"}}`
	require.False(t, Suspect(text))
	require.Zero(t, testing.AllocsPerRun(100, func() { _ = Holds(text) }))
	digits := strings.Repeat("1234 ", 20)
	require.Zero(t, testing.AllocsPerRun(100, func() { _ = Holds(digits) }))
}

func FuzzCards(f *testing.F) {
	for _, seed := range []string{"4242424242424242", "4242 4242 4242 4242", "3782-822463-10005", "é4242424242424242",
		"4242\x004242", "6304000000000000000 ", "DE89 3704 0044", "%34%32", "４２"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if Holds(text) {
			require.True(t, Suspect([]byte(text)), text)
		}
		if HoldsPrinted(text) {
			require.True(t, Holds(text), text)
		}
	})
}

func BenchmarkHolds(b *testing.B) {
	for name, text := range map[string]string{
		"plain":  `{"amount":"0.01","currency":"EUR","destination_account_id":"b198c0de-f000-7a00-8b00-c000000000b1"}`,
		"digits": "order 1234567890123 of 2026-11-25 10:30:45.123456",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Holds(text)
			}
		})
	}
}

// TestS71_TimesAreNoCards goes through a day whose minutes have the prefix of a brand.
func TestS71_TimesAreNoCards(t *testing.T) {
	at := time.Date(2026, 12, 1, 0, 50, 0, 123456789, time.UTC)
	for range 20_000 {
		for _, text := range []string{at.String(), at.Format(time.RFC3339Nano)} {
			require.False(t, Holds(text), text)
		}
		at = at.Add(4*time.Second + 7_654_321)
	}
}
