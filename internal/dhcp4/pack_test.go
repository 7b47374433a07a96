package dhcp4

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

// filled is the binding's own option of n bytes 0xaa, site-specific by code.
func filled(code uint8, n int) func(*nic.Binding) {
	return own(code, strings.Repeat("aa", n))
}

// filledHex is that option on the wire, split by RFC 3396.
func filledHex(code uint8, n int) string {
	var s string
	for {
		part := min(n, 255)
		s += fmt.Sprintf("%02x%02x", code, part) + strings.Repeat("aa", part)
		if n -= part; n == 0 {
			return s
		}
	}
}

// fieldsUsed keeps file and sname from being used for options.
func fieldsUsed(b *nic.Binding) {
	b.DHCP4.Boot = nic.Boot{ServerName: "s", File: "f"}
}

// quiet sends only what is asked for.
func quiet(changes ...func(*nic.Binding)) *nic.Binding {
	b := changed(func(b *nic.Binding) { b.DHCP4.OnlyRequested = true })
	for _, c := range changes {
		c(b)
	}
	return b
}

// An option of n bytes goes out if the message stays within the limit: what
// the client takes by option 57, what the link carries, at least 576 bytes of
// datagram, less 28 bytes of IP and UDP header (V4-23).
func TestSizeLimit(t *testing.T) {
	for name, c := range map[string]struct {
		max  int // option 57; 0: absent
		mtu  uint16
		want int
	}{
		"no option 57":         {0, 0, 548},
		"576":                  {576, 0, 548},
		"below the minimum":    {100, 0, 548},
		"zero":                 {-1, 0, 548},
		"1000":                 {1000, 0, 972},
		"1500":                 {1500, 0, 1472},
		"beyond Ethernet":      {65535, 0, 1472},
		"MTU is smaller":       {1500, 1280, 1252},
		"MTU is larger":        {1500, 9000, 1472},
		"MTU under 576":        {1500, 300, 548},
		"MTU without 57":       {0, 1400, 548},
		"57 smaller than MTU":  {790, 1400, 762},
		"57 just over minimum": {577, 1400, 549},
	} {
		t.Run(name, func(t *testing.T) {
			ask := "350101 3701e0"
			if c.max != 0 {
				ask += fmt.Sprintf("3902%04x", uint16(max(c.max, 0)))
			}
			// Fixed fields 240, head 15, end 1: the rest is option 224.
			space := c.want - 240 - 15 - 1
			n := space - 2*((space+256)/257)
			b := quiet(fieldsUsed, filled(224, n))
			b.MTU = c.mtu
			got := Answer(server(b), asks(t, packet{options: ask}))
			wantOptions(t, isOffer+serverID+lease1d+filledHex(224, n), got)
			if len(got.Reply.Message) != c.want {
				t.Errorf("message of %d bytes, want %d", len(got.Reply.Message), c.want)
			}
			b = quiet(fieldsUsed, filled(224, n+1))
			b.MTU = c.mtu
			wantOptions(t, isOffer+serverID+lease1d, Answer(server(b), asks(t, packet{options: ask})))
		})
	}
}

func TestMessageIsPaddedTo300(t *testing.T) {
	for _, c := range []struct{ n, want int }{{1, 300}, {42, 300}, {43, 301}, {100, 358}} {
		b := quiet(filled(224, c.n))
		got := Answer(server(b), asks(t, packet{options: "350101 3701e0"}))
		if n := len(got.Reply.Message); n != c.want {
			t.Errorf("option of %d bytes: message of %d, want %d", c.n, n, c.want)
		}
	}
}

// RFC 3396: a value over 255 bytes is split, and joined when received.
func TestLongOptions(t *testing.T) {
	ask := "350101 3701e0 390205dc"
	for _, n := range []int{0, 255, 256, 510, 511, 700} {
		b := quiet(func(b *nic.Binding) {
			b.DHCP4.Options = []nic.Option{{Code: 224, Data: unhex(t, strings.Repeat("aa", n))}}
		})
		wantOptions(t, isOffer+serverID+lease1d+filledHex(224, n), Answer(server(b), asks(t, packet{options: ask})))
	}
	id := filledHex(61, 300)
	got := Answer(server(quiet()), asks(t, packet{options: "350101 3701e0 390205dc" + id}))
	wantOptions(t, isOffer+serverID+lease1d+id, got)
}

