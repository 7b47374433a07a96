package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// leaseTime is what every server is configured with, in seconds.
const leaseTime = 86400

// client is one simulated guest.
type client struct {
	mac   [6]byte
	addr4 netip.Addr
	addr6 netip.Addr
	local netip.Addr // link-local, from the MAC
}

// newClient returns guest number i, 0 to 199.
func newClient(i int) client {
	c := client{mac: [6]byte{0x52, 0x54, 0, 0xaa, 0, byte(i + 1)}}
	c.addr4 = netip.AddrFrom4([4]byte{192, 0, 2, byte(10 + i)})
	six := serverAddr6().As16()
	six[14], six[15] = 1, byte(i)
	c.addr6 = netip.AddrFrom16(six)
	c.local = linkLocal(c.mac)
	return c
}

// linkLocal is the EUI-64 one, RFC 4291 appendix A.
func linkLocal(m [6]byte) netip.Addr {
	return netip.AddrFrom16([16]byte{0xfe, 0x80, 8: m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]})
}

func serverMAC() [6]byte      { return [6]byte{0x52, 0x54, 0, 0xff, 0, 1} }
func serverAddr4() netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, 1}) }
func serverAddr6() netip.Addr { return netip.MustParseAddr("2001:db8:1::1") }

// discover4 is the DISCOVER and what its OFFER must be.
func (c client) discover4() *message {
	p := c.request4(dhcpv4.MessageTypeDiscover)
	return c.broadcast4(p, dhcpv4.MessageTypeOffer)
}

// select4 is the REQUEST in SELECTING, RFC 2131 section 4.3.2.
func (c client) select4() *message {
	p := c.request4(dhcpv4.MessageTypeRequest)
	p.UpdateOption(dhcpv4.OptRequestedIPAddress(c.addr4.AsSlice()))
	p.UpdateOption(dhcpv4.OptServerIdentifier(serverAddr4().AsSlice()))
	return c.broadcast4(p, dhcpv4.MessageTypeAck)
}

// renew4 is the REQUEST in RENEWING: unicast to the server.
func (c client) renew4() *message {
	p := c.request4(dhcpv4.MessageTypeRequest)
	p.ClientIPAddr = c.addr4.AsSlice()
	from := endpoint{c.mac, c.addr4, dhcpv4.ClientPort}
	to := endpoint{serverMAC(), serverAddr4(), dhcpv4.ServerPort}
	return newMessage(udp(from, to, p.ToBytes()), c.expect4(dhcpv4.MessageTypeAck))
}

// request4 has the options that a usual client sends; its xid is zero.
func (c client) request4(kind dhcpv4.MessageType) *dhcpv4.DHCPv4 {
	p := &dhcpv4.DHCPv4{
		OpCode: dhcpv4.OpcodeBootRequest, HWType: 1, ClientHWAddr: c.mac[:],
		ClientIPAddr: make([]byte, 4), YourIPAddr: make([]byte, 4), ServerIPAddr: make([]byte, 4), GatewayIPAddr: make([]byte, 4),
		Options: dhcpv4.Options{},
	}
	p.UpdateOption(dhcpv4.OptMessageType(kind))
	p.UpdateOption(dhcpv4.OptClientIdentifier(append([]byte{1}, c.mac[:]...)))
	p.UpdateOption(dhcpv4.OptMaxMessageSize(1500))
	p.UpdateOption(dhcpv4.OptParameterRequestList(
		dhcpv4.OptionSubnetMask, dhcpv4.OptionRouter, dhcpv4.OptionDomainNameServer, dhcpv4.OptionDomainName,
		dhcpv4.OptionInterfaceMTU, dhcpv4.OptionBroadcastAddress, dhcpv4.OptionNTPServers,
		dhcpv4.OptionRenewTimeValue, dhcpv4.OptionRebindingTimeValue, dhcpv4.OptionClasslessStaticRoute))
	return p
}

func (c client) broadcast4(p *dhcpv4.DHCPv4, answer dhcpv4.MessageType) *message {
	from := endpoint{c.mac, netip.IPv4Unspecified(), dhcpv4.ClientPort}
	to := endpoint{[6]byte{255, 255, 255, 255, 255, 255}, netip.AddrFrom4([4]byte{255, 255, 255, 255}), dhcpv4.ServerPort}
	return newMessage(udp(from, to, p.ToBytes()), c.expect4(answer))
}

func (c client) expect4(kind dhcpv4.MessageType) expected {
	return expected{kind: byte(kind), mac: c.mac, addr: c.addr4, serverID: serverAddr4().AsSlice()}
}

// Where things are in a DHCPv4 message, RFC 2131 figure 1.
const (
	yiaddr4  = 16
	chaddr4  = 28
	cookie4  = 236
	options4 = 240
)

// check4 looks at the header and at the options that a client depends on.
func (w *expected) check4(b []byte) error {
	switch {
	case len(b) < options4 || binary.BigEndian.Uint32(b[cookie4:]) != 0x63825363:
		return errShort
	case b[0] != byte(dhcpv4.OpcodeBootReply):
		return wrong("op", b[0], dhcpv4.OpcodeBootReply)
	case [6]byte(b[chaddr4:]) != w.mac:
		return errNotOurs
	case netip.AddrFrom4([4]byte(b[yiaddr4:])) != w.addr:
		return wrong("yiaddr", netip.AddrFrom4([4]byte(b[yiaddr4:])), w.addr)
	}
	return w.options4(b[options4:])
}

// options4 wants the right type, server identifier, mask, router and lease.
func (w *expected) options4(b []byte) error {
	const needed = 5
	found := 0
	for len(b) > 0 && b[0] != 255 {
		if b[0] == 0 {
			b = b[1:]
			continue
		}
		if len(b) < 2 || len(b) < 2+int(b[1]) {
			return errShort
		}
		code, value := b[0], b[2:2+int(b[1])]
		b = b[2+int(b[1]):]
		known, err := w.option4(code, value)
		if err != nil {
			return err
		}
		if known {
			found++
		}
	}
	if found != needed {
		return errors.New("an option of message type, server identifier, mask, router and lease is missing")
	}
	return nil
}

func (w *expected) option4(code byte, value []byte) (known bool, err error) {
	var want []byte
	switch dhcpv4.GenericOptionCode(code) {
	case dhcpv4.GenericOptionCode(dhcpv4.OptionDHCPMessageType.Code()):
		return true, same("message type", value, []byte{w.kind})
	case 54:
		return true, same("server identifier", value, w.serverID)
	case 1:
		want = []byte{255, 255, 255, 0}
	case 3:
		want = w.serverID
	case 51:
		want = []byte{0, 1, 0x51, 0x80} // leaseTime
	default:
		return false, nil
	}
	return true, same("option", value, want)
}

func same(what string, got, want []byte) error {
	if !bytes.Equal(got, want) {
		return wrong(what, bytes.Clone(got), bytes.Clone(want)) // else what is wanted is on the heap each time
	}
	return nil
}
