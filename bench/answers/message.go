package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
)

// message is one request of an exchange, a whole Ethernet frame that is sent
// again and again with nothing but its transaction id changed.
type message struct {
	frame []byte
	xid   int    // where the id is, and the width of it
	width int    // 4 octets in DHCPv4, 3 in DHCPv6
	sum   int    // where the UDP checksum is
	rest  uint32 // the checksum's sum of all but the id
	want  expected
}

// expected is what the answer to a message must be.
type expected struct {
	echo     bool // the frame itself, from the reflector
	kind     byte // DHCP message type
	mac      [6]byte
	addr     netip.Addr
	serverID []byte
}

var (
	errNotOurs = errors.New("no answer to this client")
	errShort   = errors.New("the answer is cut short")
)

// Where things are in a frame without VLAN tag and IP options.
const (
	ethHeader  = 14
	ip4Header  = 20
	ip6Header  = 40
	udpHeader  = 8
	ipv4Proto  = 0x0800
	ipv6Proto  = 0x86dd
	arpProto   = 0x0806
	udpProto   = 17
	icmp6Proto = 58
)

// endpoint is one end of a message.
type endpoint struct {
	mac  [6]byte
	addr netip.Addr
	port uint16
}

// udp wraps a payload. Source and destination are of one family.
func udp(from, to endpoint, payload []byte) []byte {
	b := append(append([]byte{}, to.mac[:]...), from.mac[:]...)
	length := udpHeader + len(payload)
	if from.addr.Is4() {
		b = binary.BigEndian.AppendUint16(b, ipv4Proto)
		b = append(b, ip4(from.addr, to.addr, length)...)
	} else {
		b = binary.BigEndian.AppendUint16(b, ipv6Proto)
		b = append(b, ip6(from.addr, to.addr, length, udpProto)...)
	}
	for _, v := range []int{int(from.port), int(to.port), length, 0} {
		b = binary.BigEndian.AppendUint16(b, uint16(v))
	}
	return append(b, payload...)
}

func ip4(from, to netip.Addr, length int) []byte {
	b := make([]byte, ip4Header)
	b[0], b[8], b[9] = 0x45, 64, udpProto
	binary.BigEndian.PutUint16(b[2:], uint16(ip4Header+length))
	copy(b[12:], from.AsSlice())
	copy(b[16:], to.AsSlice())
	binary.BigEndian.PutUint16(b[10:], fold(sumOf(b)))
	return b
}

func ip6(from, to netip.Addr, length int, proto byte) []byte {
	b := make([]byte, ip6Header)
	b[0], b[6], b[7] = 0x60, proto, 255
	binary.BigEndian.PutUint16(b[4:], uint16(length))
	copy(b[8:], from.AsSlice())
	copy(b[24:], to.AsSlice())
	return b
}

// newMessage makes a frame of udp sendable; its transaction id must be zero.
func newMessage(frame []byte, want expected) *message {
	m := &message{frame: frame, want: want}
	at, addrs := ethHeader+ip4Header, 8
	m.width, m.xid = 4, at+udpHeader+4 // behind op, htype, hlen and hops
	if binary.BigEndian.Uint16(frame[12:]) == ipv6Proto {
		at, addrs = ethHeader+ip6Header, 32
		m.width, m.xid = 3, at+udpHeader+1 // behind msg-type
	}
	m.sum = at + 6
	m.rest = sumOf(frame[at-addrs:]) + udpProto + uint32(len(frame)-at)
	return m
}

// stamp gives the message its transaction id and the checksum that goes with it.
func (m *message) stamp(id uint32) {
	first, second := uint16(id>>16), uint16(id)
	if m.width == 4 {
		binary.BigEndian.PutUint32(m.frame[m.xid:], id)
	} else {
		first &= 0xff
		m.frame[m.xid] = byte(first)
		binary.BigEndian.PutUint16(m.frame[m.xid+1:], second)
	}
	sum := fold(m.rest + uint32(first) + uint32(second))
	if sum == 0 {
		sum = 0xffff // RFC 768
	}
	binary.BigEndian.PutUint16(m.frame[m.sum:], sum)
}

// sumOf adds up 16-bit words, RFC 1071.
func sumOf(b []byte) uint32 {
	var sum uint32
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(b[0])<<8 | uint32(b[1])
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	return sum
}

func fold(sum uint32) uint16 {
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// xidOf returns the transaction id of a DHCP message of either family and
// direction; false for any other frame.
func xidOf(frame []byte) (uint32, bool) {
	if len(frame) < ethHeader+ip6Header+udpHeader+4 {
		return 0, false
	}
	switch binary.BigEndian.Uint16(frame[12:]) {
	case ipv4Proto:
		at := ethHeader + ip4Header
		if frame[ethHeader] != 0x45 || frame[ethHeader+9] != udpProto || !ports(frame[at:], 67, 68) {
			return 0, false
		}
		return binary.BigEndian.Uint32(frame[at+udpHeader+4:]), true
	case ipv6Proto:
		at := ethHeader + ip6Header
		if frame[ethHeader+6] != udpProto || !ports(frame[at:], 546, 547) {
			return 0, false
		}
		return binary.BigEndian.Uint32(frame[at+udpHeader:]) & 0xffffff, true
	}
	return 0, false
}

func ports(udp []byte, a, b uint16) bool {
	from, to := binary.BigEndian.Uint16(udp), binary.BigEndian.Uint16(udp[2:])
	return from == a && to == b || from == b && to == a
}

// check says what is wrong with an answer, if anything.
func (m *message) check(frame []byte) error {
	w := &m.want
	switch {
	case w.echo:
		if !bytes.Equal(frame, m.frame) {
			return errors.New("the frame came back changed")
		}
		return nil
	case frame[0]&1 == 0 && [6]byte(frame) != w.mac:
		return errNotOurs
	case m.width == 4:
		return w.check4(frame[ethHeader+ip4Header+udpHeader:])
	}
	return w.check6(frame[ethHeader+ip6Header+udpHeader:])
}

func wrong(what string, got, want any) error {
	return fmt.Errorf("%s %v, want %v", what, got, want)
}
