package nic

import (
	"fmt"
	"net/netip"
	"slices"
)

const (
	minDUID = 3 // a type and at least one octet (RFC 8415 section 11.1)
	maxDUID = 130
	// MaxServerDUID is less than what RFC 8415 allows: it stands in every reply,
	// and what a binding may hold is measured with one this long, a DUID-UUID.
	MaxServerDUID = 18
	minIRT        = Seconds(600) // IRT_MINIMUM, RFC 8415 section 7.6
	// minMaxRT and maxMaxRT bound SOL_MAX_RT and INF_MAX_RT (RFC 8415 sections
	// 21.24 and 21.25).
	minMaxRT = Seconds(60)
	maxMaxRT = Seconds(86400)

	maxBootArgs = 16
	maxBootArg  = 255

	// optionSpace6 is what the least IPv6 packet leaves for a DHCPv6 message.
	optionSpace6 = minMTU6 - 40 - 8
	// fixedSize6 is the header (4) and the largest of what stands in every
	// reply: both identifiers, rapid commit, preference, server unicast, and
	// the header of one identity association.
	fixedSize6 = 200
	iaSize     = 16 // of an IA_NA or IA_PD without its options (RFC 8415 section 21.4)
	iaAddrSize = 28
	iaPDSize   = 29
)

func (c *checker) dhcp6() {
	d := &c.b.DHCP6
	if d.Mode > DHCP6Off {
		c.bad("dhcp6.mode", fmt.Sprint(d.Mode), "unknown mode")
	}
	c.lifetimes("dhcp6", d.Preferred, d.Valid, "RFC 8415 section 21.6")
	c.renewal()
	c.clientTimes()
	if n := len(d.DUID); d.DUID != nil && (n < minDUID || n > maxDUID) {
		c.bad("dhcp6.duid", "", "%d bytes; a DUID has %d to %d (RFC 8415 section 11.1)", n, minDUID, maxDUID)
	}
	if n := len(d.ServerDUID); d.ServerDUID != nil && (n < minDUID || n > MaxServerDUID) {
		c.bad("dhcp6.server-duid", "", "%d bytes; every reply must have room for it: want %d to %d", n, minDUID, MaxServerDUID)
	}
	c.associations()
	c.options6()
	c.boot6()
	c.size6()
}

// lifetimes checks a pair that goes on the wire together.
func (c *checker) lifetimes(key string, preferred, valid Seconds, rfc string) {
	switch {
	case valid < minLease:
		c.bad(key+".valid", secondsText(valid), "at least %s", secondsText(minLease))
	case preferred < minLease:
		c.bad(key+".preferred", secondsText(preferred), "at least %s", secondsText(minLease))
	case preferred > valid:
		c.bad(key+".preferred", secondsText(preferred), "longer than the valid lifetime of %s (%s)", secondsText(valid), rfc)
	}
}

// renewal holds T1 and T2 to RFC 8415 section 21.4. 0 leaves one to the client.
func (c *checker) renewal() {
	const rfc = "(RFC 8415 section 21.4)"
	d := &c.b.DHCP6
	switch {
	case d.T1 > d.Preferred:
		c.bad("dhcp6.t1", secondsText(d.T1), "longer than the preferred lifetime of %s %s", secondsText(d.Preferred), rfc)
	case d.T2 != 0 && d.T1 > d.T2:
		c.bad("dhcp6.t1", secondsText(d.T1), "after t2 of %s %s", secondsText(d.T2), rfc)
	}
	if d.T2 > d.Preferred {
		c.bad("dhcp6.t2", secondsText(d.T2), "longer than the preferred lifetime of %s %s", secondsText(d.Preferred), rfc)
	}
}

