package datapath

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/berth-net/berth/internal/dhcp6"
	"github.com/berth-net/berth/internal/guard"
	"github.com/berth-net/berth/internal/guard/corpus"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
	"github.com/berth-net/berth/internal/wire"
)

// serverDUID is the one that the captured clients speak to.
func serverDUID() []byte { return []byte{0, 4, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16} }

func server6(b *nic.Binding) dhcp6.Server {
	return dhcp6.Server{Binding: b, DUID: serverDUID(), Addr: nic.BerthLinkLocal()}
}

// outcome6 is what the definition says of a frame.
func outcome6(b *nic.Binding, frame []byte) (o dhcp6.Outcome, ok bool) {
	u, err := wire.ParseUDP6(frame)
	if err != nil {
		return o, false
	}
	return dhcp6.Answer(server6(b), dhcp6.Query{EthSrc: u.EthSrc, Src: u.Src, Dst: u.Dst, Message: u.Payload}), true
}

// define6 is the definition of DHCPv6: what the daemon would send.
func define6(b *nic.Binding) func([]byte) ([]byte, Exchange) {
	return func(frame []byte) ([]byte, Exchange) {
		out, ok := outcome6(b, frame)
		if !ok {
			return nil, Exchange{}
		}
		x := Exchange{Kind: Kind{out.Request, out.Answer, out.Reason}, XID: fmt.Sprintf("%06x", out.XID)}
		if len(out.Addresses) > 0 {
			x.Address = out.Addresses[0]
		}
		if out.Reply == nil {
			return nil, x
		}
		return wire.AppendUDP6(nil, wire.UDP6{
			EthSrc: nic.BerthMAC(), EthDst: out.Reply.DstMAC, Src: out.Reply.Src, Dst: out.Reply.Dst,
			SrcPort: 547, DstPort: out.Reply.DstPort, Payload: out.Reply.Message,
		}), x
	}
}

func own6() netip.Addr      { return netip.MustParseAddr("2001:db8:1::11") }
func prefix6() netip.Prefix { return netip.MustParsePrefix("2001:db8:100::/56") }

// asked6 are the shapes of bindings a client may meet.
func asked6() map[string]*nic.Binding {
	shapes := map[string]*nic.Binding{}
	add := func(name string, change func(*nic.Binding)) {
		shapes[name] = withoutLimits(func(b *nic.Binding) {
			b.DHCP6 = nic.DHCP6{Preferred: 3600, Valid: 7200, T1: 1800, T2: 2880}
			b.DNS = []netip.Addr{corpus.B6}
			change(b)
		})
	}
	add("plain", func(*nic.Binding) {})
	add("router", delegating)
	add("everything", everything6)
	add("rapid", func(b *nic.Binding) {
		everything6(b)
		b.DHCP6.RapidCommit, b.DHCP6.Unicast, b.DHCP6.Preference = true, true, 255
	})
	add("prefix alone", func(b *nic.Binding) { delegating(b); b.Addresses = b.Addresses[:1] })
	add("autoconfigured", func(b *nic.Binding) {
		b.Addresses, b.SLAAC = b.Addresses[:1], []netip.Prefix{netip.MustParsePrefix("2001:db8:1::/64")}
	})
	add("stateless", func(b *nic.Binding) { everything6(b); b.DHCP6.Mode = nic.DHCP6Stateless })
	add("stateful", func(b *nic.Binding) { delegating(b); b.DHCP6.Mode = nic.DHCP6Stateful })
	add("one client", func(b *nic.Binding) { b.DHCP6.DUID = append([]byte{0, 3, 0, 1}, corpus.M[:]...) })
	add("one client, any time", func(b *nic.Binding) {
		b.DHCP6.DUID, b.DHCP6.Refuse = append([]byte{0, 1, 0, 1, 1, 2, 3, 4}, corpus.M[:]...), true
	})
	add("by IAID", func(b *nic.Binding) {
		delegating(b)
		b.DHCP6.IAs = []nic.IA{{IAID: 1, Addresses: []netip.Addr{own6()}}}
	})
	add("temporary", func(b *nic.Binding) { delegating(b); b.DHCP6.Temporary = []netip.Addr{own6()} })
	add("booting", func(b *nic.Binding) {
		b.DHCP6.BootURL, b.DHCP6.BootArch = "tftp://b/x", map[uint16]string{7: "http://b/efi"}
	})
	add("high options", func(b *nic.Binding) { b.DHCP6.Options = []nic.Option6{{Code: 300, Data: []byte("high")}} })
	add("narrow", func(b *nic.Binding) { everything6(b); b.MTU = 1280 })
	add("large", func(b *nic.Binding) {
		b.MTU = 1280
		b.DHCP6.Options = []nic.Option6{{Code: 200, Data: make([]byte, 756)}}
	})
	add("anybody", func(b *nic.Binding) { delegating(b); b.Guard.Checks = nic.Checks{} })
	return shapes
}

