package user

import (
	"bufio"
	_ "embed"
	"strings"
	"unicode/utf8"

	"florin/domain/errs"
)

// Bounds of what a person may choose, in characters.
const (
	MinUsername = 3
	MaxUsername = 32
	MaxEmail    = 254
	MinPassword = 8
	MaxPassword = 128
)

// The most common passwords of published leaks that are long enough to be chosen here, one a line, lower case. The order of
// frequency follows the list published with zxcvbn (MIT licence).
//
//go:embed common_passwords.txt
var commonPasswordLines string

var commonPasswords = readLines(commonPasswordLines)

func readLines(text string) map[string]struct{} {
	lines := make(map[string]struct{}, 2048)
	for scan := bufio.NewScanner(strings.NewReader(text)); scan.Scan(); {
		lines[scan.Text()] = struct{}{}
	}
	return lines
}

// Check returns nil or one *errs.Error (Refused) that names each of the two fields at fault.
func Check(username, email string) error {
	return Refuse(namesFaults(username, email))
}

// CheckAll is Check with the password that the person wants to use.
func CheckAll(username, email, password string) error {
	return Refuse(append(namesFaults(username, email), CheckPassword(password, username, email)...))
}

func namesFaults(username, email string) (faults []errs.Field) {
	if !validUsername(username) {
		faults = append(faults, errs.Field{Name: "username", Code: "invalid_username",
			Message: "3 to 32 letters, digits, dots, underscores or hyphens"})
	}
	if !validEmail(email) {
		faults = append(faults, errs.Field{Name: "email", Code: "invalid_email", Message: "not an email address"})
	}
	return faults
}

// CheckPassword returns the fault of a password that somebody wants to use, or none. The names are the person's
// username and email: a password that is one of them is refused.
func CheckPassword(password string, names ...string) []errs.Field {
	fault := func(message string) []errs.Field {
		return []errs.Field{{Name: "password", Code: "weak_password", Message: message}}
	}
	length := utf8.RuneCountInString(password)
	switch {
	case !utf8.ValidString(password):
		return fault("not valid UTF-8")
	case length < MinPassword:
		return fault("at least 8 characters")
	case length > MaxPassword:
		return fault("at most 128 characters")
	}
	lower := strings.ToLower(password)
	if _, common := commonPasswords[lower]; common {
		return fault("one of the most common passwords")
	}
	if strings.Count(password, password[:1]) == len(password) {
		return fault("one character only")
	}
	for _, name := range names {
		if name != "" && lower == strings.ToLower(name) {
			return fault("the same as the username or the email")
		}
	}
	return nil
}

// Refuse makes one error of the faults of a request, nil of none. One fault gives the error its own code.
func Refuse(faults []errs.Field) error {
	switch len(faults) {
	case 0:
		return nil
	case 1:
		return &errs.Error{Kind: errs.Refused, Code: faults[0].Code, Message: faults[0].Name + ": " + faults[0].Message, Fields: faults}
	}
	return &errs.Error{Kind: errs.Refused, Code: "invalid_fields", Message: "several fields are refused", Fields: faults}
}

func validUsername(name string) bool {
	if len(name) < MinUsername || len(name) > MaxUsername {
		return false
	}
	for i := range len(name) {
		if !isWord(name[i]) && !strings.ContainsRune("._-", rune(name[i])) {
			return false
		}
	}
	return true
}

// validEmail takes what mail servers take in practice: ASCII, a local part of 64, labels of 63, no quoting. Proof
// of an address is a mail that arrives, not a grammar.
func validEmail(email string) bool {
	local, host, found := strings.Cut(email, "@")
	if !found || len(email) > MaxEmail || len(local) == 0 || len(local) > 64 {
		return false
	}
	for i := range len(local) {
		if !isWord(local[i]) && !strings.ContainsRune("!#$%&'*+/=?^_`{|}~.-", rune(local[i])) {
			return false
		}
	}
	if strings.HasPrefix(local, ".") || strings.HasSuffix(local, ".") || strings.Contains(local, "..") {
		return false
	}
	labels := strings.Split(host, ".")
	if len(labels) < 2 {
		return false
	}
	for _, label := range labels {
		if !validLabel(label) {
			return false
		}
	}
	return true
}

func validLabel(label string) bool {
	if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
		return false
	}
	for i := range len(label) {
		if !isWord(label[i]) && label[i] != '-' {
			return false
		}
	}
	return true
}

func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}
