// Package pcap reads and writes captures of Ethernet frames: the classic format
// (draft-ietf-opsawg-pcap) and, to read, pcapng (draft-ietf-opsawg-pcapng).
//
// Not here: files, compression, other link types than Ethernet, and what a
// frame says (words).
package pcap

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Packet is one frame of a capture.
type Packet struct {
	Time   int64  // nanoseconds since 1970; 0: not known
	Length int    // bytes on the wire
	Data   []byte // what was captured of it, from the Ethernet destination on
}

// Cut reports whether the capture has not the whole frame.
func (p Packet) Cut() bool { return len(p.Data) < p.Length }

// Magic numbers, as a reader of the file's byte order has them.
const (
	magicMicro   = 0xa1b2c3d4
	magicNano    = 0xa1b23c4d
	magicSection = 0x0a0d0d0a // the same in both orders

	linkEthernet = 1
	headerLen    = 24
	recordLen    = 16
)

var errKind = errors.New("neither pcap nor pcapng")

// Read returns the packets of a capture, whose Data alias b. Those before what
// cannot be read are returned with the error.
func Read(b []byte) ([]Packet, error) {
	if len(b) < 4 {
		return nil, errKind
	}
	if binary.BigEndian.Uint32(b) == magicSection {
		return readNG(b)
	}
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		switch order.Uint32(b) {
		case magicMicro:
			return readClassic(b, order, 1000)
		case magicNano:
			return readClassic(b, order, 1)
		}
	}
	return nil, errKind
}

// readClassic reads times whose fraction counts so many nanoseconds.
func readClassic(b []byte, order binary.ByteOrder, unit int64) ([]Packet, error) {
	if len(b) < headerLen {
		return nil, errors.New("the file ends within its header")
	}
	// Above the low half are flags about a frame check sequence.
	if link := order.Uint32(b[20:]); link != linkEthernet {
		return nil, linkError(link)
	}
	var all []Packet
	for b = b[headerLen:]; len(b) > 0; {
		p, rest, ok := readRecord(b, order, unit)
		if !ok {
			return all, fmt.Errorf("the file ends within packet %d", len(all)+1)
		}
		all, b = append(all, p), rest
	}
	return all, nil
}

func readRecord(b []byte, order binary.ByteOrder, unit int64) (p Packet, rest []byte, ok bool) {
	if len(b) < recordLen {
		return p, nil, false
	}
	n := uint64(order.Uint32(b[8:]))
	if n > uint64(len(b)-recordLen) {
		return p, nil, false
	}
	p = Packet{
		Time:   int64(order.Uint32(b))*1e9 + int64(order.Uint32(b[4:]))*unit,
		Length: int(order.Uint32(b[12:])),
		Data:   b[recordLen : recordLen+n : recordLen+n],
	}
	return p, b[recordLen+n:], true
}

// linkError names the link types that one meets.
func linkError(link uint32) error {
	names := map[uint32]string{
		12: "raw IP", 101: "raw IP", 113: "Linux cooked, of tcpdump -i any", 276: "Linux cooked, of tcpdump -i any",
		105: "802.11", 127: "802.11", 228: "raw IPv4", 229: "raw IPv6", 253: "netlink",
	}
	what := fmt.Sprintf("link type %d", link)
	if name, ok := names[link]; ok {
		what += " (" + name + ")"
	}
	return fmt.Errorf("%s: only Ethernet is read", what)
}

// Append appends a capture of the packets, in the classic format, with
// nanoseconds.
func Append(b []byte, packets ...Packet) []byte {
	const snap = 262144 // tcpdump's own
	b = binary.LittleEndian.AppendUint32(b, magicNano)
	b = append(b, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, snap)
	b = binary.LittleEndian.AppendUint32(b, linkEthernet)
	for _, p := range packets {
		b = binary.LittleEndian.AppendUint32(b, uint32(p.Time/1e9))
		b = binary.LittleEndian.AppendUint32(b, uint32(p.Time%1e9))
		b = binary.LittleEndian.AppendUint32(b, uint32(len(p.Data)))
		b = binary.LittleEndian.AppendUint32(b, uint32(max(p.Length, len(p.Data))))
		b = append(b, p.Data...)
	}
	return b
}
