package main

import (
	"context"
	"slices"

	"florin/domain/account"
	"florin/infra/database"
	"florin/infra/provider/breaker"
	"florin/infra/provider/stripe"
	"florin/service/payout"
)

// openStripe makes the client of Stripe where there is a key. It makes no call.
func (a *App) openStripe() (err error) {
	a.payoutAccounts = database.NewPayoutAccounts(a.DB)
	a.payoutAccounts.Tell = a.Config.SMTPURL != ""
	if !a.Config.withStripe() {
		return nil
	}
	a.stripe, err = stripe.New(stripe.Config{APIKey: string(a.Config.StripeAPIKey), WebhookSecrets: reveal(a.Config.StripeWebhookSecrets),
		BaseURL: a.Config.StripeAPIBase, SuccessURL: a.Config.StripeSuccessURL, CancelURL: a.Config.StripeCancelURL,
		PayoutAccounts: a.payoutAccounts, Now: a.Clock})
	if err != nil {
		return err
	}
	a.closers = append(a.closers, func(context.Context) error { a.stripe.Close(); return nil })
	return nil
}

// buildProviders puts each configured provider behind a breaker of its own.
func (a *App) buildProviders(tuned breaker.Config) {
	a.providers = map[string]account.PaymentProvider{}
	tuned.Now, tuned.Log, tuned.Changed = a.Clock, a.Log, func(name, state string) {
		if state == "open" {
			a.Metrics.Alert("provider_circuit_open")
			a.Log.Error("alert: provider_circuit_open", "alert", "provider_circuit_open", "provider", name)
		}
	}
	for _, provider := range a.clients() {
		a.providers[provider.Name()] = breaker.New(provider, tuned)
	}
}

// clients are the configured providers without their breakers, through which only a payment's calls are counted.
func (a *App) clients() []account.PaymentProvider {
	return slices.DeleteFunc([]account.PaymentProvider{orNone(a.mock), orNone(a.stripe)}, func(p account.PaymentProvider) bool { return p == nil })
}

// orNone is a provider as the interface, nil where it was not made.
func orNone[T any, P interface {
	*T
	account.PaymentProvider
}](p P) account.PaymentProvider {
	if p == nil {
		return nil
	}
	return p
}

func (a *App) newPayouts() (*payout.Service, error) {
	deps := payout.ServiceDeps{Provider: stripe.Name, Accounts: a.payoutAccounts, Clock: a.Clock, Log: a.Log}
	if a.stripe != nil && a.Config.StripeSuccessURL != "" {
		deps.Onboarding = a.stripe
	}
	return payout.NewService(deps)
}

// reloadStripe takes the key and the secrets of a fresh configuration over.
func (a *App) reloadStripe(fresh Config) error {
	if a.stripe == nil {
		return nil
	}
	if err := a.stripe.SetAPIKey(string(fresh.StripeAPIKey)); err != nil {
		return err
	}
	return a.stripe.SetWebhookSecrets(reveal(fresh.StripeWebhookSecrets))
}
