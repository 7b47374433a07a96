package dhcp6

import (
	"github.com/berth-net/berth/internal/dnsname"
	"github.com/berth-net/berth/internal/nic"
)

// Bits of the first byte of option 39 (RFC 4704 4.1).
const (
	fqdnServer   = 1 << 0 // S: the server updates AAAA records
	fqdnOverride = 1 << 1 // O: the server did not do as the client wished
	fqdnNoUpdate = 1 << 2 // N: the server updates no DNS
)

// searchList is option 24: the names one after the other (RFC 3646 section
// 4), the domain if there is no list.
func searchList(b *nic.Binding) []byte {
	_, domain := dnsname.Split(b.Hostname, b.Domain)
	return dnsname.List(dnsname.Search(b.Search, domain))
}

// clientFQDN returns the flags of the client's option 39, from the messages
// it may be in (RFC 4704 section 5).
func (x *exchange) clientFQDN() (byte, bool) {
	v, ok := x.m.options[optClientFQDN]
	switch x.m.kind {
	case solicit, request, renew, rebind:
	default:
		return 0, false
	}
	if !ok {
		return 0, false
	}
	return v[0], true
}

// fqdn is the answer to a client's option 39: its name is the binding's
// whatever it asked for, and nobody updates DNS on its behalf, so S=0 and
// N=1; O=1 if the client wished for S=1 (RFC 4704 section 6).
func fqdn(b *nic.Binding, client byte) []byte {
	out := []byte{fqdnNoUpdate}
	if client&fqdnServer != 0 {
		out[0] |= fqdnOverride
	}
	host, domain := dnsname.Split(b.Hostname, b.Domain)
	if host == "" {
		return out // an empty name: none is known
	}
	name := host
	if domain != "" {
		name += "." + domain
	}
	out, ok := dnsname.Append(out, name)
	if ok && domain != "" {
		out = append(out, 0) // fully qualified; without it the name is partial (4.2)
	}
	return out
}
