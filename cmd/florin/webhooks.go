package main

import (
	"context"
	"time"

	"florin/infra/database"
	"florin/infra/notify/webhook"
	"florin/infra/vault"
	accountsvc "florin/service/account"
	"florin/service/notification"
)

// deliveriesKept is how long users can see what was sent to their endpoints.
const deliveriesKept = 30 * 24 * time.Hour

// webhooksOut is what tells users of events at their own endpoints.
type webhooksOut struct {
	Service   *notification.Webhooks
	Fanout    *notification.Fanout
	Deliverer *notification.Deliverer
	Resealer  notification.Resealer
	store     *database.Webhooks
	vault     *vault.Vault
}

// buildWebhooks makes the outgoing webhooks, and their reader of the log a durable subscriber.
func (a *App) buildWebhooks(options Options) error {
	sealing, err := vault.New(webhookKeys(a.Config))
	if err != nil {
		return err
	}
	sender := webhook.NewSender(webhook.Config{AllowPrivate: a.Config.WebhookAllowPrivate, Now: a.Clock, UserAgent: "florin/" + version()})
	a.closers = append(a.closers, func(context.Context) error { sender.Close(); return nil })
	store := database.NewWebhooks(a.DB)
	delivering := options.Webhooks
	delivering.Queue, delivering.Vault, delivering.Sender, delivering.Clock, delivering.Log = store, sealing, sender, a.Clock, a.Log
	delivering.Delivered, delivering.Alert = a.Metrics.WebhookDelivered, a.Metrics.Alert
	deliverer := notification.NewDeliverer(delivering)
	a.Webhooks = webhooksOut{
		Service: notification.NewWebhooks(notification.WebhookDeps{Endpoints: store, Vault: sealing, Clock: a.Clock, KeyHash: accountsvc.KeyHash,
			AllowPrivate: a.Config.WebhookAllowPrivate, Woken: deliverer.Wake}),
		Fanout:    notification.NewFanout(store, a.Clock, deliverer.Wake),
		Deliverer: deliverer,
		Resealer:  notification.Resealer{Store: store, Vault: sealing, Log: a.Log, Every: time.Hour, Alert: a.Metrics.Alert},
		store:     store, vault: sealing,
	}
	if !options.SubscribersAlone {
		a.batchSubscribers[notification.FanoutName] = batchSubscriber{a.Webhooks.Fanout.Handle, a.Webhooks.Fanout.PassOver}
	}
	return a.Metrics.ObserveDeliveries(a.waitingWebhooks)
}

// webhookKeys are those of the data, and behind them JWT_SECRET, which sealed the endpoints' secrets
// before there were others.
func webhookKeys(config Config) []vault.Key {
	return append(vault.Keys(vault.Data, reveal(config.DataKeys)), vault.Keys(vault.Webhooks, reveal(config.JWTSecrets))...)
}

// startWebhooks begins to deliver. Requests that are under way when the program ends are given up; whoever takes over sends
// them again.
func (a *App) startWebhooks() {
	a.loop("webhook deliveries", a.delivery, afterStart(a.Webhooks.Deliverer.Run))
	a.loop("webhook secrets", a.work, afterStart(a.Webhooks.Resealer.Run))
}

func (a *App) waitingWebhooks(ctx context.Context) (deliveries int64, oldest time.Duration, err error) {
	now := a.Clock()
	deliveries, since, err := a.Webhooks.store.Waiting(ctx, now)
	if err != nil || since.IsZero() {
		return deliveries, 0, err
	}
	return deliveries, max(0, now.Sub(since)), nil
}
