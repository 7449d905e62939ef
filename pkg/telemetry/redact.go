package telemetry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
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

// keysKnown bounds the keys whose looks are remembered. The program's own records have a few dozen.
const keysKnown = 1024

// knownKeys remembers how keys look: the same few stand in every record.
var knownKeys struct {
	sync.RWMutex
	secret map[string]bool
}

func looksSecret(key string) bool {
	knownKeys.RLock()
	secret, known := knownKeys.secret[key]
	knownKeys.RUnlock()
	if known {
		return secret
	}
	secret = spellsSecret(key)
	knownKeys.Lock()
	defer knownKeys.Unlock()
	if knownKeys.secret == nil {
		knownKeys.secret = make(map[string]bool)
	}
	if len(knownKeys.secret) < keysKnown {
		knownKeys.secret[strings.Clone(key)] = secret
	}
	return secret
}

func spellsSecret(key string) bool {
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

// secretText is a shape of secret that betrays itself in running text.
type secretText struct {
	// signs are what every such text has one of, in lower case: most records have none, and are spared the search.
	signs []string
	shape *regexp.Regexp
	// replacement keeps the first group.
	replacement string
}

// secretTexts are the credentials of a header, tokens, keys of providers, the password of a URL, and what is named a secret.
var secretTexts = []secretText{
	{[]string{"bearer", "basic"}, regexp.MustCompile(`(?i)\b((?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}`), "${1}" + masked},
	{[]string{"eyj"}, regexp.MustCompile(`()\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*`), "${1}" + masked},
	{[]string{"whsec_", "k_live_", "k_test_"}, regexp.MustCompile(`\b(whsec_|[sr]k_(?:live|test)_)[A-Za-z0-9+/=_-]{8,}`), "${1}" + masked},
	{[]string{"://"}, regexp.MustCompile(`\b([a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s/@]+@`), "${1}" + masked + "@"},
	{[]string{"passw", "secret", "api_key", "_token"}, regexp.MustCompile(
		`(?i)\b((?:password|passwd|secret|api_key|access_token|refresh_token)["']?\s*[=:]\s*["']?)[^\s"'&,;]+`), "${1}" + masked},
}

func maskText(text string) string {
	if len(text) < 8 { // no shape is shorter
		return text
	}
	lower, ascii := lowered(text)
	for _, s := range secretTexts {
		if !ascii || hasAny(lower, s.signs) {
			text = s.shape.ReplaceAllString(text, s.replacement)
		}
	}
	return text
}

// lowered is the text in lower case, and whether that is all that the shapes take for the same letters: beyond ASCII they
// know more of them.
func lowered(text string) (lower string, ascii bool) {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return "", false
		}
	}
	return strings.ToLower(text), true
}

func hasAny(text string, signs []string) bool {
	for _, sign := range signs {
		if strings.Contains(text, sign) {
			return true
		}
	}
	return false
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
		text := a.Value.String()
		if shown := maskText(text); shown != text {
			return slog.String(a.Key, shown)
		}
		return a
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
