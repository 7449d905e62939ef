package integrity_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/domain/account"
	"florin/domain/errs"
	"florin/domain/integrity"
	integritysvc "florin/service/integrity"
)

var (
	noon   = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	broken = uuid.MustParse("0198c0de-0000-7000-8000-000000000001")
)

// fakeProofs has a log of so many events and findings that are open until they are handled.
type fakeProofs struct {
	events  int
	open    []integrity.Finding
	state   integrity.State
	full    int
	fences  []int64
	fenced  bool
	failure error
}

func (f *fakeProofs) Pending(context.Context) (bool, error) {
	return f.events > 0 || len(f.open) > 0, f.failure
}

func (f *fakeProofs) ProveLog(_ context.Context, fence int64, limit int) (integrity.Round, error) {
	f.fences = append(f.fences, fence)
	if f.fenced {
		return integrity.Round{}, integrity.ErrFenced
	}
	n := min(limit, f.events)
	f.events -= n
	return integrity.Round{Events: n, Unhandled: f.open}, nil
}

func (f *fakeProofs) ProveAll(context.Context) (integrity.Round, error) {
	f.full++
	return integrity.Round{Unhandled: f.open}, nil
}

func (f *fakeProofs) Handled(_ context.Context, id uuid.UUID) error {
	f.open = f.open[1:]
	return nil
}

func (f *fakeProofs) State(context.Context) (integrity.State, error) { return f.state, nil }

// fakeLeases gives every lease out, or none.
type fakeLeases struct {
	held  bool
	fence int64
	taken []string
	given []string
}

func (f *fakeLeases) Acquire(_ context.Context, name, _ string, _ time.Duration) (int64, bool, error) {
	f.taken = append(f.taken, name)
	f.fence++
	return f.fence, !f.held, nil
}

func (f *fakeLeases) Renew(_ context.Context, _ string, fence int64, _ time.Duration) (bool, error) {
	return !f.held && fence == f.fence, nil
}

func (f *fakeLeases) Release(_ context.Context, name string, _ int64) error {
	f.given = append(f.given, name)
	return nil
}

type bench struct {
	proofs *fakeProofs
	leases *fakeLeases
	frozen []uuid.UUID
	alerts []string
	log    bytes.Buffer
	refuse error
	now    time.Time
	svc    *integritysvc.Service
}

func newBench() *bench {
	b := &bench{proofs: &fakeProofs{}, leases: &fakeLeases{}, now: noon}
	b.svc = integritysvc.New(integritysvc.Config{Proofs: b.proofs, Leases: b.leases, Batch: 10, Clock: func() time.Time { return b.now },
		Freeze: func(_ context.Context, id uuid.UUID, by account.Operator) error {
			b.frozen = append(b.frozen, id)
			if by.Name != "system" || by.Reason != "integrity: I3 does not hold" {
				return errors.New("by " + by.Name + ": " + by.Reason)
			}
			return b.refuse
		},
		Alert: func(kind string) { b.alerts = append(b.alerts, kind) }, Log: slog.New(slog.NewJSONHandler(&b.log, nil))})
	return b
}

func finding() integrity.Finding {
	return integrity.Finding{ID: uuid.New(), Invariant: "I3", Subject: "account " + broken.String(), Detail: "posted=1", Accounts: []uuid.UUID{broken}, FoundAt: noon}
}

func TestBrokenIsToldAndFrozenOnce(t *testing.T) {
	b := newBench()
	b.proofs.events, b.proofs.open = 25, []integrity.Finding{finding()}
	for _, want := range []int{10, 10, 5, 0} {
		events, err := b.svc.RunOnce(t.Context())
		require.NoError(t, err)
		assert.Equal(t, want, events)
	}
	assert.Equal(t, []uuid.UUID{broken}, b.frozen)
	assert.Equal(t, []string{"integrity"}, b.alerts)
	assert.Contains(t, b.log.String(), `"level":"ERROR"`)
	assert.Contains(t, b.log.String(), `"invariant":"I3"`)
	assert.Equal(t, []int64{1, 1, 1}, b.proofs.fences, "one lease, and none is touched where nothing happened")
}

func TestFreezeThatFailsIsTriedAgain(t *testing.T) {
	b := newBench()
	b.proofs.open = []integrity.Finding{finding()}
	b.refuse = errs.New(errs.Unavailable, "database_unavailable", "away")
	_, err := b.svc.RunOnce(t.Context())
	require.ErrorIs(t, err, b.refuse)
	assert.Empty(t, b.alerts)
	assert.Len(t, b.proofs.open, 1)
	b.refuse = account.ErrAccountClosed // there is nothing to freeze
	_, err = b.svc.RunOnce(t.Context())
	require.NoError(t, err)
	assert.Len(t, b.alerts, 1)
	assert.Empty(t, b.proofs.open)
}

func TestOneServerProves(t *testing.T) {
	b := newBench()
	b.proofs.events, b.leases.held = 5, true
	events, err := b.svc.RunOnce(t.Context())
	require.NoError(t, err)
	assert.Zero(t, events)
	assert.Empty(t, b.proofs.fences)
	b.leases.held, b.proofs.fenced = false, true
	_, err = b.svc.RunOnce(t.Context())
	require.NoError(t, err, "another server was quicker")
	b.proofs.fenced = false
	events, err = b.svc.RunOnce(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 5, events)
	assert.Equal(t, []int64{2, 3}, b.proofs.fences, "a lease that was lost is taken anew")
}

func TestFullPassWhenItIsDue(t *testing.T) {
	b := newBench()
	require.NoError(t, b.svc.RunFullOnce(t.Context()))
	assert.Equal(t, 1, b.proofs.full, "there was none yet")
	b.proofs.state.FullAt = noon
	b.now = noon.Add(24*time.Hour - time.Second)
	require.NoError(t, b.svc.RunFullOnce(t.Context()))
	assert.Equal(t, 1, b.proofs.full)
	b.now = noon.Add(24 * time.Hour)
	b.proofs.open = []integrity.Finding{finding()}
	require.NoError(t, b.svc.RunFullOnce(t.Context()))
	assert.Equal(t, 2, b.proofs.full)
	assert.Equal(t, []uuid.UUID{broken}, b.frozen)
	assert.Equal(t, b.leases.taken, b.leases.given)
	b.leases.held = true
	require.NoError(t, b.svc.RunFullOnce(t.Context()))
	assert.Equal(t, 2, b.proofs.full, "another server does it")
}
