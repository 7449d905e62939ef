package crashpoint

// The points, as docs/faults.md lists them. A point that a run names and never reaches fails that run.
const (
	// The client's path.
	RequestParsed       = "c1"
	KeyInserted         = "c2"
	TransactionInserted = "c3"
	HoldInserted        = "c4"
	EventInserted       = "c5"
	RequestCommitted    = "c6"
	ReplyWritten        = "c7"

	// The path to the provider.
	BeforeProviderCall     = "p1"
	ProviderCallUnanswered = "p2"
	ProviderCallAnswered   = "p3"
	ProviderStepOpen       = "p4"
	ProviderStepCommitted  = "p5"
	ProviderRetryArmed     = "p6"

	// The provider's webhook.
	WebhookVerified      = "w1"
	WebhookInboxRow      = "w2"
	WebhookEffectRow     = "w3"
	WebhookEntries       = "w4"
	WebhookBalances      = "w5"
	WebhookEventRow      = "w6"
	WebhookCommitted     = "w7"
	WebhookAnswered      = "w8"
	WebhookStoredAlone   = "f1"
	WebhookClaimed       = "f2"
	WebhookClaimedEffect = "f3"

	// The relay and its subscribers.
	RelayLeased          = "r1"
	RelayPositionsSet    = "r2"
	RelayCommitted       = "r3"
	SubscriberRead       = "k1"
	SubscriberDelivered  = "k2"
	SubscriberCursorMove = "k3"

	// The reconciler and the expiry.
	ReconcilerAnswered  = "e1"
	ReconcilerStepOpen  = "e2"
	ReconcilerCommitted = "e3"

	// The process itself.
	MigrationStep     = "m1"
	MigrationRecorded = "m2"
	TerminationSeen   = "s1"
	DrainEnded        = "s2"
)

// All is every point.
var All = []string{
	RequestParsed, KeyInserted, TransactionInserted, HoldInserted, EventInserted, RequestCommitted, ReplyWritten,
	BeforeProviderCall, ProviderCallUnanswered, ProviderCallAnswered, ProviderStepOpen, ProviderStepCommitted, ProviderRetryArmed,
	WebhookVerified, WebhookInboxRow, WebhookEffectRow, WebhookEntries, WebhookBalances, WebhookEventRow, WebhookCommitted,
	WebhookAnswered, WebhookStoredAlone, WebhookClaimed, WebhookClaimedEffect,
	RelayLeased, RelayPositionsSet, RelayCommitted, SubscriberRead, SubscriberDelivered, SubscriberCursorMove,
	ReconcilerAnswered, ReconcilerStepOpen, ReconcilerCommitted,
	MigrationStep, MigrationRecorded, TerminationSeen, DrainEnded,
}
