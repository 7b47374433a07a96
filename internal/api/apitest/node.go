// Package apitest has a node in memory, small but real: what is declared and
// linked is in force, and nothing else is. It lets the server, the client and
// the command line be tested end to end without a kernel.
package apitest

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

// Epoch is when everything in a Node happens, so that output is the same every
// time.
var Epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) //nolint:gochecknoglobals // a constant

// Node is an agent without a kernel. Its zero value is not usable, see New.
type Node struct {
	*api.EventLog

	mu       sync.Mutex
	declared map[string]binding
	links    map[string]int
	moved    chan struct{} // closed and replaced at every change
	actors   []string
	broken   error
}

// binding is as much of the file format as this node acts on.
type binding struct {
	NIC       string         `json:"nic"`
	MAC       nic.MAC        `json:"mac"`
	Addresses []netip.Prefix `json:"addresses,omitempty"`
	Hostname  string         `json:"hostname,omitempty"`
	Gateway   string         `json:"gateway,omitempty"`
	Gateway6  string         `json:"gateway6,omitempty"`
	SLAAC     []netip.Prefix `json:"slaac,omitempty"`
	Delegated []netip.Prefix `json:"delegated,omitempty"`
	Routed    bool           `json:"routed,omitempty"`
	// What is shown of the rest, as the agent gives it with its defaults.
	IPv6       string          `json:"ipv6,omitempty"`
	LinkLocal  json.RawMessage `json:"link-local,omitempty"`
	Neighbours string          `json:"neighbours,omitempty"`
	DHCP6      json.RawMessage `json:"dhcp6,omitempty"`
	RA         json.RawMessage `json:"ra,omitempty"`
	source     string
}

// permitted are the sources the guard lets pass.
func (b binding) permitted() []netip.Prefix {
	all := []netip.Prefix{}
	for _, a := range b.Addresses {
		all = append(all, netip.PrefixFrom(a.Addr(), a.Addr().BitLen()))
	}
	return append(append(all, b.SLAAC...), b.Delegated...)
}

// of are the permitted sources of one family.
func (b binding) of(is func(netip.Addr) bool) []netip.Prefix {
	return slices.DeleteFunc(b.permitted(), func(p netip.Prefix) bool { return !is(p.Addr()) })
}

// linkLocals are those listed, or that of the MAC; a guest that may choose has
// chosen fe80::1234.
func (b binding) linkLocals() []netip.Addr {
	var fixed []netip.Addr
	switch err := json.Unmarshal(b.LinkLocal, &fixed); {
	case err == nil:
		return fixed
	case string(b.LinkLocal) == `"eui-64"`:
		return []netip.Addr{b.MAC.EUI64()}
	}
	return []netip.Addr{b.MAC.EUI64(), netip.MustParseAddr("fe80::1234")}
}

// New returns a node without NICs that keeps so many events.
func New(events int) *Node {
	return &Node{
		EventLog: api.NewEventLog(events),
		declared: map[string]binding{},
		links:    map[string]int{},
		moved:    make(chan struct{}),
	}
}

// AddLink makes a host interface appear.
func (n *Node) AddLink(name string, index int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.links[name] = index
	n.changed(name, "guarded")
}

// DeclareFile declares a binding as if by a file, which the socket can't undo.
func (n *Node) DeclareFile(name, mac string, addresses ...string) {
	m, err := nic.ParseMAC(mac)
	if err != nil {
		panic(err)
	}
	b := binding{NIC: name, MAC: m, source: "dir"}
	for _, a := range addresses {
		b.Addresses = append(b.Addresses, netip.MustParsePrefix(a))
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.declared[name] = b
	n.changed(name, "bound")
}

// Break makes every later request fail, as an agent's does that lost its maps.
func (n *Node) Break(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.broken = err
}

// Actors returns who asked for changes, in order.
func (n *Node) Actors() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.actors)
}

// Status counts the NICs.
func (n *Node) Status(context.Context) (api.Status, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	st := api.Status{
		Version: "v0.1.0", Started: Epoch, Generation: uint64(len(n.declared)), Kernel: "6.18.0",
		Attach: "tcx", Lock: "armed", NICs: map[api.State]int{},
		Sources: []api.Source{{Name: "dir", Path: "/etc/berth/nics.d", Generation: 3, Bindings: 1, Read: Epoch}},
	}
	for name := range n.names() {
		st.NICs[n.describe(name).State]++
	}
	return st, n.broken
}

// NICs returns what is declared or closed, by name.
func (n *Node) NICs(context.Context) ([]api.NIC, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var nics []api.NIC
	for name := range n.names() {
		nics = append(nics, n.describe(name))
	}
	slices.SortFunc(nics, func(a, b api.NIC) int { return cmp.Compare(a.Name, b.Name) })
	return nics, n.broken
}

