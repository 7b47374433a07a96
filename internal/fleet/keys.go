package fleet

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"time"

	"github.com/berth-net/berth/internal/nic"
)

// The keys of the store, without the site's prefix. No name has a slash in it.

// PolicyEpochKey changes whenever a policy does.
const PolicyEpochKey = "p/epoch"

// ResourceKey is where a resource is.
func ResourceKey(k Kind, name string) string { return ResourcesKey(k) + name }

// ResourcesKey is what the keys of all resources of a kind begin with.
func ResourcesKey(k Kind) string { return "r/" + string(k) + "/" }

// AddressKey is where the Claim of an address is.
func AddressKey(network string, a netip.Addr) string { return AddressesKey(network) + Hex(a) }

// AddressesKey is what the keys of all claims of addresses begin with.
func AddressesKey(network string) string { return "a/" + network + "/" }

// PrefixKey is where the Claim of a whole prefix is.
func PrefixKey(network string, p netip.Prefix) string {
	return fmt.Sprintf("%s%s-%03d", PrefixesKey(network), Hex(p.Addr()), p.Bits())
}

// PrefixesKey is what the keys of all claims of prefixes begin with.
func PrefixesKey(network string) string { return "x/" + network + "/" }

// PrefixEpochKey changes whenever a prefix of the network is claimed.
func PrefixEpochKey(network string) string { return "y/" + network }

// MACKey is where the Claim of a MAC is.
func MACKey(network string, m nic.MAC) string { return MACsKey(network) + m.String() }

// MACsKey is what the keys of all claims of MACs begin with.
func MACsKey(network string) string { return "m/" + network + "/" }

// InterfaceKey is where the Claim of an interface's name on a node is.
func InterfaceKey(node, name string) string { return InterfacesKey(node) + name }

// InterfacesKey is what the keys of all interfaces of a node begin with.
func InterfacesKey(node string) string { return "i/" + node + "/" }

// UsageKey is where a project's Usage is.
func UsageKey(project string) string { return "u/" + project }

// TenureKey is where a Tenure is that began at a time.
func TenureKey(network string, a netip.Addr, from time.Time) string {
	return fmt.Sprintf("%s%020d", TenuresKey(network, a), from.UnixNano())
}

// TenuresKey is what the keys of all tenures of an address begin with.
func TenuresKey(network string, a netip.Addr) string { return "w/" + network + "/" + Hex(a) + "/" }

// HistoryKey is where a Revision is; nonce keeps two of one moment apart.
func HistoryKey(at time.Time, nonce uint32) string {
	return fmt.Sprintf("h/%020d-%08x", at.UnixNano(), nonce)
}

// DecisionKey is where a Decision is.
func DecisionKey(at time.Time, nonce uint32) string {
	return fmt.Sprintf("d/%020d-%08x", at.UnixNano(), nonce)
}

// StatusKey is where a node's Status of a NIC is.
func StatusKey(node, nic string) string { return "s/" + node + "/" + nic }

// NodeKey says that a node is connected, as long as it is.
func NodeKey(node string) string { return "n/" + node }

// TokenKey is where a one-time token is, by its hash.
func TokenKey(hash string) string { return "t/" + hash }

// DUIDKey is where the site's DHCPv6 server identifier is.
const DUIDKey = "c/duid"

// Hex is an address in 32 digits, an IPv4 address in its 4in6 form, so that
// keys are in the order of addresses.
func Hex(a netip.Addr) string {
	b := a.As16()
	return hex.EncodeToString(b[:])
}

// ParseHex is the inverse of Hex.
func ParseHex(s string) (netip.Addr, bool) {
	var b [16]byte
	if n, err := hex.Decode(b[:], []byte(s)); err != nil || n != len(b) || len(s) != 2*len(b) {
		return netip.Addr{}, false
	}
	return netip.AddrFrom16(b).Unmap(), true
}

// After is the first key that does not begin with a prefix.
func After(prefix string) string {
	b := []byte(prefix)
	b[len(b)-1]++ // a slash
	return string(b)
}
