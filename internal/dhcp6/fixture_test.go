package dhcp6

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

// Options as clients send them, written out so that a test can be read beside
// the RFC.
const (
	myDUID    = "00030001525400aa0001"
	clientID  = "0001000a" + myDUID
	ourDUID   = "00040102030405060708090a0b0c0d0e0f10"
	serverID  = "00020012" + ourDUID
	otherID   = "0002000a" + "00030001525400ffffff"
	rapid     = "000e0000"
	elapsed   = "000800020000"
	testXID   = 0x3903f3
	askAll    = "0006001e 0017 0018 001f 0020 0027 0038 003b 003c 0052 0053 0067 00c8 0001 0003 000d"
	unknown   = "ffff0003abcdef"
	threeDays = nic.Seconds(259200)
)

func guestMAC() nic.MAC { return nic.MAC{0x52, 0x54, 0, 0xaa, 0, 1} }

// web1 is the binding most tests speak about: two addresses and a prefix.
func web1() *nic.Binding {
	return &nic.Binding{
		NIC:       "tap7",
		MAC:       guestMAC(),
		Hostname:  "web1",
		Domain:    "example.org",
		Addresses: prefixes("192.0.2.10/24", "2001:db8:1::10/64", "2001:db8:1::11/64"),
		Delegated: prefixes("2001:db8:100::/56"),
		DNS:       []netip.Addr{ip("192.0.2.53"), ip("2001:db8::53")},
		DHCP6:     nic.DHCP6{Preferred: threeDays, Valid: 2 * threeDays, T1: 86400, T2: 172800},
		Guard:     nic.Guard{Checks: nic.AllChecks()},
	}
}

// changed returns web1's binding with changes.
func changed(changes ...func(*nic.Binding)) *nic.Binding {
	b := web1()
	for _, change := range changes {
		change(b)
	}
	return b
}

// everything is a binding that fills every option.
func everything() *nic.Binding {
	return changed(func(b *nic.Binding) {
		b.DNS = append(b.DNS, ip("2001:db8::54"))
		b.NTP = []netip.Addr{ip("2001:db8::123"), ip("192.0.2.123"), ip("2001:db8::124")}
		b.Search = []string{"example.org", "example.net."}
		b.CaptivePortal = "https://example.org/portal"
		b.DHCP6.Refresh, b.DHCP6.SolMaxRT, b.DHCP6.InfMaxRT = 7200, 600, 900
		b.DHCP6.BootURL, b.DHCP6.BootArgs = "tftp://[2001:db8::69]/boot", []string{"a=1", "quiet"}
		b.DHCP6.BootArch = map[uint16]string{7: "http://[2001:db8::80]/boot.efi"}
		b.DHCP6.Options = []nic.Option6{{Code: 200, Data: []byte("one")}, {Code: 200, Data: []byte("two")}}
	})
}

// planned is a binding whose IAs are listed: 1 and 2 by name, a temporary
// address, and two addresses and a prefix for any other IA.
func planned() *nic.Binding {
	return changed(func(b *nic.Binding) {
		b.Addresses = append(b.Addresses, prefixes("2001:db8:1::20/64", "2001:db8:1::21/64", "2001:db8:1::99/64")...)
		b.Delegated = prefixes("2001:db8:100::/56", "2001:db8:200::/60")
		b.DHCP6.IAs = []nic.IA{
			{IAID: 1, Addresses: []netip.Addr{ip("2001:db8:1::20")}},
			{IAID: 2, Addresses: []netip.Addr{ip("2001:db8:1::21")}, Prefixes: prefixes("2001:db8:200::/60")},
		}
		b.DHCP6.Temporary = []netip.Addr{ip("2001:db8:1::99")}
	})
}

// bare is a binding that is served and has nothing for an IA.
func bare() *nic.Binding {
	return changed(func(b *nic.Binding) {
		b.Addresses, b.Delegated = prefixes("192.0.2.10/24"), nil
		b.SLAAC = prefixes("2001:db8:a::/64")
	})
}

func relays(b *nic.Binding)     { b.DHCP6.Relay = true }
func rapidly(b *nic.Binding)    { b.DHCP6.RapidCommit = true }
func unicasting(b *nic.Binding) { b.DHCP6.Unicast = true }

