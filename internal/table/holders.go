package table

import (
	"net/netip"
	"slices"

	"github.com/berth-net/berth/internal/nic"
)

// holding is one thing that only one NIC of a network can have: a MAC, an
// address (as a prefix of one), or a whole prefix.
type holding struct {
	network string
	mac     nic.MAC
	prefix  netip.Prefix
}

// holdings lists what a binding wants for itself. Link-locals are of one
// segment, which is not known here; the guard keeps those apart.
func holdings(b *nic.Binding) []holding {
	hs := make([]holding, 0, 1+len(b.Addresses)+len(b.SLAAC)+len(b.Delegated))
	hs = append(hs, holding{network: b.Network, mac: b.MAC})
	for _, p := range b.Addresses {
		hs = append(hs, holding{network: b.Network, prefix: netip.PrefixFrom(p.Addr(), p.Addr().BitLen())})
	}
	for _, p := range wholePrefixes(b) {
		hs = append(hs, holding{network: b.Network, prefix: p})
	}
	return hs
}

func wholePrefixes(b *nic.Binding) []netip.Prefix { return slices.Concat(b.SLAAC, b.Delegated) }

// within is the same holding widened to a prefix length.
func (h holding) within(bits int) holding {
	// Only prefixes longer than bits are widened, so there is no error.
	h.prefix, _ = h.prefix.Addr().Prefix(bits)
	return h
}

// String prints what is held and where.
func (h holding) String() string { return h.what() + h.where() }

func (h holding) what() string {
	switch {
	case !h.prefix.IsValid():
		return "MAC " + h.mac.String()
	case h.prefix.IsSingleIP():
		return "address " + h.prefix.Addr().String()
	}
	return "prefix " + h.prefix.String()
}

func (h holding) where() string {
	if h.network == "" {
		return ""
	}
	return " in network " + h.network
}

// against prints what cannot be had because of theirs.
func (h holding) against(theirs holding) string {
	switch {
	case h == theirs:
		return h.String()
	case h.prefix.Bits() > theirs.prefix.Bits():
		return h.what() + " lies in " + theirs.prefix.String() + h.where() + ", which"
	}
	return h.what() + " contains " + theirs.what() + h.where() + ", which"
}

// holders remembers who has what. Overlapping prefixes are found by looking
// up each length that any NIC of the network has a whole prefix of: those are
// few, so that ten thousand NICs cost ten thousand times as much as one.
type holders struct {
	lengths map[string][]int // of all whole prefixes, by network
	held    map[holding]*nic.Binding
	inside  map[holding]holding // by prefix: one thing held within it
}

func newHolders(all []candidate) *holders {
	h := &holders{lengths: map[string][]int{}, held: map[holding]*nic.Binding{}, inside: map[holding]holding{}}
	for _, c := range all {
		for _, p := range wholePrefixes(c.binding) {
			if n := c.binding.Network; !slices.Contains(h.lengths[n], p.Bits()) {
				h.lengths[n] = append(h.lengths[n], p.Bits())
			}
		}
	}
	return h
}

// conflict returns who stands in the way of h, and with what; nil if nobody.
func (s *holders) conflict(h holding) (*nic.Binding, holding) {
	if b := s.held[h]; b != nil {
		return b, h
	}
	for _, around := range s.around(h) {
		if b := s.held[around]; b != nil {
			return b, around
		}
	}
	if in, ok := s.inside[h]; ok {
		return s.held[in], in
	}
	return nil, holding{}
}

func (s *holders) add(h holding, b *nic.Binding) {
	s.held[h] = b
	for _, around := range s.around(h) {
		if _, ok := s.inside[around]; !ok {
			s.inside[around] = h
		}
	}
}

// around returns every prefix that contains h and that some NIC could hold.
func (s *holders) around(h holding) []holding {
	if !h.prefix.Addr().Is6() {
		return nil
	}
	var out []holding
	for _, bits := range s.lengths[h.network] {
		if bits < h.prefix.Bits() {
			out = append(out, h.within(bits))
		}
	}
	return out
}
