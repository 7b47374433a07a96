package nic

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Limits of a binding. They bound what one NIC can cost a host, and what fits
// on the wire.
const (
	MaxAddresses      = 256 // of both families
	MaxSLAAC          = 8
	MaxDelegated      = 16
	MaxIAs            = 16
	MaxRoutes         = 256
	MaxAllowAddresses = 65536
	MaxAllowMACs      = 15
	MaxEthertypes     = 8
	MaxVLANs          = 8
	MaxPeers          = 8
	MaxRouters        = 4
	MaxTags           = 64

	MaxShared          = 8
	MaxSharedAddresses = 16 // of all shares

	maxName = 63 // of a network or a group, in bytes

	minMTU   = 68   // RFC 791: every link carries this much
	minMTU6  = 1280 // RFC 8200 section 5
	minLease = Seconds(60)
	// minAllowBits keeps a typing error such as /0 from opening the guard.
	minAllowBits  = 8
	minAllowBits6 = 16
)

// FieldError is one bad value of a binding. Field is the path in the file
// format, such as "addresses[1]" or "dhcp4.server-id".
type FieldError struct {
	Field   string
	Value   string
	Problem string
}

// Error prints the field, the value if there is one, and the problem.
func (e *FieldError) Error() string {
	if e.Value == "" {
		return e.Field + ": " + e.Problem
	}
	return fmt.Sprintf("%s %q: %s", e.Field, e.Value, e.Problem)
}

// Validate returns every bad value of a binding, joined; each is a
// *FieldError. A binding for which it returns nil can be enforced and
// answered without a further check.
func Validate(b *Binding) error {
	c := checker{b: b}
	c.name()
	c.mac()
	c.names()
	c.addresses()
	c.gateway()
	c.gateway6()
	c.gatewayMAC()
	c.broadcast()
	c.routes()
	c.servers("dns", b.DNS)
	c.servers("ntp", b.NTP)
	c.mtu()
	c.captivePortal()
	c.ipv6()
	c.linkLocal()
	c.slaac()
	c.delegatedPrefixes()
	c.neighbours()
	c.groups()
	c.servedBy()
	c.routing()
	c.tags()
	c.dhcp4()
	c.dhcp6()
	c.ra()
	c.guard()
	return errors.Join(c.errs...)
}

// FieldErrors returns the field errors Validate joined.
func FieldErrors(err error) []*FieldError {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return nil
	}
	var out []*FieldError
	for _, e := range joined.Unwrap() {
		if f, ok := errors.AsType[*FieldError](e); ok {
			out = append(out, f)
		}
	}
	return out
}

// checker collects the problems of one binding.
type checker struct {
	b    *Binding
	errs []error
}

func (c *checker) bad(field, value, format string, args ...any) {
	c.errs = append(c.errs, &FieldError{Field: field, Value: value, Problem: fmt.Sprintf(format, args...)})
}

// name checks what the kernel's dev_valid_name asks for. Dots are allowed, as
// VLAN devices have them, although bpffs takes none (bpf_lookup in
// kernel/bpf/inode.c): pins are named by ifindex.
func (c *checker) name() {
	n := c.b.NIC
	if p := nameProblem(n); p != "" {
		c.bad("nic", n, "%s", p)
	}
	if c.b.Network != "" {
		c.text("network", c.b.Network, maxName)
	}
}

func nameProblem(n string) string {
	switch {
	case n == "":
		return "a NIC needs the name of its host interface"
	case len(n) > 15:
		return fmt.Sprintf("%d bytes; Linux allows interface names of at most 15", len(n))
	case n == "." || n == "..":
		return "not an interface name"
	}
	for _, r := range n {
		if r <= ' ' || r >= 0x7f || r == '/' || r == ':' || r == '%' {
			return fmt.Sprintf("character %q is not allowed in an interface name", r)
		}
	}
	return ""
}

// ValidName reports whether n can be the name of a NIC.
func ValidName(n string) bool { return nameProblem(n) == "" }

func (c *checker) mac() {
	if p := macProblem(c.b.MAC); p != "" {
		c.bad("mac", c.b.MAC.String(), "%s", p)
	}
}

func macProblem(m MAC) string {
	switch {
	case m.IsZero():
		return "a NIC needs a MAC address that is not zero"
	case m.IsGroup():
		return "a group address (IEEE 802 I/G bit) cannot be a source"
	case m == BerthMAC():
		return "berth's own, the sender of every answer"
	}
	return ""
}

func (c *checker) names() {
	if h := c.b.Hostname; h != "" {
		c.domain("hostname", h)
	}
	if d := c.b.Domain; d != "" {
		c.domain("domain", d)
	}
	for i, s := range c.b.Search {
		c.domain(at("search", i), s)
	}
}

func (c *checker) domain(field, s string) {
	if p := domainProblem(s); p != "" {
		c.bad(field, s, "%s", p)
	}
}

// domainProblem holds a name to RFC 1123 section 2.1: letters, digits and
// inner hyphens, labels of 1 to 63, 253 in all.
func domainProblem(s string) string {
	if len(s) > 253 {
		return fmt.Sprintf("%d bytes; a domain name has at most 253 (RFC 1035 section 2.3.4)", len(s))
	}
	for label := range strings.SplitSeq(s, ".") {
		if p := labelProblem(label); p != "" {
			return p
		}
	}
	return ""
}

func labelProblem(l string) string {
	switch {
	case l == "":
		return "an empty label"
	case len(l) > 63:
		return fmt.Sprintf("a label of %d bytes; at most 63 are allowed (RFC 1035 section 2.3.4)", len(l))
	case l[0] == '-' || l[len(l)-1] == '-':
		return fmt.Sprintf("label %q begins or ends with a hyphen (RFC 1123 section 2.1)", l)
	}
	for _, r := range l {
		if !isLDH(r) {
			return fmt.Sprintf("character %q is not allowed in a name (RFC 1123 section 2.1)", r)
		}
	}
	return ""
}

func isLDH(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-'
}

func (c *checker) mtu() {
	switch m := c.b.MTU; {
	case m == 0:
	case m < minMTU:
		c.bad("mtu", fmt.Sprint(m), "at least %d (RFC 791), or 0 to announce none", minMTU)
	case m < minMTU6 && c.b.ServesIPv6():
		c.bad("mtu", fmt.Sprint(m), "at least %d for a NIC with IPv6 (RFC 8200 section 5), or 0 to announce none", minMTU6)
	}
}

func (c *checker) tags() {
	if n := len(c.b.Tags); n > MaxTags {
		c.bad("tags", fmt.Sprint(n), "at most %d tags", MaxTags)
		return
	}
	for _, k := range sortedKeys(c.b.Tags) {
		if k == "" {
			c.bad("tags", "", "a tag needs a name")
			continue
		}
		c.text("tags", k, 63)
		c.text("tags."+k, c.b.Tags[k], 1024)
	}
}

// text holds free text to what may stand in a log line: it never reaches a
// guest.
func (c *checker) text(field, s string, limit int) {
	if p := textProblem(s, limit); p != "" {
		c.bad(field, s, "%s", p)
	}
}

func textProblem(s string, limit int) string {
	if len(s) > limit {
		return fmt.Sprintf("%d bytes; at most %d are allowed", len(s), limit)
	}
	if !utf8.ValidString(s) {
		return "not UTF-8"
	}
	for _, r := range s {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' || r == '\ufeff' {
			return fmt.Sprintf("character %q is not allowed", r)
		}
	}
	return ""
}

func at(list string, i int) string { return fmt.Sprintf("%s[%d]", list, i) }
