package nic_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/nic"
)

// goodShared is good6 with everything that ties it to others.
func goodShared() nic.Binding {
	b := good6()
	b.Group = "vm7"
	b.Shared = []nic.Shared{
		{Group: "web", Addresses: []netip.Addr{addr("192.0.2.100"), addr("2001:db8:1::100")}, VRID: 51},
		{Group: "db", Addresses: []netip.Addr{addr("203.0.113.100")}},
		{Group: "mail", Addresses: []netip.Addr{addr("203.0.113.101")}}, // no VRRP twice is no virtual router twice
	}
	b.ServedBy = nic.ServedBySite
	b.Routing = nic.Routing{Table: 100, Uplink: "tap7"} // of its network: it is not routed
	b.Guard.Peers = []nic.MACRange{
		{MAC: nic.MAC{0xaa, 0, 0x10}, Bits: 20},
		{MAC: nic.MAC{0x52, 0x54, 0, 0, 0, 1}, Bits: 48},
		{MAC: nic.MAC{0x80}, Bits: 1},
	}
	return b
}

func TestValidateGoodShared(t *testing.T) {
	b := goodShared()
	if err := nic.Validate(&b); err != nil {
		t.Fatal(err)
	}
}

// Every rule of what ties NICs together, broken alone, gives exactly its own
// message.
func TestValidateShared(t *testing.T) {
	long := strings.Repeat("g", 64)
	own := "the NIC's own: what it has alone is not shared"
	gateway := "the gateway must stay out of a guest's reach"
	share := func(s string) func(*nic.Binding) {
		return func(b *nic.Binding) { b.Shared[1].Addresses[0] = addr(s) }
	}
	many := func(n int) []netip.Addr {
		out := make([]netip.Addr, n)
		for i := range out {
			out[i] = netip.AddrFrom4([4]byte{203, 0, 113, byte(10 + i)})
		}
		return out
	}
	tellMistakes(t, goodShared, []mistake{
		{"group text", func(b *nic.Binding) { b.Group = "a\x7f" }, []string{`group "a\x7f": character '\x7f' is not allowed`}},
		{"group long", func(b *nic.Binding) { b.Group = long }, []string{`group "` + long + `": 64 bytes; at most 63 are allowed`}},
		{"server shared", func(b *nic.Binding) {
			b.DHCP4.ServerID = nic.ServerID{Kind: nic.ServerIDFixed, Addr: addr("203.0.113.100")}
		}, []string{`dhcp4.server-id "203.0.113.100": an address of shared cannot be its server's`}},
		{"nine shares", func(b *nic.Binding) { b.Shared = make([]nic.Shared, 9) }, []string{`shared "9": at most 8 entries`}},
		{"routed", func(b *nic.Binding) { b.Routed, b.ServedBy, b.Routing.Uplink = true, nic.ServedByBerth, "eth0" }, []string{`shared: not for a routed NIC: it has no link on which another could take over`}},
		{"no group", func(b *nic.Binding) { b.Shared[1].Group = "" }, []string{`shared[1].group: missing: who shares is told by the name of a group`}},
		{"group twice", func(b *nic.Binding) { b.Shared[1].Group = "web" }, []string{`shared[1].group "web": the same group as shared[0]`}},
		{"share text", func(b *nic.Binding) { b.Shared[0].Group = "a\nb" }, []string{`shared[0].group "a\nb": character '\n' is not allowed`}},
		{"no address", func(b *nic.Binding) { b.Shared[1].Addresses = nil }, []string{`shared[1]: shares nothing; list addresses`}},
		{"17 addresses", func(b *nic.Binding) { b.Shared[1].Addresses = many(15) }, []string{`shared[1].addresses "15": at most 16 addresses over all of shared`}},
		{"VRID twice", func(b *nic.Binding) { b.Shared[2].VRID = 51 }, []string{`shared[2].vrid "51": the same virtual router as shared[0]`}},
		{"address twice", share("192.0.2.100"), []string{`shared[1].addresses[0] "192.0.2.100": the same address as shared[0].addresses[0]`}},
		{"own address", share("192.0.2.10"), []string{`shared[1].addresses[0] "192.0.2.10": ` + own}},
		{"own prefix", share("2001:db8:a::5"), []string{`shared[1].addresses[0] "2001:db8:a::5": ` + own}},
		{"delegated", share("2001:db8:100::5"), []string{`shared[1].addresses[0] "2001:db8:100::5": ` + own}},
		{"gateway", share("192.0.2.1"), []string{`shared[1].addresses[0] "192.0.2.1": ` + gateway}},
		{"multicast", share("224.0.0.18"), []string{`shared[1].addresses[0] "224.0.0.18": a multicast address`}},
		{"broadcast", share("192.0.2.255"), []string{`shared[1].addresses[0] "192.0.2.255": the broadcast address of 192.0.2.0/24`}},
		{"link-local", share("fe80::1"), []string{`shared[1].addresses[0] "fe80::1": a link-local address, which means something on one link only (RFC 4291 section 2.5.6)`}},
		{"nothing", func(b *nic.Binding) { b.Shared[1].Addresses[0] = netip.Addr{} }, []string{`shared[1].addresses[0]: not an address`}},
		{"IPv6 off", func(b *nic.Binding) {
			*b = good()
			b.IPv6 = nic.IPv6Off
			b.Shared = []nic.Shared{{Group: "web", Addresses: []netip.Addr{addr("2001:db8::1")}}}
		}, []string{`shared[0].addresses[0] "2001:db8::1": an IPv6 address, but ipv6 is not auto`}},
		{"17 MACs", func(b *nic.Binding) {
			b.Guard.AllowMACs = nil
			for i := range byte(14) {
				b.Guard.AllowMACs = append(b.Guard.AllowMACs, nic.MAC{2, 0, 0, 0, 0, i})
			}
		}, []string{`shared: 17 MACs with the NIC's own, guard.allow-macs and those of each vrid; at most 16`}},
		{"virtual gateway-mac", func(b *nic.Binding) { b.GatewayMAC = nic.MAC{0, 0, 0x5e, 0, 2, 51} }, []string{`gateway-mac "00:00:5e:00:02:33": the MAC of a vrid of shared: the guest may not speak as its gateway`}},

		{"unknown server", func(b *nic.Binding) { b.ServedBy = 3 }, []string{`served-by "3": unknown server`}},
		{"tenant routed", func(b *nic.Binding) {
			b.Shared, b.Routed, b.ServedBy, b.Routing.Uplink = nil, true, nic.ServedByTenant, "eth0"
		}, []string{`served-by "tenant": not for a routed NIC: there is only berth on its link`}},
		{"local table", func(b *nic.Binding) { b.Routing.Table = 255 }, []string{`routing.table "255": the table of the host's own addresses`}},
		{"uplink", func(b *nic.Binding) { b.Routing.Uplink = "a b" }, []string{`routing.uplink "a b": character ' ' is not allowed in an interface name`}},
		{"uplink itself", func(b *nic.Binding) { b.Shared, b.ServedBy, b.Routed = nil, nic.ServedByBerth, true }, []string{`routing.uplink "tap7": the NIC itself`}},

		{"nine peers", func(b *nic.Binding) { b.Guard.Peers = make([]nic.MACRange, 9) }, []string{`guard.peers "9": at most 8 entries`}},
		{"no bits", func(b *nic.Binding) { b.Guard.Peers[0] = nic.MACRange{} }, []string{`guard.peers[0] "00:00:00:00:00:00/0": must have 1 to 48 bits`}},
		{"49 bits", func(b *nic.Binding) { b.Guard.Peers[1].Bits = 49 }, []string{`guard.peers[1] "52:54:00:00:00:01/49": must have 1 to 48 bits`}},
		{"bits beyond", func(b *nic.Binding) { b.Guard.Peers[1].Bits = 47 }, []string{`guard.peers[1] "52:54:00:00:00:01/47": bits are set beyond the range; it is 52:54:00:00:00:00/47`}},
		{"group peer", func(b *nic.Binding) { b.Guard.Peers[0].MAC[0] |= 1 }, []string{`guard.peers[0] "ab:00:10:00:00:00/20": a group address (IEEE 802 I/G bit) cannot be a source`}},
		{"peer twice", func(b *nic.Binding) { b.Guard.Peers[2] = b.Guard.Peers[0] }, []string{`guard.peers[2] "aa:00:10:00:00:00/20": the same as guard.peers[0]`}},
	})
}

