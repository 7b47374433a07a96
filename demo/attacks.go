package main

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
	"github.com/berth-net/berth/internal/wire"
)

//nolint:gochecknoglobals // a constant
var broadcast = nic.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// attacker is who sends, and whom it pretends to be.
type attacker struct {
	vm               *vm
	own4, own6       netip.Addr
	victimMAC        nic.MAC
	victim4, victim6 netip.Addr // victim4 is also what ARP claims
	gateway          netip.Addr // what neighbour discovery claims
}

// attack is one kind of forged frame and how tcpdump recognises it.
type attack struct {
	what   string
	frame  []byte
	filter string
	reason reason.Reason
}

// attacks is those of IPv4 and those of IPv6, like beside like.
func (a attacker) attacks() []attack {
	d4, d6 := a.datagram4(), a.datagram6()
	mac, ip4, ip6 := d4, d4, d6
	mac.EthSrc = a.victimMAC
	ip4.Src = a.victim4
	ip6.Src = a.victim6
	from := "ether src " + a.vm.mac.String()
	return []attack{
		{"another's MAC", wire.AppendUDP4(nil, mac), fmt.Sprintf("ether src %s and src host %s", a.victimMAC, a.own4), reason.MACSpoof},
		{"another's IPv4 address", wire.AppendUDP4(nil, ip4), from + " and ip src host " + a.victim4.String(), reason.IP4Spoof},
		{"another's IPv6 address", wire.AppendUDP6(nil, ip6), from + " and ip6 src host " + a.victim6.String(), reason.IP6Spoof},
		{"ARP: the router is here", a.arpReply(), from + " and arp src host " + a.victim4.String(), reason.ARPSpoofIP},
		{"NA: the router is here", a.advertisement(), from + " and icmp6 and ip6[40] == 136 and " + target(a.gateway), reason.NDTarget},
		{"DHCP server: an OFFER", a.offer(), from + " and udp src port 67", reason.DHCPServer},
		{"DHCPv6 server: an ADVERTISE", a.advertise(), from + " and ip6 and udp src port 547", reason.DHCPServer},
		{"RA: I am your router", a.routerAdvert(), from + " and icmp6 and ip6[40] == 134", reason.RARogue},
		{"RA behind two extension headers", a.routerAdvert(hopByHop, destination), from + " and ip6[6] == 0 and ip6[56] == 134", reason.RARogue},
		{"RA in fragments, the type later", a.fragment(), from + " and ip6[6] == 44", reason.IP6Chain},
		{"hidden in a VLAN tag", tagged(wire.AppendUDP4(nil, d4)), from + " and vlan", reason.VLANTag},
	}
}

// datagram4 is honest.
func (a attacker) datagram4() wire.UDP4 {
	return wire.UDP4{
		EthSrc: a.vm.mac, EthDst: broadcast, Src: a.own4, Dst: netip.MustParseAddr("192.0.2.255"),
		SrcPort: 40000, DstPort: 40001, Payload: []byte("forged"),
	}
}

func (a attacker) arpReply() []byte {
	return wire.AppendARP(nil, wire.ARP{
		EthSrc: a.vm.mac, EthDst: broadcast, Op: 2, SenderMAC: a.vm.mac, TargetMAC: broadcast,
		SenderIP: a.victim4, TargetIP: a.victim4,
	})
}

func tagged(f []byte) []byte {
	out := append([]byte{}, f[:12]...)
	out = append(out, 0x81, 0, 0, 42) // 802.1Q, VID 42
	return append(out, f[12:]...)
}

// offer is a DHCP server's OFFER of itself to whoever listens.
func (a attacker) offer() []byte {
	b := make([]byte, 300)
	b[0], b[1], b[2] = 2, 1, 6                              // BOOTREPLY, Ethernet (RFC 2131 2)
	binary.BigEndian.PutUint32(b[4:], 0xbad0bad0)           // nobody's transaction
	copy(b[236:], []byte{99, 130, 83, 99, 53, 1, 2, 54, 4}) // cookie, OFFER, server identifier
	b[249] = 255
	copy(b[245:], a.own4.AsSlice())
	d := a.datagram4()
	d.Dst, d.SrcPort, d.DstPort, d.Payload = netip.MustParseAddr("255.255.255.255"), 67, 68, b
	return wire.AppendUDP4(nil, d)
}

// send puts a frame on a VM's own NIC, as its kernel could, times times.
func (r *room) send(v *vm, frame []byte, times int) error {
	done := make(chan error, 1)
	go func() {
		// Never unlocked: the thread is thrown away with the namespace it entered.
		runtime.LockOSThread()
		done <- sendIn(v.name, frame, times)
	}()
	if err := <-done; err != nil {
		return fmt.Errorf("send from %s: %w", v.name, err)
	}
	return nil
}

func sendIn(ns string, frame []byte, times int) error {
	f, err := os.Open("/run/netns/" + ns)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter: %w", err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }() // sent or not, nothing is left to do
	index, err := ifindex(fd, "eth0")
	if err != nil {
		return err
	}
	for range times {
		if err := unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: index}); err != nil {
			return err
		}
	}
	return nil
}

// ifindex asks by ioctl: the net package would ask another thread's namespace.
func ifindex(fd int, name string) (int, error) {
	req, err := unix.NewIfreq(name)
	if err != nil {
		return 0, err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, req); err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	return int(req.Uint32()), nil
}
