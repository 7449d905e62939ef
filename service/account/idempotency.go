package account

import (
	"context"
	"crypto/sha256"
	"time"

	"github.com/google/uuid"

	"florin/domain/account"
	"florin/domain/errs"
)

// keySlack is how much longer than the longest answer a key stays locked.
const keySlack = 2 * time.Second

// keyUse is a client's key in the course of one request. A nil keyUse is a request without a key.
type keyUse struct {
	key      Key
	id       uuid.UUID // hash of user and key
	userID   uuid.UUID
	resource uuid.UUID
	locked   time.Duration
	fence    int64
	answered bool
}

func (s *Service) keyOf(c Call, resource uuid.UUID) *keyUse {
	if c.Key == nil || c.DryRun {
		return nil
	}
	return &keyUse{key: *c.Key, id: KeyHash(c.UserID, c.Key.Value), userID: c.UserID, resource: resource,
		locked: s.limits.ReplyWithin + c.Wait + keySlack, fence: 1}
}

// KeyHash is the 16 bytes that stand for a user's key.
func KeyHash(userID uuid.UUID, key string) uuid.UUID {
	sum := sha256.Sum256(append(userID[:], key...))
	var id uuid.UUID
	copy(id[:], sum[:16])
	return id
}

func (k *keyUse) hash() *uuid.UUID {
	if k == nil {
		return nil
	}
	return &k.id
}

// seenBefore looks whether this request was made before, or committed in an earlier run of the same closure. If so, out
// holds the stored answer, the transaction of that earlier run, or nothing where its current state is the answer.
func (s *Service) seenBefore(u account.UnitOfWork, id uuid.UUID, key *keyUse, out *Outcome) (bool, error) {
	if key != nil {
		// A run that was taken back may have read the key of a request that was taken back with it.
		key.resource, key.fence, key.answered = id, 1, false
	}
	if t, ok := u.Transaction(id); ok {
		out.Transaction, out.Side = t, t.AccountID
		return true, nil
	}
	if key == nil {
		return false, nil
	}
	record, ok := u.Key()
	if !ok {
		return false, nil
	}
	return true, key.decide(record, s.now(), out)
}

// decide answers a repeat of a request.
func (k *keyUse) decide(r *account.IdempotencyRecord, now time.Time, out *Outcome) error {
	if r.Fingerprint != k.key.Fingerprint || r.UserID != k.userID {
		return errs.New(errs.Refused, "idempotency_key_reused", "The Idempotency-Key was used for another request.")
	}
	k.resource = r.ResourceID
	switch {
	case r.Answer != nil:
		out.Answer, out.Replayed = r.Answer, true
	case !r.FinishedAt.IsZero():
		// The answer's retention is over; the key is not, so the current state is all there is to tell.
		out.Replayed, k.answered = true, true
	case r.LockedUntil.After(now):
		inFlight := errs.New(errs.Conflict, "idempotency_key_in_flight", "The first request with this Idempotency-Key is still running.")
		inFlight.RetryAfter = r.LockedUntil.Sub(now)
		return inFlight
	default:
		// Whoever ran it has died or stalled. The higher fence makes its late answer hit nothing.
		r.Fence++
		r.LockedUntil = now.Add(k.locked)
		k.fence = r.Fence
		out.Replayed = true
	}
	return nil
}

// lock adds the key to the unit of work as in flight.
func (k *keyUse) lock(u account.UnitOfWork, now time.Time) {
	if k == nil {
		return
	}
	u.AddKey(account.IdempotencyRecord{Hash: k.id, UserID: k.userID, Fingerprint: k.key.Fingerprint,
		ResourceID: k.resource, Fence: k.fence, LockedUntil: now.Add(k.locked), CreatedAt: now})
}

// add adds the key to the unit of work as answered at once.
func (k *keyUse) add(u account.UnitOfWork, t *account.Transaction, now time.Time, out *Outcome) {
	if k == nil {
		return
	}
	answer := k.key.Render(&Outcome{Transaction: t, Side: out.Side})
	out.Answer = &answer
	u.AddKey(account.IdempotencyRecord{Hash: k.id, UserID: k.userID, Fingerprint: k.key.Fingerprint,
		ResourceID: k.resource, Fence: k.fence, Answer: &answer, CreatedAt: now, FinishedAt: now})
	k.answered = true
}

// finish stores the answer on a key that the unit of work has loaded, unless somebody took it over, and returns what it
// has stored.
func (k *keyUse) finish(u account.UnitOfWork, out *Outcome, now time.Time) *account.Answer {
	if k == nil || k.answered {
		return nil
	}
	r, ok := u.Key()
	if !ok || r.Fence != k.fence || !r.FinishedAt.IsZero() {
		return nil
	}
	answer := k.key.Render(out)
	r.Answer, r.LockedUntil, r.FinishedAt = &answer, time.Time{}, now
	return &answer
}

// keepAnswer stores the answer in a commit of its own. It is best effort: without it a repeat gets the current state
// once the lock has run out.
func (s *Service) keepAnswer(ctx context.Context, key *keyUse, out *Outcome) {
	if key == nil || key.answered {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.limits.ReplyWithin)
	defer cancel()
	var kept *account.Answer
	err := s.ledger.Do(ctx, account.Needs{Key: &key.id}, func(_ context.Context, u account.UnitOfWork) error {
		kept = key.finish(u, out, s.now())
		return nil
	})
	if err != nil {
		s.log.WarnContext(ctx, "answer not kept for its idempotency key", "error", err)
		return
	}
	out.Answer = kept
}

// currentState answers a repeat whose first answer is not there: with the transaction as it is now.
func (s *Service) currentState(ctx context.Context, c Call, key *keyUse) (Outcome, error) {
	t, side, err := s.WaitTerminal(ctx, c.UserID, key.resource, c.Wait)
	if err != nil {
		return Outcome{}, err
	}
	out := Outcome{Transaction: t, Side: side, Replayed: true}
	s.keepAnswer(ctx, key, &out)
	return out, nil
}