// Option overload (52): file first, then sname, when no boot information is
// in them. Every byte of the fields is checked.
func TestOverload(t *testing.T) {
	a, b, c, d := filledHex(224, 200), filledHex(225, 100), filledHex(226, 60), filledHex(227, 60)
	all := []func(*nic.Binding){filled(224, 200), filled(225, 100), filled(226, 60), filled(227, 60)}
	head := isOffer + serverID + lease1d
	for name, x := range map[string]struct {
		b    *nic.Binding
		ask  string
		want packet
	}{
		"not needed": {quiet(all...), "3701e0", packet{options: head + a}},
		"file": {
			quiet(all...), "3703e0e1e2",
			packet{options: head + "340101" + a + c, file: b + "ff"},
		},
		"file and sname": {
			quiet(all...), "3704e0e1e2e3",
			packet{options: head + "340103" + a + c, file: b + "ff", sname: d + "ff"},
		},
		"one that fits no field is left out": {
			quiet(all...), "3704e1e3e0e2",
			packet{options: head + b + d + c},
		},
		"sname, for file has the boot file": {
			quiet(append(all, func(b *nic.Binding) { b.DHCP4.Boot.File = "boot.efi" })...), "3703e0e2e3",
			packet{options: head + "340102" + a + c, sname: d + "ff", file: "626f6f742e656669"},
		},
		"file, for sname has the server": {
			quiet(append(all, func(b *nic.Binding) { b.DHCP4.Boot.ServerName = "pxe" })...), "3704e0e1e2e3",
			packet{options: head + "340101" + a + c, file: b + "ff", sname: "707865"},
		},
		"echoes stay in the options field": {
			quiet(all...), "3703e0e1e2 3d03aabbcc",
			packet{options: head + "340101" + a + c + "3d03aabbcc", file: b + "ff"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			x.want.yiaddr = "192.0.2.10"
			got := Answer(server(x.b), asks(t, packet{options: "350101" + x.ask}))
			check(t, answered("DISCOVER", "OFFER", "192.0.2.10", replies(t, guestMAC(), "192.0.2.10", x.want)), got)
		})
	}
}

// Fields filled to the last byte before their end option, and one byte more.
func TestOverloadFillsTheFields(t *testing.T) {
	head := isOffer + serverID + lease1d
	id := filledHex(61, 285)
	for name, c := range map[string]struct {
		file, sname int // lengths of options 225 and 227
		ask         string
		want        packet
	}{
		"full": {125, 61, "3703e0e1e3", packet{
			options: head + "340103" + filledHex(224, 285), file: filledHex(225, 125) + "ff", sname: filledHex(227, 61) + "ff",
		}},
		"file over": {126, 61, "3703e0e1e3", packet{
			options: head + "340101" + filledHex(224, 285), file: filledHex(227, 61) + "ff",
		}},
		"sname over": {125, 62, "3703e0e1e3", packet{
			options: head + "340101" + filledHex(224, 285), file: filledHex(225, 125) + "ff",
		}},
		"echo leaves no room": {125, 61, "3701e1" + id, packet{
			options: head + "340101" + id, file: filledHex(225, 125) + "ff",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			b := quiet(filled(224, 285), filled(225, c.file), filled(227, c.sname))
			c.want.yiaddr = "192.0.2.10"
			got := Answer(server(b), asks(t, packet{options: "350101" + c.ask}))
			check(t, answered("DISCOVER", "OFFER", "192.0.2.10", replies(t, guestMAC(), "192.0.2.10", c.want)), got)
		})
	}
}

// What is left out when space is short: the unrequested basics, the least
// needed first, then what was asked for from the end. n is the length of the
// one option asked for.
func TestDropOrder(t *testing.T) {
	for _, c := range []struct {
		n    int
		want string // after option 224
	}{
		{231, basicSet},
		{232, mask24 + gateway + dns + hostname + domain + t1Half + t2},    // 28 goes
		{238, mask24 + gateway + dns + hostname + broadcast + t1Half + t2}, // then 15, and 28 fits again
		{251, mask24 + gateway + dns + t1Half + t2},                        // then 12
		{256, mask24 + gateway + dns + t1Half},                             // then 59
		{261, mask24 + gateway + dns},                                      // then 58
		{267, mask24 + gateway + t1Half},                                   // then 6, and 58 fits again
		{277, mask24},                                                      // then 3
		{282, mask24},
		{283, ""},
		{288, ""},
	} {
		b := changed(filled(224, c.n))
		fieldsUsed(b)
		got := Answer(server(b), asks(t, packet{options: "350101 3701e0"}))
		t.Run(fmt.Sprint(c.n), func(t *testing.T) {
			wantOptions(t, isOffer+serverID+lease1d+filledHex(224, c.n)+c.want, got)
		})
	}
}

// The name of option 81 outlasts the basics and gives way to what was asked.
func TestDropOrderOfTheName(t *testing.T) {
	name, echo := "5103000000", "5113"+"0affff"+text("web1.example.org")
	for n, want := range map[int]string{
		211: mask24 + gateway + dns + hostname + domain + t1Half + t2 + echo,
		267: echo,
		268: mask24 + gateway + t1Half,
	} {
		b := changed(fieldsUsed, filled(224, n))
		got := Answer(server(b), asks(t, packet{options: "350101 3701e0" + name}))
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			wantOptions(t, isOffer+serverID+lease1d+filledHex(224, n)+want, got)
		})
	}
}

