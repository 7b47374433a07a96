// Package nodelink is what the controller and a node say to each other. The
// controller says everything: each message names the whole set that it leads
// to by count and digest, so that nothing that was lost stays lost. The node
// says what came of it.
//
// Not here: connections (source/controller, control), what a document means
// (manifest), and who may speak (identity).
package nodelink

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/nic"
)

// Limits of what is read from the other side.
const (
	MaxMessage = 256 << 20 // of one line of a stream: some 100,000 documents
	MaxBody    = 1 << 20   // of one document
	// MaxStatuses is how many statuses a report has: more go in several.
	MaxStatuses = 500
	// MaxProblems is how many problems a report has room for.
	MaxProblems = 50
)

// Message is one line of a node's stream: what differs from the message before,
// or everything.
type Message struct {
	Site       string `json:"site,omitempty"` // which controller: nodes obey the one that enrolled them
	Node       string `json:"node"`           // whose set it is
	Epoch      int64  `json:"epoch,omitempty"`
	Generation int64  `json:"generation"` // revision of the site; grows within an Epoch
	// Full: Set is everything. Else it is what is new or changed, and Gone what
	// is no more.
	Full bool       `json:"full,omitempty"`
	Set  []Document `json:"set,omitempty"`
	Gone []string   `json:"gone,omitempty"` // by NIC
	// Force has a full set applied though it removes most of what there is.
	Force  bool   `json:"force,omitempty"`
	Count  int    `json:"count"`  // of documents afterwards
	Digest string `json:"digest"` // of all of them: a Sum
}

// Document is one NIC's binding. Of one NIC there is one.
type Document struct {
	NIC  string `json:"nic"`  // host interface
	Name string `json:"name"` // the NIC's at the controller
	// Revision is the NIC's (fleet.Meta), so that each replica says the same; a
	// body can change without it, with a network's defaults.
	Revision int64           `json:"revision"`
	Digest   string          `json:"digest"` // SHA-256 of Body in hex
	Body     json.RawMessage `json:"body"`   // as manifest.Encode writes it, compact
}

// Report is what a node says of its NICs.
type Report struct {
	Node       string         `json:"node"`
	Epoch      int64          `json:"epoch,omitempty"`
	Generation int64          `json:"generation"` // of the last message applied
	Digest     string         `json:"digest"`     // of the set that the node has
	Version    string         `json:"version"`    // berthd's
	Kernel     string         `json:"kernel"`     // its release
	Full       bool           `json:"full,omitempty"`
	NICs       []fleet.Status `json:"nics,omitempty"` // all of them if Full, else those that changed or a part of all
	// Problems are what the node refuses, or cannot keep.
	Problems []string `json:"problems,omitempty"`
}

// Encode makes one line of a message or report, ending in a newline. It does
// not change a byte of the bodies, which encoding/json's Marshal does.
func Encode[T Message | Report](m *T) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(m); err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	return b.Bytes(), nil
}

// Decode reads what Encode wrote, strictly: what this version does not know may
// change what the rest means.
func Decode[T Message | Report](data []byte) (*T, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	m := new(T)
	if err := d.Decode(m); err != nil {
		return nil, fmt.Errorf("malformed: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("malformed: something follows it")
	}
	return m, nil
}

// check finds what makes a document unfit for any set.
func (d *Document) check() error {
	if err := d.checkAllButDigest(); err != nil {
		return err
	}
	if d.Digest != digest(d.Body) {
		return fmt.Errorf("document of NIC %s: the digest does not fit", d.NIC)
	}
	return nil
}

func (d *Document) checkAllButDigest() error {
	switch {
	case !nic.ValidName(d.NIC):
		return fmt.Errorf("document %q: no name of an interface", d.NIC)
	case d.Name == "":
		return fmt.Errorf("document of NIC %s: it has no name", d.NIC)
	case len(d.Body) > MaxBody:
		return fmt.Errorf("document of NIC %s: %d bytes; at most %d", d.NIC, len(d.Body), MaxBody)
	}
	return nil
}
