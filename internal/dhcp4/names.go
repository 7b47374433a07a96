package dhcp4

import "strings"

// Bits of the first byte of option 81 (RFC 4702 2.1).
const (
	fqdnOverride = 1 << 1 // O: the server did not do as the client wished
	fqdnEncoded  = 1 << 2 // E: the name is in wire format, not ASCII
	fqdnNoUpdate = 1 << 3 // N: the server updates no DNS
)

// searchList is option 119: the names one after the other, uncompressed,
// which every decoder of RFC 3397 reads.
func searchList(names []string) []byte {
	var b []byte
	for _, n := range names {
		if whole, ok := appendName(b, n); ok {
			b = append(whole, 0)
		}
	}
	return b
}

// appendName writes the labels of a name (RFC 1035 3.1) without the root. A
// name that has no wire form is not written.
func appendName(b []byte, name string) ([]byte, bool) {
	start := len(b)
	for label := range strings.SplitSeq(strings.TrimSuffix(name, "."), ".") {
		if len(label) == 0 || len(label) > 63 {
			return b[:start], false
		}
		b = append(b, byte(len(label)))
		b = append(b, label...)
	}
	return b, len(b)-start <= 254 // 255 with the root
}

// fqdn is the answer to a client's option 81: its name is the binding's
// whatever it asked for, and nobody updates DNS on its behalf (S=0, O=1, N=1;
// RFC 4702 section 4). The encoding is the client's; both result codes are
// 255, as 2.2 asks of servers.
func (x *exchange) fqdn(client byte) []byte {
	b := []byte{fqdnOverride | fqdnNoUpdate | client&fqdnEncoded, 255, 255}
	host, domain := splitName(x.Binding)
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
	b, ok := appendName(b, name)
	if ok && domain != "" {
		b = append(b, 0) // fully qualified; without it the name is partial (2.3.1)
	}
	return b
}
