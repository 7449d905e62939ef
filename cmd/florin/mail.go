package main

import (
	"context"
	"maps"

	"florin/infra/database"
	"florin/infra/notify/email"
	"florin/pkg/eventbus"
	mailsvc "florin/service/mail"
)

// buildMail adds the mails of payments to those who read the log. Without SMTP_URL there are none.
func (a *App) buildMail(options Options) error {
	if a.Config.SMTPURL == "" {
		return nil
	}
	sender, err := email.New(email.Config{URL: string(a.Config.SMTPURL), From: a.Config.MailFrom})
	if err != nil {
		return err
	}
	deps := options.Mail
	mails := database.NewMails(a.DB, a.Clock)
	deps.Mails, deps.Notices, deps.Sender, deps.Clock, deps.Log = mails, mails, sender, a.Clock, a.Log
	deps.Count, deps.Buried = a.Metrics.Mailed, a.Letters.Alert
	a.mail = mailsvc.NewService(deps)
	with := map[string]eventbus.PositionedHandler{mailsvc.Subscriber: a.mail.HandleEvent}
	maps.Copy(with, a.subscribers)
	a.subscribers = with
	return nil
}

// startMail sends what is noted, until the work ends.
func (a *App) startMail() {
	if a.mail != nil {
		a.loop("mail", a.work, func(ctx context.Context) error { return a.mail.Run(ctx) })
	}
}