func ip(s string) netip.Addr { return netip.MustParseAddr(s) }

func prefixes(list ...string) []netip.Prefix {
	var p []netip.Prefix
	for _, s := range list {
		p = append(p, netip.MustParsePrefix(s))
	}
	return p
}

// server is a NIC's server, as in production but for its DUID.
func server(b *nic.Binding) Server {
	duid, err := hex.DecodeString(ourDUID)
	if err != nil {
		panic(err)
	}
	return Server{Binding: b, DUID: duid, Addr: nic.BerthLinkLocal()}
}

// asks makes the query of web1's guest from options in hex.
func asks(t testing.TB, kind messageType, options ...string) Query {
	t.Helper()
	return from(message16(t, kind, options...))
}

func from(b []byte) Query {
	return Query{EthSrc: guestMAC(), Src: guestMAC().EUI64(), Dst: ip("ff02::1:2"), Message: b}
}

func message16(t testing.TB, kind messageType, options ...string) []byte {
	t.Helper()
	return append([]byte{byte(kind), 0x39, 0x03, 0xf3}, unhex(t, strings.Join(options, ""))...)
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// opt writes an option's header before its parts.
func opt(code int, parts ...string) string {
	data := strings.ReplaceAll(strings.Join(parts, ""), " ", "")
	return fmt.Sprintf("%04x%04x%s", code, len(data)/2, data)
}

func oro(list ...int) string {
	var s strings.Builder
	for _, c := range list {
		fmt.Fprintf(&s, "%04x", c)
	}
	return opt(6, s.String())
}

func text(s string) string { return hex.EncodeToString([]byte(s)) }

// na, ta and pd write an IA that lists addresses or prefixes.
func na(iaid int, list ...string) string {
	return opt(3, fmt.Sprintf("%08x", iaid), "0000000000000000", listed(list))
}

func ta(iaid int, list ...string) string { return opt(4, fmt.Sprintf("%08x", iaid), listed(list)) }

func pd(iaid int, list ...string) string {
	s := fmt.Sprintf("%08x", iaid) + "0000000000000000"
	for _, p := range prefixes(list...) {
		s += opt(26, "0000000000000000", fmt.Sprintf("%02x", p.Bits()), hex.EncodeToString(p.Addr().AsSlice()))
	}
	return opt(25, s)
}

func listed(list []string) string {
	var s strings.Builder
	for _, a := range list {
		s.WriteString(opt(5, hex.EncodeToString(ip(a).AsSlice()), "0000000000000000"))
	}
	return s.String()
}

// relayed puts a message into a RELAY-FORW.
func relayed(t testing.TB, hops byte, options string, inner []byte) []byte {
	t.Helper()
	b := append([]byte{12, hops}, ip("2001:db8:1::1").AsSlice()...)
	b = append(b, ip("fe80::ff").AsSlice()...)
	b = append(b, unhex(t, options)...)
	b = binary.BigEndian.AppendUint16(append(b, 0, 9), uint16(len(inner)))
	return append(b, inner...)
}

// clientMessage is one line of testdata/clients.txt.
type clientMessage struct {
	how, client, kind string
	message           []byte
}

func clientMessages(t testing.TB) []clientMessage {
	t.Helper()
	b, err := os.ReadFile("testdata/clients.txt")
	if err != nil {
		t.Fatal(err)
	}
	var list []clientMessage
	for line := range strings.Lines(string(b)) {
		f := strings.Split(strings.TrimSpace(line), " | ")
		if len(f) == 4 {
			list = append(list, clientMessage{f[0], f[1], f[2], unhex(t, f[3])})
		}
	}
	return list
}

// checkSilent wants no reply, and why.
func checkSilent(t *testing.T, o Outcome, request messageType, why reason.Reason) {
	t.Helper()
	if o.Reply != nil || o.Answer != "" || o.Request != request.String() || o.Reason != why {
		t.Errorf("%s: answer %q, reason %s; want %s and silence, %s", o.Request, o.Answer, o.Reason, request, why)
	}
}