// An option too large for any message takes no other with it.
func TestDropKeepsWhatFits(t *testing.T) {
	b := changed(filled(224, 289))
	fieldsUsed(b)
	wantOptions(t, isOffer+serverID+lease1d+basicSet,
		Answer(server(b), asks(t, packet{options: "350101 3701e0"})))

	b = quiet(fieldsUsed, filled(224, 150), filled(225, 150), filled(226, 100))
	wantOptions(t, isOffer+serverID+lease1d+filledHex(224, 150)+filledHex(226, 100),
		Answer(server(b), asks(t, packet{options: "350101 3703e0e1e2"})))
}

// Without the routes that did not fit, the router they replaced is back.
func TestRouterReturnsWhenRoutesDoNotFit(t *testing.T) {
	b := quiet(fieldsUsed, filled(121, 289), func(b *nic.Binding) { b.DHCP4.NoRouterWithRoutes = true })
	wantOptions(t, isOffer+serverID+lease1d+mask24+gateway,
		Answer(server(b), asks(t, packet{options: "350101 3703017903"})))
}

// A client identifier so long that the reply could not carry it back.
func TestTooLargeIsSilence(t *testing.T) {
	b := changed(fieldsUsed)
	fits := filledHex(61, 288)
	wantOptions(t, isOffer+serverID+lease1d+fits, Answer(server(b), asks(t, packet{options: "350101" + fits})))
	got := Answer(server(b), asks(t, packet{options: "350101" + filledHex(61, 289)}))
	check(t, silent("DISCOVER", "", reason.DHCPTooLarge), got)

	inform := packet{options: "350108" + filledHex(61, 295), ciaddr: "192.0.2.10"}
	check(t, silent("INFORM", "192.0.2.10", reason.DHCPTooLarge), Answer(server(b), asks(t, inform)))

	nakFits := filledHex(61, 294) // the text, option 56, gives way
	wantOptions(t, isNak+serverID+nakFits, Answer(server(b), asks(t, packet{options: "350103" + nakFits})))
	got = Answer(server(b), asks(t, packet{options: "350103" + filledHex(61, 295)}))
	check(t, silent("REQUEST", "", reason.DHCPTooLarge), got)
}

// place is held to a slow, obvious rule: nothing is lost, no field overflows,
// and what must be sent is in the options field.
func FuzzPack(f *testing.F) {
	f.Add([]byte{3, 4, 4, 200, 100, 60, 60}, uint16(307), true, true)
	f.Add([]byte{3, 255, 255}, uint16(20), false, true)
	f.Fuzz(func(t *testing.T, sizes []byte, space uint16, file, sname bool) {
		r := room{options: int(space) % 1500}
		if file {
			r.file = 127
		}
		if sname {
			r.sname = 63
		}
		var items []item
		for i, n := range sizes[:min(len(sizes), 60)] {
			items = append(items, item{code: byte(100 + i), data: make([]byte, int(n)*2), drop: i % 7})
		}
		p, ok := pack(items, r)
		if !ok {
			must := 0
			for _, it := range items {
				if it.drop == 0 {
					must += it.size()
				}
			}
			if must <= r.options {
				t.Fatalf("refused, although what must be sent takes %d of %d", must, r.options)
			}
			return
		}
		checkPacked(t, items, r, p)
	})
}

func checkPacked(t *testing.T, items []item, r room, p packed) {
	t.Helper()
	if len(p.options) > r.options+1 || len(p.file) > r.file+1 || len(p.sname) > r.sname+1 {
		t.Fatalf("fields of %d, %d, %d in %+v", len(p.options), len(p.file), len(p.sname), r)
	}
	message := make([]byte, 240)
	copy(message[44:108], p.sname)
	copy(message[108:236], p.file)
	binary.BigEndian.PutUint32(message[236:], magicCookie)
	got := options{}
	if !got.walk(p.options) {
		t.Fatalf("options field does not parse: %x", p.options)
	}
	overload, used := got[optOverload]
	if used != (p.file != nil || p.sname != nil) {
		t.Fatalf("option 52 %x with fields of %d and %d", overload, len(p.file), len(p.sname))
	}
	if (p.file != nil && !got.walk(message[108:236])) || (p.sname != nil && !got.walk(message[44:108])) {
		t.Fatal("an overloaded field does not parse")
	}
	delete(got, optOverload)
	want := options{}
	for _, it := range p.sent {
		want[it.code] = append(options{}[it.code], it.data...)
	}
	if d := cmp.Diff(dump(want), dump(got)); d != "" {
		t.Fatalf("options (-sent +read):\n%s", d)
	}
	for _, it := range items {
		if _, ok := got[it.code]; it.drop == 0 && !ok {
			t.Fatalf("option %d must be sent", it.code)
		}
	}
}

func dump(o options) map[uint8]string {
	m := map[uint8]string{}
	for code, v := range o {
		m[code] = hex.EncodeToString(v)
	}
	return m
}
