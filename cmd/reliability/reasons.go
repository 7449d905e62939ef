package main

// reasons say why a row of the catalogue has no test. One that has got a test must not be here.
var reasons = map[string]string{
	"S2":  "part of the matrix of S1",
	"S4":  "by reading: the repositories write their conditions as text, the owner among them",
	"S5":  "the answer is kept under the hash of user and key: F8",
	"S15": "there is no reset of passwords",
	"S19": "not built yet: a cool-off of new payout destinations",
	"S21": "answers are structs of their own (webapi/wire); no test goes over all of them",
	"S23": "fuzzed by make fuzz; the bounds are F17, F18 and F56",
	"S24": "tested with the codes invalid_limit, invalid_cursor and invalid_range, without a number",
	"S33": "there are no daily limits",
	"S40": "the triggers are I14; the role without DDL is a document's advice",
	"S52": "the audit is append-only (I14); its rows are tested with the commands and routes that write them, without a number",
	"S54": "by reading: all come of crypto/rand",
	"S55": "by reading: every sort and filter is from an allow-list, and every value is bound",
	"S56": "make race runs everything under the detector; leaks are looked for at the end of every whole-program test",
}
