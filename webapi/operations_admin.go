package webapi

import (
	"net/http"

	"florin/webapi/deadletter"
)

const tagDeadLetters = "dead letters"

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
