// Command plain is the DHCPv4 server that one writes in an afternoon with
// insomniacslk/dhcp: server4 and a map of MACs behind its handler. bench/answers
// measures it beside the others. It is a module of its own, so that berth does
// not depend on what only a peer needs.
package main

import (
	"fmt"
	"log"
	"net"
	"os"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/server4"
)

const leaseTime = 24 * time.Hour

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: plain INTERFACE SERVER MAC=ADDRESS...")
		os.Exit(2)
	}
	if err := serve(os.Args[1], net.ParseIP(os.Args[2]), os.Args[3:]); err != nil {
		log.Fatal(err)
	}
}

func serve(iface string, server net.IP, hosts []string) error {
	leases := map[[6]byte]net.IP{}
	for _, h := range hosts {
		mac, err := net.ParseMAC(h[:17])
		if err != nil {
			return err
		}
		leases[[6]byte(mac)] = net.ParseIP(h[18:])
	}
	s, err := server4.NewServer(iface, nil, func(conn net.PacketConn, peer net.Addr, m *dhcpv4.DHCPv4) {
		if len(m.ClientHWAddr) != 6 {
			return
		}
		answer(conn, peer, m, leases[[6]byte(m.ClientHWAddr)], server)
	})
	if err != nil {
		return err
	}
	return s.Serve()
}

func answer(conn net.PacketConn, peer net.Addr, m *dhcpv4.DHCPv4, addr, server net.IP) {
	kind := map[dhcpv4.MessageType]dhcpv4.MessageType{
		dhcpv4.MessageTypeDiscover: dhcpv4.MessageTypeOffer,
		dhcpv4.MessageTypeRequest:  dhcpv4.MessageTypeAck,
	}[m.MessageType()]
	if addr == nil || kind == dhcpv4.MessageTypeNone {
		return
	}
	reply, err := dhcpv4.NewReplyFromRequest(m,
		dhcpv4.WithMessageType(kind), dhcpv4.WithYourIP(addr), dhcpv4.WithServerIP(server),
		dhcpv4.WithOption(dhcpv4.OptServerIdentifier(server)),
		dhcpv4.WithNetmask(net.CIDRMask(24, 32)), dhcpv4.WithRouter(server),
		dhcpv4.WithDNS(net.IPv4(192, 0, 2, 53), net.IPv4(192, 0, 2, 54)),
		dhcpv4.WithOption(dhcpv4.OptDomainName("example.org")),
		dhcpv4.WithLeaseTime(uint32(leaseTime.Seconds())))
	if err != nil {
		return
	}
	if _, err := conn.WriteTo(reply.ToBytes(), peer); err != nil {
		log.Print(err)
	}
}
