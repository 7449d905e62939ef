package bank

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"hash/fnv"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// faults is what can be wrong with a payment's answers, look-ups and deliveries. The zero value is a bank without faults.
type faults struct {
	// answer is what becomes of the answer to the call that created the payment; a repeat is answered as it should be.
	answer answerFault
	// first is what the first calls for the transaction get in place of an answer. Nothing is created and nothing kept.
	first *refusal
	// stored is what the first key of the transaction gets, now and whenever it comes again. Nothing is created.
	stored *refusal
	// lookUp is what is wrong with the payment as others see it.
	lookUp lookUpFault
	// spoiled is what is wrong with the first attempts to deliver each webhook.
	spoiled []spoil
	// altered gives the last copy of each webhook another body under the same id.
	altered bool
	// account is our account as the webhooks name it, "" for not at all.
	account string
}

type answerFault int

const (
	cutAnswer     answerFault = iota + 1 // the connection ends without an answer
	slowAnswer                           // it comes after slowBy
	garbledAnswer                        // it cannot be read
	otherAnswer                          // it is about another payment
)

type lookUpFault int

const (
	lagging lookUpFault = iota + 1 // pending for lagBy behind each change
	lying                          // about another payment, the first times
)

type spoil int

const (
	anotherSecret spoil = iota + 1
	noSignature
	tenMinutesAgo
	inTenMinutes
)

const (
	slowBy = 3 * time.Second
	lagBy  = 5 * time.Second
	// firstCalls is how often scenarios refuse or lie before they do as they should.
	firstCalls = 2
	// keyLife is how long an idempotency key is kept, as at other banks.
	keyLife = 24 * time.Hour
	// otherAccount is nobody's.
	otherAccount = "00000000-0000-4000-8000-000000000001"
)

// unsettled are scenarios that leave a payment open, or its end to a person. Chaos does not draw them.
var unsettled = []string{"", "wrong_currency"}

// nameFor is the scenario of a new payment: the one that it asks for, else the one that was set for all, else one drawn from the
// seed and the payment's own transaction, so that the same payment always draws the same. Half of them draw none. The caller holds
// b.mu.
func (b *Bank) nameFor(in createRequest) string {
	switch name := in.Metadata[ScenarioKey]; {
	case name != "":
		return name
	case b.scenarioForAll != "":
		return b.scenarioForAll
	case b.chaos == 0:
		return ""
	}
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(strconv.FormatUint(b.chaos, 10) + " " + in.TransactionID)) // it never fails
	drawn := sum.Sum64()
	if drawn%2 == 0 {
		return ""
	}
	names := slices.DeleteFunc(Scenarios(), func(name string) bool { return slices.Contains(unsettled, name) })
	return names[drawn/2%uint64(len(names))]
}

// putScenario sets the scenario of all payments that ask for none: {"name"}, "" for none, or {"chaos": seed}.
func (b *Bank) putScenario(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Name  string `json:"name"`
		Chaos uint64 `json:"chaos"`
	}
	if err := decode(w, r, &in); err != nil {
		b.replyError(w, err)
		return
	}
	if _, known := scenarios[in.Name]; !known {
		b.replyError(w, unknownScenario())
		return
	}
	b.mu.Lock()
	b.scenarioForAll, b.chaos = in.Name, in.Chaos
	b.mu.Unlock()
	b.reply(w, http.StatusOK, in)
}

func unknownScenario() *refusal {
	return &refusal{http.StatusUnprocessableEntity, "unknown_scenario", "mock_scenario is one of: " + strings.Join(Scenarios(), ", ") + "."}
}

// refusedFor is the refusal that a call for a transaction gets by its scenario, and whether it is kept under the call's key. The
// caller holds b.mu.
func (b *Bank) refusedFor(script scenario, transactionID string) (no *refusal, kept bool) {
	tries := b.tries[transactionID]
	b.tries[transactionID]++
	switch {
	case script.refusal != nil:
		return script.refusal, true
	case script.first != nil && tries < firstCalls:
		return script.first, false
	case script.stored != nil && tries == 0:
		return script.stored, true
	default:
		return nil, false
	}
}

// spoilAnswer does to the answer of a create call what the scenario says, and says whether the answer is given already.
func (b *Bank) spoilAnswer(w http.ResponseWriter, r *http.Request, script scenario, got answer) bool {
	switch script.answer {
	case cutAnswer:
		panic(http.ErrAbortHandler)
	case slowAnswer:
		timer := time.NewTimer(slowBy)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		case <-b.halt:
			panic(http.ErrAbortHandler)
		}
		return false
	case garbledAnswer:
		b.replyRaw(w, got.status, got.body[:len(got.body)/2])
		return true
	case otherAnswer:
		b.replyRaw(w, got.status, bytes.Replace(got.body, []byte(`"id":"`), []byte(`"id":"other_`), 1))
		return true
	default:
		return false
	}
}

// seen is the payment as a look-up shows it. The caller holds b.mu.
func (b *Bank) seen(e *entry) paymentView {
	view := e.view()
	switch scenarios[e.Scenario].lookUp {
	case lagging:
		if e.State != StatePending && b.now().Sub(e.UpdatedAt) < lagBy {
			view.State, view.Failure, view.Moved = StatePending, nil, nil
		}
	case lying:
		if b.lies[e.ID] < firstCalls {
			b.lies[e.ID]++
			view.ID, view.TransactionID = "other_"+view.ID, otherAccount
		}
	}
	return view
}

// spoiledBy is what is wrong with this attempt at a webhook, 0 for nothing.
func (d delivery) spoiledBy() spoil {
	if n := d.attempt; n < len(d.script.spoiled) {
		return d.script.spoiled[n]
	}
	return 0
}

// bodyOf is the body of one copy of a webhook.
func (d delivery) bodyOf(i int) []byte {
	if !d.script.altered || i < d.copies-1 {
		return d.webhook.Body
	}
	var body webhookBody
	if json.Unmarshal(d.webhook.Body, &body) != nil {
		return d.webhook.Body
	}
	body.Data.Amount++
	altered, err := json.Marshal(body)
	if err != nil {
		return d.webhook.Body
	}
	return altered
}

// signing is when and by whom an attempt is signed; no signers is no signature.
func (d delivery) signing(now time.Time, signers []*standardwebhooks.Webhook) (time.Time, []*standardwebhooks.Webhook, error) {
	switch d.spoiledBy() {
	case anotherSecret:
		secret := make([]byte, 32)
		if _, err := rand.Read(secret); err != nil {
			return now, nil, err
		}
		stranger, err := standardwebhooks.NewWebhookRaw(secret)
		return now, []*standardwebhooks.Webhook{stranger}, err
	case noSignature:
		return now, nil, nil
	case tenMinutesAgo:
		return now.Add(-10 * time.Minute), signers, nil
	case inTenMinutes:
		return now.Add(10 * time.Minute), signers, nil
	default:
		return now, signers, nil
	}
}

// speakOfNothing sends a webhook of a type that the customer does not know, with a member that it does not know either.
func speakOfNothing(p *payment, now time.Time) ([]*webhook, error) {
	return one(newNotice("payment.looked_at", p.data(), now))
}
