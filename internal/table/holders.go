package table

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/berth-net/berth/internal/nic"
)

// holding is one thing that a binding wants in a space: a MAC, an address (as a
// prefix of one), or a whole prefix.
type holding struct {
	in     *space
	mac    nic.MAC
	prefix netip.Prefix // zero: it is the MAC
	share  string       // who has it together, all that name the same; "": the NIC alone
}

// claim is who has something, and with whom; a zero one is nobody's.
type claim struct {
	binding *nic.Binding
	share   string
}

// String prints who it is, and where it was declared.
func (c claim) String() string {
	who := fmt.Sprintf("NIC %s (%s)", c.binding.NIC, at(c.binding))
	if c.share != "" {
		who += " in shared group " + c.share
	}
	return who
}

// admits reports whether h may be had beside it.
func (c claim) admits(h holding) bool { return h.share != "" && h.share == c.share }

// within is the same holding widened to a prefix length.
func (h holding) within(bits int) holding {
	// Only prefixes longer than bits are widened, so there is no error.
	h.prefix, _ = h.prefix.Addr().Prefix(bits)
	return h
}

// String prints what is held and where.
func (h holding) String() string {
	if h.share == "" {
		return h.what() + h.in.where
	}
	return h.what() + " of shared group " + h.share + h.in.where
}

func (h holding) what() string {
	switch {
	case !h.prefix.IsValid() && h.share != "":
		return fmt.Sprintf("vrid %d (MAC %s)", h.mac[5], h.mac)
	case !h.prefix.IsValid():
		return "MAC " + h.mac.String()
	case h.prefix.IsSingleIP():
		return "address " + h.prefix.Addr().String()
	}
	return "prefix " + h.prefix.String()
}

// against prints what cannot be had because of theirs.
func (h holding) against(theirs holding) string {
	switch {
	case h == theirs:
		return h.String()
	case h.prefix.Bits() > theirs.prefix.Bits():
		return h.what() + " lies in " + theirs.prefix.String() + h.in.where + ", which"
	}
	return h.what() + " contains " + theirs.what() + h.in.where + ", which"
}

// conflict returns who stands in the way of h, and with what; the zero claim if
// nobody.
func (h holding) conflict() (claim, holding) {
	s := h.in
	if !h.prefix.IsValid() {
		if c, ok := s.macs[h.mac]; ok && !c.admits(h) {
			return c, h
		}
		return claim{}, holding{}
	}
	if c, ok := s.held[h.prefix]; ok && !c.admits(h) {
		return c, h
	}
	for around := range s.around(h) {
		if c, ok := s.held[around.prefix]; ok {
			return c, around
		}
	}
	if in, ok := s.inside[h.prefix]; ok {
		return s.held[in.one], holding{in: s, prefix: in.one}
	}
	return claim{}, holding{}
}

func (h holding) add(b *nic.Binding) {
	s := h.in
	if !h.prefix.IsValid() {
		claimFirst(s.macs, h.mac, claim{b, h.share})
		return
	}
	claimFirst(s.held, h.prefix, claim{b, h.share})
	for around := range s.around(h) {
		in, ok := s.inside[around.prefix]
		if !ok {
			in.one = h.prefix
		}
		in.count++
		s.inside[around.prefix] = in
	}
}

// remove takes h away from the only one who has it.
func (h holding) remove() {
	s := h.in
	if !h.prefix.IsValid() {
		delete(s.macs, h.mac)
		return
	}
	delete(s.held, h.prefix)
	for around := range s.around(h) {
		in := s.inside[around.prefix]
		if in.count--; in.count > 0 {
			s.inside[around.prefix] = in
		} else {
			delete(s.inside, around.prefix)
		}
	}
}

// claimFirst notes who has something; of those who share it, the first.
func claimFirst[K comparable](held map[K]claim, what K, c claim) {
	if c.share != "" {
		if _, ok := held[what]; ok {
			return
		}
	}
	held[what] = c
}