// What a permitted MAC is allowed twice for counts once.
func TestPermittedMACs(t *testing.T) {
	b := goodShared()
	b.Guard.AllowMACs = slices.Clone(b.VirtualMACs())
	for i := range byte(13) {
		b.Guard.AllowMACs = append(b.Guard.AllowMACs, nic.MAC{2, 0, 0, 0, 0, i})
	}
	if err := nic.Validate(&b); err != nil {
		t.Errorf("16 MACs: %v", err)
	}
}

// RFC 9568 section 7.3 has a prefix for each family.
func TestVirtualMACs(t *testing.T) {
	four, six := []netip.Addr{addr("192.0.2.1")}, []netip.Addr{addr("2001:db8::1")}
	b := nic.Binding{Shared: []nic.Shared{
		{Group: "c", Addresses: slices.Concat(four, six), VRID: 255},
		{Group: "a", Addresses: six, VRID: 1},
		{Group: "b", Addresses: four, VRID: 2},
		{Group: "d", Addresses: four},
	}}
	want := []nic.MAC{{0, 0, 0x5e, 0, 1, 2}, {0, 0, 0x5e, 0, 1, 255}, {0, 0, 0x5e, 0, 2, 1}, {0, 0, 0x5e, 0, 2, 255}}
	if d := cmp.Diff(want, b.VirtualMACs()); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

func TestParseMACRange(t *testing.T) {
	for text, want := range map[string]string{
		"AA-00-10-00-00-00/20": "aa:00:10:00:00:00/20", "5254.0000.0001": "52:54:00:00:00:01", "52:54:00:00:00:01/48": "52:54:00:00:00:01",
	} {
		if r, err := nic.ParseMACRange(text); err != nil || r.String() != want {
			t.Errorf("%s: %s, %v; want %s", text, r, err, want)
		}
	}
	for _, text := range []string{"", "/20", "aa:00:10/20", "aa:00:10:00:00:00/", "aa:00:10:00:00:00/-1", "aa:00:10:00:00:00/256", "aa:00:10:00:00:00/ff:ff:f0:00:00:00"} {
		if r, err := nic.ParseMACRange(text); err == nil {
			t.Errorf("%q is read as %s", text, r)
		}
	}
}
