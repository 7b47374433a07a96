package datapath

import (
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/berth-net/berth/internal/dhcp4"
	"github.com/berth-net/berth/internal/guard"
	"github.com/berth-net/berth/internal/guard/corpus"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/wire"
)

var dialogues = flag.Int("dialogues", 200_000, "fuzzed messages for the oracle of answers, of each protocol")

// define4 is the definition of DHCPv4: what the daemon would send.
func define4(b *nic.Binding, id netip.Addr) func([]byte) ([]byte, Exchange) {
	return func(frame []byte) ([]byte, Exchange) {
		u, err := wire.ParseUDP4(frame)
		if err != nil {
			return nil, Exchange{}
		}
		out := dhcp4.Answer(dhcp4.Server{Binding: b, ID: id}, dhcp4.Query{EthSrc: u.EthSrc, Src: u.Src, Dst: u.Dst, Message: u.Payload})
		x := Exchange{Kind: Kind{out.Request, out.Answer, out.Reason}}
		if out.Reply == nil {
			return nil, x
		}
		return wire.AppendUDP4(nil, wire.UDP4{
			EthSrc: nic.BerthMAC(), EthDst: out.Reply.DstMAC, Src: out.Reply.Src, Dst: out.Reply.Dst,
			SrcPort: 67, DstPort: out.Reply.DstPort, Payload: out.Reply.Message,
		}), x
	}
}

// asked4 are the shapes of bindings a client may meet.
func asked4() map[string]*nic.Binding {
	shapes := map[string]*nic.Binding{}
	add := func(name string, change func(*nic.Binding)) { shapes[name] = withoutLimits(change) }
	add("plain", func(*nic.Binding) {})
	add("everything", everything4)
	add("booting", func(b *nic.Binding) {
		b.DHCP4.Boot = nic.Boot{NextServer: corpus.B4, ServerName: "tftp", File: "pxelinux.0"}
		b.DHCP4.BootArch = map[uint16]nic.Boot{7: {NextServer: corpus.B4, File: "grub.efi"}}
		b.DHCP4.BootIPXE = nic.Boot{File: "http://boot/ipxe"}
	})
	add("file alone", func(b *nic.Binding) { b.DHCP4.Boot = nic.Boot{File: "http://boot/image"} })
	add("asked for alone", func(b *nic.Binding) { everything4(b); b.DHCP4.OnlyRequested = true })
	add("routes", func(b *nic.Binding) {
		everything4(b)
		b.DHCP4.NoRouterWithRoutes, b.DHCP4.RapidCommit = true, true
	})
	add("host", func(b *nic.Binding) { b.Addresses[0] = netip.PrefixFrom(corpus.M4, 32); b.Routed = true })
	add("anybody", func(b *nic.Binding) {
		b.Guard.Checks.MAC, b.DHCP4.AnyClient, b.DHCP4.Relay = false, true, true
		b.Guard.AllowAddresses = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}
	})
	add("forever", func(b *nic.Binding) { b.DHCP4.Lease, b.DHCP4.T1 = nic.Infinite, 600 })
	add("short", func(b *nic.Binding) {
		b.DHCP4.Lease, b.DHCP4.MaxLease, b.DHCP4.T1, b.DHCP4.T2 = 600, 7200, 300, 525
		b.MTU = 1280
	})
	add("large", func(b *nic.Binding) {
		b.DHCP4.Options = []nic.Option{{Code: 224, Data: make([]byte, 300)}, {Code: 225, Data: make([]byte, 90)}}
	})
	return shapes
}

// everything4 declares all that a binding can say, within one datagram.
func everything4(b *nic.Binding) {
	b.Hostname, b.Domain, b.Search = "web1", "example.com", []string{"example.com", "lab.example.com"}
	b.DNS = []netip.Addr{corpus.B4, corpus.G4}
	b.NTP = []netip.Addr{corpus.B4}
	b.MTU, b.CaptivePortal = 1400, "https://portal.example.com/"
	b.Routes = []nic.Route{{To: netip.MustParsePrefix("10.0.0.0/8"), Via: corpus.G4}}
	b.DHCP4.T1, b.DHCP4.T2, b.DHCP4.V6OnlyWait = 1000, 2000, 1800
	b.DHCP4.Options = []nic.Option{{Code: 19, Data: []byte{0}}, {Code: 58, Data: []byte{0, 0, 1, 0}}, {Code: 224, Data: []byte("x")}}
}

