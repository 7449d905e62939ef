package account

import "time"

// Freeze takes the account out of use: nothing leaves it at its holder's wish, and no transfer reaches it. What was sent to a
// provider before still completes, and what a provider confirms still credits it, because that money is there. It answers false
// where the account was frozen before. ErrAccountClosed.
func (a *Account) Freeze(now time.Time) (bool, error) { return a.become(StatusFrozen, now) }

// Unfreeze takes the account back into use, and answers false where it was in use. ErrAccountClosed.
func (a *Account) Unfreeze(now time.Time) (bool, error) { return a.become(StatusActive, now) }

func (a *Account) become(status Status, now time.Time) (bool, error) {
	switch a.status {
	case StatusClosed:
		return false, ErrAccountClosed
	case status:
		return false, nil
	}
	a.status, a.UpdatedAt = status, now
	return true, nil
}
