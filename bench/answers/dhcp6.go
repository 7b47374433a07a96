package main

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
)

// iaid is the same in every message of every client.
func iaid() [4]byte { return [4]byte{0, 0, 0, 1} }

// duid is the client's DUID-LL, RFC 8415 section 11.4.
func (c client) duid() []byte { return append([]byte{0, 3, 0, 1}, c.mac[:]...) }

// solicit6 is the SOLICIT and what its ADVERTISE must be.
func (c client) solicit6() *message {
	return c.multicast6(dhcpv6.MessageTypeSolicit, nil, dhcpv6.MessageTypeAdvertise)
}

// select6 is the REQUEST to the server that advertised.
func (c client) select6(server []byte) *message {
	return c.multicast6(dhcpv6.MessageTypeRequest, server, dhcpv6.MessageTypeReply)
}

// renew6 is the RENEW.
func (c client) renew6(server []byte) *message {
	return c.multicast6(dhcpv6.MessageTypeRenew, server, dhcpv6.MessageTypeReply)
}

func (c client) multicast6(kind dhcpv6.MessageType, server []byte, answer dhcpv6.MessageType) *message {
	from := endpoint{c.mac, c.local, dhcpv6.DefaultClientPort}
	to := endpoint{[6]byte{0x33, 0x33, 0, 1, 0, 2}, netip.MustParseAddr("ff02::1:2"), dhcpv6.DefaultServerPort}
	want := expected{kind: byte(answer), mac: c.mac, addr: c.addr6, serverID: server}
	return newMessage(udp(from, to, c.payload6(kind, server)), want)
}

// payload6 has the options that a usual client sends; its xid is zero.
func (c client) payload6(kind dhcpv6.MessageType, server []byte) []byte {
	p := &dhcpv6.Message{MessageType: kind}
	p.AddOption(&dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionClientID, OptionData: c.duid()})
	if server != nil {
		p.AddOption(&dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionServerID, OptionData: server})
	}
	p.AddOption(dhcpv6.OptElapsedTime(0))
	p.AddOption(dhcpv6.OptRequestedOption(dhcpv6.OptionDNSRecursiveNameServer, dhcpv6.OptionDomainSearchList))
	ia := &dhcpv6.OptIANA{IaId: iaid()}
	if server != nil {
		ia.Options.Add(&dhcpv6.OptIAAddress{
			IPv6Addr: c.addr6.AsSlice(), PreferredLifetime: leaseTime * time.Second, ValidLifetime: leaseTime * time.Second,
		})
	}
	p.AddOption(ia)
	return p.ToBytes()
}

// check6 wants the right type, the client's DUID, the server's where it is
// known, and the client's address with a lifetime. b is a DHCPv6 message.
func (w *expected) check6(b []byte) error {
	if b[0] != w.kind {
		return wrong("message type", b[0], w.kind)
	}
	for _, o := range []struct {
		code dhcpv6.OptionCode
		want []byte
	}{{dhcpv6.OptionClientID, append([]byte{0, 3, 0, 1}, w.mac[:]...)}, {dhcpv6.OptionServerID, w.serverID}} {
		got, ok := option6(b[4:], o.code)
		if !ok {
			return errors.New("an identifier is missing")
		}
		if o.want == nil {
			continue
		}
		if err := same("identifier", got, o.want); err != nil {
			return err
		}
	}
	return w.address6(b[4:])
}

// address6 looks into the IA_NA, RFC 8415 sections 21.4 and 21.6.
func (w *expected) address6(options []byte) error {
	ia, ok := option6(options, dhcpv6.OptionIANA)
	if !ok || len(ia) < 12 || [4]byte(ia) != iaid() {
		return errors.New("no IA_NA of the client")
	}
	addr, ok := option6(ia[12:], dhcpv6.OptionIAAddr)
	if !ok || len(addr) < 24 {
		return errors.New("no address in the IA_NA")
	}
	if got := netip.AddrFrom16([16]byte(addr)); got != w.addr {
		return wrong("address", got, w.addr)
	}
	if binary.BigEndian.Uint32(addr[20:]) == 0 {
		return errors.New("a valid lifetime of 0")
	}
	return nil
}

// option6 returns the first option of a kind.
func option6(b []byte, code dhcpv6.OptionCode) ([]byte, bool) {
	for len(b) >= 4 {
		length := int(binary.BigEndian.Uint16(b[2:]))
		if len(b) < 4+length {
			return nil, false
		}
		if dhcpv6.OptionCode(binary.BigEndian.Uint16(b)) == code {
			return b[4 : 4+length], true
		}
		b = b[4+length:]
	}
	return nil, false
}