// space is where a thing is had once: a network, or a group of NICs.
// Overlapping prefixes are found by looking up each length that any NIC of the
// network has a whole prefix of: those are few, so that ten thousand NICs cost
// ten thousand times as much as one.
type space struct {
	where   string // " in network red"
	lengths []int  // of all whole prefixes
	macs    map[nic.MAC]claim
	held    map[netip.Prefix]claim
	inside  map[netip.Prefix]within // by prefix: what is held within it
}

// within is how much is held within a prefix, and the first of it, which may
// have gone since.
type within struct {
	count int
	one   netip.Prefix
}

// around yields every prefix that contains h and that some NIC could hold.
func (s *space) around(h holding) func(yield func(holding) bool) {
	return func(yield func(holding) bool) {
		if !h.prefix.Addr().Is6() {
			return
		}
		for _, bits := range s.lengths {
			if bits < h.prefix.Bits() && !yield(h.within(bits)) {
				return
			}
		}
	}
}

// holders remembers who has what, in every network and in every group.
type holders struct {
	networks, groups map[string]*space
	wants            []holding // of the binding looked at last
}

func newHolders(all []candidate) *holders {
	h := &holders{networks: map[string]*space{}, groups: map[string]*space{}}
	sizes := map[string]int{}
	for _, c := range all {
		sizes[c.binding.Network]++
	}
	for name, n := range sizes {
		h.networks[name] = newNetwork(name, n)
	}
	for _, c := range all {
		h.lengths(c.binding)
	}
	return h
}

// lengths notes which lengths of whole prefixes there are, and makes room for
// a group.
func (s *holders) lengths(b *nic.Binding) {
	network := s.networks[b.Network]
	for _, list := range [][]netip.Prefix{b.SLAAC, b.Delegated} {
		for _, p := range list {
			if !slices.Contains(network.lengths, p.Bits()) {
				network.lengths = append(network.lengths, p.Bits())
			}
		}
	}
	s.group(b.Group)
}

// group makes room for a group, if it is one.
func (s *holders) group(name string) {
	if name != "" && s.groups[name] == nil {
		s.groups[name] = newSpace(" of group "+name, 0)
	}
}

func newNetwork(name string, nics int) *space {
	where := ""
	if name != "" {
		where = " in network " + name
	}
	return newSpace(where, nics)
}

func newSpace(where string, nics int) *space {
	return &space{
		where:  where,
		macs:   make(map[nic.MAC]claim, nics),
		held:   make(map[netip.Prefix]claim, nics),
		inside: map[netip.Prefix]within{},
	}
}

// holdings lists what a binding wants, until it is asked again. Link-locals are
// of one segment, which is not known here; the guard keeps those apart.
func (s *holders) holdings(b *nic.Binding) []holding {
	network := s.networks[b.Network]
	hs := append(s.wants[:0], holding{in: network, mac: b.MAC})
	if b.Group != "" {
		hs = append(hs, holding{in: s.groups[b.Group], mac: b.MAC})
	}
	for _, p := range b.Addresses {
		hs = append(hs, holding{in: network, prefix: single(p.Addr())})
	}
	for _, list := range [][]netip.Prefix{b.SLAAC, b.Delegated} {
		for _, p := range list {
			hs = append(hs, holding{in: network, prefix: p})
		}
	}
	s.wants = shared(hs, network, b)
	return s.wants
}

// shared appends what a binding has together with others: the addresses, and
// their virtual routers by their MACs.
func shared(hs []holding, network *space, b *nic.Binding) []holding {
	for i := range b.Shared {
		share := &b.Shared[i]
		for _, a := range share.Addresses {
			hs = append(hs, holding{in: network, prefix: single(a), share: share.Group})
		}
		for _, m := range share.VirtualMACs() {
			hs = append(hs, holding{in: network, mac: m, share: share.Group})
		}
	}
	return hs
}

func single(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }
