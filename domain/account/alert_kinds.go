package account

// AlertKinds are the kinds of things that a person must look at. Each is counted from 0 on, so that its first one is
// seen as an increase.
func AlertKinds() []string {
	return []string{"dead_letter", "webhook_conflict", "webhook_clock", "webhook_secret", "provider_circuit_open",
		"card_testing", "data_key", "integrity", "unusable_event", "taken_again",
		ReviewDrift, ReviewReceivable, "surplus", "second_capture", "other_currency",
		"late_success_closed_account", "dispute", "failed_after_completed", "completed_again", "refund_above_captured",
		"dispute_above_captured", "return_above_paid", "dispute_differs", "refund_of_nothing", "unknown_payment",
		"out_of_order", "foreign_event", "foreign_account", "unreadable_event", "unreadable_amount", "return_failed"}
}
