package dhcp6

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"slices"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv6"

	"github.com/berth-net/berth/internal/reason"
)

// checkOutcome holds what is true of every outcome, with a decoder that is not
// ours where it reads a message.
func checkOutcome(t testing.TB, s Server, q Query, o Outcome) {
	t.Helper()
	if o.Reply == nil {
		if o.Reason == reason.None || o.Answer != "" {
			t.Fatalf("silence without a reason: %+v", o)
		}
		return
	}
	r := o.Reply
	if r.Src != s.Addr || r.Dst != q.Src || r.DstMAC != q.EthSrc {
		t.Fatalf("reply from %s to %s [%s]", r.Src, r.Dst, r.DstMAC)
	}
	if len(r.Message) > Limit(s.Binding) {
		t.Fatalf("%d octets, limit %d", len(r.Message), Limit(s.Binding))
	}
	client, answer := strip(t, q.Message), strip(t, r.Message)
	if nested := q.Message[0] == 12; nested != (r.DstPort == 547) || nested != (r.Message[0] == 13) {
		t.Fatalf("reply to port %d: %x", r.DstPort, r.Message[:1])
	}
	if !bytes.Equal(client[1:4], answer[1:4]) || o.XID != binary.BigEndian.Uint32(client)&0xffffff {
		t.Fatalf("transaction %x, answered %x, reported %x", client[1:4], answer[1:4], o.XID)
	}
	checkIdentifiers(t, s, top(t, client), top(t, answer))
	checkLeases(t, s, client, answer)
	checkDecoded(t, answer, o)
}

// tlv is one option, read without the code under test.
type tlv struct {
	code uint16
	data []byte
}

func tlvs(t testing.TB, b []byte) []tlv {
	t.Helper()
	var list []tlv
	for len(b) > 0 {
		if len(b) < 4 || len(b) < 4+int(binary.BigEndian.Uint16(b[2:])) {
			t.Fatalf("stray bytes or an overrun: %x", b)
		}
		n := 4 + int(binary.BigEndian.Uint16(b[2:]))
		list = append(list, tlv{binary.BigEndian.Uint16(b), b[4:n]})
		b = b[n:]
	}
	return list
}

func top(t testing.TB, message []byte) []tlv { return tlvs(t, message[4:]) }

func find(list []tlv, code uint16) []byte {
	i := slices.IndexFunc(list, func(o tlv) bool { return o.code == code })
	if i < 0 {
		return nil
	}
	return list[i].data
}

// strip takes relay messages away.
func strip(t testing.TB, b []byte) []byte {
	t.Helper()
	for b[0] == 12 || b[0] == 13 {
		b = find(tlvs(t, b[34:]), 9)
	}
	return b
}

func checkIdentifiers(t testing.TB, s Server, asked, got []tlv) {
	t.Helper()
	if !bytes.Equal(find(asked, 1), find(got, 1)) {
		t.Fatalf("client identifier %x came back as %x", find(asked, 1), find(got, 1))
	}
	if !bytes.Equal(find(got, 2), s.DUID) {
		t.Fatalf("server identifier %x", find(got, 2))
	}
}

// checkLeases: the IAs of a reply are the client's, in its order; what they
// give is the NIC's, and what they take back is not.
func checkLeases(t testing.TB, s Server, client, answer []byte) {
	t.Helper()
	asked := iaids(top(t, client))
	for _, o := range top(t, answer) {
		if !isIA(o.code) {
			continue
		}
		i := slices.Index(asked, iaKey(o))
		if i < 0 {
			t.Fatalf("an IA that was not asked for, or out of order: %d %x", o.code, o.data)
		}
		asked = asked[i+1:]
		for _, l := range leasesIn(t, o) {
			mine := owned(s, l.prefix)
			if mine != (l.valid > 0) || l.preferred > l.valid {
				t.Fatalf("%v preferred %d valid %d; the NIC's: %t", l.prefix, l.preferred, l.valid, mine)
			}
		}
	}
}

func isIA(code uint16) bool { return code == 3 || code == 4 || code == 25 }

