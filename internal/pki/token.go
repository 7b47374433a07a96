package pki

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"time"
)

// TokenLife is how long a token can be used.
const TokenLife = time.Hour

// secretSize is in octets.
const secretSize = 24

// Ticket is what is kept of a token: not its secret. It is written again when
// the token is used, so that a second use is told from a guess.
type Ticket struct {
	Node    string    `json:"node"`
	Created time.Time `json:"created"` // when the node was: not one of the same name
	By      string    `json:"by"`      // who made it
	Expires time.Time `json:"expires"`
	Used    time.Time `json:"used,omitzero"`
	From    string    `json:"from,omitempty"` // the address that used it
}

// Enrolment is what is kept of a node that has enrolled. Certificates that follow
// from another one are good no more, whenever they were made: a renewal under
// way, or a replica that lags or whose clock is ahead, must not save them.
type Enrolment struct {
	ID    string    `json:"id"` // a certificate and its renewals have it too
	Since time.Time `json:"since"`
	By    string    `json:"by"` // who made the token
}

// NewToken returns a token, NODE.SECRET.FINGERPRINT, and the hash that its
// ticket is kept under.
func (c *CA) NewToken(node string) (token, key string, err error) {
	secret := make([]byte, secretSize)
	if _, err := rand.Read(secret); err != nil {
		return "", "", fmt.Errorf("make a token: %w", err)
	}
	text := hex.EncodeToString(secret)
	return node + "." + text + "." + c.Fingerprint(), TokenKey(text), nil
}

// TokenKey is the hash of a token's secret.
func TokenKey(secret string) string { return hash([]byte(secret)) }
