package nic

import (
	"fmt"
	"net/netip"
	"slices"
)

const (
	maxServerName = 63  // sname is 64 bytes with its NUL (RFC 2131 section 2)
	maxBootFile   = 127 // file is 128 bytes with its NUL
	// optionSpace is what a 1500-byte Ethernet packet leaves for options: 1472
	// of UDP payload less the fixed fields and the magic cookie (236 + 4).
	optionSpace = 1472 - 240
)

func (c *checker) dhcp4() {
	d := &c.b.DHCP4
	c.delivered()
	c.serverID()
	c.lease()
	c.options()
	c.boot("dhcp4.boot", d.Boot)
	for _, arch := range sortedKeys(d.BootArch) {
		c.boot(fmt.Sprintf("dhcp4.boot-arch[%d]", arch), d.BootArch[arch])
	}
	c.boot("dhcp4.boot-ipxe", d.BootIPXE)
	c.size()
}

func (c *checker) delivered() {
	switch p := c.b.DHCP4.Address; {
	case p == netip.Prefix{}:
	case !slices.Contains(c.b.Addresses, p):
		c.bad("dhcp4.address", prefixText(p), "not one of the NIC's addresses")
	case p.Addr().Is6():
		c.bad("dhcp4.address", p.String(), "not an IPv4 address; DHCPv6 gives all of IPv6")
	}
}

func (c *checker) serverID() {
	const field = "dhcp4.server-id"
	switch id := c.b.DHCP4.ServerID; {
	case id.Kind > ServerIDFixed:
		c.bad(field, fmt.Sprint(id.Kind), "unknown kind of server identifier")
	case id.Kind != ServerIDFixed:
		if id.Addr.IsValid() {
			c.bad(field, id.Addr.String(), "an address goes with a fixed server identifier only")
		}
	case id.Addr.Is6():
		c.bad(field, id.Addr.String(), "not an IPv4 address")
	case c.own(id.Addr):
		c.bad(field, id.Addr.String(), "the NIC's own address cannot be its server's")
	case slices.ContainsFunc(c.b.Shared, func(s Shared) bool { return slices.Contains(s.Addresses, id.Addr) }):
		c.bad(field, id.Addr.String(), "an address of shared cannot be its server's")
	default:
		p, _ := c.onLink(id.Addr)
		if q := hostProblem(id.Addr, p); q != "" {
			c.bad(field, addrText(id.Addr), "%s", q)
		}
	}
}

// lease holds the times to RFC 2131 section 4.4.5: T1 < T2 < lease.
func (c *checker) lease() {
	d := &c.b.DHCP4
	if d.Lease < minLease {
		c.bad("dhcp4.lease", secondsText(d.Lease), "at least %s", secondsText(minLease))
		return
	}
	if d.MaxLease < d.Lease {
		c.bad("dhcp4.max-lease", secondsText(d.MaxLease), "shorter than the lease of %s", secondsText(d.Lease))
	}
	switch {
	case d.T1 == 0:
	case d.T1 >= d.Lease:
		c.bad("dhcp4.t1", secondsText(d.T1), "not shorter than the lease of %s (RFC 2131 section 4.4.5)", secondsText(d.Lease))
	case d.T2 != 0 && d.T1 >= d.T2:
		c.bad("dhcp4.t1", secondsText(d.T1), "not before t2 of %s (RFC 2131 section 4.4.5)", secondsText(d.T2))
	}
	if d.T2 >= d.Lease {
		c.bad("dhcp4.t2", secondsText(d.T2), "not shorter than the lease of %s (RFC 2131 section 4.4.5)", secondsText(d.Lease))
	}
	// RFC 8925 section 3.4: clients use at least MIN_V6ONLY_WAIT, 300 s.
	if d.V6OnlyWait != 0 && d.V6OnlyWait < 300 {
		c.bad("dhcp4.v6-only-wait", secondsText(d.V6OnlyWait), "at least 300s (RFC 8925 section 3.4)")
	}
}

func secondsText(s Seconds) string {
	if s == Infinite {
		return "infinite"
	}
	return fmt.Sprintf("%ds", s)
}

func (c *checker) boot(field string, b Boot) {
	if b.NextServer.IsValid() {
		if q := problem4(b.NextServer); q != "" {
			c.bad(field+".next-server", b.NextServer.String(), "%s", q)
		}
	}
	c.text(field+".server-name", b.ServerName, maxServerName)
	c.text(field+".file", b.File, maxBootFile)
}

func (c *checker) options() {
	checkOptions(c, "dhcp4.options", c.b.DHCP4.Options, func(o Option) (int, string, string) {
		return int(o.Code), codeProblem(o.Code), knownLength(o.Code).problem(int(o.Code), len(o.Data))
	})
}

// checkOptions permits each option once; look tells its code, and what is wrong
// with that or with its data.
func checkOptions[O any](c *checker, list string, options []O, look func(O) (code int, ofCode, ofData string)) {
	seen := map[int]int{}
	for i, o := range options {
		field := at(list, i)
		code, ofCode, ofData := look(o)
		if j, ok := seen[code]; ok {
			c.bad(field+".code", fmt.Sprint(code), "the same code as %s", at(list, j))
		}
		seen[code] = i
		if ofCode != "" {
			c.bad(field+".code", fmt.Sprint(code), "%s", ofCode)
		} else if ofData != "" {
			c.bad(field, "", "%s", ofData)
		}
	}
}

