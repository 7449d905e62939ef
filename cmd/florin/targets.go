package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"strings"
	"time"

	"florin/domain/account"
	"florin/infra/database"
	accountsvc "florin/service/account"
	"florin/webapi"
)

// noteTargetWithin bounds the note behind a withdrawal.
const noteTargetWithin = 2 * time.Second

// tellingAccounts tells users by mail of withdrawals to targets that are new for them. The
// withdrawal does not wait for it and does not fail with it: what is not noted is logged.
type tellingAccounts struct {
	*accountsvc.Service
	targets *database.PayoutTargets
	keys    [][]byte // the first one's fingerprints are kept
	now     account.Clock
	log     *slog.Logger
}

// tellOfTargets is the account service, which tells of new targets where mail is configured.
func (a *App) tellOfTargets() webapi.Accounts {
	if a.Config.SMTPURL == "" {
		return a.Service
	}
	told := tellingAccounts{Service: a.Service, targets: database.NewPayoutTargets(a.DB), now: a.Clock,
		log: a.Log}
	for _, secret := range a.Config.JWTSecrets {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte("florin payout targets"))
		told.keys = append(told.keys, mac.Sum(nil))
	}
	return told
}

// Withdraw implements webapi.Accounts.
func (t tellingAccounts) Withdraw(ctx context.Context, r accountsvc.WithdrawRequest) (
	accountsvc.Outcome, error) {
	outcome, err := t.Service.Withdraw(ctx, r)
	if err != nil || r.DryRun || outcome.Replayed || r.Target.IsZero() {
		return outcome, err
	}
	// The client may have gone; the owner is told all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteTargetWithin)
	defer cancel()
	prints := make([]string, len(t.keys))
	for i, key := range t.keys {
		prints[i] = fingerprint(key, r.Target)
	}
	if err := t.targets.Use(ctx, r.UserID, prints, t.now()); err != nil {
		t.log.WarnContext(ctx, "owner not told of a payout target", "user_id", r.UserID.String(),
			"error", err)
	}
	return outcome, nil
}

// fingerprint is the same however a target is spaced and capitalised.
func fingerprint(key []byte, target account.ExternalTarget) string {
	mac := hmac.New(sha256.New, key)
	for _, part := range []string{target.BankAccountNumber, target.RoutingNumber} {
		plain := strings.NewReplacer(" ", "", "-", "", ".", "").Replace(strings.ToUpper(part))
		mac.Write([]byte(plain + "\x00"))
	}
	mac.Write([]byte(strings.TrimSpace(target.ExternalWalletAddress))) // in which case tells
	return hex.EncodeToString(mac.Sum(nil))
}
