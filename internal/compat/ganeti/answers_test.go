package ganeti_test

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/compat/ganeti"
	"github.com/berth-net/berth/internal/compat/nfdhcpd"
	"github.com/berth-net/berth/internal/dhcp4"
	"github.com/berth-net/berth/internal/nd"
	"github.com/berth-net/berth/internal/nic"
)

// The options of an ACK and a router advertisement as nfdhcpd sent them to the
// NIC of base, but for what berth does better (docs/nfdhcpd.md).
const (
	ackFirst  = "350105" + "3604c6336401" + "330400093a80" // ACK, 198.51.100.1, 7 days
	mask24    = "0104ffffff00"
	router    = "0304c0000201"
	dns       = "0604cb007135"
	hostname  = "0c0f766d372e6578616d706c652e6f7267"
	domain    = "0f0b6578616d706c652e6f7267"
	broadcast = "1c04c00002ff"
	t1        = "3a0400000e10"
	ack       = ackFirst + mask24 + router + dns + hostname + domain + broadcast + t1

	flags   = "8600000000403840" + "0000000000000000" // O, 4 hours
	bridge  = "0101020000000001"
	tap     = "0101cc47524e4554"
	prefix  = "030440c0ffffffffffffffff00000000" + "20010db8000100000000000000000000"
	rdnss   = "1903000000000708" + "20010db8000000000000000000000053"
	dnssl   = "1f03000000000708" + "076578616d706c65036f726700000000"
	adverts = prefix + rdnss + dnssl
)

// renews is what a guest that renews is told: yiaddr and options.
func renews(t *testing.T, b *nic.Binding) string {
	t.Helper()
	m := make([]byte, 240, 300)
	m[0], m[1], m[2] = 1, 1, 6
	at := netip.MustParseAddr("192.0.2.10")
	copy(m[12:], at.AsSlice())
	copy(m[28:], b.MAC[:])
	copy(m[236:], "\x63\x82\x53\x63")
	id, _ := dhcp4.ServerID(b, nil)
	o := dhcp4.Answer(dhcp4.Server{Binding: b, ID: id}, dhcp4.Query{
		EthSrc: b.MAC, Src: at, Dst: netip.MustParseAddr("198.51.100.1"), Message: append(m, 53, 1, 3, 255),
	})
	if o.Reply == nil {
		return ""
	}
	text := hex.EncodeToString(o.Reply.Message[240:])
	return netip.AddrFrom4([4]byte(o.Reply.Message[16:20])).String() + " " + text[:strings.LastIndex(text, "ff")]
}

// solicits is what a guest is advertised that asks.
func solicits(b *nic.Binding) string {
	r := nd.Router{Binding: b, GatewayMAC: b.GatewayMAC}
	if b.Routed {
		r.GatewayMAC = nic.MAC{0xcc, 'G', 'R', 'N', 'E', 'T'}
	}
	o := nd.Answer(r, nd.Solicitation{
		EthSrc: b.MAC, Src: netip.IPv6Unspecified(), Dst: netip.MustParseAddr("ff02::2"), HopLimit: 255, Message: []byte{133, 0, 0, 0, 0, 0, 0, 0},
	}, nd.Withdrawn{})
	if o.Reply == nil {
		return ""
	}
	return hex.EncodeToString(o.Reply.Message)
}

