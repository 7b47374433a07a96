package nd

import (
	"net/netip"
	"slices"

	"github.com/berth-net/berth/internal/nic"
)

// Compiled is what one NIC is told, prepared for whoever answers without this
// package, byte for byte as Answer does. Whoever does must hand over what
// Compiled says nothing about: a solicitation that is not valid, and one of the
// Others for an address that is the NIC's or in a prefix of it or allowed to it.
type Compiled struct {
	Neighbours []Neighbour
	Others     nic.MAC // of every other global address, for whoever has one and asks for another; zero: silence
	// Conflicts says that a probe for a link-local that is none of Neighbours is
	// told that berth has it, with the O flag.
	Conflicts bool

	RA        *Reply // to all nodes; nil: it has to be asked for of Answer
	Multicast bool   // the RA goes to all nodes even if the solicitor has an address
}

// Neighbour is an address that is answered for; without a MAC, the answer is
// silence.
type Neighbour struct {
	Addr  netip.Addr
	MAC   nic.MAC
	Flags uint8 // R and O (RFC 4861 4.4); S is the solicitation's
}

// Compile prepares the answers of a router; false if it has none. While
// anything is withdrawn there is no RA in it: what that says changes by itself.
func Compile(r Router, gone Withdrawn) (Compiled, bool) {
	b := r.Binding
	if b == nil || b.Suspended || !b.HasIPv6() {
		return Compiled{}, false
	}
	c := Compiled{Neighbours: r.neighbours(), Conflicts: true, Multicast: b.RA.Multicast}
	if b.ServesIPv6() && b.AnswersAll() {
		c.Others = r.GatewayMAC
	}
	if told, ok := r.says(); ok && gone.IsZero() {
		ra := told.advertisement(r.limit(), said{})
		c.RA = &ra
	}
	return c, true
}

// neighbours are those that are answered for, then the link-locals that are the
// NIC's own, each once.
func (r Router) neighbours() []Neighbour {
	var out []Neighbour
	for _, a := range r.Binding.Answers6() {
		n := Neighbour{Addr: a}
		if !isOwn(r.Binding, a) {
			n.MAC, n.Flags = r.mac(a), r.flags(a)
		}
		out = append(out, n)
	}
	for _, a := range append([]netip.Addr{r.Binding.MAC.EUI64()}, r.Binding.LinkLocal.Fixed...) {
		if !slices.ContainsFunc(out, func(n Neighbour) bool { return n.Addr == a }) {
			out = append(out, Neighbour{Addr: a})
		}
	}
	return out
}