func (c *checker) clientTimes() {
	d := &c.b.DHCP6
	if d.Refresh != 0 && d.Refresh < minIRT {
		c.bad("dhcp6.refresh", secondsText(d.Refresh), "at least %s (RFC 8415 section 21.23)", secondsText(minIRT))
	}
	for _, rt := range []struct {
		field, section string
		value          Seconds
	}{{"dhcp6.sol-max-rt", "21.24", d.SolMaxRT}, {"dhcp6.inf-max-rt", "21.25", d.InfMaxRT}} {
		if rt.value != 0 && (rt.value < minMaxRT || rt.value > maxMaxRT) {
			c.bad(rt.field, secondsText(rt.value), "must be %s to %s (RFC 8415 section %s)", secondsText(minMaxRT), secondsText(maxMaxRT), rt.section)
		}
	}
}

// associations checks what is given by IAID and as IA_TA: all of it is the
// NIC's, and nothing is given twice.
func (c *checker) associations() {
	d := &c.b.DHCP6
	if n := len(d.IAs); n > MaxIAs {
		c.bad("dhcp6.ia", fmt.Sprint(n), "at most %d identity associations", MaxIAs)
		return
	}
	iaids := map[uint32]int{}
	g := giving{c, map[netip.Prefix]string{}}
	for i, ia := range d.IAs {
		field := at("dhcp6.ia", i)
		if j, ok := iaids[ia.IAID]; ok {
			c.bad(field+".iaid", fmt.Sprint(ia.IAID), "the same IAID as %s", at("dhcp6.ia", j))
		} else if len(ia.Addresses)+len(ia.Prefixes) == 0 {
			c.bad(field, "", "gives nothing; list addresses or prefixes")
		}
		iaids[ia.IAID] = i
		g.addresses(field+".addresses", ia.Addresses)
		g.prefixes(field+".prefixes", ia.Prefixes)
	}
	g.addresses("dhcp6.temporary", d.Temporary)
}

// giving remembers where each address and prefix is listed.
type giving struct {
	c    *checker
	seen map[netip.Prefix]string
}

func (g giving) addresses(field string, list []netip.Addr) {
	for i, a := range list {
		switch {
		case !a.Is6() || !g.c.own(a):
			g.c.bad(at(field, i), addrText(a), "not one of the NIC's IPv6 addresses")
		case !g.first(at(field, i), netip.PrefixFrom(a, 128)):
			g.c.bad(at(field, i), a.String(), "already in %s", g.seen[netip.PrefixFrom(a, 128)])
		}
	}
}

func (g giving) prefixes(field string, list []netip.Prefix) {
	for i, p := range list {
		switch {
		case !slices.Contains(g.c.b.Delegated, p):
			g.c.bad(at(field, i), prefixText(p), "not one of the NIC's delegated prefixes")
		case !g.first(at(field, i), p):
			g.c.bad(at(field, i), p.String(), "already in %s", g.seen[p])
		}
	}
}

func (g giving) first(field string, p netip.Prefix) bool {
	if _, listed := g.seen[p]; listed {
		return false
	}
	g.seen[p] = field
	return true
}

func (c *checker) options6() {
	checkOptions(c, "dhcp6.options", c.b.DHCP6.Options, func(o Option6) (int, string, string) {
		return int(o.Code), codeProblem6(o.Code), knownLength6(o.Code).problem(int(o.Code), len(o.Data))
	})
}

// codeProblem6 refuses what carries the protocol itself, by RFC 8415 unless
// noted: the server makes it of what the client says.
func codeProblem6(code uint16) string {
	switch code {
	case 0:
		return "no option has this code"
	case 7:
		return "set by dhcp6.preference"
	case 12:
		return "set by dhcp6.unicast"
	case 14:
		return "set by dhcp6.rapid-commit"
	case 32:
		return "set by dhcp6.refresh"
	case 1, 2, 3, 4, 5, 11, 13, 19, 20, 25, 26, 39, 67, 87, 138, 139: // RFC 4704, 6603, 7341, 8947
		return "set by the server itself, never by a binding"
	case 6, 8, 15, 16, 61, 62, 112: // RFC 5970, 8520
		return "sent by clients only"
	case 9, 18, 37, 38, 43, 53, 66, 79, 80, 81, 135: // RFC 4649, 4580, 4994, 5460, 6422, 6939, 6977, 7037, 8357
		return "passed between relays and servers only"
	}
	return ""
}