func delegating(b *nic.Binding) {
	b.Addresses = append(b.Addresses, netip.PrefixFrom(own6(), 64))
	b.Delegated = []netip.Prefix{prefix6()}
}

// everything6 declares all that a binding can say, within one message.
func everything6(b *nic.Binding) {
	delegating(b)
	b.Hostname, b.Domain, b.Search = "web1", "example.com", []string{"example.com", "lab.example.com"}
	b.NTP = []netip.Addr{corpus.B6, corpus.B4}
	b.CaptivePortal = "https://portal.example.com/"
	b.DHCP6.Refresh, b.DHCP6.SolMaxRT, b.DHCP6.InfMaxRT = 7200, 600, 900
	b.DHCP6.BootURL, b.DHCP6.BootArgs = "tftp://[2001:db8::69]/boot", []string{"a=1", "quiet"}
	b.DHCP6.Options = []nic.Option6{{Code: 200, Data: []byte("one")}, {Code: 200, Data: []byte("two")}, {Code: 21}}
}

// newAnswerOracle6 puts a binding's DHCPv6 answers in force.
func newAnswerOracle6(t testing.TB, k *Kernel, b *nic.Binding) *answerOracle {
	t.Helper()
	c, ok := dhcp6.Compile(server6(b))
	if !ok {
		t.Fatal("nothing is compiled")
	}
	if _, ok := encodeAnswer6(&c, 0); !ok {
		t.Fatal("what is compiled has no room")
	}
	o := &answerOracle{TB: t, k: k, define: define6(b), did: map[string]int{}}
	o.answer(b, guard.Site{Segment: 7}, Answers{DHCP6: &c})
	return o
}

// ordinary6 reports whether a message is one that the kernel is to answer: one
// with a reply that is no refusal and leaves nothing out, that asks neither for
// an IA_TA nor by name, nor for addresses it names of a NIC without any. It is
// told from the definition and the message alone.
func ordinary6(b *nic.Binding, message []byte) bool {
	const lease = 29
	o, ok := outcome6(b, framed6(message))
	if !ok || o.Reply == nil || len(o.Reply.Message) > dhcp6.Limit(b)-lease {
		return false
	}
	for code, data := range options6(message) {
		switch {
		case code == 4, len(b.DHCP6.IAs) > 0 && (code == 3 || code == 25), code == 6 && asksHigh6(b, data):
			return false
		case code == 3 && message[0] == 3 && len(data) > 12 && len(b.Addresses6()) == 0:
			return false
		}
	}
	switch o.Reason {
	case reason.None, reason.DHCPRelease, reason.DHCPDecline:
		return true
	default:
		return o.Reason == reason.DHCPNotOnLink && o.Request == "CONFIRM"
	}
}

// asksHigh6 reports whether a client asks for options of two-byte codes of a
// NIC that has some.
func asksHigh6(b *nic.Binding, list []byte) (asks bool) {
	for i := 0; i+1 < len(list); i += 2 {
		asks = asks || list[i] > 0
	}
	return asks && slices.ContainsFunc(b.DHCP6.Options, func(o nic.Option6) bool { return o.Code > 255 })
}

// options6 yields the options of a message.
func options6(message []byte) func(func(int, []byte) bool) {
	return func(yield func(int, []byte) bool) {
		for b := message[4:]; len(b) >= 4; {
			n := 4 + int(b[2])<<8 + int(b[3])
			if n > len(b) || !yield(int(b[0])<<8|int(b[1]), b[4:n]) {
				return
			}
			b = b[n:]
		}
	}
}

// framed6 sends a message as the NIC does.
func framed6(message []byte) []byte {
	servers := netip.MustParseAddr("ff02::1:2")
	return wire.AppendUDP6(nil, wire.UDP6{
		EthSrc: corpus.M, EthDst: wire.GroupMAC(servers), Src: corpus.LL, Dst: servers,
		SrcPort: 546, DstPort: 547, Payload: message,
	})
}

