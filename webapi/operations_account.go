package webapi

import (
	"net/http"
	"time"

	webaccount "florin/webapi/account"
	"florin/webapi/wire"
)

var openAccount = Operation{
	ID: "openAccount", Tag: tagAccounts, Summary: "Open an account",
	Description: "Opens an account in one currency with nothing on it.",
	Params:      keyParam{}, Body: webaccount.OpenRequest{},
	Example:  map[string]any{"currency": "EUR", "name": "Savings"},
	Answers:  []Answer{{Status: http.StatusCreated, Body: webaccount.Account{}, Headers: createdHeaders{}}},
	Problems: []int{http.StatusConflict, http.StatusUnprocessableEntity},
}

var listAccounts = Operation{
	ID: "listAccounts", Tag: tagAccounts, Summary: "List your accounts",
	Description: "The caller's accounts, newest first.",
	Params:      pageParams{},
	Answers:     []Answer{{Status: http.StatusOK, Body: webaccount.Accounts{}}},
	Problems:    []int{http.StatusBadRequest},
}

var aggregateBalances = Operation{
	ID: "aggregateBalances", Tag: tagAccounts, Summary: "Add up your accounts",
	Description: "What the caller has in each currency. Currencies are never added to one another.",
	Answers:     []Answer{{Status: http.StatusOK, Body: webaccount.Totals{}}},
	Problems:    []int{http.StatusBadRequest},
}

var getAccount = Operation{
	ID: "getAccount", Tag: tagAccounts, Summary: "Read an account",
	Description: "An account of the caller. What belongs to somebody else is as unknown as what does not exist.",
	Params:      idParam{},
	Answers:     []Answer{{Status: http.StatusOK, Body: webaccount.Account{}}},
}

var getBalance = Operation{
	ID: "getBalance", Tag: tagAccounts, Summary: "Read a balance, now or in the past",
	Description: "Without `at`, what is posted, held and available now. With a past time, what was posted then.",
	Params: struct {
		idParam
		At time.Time `query:"at" format:"date-time"`
	}{},
	Answers:  []Answer{{Status: http.StatusOK, Body: webaccount.BalanceAt{}}},
	Problems: []int{http.StatusUnprocessableEntity},
}

var explainAccount = Operation{
	ID: "explainAccount", Tag: tagAccounts, Summary: "See what makes a balance",
	Description: "Every figure of the balance, of one moment: what is posted by the kinds of its ledger lines, what is held by the open " +
		"transactions that hold it and their next step, and the difference.",
	Params:   idParam{},
	Answers:  []Answer{{Status: http.StatusOK, Body: webaccount.Explanation{}}},
	Problems: []int{http.StatusNotFound},
}

var listTransactions = Operation{
	ID: "listTransactions", Tag: tagAccounts, Summary: "List the transactions of an account",
	Description: "Newest first, each as this account sees it.",
	Params: struct {
		idParam
		pageParams
		rangeParams
		Type   string `query:"type" enum:"deposit,withdraw,transfer,refund,refund_reversal,chargeback,chargeback_reversal,payout_return,correction,fee,unmatched"`
		Status string `query:"status" enum:"initiated,pending,completed,failed"`
	}{},
	Answers:  []Answer{{Status: http.StatusOK, Body: webaccount.TransactionList{}}},
	Problems: []int{http.StatusUnprocessableEntity},
}

var listEntries = Operation{
	ID: "listEntries", Tag: tagAccounts, Summary: "List the ledger lines of an account, or get a statement",
	Description: "Newest first. With `Accept: text/csv` the whole range comes as one file with the columns posted_at, " +
		"transaction_id, type, amount, currency, balance_after; a range of more than 25000 lines is refused.",
	Params: struct {
		idParam
		pageParams
		rangeParams
	}{},
	Answers: []Answer{
		{Status: http.StatusOK, Body: webaccount.Entries{}},
		{Status: http.StatusOK, ContentType: "text/csv"},
	},
	Problems: []int{http.StatusUnprocessableEntity},
}

var closeAccount = Operation{
	ID: "closeAccount", Tag: tagAccounts, Summary: "Close an account",
	Description: "Refused while money, holds or open payments are on it. Closing a closed account changes nothing.",
	Params:      idParam{}, Body: webaccount.CloseRequest{}, BodyOptional: true,
	Answers:  []Answer{{Status: http.StatusOK, Body: webaccount.Account{}}},
	Problems: []int{http.StatusConflict},
}

var deposit = Operation{
	ID: "deposit", Tag: tagMoney, Summary: "Deposit",
	Description: "Asks a payment provider to collect money. Nothing is credited before the provider confirms it; follow " +
		"`next_action` and then the status.",
	Params: moneyParams{}, Body: webaccount.DepositRequest{},
	Example: map[string]any{"amount": "100.00", "currency": "EUR", "money_source": "card"},
	Answers: moneyAnswers, Problems: moneyProblems,
}

var withdraw = Operation{
	ID: "withdraw", Tag: tagMoney, Summary: "Withdraw",
	Description: "Holds the amount at once and asks a payment provider to pay it out. The hold becomes a debit when the " +
		"provider confirms, and is released when it refuses.",
	Params: moneyParams{}, Body: webaccount.WithdrawRequest{},
	Example: map[string]any{"amount": "20.00", "currency": "EUR",
		"external_target": map[string]any{"bank_account_number": "DE02120300000000202051"}},
	Answers: moneyAnswers, Problems: moneyProblems,
}

var transfer = Operation{
	ID: "transfer", Tag: tagMoney, Summary: "Transfer",
	Description: "Moves money to any active account here, in the currency of either account. It is completed when it is answered.",
	Params:      moneyParams{}, Body: webaccount.TransferRequest{},
	Example: map[string]any{"amount": "12.34", "currency": "EUR",
		"destination_account_id": "0198c0de-0000-7000-8000-00000000000b"},
	Answers: moneyAnswers, Problems: moneyProblems,
}

var moneyAnswers = []Answer{
	{Status: http.StatusOK, Body: wire.Transaction{}, Headers: moneyHeaders{}, Description: "Terminal, or a dry run."},
	{Status: http.StatusAccepted, Body: wire.Transaction{}, Example: exampleTransaction, Headers: acceptedHeaders{}, Description: "Open: its status tells what becomes of it."},
}

var moneyProblems = []int{http.StatusConflict, http.StatusUnprocessableEntity}
