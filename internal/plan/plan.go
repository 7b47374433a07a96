package plan

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/berth-net/berth/internal/dhcp4"
	"github.com/berth-net/berth/internal/guard"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
	"github.com/berth-net/berth/internal/route"
	"github.com/berth-net/berth/internal/table"
)

// Armed is what the second lock holds.
type Armed struct {
	Names    []string
	Patterns []string
}

// Want is one entry of a snapshot, compiled. It is never changed.
type Want struct {
	Binding *nic.Binding
	Stale   string
	Rules   guard.Rules // but for what depends on the link
	Base    uint64      // of the rules
	Answer  uint64      // of the binding
	// Former are server identifiers that the guest may still know, newest first.
	Former []netip.Addr
}

// NewWant compiles one entry. What the last snapshot had of the very same
// binding, which nobody changes, is taken over: of many thousands one has
// changed.
func NewWant(e table.Entry, last *Want) *Want {
	if last != nil && last.Binding == e.Binding {
		if last.Stale == e.Stale {
			return last
		}
		w := *last
		w.Stale = e.Stale
		return &w
	}
	rules := guard.Compile(e.Binding)
	return &Want{
		Binding: e.Binding, Stale: e.Stale,
		Rules: rules, Base: rules.Base(), Answer: e.Binding.Digest(),
	}
}

// Wants are entries of a compiled snapshot: all, or those of which something is
// to be decided.
type Wants struct {
	ByNIC   map[string]*Want
	Refused map[string]table.Refusal
}

// Input is everything a plan depends on.
type Input struct {
	Wants     Wants
	Links     []Link
	Installed []Installed
	Answering map[int]uint64      // by ifindex: AnswerDigest of what the answerer holds
	Quiet     map[int]bool        // by ifindex: the host's own IPv6 is off there, or prepared if routed
	Routed    map[int]route.State // by ifindex: the host's routes to it; nil: not known
	Common    route.Common        // and what it has besides, if Routed is known
	Armed     Armed
	Policy    Policy
	TCX       bool
	Sealed    bool            // every source has reported: what is not wanted may be closed
	Release   map[string]bool // NICs to hand back to the site
	Gate      Gate
}

// Wait says why a NIC is not, or not fully, served.
type Wait struct {
	NIC    string
	Reason reason.Reason
	Text   string
}

// String is the wait as `berth plan` shows it.
func (w Wait) String() string {
	if w.Text == "" {
		return fmt.Sprintf("%s: %s", w.NIC, w.Reason.Text())
	}
	return fmt.Sprintf("%s: %s: %s", w.NIC, w.Reason.Text(), w.Text)
}

// Plan is what must change, in order, and what cannot be done yet.
type Plan struct {
	Steps  []Step
	Waits  []Wait
	Asks   []Ask        // hooks to be run before their bindings come into force
	Served map[int]Held // by ifindex: what is in force when the steps are done
}

// Compute is the whole decision.
func Compute(in Input) Plan {
	c := newComputation(in)
	c.gate()
	for _, name := range sortedKeys(in.Wants.ByNIC) {
		c.wanted(name, in.Wants.ByNIC[name])
	}
	for _, name := range sortedKeys(in.Wants.Refused) {
		c.refused(name, in.Wants.Refused[name])
	}
	for _, i := range in.Installed {
		c.leftover(i)
	}
	for _, l := range in.Links {
		c.unbound(l)
	}
	c.strays()
	c.sweep()
	c.lock()
	slices.SortStableFunc(c.plan.Steps, compareSteps)
	slices.SortStableFunc(c.plan.Waits, func(a, b Wait) int { return strings.Compare(a.NIC, b.NIC) })
	return c.plan
}

