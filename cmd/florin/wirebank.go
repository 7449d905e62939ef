package main

import (
	"context"
	"net/http"
	"time"

	"florin/infra/provider/mock"
	"florin/infra/provider/mock/bank"
)

// openBank makes the client of the mock bank, and the bank itself unless it runs apart.
func (a *App) openBank(ctx context.Context) (err error) {
	address := a.Config.MockBankURL
	if address == "" {
		if address, err = a.openOwnBank(ctx); err != nil {
			return err
		}
	}
	a.mock, err = mock.New(mock.Config{BaseURL: address, APIKey: string(a.Config.MockBankAPIKey[0]),
		WebhookSecrets: reveal(a.Config.MockWebhookSecrets), Now: a.Clock})
	if err != nil {
		return err
	}
	a.closers = append(a.closers, func(context.Context) error { a.mock.Close(); return nil })
	return nil
}

func (a *App) openOwnBank(ctx context.Context) (address string, err error) {
	webhookURL := a.Config.MockBankWebhookURL
	if webhookURL == "" {
		if webhookURL, err = a.webhookURL(ctx); err != nil {
			return "", err
		}
	}
	a.Bank, err = bank.New(bank.Config{LedgerPath: a.Config.inData(bankLedgerFile), APIKey: string(a.Config.MockBankAPIKey[0]),
		WebhookSecrets: reveal(a.Config.MockWebhookSecrets), WebhookURL: webhookURL, Autocomplete: a.Config.MockAutocomplete,
		Logger: a.Log, Now: a.Clock})
	if err != nil {
		return "", err
	}
	a.closers = append(a.closers, func(context.Context) error { return a.Bank.Close() })
	if a.bankListener, err = a.listen(ctx, "127.0.0.1:0"); err != nil {
		return "", err
	}
	a.bankServer = newBankServer(a.Bank)
	return "http://" + a.bankListener.Addr().String(), nil
}

// webhookURL is the route of this server that the bank in this process posts to. Over TLS the bank could not verify a
// certificate that is made out to another name, so it gets a plain listener on loopback.
func (a *App) webhookURL(ctx context.Context) (string, error) {
	base := a.PublicURL()
	if a.Config.TLSCert != "" {
		var err error
		if a.webhooks, err = a.listen(ctx, "127.0.0.1:0"); err != nil {
			return "", err
		}
		base = "http://" + a.webhooks.Addr().String()
	}
	return base + "/webhook/" + mock.Name, nil
}

// newBankServer sets no write timeout: scenarios hold answers back for longer than any caller waits.
func newBankServer(b *bank.Bank) *http.Server {
	return &http.Server{Handler: b.Handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, IdleTimeout: time.Minute}
}
