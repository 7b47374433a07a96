package datapath

import (
	"bytes"
	"encoding/binary"
	sorted "maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/berth-net/berth/internal/guard/corpus"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/wire"
)

// guest6 makes messages of DHCPv6: often one that a client could send.
type guest6 struct {
	*rand.Rand
	captured [][]byte
}

func newGuest6(t testing.TB, seed uint64) *guest6 {
	t.Helper()
	clients := clients6(t)
	g := &guest6{Rand: rand.New(rand.NewPCG(seed, 6))}
	for _, name := range slices.Sorted(sorted.Keys(clients)) {
		g.captured = append(g.captured, clients[name])
	}
	return g
}

func one6[T any](g *guest6, list ...T) T { return list[g.IntN(len(list))] }

func (g *guest6) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(g.Uint32())
	}
	return b
}

func (g *guest6) address() netip.Addr {
	return one6(g, corpus.M6, corpus.M6, own6(), corpus.B6, netip.MustParseAddr("2001:db8:9::9"), corpus.Any6,
		netip.MustParseAddr("::ffff:192.0.2.1"), prefix6().Addr())
}

func (g *guest6) prefix() netip.Prefix {
	bits := one6(g, 56, 56, 56, 60, 64, 128, 0)
	return netip.PrefixFrom(one6(g, prefix6().Addr(), prefix6().Addr(), netip.MustParseAddr("2001:db8:900::"), corpus.Any6, corpus.M6), bits)
}

// frame is one message on its way.
func (g *guest6) frame() []byte {
	m := g.message()
	if g.IntN(8) == 0 {
		m[g.IntN(len(m))] = byte(g.Uint32())
	}
	u := wire.UDP6{
		EthSrc: corpus.M, EthDst: nic.MAC{0x33, 0x33, 0, 1, 0, 2}, Src: corpus.LL, Dst: netip.MustParseAddr("ff02::1:2"),
		SrcPort: 546, DstPort: 547, Payload: m,
	}
	switch g.IntN(20) {
	case 0:
		u.Dst = one6(g, nic.BerthLinkLocal(), corpus.B6, netip.MustParseAddr("ff05::1:3"), netip.MustParseAddr("::ffff:224.0.0.1"))
	case 1:
		u.Src = one6(g, corpus.M6, corpus.LLS, corpus.Any6, netip.MustParseAddr("::ffff:192.0.2.10"), netip.MustParseAddr("ff02::1"))
	}
	return g.damage(wire.AppendUDP6(nil, u))
}

// damage does something to a frame that it comes to harm by.
func (g *guest6) damage(f []byte) []byte {
	switch g.IntN(12) {
	case 0:
		f[14+g.IntN(len(f)-14)] ^= 1 << g.IntN(8)
	case 1:
		f = f[:14+g.IntN(len(f)-14)]
	case 2:
		f = append(f, make([]byte, g.IntN(40))...)
	case 3, 4, 5:
		leavePartial(f)
	}
	return f
}

func (g *guest6) message() []byte {
	if g.IntN(6) == 0 {
		return bytes.Clone(one6(g, g.captured...))
	}
	kind := one6[byte](g, 1, 1, 3, 3, 4, 5, 5, 6, 6, 8, 9, 11, 11, byte(g.IntN(16)))
	var options [][]byte
	if kind != 11 || g.IntN(2) == 0 {
		options = append(options, g.clientID())
	}
	if named := kind == 3 || kind == 5 || kind == 8 || kind == 9; named == (g.IntN(20) > 0) {
		options = append(options, opt6(2, serverDUID()...))
	}
	if kind != 11 {
		options = append(options, one6(g, g.na(), g.na(), nil), one6(g, g.pd(), nil))
	}
	for range g.IntN(6) {
		options = append(options, g.option())
	}
	g.Shuffle(len(options), func(i, j int) { options[i], options[j] = options[j], options[i] })
	return message6(kind, options...)
}

func (g *guest6) clientID() []byte {
	mac := corpus.M[:]
	return opt6(1, one6(g,
		append([]byte{0, 3, 0, 1}, mac...), append([]byte{0, 3, 0, 1}, mac...),
		append([]byte{0, 1, 0, 1, 1, 2, 3, 4}, mac...), append([]byte{0, 1, 0, 1, 9, 9, 9, 9}, mac...),
		g.bytes(g.IntN(132)))...)
}

func (g *guest6) na() []byte {
	list := make([]netip.Addr, g.IntN(4)*g.IntN(3))
	for i := range list {
		list[i] = g.address()
	}
	return na6(byte(g.IntN(3)), list...)
}

func (g *guest6) pd() []byte {
	list := make([]netip.Prefix, g.IntN(4)*g.IntN(3))
	for i := range list {
		list[i] = g.prefix()
	}
	return pd6(byte(g.IntN(3)), list...)
}

// option makes one more option, mostly of a length that it may have.
func (g *guest6) option() []byte {
	code := one6[uint16](g, 6, 6, 6, 8, 14, 14, 14, 14, 39, 39, 16, 15, 20, 11, 61, 2, 4, 3, 25, 1, 300, uint16(g.IntN(64)))
	if g.IntN(20) == 0 {
		return opt6(code, g.bytes(g.IntN(6))...)
	}
	switch code {
	case 6:
		return opt6(6, g.list()...)
	case 8:
		return opt6(8, g.bytes(2)...)
	case 14, 20:
		return opt6(code)
	case 61:
		return opt6(61, 0, byte(g.IntN(10)))
	case 3:
		return g.na()
	case 25:
		return g.pd()
	}
	return opt6(code, g.bytes(1+g.IntN(30))...)
}

// list is what a client asks for.
func (g *guest6) list() (b []byte) {
	for range g.IntN(12) * (1 + g.IntN(2)*g.IntN(8)) {
		b = binary.BigEndian.AppendUint16(b, one6[uint16](g, 23, 24, 31, 32, 39, 56, 59, 60, 82, 83, 103, 200, 21, 300, uint16(g.Uint32())))
	}
	return b
}
