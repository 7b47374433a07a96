package nfdhcpd

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/dhcp4"
	"github.com/berth-net/berth/internal/dhcp6"
	"github.com/berth-net/berth/internal/nic"
)

// heard is all that a guest is told, in hex: the address and the options of
// an OFFER, a router advertisement, and the options of a DHCPv6 Reply to an
// Information-request. Nothing where it meets silence.
type heard struct{ Address, Offer, RA, Reply6 string }

// Options of DHCPv6 (RFC 3646), and what a guest of bridged is told by conf.
const (
	dns6   = "00170010" + "20010db8000000000000000000000053"
	names6 = "0018000d" + "076578616d706c65" + "036f7267" + "00"
)

func heardOfBridged() heard {
	return heard{
		Address: "203.0.113.10",
		Offer:   isOffer + serverID + lease7d + mask24 + router + names + broadcast + t1Hour,
		RA:      header + slla + pio + rdnss + dnssl,
		Reply6:  dns6 + names6,
	}
}

// hears asks for all of it, with the guest's own MAC.
func hears(t *testing.T, b nic.Binding) heard {
	t.Helper()
	var h heard
	id, _ := dhcp4.ServerID(&b, nil)
	if o := dhcp4.Answer(dhcp4.Server{Binding: &b, ID: id}, asks(t, "0.0.0.0", "350101")); o.Reply != nil {
		m := o.Reply.Message
		h.Address = netip.AddrFrom4([4]byte(m[16:20])).String()
		h.Offer = strings.TrimSuffix(strings.TrimRight(hex.EncodeToString(m[240:]), "0"), "ff")
	}
	if o := advertised(t, b, "fe80::a800:ff:fe11:2233"); o.Reply != nil {
		h.RA = hex.EncodeToString(o.Reply.Message)
	}
	const ids = "0001000a00030001aa0000112233" + "00020003000301"
	o := dhcp6.Answer(dhcp6.Server{Binding: &b, DUID: unhex(t, "000301"), Addr: nic.BerthLinkLocal()}, dhcp6.Query{
		EthSrc: guest(), Src: ip("fe80::1234"), Dst: ip("ff02::1:2"),
		Message: unhex(t, "0b3903f3"+"0001000a00030001aa0000112233"+"0006000400170018"),
	})
	if o.Reply != nil {
		h.Reply6 = strings.TrimPrefix(hex.EncodeToString(o.Reply.Message[4:]), ids)
	}
	return h
}

// change is one line of a file or of the conf, and what it changes.
type change struct {
	key, line string
	of        func(*heard)
}

// in replaces bytes that must be there.
func in(t *testing.T, s *string, from, to string) {
	t.Helper()
	if !strings.Contains(*s, from) {
		t.Fatalf("%s has no %s", *s, from)
	}
	*s = strings.Replace(*s, from, to, 1)
}

// Every key of a binding file, as the bytes that its guest is told.
func TestFileKeysOnTheWire(t *testing.T) {
	const router254, resolvers6 = "0304cb0071fe", "20010db8000100000000000000000053"
	tests := []change{
		{"IP", "IP=203.0.113.77", func(h *heard) { h.Address = "203.0.113.77" }},
		{"IP", "IP=", func(h *heard) { h.Address, h.Offer = "", "" }},
		{"MAC", "MAC=aa-00-00-11-22-33", nil},
		{"HOSTNAME", "HOSTNAME=db1", func(h *heard) {
			in(t, &h.Offer, hostname+domain, "0c03646231")
			in(t, &h.RA, dnssl, "")
			in(t, &h.Reply6, names6, "")
		}},
		{"INSTANCE", "INSTANCE=db1", nil},
		{"INDEV", "INDEV=br7", func(h *heard) {
			in(t, &h.RA, header+slla, "86000000"+"0040"+"0000"+"0000000000000000"+"0101026265727468")
		}},
		{"SUBNET", "SUBNET=203.0.112.0/20", func(h *heard) {
			in(t, &h.Offer, mask24, "0104fffff000")
			in(t, &h.Offer, broadcast, "1c04cb007fff")
		}},
		{"GATEWAY", "GATEWAY=203.0.113.254", func(h *heard) { in(t, &h.Offer, router, router254) }},
		{"GATEWAY", "GATEWAY=", func(h *heard) { in(t, &h.Offer, router, "") }},
		{"SUBNET6", "SUBNET6=", func(h *heard) { h.RA, h.Reply6 = "", "" }},
		{"GATEWAY6", "GATEWAY6=fe80::1", func(h *heard) { in(t, &h.RA, slla, "") }},
		{"GATEWAY6_MAC", "GATEWAY6_MAC=02:00:00:00:00:77", func(h *heard) { in(t, &h.RA, slla, "0101020000000077") }},
		{"EUI64", "EUI64=2001:db8:1::a", nil},
		{"MACSPOOF", "MACSPOOF=1", nil},
		{"MTU", "MTU=1442", func(h *heard) {
			in(t, &h.Offer, broadcast, mtu1442+broadcast)
			in(t, &h.RA, dnssl, raMTU+dnssl)
		}},
		{"PRIVATE", "PRIVATE=1", func(h *heard) {
			in(t, &h.Offer, router, "")
			in(t, &h.RA, "3840", "0000")
		}},
		{"TAGS", "TAGS=a", nil},
		{"LINK", "LINK=br0", nil},
		{"NAMESERVERS", "NAMESERVERS=203.0.113.53,203.0.113.54", func(h *heard) { in(t, &h.Offer, dns, "0608cb007135cb007136") }},
		{"NAMESERVERS6", "NAMESERVERS6=2001:db8:1::53", func(h *heard) {
			in(t, &h.RA, rdnss, "1903000000000384"+resolvers6)
			in(t, &h.Reply6, dns6, "00170010"+resolvers6)
		}},
	}
	onTheWire(t, tests, known(), func(c change) nic.Binding {
		return one(t, configured(t, conf), with(bridged, c.key, c.line))
	})
}

