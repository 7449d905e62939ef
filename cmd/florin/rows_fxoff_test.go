package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/infra/database"
)

func TestF127_ProductionConvertsAtNoOldTableUnlessToldTo(t *testing.T) {
	for _, row := range []struct{ profile, source, accepted, want string }{
		{"development", "", "", "fixed"}, {"development", "off", "", "off"}, {"production", "", "", "off"},
		{"production", "fixed", "true", "fixed"}, {"production", "fixed", "", "refused"},
	} {
		config, faults := readConfig(map[string]string{"PROFILE": row.profile, "FX_SOURCE": row.source, "FX_FIXED_OK": row.accepted})
		got := config.FXSource
		for _, f := range faults {
			if f.name == "FX_SOURCE" {
				got = "refused"
			}
		}
		assert.Equal(t, row.want, got, row)
	}
}

func TestF127_ConversionsTellTheRatesDateAndAreRefusedWithoutASource(t *testing.T) {
	for source, status := range map[string]int{"fixed": 200, "off": 422} {
		t.Run(source, func(t *testing.T) {
			r := newRig(t, database.SQLite, func(c *Config, _ *Options) { c.FXSource = source })
			c := r.user()
			euros, dollars := c.open("EUR"), c.open("USD")
			c.fund(euros, "100.00", "EUR")
			x := c.transfer(euros, dollars, "50.00", "EUR")
			require.Equal(t, status, x.status, "%s", x.body)
			if status != 200 {
				assert.Equal(t, "conversion_unavailable", x.text(t, "code"))
				assert.Equal(t, "100.00 0.00 100.00", c.balance(euros))
				return
			}
			conversion, ok := x.json(t)["conversion"].(map[string]any)
			require.True(t, ok)
			assert.Equal(t, "fixed", conversion["source"])
			assert.Equal(t, "2025-03-31T00:00:00Z", conversion["quoted_at"])
		})
	}
}
