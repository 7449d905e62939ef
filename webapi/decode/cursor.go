package decode

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"

	"github.com/google/uuid"
)

const tagBytes = 16

// Cursors seals where a page of a list ended. A cursor says nothing to the client, and is worth nothing to another
// user or on another list.
type Cursors struct{ key []byte }

// NewCursors returns cursors under a key of at least 32 bytes. Servers that share users share the key.
func NewCursors(key []byte) (Cursors, error) {
	if len(key) < 32 {
		return Cursors{}, errors.New("cursor key: shorter than 32 bytes")
	}
	return Cursors{key: append([]byte(nil), key...)}, nil
}

// Seal returns the cursor of the page that follows the row. The list names the route and whatever it is limited to,
// such as "transactions:" and the account.
func (s Cursors) Seal(userID uuid.UUID, list string, after uuid.UUID) string {
	return base64.RawURLEncoding.EncodeToString(append(after[:], s.tag(userID, list, after)...))
}

// Open returns the row after which the page begins, uuid.Nil for an empty cursor. A cursor that was not sealed for this
// user and list is errs.Malformed "invalid_cursor".
func (s Cursors) Open(userID uuid.UUID, list, cursor string) (uuid.UUID, error) {
	if cursor == "" {
		return uuid.Nil, nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(raw) != len(uuid.UUID{})+tagBytes {
		return uuid.Nil, badCursor()
	}
	after := uuid.UUID(raw[:16])
	if !hmac.Equal(raw[16:], s.tag(userID, list, after)) {
		return uuid.Nil, badCursor()
	}
	return after, nil
}

func (s Cursors) tag(userID uuid.UUID, list string, after uuid.UUID) []byte {
	mac := hmac.New(sha256.New, s.key)
	// The two ids have a fixed length, so the parts cannot be shifted against one another.
	mac.Write(userID[:])
	mac.Write(after[:])
	mac.Write([]byte(list))
	return mac.Sum(nil)[:tagBytes]
}

func badCursor() error { return inQuery("cursor", "invalid_cursor", "is not a cursor of this list") }
