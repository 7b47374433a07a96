package guest

import (
	"bytes"
	"net/netip"
	"regexp"
	"strings"

	"github.com/berth-net/berth/internal/testenv"
)

// wantIP6 is the guest's life in IPv6: what it was given by DHCPv6 and made for
// itself, that it is reached at each, and what is left when its prefix is gone.
// Addresses of the guest's choice are not named.
var wantIP6 = []string{
	"LEASE6 ip=2001:db8:1::10/128 dns=2001:db8::53 preferred=604800 valid=2592000",
	"ADDRESS bound scope global 2001:db8:1::10/128",
	"ADDRESS bound scope global dynamic mngtmpaddr stable-privacy 2001:db8:a::CHOSEN/64",
	"ADDRESS bound scope global temporary dynamic 2001:db8:a::CHOSEN/64",
	"ADDRESS bound scope link stable-privacy fe80::CHOSEN/64",
	"ROUTE default via fe80::1 dev eth0 proto ra",
	"TRY temporary yes",
	"TRY stable-privacy yes",
	"TRY given yes",
	"TRY link-local yes",
	"TRY prefers-temporary yes",
	"TRY foreign-address6 no",
	"ADDRESS withdrawn scope global 2001:db8:1::10/128",
	"ADDRESS withdrawn scope global deprecated dynamic mngtmpaddr stable-privacy 2001:db8:a::CHOSEN/64",
	"ADDRESS withdrawn scope global temporary deprecated dynamic 2001:db8:a::CHOSEN/64",
	"ADDRESS withdrawn scope link stable-privacy fe80::CHOSEN/64",
	"TRY withdrawn-address no",
	"TRY given-again yes",
}

var chosen = regexp.MustCompile(`(fe80|2001:db8:a):[0-9a-f:]+`)

// unnamed puts a word where the guest chose an address, but not where that
// follows from its MAC, which a host of today keeps to itself.
func unnamed(line string) string {
	if strings.Contains(line, "5054:ff:fe00:10") || !strings.HasPrefix(line, "ADDRESS") {
		return line
	}
	return chosen.ReplaceAllString(line, "$1::CHOSEN")
}

// gateway6 makes the site the guest's router, which says nothing by itself. It
// forwards, or the R flag of its neighbour advertisements would take the
// default route from the guest (RFC 4861 7.2.5).
func gateway6(site *testenv.NS) {
	site.Sysctl("net.ipv6.conf.all.forwarding", "1")
	site.Sysctl("net.ipv6.conf.eth0.addr_gen_mode", "1")
	site.Sysctl("net.ipv6.conf.eth0.disable_ipv6", "0")
	site.Sh(`ip link set lo up
		ip -6 address add fe80::1/64 dev eth0 nodad
		ip -6 address add 2001:db8:ff::1/128 dev lo nodad
		ip -6 route add 2001:db8:1::/64 dev eth0
		ip -6 route add 2001:db8:a::/64 dev eth0`)
}

var (
	bound   = netip.MustParseAddr("2001:db8:1::10")
	prefix  = netip.MustParsePrefix("2001:db8:a::/64")
	gateway = netip.MustParseAddr("fe80::1")
)

// notHonest6 says what is wrong with an IPv6 packet of the guest's MAC: its
// source, or the address it speaks for, is not its own; or it is for berth.
func notHonest6(f []byte) string {
	kind := byte(0)
	if f[20] == 58 {
		kind = f[54]
	}
	switch {
	case isDHCPv6(f):
		return "DHCPv6"
	case kind == 133 || kind == 134:
		return "router discovery"
	case !isOwn6(address(f, 22)) && !address(f, 22).IsUnspecified():
		return "another IPv6 source"
	case kind == 135 && address(f, 22).IsUnspecified() && !isOwn6(address(f, 62)),
		kind == 136 && !isOwn6(address(f, 62)):
		return "a neighbour that it is not"
	}
	return ""
}

// isOwn6 says whether an address may be the guest's: link-locals are its choice.
func isOwn6(a netip.Addr) bool {
	return a == bound || prefix.Contains(a) || a.IsLinkLocalUnicast() && a != gateway
}

func address(f []byte, at int) netip.Addr { return netip.AddrFrom16([16]byte(f[at : at+16])) }

func isIPv6(f []byte) bool { return len(f) >= 62 && bytes.Equal(f[12:14], []byte{0x86, 0xdd}) }

func isDHCPv6(f []byte) bool {
	return isIPv6(f) && f[20] == 17 && (port(f, 56) == 546 || port(f, 56) == 547)
}

// pseudoSum6 is pseudoSum for IPv6 (RFC 8200 section 8.1).
func pseudoSum6(f []byte) uint16 {
	return fold(uint32(17)+uint32(port(f, 58)), f[22:54])
}
