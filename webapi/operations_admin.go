package webapi

import (
	"net/http"

	webaccount "florin/webapi/account"
	"florin/webapi/deadletter"
	"florin/webapi/integrity"
)

const (
	tagDeadLetters = "dead letters"
	tagIntegrity   = "integrity"
)

var listDeadLetters = Operation{
	ID: "listDeadLetters", Tag: tagDeadLetters, Summary: "List dead letters",
	Description: "Newest first, the settled ones too unless a status is asked for. The payload is shown by GET of one alone.",
	Params: struct {
		pageParams
		deadletter.ListParams
	}{},
	Answers:  []Answer{{Status: http.StatusOK, Body: deadletter.DeadLetters{}}},
	Problems: []int{http.StatusBadRequest},
}

var getDeadLetter = Operation{
	ID: "getDeadLetter", Tag: tagDeadLetters, Summary: "Read a dead letter",
	Description: "With its payload, which may hold what a provider or a client wrote.",
	Params:      idParam{}, Answers: []Answer{{Status: http.StatusOK, Body: deadletter.DeadLetter{}}},
	Problems: []int{http.StatusNotFound},
}

var redriveDeadLetter = Operation{
	ID: "redriveDeadLetter", Tag: tagDeadLetters, Summary: "Redrive a dead letter",
	Description: "What it is about is due again, for whichever server takes it up. It has its effect once. The act is in the audit.",
	Params:      idParam{}, Body: deadletter.SettleRequest{}, Answers: []Answer{{Status: http.StatusOK, Body: deadletter.DeadLetter{}}},
	Problems: []int{http.StatusNotFound, http.StatusConflict, http.StatusUnprocessableEntity},
}

var redriveDeadLetters = Operation{
	ID: "redriveDeadLetters", Tag: tagDeadLetters, Summary: "Redrive many dead letters",
	Description: "Each in a commit of its own, with an audit row. What cannot be redriven is told beside the others.",
	Body:        deadletter.RedriveManyRequest{}, Answers: []Answer{{Status: http.StatusOK, Body: deadletter.Redriven{}}},
	Problems: []int{http.StatusUnprocessableEntity},
}

var discardDeadLetter = Operation{
	ID: "discardDeadLetter", Tag: tagDeadLetters, Summary: "Discard a dead letter",
	Description: "What it is about is given up for good. The act is in the audit.",
	Params:      idParam{}, Body: deadletter.SettleRequest{}, Answers: []Answer{{Status: http.StatusOK, Body: deadletter.DeadLetter{}}},
	Problems: []int{http.StatusNotFound, http.StatusConflict, http.StatusUnprocessableEntity},
}

var freezeAccount = Operation{
	ID: "freezeAccount", Tag: tagAccounts, Summary: "Freeze an account",
	Description: "Nothing leaves the account at its holder's wish any more, and no transfer reaches it. A withdrawal that was not sent " +
		"to its provider yet is released; one that was sent completes, and confirmed deposits still credit. The act is in the audit.",
	Params: idParam{}, Body: webaccount.FreezeRequest{}, Answers: []Answer{{Status: http.StatusOK, Body: webaccount.Account{}}},
	Problems: []int{http.StatusNotFound, http.StatusUnprocessableEntity},
}

var unfreezeAccount = Operation{
	ID: "unfreezeAccount", Tag: tagAccounts, Summary: "Unfreeze an account",
	Description: "The account is in use again. The act is in the audit.",
	Params:      idParam{}, Body: webaccount.FreezeRequest{}, Answers: []Answer{{Status: http.StatusOK, Body: webaccount.Account{}}},
	Problems: []int{http.StatusNotFound, http.StatusUnprocessableEntity},
}

var getIntegrity = Operation{
	ID: "getIntegrity", Tag: tagIntegrity, Summary: "See how far the books are proved",
	Description: "The books are proved all the time: within seconds what has happened, and once a day everything. What is broken is " +
		"listed until it is seen to be right again.",
	Answers: []Answer{{Status: http.StatusOK, Body: integrity.State{}}}, Problems: []int{http.StatusBadRequest},
}