// TestAnswersOfClients: what each common client sends is answered by the kernel.
func TestAnswersOfClients(t *testing.T) {
	k := openKernel(t)
	for name, b := range asked4() {
		t.Run(name, func(t *testing.T) {
			o := newAnswerOracle4(t, k, b)
			for _, ask := range askingClients() {
				for kind, frame := range dialogue4(b, ask) {
					if !o.agree(frame) && name != "large" {
						t.Errorf("%s with %x is handed up", kind, ask)
					}
				}
			}
			for what, frame := range clients4(t) {
				if !o.agree(frame) && name != "large" && name != "host" { // which is another server
					t.Errorf("%s is handed up", what)
				}
			}
			o.report()
		})
	}
}

// TestToldOfAnswers4: the daemon hears of each exchange what it would have said
// of it itself.
func TestToldOfAnswers4(t *testing.T) {
	k := openKernel(t)
	b := withoutLimits(func(*nic.Binding) {})
	o := newAnswerOracle4(t, k, b)
	heard, judge := exchanges(t, k), &oracle{TB: t, k: k}
	said := map[string]Exchange{} // by transaction, of which each message has its own
	for kind, frame := range dialogue4(b, nil) {
		binary.BigEndian.PutUint32(frame[46:], uint32(len(said)))
		if !o.agree(frame) {
			t.Fatalf("%s is handed up", kind)
		}
		judge.run(false, frame)
		x := told4(t, b, frame)
		said[x.XID] = x
	}
	for range said {
		got := <-heard
		got.Age = 0
		if want := said[got.XID]; got != want {
			t.Errorf("heard of %+v, want %+v", got, want)
		}
	}
}

// told4 is the definition of what is told of a message.
func told4(t testing.TB, b *nic.Binding, frame []byte) Exchange {
	t.Helper()
	u, err := wire.ParseUDP4(frame)
	if err != nil {
		t.Fatal(err)
	}
	id, _ := dhcp4.ServerID(b, nil)
	out := dhcp4.Answer(dhcp4.Server{Binding: b, ID: id}, dhcp4.Query{EthSrc: u.EthSrc, Src: u.Src, Dst: u.Dst, Message: u.Payload})
	return Exchange{
		Kind: Kind{out.Request, out.Answer, out.Reason}, Index: lo,
		Address: netip.PrefixFrom(out.Address, 32), XID: fmt.Sprintf("%08x", out.XID),
	}
}

// newAnswerOracle4 puts a binding's DHCPv4 answers in force.
func newAnswerOracle4(t testing.TB, k *Kernel, b *nic.Binding) *answerOracle {
	t.Helper()
	a, id := compile4(t, b)
	o := &answerOracle{TB: t, k: k, define: define4(b, id), did: map[string]int{}}
	o.answer(b, guard.Site{Segment: 7, ServerID: id}, a)
	return o
}

// compile4 are a binding's DHCPv4 answers, and from which server.
func compile4(t testing.TB, b *nic.Binding) (Answers, netip.Addr) {
	t.Helper()
	id, _ := dhcp4.ServerID(b, nil)
	c, ok := dhcp4.Compile(dhcp4.Server{Binding: b, ID: id})
	if !ok {
		t.Fatal("nothing is compiled")
	}
	return Answers{DHCP4: &c}, id
}

