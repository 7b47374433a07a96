package api

import (
	"context"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Node is one node's agent as the server sees it. Its errors are the sentinels
// of this package, wrapped, or mean that the agent itself failed.
type Node interface {
	Viewer
	Changer
	Planner
	Historian
	Tracer
}

// Viewer says what is.
type Viewer interface {
	Status(ctx context.Context) (Status, error)
	// NICs returns every NIC, ordered by name.
	NICs(ctx context.Context) ([]NIC, error)
	// NIC returns one NIC, or ErrNotFound if it is neither declared nor
	// managed.
	NIC(ctx context.Context, name string) (NIC, error)
}

// Changer changes what the socket declares. ActorFrom(ctx) says who asks.
type Changer interface {
	// Set declares the binding in doc, one YAML or JSON document, for the NIC
	// name. When it returns, the change is as far as it can get without
	// waiting for anything outside the agent: a NIC whose link is there is
	// guarded and answered. The same binding again changes nothing.
	Set(ctx context.Context, name string, doc []byte, opts SetOptions) (Change, error)
	// Delete withdraws a binding; if its link lives the NIC is closed. A name
	// without a binding is no error: Changed is false.
	Delete(ctx context.Context, name string) (Change, error)
	// Release hands an interface back to be unmanaged: its guard is removed.
	Release(ctx context.Context, name string) (Change, error)
}

// Planner says what is still to come.
type Planner interface {
	// Plan returns what would change. With a nil doc that is what is pending
	// now, else what this document would add to it.
	Plan(ctx context.Context, doc []byte) (Plan, error)
	// Wait returns once the NIC is in force (or stale, which is in force by an
	// older version of its file), or when ctx ends: then with its
	// last state and an error. A name nobody has declared yet is waited for
	// too, since a hook may run before its binding arrives.
	Wait(ctx context.Context, name string) (NIC, error)
}

// Historian gives what happened, oldest first. EventLog implements it for an
// agent to embed.
type Historian interface {
	// After returns up to max events with a sequence number above seq.
	After(ctx context.Context, seq uint64, max int) (Batch, error)
}

// Batch is a piece of the history.
type Batch struct {
	Events []Event
	Missed uint64          // events above seq that are not kept any more
	More   <-chan struct{} // closed once there are further events
}

// SetOptions is how a binding is set.
type SetOptions struct {
	DryRun bool // check and say what would change, and change nothing
}

// Change is what came of a Set, a Delete or a Release.
type Change struct {
	NIC     string   `json:"nic"`
	Changed bool     `json:"changed"` // false: it was so already
	DryRun  bool     `json:"dry_run,omitempty"`
	Steps   []string `json:"steps,omitempty"`
	Waits   []string `json:"waits,omitempty"`
	Now     *NIC     `json:"now,omitempty"` // after the change; nil if nothing is left to say
}

// CheckName accepts what the kernel accepts as an interface name
// (dev_valid_name in net/core/dev.c), as far as it can be printed.
func CheckName(name string) error {
	switch {
	case name == "" || len(name) > 15:
		return fmt.Errorf("%q has %d bytes, an interface name has 1 to 15", name, len(name))
	case name == "." || name == "..":
		return fmt.Errorf("%q is not an interface name", name)
	case !utf8.ValidString(name):
		return fmt.Errorf("%q is not UTF-8", name)
	case strings.ContainsFunc(name, badInName):
		return fmt.Errorf("%q has a character that no interface name may have", name)
	}
	return nil
}

func badInName(r rune) bool {
	return r == '/' || r == ':' || !unicode.IsGraphic(r) || unicode.IsSpace(r)
}
