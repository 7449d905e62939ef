package telemetry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"time"
)

// masked stands where a secret was.
const masked = "[redacted]"

// secretWords make a key look secret, whatever stands around them; case, '-', '_' and '.' do not count.
var secretWords = []string{
	"password", "passwd", "passphrase", "secret", "token", "authorization", "signature", "apikey", "privatekey", "signingkey",
	"accountnumber", "routingnumber", "cardnumber", "iban", "walletaddress", "externaltarget", "cookie", "credential",
	"databaseurl", "eventbusurl", "smtpurl",
}

// secretKeys are secret only as a whole key: inside longer ones they mean something else.
var secretKeys = map[string]bool{"pan": true, "cvc": true, "cvv": true, "dsn": true, "pwd": true}

var plainKey = strings.NewReplacer("-", "", "_", "", ".", "", " ", "")

func looksSecret(key string) bool {
	key = plainKey.Replace(strings.ToLower(key))
	if secretKeys[key] {
		return true
	}
	for _, word := range secretWords {
		if strings.Contains(key, word) {
			return true
		}
	}
	return false
}

// secretTexts are the shapes of secrets that betray themselves in running text: credentials of a header, tokens, keys of
// providers, the password of a URL. The first group is kept.
var secretTexts = []*regexp.Regexp{
	regexp.MustCompile(`(?i)\b((?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}`),
	regexp.MustCompile(`()\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*`),
	regexp.MustCompile(`\b(whsec_|[sr]k_(?:live|test)_)[A-Za-z0-9+/=_-]{8,}`),
	regexp.MustCompile(`\b([a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s/@]+@`),
	regexp.MustCompile(`(?i)\b((?:password|passwd|secret|api_key|access_token|refresh_token)["']?\s*[=:]\s*["']?)[^\s"'&,;]+`),
}

func maskText(text string) string {
	if !worthSearching(text) {
		return text
	}
	for i, shape := range secretTexts {
		replacement := "${1}" + masked
		if i == 3 {
			replacement += "@"
		}
		text = shape.ReplaceAllString(text, replacement)
	}
	return text
}

// worthSearching spares most records five searches: every shape needs one of these.
func worthSearching(text string) bool {
	return len(text) >= 8 && strings.ContainsAny(text, ":= _.")
}

// redact is slog's ReplaceAttr: it sees every attribute that is not a group, with the groups around it.
func redact(groups []string, a slog.Attr) slog.Attr {
	if looksSecret(a.Key) {
		return slog.String(a.Key, masked)
	}
	for _, group := range groups {
		if looksSecret(group) {
			return slog.String(a.Key, masked)
		}
	}
	switch a.Value.Kind() {
	case slog.KindString:
		return slog.String(a.Key, maskText(a.Value.String()))
	case slog.KindAny:
		return slog.Attr{Key: a.Key, Value: maskAny(a.Value.Any())}
	default:
		return a
	}
}

// maskAny masks inside of what the JSON handler would render whole.
func maskAny(value any) slog.Value {
	switch v := value.(type) {
	case nil:
		return slog.AnyValue(nil)
	case error:
		return slog.StringValue(maskText(v.Error()))
	case *slog.Source, slog.Level, time.Time:
		return slog.AnyValue(v)
	case fmt.Stringer:
		return slog.StringValue(maskText(v.String()))
	}
	encoded, err := json.Marshal(value)
	if err != nil {
		return slog.StringValue("[not shown: " + maskText(err.Error()) + "]")
	}
	var decoded any
	decoder := json.NewDecoder(bytes.NewReader(encoded))
	decoder.UseNumber() // a number of minor units must not pass through a float
	if err := decoder.Decode(&decoded); err != nil {
		return slog.StringValue("[not shown]")
	}
	return slog.AnyValue(maskTree(decoded))
}

func maskTree(node any) any {
	switch n := node.(type) {
	case string:
		return maskText(n)
	case []any:
		for i := range n {
			n[i] = maskTree(n[i])
		}
	case map[string]any:
		for key := range n {
			if looksSecret(key) {
				n[key] = masked
			} else {
				n[key] = maskTree(n[key])
			}
		}
	}
	return node
}
