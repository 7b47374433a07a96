package pcap

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
)

// Block types, and the option that says what a time counts
// (draft-ietf-opsawg-pcapng section 4).
const (
	blockInterface = 1
	blockSimple    = 3
	blockEnhanced  = 6
	optTimeUnit    = 9

	byteOrderMagic = 0x1a2b3c4d
	blockFrame     = 12 // type, length, and the length again
	anyTime        = 6  // microseconds, where nothing else is said
)

// iface is one interface of a section.
type iface struct {
	link uint16
	snap uint32
	unit uint8 // if_tsresol
}

// section is the part of a file that has one byte order.
type section struct {
	order  binary.ByteOrder
	ifaces []iface
	all    []Packet
}

var errShortBlock = errors.New("a block is shorter than what it must have")

func readNG(b []byte) ([]Packet, error) {
	s := section{order: binary.LittleEndian}
	for n := 1; len(b) > 0; n++ {
		kind, body, rest, err := s.next(b)
		if err == nil {
			err = s.take(kind, body)
		}
		if err != nil {
			return s.all, fmt.Errorf("block %d: %w", n, err)
		}
		b = rest
	}
	return s.all, nil
}

// next cuts the first block off, and takes the byte order of a new section
// from it.
func (s *section) next(b []byte) (kind uint32, body, rest []byte, err error) {
	if len(b) < blockFrame {
		return 0, nil, nil, errors.New("the file ends within it")
	}
	if binary.BigEndian.Uint32(b) == magicSection {
		if err := s.begin(b[8:]); err != nil {
			return 0, nil, nil, err
		}
	}
	n := uint64(s.order.Uint32(b[4:]))
	switch {
	case n < blockFrame || n%4 != 0:
		return 0, nil, nil, fmt.Errorf("a length of %d", n)
	case n > uint64(len(b)):
		return 0, nil, nil, errors.New("the file ends within it")
	}
	return s.order.Uint32(b), b[8 : n-4], b[n:], nil
}

// begin starts a section: interfaces are numbered anew in each.
func (s *section) begin(magic []byte) error {
	s.ifaces = nil
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		if order.Uint32(magic) == byteOrderMagic {
			s.order = order
			return nil
		}
	}
	return errors.New("a section without a byte order")
}

// take reads one block; what it does not know is skipped (section 3.2).
func (s *section) take(kind uint32, body []byte) error {
	switch kind {
	case blockInterface:
		return s.addInterface(body)
	case blockEnhanced:
		return s.addEnhanced(body)
	case blockSimple:
		return s.addSimple(body)
	}
	return nil
}

func (s *section) addInterface(body []byte) error {
	if len(body) < 8 {
		return errShortBlock
	}
	i := iface{link: s.order.Uint16(body), snap: s.order.Uint32(body[4:]), unit: anyTime}
	for o := body[8:]; len(o) >= 4; {
		code, n := s.order.Uint16(o), int(s.order.Uint16(o[2:]))
		if code == 0 || len(o) < 4+n {
			break
		}
		if code == optTimeUnit && n == 1 {
			i.unit = o[4]
		}
		o = o[min(4+(n+3)&^3, len(o)):]
	}
	s.ifaces = append(s.ifaces, i)
	return nil
}

// from finds the interface a packet came by.
func (s *section) from(n uint32) (iface, error) {
	if uint64(n) >= uint64(len(s.ifaces)) {
		return iface{}, fmt.Errorf("a packet of interface %d, which is not declared", n)
	}
	i := s.ifaces[n]
	if i.link != linkEthernet {
		return i, linkError(uint32(i.link))
	}
	return i, nil
}

func (s *section) addEnhanced(body []byte) error {
	if len(body) < 20 {
		return errShortBlock
	}
	i, err := s.from(s.order.Uint32(body))
	if err != nil {
		return err
	}
	ticks := uint64(s.order.Uint32(body[4:]))<<32 | uint64(s.order.Uint32(body[8:]))
	n := uint64(s.order.Uint32(body[12:]))
	if n > uint64(len(body)-20) {
		return errShortBlock
	}
	s.all = append(s.all, Packet{Time: i.nanoseconds(ticks), Length: int(s.order.Uint32(body[16:])), Data: body[20 : 20+n : 20+n]})
	return nil
}

// addSimple reads a packet of the first interface, which has no time.
func (s *section) addSimple(body []byte) error {
	if len(body) < 4 {
		return errShortBlock
	}
	i, err := s.from(0)
	if err != nil {
		return err
	}
	length := s.order.Uint32(body)
	n := uint64(length)
	if i.snap > 0 {
		n = min(n, uint64(i.snap))
	}
	if n > uint64(len(body)-4) {
		return errShortBlock
	}
	s.all = append(s.all, Packet{Length: int(length), Data: body[4 : 4+n : 4+n]})
	return nil
}

// nanoseconds of so many ticks: of a power of two, or of ten, of a second.
func (i iface) nanoseconds(ticks uint64) int64 {
	power := uint(i.unit & 0x7f)
	if i.unit&0x80 != 0 {
		hi, lo := bits.Mul64(ticks, 1e9)
		return int64(hi<<(64-power) | lo>>power) // a shift by 64 and more gives 0
	}
	for ; power < 9; power++ {
		ticks *= 10
	}
	for ; power > 9; power-- {
		ticks /= 10
	}
	return int64(ticks)
}
