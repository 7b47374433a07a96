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
	vm        *vm
	own       netip.Addr
	victimMAC nic.MAC
	victim    netip.Addr // also the address that ARP claims
}

// attack is one kind of forged frame and how tcpdump recognises it.
type attack struct {
	what   string
	frame  []byte
	filter string
	reason reason.Reason
}

func (a attacker) attacks() []attack {
	datagram := wire.UDP4{
		EthSrc: a.vm.mac, EthDst: broadcast, Src: a.own, Dst: netip.MustParseAddr("192.0.2.255"),
		SrcPort: 40000, DstPort: 40001, Payload: []byte("forged"),
	}
	mac, ip, rogue := datagram, datagram, datagram
	mac.EthSrc = a.victimMAC
	ip.Src = a.victim
	rogue.Dst, rogue.SrcPort, rogue.DstPort = netip.MustParseAddr("255.255.255.255"), 67, 68
	rogue.Payload = offer(a.own)
	from := "ether src " + a.vm.mac.String()
	plain := wire.AppendUDP4(nil, datagram)
	return []attack{
		{"another's MAC", wire.AppendUDP4(nil, mac), fmt.Sprintf("ether src %s and src host %s", a.victimMAC, a.own), reason.MACSpoof},
		{"another's IP address", wire.AppendUDP4(nil, ip), from + " and ip src host " + a.victim.String(), reason.IP4Spoof},
		{"ARP: that address is here", a.arpReply(broadcast), from + " and arp src host " + a.victim.String(), reason.ARPSpoofIP},
		{"DHCP server: an OFFER to all", wire.AppendUDP4(nil, rogue), from + " and udp src port 67", reason.DHCPServer},
		{"hidden in a VLAN tag", tagged(plain), from + " and vlan", reason.VLANTag},
	}
}

func (a attacker) arpReply(to nic.MAC) []byte {
	f := append(append([]byte{}, to[:]...), a.vm.mac[:]...)
	f = append(f, 0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 2) // ARP, Ethernet, IPv4, reply (RFC 826)
	victim := a.victim.As4()
	f = append(append(f, a.vm.mac[:]...), victim[:]...)
	f = append(append(f, to[:]...), victim[:]...)
	return append(f, make([]byte, 60-len(f))...)
}

func tagged(f []byte) []byte {
	out := append([]byte{}, f[:12]...)
	out = append(out, 0x81, 0, 0, 42) // 802.1Q, VID 42
	return append(out, f[12:]...)
}

// offer is a DHCP server's OFFER of itself to whoever listens.
func offer(server netip.Addr) []byte {
	b := make([]byte, 300)
	b[0], b[1], b[2] = 2, 1, 6                              // BOOTREPLY, Ethernet (RFC 2131 2)
	binary.BigEndian.PutUint32(b[4:], 0xbad0bad0)           // nobody's transaction
	copy(b[236:], []byte{99, 130, 83, 99, 53, 1, 2, 54, 4}) // cookie, OFFER, server identifier
	b[249] = 255
	copy(b[245:], server.AsSlice())
	return b
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
