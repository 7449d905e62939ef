package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"florin/infra/provider/mock"
	"florin/infra/provider/mock/bank"
	"florin/pkg/telemetry"
	"florin/webapi/middleware"
)

func (p *program) mockBankCommand() *cobra.Command {
	var address string
	var chaos uint64
	c := &cobra.Command{
		Use: "mock-bank", Short: "Run the mock bank apart from the server", Args: cobra.NoArgs,
		Long: "Runs the mock payment provider as a program of its own. A server uses it by MOCK_BANK_URL; it posts its webhooks to\nMOCK_BANK_WEBHOOK_URL. Both find the bank's key and the webhook secret in DATA_DIR, or in MOCK_BANK_API_KEY and\nMOCK_WEBHOOK_SECRET.",
		RunE: func(c *cobra.Command, _ []string) error { return p.mockBank(c.Context(), address, chaos) },
	}
	c.Flags().StringVar(&address, "addr", "127.0.0.1:8082", "host:port to listen on")
	c.Flags().Uint64Var(&chaos, "chaos", 0, "seed from which every payment that asks for no scenario draws one; 0 for none")
	return c
}

func (p *program) mockBank(ctx context.Context, address string, chaos uint64) (err error) {
	config, err := loadConfig(p.environ)
	if err != nil {
		return err
	}
	if config.Production {
		return errors.New("the mock bank is for development")
	}
	if err := config.keepSecrets(); err != nil {
		return err
	}
	if config.MockBankWebhookURL == "" {
		config.MockBankWebhookURL = "http://" + config.HTTPAddr + "/webhook/" + mock.Name
	}
	b, err := bank.New(bank.Config{LedgerPath: config.inData(bankLedgerFile), APIKey: string(config.MockBankAPIKey[0]),
		WebhookSecrets: reveal(config.MockWebhookSecrets), WebhookURL: config.MockBankWebhookURL,
		Autocomplete: config.MockAutocomplete, Chaos: chaos, Logger: telemetry.NewLogger(p.stderr, slog.LevelInfo)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	at := map[string]string{"url": "http://" + reachable(l.Addr()), "webhook_url": config.MockBankWebhookURL}
	err = p.print(at, func(w io.Writer) {
		fmt.Fprintf(w, "The mock bank serves %s and posts its webhooks to %s.\nIts API key is in %s%c%s.\n",
			at["url"], at["webhook_url"], config.DataDir, os.PathSeparator, bankKeyFile)
	})
	if err != nil {
		return errors.Join(err, l.Close())
	}
	return runBank(ctx, b, middleware.Patient(l))
}

func runBank(ctx context.Context, b *bank.Bank, l net.Listener) error {
	server := newBankServer(b)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return serveHTTP(server, l) })
	group.Go(func() error {
		err := b.Run(ctx)
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		return errors.Join(err, server.Shutdown(closing))
	})
	return group.Wait()
}
