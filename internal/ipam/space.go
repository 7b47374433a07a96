package ipam

import (
	"encoding/binary"
	"math"
	"net/netip"

	"github.com/berth-net/berth/internal/nic"
)

// What an owner's name begins with.
const (
	ownerNIC      = "nic:"
	ownerFailover = "failover:"
)

// holding is a fleet.Claim of an address, without what follows from its key.
type holding struct {
	owner        string // "": nobody, kept until until
	since, until int64  // nanoseconds; 0: none
	rev          int64
	project      symbol
	node, by     symbol
	awaits       symbol
	mac          nic.MAC // zero: none
}

// heldUntil is when another may have it that nobody has: never, while a node is
// awaited.
func (h holding) heldUntil() int64 {
	if h.awaits != 0 {
		return math.MaxInt64
	}
	return h.until
}

// space is one network's addresses, prefixes and MACs, and whose they are.
type space struct {
	addresses map[u128]holding
	occupied  *occupied
	macs      map[nic.MAC]named
	prefixes  map[netip.Prefix]named
	lengths   map[int]int    // of prefixes: how many
	owned     int64          // addresses
	inside    map[uint64]int // by the first half of an IPv6 address: how many are owned
}

func newSpace() *space {
	s := &space{
		addresses: map[u128]holding{},
		macs:      map[nic.MAC]named{},
		prefixes:  map[netip.Prefix]named{},
		lengths:   map[int]int{},
		inside:    map[uint64]int{},
	}
	s.occupied = newOccupied(func(a u128) int64 { return s.addresses[a].heldUntil() })
	return s
}

func (s *space) put(a netip.Addr, h holding) {
	n := number(a)
	s.count(a, s.addresses[n].owner, h.owner)
	s.addresses[n] = h
	s.occupied.set(n, h.owner != "", h.heldUntil() != 0)
}

func (s *space) clear(a netip.Addr) {
	n := number(a)
	s.count(a, s.addresses[n].owner, "")
	delete(s.addresses, n)
	s.occupied.set(n, false, false)
}

// count keeps how many addresses are owned, and how many in each /64.
func (s *space) count(a netip.Addr, was, is string) {
	if (was == "") == (is == "") {
		return
	}
	if is != "" {
		s.owned++
	} else {
		s.owned--
	}
	if a.Is4() {
		return
	}
	half := number(a).hi
	if is != "" {
		s.inside[half]++
	} else if s.inside[half]--; s.inside[half] <= 0 {
		delete(s.inside, half)
	}
}

func (s *space) claimPrefix(p netip.Prefix, who named) {
	if _, ok := s.prefixes[p]; !ok {
		s.lengths[p.Bits()]++
	}
	s.prefixes[p] = who
}

func (s *space) releasePrefix(p netip.Prefix) {
	if _, ok := s.prefixes[p]; !ok {
		return
	}
	delete(s.prefixes, p)
	if s.lengths[p.Bits()]--; s.lengths[p.Bits()] == 0 {
		delete(s.lengths, p.Bits())
	}
}

// around returns the claimed prefix that a prefix lies in, which may be the
// prefix itself.
func (s *space) around(p netip.Prefix) (netip.Prefix, named, bool) {
	if p.Addr().Is4() {
		return netip.Prefix{}, named{}, false
	}
	for bits := range s.lengths {
		if bits > p.Bits() {
			continue
		}
		wide, _ := p.Addr().Prefix(bits) // shorter than the address
		if who, ok := s.prefixes[wide]; ok {
			return wide, who, true
		}
	}
	return netip.Prefix{}, named{}, false
}

// within returns an owned address, or a claimed prefix, that lies in a prefix
// and that somebody else than owner has.
func (s *space) within(p netip.Prefix, owner string) (string, named, bool) {
	for o, who := range s.prefixes {
		if p.Overlaps(o) && who.owner != owner {
			return o.String(), who, true
		}
	}
	if !s.touched(p) {
		return "", named{}, false
	}
	for n, h := range s.addresses {
		if a := n.addr(); h.owner != "" && h.owner != owner && p.Contains(a) {
			return a.String(), named{h.owner, h.rev}, true
		}
	}
	return "", named{}, false
}

// touched reports whether an owned address may lie in a prefix.
func (s *space) touched(p netip.Prefix) bool {
	b := p.Masked().Addr().As16()
	first := binary.BigEndian.Uint64(b[:8])
	if p.Bits() >= 64 {
		return s.inside[first] > 0
	}
	for half := range s.inside {
		if half>>(64-p.Bits()) == first>>(64-p.Bits()) {
			return true
		}
	}
	return false
}