// knownLength6 returns the rule for options that hold addresses or times.
func knownLength6(code uint16) optionLength {
	switch code {
	case 82, 83:
		return optionLength{exact: 4}
	case 22, 23, 27, 28, 31, 34, 40: // RFC 3319, 3646, 3898, 4075, 4280, 5192
		return optionLength{multiple: 16}
	}
	return optionLength{}
}

func (c *checker) boot6() {
	d := &c.b.DHCP6
	c.uri("dhcp6.boot-url", d.BootURL)
	for _, arch := range sortedKeys(d.BootArch) {
		field := fmt.Sprintf("dhcp6.boot-arch[%d]", arch)
		if d.BootArch[arch] == "" {
			c.bad(field, "", "has no URL")
		}
		c.uri(field, d.BootArch[arch])
	}
	if n := len(d.BootArgs); n > maxBootArgs {
		c.bad("dhcp6.boot-args", fmt.Sprint(n), "at most %d parameters", maxBootArgs)
		return
	}
	for i, s := range d.BootArgs {
		if s == "" {
			c.bad(at("dhcp6.boot-args", i), "", "an empty parameter")
		}
		c.text(at("dhcp6.boot-args", i), s, maxBootArg)
	}
}

// size6 refuses a binding whose full reply could never be sent on every link.
func (c *checker) size6() {
	d := &c.b.DHCP6
	total := fixedSize6 + iaSize*len(d.IAs)
	if d.Mode == DHCP6Both || d.Mode == DHCP6Stateful {
		total += iaAddrSize*len(c.b.Addresses6()) + iaSize + iaPDSize*len(c.b.Delegated)
	}
	for _, n := range optionSizes6(c.b) {
		total += 4 + n
	}
	if total > optionSpace6 {
		c.bad("dhcp6", "", "a reply with all addresses, prefixes and options takes up to %d bytes; %d fit the least IPv6 packet", total, optionSpace6)
	}
}

// optionSizes6 returns the data length of each configuration option a reply
// may carry, by code; the binding's own options replace derived ones.
func optionSizes6(b *Binding) map[uint16]int {
	d, m := &b.DHCP6, map[uint16]int{}
	set := func(code uint16, n int) {
		if n > 0 {
			m[code] = n
		}
	}
	ntp := len(b.NTP) - count4(b.NTP)
	set(23, 16*(len(b.DNS)-count4(b.DNS)))
	set(24, namesSize(searched(b)))
	set(31, 16*ntp)
	set(56, 24*ntp-4) // an option for each server, RFC 5908 section 4
	if b.Hostname != "" {
		set(39, 3+len(b.Hostname)+1+len(b.Domain)) // flags, labels, root
	}
	url := len(b.DHCP6.BootURL)
	for _, u := range d.BootArch {
		url = max(url, len(u))
	}
	set(59, url)
	for _, s := range d.BootArgs {
		m[60] += 2 + len(s)
	}
	for code, t := range map[uint16]Seconds{32: d.Refresh, 82: d.SolMaxRT, 83: d.InfMaxRT} {
		if t != 0 {
			m[code] = 4
		}
	}
	set(103, len(b.CaptivePortal))
	for _, o := range d.Options {
		m[o.Code] = len(o.Data)
	}
	return m
}

// searched is the search list, or at most the domain that takes its place.
func searched(b *Binding) []string {
	switch {
	case len(b.Search) > 0:
		return b.Search
	case b.Domain != "":
		return []string{b.Domain}
	}
	return []string{b.Hostname}
}

// namesSize is the length of names as RFC 1035 section 3.1 writes them.
func namesSize(names []string) int {
	n := 0
	for _, s := range names {
		n += len(s) + 2 // a length octet for every label, and the root
	}
	return n
}
