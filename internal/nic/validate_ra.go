package nic

import (
	"fmt"
	"net/netip"
	"slices"
)

const (
	minInterval = Seconds(4) // RFC 4861 section 6.2.1
	maxInterval = Seconds(1800)
	maxLifetime = Seconds(65535) // RFC 8319 section 4
	// advertisementSpace is what the least IPv6 packet leaves for ICMPv6.
	advertisementSpace = minMTU6 - 40
)

func (c *checker) ra() {
	a := &c.b.RA
	if a.Mode > RASite {
		c.bad("ra.mode", fmt.Sprint(a.Mode), "unknown mode")
	}
	if !a.Preference.known() {
		c.bad("ra.preference", fmt.Sprint(a.Preference), "unknown preference")
	}
	c.interval()
	c.lifetimes("ra", a.Preferred, a.Valid, "RFC 4861 section 4.6.2")
	c.raRoutes()
	if a.PREF64 != (netip.Prefix{}) {
		if q := pref64Problem(a.PREF64); q != "" {
			c.bad("ra.pref64", prefixText(a.PREF64), "%s", q)
		}
	}
	c.advertisementSize()
}

func (p Preference) known() bool {
	return p == PreferenceMedium || p == PreferenceHigh || p == PreferenceLow
}

// interval holds the times to RFC 4861 section 6.2.1.
func (c *checker) interval() {
	a := &c.b.RA
	if a.Interval < minInterval || a.Interval > maxInterval {
		c.bad("ra.interval", secondsText(a.Interval), "must be %s to %s (RFC 4861 section 6.2.1)", secondsText(minInterval), secondsText(maxInterval))
		return
	}
	switch l := a.Lifetime; {
	case l == 0:
	case l < a.Interval:
		c.bad("ra.lifetime", secondsText(l), "shorter than the interval of %s: the guest would lose its router between two advertisements", secondsText(a.Interval))
	case l > maxLifetime:
		c.bad("ra.lifetime", secondsText(l), "at most %s (RFC 8319 section 4)", secondsText(maxLifetime))
	}
}

func (c *checker) raRoutes() {
	a := &c.b.RA
	for i, r := range a.Routes {
		field := at("ra.routes", i)
		same := func(o RARoute) bool { return o.To == r.To }
		if q := destinationProblem6(r.To); q != "" {
			c.bad(field+".to", prefixText(r.To), "%s", q)
		} else if j := slices.IndexFunc(a.Routes, same); j < i {
			c.bad(field+".to", r.To.String(), "the same destination as %s", at("ra.routes", j))
		}
		if !r.Preference.known() {
			c.bad(field+".preference", fmt.Sprint(r.Preference), "unknown preference")
		}
	}
}

func destinationProblem6(p netip.Prefix) string {
	switch {
	case !p.IsValid():
		return "not a prefix"
	case p.Addr().Is4():
		return "not an IPv6 prefix; IPv4 routes are written as routes"
	case p != p.Masked():
		return "host bits are set; the prefix is " + p.Masked().String()
	case p.Bits() == 0:
		return ""
	}
	return addressProblem6(p.Addr())
}

// pref64Problem holds a NAT64 prefix to RFC 8781 section 4 and RFC 6052
// section 2.2.
func pref64Problem(p netip.Prefix) string {
	switch {
	case !p.IsValid():
		return "not a prefix"
	case p.Addr().Is4():
		return "not an IPv6 prefix"
	case p != p.Masked():
		return "host bits are set; the prefix is " + p.Masked().String()
	case !slices.Contains([]int{96, 64, 56, 48, 40, 32}, p.Bits()):
		return "must be a /96, /64, /56, /48, /40 or /32 (RFC 8781 section 4)"
	case p.Addr().As16()[8] != 0:
		return "bits 64 to 71 must be zero (RFC 6052 section 2.2)"
	}
	return addressProblem6(p.Addr())
}

// advertisementSize refuses a binding whose router advertisement could not be
// sent whole on every link.
func (c *checker) advertisementSize() {
	b := c.b
	if b.RA.Mode != RAServe {
		return
	}
	const header, linkLayer, mtu, pref64, perOption = 16, 8, 8, 16, 7
	total := header + linkLayer + mtu + pref64 + 32*announced(b)
	servers := len(b.DNS) - count4(b.DNS)
	total += 16*servers + 8*((servers+perOption-1)/perOption)
	for names := range slices.Chunk(searched(b), perOption) {
		total += 8 + padded(namesSize(names))
	}
	for _, r := range b.RA.Routes {
		total += 8 + 8*((max(r.To.Bits(), 0)+63)/64)
	}
	total += padded(2 + len(b.CaptivePortal))
	if total > advertisementSpace {
		c.bad("ra", "", "a router advertisement with all prefixes, routes and servers takes up to %d bytes; %d fit the least IPv6 packet", total, advertisementSpace)
	}
}

// announced counts the prefix information options: one for each subnet.
func announced(b *Binding) int {
	subnets := map[netip.Prefix]bool{}
	for _, p := range b.Addresses6() {
		if p.Bits() < 128 {
			subnets[p.Masked()] = true
		}
	}
	for _, p := range b.SLAAC {
		subnets[p] = true
	}
	return len(subnets)
}

func padded(n int) int { return (n + 7) / 8 * 8 }
