package main

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv6"
)

// A stamped frame carries the id where a parser finds it, under a checksum
// that holds.
func TestStamp(t *testing.T) {
	c := newClient(3)
	server := []byte{0, 3, 0, 1, 2, 2, 2, 2, 2, 2}
	for name, m := range map[string]*message{
		"discover": c.discover4(), "select": c.select4(), "renew": c.renew4(),
		"solicit": c.solicit6(), "select6": c.select6(server), "renew6": c.renew6(server),
	} {
		for _, id := range []uint32{0, 1, 0xabcdef, 0xffffff} {
			m.stamp(id)
			if got, ok := xidOf(m.frame); !ok || got != id {
				t.Errorf("%s: id %#x, %v, want %#x", name, got, ok, id)
			}
			if fold(udpSum(m)) != 0 {
				t.Errorf("%s with id %#x: the checksum does not hold", name, id)
			}
		}
	}
}

// udpSum adds up what RFC 768 and RFC 8200 section 8.1 have a checksum cover.
func udpSum(m *message) uint32 {
	at, addrs := ethHeader+ip4Header, 8
	if m.width == 3 {
		at, addrs = ethHeader+ip6Header, 32
	}
	return sumOf(m.frame[at-addrs:]) + udpProto + uint32(binary.BigEndian.Uint16(m.frame[at+4:]))
}

// answer4 is the right answer but for what change does to it.
func answer4(t *testing.T, m *message, c client, change func(*dhcpv4.DHCPv4)) []byte {
	t.Helper()
	request, err := dhcpv4.FromBytes(m.frame[ethHeader+ip4Header+udpHeader:])
	if err != nil {
		t.Fatal(err)
	}
	server := serverAddr4().AsSlice()
	p, err := dhcpv4.NewReplyFromRequest(request, dhcpv4.WithMessageType(dhcpv4.MessageTypeOffer), dhcpv4.WithYourIP(c.addr4.AsSlice()),
		dhcpv4.WithNetmask([]byte{255, 255, 255, 0}), dhcpv4.WithRouter(server), dhcpv4.WithLeaseTime(leaseTime),
		dhcpv4.WithOption(dhcpv4.OptServerIdentifier(server)))
	if err != nil {
		t.Fatal(err)
	}
	change(p)
	return udp(endpoint{serverMAC(), serverAddr4(), 67}, endpoint{c.mac, c.addr4, 68}, p.ToBytes())
}

func TestCheck4(t *testing.T) {
	c := newClient(0)
	m := c.discover4()
	m.stamp(7)
	for want, change := range map[string]func(*dhcpv4.DHCPv4){
		"":                       func(*dhcpv4.DHCPv4) {},
		"op ":                    func(p *dhcpv4.DHCPv4) { p.OpCode = dhcpv4.OpcodeBootRequest },
		"yiaddr 192.0.2.99":      func(p *dhcpv4.DHCPv4) { p.YourIPAddr = []byte{192, 0, 2, 99} },
		"no answer to this":      func(p *dhcpv4.DHCPv4) { p.ClientHWAddr = []byte{2, 0, 0, 0, 0, 1} },
		"message type [6]":       func(p *dhcpv4.DHCPv4) { p.UpdateOption(dhcpv4.OptMessageType(dhcpv4.MessageTypeNak)) },
		"server identifier":      func(p *dhcpv4.DHCPv4) { p.UpdateOption(dhcpv4.OptServerIdentifier([]byte{192, 0, 2, 9})) },
		"option [255 255 0 0]":   func(p *dhcpv4.DHCPv4) { p.UpdateOption(dhcpv4.OptSubnetMask([]byte{255, 255, 0, 0})) },
		"lease is missing":       func(p *dhcpv4.DHCPv4) { p.DeleteOption(dhcpv4.OptionIPAddressLeaseTime) },
		"option [192 0 2 2], wa": func(p *dhcpv4.DHCPv4) { p.UpdateOption(dhcpv4.OptRouter([]byte{192, 0, 2, 2})) },
	} {
		judge(t, m.check(answer4(t, m, c, change)), want)
	}
}

