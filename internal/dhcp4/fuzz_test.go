package dhcp4

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

// fuzzBindings are the shapes a guest may meet.
func fuzzBindings() []*nic.Binding {
	relay := changed(netboot)
	relay.DHCP4.Relay, relay.DHCP4.RapidCommit = true, true
	return []*nic.Binding{
		web1(),
		everything(),
		relay,
		changed(address("192.0.2.10/32"), filled(224, 700), filled(225, 100), filled(226, 60)),
		quiet(fieldsUsed, filled(121, 289), func(b *nic.Binding) { b.DHCP4.NoRouterWithRoutes, b.MTU = true, 1280 }),
		changed(func(b *nic.Binding) { b.Guard.Checks.MAC = false; b.Guard.AllowAddresses = prefixes("0.0.0.0/0") }),
	}
}

// FuzzAnswer: no guest message makes the server panic, change the message or
// say anything but the binding's address, within the size the client takes;
// and an independent decoder reads every reply as we meant it.
func FuzzAnswer(f *testing.F) {
	add := func(p packet) {
		q := asks(f, p)
		for i := range fuzzBindings() {
			f.Add(q.Message, byte(i), q.Src.AsSlice())
		}
	}
	for _, c := range clientFixtures() {
		add(packet{options: "350101" + c.ask, flags: 0x8000})
		add(packet{options: "350103 3604c0000201 3204c000020a" + c.ask})
		add(packet{options: "350103" + c.ask, ciaddr: "192.0.2.10"})
	}
	add(packet{options: "350108", ciaddr: "192.0.2.10"})
	add(packet{options: "350103 3204c0000263 3d00" + agentInfo, giaddr: "192.0.2.250"})
	add(packet{options: "340103", file: "350101 3701e0 ff", sname: "3d0101 ff"})
	f.Fuzz(func(t *testing.T, b []byte, which byte, src []byte) {
		list := fuzzBindings()
		s := server(list[int(which)%len(list)])
		q := Query{EthSrc: guestMAC(), Dst: ip("255.255.255.255"), Message: b}
		q.Src, _ = netip.AddrFromSlice(src)
		before := bytes.Clone(b)
		o := Answer(s, q)
		if !bytes.Equal(before, b) {
			t.Fatal("the message was changed")
		}
		if o.Reply == nil {
			if o.Reason == reason.None || o.Answer != "" {
				t.Fatalf("silence without a reason: %+v", o)
			}
			return
		}
		checkReply(t, s.Binding, q, o)
	})
}

func checkReply(t *testing.T, b *nic.Binding, q Query, o Outcome) {
	t.Helper()
	r := o.Reply.Message
	if len(r) < 300 || len(r) > 1472 || len(r) > limitOf(b, q.Message) {
		t.Fatalf("message of %d bytes, limit %d", len(r), limitOf(b, q.Message))
	}
	if !bytes.Equal(r[4:8], q.Message[4:8]) || !bytes.Equal(r[28:44], q.Message[28:44]) {
		t.Fatalf("xid or chaddr differ:\n%s", hex.Dump(r))
	}
	yiaddr := [4]byte(r[16:20])
	if yiaddr != [4]byte{} && netip.AddrFrom4(yiaddr) != b.Delivered().Addr() {
		t.Fatalf("yiaddr %v is not the binding's", netip.AddrFrom4(yiaddr))
	}
	if (o.Answer == "OFFER" || o.Answer == "ACK" && o.Request != "INFORM") != (yiaddr != [4]byte{}) {
		t.Fatalf("%s to %s with yiaddr %v", o.Answer, o.Request, yiaddr)
	}
	if (o.Answer == "NAK") != (o.Reason == reason.DHCPWrongAddr) || !o.Reply.Dst.Is4() {
		t.Fatalf("outcome %+v", o)
	}
	checkDecoded(t, r, o)
}

// limitOf reads the limit anew, from the client's own option 57.
func limitOf(b *nic.Binding, query []byte) int {
	sent, _ := parseOptions(query)
	most, link := 576, 1500
	if v, ok := sent[57]; ok {
		most = max(576, int(v[0])<<8|int(v[1]))
	}
	if b.MTU != 0 {
		link = max(576, int(b.MTU))
	}
	return min(most, link, 1500) - 28
}

// checkDecoded reads the reply with a decoder that is not ours.
func checkDecoded(t *testing.T, r []byte, o Outcome) {
	t.Helper()
	m, err := dhcpv4.FromBytes(r)
	if err != nil {
		t.Fatalf("reply does not parse: %v\n%s", err, hex.Dump(r))
	}
	if m.OpCode != dhcpv4.OpcodeBootReply || m.MessageType().String() != o.Answer {
		t.Fatalf("decoded as %v %v, want %s", m.OpCode, m.MessageType(), o.Answer)
	}
	if !m.ServerIdentifier().Equal([]byte{192, 0, 2, 1}) {
		t.Fatalf("server identifier %v", m.ServerIdentifier())
	}
	lease := m.Options.Get(dhcpv4.OptionIPAddressLeaseTime)
	if granted := !m.YourIPAddr.IsUnspecified(); granted != (len(lease) == 4) || bytes.Equal(lease, make([]byte, 4)) {
		t.Fatalf("yiaddr %v with lease %x", m.YourIPAddr, lease)
	}
	own, ok := parseOptions(r)
	if !ok {
		t.Fatalf("own parser refuses the reply:\n%s", hex.Dump(r))
	}
	if len(own[optOverload]) == 0 { // the other decoder does not read file and sname
		for code, v := range own {
			if !bytes.Equal(v, m.Options[code]) {
				t.Fatalf("option %d: %x, decoded as %x", code, v, m.Options[code])
			}
		}
	}
}

func BenchmarkAnswer(b *testing.B) {
	q := asks(b, packet{options: "350101" + clientFixtures()[4].ask})
	s := server(everything())
	b.ReportAllocs()
	for b.Loop() {
		if Answer(s, q).Reply == nil {
			b.Fatal("no reply")
		}
	}
}
