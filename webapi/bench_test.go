package webapi

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"

	"florin/domain/account"
	"florin/pkg/telemetry"
	accountsvc "florin/service/account"
)

// answering is a service that does what the true one does about answers, and nothing else.
type answering struct {
	fakeAccounts
}

func (a *answering) answer(c accountsvc.Call) (accountsvc.Outcome, error) {
	out := a.outcome
	rendered := c.Key.Render(&out)
	out.Answer = &rendered
	return out, nil
}

func (a *answering) Transfer(_ context.Context, r accountsvc.TransferRequest) (accountsvc.Outcome, error) {
	return a.answer(r.Call)
}

func (a *answering) Deposit(_ context.Context, r accountsvc.DepositRequest) (accountsvc.Outcome, error) {
	return a.answer(r.Call)
}

// silent keeps nothing.
type silent struct{}

func (silent) PublishPaymentReceived(context.Context, account.PaymentReceivedEvent) error { return nil }

// BenchmarkRequest is what a request costs at the edge: everything from the parsed headers to the answer, but for the service
// and the connection.
func BenchmarkRequest(b *testing.B) {
	bearer := "Authorization: Bearer " + ada.String() + "\r\nIdempotency-Key: bench-ABCDEFGHIJKLMNOPQRSTUVWXYZ-12345\r\n"
	for _, c := range []struct {
		name, path, body, headers string
		status                    int
	}{
		{"transfer", "/account/" + adasEUR.String() + "/transfer",
			`{"amount":"0.01","currency":"EUR","destination_account_id":"` + bobsUSD.String() + `"}`,
			bearer, 200},
		{"deposit", depositPath(), depositBody,
			bearer, 200},
		{"webhook", "/webhook/mock", `{"type":"payment.completed"}`, "X-Sign-Mock: good\r\n", 200},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := newTestServerOver(b, func(d *Deps) {
				accounts := &answering{}
				accounts.outcome = accountsvc.Outcome{Transaction: aDeposit(account.PaymentStatusCompleted), Side: adasEUR}
				d.Accounts, d.Received = accounts, silent{}
				d.CountWebhook = func(string, string) {}
				d.Log = telemetry.NewLogger(io.Discard, slog.LevelInfo)
			})
			s.public.Handler() // puts the routes in order, as serving would
			handle := s.public.Server().Handler
			from := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 40000}
			raw := "POST " + c.path + " HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nContent-Type: application/json\r\n" +
				c.headers + "Content-Length: " + strconv.Itoa(len(c.body)) + "\r\n\r\n" + c.body
			var request fasthttp.Request
			require.NoError(b, request.Read(bufio.NewReader(strings.NewReader(raw))))
			var ctx fasthttp.RequestCtx
			b.ReportAllocs()
			for b.Loop() {
				ctx.Init(&request, from, nil)
				ctx.Response.Reset()
				handle(&ctx)
			}
			require.Equal(b, c.status, ctx.Response.StatusCode(), string(ctx.Response.Body()))
		})
	}
}
