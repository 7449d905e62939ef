package stripe

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"florin/domain/account"
)

const (
	signatureHeader = "Stripe-Signature"
	webhookWindow   = 300 // seconds that a webhook's time may differ from our clock, on either side
	maxSignatures   = 16  // that are looked at in one header
)

// SignsWebhook implements account.PaymentProvider.
func (c *Client) SignsWebhook(header http.Header) bool {
	return len(header.Values(signatureHeader)) > 0
}

// authenticate checks time and signature of the raw bytes and returns the time of the attempt. It accepts nothing that
// Stripe's own library does not, and less: not a time in the future, not two times, not an endless list of signatures.
func (c *Client) authenticate(raw []byte, header http.Header) (time.Time, error) {
	values := header.Values(signatureHeader)
	if len(values) != 1 {
		return time.Time{}, errors.New("not one signature header")
	}
	stamp, signatures, err := readSignatures(values[0])
	if err != nil {
		return time.Time{}, err
	}
	if !c.signed(stamp, raw, signatures) {
		return time.Time{}, errors.New("no signature matches")
	}
	if now := c.now().Unix(); stamp < now-webhookWindow || stamp > now+webhookWindow {
		return time.Time{}, account.ErrWebhookOutOfTime
	}
	return time.Unix(stamp, 0).UTC(), nil
}

func (c *Client) signed(stamp int64, raw []byte, signatures [][]byte) bool {
	for _, secret := range *c.secrets.Load() {
		want := signatureOf(stamp, raw, secret)
		for _, have := range signatures {
			if hmac.Equal(want, have) {
				return true
			}
		}
	}
	return false
}

func signatureOf(stamp int64, raw []byte, secret string) []byte {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(strconv.AppendInt(nil, stamp, 10))
	mac.Write([]byte{'.'})
	mac.Write(raw)
	return mac.Sum(nil)
}

// readSignatures reads "t=1700000000,v1=hex,v1=hex,v0=hex": one time, and the first sixteen signatures of the scheme v1.
func readSignatures(header string) (stamp int64, signatures [][]byte, err error) {
	timed := false
	tried := 0
	for rest, more := header, true; more; {
		var pair string
		pair, rest, more = strings.Cut(rest, ",")
		name, value, found := strings.Cut(pair, "=")
		if !found || strings.Contains(value, "=") {
			return 0, nil, errors.New("the header is not a list of pairs")
		}
		switch {
		case name == "t" && timed:
			return 0, nil, errors.New("two timestamps")
		case name == "t":
			if stamp, err = strconv.ParseInt(value, 10, 64); err != nil {
				return 0, nil, errors.New("the timestamp is not a number of seconds")
			}
			timed = true
		case name == "v1" && tried < maxSignatures:
			tried++
			// One that is no hexadecimal number matches nothing; the others may.
			if signature, hexErr := hex.DecodeString(value); hexErr == nil && len(signature) == sha256.Size {
				signatures = append(signatures, signature)
			}
		}
	}
	if !timed || len(signatures) == 0 {
		return 0, nil, errors.New("no timestamp or no signature")
	}
	return stamp, signatures, nil
}
