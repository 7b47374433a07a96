package fleet

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Duration is written as Go's, with days and weeks: "36h", "90d".
type Duration time.Duration

// UnmarshalText reads one; it is never negative.
func (d *Duration) UnmarshalText(text []byte) error {
	s := string(text)
	var days time.Duration
	for _, unit := range []struct {
		letter string
		long   time.Duration
	}{{"w", 7 * 24 * time.Hour}, {"d", 24 * time.Hour}} {
		n, rest, found := strings.Cut(s, unit.letter)
		if !found {
			continue
		}
		var count int
		if _, err := fmt.Sscanf(n, "%d", &count); err != nil || count < 0 || fmt.Sprint(count) != n {
			return fmt.Errorf("%q is not a time such as 36h or 90d", text)
		}
		if count > int(maxDuration/unit.long) {
			return tooLong(text)
		}
		days, s = days+time.Duration(count)*unit.long, rest
	}
	var short time.Duration
	if s != "" && s != "0" {
		var err error
		if short, err = time.ParseDuration(s); err != nil || short < 0 {
			return fmt.Errorf("%q is not a time such as 36h or 90d", text)
		}
	}
	if days+short > maxDuration || days+short < 0 {
		return tooLong(text)
	}
	*d = Duration(days + short)
	return nil
}

// maxDuration is a century: the moments that come of it can be written.
const maxDuration = 100 * 365 * 24 * time.Hour

func tooLong(text []byte) error {
	return fmt.Errorf("%q is longer than %dd, a hundred years", text, maxDuration/(24*time.Hour))
}

// MarshalText prints it so that UnmarshalText reads it.
func (d Duration) MarshalText() ([]byte, error) {
	t := time.Duration(d)
	if t%(24*time.Hour) == 0 && t != 0 {
		return fmt.Appendf(nil, "%dd", t/(24*time.Hour)), nil
	}
	return []byte(t.String()), nil
}

// Range is addresses of one family, from First to Last, both included. It is
// written as "192.0.2.10-192.0.2.99", as a prefix, or as one address.
type Range struct{ First, Last netip.Addr }

// UnmarshalText reads one.
func (r *Range) UnmarshalText(text []byte) error {
	s := string(text)
	if p, err := netip.ParsePrefix(s); err == nil {
		if p != p.Masked() {
			return fmt.Errorf("%q has bits behind its length: %s is the prefix", s, p.Masked())
		}
		*r = Range{p.Addr(), lastOf(p)}
		return nil
	}
	first, last, two := strings.Cut(s, "-")
	a, err := netip.ParseAddr(strings.TrimSpace(first))
	b := a
	if err == nil && two {
		b, err = netip.ParseAddr(strings.TrimSpace(last))
	}
	if err != nil || a.Zone() != "" || a.Is4In6() || a.BitLen() != b.BitLen() || b.Less(a) {
		return fmt.Errorf("%q is not a range: want FIRST-LAST of one family, a prefix or an address", s)
	}
	*r = Range{a, b}
	return nil
}

// MarshalText prints it so that UnmarshalText reads it.
func (r Range) MarshalText() ([]byte, error) {
	if r.First == r.Last {
		return r.First.MarshalText()
	}
	return []byte(r.First.String() + "-" + r.Last.String()), nil
}

// Contains reports whether an address is in it.
func (r Range) Contains(a netip.Addr) bool {
	return a.BitLen() == r.First.BitLen() && !a.Less(r.First) && !r.Last.Less(a)
}

// String prints it as it is written.
func (r Range) String() string {
	text, _ := r.MarshalText() // of an address, which is never an error
	return string(text)
}

// Overlaps reports whether an address is in both.
func (r Range) Overlaps(o Range) bool {
	return r.First.BitLen() == o.First.BitLen() && !r.Last.Less(o.First) && !o.Last.Less(r.First)
}

// RangeOf is all addresses of a prefix.
func RangeOf(p netip.Prefix) Range { return Range{p.Masked().Addr(), lastOf(p)} }

// Serves reports whether the node can serve a network (R125).
func (n *Node) Serves(network string) bool {
	return len(n.Networks) == 0 || slices.Contains(n.Networks, "*") || slices.Contains(n.Networks, network)
}

// Contains reports whether an address is in one of the pool's ranges.
func (p *Pool) Contains(a netip.Addr) bool { return within(p.Ranges, a) }

// Excludes reports whether an address is in a part that is not given away.
func (p *Pool) Excludes(a netip.Addr) bool { return within(p.Exclude, a) }

func within(list []Range, a netip.Addr) bool {
	for _, r := range list {
		if r.Contains(a) {
			return true
		}
	}
	return false
}

// lastOf returns the highest address of a prefix.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}