// computation carries the indexes of one Compute.
type computation struct {
	in        Input
	plan      Plan
	link      map[string]Link
	byIndex   map[int]Link
	installed map[int]Installed
	moved     map[string]bool // by NIC: its device lives on in another namespace
	answering map[int]uint64  // what stays of in.Answering
	arm       map[string]bool // names the lock must hold
	routed    map[int]bool    // by ifindex: the binding says what is routed to it
	common    route.Common    // what NICs want of it
	closed    uint64          // the digest of rules that let nothing pass

	turns   map[string]Turn   // by NIC: bindings that come into force
	hooked  map[string]bool   // by NIC: its turn waits for its hooks
	blocked map[string]string // by NIC: who keeps what its turn needs
}

func newComputation(in Input) *computation {
	c := &computation{
		in: in, link: map[string]Link{}, byIndex: map[int]Link{},
		installed: map[int]Installed{}, moved: map[string]bool{}, answering: maps.Clone(in.Answering), arm: map[string]bool{}, routed: map[int]bool{},
		turns: map[string]Turn{}, hooked: map[string]bool{}, blocked: map[string]string{},
	}
	closed := guard.ClosedRules()
	c.closed = closed.Digest()
	c.plan.Served = map[int]Held{}
	for _, l := range in.Links {
		c.link[l.Name] = l
		c.byIndex[l.Index] = l
	}
	for _, i := range in.Installed {
		c.installed[i.Index] = i
		if _, lives := c.byIndex[i.Index]; !lives && i.Moved {
			c.moved[i.Name] = true
		}
	}
	return c
}

func (c *computation) step(s Step) { c.plan.Steps = append(c.plan.Steps, s) }

func (c *computation) wait(name string, r reason.Reason, text string) {
	c.plan.Waits = append(c.plan.Waits, Wait{name, r, text})
}

// wanted joins one binding with its link.
func (c *computation) wanted(name string, w *Want) {
	if w.Stale != "" {
		c.wait(name, reason.Stale, w.Stale)
	}
	if why, text := c.in.Policy.forbids(name); why != reason.None {
		c.wait(name, why, text)
		return
	}
	l, ok := c.link[name]
	if !ok {
		c.arm[name] = true
		if !c.moved[name] {
			c.wait(name, reason.WaitNoLink, "")
		}
		return
	}
	if why, text := c.in.Policy.unfit(l); why != reason.None {
		c.wait(name, why, text)
		// What could be the guest's stays locked; the host's own is not touched.
		c.arm[name] = isGuestPort(l.Kind)
		return
	}
	c.arm[name] = true
	c.serve(l, w)
}

// serve brings one link under its binding.
func (c *computation) serve(l Link, w *Want) {
	have := c.freshen(l)
	if c.heldBack(l, w, have) {
		return
	}
	c.plan.Served[l.Index] = Held{l.Name, w.Binding, w.Answer}
	id, why := dhcp4.ServerID(w.Binding, l.IPv4)
	answer := Step{
		Verb: Answer, NIC: l.Name, Index: l.Index, Binding: w.Binding,
		ServerID: id, GatewayMAC: gatewayMAC(w.Binding, l), Former: w.former(id),
	}
	answer.Digest = answer.answerDigest(w.Answer)
	rules := w.rulesOn(l, id)
	answering, answers := c.answering[l.Index]
	rulesChange := have.Digest != rules.DigestOn(w.Base)
	if answers && rulesChange {
		c.step(Step{Verb: Hold, NIC: l.Name, Index: l.Index})
	}
	fresh := have.Digest == 0 && !answers
	c.quiet(l, hush(w.Binding), fresh)
	if rulesChange || have.Attach == Detached {
		c.step(Step{Verb: Guard, NIC: l.Name, Index: l.Index, Rules: &rules, Note: guardNote(have), Fresh: fresh})
	}
	c.route(l, w.Binding)
	if why != reason.None {
		c.wait(l.Name, why, "") // IPv6 is answered all the same
	}
	if answering != answer.Digest || rulesChange {
		answer.Fresh = fresh
		c.step(answer)
	}
	c.harden(l, have)
}

