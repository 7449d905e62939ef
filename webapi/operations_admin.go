package webapi

import (
	"net/http"

	webaccount "florin/webapi/account"
	"florin/webapi/deadletter"
	"florin/webapi/integrity"
	"florin/webapi/reconciliation"
	"florin/webapi/review"
	webuser "florin/webapi/user"
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

const tagReviews = "reviews"

var listReviews = Operation{
	ID: "listReviews", Tag: tagReviews, Summary: "List reviews",
	Description: "What a person must decide, newest first; the settled ones too unless a status is asked for.",
	Params: struct {
		pageParams
		review.ListParams
	}{},
	Answers:  []Answer{{Status: http.StatusOK, Body: review.Reviews{}}},
	Problems: []int{http.StatusBadRequest},
}

var getReview = Operation{
	ID: "getReview", Tag: tagReviews, Summary: "Read a review",
	Description: "With the money that waits for the decision, and the outcomes that may be decided.",
	Params:      idParam{}, Answers: []Answer{{Status: http.StatusOK, Body: review.Review{}}},
	Problems: []int{http.StatusNotFound},
}

var settleReview = Operation{
	ID: "settleReview", Tag: tagReviews, Summary: "Settle a review",
	Description: "Books the outcome with the review and an audit row in one commit, once.",
	Params:      idParam{}, Body: review.SettleRequest{}, Answers: []Answer{{Status: http.StatusOK, Body: review.Review{}}},
	Problems: []int{http.StatusNotFound, http.StatusConflict, http.StatusUnprocessableEntity},
}

const tagReconciliation = "reconciliation"

var getReconciliation = Operation{
	ID: "getReconciliation", Tag: tagReconciliation, Summary: "Read how the books compare with the providers",
	Description: "How far each provider's events are applied, the last comparisons with their own lists, and the open differences, newest first.",
	Params:      pageParams{}, Answers: []Answer{{Status: http.StatusOK, Body: reconciliation.Reconciliation{}}},
	Problems: []int{http.StatusBadRequest},
}

var requestReconciliation = Operation{
	ID: "requestReconciliation", Tag: tagReconciliation, Summary: "Compare now",
	Description: "A running server lists the providers' events and compares the books with their own lists, soon. The act is in the audit.",
	Body:        reconciliation.Request{}, Answers: []Answer{{Status: http.StatusAccepted, Body: reconciliation.Requested{}}},
	Problems: []int{http.StatusUnprocessableEntity},
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

var inspectUser = Operation{
	ID: "inspectUser", Tag: tagUsers, Summary: "Look at a user",
	Description: "A POST, because who looked and why is in the audit.",
	Params:      idParam{}, Body: webuser.InspectRequest{},
	Answers:  []Answer{{Status: http.StatusOK, Body: webuser.Response{}}},
	Problems: []int{http.StatusNotFound, http.StatusUnprocessableEntity},
}

var eraseUser = Operation{
	ID: "eraseUser", Tag: tagUsers, Summary: "Delete a user",
	Description: "As the user would themselves: refused while money is on the accounts, anonymised, " +
		"the books stay. The act is in the audit.",
	Params: idParam{}, Body: webuser.EraseRequest{}, Answers: []Answer{{Status: http.StatusNoContent}},
	Problems: []int{http.StatusNotFound, http.StatusConflict, http.StatusUnprocessableEntity},
}

var getIntegrity = Operation{
	ID: "getIntegrity", Tag: tagIntegrity, Summary: "See how far the books are proved",
	Description: "The books are proved all the time: within seconds what has happened, and once a day everything. What is broken is " +
		"listed until it is seen to be right again.",
	Answers: []Answer{{Status: http.StatusOK, Body: integrity.State{}}}, Problems: []int{http.StatusBadRequest},
}
