package datapath

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"

	"github.com/berth-net/berth/internal/guard/corpus"
	"github.com/berth-net/berth/internal/nic"
)

// breeder makes new frames of those of the corpus: some mutation, some
// splicing, and for IPv6 what keeps it whole enough to be read deep.
type breeder struct {
	*rand.Rand
	pool []corpus.Vector
}

func newBreeder(seed uint64) *breeder {
	b := &breeder{Rand: rand.New(rand.NewPCG(seed, 1))}
	for _, v := range corpus.All() {
		if len(v.Frames[0]) < 400 {
			b.pool = append(b.pool, v)
		}
	}
	return b
}

func (b *breeder) parent() corpus.Vector { return b.pool[b.IntN(len(b.pool))] }

func (b *breeder) breed(f []byte) []byte {
	f = bytes.Clone(f)
	for range b.IntN(4) {
		if isIP6(f) && b.IntN(2) == 0 {
			f = b.mutate6(f)
		} else {
			f = b.mutate(f)
		}
	}
	if len(f) > 1500 {
		f = f[:1500]
	}
	if !runnable(f) {
		f = append(f, make([]byte, 40)...)
	}
	return f
}

func isIP6(f []byte) bool {
	return len(f) >= 14+40 && binary.BigEndian.Uint16(f[12:]) == 0x86dd
}

func (b *breeder) mutate(f []byte) []byte {
	switch b.IntN(8) {
	case 0: // one bit in the headers
		f[b.IntN(min(len(f), 64))] ^= 1 << b.IntN(8)
	case 1: // one byte in the headers
		f[b.IntN(min(len(f), 64))] = byte(b.Uint32())
	case 2: // an interesting 16-bit field
		words := []uint16{0, 1, 0x0800, 0x0806, 0x8100, 0x88a8, 0x86dd, 67, 68, 546, 547, 0x3aff, 0x3c00, 0x2c00, 0x8600, 0x8700, 0x2000, 0x1fff, 0xffff, 28, 20}
		binary.BigEndian.PutUint16(f[b.IntN(min(len(f)-1, 60)):], words[b.IntN(len(words))])
	case 3: // cut
		f = f[:14+b.IntN(len(f)-13)]
	case 4: // a tag
		f = append(f[:12], append([]byte{0x81, 0, 0, byte(b.IntN(3))}, f[12:]...)...)
	case 5: // a header of one on the body of another
		g := b.parent().Frames[0]
		n := 12 + b.IntN(40)
		if n < len(f) && n < len(g) {
			f = append(f[:n], g[n:]...)
		}
	case 6: // a header byte nibble: IHL, flags
		if len(f) > 21 {
			f[14] = 0x40 | byte(b.IntN(16))
		}
	case 7: // another destination
		macs := []nic.MAC{corpus.BC, corpus.G, nic.BerthMAC(), {0x01, 0x80, 0xc2}, {0x33, 0x33, 0, 0, 0, 1}}
		copy(f, macs[b.IntN(len(macs))][:])
	}
	return f
}

// mutate6 changes an IPv6 frame that is whole up to its end.
func (b *breeder) mutate6(f []byte) []byte {
	at, up := b.boundary(f)
	switch b.IntN(9) {
	case 0, 1:
		return b.insertHeader(f, at)
	case 2: // another next header in front of a boundary
		f[b.nextField(f, at)] = b.protocol()
	case 3: // another speaker
		a := b.address().As16()
		copy(f[22:], a[:])
	case 4: // another target, or whatever stands there
		a := b.address().As16()
		copy(f[min(up+8, len(f)):], a[:])
	case 5: // another message, or a flag of it
		types := []byte{1, 128, 130, 131, 132, 133, 134, 135, 136, 137, 138, 143, 160, byte(b.Uint32())}
		if up+5 <= len(f) && b.IntN(3) == 0 {
			f[up+4] ^= 1 << b.IntN(8)
		} else if up < len(f) {
			f[up] = types[b.IntN(len(types))]
		}
	case 6: // an option's type or length
		if o := up + 24 + 8*b.IntN(3); o+1 < len(f) {
			f[o+b.IntN(2)] = byte(b.IntN(4))
		}
	case 7: // one more option
		option := append([]byte{byte(b.IntN(3)), byte(b.IntN(3))}, b.mac()...)
		f = b.fit(append(f[:len(f):len(f)], option...))
	case 8: // the length follows the frame, or nearly
		f = b.fit(f)
		if b.IntN(3) == 0 {
			binary.BigEndian.PutUint16(f[18:], uint16(len(f)-54+b.IntN(9)-4))
		}
	}
	return f
}