func (w *Want) rulesOn(l Link, id netip.Addr) guard.Rules {
	return w.Rules.On(w.Binding, guard.Site{Segment: segment(l), ServerID: id, Former: w.former(id)})
}

// former leaves out what is no longer former.
func (w *Want) former(id netip.Addr) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(w.Former), func(a netip.Addr) bool { return a == id })
}

// DigestOn is the digest of the rules that are wanted on a link.
func (w *Want) DigestOn(l Link) uint64 {
	id, _ := dhcp4.ServerID(w.Binding, l.IPv4)
	rules := w.rulesOn(l, id)
	return rules.DigestOn(w.Base)
}

// segment tells links apart whose link-locals may be the same: a bridge's ports
// share one, any other link has its own.
func segment(l Link) uint32 {
	if l.Master != 0 {
		return uint32(l.Master)
	}
	return uint32(l.Index)
}

// gatewayMAC is the MAC behind which the gateways are: of a routed NIC it is
// the host's own, unless another is declared.
func gatewayMAC(b *nic.Binding, l Link) nic.MAC {
	if b.GatewayMAC.IsZero() && b.Routed {
		return l.MAC
	}
	return b.GatewayMAC
}

func guardNote(have Installed) string {
	if have.Digest != 0 && have.Attach == Detached {
		return "its hooks were stripped"
	}
	return ""
}

// freshen returns what is installed for the link, and forgets what an earlier
// device of the same ifindex or name left.
func (c *computation) freshen(l Link) Installed {
	have, ok := c.installed[l.Index]
	if !ok {
		return Installed{Index: l.Index}
	}
	if isFormer(have, l) {
		c.forget(have, "its links hang on nothing")
		delete(c.installed, l.Index)
		return Installed{Index: l.Index}
	}
	delete(c.installed, l.Index) // accounted for
	return have
}

// isFormer reports whether something was installed for an earlier device.
func isFormer(have Installed, l Link) bool {
	return have.Gone || have.Moved || have.Attach == Detached && have.Name != l.Name
}

func (c *computation) quiet(l Link, how Verb, fresh bool) {
	if !c.in.Quiet[l.Index] {
		c.step(Step{Verb: how, NIC: l.Name, Index: l.Index, Fresh: fresh && !l.Up, Late: l.Up})
	}
}

func (c *computation) harden(l Link, have Installed) {
	if c.in.TCX && have.Attach != TCX {
		c.step(Step{Verb: Harden, NIC: l.Name, Index: l.Index})
	}
}

func (c *computation) silence(name string, index int) {
	if _, ok := c.answering[index]; ok {
		c.step(Step{Verb: Silence, NIC: name, Index: index})
		delete(c.answering, index)
	}
}

// forget needs no silence before it, which would tell whoever has the ifindex
// now what another was told.
func (c *computation) forget(i Installed, note string) {
	delete(c.answering, i.Index)
	c.unroute(i.Name, i.Index)
	c.step(Step{Verb: Forget, NIC: i.Name, Index: i.Index, Note: note})
}

// refused keeps a declared but unusable NIC as it is: its guard stands, it is
// not answered anew, and its name stays locked.
func (c *computation) refused(name string, r table.Refusal) {
	if _, ok := c.in.Wants.ByNIC[name]; ok {
		return // another declaration of it is in force
	}
	if why, text := c.in.Policy.forbids(name); why != reason.None {
		c.wait(name, why, text)
		return
	}
	c.wait(name, r.Reason, r.Text)
	c.arm[name] = true
	l, ok := c.link[name]
	if !ok {
		return
	}
	if why, _ := c.in.Policy.unfit(l); why != reason.None {
		return
	}
	if have := c.freshen(l); have.Digest == 0 {
		c.close(l, have, Quiet)
	}
}

