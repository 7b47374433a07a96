package api

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/netip"

	"github.com/berth-net/berth/internal/reason"
)

// MaxFrames is how many frames one request may trace.
const MaxFrames = 1000

// Tracer says what would become of frames.
type Tracer interface {
	// Trace asks what is in force on a NIC about each frame, in order. Nothing
	// is sent, counted or remembered. Its error is ErrNotFound while the NIC has
	// nothing in the kernel.
	Trace(ctx context.Context, name string, frames []Frame) ([]Traced, error)
}

// TraceRequest is the body of a request to trace.
type TraceRequest struct {
	Frames []Frame `json:"frames"`
}

// Frame is one whole Ethernet frame, without its check sequence.
type Frame struct {
	Bytes   []byte `json:"bytes"`              // base64
	ToGuest bool   `json:"to_guest,omitempty"` // else the guest sends it
}

// Fate is what would become of a frame.
type Fate string

// The fates.
const (
	Passes    Fate = "passes"
	Dropped   Fate = "dropped"
	Answered  Fate = "answered"   // by the kernel itself
	HandedUp  Fate = "handed-up"  // and answered by berthd
	NotTraced Fate = "not-traced" // it cannot be asked about; why says so
)

// Traced is what would become of one frame.
type Traced struct {
	ToGuest bool `json:"to_guest,omitempty"`
	Frame   Told `json:"frame"`

	Fate Fate `json:"fate"`
	// Reason is why it is dropped, or gets no answer, or a refusal; Why says that
	// in words, or why it was not traced.
	Reason    reason.Reason `json:"reason,omitempty"`
	Why       string        `json:"why,omitempty"`
	Permitted string        `json:"permitted,omitempty"` // what would have passed
	Audited   reason.Reason `json:"audited,omitempty"`   // for which it would be dropped if this were not an audit

	Taken     reason.Reason  `json:"taken,omitempty"`     // for which protocol it is taken out of the stream
	Request   string         `json:"request,omitempty"`   // as in an Answer
	Answer    string         `json:"answer,omitempty"`    // none is silence
	Addresses []netip.Prefix `json:"addresses,omitempty"` // what it is about, if berthd answers
	Reply     *Told          `json:"reply,omitempty"`
	ReplyTo   string         `json:"reply_to,omitempty"` // the NIC of the same group that gets the reply instead
}

// Told is a frame and what it says.
type Told struct {
	Bytes   []byte   `json:"bytes"`             // base64
	Text    string   `json:"text"`              // one line
	Details []string `json:"details,omitempty"` // of DHCP and of neighbour discovery: fields and options
}

func (s *Server) trace(w http.ResponseWriter, r *http.Request) error {
	doc, err := s.readBody(w, r)
	if err != nil {
		return err
	}
	var req TraceRequest
	in := json.NewDecoder(bytes.NewReader(doc))
	in.DisallowUnknownFields()
	if err := in.Decode(&req); err != nil {
		return refuse(http.StatusBadRequest, "the frames: %v", err)
	}
	if n := len(req.Frames); n < 1 || n > MaxFrames {
		return refuse(http.StatusBadRequest, "%d frames, want 1 to %d", n, MaxFrames)
	}
	traced, err := s.node.Trace(r.Context(), r.PathValue("name"), req.Frames)
	if err != nil {
		return err
	}
	return writeJSON(w, traced)
}

// Trace says what would become of frames, at most MaxFrames and MaxBody as
// JSON.
func (c *Client) Trace(ctx context.Context, name string, frames []Frame) (traced []Traced, err error) {
	body, err := json.Marshal(TraceRequest{Frames: frames})
	if err != nil {
		return nil, err
	}
	return traced, c.callNIC(ctx, name, request{method: "POST", path: "/trace", body: body}, &traced)
}
