package nfdhcpd

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/dhcp4"
	"github.com/berth-net/berth/internal/dhcp6"
	"github.com/berth-net/berth/internal/nd"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

// Options as nfdhcpd sent them to the guest of the file called bridged,
// written out so that a test can be read beside RFC 2132.
const (
	isOffer   = "350102"
	isAck     = "350105"
	isNak     = "350106"
	serverID  = "3604c0000201"
	lease7d   = "330400093a80"
	mask24    = "0104ffffff00"
	router    = "0304cb007101"
	dns       = "0608c6336401c6336402"
	hostname  = "0c10" + "77656231" + "2e" + "6578616d706c65" + "2e" + "6f7267"
	domain    = "0f0b" + "6578616d706c65" + "2e" + "6f7267"
	mtu1442   = "1a0205a2"
	broadcast = "1c04cb0071ff"
	t1Hour    = "3a0400000e10"
	names     = dns + hostname + domain

	askIP    = "3204cb00710a"
	askOther = "3204cb00710b"
)

func guest() nic.MAC { return nic.MAC{0xaa, 0, 0, 0x11, 0x22, 0x33} }

// asks is a DHCPv4 message of the guest (RFC 2131 figure 1).
func asks(t *testing.T, ciaddr, options string) dhcp4.Query {
	t.Helper()
	b := make([]byte, 240)
	b[0], b[1], b[2] = 1, 1, 6
	copy(b[4:], []byte{0x39, 0x03, 0xf3, 0x26})
	copy(b[12:], ip(ciaddr).AsSlice())
	mac := guest()
	copy(b[28:], mac[:])
	copy(b[236:], []byte{0x63, 0x82, 0x53, 0x63})
	b = append(append(b, unhex(t, options)...), 0xff)
	return dhcp4.Query{EthSrc: guest(), Src: ip(ciaddr), Dst: ip("255.255.255.255"), Message: b}
}

func answer(t *testing.T, b nic.Binding, q dhcp4.Query) dhcp4.Outcome {
	t.Helper()
	id, why := dhcp4.ServerID(&b, nil)
	if why != reason.None {
		t.Fatalf("no server identifier: %s", why)
	}
	return dhcp4.Answer(dhcp4.Server{Binding: &b, ID: id}, q)
}

// wantReply compares a reply's addresses and all of its options.
func wantReply(t *testing.T, o dhcp4.Outcome, src, dst, yiaddr, options string) {
	t.Helper()
	if o.Reply == nil {
		t.Fatalf("%s: no reply: %s", o.Request, o.Reason)
	}
	equal(t, addrs(src, dst), []netip.Addr{o.Reply.Src, o.Reply.Dst})
	m := o.Reply.Message
	equal(t, ip(yiaddr), netip.AddrFrom4([4]byte(m[16:20])))
	got := strings.TrimRight(hex.EncodeToString(m[240:]), "0")
	if d := cmp.Diff(options+"ff", got); d != "" {
		t.Errorf("options (-want +got):\n%s", d)
	}
}

// A guest that renews is told what nfdhcpd told it: the same server
// identifier, address, lease, T1 and no T2, in whatever state it is.
func TestAnswersOfNfdhcpd(t *testing.T) {
	const all = mask24 + router + names + broadcast + t1Hour
	tests := []struct {
		name, ciaddr, options string
		dst, yiaddr, want     string
	}{
		{"discover", "0.0.0.0", "350101", "203.0.113.10", "203.0.113.10", isOffer + serverID + lease7d + all},
		{"selecting", "0.0.0.0", "350103" + askIP + serverID, "203.0.113.10", "203.0.113.10", isAck + serverID + lease7d + all},
		{"init-reboot", "0.0.0.0", "350103" + askIP, "203.0.113.10", "203.0.113.10", isAck + serverID + lease7d + all},
		{"renewing", "203.0.113.10", "350103", "203.0.113.10", "203.0.113.10", isAck + serverID + lease7d + all},
		{
			"asking", "203.0.113.10", "350103" + "37040c0f0133", "203.0.113.10", "203.0.113.10",
			isAck + serverID + lease7d + hostname + domain + mask24 + router + dns + broadcast + t1Hour,
		},
		{"asking for ten years", "0.0.0.0", "350101" + "330412cc0300", "203.0.113.10", "203.0.113.10", isOffer + serverID + lease7d + all},
		{"another address", "0.0.0.0", "350103" + askOther, "255.255.255.255", "0.0.0.0", isNak + serverID + refused},
		{"renewing another", "203.0.113.11", "350103", "255.255.255.255", "0.0.0.0", isNak + serverID + refused},
		{"inform", "203.0.113.10", "350108", "203.0.113.10", "0.0.0.0", isAck + serverID + mask24 + router + names + broadcast},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := answer(t, one(t, configured(t, conf), bridged), asks(t, test.ciaddr, test.options))
			wantReply(t, o, "192.0.2.1", test.dst, test.yiaddr, test.want)
		})
	}
}