// codeProblem refuses what the server itself controls: a binding that set the
// message type or the client's identifier would break the protocol.
func codeProblem(code uint8) string {
	switch {
	case code == 0 || code == 255:
		return "pad and end are not options (RFC 2132 section 3)"
	case code >= 50 && code <= 55, code == 57, code == 61, code >= 80 && code <= 82:
		return "set by the server itself, never by a binding"
	}
	return ""
}

// optionLength is what RFC 2132 and its successors say of an option's length.
type optionLength struct{ exact, multiple, least int }

// knownLength returns the rule for well-known options; RFC 2132 unless noted.
func knownLength(code uint8) optionLength {
	switch code {
	case 19, 20, 23, 27, 29, 30, 31, 34, 36, 37, 39, 46, 116: // 116: RFC 2563
		return optionLength{exact: 1}
	case 13, 22, 26:
		return optionLength{exact: 2}
	case 1, 2, 16, 24, 28, 32, 35, 38, 58, 59, 108: // 108: RFC 8925
		return optionLength{exact: 4}
	case 25:
		return optionLength{multiple: 2}
	case 3, 4, 5, 6, 7, 8, 9, 10, 11, 41, 42, 44, 45, 48, 49, 65, 69, 70, 71, 72, 73, 74, 75, 76, 150: // 150: RFC 5859
		return optionLength{multiple: 4}
	case 21, 33:
		return optionLength{multiple: 8}
	case 121, 249: // RFC 3442: at least one descriptor of a width and a router
		return optionLength{least: 5}
	}
	return optionLength{least: 1}
}

func (rule optionLength) problem(code, n int) string {
	switch {
	case rule.exact > 0 && n != rule.exact:
		return fmt.Sprintf("option %d has %d bytes; it must have %d", code, n, rule.exact)
	case rule.multiple > 0 && (n == 0 || n%rule.multiple != 0):
		return fmt.Sprintf("option %d has %d bytes; it must have a multiple of %d", code, n, rule.multiple)
	case n < rule.least:
		return fmt.Sprintf("option %d has %d bytes; it must have at least %d", code, n, rule.least)
	}
	return ""
}

// size refuses a binding whose full answer could never be sent, rather than
// dropping options from it for every guest.
func (c *checker) size() {
	total := 1 // the end option
	for _, n := range optionSizes(c.b) {
		total += encodedSize(n)
	}
	if total > optionSpace {
		c.bad("dhcp4.options", "", "all options together take %d bytes; %d fit one Ethernet packet", total, optionSpace)
	}
}

// encodedSize is the room n bytes take, split by RFC 3396 where needed.
func encodedSize(n int) int { return n + 2*max(1, (n+254)/255) }

// optionSizes returns the data length of each option an answer may carry, by
// code; the binding's own options replace derived ones.
func optionSizes(b *Binding) map[uint8]int {
	m := map[uint8]int{1: 4, 28: 4, 51: 4, 53: 1, 54: 4, 58: 4, 59: 4}
	set := func(code uint8, n int) {
		if n > 0 {
			m[code] = n
		}
	}
	if b.Gateway.IsValid() && !b.NoDefaultRoute {
		set(3, 4)
	}
	set(6, 4*count4(b.DNS))
	set(12, len(b.Hostname))
	set(15, len(b.Domain))
	set(42, 4*count4(b.NTP))
	set(119, namesSize(b.Search))
	set(66, len(b.DHCP4.Boot.ServerName))
	set(67, len(b.DHCP4.Boot.File))
	set(81, 3+len(b.Hostname)+len(b.Domain))
	set(114, len(b.CaptivePortal))
	set(121, routesSize(b))
	set(249, routesSize(b)) // the same again, for who asks for both
	if b.MTU != 0 {
		set(26, 2)
	}
	if b.DHCP4.V6OnlyWait != 0 {
		set(108, 4)
	}
	for _, o := range b.DHCP4.Options {
		m[o.Code] = len(o.Data)
	}
	return m
}

func count4(list []netip.Addr) int {
	n := 0
	for _, a := range list {
		if a.Is4() {
			n++
		}
	}
	return n
}

// routesSize is the length of option 121, with the default route that RFC
// 3442 makes part of it and a host route for each next hop that is off link.
func routesSize(b *Binding) int {
	if len(b.Routes) == 0 {
		return 0
	}
	n := 0
	offLink := map[netip.Addr]bool{}
	hop := func(via netip.Addr) {
		if via.Is4() && !via.IsUnspecified() && !b.Delivered().Contains(via) {
			offLink[via] = true
		}
	}
	for _, r := range b.Routes {
		n += 1 + (max(r.To.Bits(), 0)+7)/8 + 4
		hop(r.Via)
	}
	if b.Gateway.IsValid() && !b.NoDefaultRoute {
		n += 5
		hop(b.Gateway)
	}
	return n + 9*len(offLink)
}