type key struct {
	code uint16
	iaid string
}

func iaKey(o tlv) key { return key{o.code, string(o.data[:4])} }

func iaids(list []tlv) []key {
	var out []key
	for _, o := range list {
		if isIA(o.code) {
			out = append(out, iaKey(o))
		}
	}
	return out
}

type lease struct {
	prefix           netip.Prefix
	preferred, valid uint32
}

func leasesIn(t testing.TB, o tlv) []lease {
	t.Helper()
	header := 12
	if o.code == 4 {
		header = 4
	}
	var out []lease
	for _, l := range tlvs(t, o.data[header:]) {
		switch d := l.data; l.code {
		case 5:
			out = append(out, lease{
				netip.PrefixFrom(netip.AddrFrom16([16]byte(d[:16])), 128),
				binary.BigEndian.Uint32(d[16:]), binary.BigEndian.Uint32(d[20:]),
			})
		case 26:
			out = append(out, lease{
				netip.PrefixFrom(netip.AddrFrom16([16]byte(d[9:25])), int(d[8])),
				binary.BigEndian.Uint32(d), binary.BigEndian.Uint32(d[4:]),
			})
		}
	}
	return out
}

// owned looks an address or prefix up in the binding's own lists.
func owned(s Server, p netip.Prefix) bool {
	return slices.Contains(s.Binding.Delegated, p) || slices.ContainsFunc(s.Binding.Addresses,
		func(own netip.Prefix) bool { return p.Bits() == 128 && own.Addr() == p.Addr() })
}

// checkDecoded reads the reply with the other decoder, which writes the same
// bytes again and finds the same addresses.
func checkDecoded(t testing.TB, b []byte, o Outcome) {
	t.Helper()
	if _, err := dhcpv6.DUIDFromBytes(find(top(t, b), 1)); err != nil && find(top(t, b), 1) != nil {
		return // to this server a DUID is opaque, to that decoder it is not
	}
	m, err := dhcpv6.MessageFromBytes(b)
	if err != nil {
		t.Fatalf("reply does not parse: %v\n%s", err, hex.Dump(b))
	}
	if m.MessageType.String() != o.Answer {
		t.Fatalf("decoded as %s, want %s", m.MessageType, o.Answer)
	}
	if again := m.ToBytes(); !bytes.Equal(again, b) {
		t.Fatalf("decoded and written again:\n%s\nwas:\n%s", hex.Dump(again), hex.Dump(b))
	}
	if m.MessageType != dhcpv6.MessageTypeAdvertise && m.Options.Status() != nil {
		return // a RELEASE or CONFIRM is about addresses and gives none
	}
	if o.Reason == reason.None {
		checkGiven(t, m, o.Addresses)
	}
}

// checkGiven compares what is reported as given with what the other decoder
// finds.
func checkGiven(t testing.TB, m *dhcpv6.Message, want []netip.Prefix) {
	t.Helper()
	var got []netip.Prefix
	add := func(list []*dhcpv6.OptIAAddress) {
		for _, a := range list {
			if a.ValidLifetime > 0 {
				got = append(got, netip.PrefixFrom(netip.AddrFrom16([16]byte(a.IPv6Addr.To16())), 128))
			}
		}
	}
	for _, i := range m.Options.IANA() {
		add(i.Options.Addresses())
	}
	for _, i := range m.Options.IATA() {
		add(i.Options.Addresses())
	}
	for _, i := range m.Options.IAPD() {
		for _, p := range i.Options.Prefixes() {
			if p.ValidLifetime > 0 {
				bits, _ := p.Prefix.Mask.Size()
				got = append(got, netip.PrefixFrom(netip.AddrFrom16([16]byte(p.Prefix.IP.To16())), bits))
			}
		}
	}
	if !slices.Equal(sorted(want), sorted(got)) {
		t.Fatalf("reported %v, decoded %v", want, got)
	}
}

func sorted(list []netip.Prefix) []netip.Prefix {
	return slices.SortedFunc(slices.Values(list), netip.Prefix.Compare)
}