// refused is the message of every NAK of berth.
const refused = "3829" + "61646472657373" + "20" + "646f6573" + "20" + "6e6f74" + "20" +
	"62656c6f6e67" + "20" + "746f" + "20" + "74686973" + "20" + "696e74657266616365"

// What a file and the conf change in a DHCPv4 answer.
func TestAnswersToOthers(t *testing.T) {
	const (
		rest   = names + broadcast + t1Hour
		onLink = "3604cb007101"
		first  = "3604cb007101" // the gateway's place, which nobody has
	)
	tests := []struct {
		name, conf, file, src, want string
	}{
		{
			"on link", with(conf, "dhcp.server_on_link", "server_on_link = yes"), bridged, "203.0.113.1",
			isOffer + onLink + lease7d + mask24 + router + rest,
		},
		{
			"on link, no gateway", with(conf, "dhcp.server_on_link", "server_on_link = yes"), with(bridged, "GATEWAY", "GATEWAY="), "203.0.113.1",
			isOffer + first + lease7d + mask24 + rest,
		},
		{
			"private", conf, with(bridged, "PRIVATE", "PRIVATE=1"), "192.0.2.1",
			isOffer + serverID + lease7d + mask24 + rest,
		},
		{
			"mtu", conf, with(bridged, "MTU", "MTU=1442"), "192.0.2.1",
			isOffer + serverID + lease7d + mask24 + router + names + mtu1442 + broadcast + t1Hour,
		},
		{
			"common domain", with(conf, "dhcp.domain", "domain = site"), bridged, "192.0.2.1",
			isOffer + serverID + lease7d + mask24 + router + dns + hostname + "0f0473697465" + broadcast + t1Hour,
		},
		{
			"one label", conf, with(bridged, "HOSTNAME", "HOSTNAME=db1"), "192.0.2.1",
			isOffer + serverID + lease7d + mask24 + router + dns + "0c03646231" + broadcast + t1Hour,
		},
		{"routed", conf, routed, "192.0.2.1", isOffer + serverID + lease7d + mask24 + router + rest},
		{
			"off-link gateway", conf, with(bridged, "SUBNET", "SUBNET=203.0.113.10/32"), "192.0.2.1",
			isOffer + serverID + lease7d + "0104ffffffff" + router + names + t1Hour + "790e" + "20cb00710100000000" + "00cb007101",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := answer(t, one(t, configured(t, test.conf), test.file), asks(t, "0.0.0.0", "350101"))
			wantReply(t, o, test.src, "203.0.113.10", "203.0.113.10", test.want)
		})
	}
}

func TestDHCPOff(t *testing.T) {
	b := one(t, configured(t, with(conf, "dhcp.enable_dhcp", "enable_dhcp = no")), bridged)
	if o := answer(t, b, asks(t, "0.0.0.0", "350101")); o.Reply != nil || o.Reason != reason.DHCPOff {
		t.Errorf("reason %s, want %s and silence", o.Reason, reason.DHCPOff)
	}
}

// Pieces of router advertisements (RFC 4861 4.2, 4.6.2; RFC 8106).
const (
	header   = "86000000" + "00" + "40" + "3840" + "0000000000000000" // O, 4 h
	slla     = "0101" + "020000000009"
	sllaTap  = "0101" + "cc47524e4554"
	pio      = "030440c0" + "ffffffff" + "ffffffff" + "00000000" + "20010db8000100000000000000000000"
	pioOther = "03044080" + "ffffffff" + "ffffffff" + "00000000" + "20010db8000100000000000000000000"
	rdnss    = "19030000" + "00000384" + "20010db8000000000000000000000053"
	raMTU    = "05010000" + "000005a2"
	dnssl    = "1f030000" + "00000384" + "076578616d706c65" + "036f7267" + "00" + "000000"
)