// NIC returns one of them.
func (n *Node) NIC(_ context.Context, name string) (api.NIC, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.broken != nil {
		return api.NIC{}, n.broken
	}
	if _, ok := n.names()[name]; !ok {
		return api.NIC{}, fmt.Errorf("%s: %w", name, api.ErrNotFound)
	}
	return n.describe(name), nil
}

// Set declares a binding unless another holds its MAC or the name.
func (n *Node) Set(ctx context.Context, name string, doc []byte, opts api.SetOptions) (api.Change, error) {
	b, err := parse(doc)
	if err != nil {
		return api.Change{}, err
	}
	if b.NIC != name {
		return api.Change{}, &api.InvalidError{Detail: name + ": the document is refused", Fields: []string{fmt.Sprintf("1:1: nic %q: want %q", b.NIC, name)}}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.conflict(b); err != nil {
		return api.Change{}, err
	}
	p := n.plan(b)
	change := api.Change{NIC: name, Changed: len(p.Steps) > 0, DryRun: opts.DryRun, Steps: p.Steps, Waits: p.Waits}
	if opts.DryRun {
		return change, nil
	}
	n.note(ctx)
	if change.Changed {
		n.declared[name] = b
		n.changed(name, "bound")
	}
	now := n.describe(name)
	change.Now = &now
	return change, nil
}

// Delete withdraws what the socket declared.
func (n *Node) Delete(ctx context.Context, name string) (api.Change, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	b, ok := n.declared[name]
	if !ok {
		return api.Change{NIC: name}, n.broken
	}
	if b.source != "socket" {
		return api.Change{}, fmt.Errorf("%s is declared in /etc/berth/nics.d/%s.yaml:1, remove it there: %w", name, name, api.ErrConflict)
	}
	n.note(ctx)
	delete(n.declared, name)
	n.changed(name, "closed")
	change := api.Change{NIC: name, Changed: true}
	if n.links[name] > 0 {
		now := n.describe(name)
		change.Now = &now
	}
	return change, nil
}

// Release forgets the link: what has none is unmanaged.
func (n *Node) Release(ctx context.Context, name string) (api.Change, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, ok := n.names()[name]; !ok {
		return api.Change{}, fmt.Errorf("%s: %w", name, api.ErrNotFound)
	}
	if n.declared[name].source == "dir" {
		return api.Change{}, fmt.Errorf("%s is declared in /etc/berth/nics.d/%s.yaml:1, remove it there: %w", name, name, api.ErrConflict)
	}
	n.note(ctx)
	delete(n.declared, name)
	delete(n.links, name)
	n.changed(name, "released")
	return api.Change{NIC: name, Changed: true}, nil
}

// Plan is what a document would change; by itself this node has nothing left
// to do.
func (n *Node) Plan(_ context.Context, doc []byte) (api.Plan, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if doc == nil {
		return n.pending(), n.broken
	}
	b, err := parse(doc)
	if err != nil {
		return api.Plan{}, err
	}
	return n.plan(b), n.conflict(b)
}

// Wait looks again at every change.
func (n *Node) Wait(ctx context.Context, name string) (api.NIC, error) {
	for {
		n.mu.Lock()
		now, moved := api.NIC{}, n.moved
		if _, ok := n.names()[name]; ok {
			now = n.describe(name)
		}
		n.mu.Unlock()
		if now.State == api.InForce {
			return now, nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return now, ctx.Err()
		}
	}
}

func parse(doc []byte) (binding, error) {
	b := binding{source: "socket"}
	raw, err := yaml.YAMLToJSON(doc)
	if err == nil {
		err = json.Unmarshal(raw, &b)
	}
	if err != nil {
		return b, &api.InvalidError{Detail: "the document is refused", Fields: []string{"2:1: " + err.Error()}}
	}
	return b, nil
}

func (n *Node) conflict(b binding) error {
	if n.broken != nil {
		return n.broken
	}
	if n.declared[b.NIC].source == "dir" {
		return fmt.Errorf("%s is declared in /etc/berth/nics.d/%s.yaml:1: %w", b.NIC, b.NIC, api.ErrConflict)
	}
	for name, other := range n.declared {
		if name != b.NIC && other.MAC == b.MAC {
			return fmt.Errorf("mac %s is held by %s: %w", b.MAC, name, api.ErrConflict)
		}
	}
	return nil
}

func (n *Node) plan(b binding) (p api.Plan) {
	old, ok := n.declared[b.NIC]
	switch index := n.links[b.NIC]; {
	case ok && old.equal(b):
	case index > 0:
		p.Steps = []string{fmt.Sprintf("guard %s#%d", b.NIC, index), fmt.Sprintf("answer %s#%d", b.NIC, index)}
	default:
		p.Steps = []string{"arm " + b.NIC}
		p.Waits = []string{b.NIC + ": no-link"}
	}
	return p
}

func (n *Node) pending() (p api.Plan) {
	for name := range n.declared {
		if n.links[name] == 0 {
			p.Waits = append(p.Waits, name+": no-link")
		}
	}
	slices.Sort(p.Waits)
	return p
}

func (b binding) equal(o binding) bool {
	b.source = o.source
	return reflect.DeepEqual(b, o)
}

// names is every name that is declared, or closed because its link lives.
func (n *Node) names() map[string]bool {
	names := map[string]bool{}
	for name := range n.declared {
		names[name] = true
	}
	for name := range n.links {
		names[name] = true
	}
	return names
}

func (n *Node) describe(name string) api.NIC {
	now := api.NIC{Name: name, Since: Epoch, State: api.InForce}
	b, declared := n.declared[name]
	if declared {
		describeBinding(&now, b)
	} else {
		now.State, now.Reason = api.Closed, reason.WaitClosed
	}
	if index := n.links[name]; index > 0 {
		n.describeKernel(&now, b)
	} else {
		now.State, now.Reason = api.Waiting, reason.WaitNoLink
	}
	return now
}

func describeBinding(now *api.NIC, b binding) {
	raw, err := json.Marshal(b)
	if err != nil {
		panic(err)
	}
	now.MAC, now.Addresses, now.Source, now.Binding = &b.MAC, b.Addresses, b.source, raw
	now.SLAAC, now.Delegated = b.SLAAC, b.Delegated
	if b.source == "dir" {
		now.File, now.Line = "/etc/berth/nics.d/"+b.NIC+".yaml", 1
	}
}

func (n *Node) describeKernel(now *api.NIC, b binding) {
	now.Link = &api.Link{Index: n.links[now.Name], MAC: "fe:54:00:aa:00:01", Kind: "tun", OperState: "up", Bridge: "br0"}
	now.Installed = &api.Installed{Attach: "tcx", Mode: "closed", MACs: []nic.MAC{}, Sources: []netip.Prefix{}, InForce: true}
	if now.State != api.InForce {
		return
	}
	in := now.Installed
	in.Mode, in.MACs, in.Answering = "enforce", []nic.MAC{b.MAC}, true
	in.Sources = b.permitted()
	if len(b.of(netip.Addr.Is6)) > 0 {
		in.IPv6, in.LinkLocal = true, b.linkLocals()
	}
	if b.Routed {
		in.Routes = in.Sources
	}
	for _, a := range b.Addresses {
		if a.Addr().Is4() {
			in.ServerID = a.Masked().Addr().Next()
		}
	}
	if len(in.Sources) > 0 {
		describeTraffic(now, b)
	}
}

// describeTraffic invents what a NIC was told, of each family that it has.
func describeTraffic(now *api.NIC, b binding) {
	now.Answers = &api.Answers{Count: map[string]uint64{}}
	now.Counters = &api.Counters{
		FromGuest: 10, ToGuest: 20, Taken: map[string]uint64{},
		Dropped: map[string]uint64{"mac-spoof": 3}, Audited: map[string]uint64{}, Ignored: map[string]uint64{},
	}
	if has := b.of(netip.Addr.Is6); len(has) > 0 {
		maps.Copy(now.Answers.Count, map[string]uint64{"ADVERTISE": 1, "RA": 3, "REPLY": 1})
		now.Answers.Last = append(now.Answers.Last,
			api.Answer{Time: Epoch, Request: "REQUEST", Answer: "REPLY", Addresses: has, XID: "0a1b2c"},
			api.Answer{Time: Epoch, Request: "RS", Answer: "RA"})
		maps.Copy(now.Counters.Taken, map[string]uint64{"dhcp6": 2, "router-solicitation": 1})
		now.Counters.Dropped["ra-rogue"] = 1
	}
	if has := b.of(netip.Addr.Is4); len(has) > 0 {
		maps.Copy(now.Answers.Count, map[string]uint64{"ACK": 1, "OFFER": 2})
		now.Answers.Last = append(now.Answers.Last,
			api.Answer{Time: Epoch, Request: "REQUEST", Answer: "ACK", Addresses: has[:1], XID: "12345678"},
			api.Answer{Time: Epoch, Request: "DECLINE", XID: "0e345678", Reason: reason.DHCPDecline})
		now.Counters.Taken["dhcp4"], now.Counters.Dropped["ip4-spoof"], now.Counters.Ignored["dhcp-decline"] = 4, 7, 1
	}
}

// changed wakes who waits and notes an event; the caller holds the lock.
func (n *Node) changed(name, kind string) {
	close(n.moved)
	n.moved = make(chan struct{})
	n.Add(api.Event{Time: Epoch, NIC: name, Index: n.links[name], Kind: kind, Text: name + " " + kind})
}

func (n *Node) note(ctx context.Context) {
	if a, ok := api.ActorFrom(ctx); ok {
		n.actors = append(n.actors, a.String())
	}
}
