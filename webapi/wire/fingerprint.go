package wire

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
)

// Fingerprint says which request an Idempotency-Key stands for: method, route, the ids in the path, and the body
// as it was decoded. Two bodies that differ in the order of members, in white space, or in an amount as a string
// or as a number are the same request; Prefer and the query are no part of it.
func Fingerprint(c *fiber.Ctx, request any) (string, error) {
	body, err := MarshalJSON(request)
	if err != nil {
		return "", err
	}
	// Most requests fit, and then only the text is allocated.
	parts := make([]byte, 0, 1024)
	parts = appendPart(parts, c.Method())
	parts = appendPart(parts, c.Route().Path)
	for _, name := range c.Route().Params {
		parts = appendPart(parts, canonical(c.Params(name)))
	}
	parts = appendPart(parts, body)
	sum := sha256.Sum256(parts)
	return hex.EncodeToString(sum[:]), nil
}

// appendPart puts the length first, so that no two lists of parts give the same bytes.
func appendPart[T string | []byte](parts []byte, part T) []byte {
	parts = binary.BigEndian.AppendUint64(parts, uint64(len(part)))
	return append(parts, part...)
}

// canonical writes an id in one way, so that a request is the same in whatever case its ids are.
func canonical(parameter string) string {
	if id, err := uuid.Parse(parameter); err == nil && len(parameter) == len(uuid.Nil.String()) {
		return id.String()
	}
	return parameter
}
