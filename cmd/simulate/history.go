package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/uuid"

	"florin/domain/account"
	"florin/domain/currency"
	"florin/domain/errs"
	"florin/domain/fx"
	"florin/infra/database"
	"florin/infra/database/databasetest/oracle"
	"florin/infra/fx/fixed"
	accountsvc "florin/service/account"
	"florin/service/relay"
	"florin/service/sweep"
)

// steps is how long a history is before its end.
const steps = 70

// clock is a time that moves only when it is told to, and a microsecond whenever it is read, so that no two moments are the same.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(time.Microsecond)
	return c.at
}

func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// server is the program's payment flow as one process has it. It is thrown away where the process dies.
type server struct {
	ledger  *mortal
	service *accountsvc.Service
	handler accountsvc.PaymentEventHandler
	sweep   *sweep.Sweep
	relay   *relay.Relay
}

// simulation is one history: clients, servers one after the other, a bank, and one database.
type simulation struct {
	random *rand.Rand
	clock  *clock
	db     *database.DB
	bank   *bank
	server *server
	calm   bool

	users      []uuid.UUID
	accounts   []*oracle.Account
	owners     map[*oracle.Account]uuid.UUID
	operations []*oracle.Operation
	trace      []string
	findings   []string
	deaths     int
	days       int
}

// simulate runs the history of a seed and says what was wrong with it.
func simulate(ctx context.Context, seed uint64, folder string, migrated []byte) (_ *simulation, err error) {
	path := filepath.Join(folder, fmt.Sprintf("%d.db", seed))
	if err := os.WriteFile(path, migrated, 0o600); err != nil {
		return nil, err
	}
	defer func() {
		for _, suffix := range []string{"", "-wal", "-shm"} {
			if removeErr := os.Remove(path + suffix); !errors.Is(removeErr, os.ErrNotExist) {
				err = errors.Join(err, removeErr)
			}
		}
	}()
	random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // it must be the same each time
	s := &simulation{random: random, clock: &clock{at: time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)}, owners: map[*oracle.Account]uuid.UUID{}}
	if s.db, err = open(ctx, path); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.db.Close()) }()
	s.bank = newBank(random, s.clock.now)
	s.boot()
	defer func() { s.bury() }()
	if err := s.people(ctx); err != nil {
		return nil, err
	}
	for range steps {
		s.clock.forward(time.Duration(random.IntN(1500)) * time.Millisecond)
		s.note("%s", s.step(ctx))
		if s.server.ledger.dead.Load() {
			s.note("the server has died")
			s.deaths++
			s.bury()
			s.boot()
		}
	}
	return s, s.end(ctx)
}

// boot starts a new server on the same store.
func (s *simulation) boot() {
	ledger := &mortal{Ledger: database.NewLedger(s.db), random: s.random, calm: &s.calm}
	s.bank.die = func() { ledger.dead.Store(true) }
	quiet := slog.New(slog.DiscardHandler)
	log := database.NewLog(s.db, s.clock.now)
	leases := database.NewLeases(s.db, s.clock.now)
	service := accountsvc.NewService(accountsvc.ServiceDeps{
		Ledger: ledger, Books: database.NewBooks(s.db), EventBus: database.NewBus(nil),
		Providers: accountsvc.Providers{Default: provider, ByName: map[string]account.PaymentProvider{provider: s.bank}},
		Rates:     fx.NewGuard(fixed.New(), 0, s.clock.now), Clock: s.clock.now, Log: quiet,
		Limits: accountsvc.Limits{OpenDeposits: 1_000_000},
	})
	s.server = &server{
		ledger: ledger, service: service, handler: accountsvc.NewPaymentEventHandler(service),
		sweep: sweep.New(sweep.Config{Due: database.NewDue(s.db), Payments: service, Clock: s.clock.now, Log: quiet, Batch: 8, Parallel: 1}),
		relay: relay.New(log, leases, relay.Settings{Holder: fmt.Sprintf("server %d", s.deaths), Now: s.clock.now, LeaseTTL: 3 * time.Second, Logger: quiet}, nil),
	}
}

