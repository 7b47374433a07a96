package dhcp4

import "github.com/berth-net/berth/internal/dnsname"

// Bits of the first byte of option 81 (RFC 4702 2.1).
const (
	fqdnOverride = 1 << 1 // O: the server did not do as the client wished
	fqdnEncoded  = 1 << 2 // E: the name is in wire format, not ASCII
	fqdnNoUpdate = 1 << 3 // N: the server updates no DNS
)

// fqdn is the answer to a client's option 81: its name is the binding's
// whatever it asked for, and nobody updates DNS on its behalf (S=0, O=1, N=1;
// RFC 4702 section 4). The encoding is the client's; both result codes are
// 255, as 2.2 asks of servers.
func (x *exchange) fqdn(client byte) []byte {
	b := []byte{fqdnOverride | fqdnNoUpdate | client&fqdnEncoded, 255, 255}
	host, domain := dnsname.Split(x.Binding.Hostname, x.Binding.Domain)
	if host == "" {
		return b // an empty name: none is known (2.3)
	}
	name := host
	if domain != "" {
		name += "." + domain
	}
	if client&fqdnEncoded == 0 {
		return append(b, name...)
	}
	b, ok := dnsname.Append(b, name)
	if ok && domain != "" {
		b = append(b, 0) // fully qualified; without it the name is partial (2.3.1)
	}
	return b
}
