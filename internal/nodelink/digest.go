package nodelink

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
)

// NewDocument makes a NIC's document of its binding, of which white space is
// dropped.
func NewDocument(nic, name string, revision int64, body []byte) (Document, error) {
	var b bytes.Buffer
	if err := json.Compact(&b, body); err != nil {
		return Document{}, fmt.Errorf("document of NIC %s: %w", nic, err)
	}
	d := Document{NIC: nic, Name: name, Revision: revision, Body: b.Bytes(), Digest: digest(b.Bytes())}
	return d, d.checkAllButDigest()
}

func digest(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// Sum identifies a set of documents, in whatever order they came to it: the
// exclusive or of what identifies each. The zero Sum is the empty set's.
//
// It shows accidents, not malice: who may send documents may send any.
type Sum [sha256.Size]byte

// Sum identifies the document.
func (d *Document) Sum() Sum {
	h := make([]byte, 0, 192)
	h = append(append(h, d.NIC...), 0)
	h = append(append(h, d.Name...), 0)
	h = append(strconv.AppendInt(h, d.Revision, 10), 0)
	return sha256.Sum256(append(h, d.Digest...))
}

// Toggle puts what another Sum identifies in, or takes it out again.
func (s *Sum) Toggle(other Sum) {
	for i, b := range other {
		s[i] ^= b
	}
}

// String prints it in hex, as messages have it.
func (s Sum) String() string { return hex.EncodeToString(s[:]) }

// SumOf identifies a set.
func SumOf(set []Document) Sum {
	var s Sum
	for i := range set {
		s.Toggle(set[i].Sum())
	}
	return s
}
