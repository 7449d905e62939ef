package main

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestHistogramBucketsFollowEachOtherWithoutGapOrOverlap(t *testing.T) {
	for bucket := range bucketOf(int64(time.Hour)) {
		end := upperEnd(bucket)
		require.Equal(t, bucket, bucketOf(end), "the upper end of bucket %d", bucket)
		require.Equal(t, bucket+1, bucketOf(end+1), "what follows bucket %d", bucket)
	}
}

func TestHistogramKnowsAValueToOneIn128(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.Int64Range(0, int64(time.Hour)).Draw(t, "v")
		end := upperEnd(bucketOf(v))
		require.GreaterOrEqual(t, end, v)
		require.LessOrEqual(t, end-v, v/subBuckets)
	})
}

func TestHistogramQuantilesAreThoseOfTheSortedValues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Int64Range(0, int64(time.Minute)), 1, 3000).Draw(t, "values")
		var parts [3]histogram // as workers have them
		for i, v := range values {
			parts[i%3].record(time.Duration(v))
		}
		var h histogram
		for i := range parts {
			h.merge(&parts[i])
		}
		slices.Sort(values)
		require.EqualValues(t, len(values), h.total)
		require.EqualValues(t, values[len(values)-1], h.max)
		for _, perMille := range []int64{1, 500, 990, 999, 1000} {
			exact := values[(int64(len(values))*perMille+999)/1000-1]
			got := int64(h.quantile(perMille))
			require.GreaterOrEqual(t, got, exact, "quantile %d", perMille)
			require.LessOrEqual(t, got-exact, exact/subBuckets, "quantile %d", perMille)
		}
	})
}

func TestHistogramWithoutValues(t *testing.T) {
	var h histogram
	h.merge(&histogram{})
	assert.Zero(t, h.quantile(500))
	h.record(-time.Second) // a clock that was set back
	assert.Zero(t, h.quantile(999))
	assert.EqualValues(t, 1, h.total)
}

func BenchmarkHistogramRecord(b *testing.B) {
	var h histogram
	r := rand.New(rand.NewPCG(1, 2))
	for b.Loop() {
		h.record(time.Duration(r.Int64N(int64(time.Second))))
	}
}