// TestAnswers: each variable of Ganeti's, as the bytes that the guest is told;
// "" is silence.
func TestAnswers(t *testing.T) {
	const own = "192.0.2.10 " + ack
	replaced := func(s, from, to string) string { return strings.Replace(s, from, to, 1) }
	tests := []struct {
		name        string
		env         map[string]string
		dhcp4, adv6 string
	}{
		{"bridged", base(), own, flags + bridge + adverts},
		{"MODE", with("MODE", "routed"), own, flags + tap + adverts},
		{"LINK", with("LINK", "br-other"), own, replaced(flags, "3840", "0000") + "0101026265727468" + adverts},
		{"MAC", with("MAC", "aa:00:01:12:34:57"), own, flags + bridge + adverts},
		{"IP", with("IP", "192.0.2.20"), "0.0.0.0 " + nak, flags + bridge + adverts},
		{"no IP", with("IP", ""), "", flags + bridge + adverts},
		{"INSTANCE", with("INSTANCE", "vm8"), replaced(own, hostname+domain, "0c03766d38"), flags + bridge + prefix + rdnss},
		{"NETWORK_SUBNET", with("NETWORK_SUBNET", "192.0.2.0/25"), replaced(replaced(own, mask24, "0104ffffff80"), broadcast, "1c04c000027f"), flags + bridge + adverts},
		{"NETWORK_GATEWAY", with("NETWORK_GATEWAY", "192.0.2.254"), replaced(own, router, "0304c00002fe"), flags + bridge + adverts},
		{"no NETWORK_GATEWAY", with("NETWORK_GATEWAY", "-"), replaced(own, router, ""), flags + bridge + adverts},
		{"NETWORK_SUBNET6", with("NETWORK_SUBNET6", "2001:db8:2::/64", "NETWORK_GATEWAY6", ""), own, flags + bridge + replaced(adverts, "0db80001", "0db80002")},
		{"no NETWORK_SUBNET6", with("NETWORK_SUBNET6", "", "NETWORK_GATEWAY6", ""), own, ""},
		{"NETWORK_GATEWAY6", with("NETWORK_GATEWAY6", "fe80::1"), own, flags + adverts},
		{"filtered, too", with("NETWORK_TAGS", "nfdhcpd private-filtered"), own, flags + bridge + adverts},
		{"routed, and told nothing", with("MODE", "routed", "NETWORK_TAGS", "ip-less-routed"), "", ""},
		{"filtered alone", with("NETWORK_TAGS", "private-filtered"), "", ""},
		{"what tells a guest nothing", with("TAGS", "a", "NETWORK_NAME", "b", "NETWORK_MAC_PREFIX", "c", "INTERFACE_INDEX", "1", "INTERFACE_NAME", "d", "INTERFACE_UUID", "e"), own, flags + bridge + adverts},
	}
	for _, c := range tests {
		n, problems := ganeti.Parse(c.env, settings(t, ""))
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		b := binding(t, &n)
		if diff := cmp.Diff([]string{c.dhcp4, c.adv6}, []string{renews(t, b), solicits(b)}); diff != "" {
			t.Errorf("%s: ACK, advertisement (-want +got):\n%s", c.name, diff)
		}
	}
}

// nak refuses the address of a guest whose NIC has another one now.
const nak = "350106" + "3604c6336401" + "3829" + "61646472657373" + "20" + "646f6573" + "20" + "6e6f74" + "20" +
	"62656c6f6e67" + "20" + "746f" + "20" + "74686973" + "20" + "696e74657266616365"

// TestVariablesWrong: each variable that identity is made of, wrong in turn, is
// told by its own name with its value.
func TestVariablesWrong(t *testing.T) {
	config, _, _ := nfdhcpd.ParseConfig("nfdhcpd.conf", []byte(nfdhcpdConf))
	for _, c := range []struct{ name, value, want string }{
		{"IP", "192.0.2.300", `IP "192.0.2.300": not an IPv4 address`},
		{"IP", "198.51.100.7", `IP "198.51.100.7": not in SUBNET 192.0.2.0/24`},
		{"INSTANCE", "vm_7", `INSTANCE "vm_7": character '_' is not allowed in a name (RFC 1123 section 2.1)`},
		{"NETWORK_SUBNET", "192.0.2.9/24", `NETWORK_SUBNET "192.0.2.9/24": host bits are set; the subnet is 192.0.2.0/24`},
		{"NETWORK_GATEWAY", "gw", `NETWORK_GATEWAY "gw": not an IPv4 address`},
		{"NETWORK_SUBNET6", "2001:db8:1::/80", `NETWORK_SUBNET6 "2001:db8:1::/80": autoconfiguration needs a /64 (RFC 4862 section 5.5.3)`},
		{"NETWORK_GATEWAY6", "2001:db8:2::1", `NETWORK_GATEWAY6 "2001:db8:2::1": not in SUBNET6 2001:db8:1::/64`},
	} {
		n, problems := ganeti.Parse(with(c.name, c.value), settings(t, ""))
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		r := nfdhcpd.Format{Config: config}.Parse(n.Interface, n.File(), nfdhcpd.Hosts{})
		told := ganeti.InVariables(r.Problems)
		if len(told) != 1 || told[0].Error() != c.want || len(r.Bindings) > 0 {
			t.Errorf("%s=%s: %v, want %s", c.name, c.value, told, c.want)
		}
	}
}
