package nd

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/nic"
)

// Pieces of messages as they stand on the wire for web1's binding. They are
// written out, not computed, so that a test can be read beside the RFC.
const (
	header   = "86000000" + "40" + "c0" + "0708" + "0000000000000000" // hop limit 64, M and O, 1800 s
	slla     = "0101" + "525400ff0001"
	sllaOwn  = "0101" + "026265727468"
	hostPIO  = "03044080" + "00278d00" + "00093a80" + "00000000" + "20010db8000100000000000000000000"
	slaacPIO = "030440c0" + "00278d00" + "00093a80" + "00000000" + "20010db8000a00000000000000000000"
	rdnss1   = "19030000" + "00000708" + "20010db8000000000000000000000053"
	dnssl1   = "1f030000" + "00000708" + "076578616d706c65" + "036f7267" + "00" + "000000"
	told     = rdnss1 + dnssl1

	guestLL = "fe80::5054:ff:feaa:1"
	berthLL = "fe80::62:65ff:fe72:7468"
	gateway = "fe80::1"
)

func guestMAC() nic.MAC   { return nic.MAC{0x52, 0x54, 0, 0xaa, 0, 1} }
func gatewayMAC() nic.MAC { return nic.MAC{0x52, 0x54, 0, 0xff, 0, 1} }
func everyMAC() nic.MAC   { return nic.MAC{0x33, 0x33, 0, 0, 0, 1} }

// web1 is the binding most tests speak about: one address by DHCPv6, on a
// bridge whose gateway's MAC is known.
func web1() *nic.Binding {
	return &nic.Binding{
		NIC:        "tap7",
		MAC:        guestMAC(),
		Domain:     "example.org",
		Addresses:  prefixList("192.0.2.10/24", "2001:db8:1::10/64"),
		Gateway6:   ip(gateway),
		GatewayMAC: gatewayMAC(),
		DNS:        []netip.Addr{ip("192.0.2.53"), ip("2001:db8::53")},
		Neighbours: nic.NeighboursGateway,
		RA:         nic.RA{Interval: 600, Lifetime: 1800, HopLimit: 64, Preferred: 604800, Valid: 2592000},
		Guard:      nic.Guard{Checks: nic.AllChecks()},
	}
}

// router returns web1's, with changes.
func router(changes ...func(*nic.Binding)) Router {
	b := web1()
	for _, change := range changes {
		change(b)
	}
	return Router{Binding: b, GatewayMAC: b.GatewayMAC}
}

// ip reads an address; "" is the zero one.
func ip(s string) netip.Addr {
	if s == "" {
		return netip.Addr{}
	}
	return netip.MustParseAddr(s)
}

func prefixList(list ...string) []netip.Prefix {
	var p []netip.Prefix
	for _, s := range list {
		p = append(p, netip.MustParsePrefix(s))
	}
	return p
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// rs is a valid router solicitation of the guest.
func rs(t testing.TB) Solicitation {
	t.Helper()
	return Solicitation{
		EthSrc: guestMAC(), Src: ip(guestLL), Dst: ip("ff02::2"), HopLimit: 255,
		Message: unhex(t, "85000000 00000000 0101525400aa0001"),
	}
}

// ns is a valid neighbour solicitation of the guest, to the target's
// solicited-node group.
func ns(t testing.TB, target string) Solicitation {
	t.Helper()
	a := ip(target).As16()
	group := ip("ff02::1:ff00:0").As16()
	copy(group[13:], a[13:])
	return Solicitation{
		EthSrc: guestMAC(), Src: ip(guestLL), Dst: netip.AddrFrom16(group), HopLimit: 255,
		Message: append(append(unhex(t, "87000000 00000000"), a[:]...), unhex(t, "0101525400aa0001")...),
	}
}

// dad is duplicate address detection for the target.
func dad(t testing.TB, target string) Solicitation {
	t.Helper()
	s := ns(t, target)
	s.Src, s.Message = netip.IPv6Unspecified(), s.Message[:24]
	return s
}

func sameAddr() cmp.Option {
	return cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
}

// message compares a message with its hex text.
func message(t *testing.T, want string, got []byte) {
	t.Helper()
	if d := cmp.Diff(hex.EncodeToString(unhex(t, want)), hex.EncodeToString(got)); d != "" {
		t.Errorf("message (-want +got):\n%s", d)
	}
}

// one returns the only unsolicited advertisement.
func one(t *testing.T, r Router, gone Withdrawn) Reply {
	t.Helper()
	list := Advertisements(r, gone)
	if len(list) != 1 {
		t.Fatalf("%d advertisements, want 1", len(list))
	}
	return list[0]
}