// bury waits for what the server has still under way.
func (s *simulation) bury() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.server.service.Close(ctx); err != nil {
		s.find("a server does not end: %v", err)
	}
}

// people makes two users with three accounts each.
func (s *simulation) people(ctx context.Context) error {
	for i := range 2 {
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		now := s.clock.now()
		err = s.db.Writer().WithContext(ctx).Exec(`INSERT INTO users (id, username, email, password_hash, created_at, updated_at) VALUES (?, ?, ?, 'x', ?, ?)`,
			id, fmt.Sprintf("user%d", i), fmt.Sprintf("user%d@example.org", i), now, now).Error
		if err != nil {
			return err
		}
		s.users = append(s.users, id)
		for _, code := range []string{"EUR", "EUR", "USD"} {
			accountID, err := uuid.NewV7()
			if err != nil {
				return err
			}
			err = database.NewLedger(s.db).Do(ctx, account.Needs{}, func(_ context.Context, u account.UnitOfWork) error {
				a, err := account.New(accountID, id, "main", currency.MustParse(code), now)
				if err != nil {
					return err
				}
				u.AddAccount(a)
				return nil
			})
			if err != nil {
				return err
			}
			a := &oracle.Account{ID: accountID.String(), Currency: code}
			s.accounts, s.owners[a] = append(s.accounts, a), id
		}
	}
	return nil
}

// step does one thing that the dice choose, and says what.
func (s *simulation) step(ctx context.Context) string {
	switch n := s.random.IntN(100); {
	case n < 32:
		return s.ask(ctx, s.draw())
	case n < 42:
		return s.again(ctx)
	case n < 58:
		return s.bank.move()
	case n < 80:
		return s.deliver(ctx)
	case n < 88:
		s.clock.forward(time.Duration(s.random.IntN(20)) * time.Second)
		n, err := s.server.sweep.RunOnce(ctx)
		return fmt.Sprintf("the sweep takes %d up: %v", n, err != nil)
	case n < 92:
		_, err := s.server.relay.RunOnce(ctx)
		return fmt.Sprintf("the relay runs: %v", err != nil)
	case n < 95:
		s.server.ledger.dead.Store(true)
		return "the server is killed"
	case n < 99:
		s.clock.forward(time.Duration(s.random.IntN(120)) * time.Second)
		return "time passes"
	case s.days == 2: // after a third, an event that waits for another is a person's to decide
		return "nothing happens"
	default:
		s.days++
		s.clock.forward(25 * time.Hour)
		return "a day passes"
	}
}

func (s *simulation) draw() *oracle.Operation {
	o := &oracle.Operation{From: s.accounts[s.random.IntN(len(s.accounts))], Amount: 1 + s.random.Int64N(100_00)}
	switch n := s.random.IntN(10); {
	case n < 5:
		o.Kind, o.Amount = oracle.Deposit, o.Amount*2
	case n < 7:
		o.Kind = oracle.Withdraw
	default:
		o.Kind = oracle.Transfer
		for o.To == nil || o.To == o.From {
			o.To = s.accounts[s.random.IntN(len(s.accounts))]
		}
	}
	o.ID = fmt.Sprintf("op-%d", len(s.operations)+1)
	o.Key = "key-" + o.ID
	s.operations = append(s.operations, o)
	return o
}

// again repeats an operation: one that is unknown, or one that is known, which must give the same transaction.
func (s *simulation) again(ctx context.Context) string {
	if len(s.operations) == 0 {
		return "nothing to repeat"
	}
	return s.ask(ctx, s.operations[s.random.IntN(len(s.operations))])
}

// refusals are the codes of a definite no that a history can run into.
var refusals = map[string]bool{"insufficient_funds": true, "account_in_debt": true, "amount_too_small": true}

