package statichcpd

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/berth-net/berth/internal/compat"
	"github.com/berth-net/berth/internal/nic"
)

const (
	codeMask     = 1
	codeMTU      = 26
	codeSearch6  = 24
	codeNA       = 3 // client_v6configuration, as the next three
	codeTA       = 4
	codePD       = 25
	codeUnicast  = 12
	codeHostFQDN = 39
	minMTU       = 68 // RFC 2132 section 5.1
)

// ipv4 fills in what client_configuration says.
func (c *client) ipv4() {
	c.address()
	c.serverID()
	if m := c.v4[codeMTU]; len(m) > 0 && m[0].number < minMTU {
		c.fail(m[0].row, "an MTU is at least %d (RFC 2132 section 5.1)", minMTU)
	}
	for _, f := range c.fields4 {
		c.set(f, c.v4[f.code], c.option4)
	}
	for _, code := range sortedKeys(c.v4) {
		if !slices.Contains([]int{codeMask, codeAddress, codeServerID}, code) && !derived(c.fields4, code) {
			c.option4(code, wire(c.v4[code]))
		}
	}
}

func derived(fields []field, code int) bool {
	return slices.ContainsFunc(fields, func(f field) bool { return f.code == code })
}

func (c *client) set(f field, list []value, option func(int, []byte)) {
	if len(list) == 0 {
		return
	}
	f.set(&c.b, list)
	if !f.exact(&c.b, list) {
		option(f.code, wire(list))
	}
}

// option4 has an option sent as it is. The template's are shared and never
// written to.
func (c *client) option4(code int, data []byte) {
	same := func(o nic.Option) bool { return int(o.Code) == code }
	list := slices.DeleteFunc(slices.Clone(c.b.DHCP4.Options), same)
	c.b.DHCP4.Options = append(list, nic.Option{Code: uint8(code), Data: data})
}

func (c *client) option6(code int, data []byte) {
	same := func(o nic.Option6) bool { return int(o.Code) == code }
	list := slices.DeleteFunc(slices.Clone(c.b.DHCP6.Options), same)
	c.b.DHCP6.Options = append(list, nic.Option6{Code: uint16(code), Data: data})
}

// address joins codes 256 and 1. Without a mask it is the host's alone.
func (c *client) address() {
	a := c.v4[codeAddress]
	if len(a) == 0 {
		if len(c.v4) > 0 {
			c.note(nil, "the client has no address (attr_code 256): it is not answered by DHCPv4")
		}
		return
	}
	length := 32
	if m := c.v4[codeMask]; len(m) > 0 {
		n, ok := compat.MaskBits(m[0].addr.String())
		if !ok {
			c.fail(m[0].row, "not a subnet mask: its ones are not in a row")
			return
		}
		length = n
	}
	c.b.Addresses = []netip.Prefix{netip.PrefixFrom(a[0].addr, length)}
}

// serverID takes code 258. ARP for a made-up one is answered, but not for one
// that another row shows to exist, nor for the interface's own address: berth
// would take the traffic of a machine that is there.
func (c *client) serverID() {
	id := c.v4[codeServerID]
	if len(id) > 0 {
		c.b.DHCP4.ServerID = nic.ServerID{Kind: nic.ServerIDFixed, Addr: id[0].addr}
	}
	if c.b.Neighbours == nic.NeighboursServer && (len(id) == 0 || c.exists(id[0].addr)) {
		c.b.Neighbours = nic.NeighboursOff
	}
}

func (c *client) exists(a netip.Addr) bool {
	for code, list := range c.v4 {
		if code == codeServerID {
			continue
		}
		if slices.ContainsFunc(list, func(v value) bool { return v.addr == a }) {
			return true
		}
	}
	return false
}

// ipv6 fills in what client_v6configuration says.
func (c *client) ipv6() {
	if len(c.v6) == 0 {
		return
	}
	c.associations()
	c.lifetimes()
	c.b.DHCP6.Unicast = c.b.DHCP6.Unicast || len(c.v6[codeUnicast]) > 0
	c.fqdn()
	for _, f := range c.fields6 {
		c.set(f, c.v6[f.code], c.option6)
	}
	own := []int{codeNA, codeTA, codePD, codeUnicast, codeHostFQDN, codeT1, codeT2, codePreferred, codeValid}
	for _, code := range sortedKeys(c.v6) {
		if !slices.Contains(own, code) && !derived(c.fields6, code) {
			c.option6(code, wire(c.v6[code]))
		}
	}
	if !c.b.ServesIPv6() {
		c.note(nil, "the client has neither an IPv6 address nor a prefix (attr_code 3, 4 or 25): it is not answered by DHCPv6")
	}
}

// associations gives addresses and prefixes, by IAID if they have one. An
// IA_TA has its addresses whatever its IAID.
func (c *client) associations() {
	own := slices.Clip(c.b.Addresses)
	for _, code := range []int{codeNA, codeTA} {
		for _, v := range c.v6[code] {
			own = append(own, netip.PrefixFrom(v.addr, 128))
		}
	}
	c.b.Addresses = own
	c.b.DHCP6.Temporary = addrs(c.v6[codeTA])
	for _, v := range c.v6[codePD] {
		c.b.Delegated = append(c.b.Delegated, v.prefix)
	}
	if c.cfg.DisableIAID {
		return
	}
	for _, v := range c.v6[codeNA] {
		ia := c.ia(v.iaid)
		ia.Addresses = append(ia.Addresses, v.addr)
	}
	for _, v := range c.v6[codePD] {
		ia := c.ia(v.iaid)
		ia.Prefixes = append(ia.Prefixes, v.prefix)
	}
}

func (c *client) ia(iaid uint32) *nic.IA {
	list := &c.b.DHCP6.IAs
	i := slices.IndexFunc(*list, func(ia nic.IA) bool { return ia.IAID == iaid })
	if i < 0 {
		i = len(*list)
		*list = append(*list, nic.IA{IAID: iaid})
	}
	return &(*list)[i]
}

// lifetimes are the client's own where it has them, repaired.
func (c *client) lifetimes() {
	d := &c.b.DHCP6
	l := lifetimes{d.T1, d.T2, d.Preferred, d.Valid}
	codes := []int{codeT1, codeT2, codePreferred, codeValid}
	for i, at := range []*nic.Seconds{&l.t1, &l.t2, &l.preferred, &l.valid} {
		if v := c.v6[codes[i]]; len(v) > 0 {
			*at = nic.Seconds(v[0].number)
		}
	}
	for _, r := range l.repair() {
		var row *Row
		if v := c.v6[codes[r.of]]; len(v) > 0 {
			row = v[0].row
		}
		c.note(row, "%s", r.text)
	}
	d.T1, d.T2, d.Preferred, d.Valid = l.t1, l.t2, l.preferred, l.valid
}

// fqdn is option 39, which a binding makes of the host's name and domain as
// RFC 4704 has it; statichcpd sent the bare text.
func (c *client) fqdn() {
	list := c.v6[codeHostFQDN]
	if len(list) == 0 {
		return
	}
	name := strings.TrimSuffix(list[0].text, ".")
	switch {
	case c.b.Hostname == "":
		c.b.Hostname = name
	case name != c.b.Hostname && name != c.b.Hostname+"."+c.b.Domain:
		c.note(list[0].row, "the name of options 12 and 15 is sent instead")
	}
	for _, v := range list[1:] {
		c.note(v.row, "a client has one name; that of rowid %d is sent", list[0].row.RowID)
	}
}
