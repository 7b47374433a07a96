package dhcp4

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

// Options as they stand on the wire for web1's binding. They are written out,
// not computed, so that a test can be read beside the RFC.
const (
	isOffer   = "350102"
	isAck     = "350105"
	isNak     = "350106"
	serverID  = "3604c0000201"
	lease1d   = "330400015180"
	mask24    = "0104ffffff00"
	gateway   = "0304c0000201"
	dns       = "0608c6336401c6336402"
	hostname  = "0c0477656231"
	domain    = "0f0b6578616d706c652e6f7267"
	broadcast = "1c04c00002ff"
	t1Half    = "3a040000a8c0"
	t2        = "3b0400012750"
	basicSet  = mask24 + gateway + dns + hostname + domain + broadcast + t1Half + t2
	refused   = "3829" + "61646472657373" + "20" + "646f6573" + "20" + "6e6f74" + "20" +
		"62656c6f6e67" + "20" + "746f" + "20" + "74686973" + "20" + "696e74657266616365"
)

func guestMAC() nic.MAC { return nic.MAC{0x52, 0x54, 0, 0xaa, 0, 1} }
func otherMAC() nic.MAC { return nic.MAC{0x52, 0x54, 0, 0xbb, 0, 2} }
func everyone() nic.MAC { return nic.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff} }

// web1 is the binding most tests speak about.
func web1() *nic.Binding {
	return &nic.Binding{
		NIC:       "tap7",
		MAC:       guestMAC(),
		Hostname:  "web1",
		Domain:    "example.org",
		Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.10/24")},
		Gateway:   ip("192.0.2.1"),
		DNS:       []netip.Addr{ip("198.51.100.1"), ip("198.51.100.2")},
		DHCP4:     nic.DHCP4{Lease: 86400, MaxLease: 172800, T1: 43200, T2: 75600},
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

// ip reads an address; "" is the zero one.
func ip(s string) netip.Addr {
	if s == "" {
		return netip.Addr{}
	}
	return netip.MustParseAddr(s)
}

func prefixes(list ...string) []netip.Prefix {
	var p []netip.Prefix
	for _, s := range list {
		p = append(p, netip.MustParsePrefix(s))
	}
	return p
}

// packet is a message laid out by hand, the client's or the wanted reply.
type packet struct {
	op, hops                       byte
	flags                          uint16
	ciaddr, yiaddr, siaddr, giaddr string
	sname, file                    string // hex
	options                        string // hex, without the end option
}

const testXID = 0x3903f326

// bytes follows figure 1 of RFC 2131. A reply is padded to 300 bytes.
func (p packet) bytes(t testing.TB) []byte {
	t.Helper()
	b := make([]byte, 240)
	b[0], b[1], b[2], b[3] = p.op, 1, 6, p.hops
	binary.BigEndian.PutUint32(b[4:], testXID)
	if p.op == 1 {
		b[9] = 7 // secs: a reply has 0
	}
	binary.BigEndian.PutUint16(b[10:], p.flags)
	for i, s := range []string{p.ciaddr, p.yiaddr, p.siaddr, p.giaddr} {
		if s != "" {
			copy(b[12+4*i:], ip(s).AsSlice())
		}
	}
	mac := guestMAC()
	copy(b[28:], mac[:])
	copy(b[44:108], unhex(t, p.sname))
	copy(b[108:236], unhex(t, p.file))
	copy(b[236:], []byte{0x63, 0x82, 0x53, 0x63})
	b = append(b, unhex(t, p.options)...)
	b = append(b, 0xff)
	for p.op == 2 && len(b) < 300 {
		b = append(b, 0)
	}
	return b
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// asks makes the query of web1's guest, broadcast from 0.0.0.0.
func asks(t testing.TB, p packet) Query {
	t.Helper()
	p.op = 1
	return Query{EthSrc: guestMAC(), Src: ip("0.0.0.0"), Dst: ip("255.255.255.255"), Message: p.bytes(t)}
}

// server is a NIC's server as web1's: 192.0.2.1.
func server(b *nic.Binding) Server { return Server{Binding: b, ID: ip("192.0.2.1")} }

// replies makes the wanted reply: from the server to the client's port.
func replies(t testing.TB, mac nic.MAC, to string, p packet) *Reply {
	t.Helper()
	p.op = 2
	return &Reply{DstMAC: mac, Src: ip("192.0.2.1"), Dst: ip(to), DstPort: 68, Message: p.bytes(t)}
}

// check compares outcomes, messages as a hex dump.
func check(t *testing.T, want, got Outcome) {
	t.Helper()
	opts := cmp.Options{
		cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
		cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".Message" },
			cmp.Transformer("dump", func(b []byte) []string { return strings.Split(hex.Dump(b), "\n") })),
	}
	if d := cmp.Diff(want, got, opts); d != "" {
		t.Errorf("outcome (-want +got):\n%s", d)
	}
}

// answered is the outcome of a message that got a reply.
func answered(req, answer, address string, r *Reply) Outcome {
	return Outcome{Request: req, Answer: answer, Address: ip(address), XID: testXID, Reply: r}
}

// silent is the outcome of a message that got none.
func silent(req, address string, why reason.Reason) Outcome {
	return Outcome{Request: req, Address: ip(address), XID: testXID, Reason: why}
}

// optionsOf returns the options field of a reply up to its end option, after
// checking that only zeros follow.
func optionsOf(t *testing.T, o Outcome) string {
	t.Helper()
	if o.Reply == nil {
		t.Fatalf("no reply: %s", o.Reason)
	}
	b := o.Reply.Message[240:]
	end := 0
	for b[end] != 0xff {
		if b[end] == 0 {
			t.Fatalf("padding before the end option: %x", b)
		}
		end += 2 + int(b[end+1])
	}
	for _, c := range b[end+1:] {
		if c != 0 {
			t.Fatalf("bytes after the end option: %x", b[end+1:])
		}
	}
	return hex.EncodeToString(b[:end])
}

// wantOptions compares a reply's options, one to a line.
func wantOptions(t *testing.T, want string, o Outcome) {
	t.Helper()
	if d := cmp.Diff(split(t, want), split(t, optionsOf(t, o))); d != "" {
		t.Errorf("options (-want +got):\n%s", d)
	}
}

func split(t *testing.T, s string) []string {
	t.Helper()
	var list []string
	for b := unhex(t, s); len(b) > 0; {
		n := 2 + int(b[1])
		list = append(list, hex.EncodeToString(b[:n]))
		b = b[n:]
	}
	return list
}