// solicits is a router solicitation from an address, with the guest's MAC as
// option where there is one to say it of.
func solicits(t *testing.T, src string) nd.Solicitation {
	t.Helper()
	s := nd.Solicitation{EthSrc: guest(), Src: ip(src), Dst: ip("ff02::2"), HopLimit: 255, Message: unhex(t, "8500000000000000")}
	if src != "::" {
		s.Message = append(s.Message, unhex(t, "0101aa0000112233")...)
	}
	return s
}

// advertised is what the NIC is told when asked, with the routed NIC's MAC
// that of the tap.
func advertised(t *testing.T, b nic.Binding, src string) nd.Outcome {
	t.Helper()
	r := nd.Router{Binding: &b, GatewayMAC: b.GatewayMAC}
	if b.Routed {
		r.GatewayMAC = host().MACs["tap0"]
	}
	return nd.Answer(r, solicits(t, src), nd.Withdrawn{})
}

func TestAdvertisementsOfNfdhcpd(t *testing.T) {
	const (
		own    = "fe80::ff:fe00:9"
		tap    = "fe80::ce47:52ff:fe4e:4554"
		berth  = "fe80::62:65ff:fe72:7468"
		slaac  = "86000000" + "00" + "00" + "3840" + "0000000000000000"
		both   = "86000000" + "00" + "c0" + "3840" + "0000000000000000"
		no     = "86000000" + "00" + "40" + "0000" + "0000000000000000"
		noSLLA = "86000000" + "00" + "40" + "3840" + "0000000000000000"
	)
	tests := []struct{ name, conf, file, src, want string }{
		{"slaac+dhcpv6", conf, bridged, own, header + slla + pio + rdnss + dnssl},
		{"slaac", with(conf, "ipv6.mode", "mode = slaac"), bridged, own, slaac + slla + pio + rdnss + dnssl},
		{
			"dhcpv6", with(conf, "ipv6.mode", "mode = dhcpv6"), bridged, own,
			both + slla + strings.Replace(pio, "c0", "80", 1) + rdnss + dnssl,
		},
		{"routed", conf, routed, tap, header + sllaTap + pio + rdnss + dnssl},
		{"mtu", conf, with(bridged, "MTU", "MTU=1442"), own, header + slla + pio + rdnss + raMTU + dnssl},
		{"private", conf, with(bridged, "PRIVATE", "PRIVATE=1"), own, no + slla + pio + rdnss + dnssl},
		{"the site's router", conf, with(bridged, "GATEWAY6", "GATEWAY6=fe80::1"), "fe80::1", noSLLA + pio + rdnss + dnssl},
		{
			"a router's MAC", conf, with(bridged, "GATEWAY6_MAC", "GATEWAY6_MAC=02:00:00:00:00:77"), berth,
			header + "0101" + "020000000077" + pio + rdnss + dnssl,
		},
		{
			"no router", conf, with(bridged, "INDEV", "INDEV=br7"), berth,
			no + "0101" + "026265727468" + pio + rdnss + dnssl,
		},
		{
			"one domain for all", with(conf, "ipv6.domains", "domains = site"), bridged, own,
			header + slla + pio + rdnss + "1f020000" + "00000384" + "04" + "73697465" + "00" + "0000",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := advertised(t, one(t, configured(t, test.conf), test.file), "fe80::a800:ff:fe11:2233")
			if o.Reply == nil {
				t.Fatalf("no reply: %s", o.Reason)
			}
			equal(t, ip(test.src), o.Reply.Src)
			equal(t, test.want, hex.EncodeToString(o.Reply.Message))
		})
	}
}

