package plan

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/berth-net/berth/internal/guard"
	"github.com/berth-net/berth/internal/nic"
)

// Verb is what a step does. Their order is the order of a plan.
type Verb uint8

// The verbs. A NIC's frames are never answered under rules other than the
// ones in force: Hold keeps its messages back while Guard changes them, and
// Answer lets them go again.
const (
	Arm     Verb = iota // the second lock closes the name until the guard's mark opens it
	Hold                // keep the NIC's messages while its rules change
	Silence             // stop answering
	Quiet               // switch the host's own IPv6 off on the port
	Forget              // remove what is installed for an ifindex: its device is gone, or released
	Close               // rules that let nothing pass
	Guard               // rules of the binding
	Answer              // answer from the binding
	Disarm              // the second lock lets the name go
	Harden              // pinned tcx links instead of clsact filters
)

// String names the verb.
func (v Verb) String() string {
	return [...]string{"arm", "hold", "silence", "quiet", "forget", "close", "guard", "answer", "disarm", "harden"}[v]
}

// Step is one change to make.
type Step struct {
	Verb     Verb
	NIC      string // or a pattern, for Arm and Disarm
	Index    int    // 0 for Arm and Disarm
	Rules    *guard.Rules
	Binding  *nic.Binding
	ServerID netip.Addr
	Digest   uint64 // of an answer
	Note     string
}

// String is the step as logs, golden files and `berth plan` show it.
func (s Step) String() string {
	b := strings.Builder{}
	b.WriteString(s.Verb.String() + " " + s.NIC)
	if s.Index != 0 {
		fmt.Fprintf(&b, "#%d", s.Index)
	}
	if s.Rules != nil && !s.Rules.Closed {
		b.WriteString(" " + describeRules(s.Rules))
	}
	if s.Verb == Answer {
		fmt.Fprintf(&b, " %s from %s", describeAddress(s.Binding), s.ServerID)
	}
	if s.Note != "" {
		b.WriteString(" (" + s.Note + ")")
	}
	return b.String()
}

func describeRules(r *guard.Rules) string {
	parts := []string{r.Mode()}
	for _, m := range r.MACs {
		parts = append(parts, m.String())
	}
	const most = 4
	for i, p := range r.IP4 {
		if i == most {
			parts = append(parts, fmt.Sprintf("and %d more", len(r.IP4)-most))
			break
		}
		parts = append(parts, strings.TrimSuffix(p.String(), "/32"))
	}
	return strings.Join(parts, " ")
}

func describeAddress(b *nic.Binding) string {
	switch {
	case b.Suspended:
		return "nothing (suspended)"
	case b.Delivered().IsValid():
		return b.Delivered().String()
	default:
		return "nothing (no IPv4)"
	}
}