// TestAnswersOfClients6: what each common client sends is answered by the
// kernel, with its checksum and without.
func TestAnswersOfClients6(t *testing.T) {
	k := openKernel(t)
	clients := clients6(t)
	for name, message := range dialogue6() {
		clients[name] = message
	}
	did := map[string]int{}
	for name, b := range asked6() {
		t.Run(name, func(t *testing.T) {
			o := newAnswerOracle6(t, k, b)
			o.did = did
			for who, message := range clients {
				o.answers6(who, framed6(message), ordinary6(b, message))
			}
		})
	}
	(&answerOracle{TB: t, did: did}).report(kinds6()...)
}

// answers6 asks about one frame as it is, and with its checksum left to others.
func (o *answerOracle) answers6(who string, frame []byte, want bool) {
	o.Helper()
	for range 2 {
		if got := o.agree(frame); got != want {
			o.Errorf("%s: answered by the kernel: %t, want %t: %x", who, got, want, frame)
		}
		leavePartial(frame)
	}
}

func kinds6() []string {
	return []string{
		"SOLICIT -> ADVERTISE", "SOLICIT -> REPLY", "REQUEST -> REPLY", "RENEW -> REPLY", "REBIND -> REPLY",
		"CONFIRM -> REPLY", "INFORMATION-REQUEST -> REPLY", "RELEASE -> REPLY", "DECLINE -> REPLY",
	}
}

// dialogue6 are the messages of clients in states that none was captured in.
func dialogue6() map[string][]byte {
	wrong := netip.MustParseAddr("2001:db8:9::9")
	away := netip.MustParsePrefix("2001:db8:900::/56")
	id, to := opt6(1, 0, 3, 0, 1, 0x52, 0x54, 0, 0xaa, 0, 1), opt6(2, serverDUID()...)
	all := opt6(6, 0, 23, 0, 24, 0, 31, 0, 32, 0, 39, 0, 56, 0, 59, 0, 60, 0, 82, 0, 83, 0, 103, 0, 200, 0, 1, 0, 23, 255, 255)
	both := cat(na6(1, corpus.M6), pd6(2, prefix6()))
	return map[string][]byte{
		"rapid":                message6(1, id, opt6(14), na6(1), all),
		"a prefix first":       message6(1, id, pd6(2), na6(1), all),
		"a prefix alone":       message6(1, id, pd6(2)),
		"nothing":              message6(1, id, all),
		"hints":                message6(1, id, na6(1, wrong), pd6(2, netip.MustParsePrefix("::/60"), away)),
		"its name":             message6(1, id, na6(1), opt6(39, 0, 2, 'v', 'm')),
		"its name, updated":    message6(1, id, na6(1), opt6(39, 1, 2, 'v', 'm'), opt6(6, 0, 39, 0, 23)),
		"both":                 message6(3, id, to, both, all),
		"another address":      message6(3, id, to, na6(1, wrong), pd6(2, away)),
		"renews both":          message6(5, id, to, both, all),
		"renews what was":      message6(5, id, to, na6(1, wrong, corpus.M6, wrong), pd6(2, away, prefix6())),
		"renews what it lacks": message6(5, id, to, na6(1, wrong)),
		"renews a prefix":      message6(5, id, to, pd6(2, prefix6())),
		"rebinds both":         message6(6, id, both, opt6(39, 1), all),
		"rebinds what was":     message6(6, id, pd6(2, away), na6(1, wrong)),
		"confirms":             message6(4, id, na6(1, corpus.M6)),
		"confirms what was":    message6(4, id, na6(1, corpus.M6, wrong), pd6(2, away)),
		"confirms a prefix":    message6(4, id, pd6(2, prefix6())),
		"informs itself":       message6(11, all),
		"names the server":     message6(11, id, to, all, opt6(39, 1)),
		"releases both":        message6(8, id, to, both),
		"releases what was":    message6(8, id, to, pd6(2, away), na6(1, wrong)),
		"releases some":        message6(8, id, to, na6(1, wrong, corpus.M6), pd6(2, away)),
		"declines":             message6(9, id, to, na6(1, corpus.M6)),
		"declines what was":    message6(9, id, to, na6(1, wrong)),
		"the longest DUID":     message6(1, opt6(1, make([]byte, 130)...), na6(1)),
		"too much": message6(5, opt6(1, make([]byte, 130)...), to, na6(1, wrong, wrong, wrong, wrong),
			pd6(2, away, away, away, away), opt6(6, 0, 200, 0, 23)),
		"four": message6(5, id, to, na6(1, corpus.M6, wrong, own6(), wrong)),
	}
}