func judge(t *testing.T, err error, want string) {
	t.Helper()
	if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %q", err, want)
	}
}

func TestCheck6(t *testing.T) {
	c, other := newClient(0), newClient(1)
	server := []byte{0, 3, 0, 1, 2, 2, 2, 2, 2, 2}
	m := c.select6(server)
	for _, tc := range []struct {
		want string
		from client
		kind dhcpv6.MessageType
	}{
		{"", c, dhcpv6.MessageTypeReply},
		{"message type 2", c, dhcpv6.MessageTypeAdvertise},
		{"identifier [", client{mac: other.mac, addr6: c.addr6, addr4: c.addr4, local: c.local}, dhcpv6.MessageTypeReply},
		{"address 2001:db8:1::101", client{mac: c.mac, addr6: other.addr6, addr4: c.addr4, local: c.local}, dhcpv6.MessageTypeReply},
	} {
		to := endpoint{c.mac, c.local, 546}
		frame := udp(endpoint{serverMAC(), c.local, 547}, to, tc.from.payload6(tc.kind, server))
		judge(t, m.check(frame), tc.want)
	}
	cut := udp(endpoint{serverMAC(), c.local, 547}, endpoint{c.mac, c.local, 546}, c.payload6(dhcpv6.MessageTypeReply, server)[:40])
	judge(t, m.check(cut), "IA_NA")
}

func TestTakeCounts(t *testing.T) {
	c := newClient(0)
	m := c.discover4()
	l := newLoad(&conn{tx: newBatch()}, newNeighbours([]client{c}), 1, func(int) []*message { return []*message{m} })
	now := time.Now()
	l.since = now
	if err := l.begin(l.slots[0], now); err != nil {
		t.Fatal(err)
	}
	bad := answer4(t, m, c, func(p *dhcpv4.DHCPv4) { p.YourIPAddr = []byte{192, 0, 2, 99} })
	good := answer4(t, m, c, func(*dhcpv4.DHCPv4) {})
	late := now.Add(3 * time.Microsecond)
	if err := errors.Join(l.take(bad, now), l.take(good, late), l.take(good, late)); err != nil {
		t.Fatal(err)
	}
	if l.Exchanges != 1 || l.Wrong != 1 || l.quantile(0.5) != 3*time.Microsecond {
		t.Errorf("%d exchanges, %d wrong, median %v; want 1, 1, 3µs", l.Exchanges, l.Wrong, l.quantile(0.5))
	}
	if err := l.expire(late.Add(l.giveUp)); err != nil || l.Lost != 1 {
		t.Errorf("%d lost, %v, want 1", l.Lost, err)
	}
}

// Two rounds of two servers: medians, and ratios to the reflector.
func TestRows(t *testing.T) {
	var c comparison
	add := func(peer string, rates ...int) {
		for _, n := range rates {
			c.results = append(c.results, result{Peer: peer, Family: 4, Mode: lease, Outstanding: 1, sample: sample{Exchanges: n, Seconds: 1, SenderCPU: 2}})
		}
	}
	add("reflector", 1000, 1000)
	add("berth", 400, 600)
	add("dnsmasq", 50)
	rows := c.rows(kind{4, lease, 1})
	got := make([]string, 0, len(rows))
	for _, r := range rows {
		got = append(got, strings.Join(r[:4], " | "))
	}
	want := "reflector | 1000 (1000 to 1000) | 20.00 | 1.00\nberth | 500 (400 to 600) | 10.00 | 0.50\ndnsmasq | 50 (50 to 50) | 1.00 | 0.05"
	if s := strings.Join(got, "\n"); s != want {
		t.Errorf("got\n%s\nwant\n%s", s, want)
	}
	if n := len(c.plots()); n != 6 {
		t.Errorf("%d plots, want 6", n)
	}
}
