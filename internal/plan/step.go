package plan

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/berth-net/berth/internal/guard"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
	"github.com/berth-net/berth/internal/route"
)

// Verb is what a step does. Their order is the order of a plan.
type Verb uint8

// The verbs. A NIC's frames are never answered under rules other than the
// ones in force: Hold keeps its messages back while Guard changes them, and
// Answer lets them go again. A step that fails costs its NIC the later ones, so
// routes, which others may hold, come after Close and Answer. A NIC that had
// nothing has nothing that another could get: see Step.Fresh.
const (
	Arm     Verb = iota // the second lock closes the name until the guard's mark opens it
	Hold                // keep the NIC's messages while its rules change
	Silence             // stop answering, with last words
	Quiet               // switch the host's own IPv6 off on the port
	Prepare             // of a routed NIC: on, but with nothing to say
	Forget              // stop answering and remove what is installed for an ifindex: its device is gone, or released
	Close               // rules that let nothing pass
	Unroute             // take the host's routes to the NIC away
	Guard               // rules of the binding
	Answer              // answer from the binding
	Route               // the host's routes to a routed NIC, and what tells the site
	Sweep               // rules and proxy entries that no NIC wants
	Disarm              // the second lock lets the name go
	Harden              // pinned tcx links instead of clsact filters
)

// String names the verb.
func (v Verb) String() string {
	return [...]string{"arm", "hold", "silence", "quiet", "prepare", "forget", "close", "unroute", "guard", "answer", "route", "sweep", "disarm", "harden"}[v]
}

// Step is one change to make.
type Step struct {
	Verb  Verb
	NIC   string // or a pattern, for Arm and Disarm; "" for Sweep
	Index int    // 0 for Arm, Disarm and Sweep
	Rules *guard.Rules
	Note  string

	// Fresh marks what a NIC with nothing installed is brought up by, Quiet to
	// Answer. These steps come NIC by NIC, behind all that take something from
	// others: of thousands of guests the first need not wait for the last.
	Fresh bool
	// Late marks Quiet and Prepare of a link that is up: the host may have been
	// heard there already, so no answer waits for the milliseconds they take.
	Late bool

	// Of Route; of Sweep the rules and proxy entries that go:
	Want  route.Want
	loses bool // something is taken away, which another NIC may get

	// Of Answer:
	Binding    *nic.Binding
	ServerID   netip.Addr   // zero: none yet
	Former     []netip.Addr // server identifiers the guest may still know
	GatewayMAC nic.MAC      // zero: unknown
	Digest     uint64
}

// answerDigest identifies an answerer's state: the binding, and what was
// resolved for it on the link.
func (s *Step) answerDigest(binding uint64) uint64 {
	const prime = 1099511628211 // FNV-1a, 64 bit
	text := append(s.ServerID.AsSlice(), s.GatewayMAC[:]...)
	for _, a := range s.Former {
		text = append(text, a.AsSlice()...)
	}
	for _, b := range text {
		binding = (binding ^ uint64(b)) * prime
	}
	return max(binding, 1)
}

// PutOff takes the NICs out of a plan whose fresh steps are left for the next.
func (p *Plan) PutOff(nics map[string]bool) {
	maps.DeleteFunc(p.Served, func(_ int, h Held) bool { return nics[h.NIC] })
	for _, name := range sortedKeys(nics) {
		p.Waits = append(p.Waits, Wait{NIC: name, Reason: reason.WaitTurn})
	}
}

// String is the step as logs, golden files and `berth plan` show it.
func (s Step) String() string {
	b := strings.Builder{}
	b.WriteString(strings.TrimSpace(s.Verb.String() + " " + s.NIC))
	if s.Index != 0 {
		fmt.Fprintf(&b, "#%d", s.Index)
	}
	if s.Rules != nil && !s.Rules.Closed {
		b.WriteString(" " + describeRules(s.Rules))
	}
	if s.Verb == Route {
		b.WriteString(" " + describeRoutes(s.Want))
	}
	if s.Verb == Sweep {
		b.WriteString(" " + describeCommon(s.Want))
	}
	if s.Verb == Answer {
		b.WriteString(" " + describeAnswer(s.Binding, s.ServerID))
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
	var sources []string
	for _, p := range slices.Concat(r.IP4, r.IP6) {
		sources = append(sources, nic.ShortPrefix(p))
	}
	return strings.TrimSpace(strings.Join(parts, " ") + " " + shorten(sources))
}

func describeRoutes(w route.Want) string {
	var parts []string
	for _, r := range w.Routes {
		parts = append(parts, nic.ShortPrefix(r.To))
	}
	text := shorten(parts)
	if len(w.Rules) > 0 {
		text += fmt.Sprintf(" table %d", w.Rules[0].Table)
	}
	if len(w.Proxies) > 0 {
		text += " proxied on " + w.Proxies[0].Uplink
	}
	return text
}

func describeCommon(w route.Want) string {
	var parts []string
	for _, r := range w.Rules {
		parts = append(parts, r.String())
	}
	for _, p := range w.Proxies {
		parts = append(parts, p.String())
	}
	const most = 4
	if len(parts) > most {
		parts = append(parts[:most], fmt.Sprintf("and %d more", len(parts)-most))
	}
	return strings.Join(parts, ", ")
}

// shorten keeps a line readable.
func shorten(parts []string) string {
	const most = 4
	if len(parts) > most {
		parts = append(slices.Clone(parts[:most]), fmt.Sprintf("and %d more", len(parts)-most))
	}
	return strings.Join(parts, " ")
}

// describeAnswer says what the NIC is told, of both families.
func describeAnswer(b *nic.Binding, id netip.Addr) string {
	if b.Suspended {
		return "nothing (suspended)"
	}
	var parts []string
	if p := b.Delivered(); p.IsValid() {
		from := "no server identifier yet"
		if id.IsValid() {
			from = "from " + id.String()
		}
		parts = append(parts, p.String()+" "+from)
	}
	if b.ServesIPv6() {
		for _, p := range slices.Concat(b.Addresses6(), b.SLAAC, b.Delegated) {
			parts = append(parts, p.String())
		}
	}
	if len(parts) == 0 {
		return "nothing (no address)"
	}
	return strings.Join(parts, ", ")
}