// Every key of the conf, likewise.
func TestConfKeysOnTheWire(t *testing.T) {
	const site, site6 = "0473697465", "20010db8000000000000000000000001"
	tests := []change{
		{"general.pidfile", "pidfile = /p", nil},
		{"general.datapath", "datapath = /d", nil},
		{"general.logdir", "logdir = /l", nil},
		{"general.user", "user = 65534", nil},
		{"dhcp.enable_dhcp", "enable_dhcp = no", func(h *heard) { h.Address, h.Offer = "", "" }},
		{"dhcp.lease_lifetime", "lease_lifetime = 86400", func(h *heard) { in(t, &h.Offer, lease7d, "330400015180") }},
		{"dhcp.lease_renewal", "lease_renewal = 600", func(h *heard) { in(t, &h.Offer, t1Hour, "3a0400000258") }},
		{"dhcp.server_ip", "server_ip = 198.51.100.9", func(h *heard) { in(t, &h.Offer, serverID, "3604c6336409") }},
		{"dhcp.server_on_link", "server_on_link = yes", func(h *heard) { in(t, &h.Offer, serverID, "3604cb007101") }},
		{"dhcp.dhcp_queue", "dhcp_queue = 7", nil},
		{"dhcp.nameservers", "nameservers = 203.0.113.53", func(h *heard) { in(t, &h.Offer, dns, "0604cb007135") }},
		{"dhcp.domain", "domain = site", func(h *heard) {
			in(t, &h.Offer, domain, "0f"+site)
			in(t, &h.RA, dnssl, "1f02000000000384"+site+"000000")
			in(t, &h.Reply6, names6, "00180006"+site+"00")
		}},
		{"ipv6.enable_ipv6", "enable_ipv6 = no", func(h *heard) { h.RA, h.Reply6 = "", "" }},
		{"ipv6.mode", "mode = slaac", func(h *heard) {
			in(t, &h.RA, "860000000040", "860000000000")
			h.Reply6 = ""
		}},
		{"ipv6.ra_period", "ra_period = 60", func(h *heard) { h.RA = strings.ReplaceAll(h.RA, "00000384", "000000b4") }},
		{"ipv6.rs_queue", "rs_queue = 1", nil},
		{"ipv6.ns_queue", "ns_queue = 1", nil},
		{"ipv6.dhcpv6_queue", "dhcpv6_queue = 1", nil},
		{"ipv6.dhcp_queue", "dhcp_queue = 1", nil},
		{"ipv6.nameservers", "nameservers = 2001:db8::1", func(h *heard) {
			in(t, &h.RA, rdnss, "1903000000000384"+site6)
			in(t, &h.Reply6, dns6, "00170010"+site6)
		}},
		{"ipv6.domains", "domains = site", func(h *heard) {
			in(t, &h.RA, dnssl, "1f02000000000384"+site+"000000")
			in(t, &h.Reply6, names6, "00180006"+site+"00")
		}},
		{"ipv6.enable_dhcpv6", "enable_dhcpv6 = no", nil},
	}
	var keys []string
	for _, k := range confKeys() {
		keys = append(keys, k.name)
	}
	onTheWire(t, tests, keys, func(c change) nic.Binding {
		return one(t, configured(t, with(conf, c.key, c.line)), bridged)
	})
}

// onTheWire holds what a guest hears after each change to what it is to
// change, and the changes to all keys there are.
func onTheWire(t *testing.T, tests []change, keys []string, changed func(change) nic.Binding) {
	t.Helper()
	equal(t, heardOfBridged(), hears(t, one(t, configured(t, conf), bridged)))
	reached := map[string]bool{}
	for _, c := range tests {
		reached[c.key] = true
		want := heardOfBridged()
		if c.of != nil {
			c.of(&want)
		}
		if d := cmp.Diff(want, hears(t, changed(c))); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.line, d)
		}
	}
	for _, key := range keys {
		if !reached[key] {
			t.Errorf("%s has no test", key)
		}
	}
}