// askingClients are the options beside type and addresses of real clients:
// dhclient, udhcpc, dhcpcd, systemd-networkd, Windows, iPXE's firmware.
func askingClients() [][]byte {
	mac := corpus.M[:]
	return [][]byte{
		{55, 13, 1, 28, 2, 3, 15, 6, 119, 12, 44, 47, 26, 121, 42},
		append([]byte{57, 2, 2, 64, 55, 9, 1, 3, 6, 12, 15, 28, 42, 121, 249, 60, 5, 'u', 'd', 'h', 'c', 'p', 61, 7, 1}, mac...),
		append([]byte{57, 2, 5, 192, 12, 2, 'v', 'm', 55, 12, 1, 3, 6, 12, 15, 26, 28, 33, 42, 51, 58, 59, 61, 19, 255, 1, 2, 3, 4, 0, 4, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, 145, 1, 1),
		append([]byte{55, 14, 1, 3, 6, 15, 31, 33, 43, 44, 46, 47, 119, 121, 249, 252, 60, 8, 'M', 'S', 'F', 'T', ' ', '5', '.', '0', 81, 7, 0, 0, 0, 'v', 'm', '1', 0, 61, 7, 1}, mac...),
		{55, 4, 1, 3, 6, 108, 57, 2, 5, 220, 81, 8, 4, 0, 0, 3, 'v', 'm', '1', 0},
		{},
	}
}

// dialogue4 are the messages of one client, from discovery to release.
func dialogue4(b *nic.Binding, ask []byte) map[string][]byte {
	own, id := b.Delivered().Addr(), corpus.G4
	if sid, _ := dhcp4.ServerID(b, nil); sid.IsValid() {
		id = sid
	}
	opt := func(code byte, a netip.Addr) []byte { return append([]byte{code, 4}, a.AsSlice()...) }
	wrong := netip.MustParseAddr("198.51.100.7")
	return map[string][]byte{
		"DISCOVER":        client4{kind: 1, options: ask}.frame(),
		"DISCOVER, flag":  client4{kind: 1, flags: 0x8000, options: ask}.frame(),
		"SELECTING":       client4{kind: 3, options: cat(opt(54, id), opt(50, own), ask)}.frame(),
		"INIT-REBOOT":     client4{kind: 3, options: cat(opt(50, own), ask)}.frame(),
		"INIT-REBOOT, no": client4{kind: 3, options: cat(opt(50, wrong), ask)}.frame(),
		"RENEWING":        client4{kind: 3, ciaddr: own, options: ask}.frame(),
		"RENEWING, no":    client4{kind: 3, ciaddr: wrong, options: ask}.frame(),
		"shorter":         client4{kind: 3, ciaddr: own, options: cat([]byte{51, 4, 0, 0, 1, 44}, ask)}.frame(),
		"longer":          client4{kind: 3, ciaddr: own, options: cat([]byte{51, 4, 255, 255, 255, 255}, ask)}.frame(),
		"INFORM":          client4{kind: 8, ciaddr: own, options: ask}.frame(),
		"RELEASE":         client4{kind: 7, ciaddr: own, options: cat(opt(54, id), ask)}.frame(),
		"DECLINE":         client4{kind: 4, options: cat(opt(54, id), opt(50, own), ask)}.frame(),
	}
}

// client4 is one message of a client.
type client4 struct {
	kind    byte
	flags   uint16
	ciaddr  netip.Addr
	options []byte
	change  func(message []byte)
}

func (c client4) frame() []byte {
	m := make([]byte, 240)
	copy(m, []byte{1, 1, 6, 0, 0xde, 0xad, 0xbe, 0xef, 0, 1})
	binary.BigEndian.PutUint16(m[10:], c.flags)
	src, dst := netip.IPv4Unspecified(), netip.MustParseAddr("255.255.255.255")
	if c.ciaddr.IsValid() {
		copy(m[12:], c.ciaddr.AsSlice())
		src = c.ciaddr
	}
	copy(m[28:], corpus.M[:])
	copy(m[236:], []byte{0x63, 0x82, 0x53, 0x63})
	m = append(cat(m, []byte{53, 1, c.kind}, c.options), 255)
	if c.change != nil {
		c.change(m)
	}
	return wire.AppendUDP4(nil, wire.UDP4{
		EthSrc: corpus.M, EthDst: nic.MAC{255, 255, 255, 255, 255, 255}, Src: src, Dst: dst,
		SrcPort: 68, DstPort: 67, Payload: m,
	})
}

func cat(parts ...[]byte) (out []byte) {
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

// TestAnswersOfGuests4: messages bred from what clients send, and worse.
func TestAnswersOfGuests4(t *testing.T) {
	k := openKernel(t)
	shapes := asked4()
	for name, b := range shapes {
		t.Run(name, func(t *testing.T) {
			o := newAnswerOracle4(t, k, b)
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			rng := rand.New(rand.NewPCG(seed, 4))
			own := b.Delivered().Addr()
			id, _ := dhcp4.ServerID(b, nil)
			for range *dialogues / len(shapes) {
				f := breed4(rng, own, id)
				if runnable(f) {
					o.agree(f)
				}
				if t.Failed() {
					break
				}
			}
			o.report("DISCOVER -> OFFER", "REQUEST -> ACK", "REQUEST -> NAK", "INFORM -> ACK", "RELEASE -> ", "DECLINE -> ")
		})
	}
}

// breed4 makes one message: often one that a client could send.
func breed4(rng *rand.Rand, own, id netip.Addr) []byte {
	pick := func(list ...netip.Addr) netip.Addr { return list[rng.IntN(len(list))] }
	other := netip.MustParseAddr("198.51.100.7")
	c := client4{kind: []byte{1, 1, 3, 3, 3, 3, 4, 7, 8, byte(rng.IntN(20))}[rng.IntN(10)]}
	if rng.IntN(2) == 0 {
		c.ciaddr = pick(own, own, own, other)
	}
	c.flags = uint16(rng.IntN(2)) << 15
	for range rng.IntN(8) {
		c.options = append(c.options, option4(rng, pick(own, own, id, other))...)
	}
	if rng.IntN(8) == 0 {
		c.change = func(m []byte) { m[rng.IntN(len(m))] = byte(rng.Uint32()) }
	}
	f := c.frame()
	switch rng.IntN(12) {
	case 0:
		f[14+rng.IntN(len(f)-14)] ^= 1 << rng.IntN(8)
	case 1:
		f = f[:14+rng.IntN(len(f)-14)]
	case 2:
		f = append(f, make([]byte, rng.IntN(40))...)
	case 3, 4, 5:
		leavePartial(f)
	}
	return f
}

// option4 makes one option, mostly of the right length.
func option4(rng *rand.Rand, a netip.Addr) []byte {
	random := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return b
	}
	code := []byte{50, 54, 51, 55, 55, 55, 57, 61, 80, 81, 60, 77, 93, 52, 0, 82, 12, byte(rng.Uint32())}[rng.IntN(18)]
	var data []byte
	switch code {
	case 50, 54:
		data = a.AsSlice()
	case 51:
		data = binary.BigEndian.AppendUint32(nil, []uint32{0, 1, 60, 599, 600, 3600, 86400, 1 << 31, 0xffffffff}[rng.IntN(9)])
	case 55:
		for range rng.IntN(40) {
			data = append(data, []byte{1, 3, 6, 12, 15, 26, 28, 42, 51, 54, 58, 59, 66, 67, 108, 114, 119, 121, 249, 224, 19, byte(rng.Uint32())}[rng.IntN(22)])
		}
	case 57:
		data = binary.BigEndian.AppendUint16(nil, uint16(rng.IntN(1700)))
	case 80:
	case 0:
		return []byte{0}
	case 60:
		data = []byte([]string{"HTTPClient:Arch:00016", "udhcp 1.35", "H", ""}[rng.IntN(4)])
	case 77:
		data = []byte([]string{"iPXE", "\x04iPXE", "other"}[rng.IntN(3)])
	case 93:
		data = []byte{0, byte(rng.IntN(10))}
	default:
		data = random(rng.IntN(40))
	}
	if rng.IntN(20) == 0 {
		data = random(rng.IntN(6))
	}
	return append([]byte{code, byte(len(data))}, data...)
}
