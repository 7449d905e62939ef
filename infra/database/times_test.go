package database_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm/clause"

	"florin/infra/database"
	"florin/infra/database/databasetest"
)

type leaseRow struct {
	Name      string `gorm:"primaryKey"`
	Holder    string
	Fence     int64
	ExpiresAt time.Time
}

func (leaseRow) TableName() string { return "leases" }

func TestTimesRoundTripInUTCAndMicroseconds(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		lisbon := time.FixedZone("west", -5*3600)
		written := time.Date(2026, 3, 1, 7, 0, 0, 123_456_789, lisbon)
		row := leaseRow{Name: "2026-03-01", Holder: "h", Fence: math.MaxInt64, ExpiresAt: written}
		require.NoError(t, db.Writer().Create(&row).Error)
		var read leaseRow
		require.NoError(t, db.Reader().Take(&read, "name = ?", "2026-03-01").Error)
		require.Equal(t, time.UTC, read.ExpiresAt.Location())
		require.True(t, read.ExpiresAt.Equal(written.Truncate(time.Microsecond)), "%s", read.ExpiresAt)
		require.EqualValues(t, math.MaxInt64, read.Fence)

		var returned leaseRow
		require.NoError(t, db.Writer().Model(&returned).Clauses(clause.Returning{}).
			Where("name = ?", "2026-03-01").Update("holder", "other").Error)
		require.Equal(t, read.ExpiresAt, returned.ExpiresAt)
		require.Equal(t, "2026-03-01", returned.Name, "a name that looks like a date stays a name")
	})
}

func TestTimesCompareInOrder(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		var want []string
		for i, nanos := range []int{0, 1_000, 100_000, 499_999_000, 500_000_000, 500_001_000, 510_000_000, 999_999_000, 1_000_000_000} {
			at := noon.Add(time.Duration(nanos)).In(time.FixedZone("", (i-4)*3600))
			name := fmt.Sprint(i)
			want = append(want, name)
			require.NoError(t, db.Writer().Create(&leaseRow{Name: name, Holder: "h", ExpiresAt: at}).Error)
			var earlier int64
			require.NoError(t, db.Reader().Model(&leaseRow{}).Where("expires_at < ?", at).Count(&earlier).Error)
			require.EqualValues(t, i, earlier)
		}
		var names []string
		require.NoError(t, db.Reader().Model(&leaseRow{}).Order("expires_at").Pluck("name", &names).Error)
		require.Equal(t, want, names)
		slices.Reverse(want)
		require.NoError(t, db.Reader().Model(&leaseRow{}).Order("expires_at DESC").Pluck("name", &names).Error)
		require.Equal(t, want, names)
	})
}

func TestIdsRoundTrip(t *testing.T) {
	t.Parallel()
	type userRow struct {
		ID                            uuid.UUID
		Username, Email, PasswordHash string
		CreatedAt, UpdatedAt          time.Time
		DeletedAt                     *time.Time
	}
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		rows := []userRow{
			{ID: uuid.New(), Username: "ann", Email: "a@example.com", PasswordHash: "x"},
			{ID: uuid.New(), Username: "bob", Email: "b@example.com", PasswordHash: "x"},
		}
		require.NoError(t, db.Writer().Table("users").Create(&rows).Error)
		require.Equal(t, time.UTC, rows[0].CreatedAt.Location())
		var read []userRow
		ids := []uuid.UUID{rows[0].ID, rows[1].ID}
		require.NoError(t, db.Reader().Table("users").Where("id IN ?", ids).Order("username").Find(&read).Error)
		require.Equal(t, rows, read)
	})
}

func TestRowLocksAreForPostgresAlone(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		require.NoError(t, db.Writer().Create(&leaseRow{Name: "n", Holder: "h", ExpiresAt: noon}).Error)
		var row leaseRow
		require.NoError(t, db.Writer().Clauses(clause.Locking{Strength: "NO KEY UPDATE"}).Take(&row).Error)
		require.Equal(t, "n", row.Name)
	})
}