// fit makes the payload length what the frame holds.
func (b *breeder) fit(f []byte) []byte {
	binary.BigEndian.PutUint16(f[18:], uint16(len(f)-54))
	return f
}

// boundary returns where one of the headers behind the IPv6 header begins, and
// where the upper layer does.
func (b *breeder) boundary(f []byte) (at, up int) {
	starts := []int{54}
	for next, n := f[20], 0; n < 10; n++ {
		last := starts[len(starts)-1]
		size, ok := sizeOf(f, next, last)
		if !ok {
			break
		}
		next = f[last]
		starts = append(starts, last+size)
	}
	return starts[b.IntN(len(starts))], starts[len(starts)-1]
}

func sizeOf(f []byte, proto byte, at int) (size int, ok bool) {
	if at+8 > len(f) || !bytes.ContainsRune([]byte{0, 43, 44, 51, 60}, rune(proto)) && proto != 135 && proto != 139 && proto != 140 {
		return 0, false
	}
	switch proto {
	case 44:
		size = 8
	case 51:
		size = 4*int(f[at+1]) + 8
	default:
		size = 8*int(f[at+1]) + 8
	}
	return size, at+size <= len(f)
}

// nextField is where the type of what begins at a boundary is written.
func (b *breeder) nextField(f []byte, at int) int {
	field, start, next := 20, 54, f[20]
	for start < at {
		size, ok := sizeOf(f, next, start)
		if !ok {
			break
		}
		field, next, start = start, f[start], start+size
	}
	return field
}

// insertHeader puts an extension header at a boundary.
func (b *breeder) insertHeader(f []byte, at int) []byte {
	field, proto := b.nextField(f, at), b.protocol()
	h := []byte{f[field], 0, 1, 4, 0, 0, 0, 0} // PadN; a routing header of type 1; an offset of 256
	switch b.IntN(6) {
	case 0: // Router Alert
		copy(h[2:], []byte{5, 2, 0, 0, 1, 0})
	case 1: // an atomic fragment, and a PadN of nothing
		copy(h[2:], []byte{0, 0})
	case 2: // a fragment at an honest offset, or the first one
		binary.BigEndian.PutUint16(h[2:], uint16(b.IntN(2)*1208|b.IntN(2)))
	case 3: // two eights, with a Home Address
		h = append(h, make([]byte, 16)...)
		copy(h[1:], []byte{2, 1, 2, 0, 0, 0xc9, 16})
	case 4:
		h[2], h[3] = byte(b.Uint32()), byte(b.IntN(8))
	}
	f[field] = proto
	out := append(append(f[:at:at], h...), f[at:]...)
	length := binary.BigEndian.Uint16(out[18:]) + uint16(len(h))
	binary.BigEndian.PutUint16(out[18:], length)
	return out
}

func (b *breeder) protocol() byte {
	all := []byte{0, 0, 43, 44, 44, 51, 60, 60, 60, 135, 139, 140, 253, 59, 58, 58, 17, 6, 136, 88, 89, 103, 112}
	return all[b.IntN(len(all))]
}

func (b *breeder) mac() []byte {
	all := []nic.MAC{corpus.M, corpus.B, corpus.V}
	m := all[b.IntN(len(all))]
	return m[:]
}

// address is one of the cast's, or a link-local of anybody's choice.
func (b *breeder) address() netip.Addr {
	all := []netip.Addr{
		corpus.M6, corpus.X6, corpus.B6, corpus.G6, corpus.LL, corpus.LLS, corpus.BLL, corpus.GLL, corpus.Any6,
		nic.BerthLinkLocal(), netip.MustParseAddr("ff02::1"), netip.MustParseAddr("2001:db8:a::7"),
		netip.MustParseAddr("::ffff:169.254.1.1"), netip.MustParseAddr("::ffff:224.0.0.1"),
	}
	if i := b.IntN(len(all) + 2); i < len(all) {
		return all[i]
	}
	return netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 15: byte(b.IntN(8))})
}