func TestStatelessDHCPv6(t *testing.T) {
	const (
		duid    = "00040102030405060708090a0b0c0d0e0f10"
		request = "0b3903f3" + "0001000a" + "00030001aa0000112233" + "0006000400170018"
		reply   = "073903f3" + "0001000a" + "00030001aa0000112233" + "00020012" + duid +
			"00170010" + "20010db8000000000000000000000053" + "0018000d" + "076578616d706c65" + "036f7267" + "00"
	)
	b := one(t, configured(t, conf), bridged)
	s := dhcp6.Server{Binding: &b, DUID: unhex(t, duid), Addr: nic.BerthLinkLocal()}
	o := dhcp6.Answer(s, dhcp6.Query{
		EthSrc: guest(), Src: ip("fe80::1234"), Dst: ip("ff02::1:2"), Message: unhex(t, request),
	})
	if o.Reply == nil {
		t.Fatalf("no reply: %s", o.Reason)
	}
	equal(t, reply, hex.EncodeToString(o.Reply.Message))
	equal(t, ip("fe80::1234"), o.Reply.Dst)
}

// Mistakes of nfdhcpd that are not made again.

func TestEmptyMTUCostsNothing(t *testing.T) {
	b := one(t, configured(t, conf), with(bridged, "MTU", "MTU="))
	if o := answer(t, b, asks(t, "0.0.0.0", "350101")); o.Answer != "OFFER" {
		t.Errorf("answer %q, reason %s", o.Answer, o.Reason)
	}
}

func TestUpperCaseMACIsTheGuest(t *testing.T) {
	b := one(t, configured(t, conf), with(bridged, "MAC", "MAC=AA:00:00:11:22:33"))
	if o := answer(t, b, asks(t, "0.0.0.0", "350101")); o.Answer != "OFFER" {
		t.Errorf("answer %q, reason %s", o.Answer, o.Reason)
	}
}

func TestSolicitationsFromAnyLinkLocal(t *testing.T) {
	b := one(t, configured(t, conf), bridged)
	for src, dst := range map[string]string{
		"::":                     "ff02::1",
		"fe80::1":                "fe80::1",
		"fe80::1c2d:9a1b:77e:ab": "fe80::1c2d:9a1b:77e:ab", // RFC 7217
	} {
		o := advertised(t, b, src)
		if o.Reply == nil {
			t.Errorf("%s: no reply: %s", src, o.Reason)
			continue
		}
		equal(t, ip(dst), o.Reply.Dst)
	}
}

func TestPrivateIsNoDefaultRouter(t *testing.T) {
	for _, file := range []string{bridged, routed} {
		o := advertised(t, one(t, configured(t, conf), with(file, "PRIVATE", "PRIVATE=1")), "::")
		if o.Reply == nil || o.Reply.Message[6] != 0 || o.Reply.Message[7] != 0 {
			t.Errorf("router lifetime is not 0: %+v, %s", o.Reply, o.Reason)
		}
	}
}

func TestNoHostNameIsNoMistake(t *testing.T) {
	b := one(t, configured(t, conf), with(bridged, "HOSTNAME", "HOSTNAME="))
	wantReply(t, answer(t, b, asks(t, "0.0.0.0", "350101")), "192.0.2.1", "203.0.113.10", "203.0.113.10",
		isOffer+serverID+lease7d+mask24+router+dns+broadcast+t1Hour)
}

func TestInstanceIsTheHostNameIfThereIsNone(t *testing.T) {
	b := one(t, configured(t, conf), with(with(bridged, "HOSTNAME", "HOSTNAME="), "INSTANCE", "INSTANCE=db1"))
	wantReply(t, answer(t, b, asks(t, "0.0.0.0", "350101")), "192.0.2.1", "203.0.113.10", "203.0.113.10",
		isOffer+serverID+lease7d+mask24+router+dns+"0c03646231"+broadcast+t1Hour)
}

func TestSpoofedClientIsAnswered(t *testing.T) {
	q := asks(t, "0.0.0.0", "350101")
	q.Message[33]++ // chaddr
	b := one(t, configured(t, conf), with(bridged, "MACSPOOF", "MACSPOOF=1"))
	if o := answer(t, b, q); o.Answer != "OFFER" {
		t.Errorf("answer %q, reason %s", o.Answer, o.Reason)
	}
	if o := answer(t, one(t, configured(t, conf), bridged), q); o.Reason != reason.DHCPChaddr {
		t.Errorf("reason %s without MACSPOOF, want %s", o.Reason, reason.DHCPChaddr)
	}
}
