package stripe

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/stripe/stripe-go/v76"

	"florin/domain/account"
)

// CreatePayoutAccount implements account.Onboarding with an Express account. Its payouts are ours to make, so it gets no
// schedule of its own.
func (c *Client) CreatePayoutAccount(ctx context.Context, key string, userID uuid.UUID) (account.PayoutAccount, error) {
	raw, err := c.call(ctx, how{key: key}, func(api *resources, p stripe.Params) (*stripe.APIResponse, error) {
		got, err := api.Accounts.New(&stripe.AccountParams{
			Params: p, Type: stripe.String(string(stripe.AccountTypeExpress)),
			Capabilities: &stripe.AccountCapabilitiesParams{Transfers: &stripe.AccountCapabilitiesTransfersParams{Requested: stripe.Bool(true)}},
			Settings: &stripe.AccountSettingsParams{Payouts: &stripe.AccountSettingsPayoutsParams{
				Schedule: &stripe.AccountSettingsPayoutsScheduleParams{Interval: stripe.String("manual")}}},
			Metadata: map[string]string{metaUser: userID.String()},
		})
		if err != nil {
			return nil, err
		}
		return got.LastResponse, nil
	})
	if err != nil {
		return account.PayoutAccount{}, fmt.Errorf("stripe: create payout account: %w", err)
	}
	got, err := c.payoutAccount(raw, "")
	if err != nil {
		return account.PayoutAccount{}, fmt.Errorf("stripe: create payout account: %w", err)
	}
	got.UserID = userID
	return got, nil
}

// OnboardingLink implements account.Onboarding. The user comes back to the success URL, or to the cancel URL where the link
// was no longer good.
func (c *Client) OnboardingLink(ctx context.Context, key, id string) (string, error) {
	raw, err := c.call(ctx, how{key: key}, func(api *resources, p stripe.Params) (*stripe.APIResponse, error) {
		got, err := api.AccountLinks.New(&stripe.AccountLinkParams{
			Params: p, Account: stripe.String(id), Type: stripe.String("account_onboarding"),
			ReturnURL: stripe.String(c.success), RefreshURL: stripe.String(c.back),
		})
		if err != nil {
			return nil, err
		}
		return got.LastResponse, nil
	})
	if err == nil {
		var link accountLink
		if link, err = read[accountLink](raw, "account_link"); err == nil && !strings.HasPrefix(link.URL, "https://") {
			err = unknown("bad_answer", errors.New("the link is no https URL"))
		}
		if err == nil {
			return link.URL, nil
		}
	}
	return "", fmt.Errorf("stripe: onboarding link: %w", err)
}

// GetPayoutAccount implements account.Onboarding.
func (c *Client) GetPayoutAccount(ctx context.Context, id string) (account.PayoutAccount, error) {
	raw, err := c.question(ctx, how{}, func(api *resources, p stripe.Params) (*stripe.APIResponse, error) {
		got, err := api.Accounts.GetByID(id, &stripe.AccountParams{Params: p})
		if err != nil {
			return nil, err
		}
		return got.LastResponse, nil
	})
	if err == nil {
		var got account.PayoutAccount
		if got, err = c.payoutAccount(raw, id); err == nil {
			return got, nil
		}
	}
	return account.PayoutAccount{}, fmt.Errorf("stripe: get payout account: %w", err)
}

func (c *Client) payoutAccount(raw []byte, id string) (account.PayoutAccount, error) {
	got, err := read[connected](raw, "account")
	if err != nil {
		return account.PayoutAccount{}, err
	}
	if !validID(got.ID) || (id != "" && got.ID != id) {
		return account.PayoutAccount{}, mismatch()
	}
	now := c.now().UTC().Truncate(time.Microsecond)
	return account.PayoutAccount{Provider: Name, ID: got.ID, Complete: got.DetailsSubmitted, PayoutsEnabled: got.PayoutsEnabled,
		CreatedAt: now, UpdatedAt: now}, nil
}
