package wire

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"

	"github.com/gofiber/fiber/v2"
)

// Fingerprint says which request an Idempotency-Key stands for: method, route, the ids in the path, and the body
// as it was decoded. Two bodies that differ in the order of members, in white space, or in an amount as a string
// or as a number are the same request; Prefer and the query are no part of it.
func Fingerprint(c *fiber.Ctx, request any) (string, error) {
	body, err := MarshalJSON(request)
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	writePart(sum, c.Method())
	writePart(sum, c.Route().Path)
	for _, name := range c.Route().Params {
		writePart(sum, c.Params(name))
	}
	writePart(sum, string(body))
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// writePart writes the length first, so that no two lists of parts give the same bytes. A hash never fails.
func writePart(sum hash.Hash, part string) {
	var length [8]byte
	binary.BigEndian.PutUint64(length[:], uint64(len(part)))
	sum.Write(length[:])
	sum.Write([]byte(part))
}
