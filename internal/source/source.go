// Package source is what every source of bindings says, in one shape, and the
// form in which its last good versions outlive a restart.
//
// Not here: where bindings come from (source/*), and what becomes of them
// (table).
package source

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"

	"github.com/berth-net/berth/internal/manifest"
	"github.com/berth-net/berth/internal/nic"
)

// Update is everything one source says. It is never changed once published.
type Update struct {
	Source string // its name: "dir", "nfdhcpd", "statichcpd"
	Path   string // the directory or database
	// Generation counts updates that differ from the one before; it starts at 1.
	Generation uint64
	// Bindings are in force, the stale ones among them, sorted by NIC.
	Bindings []nic.Binding
	// Refs are further ones, of a source that changes one at a time: what has not
	// changed since the last update is the same pointer.
	Refs []*nic.Binding
	// Stale are the bindings whose declaration is broken or cannot be read, by
	// NIC: the last good version goes on.
	Stale map[string]manifest.Problem
	// State says how the source is connected to what it reads, if it can be not.
	State string
	// Problems are all mistakes, also those of NICs without a last good version.
	Problems []manifest.Problem
	// Warnings say what has no effect, or not the one that was wanted.
	Warnings []manifest.Problem
	// Networks are for bindings that come from elsewhere; only the bindings
	// directory has any.
	Networks manifest.Networks
}

// Len is how many bindings there are.
func (u *Update) Len() int { return len(u.Bindings) + len(u.Refs) }

// lastGoodHeader begins what EncodeLastGood makes; the digest covers every byte
// behind its line.
const lastGoodHeader = "berth-last-good 1 "

// lastGood is one binding with where it was declared.
type lastGood struct {
	File    string          `json:"file"`
	Line    int             `json:"line"`
	Binding json.RawMessage `json:"binding"`
}

// EncodeLastGood prints bindings so that DecodeLastGood reads them, and notices
// every change to a byte.
func EncodeLastGood(bindings []nic.Binding) ([]byte, error) {
	list := make([]lastGood, 0, len(bindings))
	for i := range bindings {
		b := &bindings[i]
		doc, err := manifest.Encode(b)
		if err != nil {
			return nil, err
		}
		list = append(list, lastGood{File: b.Origin.File, Line: b.Origin.Line, Binding: doc})
	}
	body, err := json.Marshal(list)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(body)
	return append([]byte(lastGoodHeader+hex.EncodeToString(sum[:])+"\n"), body...), nil
}

// DecodeLastGood returns the bindings by NIC, as the named source's. A binding
// of a version with other rules is left out: its declaration is read anyway.
func DecodeLastGood(source string, data []byte) (map[string]nic.Binding, error) {
	l, err := ReadLastGood(data)
	if err != nil {
		return nil, err
	}
	return l.Bindings(source, func(string, string) bool { return true }), nil
}

// LastGood is what EncodeLastGood made, found sound. Of many thousands of
// bindings few are ever needed, and to read them all takes seconds.
type LastGood []lastGood

// ReadLastGood fails if a byte is not as EncodeLastGood made it.
func ReadLastGood(data []byte) (LastGood, error) {
	header, body, _ := bytes.Cut(data, []byte("\n"))
	sum := sha256.Sum256(body)
	if string(header) != lastGoodHeader+hex.EncodeToString(sum[:]) {
		return nil, errors.New("the digest does not fit")
	}
	var list LastGood
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, err
	}
	return list, nil
}

// Bindings returns those wanted, as DecodeLastGood does. file is where one was
// declared.
func (l LastGood) Bindings(source string, wanted func(file, nic string) bool) map[string]nic.Binding {
	last := map[string]nic.Binding{}
	for _, c := range l {
		var whose struct {
			NIC string `json:"nic"`
		}
		if err := json.Unmarshal(c.Binding, &whose); err != nil || !wanted(c.File, whose.NIC) {
			continue
		}
		r := manifest.Resolved(c.File, c.Binding)
		if len(r.Problems) > 0 || len(r.Bindings) != 1 {
			continue
		}
		b := r.Bindings[0]
		b.Origin = nic.Origin{Source: source, File: c.File, Line: c.Line}
		last[b.NIC] = b
	}
	return last
}
