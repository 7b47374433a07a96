package dhcp4

import (
	"encoding/binary"
	"net/netip"

	"github.com/berth-net/berth/internal/dnsname"
	"github.com/berth-net/berth/internal/nic"
)

// configuration derives every option the binding can give this client; the
// binding's own options win.
func (x *exchange) configuration(d draft) configuration {
	b := x.Binding
	c := configuration{}
	c.subnet(b)
	c.names(b)
	c.bytes(optDNS, addresses(b.DNS))
	c.bytes(optNTP, addresses(b.NTP))
	c.bytes(optRoutes, routes(b))
	if b.MTU >= 68 { // RFC 2132 5.1
		c[optMTU] = binary.BigEndian.AppendUint16(nil, b.MTU)
	}
	c.bytes(optCaptivePortal, []byte(b.CaptivePortal))
	c.bytes(optServerName, []byte(d.boot.ServerName))
	c.bytes(optBootFile, []byte(d.boot.File))
	if x.httpBoot() {
		c[optVendorClass] = []byte(httpClient)
	}
	c.own(b.DHCP4.Options)
	if r, ok := c[optRoutes]; ok {
		c.unlessOwn(optMicrosoftRoutes, r)
	}
	c.timed(b, d.times)
	return c
}

// subnet adds what follows from the delivered prefix and the gateway.
func (c configuration) subnet(b *nic.Binding) {
	p := b.Delivered()
	c[optMask] = mask(p)
	if g, ok := router(b); ok {
		c[optRouter] = g.AsSlice()
	}
	switch bc := b.Broadcast.Unmap(); {
	case bc.Is4():
		c[optBroadcast] = bc.AsSlice()
	case p.Bits() < 31: // RFC 3021: a /31 has no broadcast address
		c[optBroadcast] = lastAddress(p).AsSlice()
	}
}

// names adds host name and domain. An FQDN as host name gives the label and,
// if no domain is declared, the domain.
func (c configuration) names(b *nic.Binding) {
	host, domain := dnsname.Split(b.Hostname, b.Domain)
	c.bytes(optHostname, []byte(host))
	c.bytes(optDomain, []byte(domain))
	c.bytes(optSearch, dnsname.List(b.Search)) // uncompressed, which every decoder of RFC 3397 reads
}

// timed adds what belongs to a lease; an INFORM has none.
func (c configuration) timed(b *nic.Binding, t times) {
	delete(c, optT1)
	delete(c, optT2)
	if t.lease == 0 {
		return
	}
	if t.t1 != 0 {
		c[optT1] = seconds(t.t1)
	}
	if t.t2 != 0 {
		c[optT2] = seconds(t.t2)
	}
	if b.DHCP4.V6OnlyWait != 0 {
		c.unlessOwn(optV6Only, seconds(b.DHCP4.V6OnlyWait))
	}
}

// own lets the binding's options win over derived ones.
func (c configuration) own(list []nic.Option) {
	for _, o := range list {
		if !reserved(o.Code) {
			c[o.Code] = o.Data
		}
	}
}

// reserved reports whether an option is the protocol's own. A binding that
// sets one is refused when it is read; here it is only not sent.
func reserved(code uint8) bool {
	switch code {
	case optPad, optEnd, optRequestedIP, optLease, optOverload, optMessageType, optServerID,
		optRequestList, optMaxSize, optClientID, optRapidCommit, optClientFQDN, optRelayAgent:
		return true
	}
	return false
}

// bytes adds an option that has something to say.
func (c configuration) bytes(code uint8, data []byte) {
	if len(data) > 0 {
		c[code] = data
	}
}

func (c configuration) unlessOwn(code uint8, data []byte) {
	if _, ok := c[code]; !ok {
		c[code] = data
	}
}

// router is the gateway to announce.
func router(b *nic.Binding) (netip.Addr, bool) {
	g := b.Gateway.Unmap()
	return g, usable(g) && !b.NoDefaultRoute
}

// addresses writes the IPv4 ones of a list as one option.
func addresses(list []netip.Addr) []byte {
	var b []byte
	for _, a := range list {
		if a = a.Unmap(); a.Is4() {
			b = append(b, a.AsSlice()...)
		}
	}
	return b
}

func mask(p netip.Prefix) []byte {
	return binary.BigEndian.AppendUint32(nil, maskBits(p))
}

// maskBits relies on Go's shifts: by 32, a /0, gives 0.
func maskBits(p netip.Prefix) uint32 { return ^uint32(0) << (32 - p.Bits()) }

func lastAddress(p netip.Prefix) netip.Addr {
	first := p.Addr().As4()
	last := binary.BigEndian.Uint32(first[:]) | ^maskBits(p)
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, last)))
}