// close lets nothing pass on the link.
func (c *computation) close(l Link, have Installed, hush Verb) {
	closed := guard.ClosedRules()
	c.silence(l.Name, l.Index)
	c.unroute(l.Name, l.Index)
	c.quiet(l, hush, false)
	if have.Digest != c.closed || have.Attach == Detached {
		c.step(Step{Verb: Close, NIC: l.Name, Index: l.Index, Rules: &closed})
	}
	c.harden(l, have)
}

// leftover decides about something installed that no binding wants.
func (c *computation) leftover(i Installed) {
	if _, mine := c.installed[i.Index]; !mine {
		return
	}
	l, lives := c.byIndex[i.Index]
	switch {
	case i.Gone || !lives && !i.Moved:
		c.forget(i, "the device is gone")
	case !lives:
		// Its guard went with it and stays; nobody answers it there.
		c.silence(i.Name, i.Index)
		if _, other := c.link[i.Name]; !other && i.Name != "" {
			c.wait(i.Name, reason.WaitMoved, fmt.Sprintf("ifindex %d", i.Index))
		}
	case c.in.Release[i.Name] || c.in.Release[l.Name]:
		c.forget(i, "released")
	case matchAny(c.in.Policy.Deny, l.Name):
		c.forget(i, "the name is denied now")
	case !c.in.Sealed:
		c.arm[l.Name] = true
	default:
		c.leftLink(i, l)
	}
}

// leftLink closes a living link whose binding was removed, or that was
// renamed to a name without one.
func (c *computation) leftLink(i Installed, l Link) {
	delete(c.installed, i.Index)
	if c.in.Policy.Manages(l.Name) {
		c.wait(l.Name, reason.WaitClosed, managedText)
	} else {
		c.arm[l.Name] = true
		c.wait(l.Name, reason.WaitClosed, "its binding was removed; `berth release` hands it back to the site")
	}
	c.close(l, i, Quiet)
}

const managedText = "it matches a managed pattern"

// unbound closes links whose name is managed and that have no binding.
func (c *computation) unbound(l Link) {
	_, wanted := c.in.Wants.ByNIC[l.Name]
	_, refused := c.in.Wants.Refused[l.Name]
	_, left := c.installed[l.Index]
	if wanted || refused || left || c.has(WaitFor(l.Name)) || !c.in.Sealed {
		return
	}
	if why, _ := c.in.Policy.forbids(l.Name); why != reason.None || !c.in.Policy.Manages(l.Name) {
		return
	}
	if why, _ := c.in.Policy.unfit(l); why != reason.None {
		return
	}
	c.wait(l.Name, reason.WaitClosed, managedText)
	c.close(l, Installed{Index: l.Index}, Quiet)
}

// WaitFor makes a predicate that finds the waits of one NIC.
func WaitFor(name string) func(Wait) bool {
	return func(w Wait) bool { return w.NIC == name }
}

func (c *computation) has(match func(Wait) bool) bool {
	return slices.ContainsFunc(c.plan.Waits, match)
}

// lock compares the names the second lock must hold with those it holds.
func (c *computation) lock() {
	for _, p := range c.in.Policy.Closed {
		if strings.HasSuffix(p, "*") {
			if !slices.Contains(c.in.Armed.Patterns, p) {
				c.step(Step{Verb: Arm, NIC: p})
			}
			continue
		}
		c.arm[p] = true
	}
	held := map[string]bool{}
	for _, name := range c.in.Armed.Names {
		held[name] = true
		if !c.arm[name] && c.in.Sealed {
			c.step(Step{Verb: Disarm, NIC: name})
		}
	}
	for _, p := range c.in.Armed.Patterns {
		if !slices.Contains(c.in.Policy.Closed, p) {
			c.step(Step{Verb: Disarm, NIC: p})
		}
	}
	for _, name := range sortedKeys(c.arm) {
		if c.arm[name] && !held[name] {
			c.step(Step{Verb: Arm, NIC: name})
		}
	}
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