// ask is a client's request, and what the client learns by it.
func (s *simulation) ask(ctx context.Context, o *oracle.Operation) string {
	o.Tries++
	transaction, err := s.request(ctx, o)
	switch {
	case s.server.ledger.dead.Load():
		err = errDead // the connection has broken, whatever the service meant to say
	case err == nil && o.Outcome == oracle.Acked && transaction != o.Transaction:
		s.find("doubled: a repeat got transaction %s: %s", transaction, o)
	case err == nil:
		o.Outcome, o.Transaction = oracle.Acked, transaction
	}
	code := ""
	if err != nil {
		code = errs.CodeOf(err)
		switch kind := errs.KindOf(err); {
		case kind == errs.Unavailable, kind == errs.Timeout, code == "idempotency_key_in_flight":
			o.WasUnknown = true
			if o.Outcome == oracle.Refused { // then; what became of the repeat is not known
				o.Outcome = oracle.Unknown
			}
		case o.Outcome == oracle.Acked:
			s.find("a repeat of an accepted operation was refused: %s: %v", o, err)
		case refusals[code]:
			o.Outcome = oracle.Refused
		default:
			s.find("unexplained answer: %s: %v", o, err)
		}
	}
	return fmt.Sprintf("%s %s of %d: %d %s", o.Kind, o.ID, o.Amount, o.Outcome, code)
}

// stored is what a client reads of an answer.
type stored struct {
	ID string `json:"id"`
}

func (s *simulation) request(ctx context.Context, o *oracle.Operation) (transaction string, err error) {
	c := accountsvc.Call{UserID: s.owners[o.From], AccountID: uuid.MustParse(o.From.ID), Amount: fmt.Sprintf("%d.%02d", o.Amount/100, o.Amount%100),
		Currency: o.From.Currency, Metadata: map[string]string{"op": o.ID},
		Key: &accountsvc.Key{Value: o.Key, Fingerprint: o.ID, Render: func(out *accountsvc.Outcome) account.Answer {
			body, err := json.Marshal(stored{out.Transaction.ID.String()})
			if err != nil {
				panic(err)
			}
			return account.Answer{Status: 202, Body: body}
		}}}
	var out accountsvc.Outcome
	switch o.Kind {
	case oracle.Deposit:
		out, err = s.server.service.Deposit(ctx, accountsvc.DepositRequest{Call: c, MoneySource: "card"})
	case oracle.Withdraw:
		out, err = s.server.service.Withdraw(ctx, accountsvc.WithdrawRequest{Call: c, Target: account.ExternalTarget{BankAccountNumber: "DE89370400440532013000"}})
	default:
		out, err = s.server.service.Transfer(ctx, accountsvc.TransferRequest{Call: c, DestinationID: uuid.MustParse(o.To.ID)})
	}
	switch {
	case err != nil:
		return "", err
	case out.Answer != nil:
		var answer stored
		err := json.Unmarshal(out.Answer.Body, &answer)
		return answer.ID, err
	default:
		return out.Transaction.ID.String(), nil
	}
}

// deliver sends one of the bank's webhooks, not always the next one, and not always once; some are lost.
func (s *simulation) deliver(ctx context.Context) string {
	if len(s.bank.outbox) == 0 {
		return "no webhook"
	}
	i := 0
	if s.random.IntN(3) == 0 {
		i = s.random.IntN(len(s.bank.outbox))
	}
	n := s.bank.outbox[i]
	if s.random.IntN(12) == 0 && !n.matters {
		s.drop(i)
		return "lost: " + string(n.event.Kind)
	}
	times := 1
	if s.random.IntN(6) == 0 {
		times = 3
	}
	taken := true
	for range times {
		taken = s.server.handler.HandlePaymentReceived(ctx, n.event) == nil && !s.server.ledger.dead.Load() && taken
	}
	if taken && s.random.IntN(8) > 0 { // otherwise it comes again
		s.drop(i)
	}
	return fmt.Sprintf("%s %s, %d times: %v", n.event.Kind, n.event.PaymentID, times, taken)
}

func (s *simulation) drop(i int) {
	s.bank.outbox = append(s.bank.outbox[:i:i], s.bank.outbox[i+1:]...)
}

func (s *simulation) note(format string, args ...any) {
	s.trace = append(s.trace, s.clock.at.Format("15:04:05 ")+fmt.Sprintf(format, args...))
}

func (s *simulation) find(format string, args ...any) {
	s.findings = append(s.findings, fmt.Sprintf(format, args...))
}
