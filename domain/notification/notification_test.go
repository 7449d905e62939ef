package notification_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"florin/domain/account"
	"florin/domain/errs"
	"florin/domain/notification"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func hostOf(t *testing.T, text string) string {
	u, err := url.Parse(text)
	require.NoError(t, err)
	require.Equal(t, "https", u.Scheme)
	require.Nil(t, u.User)
	return u.Hostname()
}

func exactly(pause time.Duration) time.Duration { return pause }

func TestF119_TheScheduleFillsThreeDays(t *testing.T) {
	t.Parallel()
	d := notification.NewDelivery(uuid.New(), uuid.New(), uuid.New(), uuid.New(), "deposit.completed", nil, "", noon)
	now := noon
	for d.Status == notification.DeliveryPending {
		require.False(t, d.NextAttemptAt.Before(now))
		now = d.NextAttemptAt
		d.Fail(now, 0, exactly)
	}
	assert.Equal(t, notification.DeliveryDead, d.Status)
	assert.Equal(t, notification.MaxTries, d.Tries)
	assert.Equal(t, notification.MaxTries, d.Attempted)
	assert.Greater(t, now.Sub(noon), 66*time.Hour)
	assert.LessOrEqual(t, now.Sub(noon), notification.Window)
	assert.Equal(t, now, d.FinishedAt)
	assert.Zero(t, d.NextAttemptAt)
}

// TestF119_EveryScheduleEnds: however long the pauses come out, whatever the endpoint wishes and however late the attempts are
// made, a delivery ends within its tries, and nothing is planned behind its window.
func TestF119_EveryScheduleEnds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := notification.NewDelivery(uuid.New(), uuid.New(), uuid.New(), uuid.New(), "", nil, "", noon)
		now := noon
		for tries := 1; d.Status == notification.DeliveryPending; tries++ {
			if tries > notification.MaxTries {
				t.Fatalf("attempt %d", tries)
			}
			wish := time.Duration(rapid.Int64Range(0, int64(100*time.Hour)).Draw(t, "wish"))
			late := time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "late"))
			before := now
			now = d.NextAttemptAt.Add(late)
			d.Fail(now, wish, func(p time.Duration) time.Duration { return p - p/10 })
			if d.Status != notification.DeliveryPending {
				continue
			}
			if d.NextAttemptAt.After(noon.Add(notification.Window)) || d.NextAttemptAt.Before(before) {
				t.Fatalf("next attempt at %s", d.NextAttemptAt)
			}
			if wish > 0 && d.NextAttemptAt.Before(now.Add(wish)) && !d.NextAttemptAt.Equal(noon.Add(notification.Window)) {
				t.Fatalf("wish of %s is not kept", wish)
			}
		}
	})
}

func TestAnEndpointThatFailsRestsForLongerEachTime(t *testing.T) {
	t.Parallel()
	var h notification.Health
	var rests []time.Duration
	for range 14 {
		h = h.Failed(noon, 0)
		if h.ResumeAt.IsZero() {
			rests = append(rests, 0)
		} else {
			rests = append(rests, h.ResumeAt.Sub(noon))
		}
	}
	assert.Equal(t, []time.Duration{0, 0, 0, 0, 10 * time.Second, 20 * time.Second, 40 * time.Second, 80 * time.Second, 160 * time.Second,
		320 * time.Second, 10 * time.Minute, 10 * time.Minute, 10 * time.Minute, 10 * time.Minute}, rests)
	assert.Zero(t, h.Succeeded())
	assert.Equal(t, noon.Add(90*time.Second), notification.Health{}.Failed(noon, 90*time.Second).ResumeAt, "its own wish counts at once")
	assert.Equal(t, noon.Add(24*time.Hour), notification.Health{}.Failed(noon, 1000*time.Hour).ResumeAt, "within reason")
}

func TestFiltersSayWhatIsSent(t *testing.T) {
	t.Parallel()
	u, err := notification.ParseURL("https://example.com", false)
	require.NoError(t, err)
	wants := func(events []string) string {
		e, err := notification.NewEndpoint(uuid.New(), uuid.New(), u, events, "", noon)
		require.NoError(t, err)
		var got []string
		for _, kind := range []account.Type{account.TypeDeposit, account.TypeTransfer} {
			for _, status := range []account.PaymentStatus{account.PaymentStatusPending, account.PaymentStatusFailed} {
				if e.Wants(kind, status) {
					got = append(got, notification.EventName(kind, status))
				}
			}
		}
		return strings.Join(got, " ") + " of " + strings.Join(e.Events(), " ")
	}
	assert.Equal(t, "deposit.pending deposit.failed transfer.pending transfer.failed of *", wants(nil))
	assert.Equal(t, "deposit.failed of deposit.failed", wants([]string{"deposit.failed", "deposit.failed"}))
	assert.Equal(t, "deposit.pending deposit.failed of deposit.*", wants([]string{"deposit.*"}))
	assert.Equal(t, "deposit.failed transfer.pending transfer.failed of *.failed transfer.pending", wants([]string{"*.failed", "transfer.pending"}))
	assert.Equal(t, " of refund.completed", wants([]string{"refund.completed"}))
	for _, wrong := range []string{"", "deposit", "deposit.", ".failed", "deposit.done", "gift.failed", "DEPOSIT.failed", "deposit.failed.", "*.*.*", "**"} {
		_, err := notification.NewEndpoint(uuid.New(), uuid.New(), u, []string{wrong}, "", noon)
		assert.Equal(t, "unknown_event", errs.CodeOf(err), wrong)
	}
	_, err = notification.NewEndpoint(uuid.New(), uuid.New(), u, make([]string, 65), "", noon)
	assert.Equal(t, "too_many", errs.CodeOf(err))
	for text, code := range map[string]string{strings.Repeat("é", 201): "too_long", "a\nb": "invalid_text"} {
		_, err := notification.NewEndpoint(uuid.New(), uuid.New(), u, nil, text, noon)
		assert.Equal(t, code, errs.CodeOf(err))
	}
}

func TestS46_ASecretCannotBePrinted(t *testing.T) {
	t.Parallel()
	s, err := notification.NewSecret([]byte("canary-canary-canary-canary-"))
	require.NoError(t, err)
	assert.Equal(t, "whsec_Y2FuYXJ5LWNhbmFyeS1jYW5hcnktY2FuYXJ5LQ==", s.Text())
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		printed := fmt.Sprintf(format, s) + fmt.Sprintf(format, []notification.Secret{s}) + fmt.Sprintf(format, struct{ S notification.Secret }{s})
		assert.NotContains(t, printed, "canary")
		assert.NotContains(t, printed, "Y2FuYXJ5")
		assert.NotContains(t, printed, "99 97 110")
	}
	for _, size := range []int{0, 23, 65} {
		_, err := notification.NewSecret(make([]byte, size))
		assert.Error(t, err, "S35: %d bytes", size)
	}
}

func TestADisabledEndpointKeepsItsReason(t *testing.T) {
	t.Parallel()
	e := notification.LoadEndpoint(notification.EndpointState{Status: notification.EndpointEnabled})
	e.Disable(notification.DisabledGone, noon)
	e.Disable(notification.DisabledByOwner, noon.Add(time.Hour))
	assert.Equal(t, notification.DisabledGone, e.Reason())
	assert.Equal(t, noon, e.UpdatedAt())
	e.Enable(noon)
	assert.Equal(t, notification.EndpointEnabled, e.Status())
	assert.Empty(t, e.Reason())
}
