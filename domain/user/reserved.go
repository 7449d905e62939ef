package user

import (
	"strings"

	"florin/domain/errs"
)

// reserved are the names that people take for the service itself, in the form that skeleton gives
// them.
var reserved = skeletons(
	"admin", "administrator", "admins", "root", "superuser", "sysadmin", "sysop", "system",
	"operator", "operators", "owner", "staff", "moderator", "official", "florin", "florinadmin",
	"florinsupport", "florinteam", "support", "supportteam", "service", "customerservice", "help",
	"helpdesk", "info", "contact", "security", "abuse", "fraud", "compliance", "legal", "privacy",
	"audit", "auditor", "billing", "accounting", "accounts", "finance", "payment", "payments",
	"payout", "payouts", "treasury", "bank", "sales", "team", "api", "bot", "daemon", "server",
	"test", "guest", "anonymous", "nobody", "null", "undefined", "unknown", "deleted", "me", "self",
	"user", "users", "postmaster", "hostmaster", "webmaster", "mailerdaemon", "noreply", "donotreply",
	"www", "mail", "ftp", "dns", "status")

func skeletons(names ...string) map[string]struct{} {
	set := make(map[string]struct{}, len(names))
	for _, name := range names {
		set[skeleton(name)] = struct{}{}
	}
	return set
}

// lookAlike maps what is read as a letter to that letter.
var lookAlike = strings.NewReplacer(".", "", "_", "", "-", "", "0", "o", "1", "l", "i", "l",
	"3", "e", "4", "a", "5", "s", "7", "t", "8", "b", "rn", "m", "vv", "w")

// skeleton is the same for names that a reader takes for each other.
func skeleton(name string) string { return lookAlike.Replace(strings.ToLower(name)) }

// CheckReserved refuses the names that somebody wants to begin to use where they are the service's
// own: errs.Refused "reserved_name". An empty one is none. Whoever has such a name already keeps
// it.
func CheckReserved(username, email string) error { return Refuse(reservedFaults(username, email)) }

func reservedFaults(username, email string) (faults []errs.Field) {
	if _, taken := reserved[skeleton(username)]; taken {
		faults = append(faults, reservedFault("username"))
	}
	// No mail ever arrives below .invalid (RFC 2606). The administrator's address is there, and those
	// of deleted users.
	if strings.HasSuffix(strings.ToLower(email), ".invalid") {
		faults = append(faults, reservedFault("email"))
	}
	return faults
}

func reservedFault(name string) errs.Field {
	return errs.Field{Name: name, Code: "reserved_name", Message: "is kept for the service"}
}

// CheckNew is CheckAll for somebody who is to become a user: the names of the service are refused
// too.
func CheckNew(username, email, password string) error {
	faults := append(namesFaults(username, email), reservedFaults(username, email)...)
	return Refuse(append(faults, CheckPassword(password, username, email)...))
}
