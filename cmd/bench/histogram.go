package main

import (
	"math/bits"
	"time"
)

// subBuckets is how many buckets each power of two is cut into: a value is known to 1/128 of itself, 0.8 %.
const (
	subBucketBits = 7
	subBuckets    = 1 << subBucketBits
)

// histogram counts durations in buckets whose width grows with the value, so that a long tail costs no memory and no
// precision. The zero value is empty. It serves one goroutine; several are merged.
type histogram struct {
	counts []int64
	total  int64
	max    time.Duration
}

// record counts a duration; a negative one is 0.
func (h *histogram) record(d time.Duration) {
	d = max(d, 0)
	i := bucketOf(int64(d))
	if i >= len(h.counts) {
		h.counts = append(h.counts, make([]int64, i+1-len(h.counts))...)
	}
	h.counts[i]++
	h.total++
	h.max = max(h.max, d)
}

func (h *histogram) merge(other *histogram) {
	if len(other.counts) > len(h.counts) {
		h.counts = append(h.counts, make([]int64, len(other.counts)-len(h.counts))...)
	}
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.total += other.total
	h.max = max(h.max, other.max)
}

// quantile is the smallest bucket's upper end that at least perMille of the values do not exceed, 0 where there are none.
// It never exceeds the largest value.
func (h *histogram) quantile(perMille int64) time.Duration {
	rank := max((h.total*perMille+999)/1000, 1)
	var seen int64
	for i, n := range h.counts {
		seen += n
		if seen >= rank {
			return min(time.Duration(upperEnd(i)), h.max)
		}
	}
	return h.max
}

// bucketOf numbers the buckets: below subBuckets one for each value, then subBuckets for each power of two, so that the
// numbers follow each other without a gap.
func bucketOf(v int64) int {
	shift := max(bits.Len64(uint64(v))-subBucketBits-1, 0) //nolint:gosec // v is not negative
	return shift<<subBucketBits + int(v>>shift)
}

// upperEnd is the largest value of a bucket.
func upperEnd(bucket int) int64 {
	shift := max(bucket>>subBucketBits-1, 0)
	mantissa := int64(bucket - shift<<subBucketBits)
	return (mantissa+1)<<shift - 1
}