// message6 is a message of options, of a client in transaction 0xc0ffee.
func message6(kind byte, options ...[]byte) []byte {
	return append([]byte{kind, 0xc0, 0xff, 0xee}, cat(options...)...)
}

func opt6(code uint16, data ...byte) []byte {
	return append([]byte{byte(code >> 8), byte(code), byte(len(data) >> 8), byte(len(data))}, data...)
}

// na6 and pd6 are identity associations that list addresses and prefixes.
func na6(iaid byte, list ...netip.Addr) []byte {
	b := []byte{11: 0, 3: iaid}
	for _, a := range list {
		b = append(b, opt6(5, append(a.AsSlice(), 0, 0, 1, 0, 0, 0, 2, 0)...)...)
	}
	return opt6(3, b...)
}

func pd6(iaid byte, list ...netip.Prefix) []byte {
	b := []byte{11: 0, 3: iaid}
	for _, p := range list {
		b = append(b, opt6(26, append([]byte{0, 0, 1, 0, 0, 0, 2, 0, byte(p.Bits())}, p.Addr().AsSlice()...)...)...)
	}
	return opt6(25, b...)
}

// What only some NICs are answered.
func TestAnswersElsewhere6(t *testing.T) {
	k := openKernel(t)
	shapes := asked6()
	unicast := func(message []byte) []byte {
		to := nic.BerthLinkLocal()
		return wire.AppendUDP6(nil, wire.UDP6{
			EthSrc: corpus.M, EthDst: nic.BerthMAC(), Src: corpus.LL, Dst: to, SrcPort: 546, DstPort: 547, Payload: message,
		})
	}
	renewal := dialogue6()["renews both"]
	for _, c := range []struct {
		shape string
		frame []byte
		want  bool
	}{
		{"rapid", unicast(renewal), true},
		{"rapid", unicast(dialogue6()["rebinds both"]), false},
		{"plain", unicast(renewal), false},
		{"router", framed6(renewal), true},
		{"router", append(framed6(renewal), 1, 2, 3), true}, // behind the packet
	} {
		o := newAnswerOracle6(t, k, shapes[c.shape])
		if got := o.agree(c.frame); got != c.want {
			t.Errorf("%s: %x: answered by the kernel: %t", c.shape, c.frame, got)
		}
	}
	newAnswerOracle6(t, k, shapes["plain"])
	if err := k.Unanswer(lo); err != nil {
		t.Fatal(err)
	}
	if a, err := k.Ask(lo, false, framed6(renewal)); err != nil || a.Fate != Taken || a.Reason != reason.DHCP6 {
		t.Errorf("a NIC that is not answered for: %+v, %v", a, err)
	}
}

// TestToldOfAnswers6: the daemon hears of each exchange what it would have said
// of it itself.
func TestToldOfAnswers6(t *testing.T) {
	k := openKernel(t)
	b := asked6()["router"]
	o := newAnswerOracle6(t, k, b)
	heard := exchanges(t, k)
	said := map[string]Exchange{} // by transaction, of which each message has its own
	judge := &oracle{TB: t, k: k}
	for _, message := range dialogue6() {
		message[3] = byte(len(said))
		frame := framed6(message)
		if ordinary6(b, message) && judge.run(false, frame) == tcRedirect {
			_, x := o.define(frame)
			x.Index = lo
			said[x.XID] = x
		}
	}
	for range said {
		got := <-heard
		got.Age = 0
		if want := said[got.XID]; got != want {
			t.Errorf("heard of %+v, want %+v", got, want)
		}
	}
}

// TestAnswersOfGuests6: messages bred from what clients send, and worse.
func TestAnswersOfGuests6(t *testing.T) {
	k := openKernel(t)
	shapes, did := asked6(), map[string]int{}
	for name, b := range shapes {
		t.Run(name, func(t *testing.T) {
			o := newAnswerOracle6(t, k, b)
			o.did = did
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			g := newGuest6(t, seed)
			for range *dialogues / len(shapes) {
				if f := g.frame(); runnable(f) {
					o.agree(f)
				}
				if t.Failed() {
					break
				}
			}
		})
	}
	(&answerOracle{TB: t, did: did}).report(kinds6()...)
}
