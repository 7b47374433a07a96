package main

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/berth-net/berth/internal/nic"
)

const (
	bridgeName = "br0"
	sinkName   = "sink"
	lanName    = "lan"
	hostName   = "host"
)

// lanAddress is the host behind the bridge, and the guests' gateway.
func lanAddress() netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 255, 254}) }

func sinkMAC() nic.MAC { return nic.MAC{0x02, 0, 0, 0, 0xff, 1} }

func lanMAC() nic.MAC { return nic.MAC{0x02, 0, 0, 0, 0xff, 2} }

// port is one NIC: its name on the host and what its guest may send from.
type port struct {
	number  int // in order of declaration, from 0
	name    string
	mac     nic.MAC
	address netip.Addr
}

func newPort(i int) port {
	high, low := byte(i>>8), byte(i)
	return port{
		number:  i,
		name:    fmt.Sprintf("tap%d", i),
		mac:     nic.MAC{0x52, 0x54, 0, 0, high, low},
		address: netip.AddrFrom4([4]byte{10, 0, 1 + high, low}).Next(),
	}
}

// guestName is a veth's guest end.
func (p port) guestName() string { return fmt.Sprintf("guest%d", p.number) }

// site is a host with a bridge and NICs under one kind of filter, in
// namespaces of its own:
//
//	guests ── tap0 … tapN ── br0 ── sink (counts and frees, as a fast wire would)
//	                          └──── lan ── host (TCP)
type site struct {
	ports            []port
	taps             map[int]int // descriptors of those ports that are taps
	host, guest, lan *space
	soft             softThread
}

// newSite makes a site with n NICs; with taps, the first and the last of them
// are taps, which are the ones measured.
func newSite(n int, taps bool) (*site, error) {
	s := &site{taps: map[int]int{}}
	for _, sp := range []**space{&s.host, &s.guest, &s.lan} {
		var err error
		if *sp, err = newSpace(); err != nil {
			return nil, err
		}
	}
	if err := s.host.do(s.bridge); err != nil {
		return nil, fmt.Errorf("bridge: %w", err)
	}
	for i := range n {
		p := newPort(i)
		s.ports = append(s.ports, p)
		add := s.addVeth
		if taps && (i == 0 || i == n-1) {
			add = s.addTap
		}
		if err := s.host.do(func() error { return add(p) }); err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return s, s.address()
}

func (s *site) last() port { return s.ports[len(s.ports)-1] }

// bridge makes the bridge with its two ports towards the site.
func (s *site) bridge() error {
	snooping := false // it would send reports of its own to the sink
	if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs(bridgeName), MulticastSnooping: &snooping}); err != nil {
		return err
	}
	if err := addSink(); err != nil {
		return fmt.Errorf("sink: %w", err)
	}
	err := netlink.LinkAdd(&netlink.Veth{
		LinkAttrs: attrs(lanName), PeerName: hostName,
		PeerNamespace: netlink.NsFd(s.lan.f.Fd()), PeerHardwareAddr: hardware(lanMAC()),
	})
	if err != nil {
		return err
	}
	if err := up(bridgeName); err != nil {
		return err
	}
	for _, name := range []string{sinkName, lanName} {
		if err := enslave(name); err != nil {
			return err
		}
	}
	return fdb(sinkName, sinkMAC())
}

// addSink makes a tap whose socket filter takes nothing: each frame is counted
// and freed on the spot. A dummy would do the same, where the kernel has it.
func addSink() error {
	fd, err := openTap(sinkName)
	if err != nil {
		return err
	}
	return dropAll(fd)
}

// fdb says where a MAC is, so that nothing is flooded to all NICs.
func fdb(name string, mac nic.MAC) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	return netlink.NeighSet(&netlink.Neigh{
		LinkIndex: link.Attrs().Index, Family: unix.AF_BRIDGE, Flags: netlink.NTF_MASTER,
		State: netlink.NUD_NOARP, HardwareAddr: hardware(mac),
	})
}

func (s *site) addVeth(p port) error {
	err := netlink.LinkAdd(&netlink.Veth{
		LinkAttrs: attrs(p.name), PeerName: p.guestName(),
		PeerNamespace: netlink.NsFd(s.guest.f.Fd()), PeerHardwareAddr: hardware(p.mac),
	})
	if err != nil {
		return err
	}
	if err := s.guest.do(func() error { return up(p.guestName()) }); err != nil {
		return err
	}
	return enslave(p.name)
}

func (s *site) addTap(p port) error {
	fd, err := openTap(p.name)
	if err != nil {
		return err
	}
	s.taps[p.number] = fd
	return enslave(p.name)
}

// address gives the last NIC's guest and the host behind the bridge what TCP
// needs. Each knows the other's MAC: a guard that answers ARP has no part.
func (s *site) address() error {
	p := s.last()
	if _, tap := s.taps[p.number]; tap {
		return nil
	}
	err := s.guest.do(func() error {
		return speak(p.guestName(), p.address, netlink.Neigh{IP: lanAddress().AsSlice(), HardwareAddr: hardware(lanMAC())})
	})
	if err != nil {
		return err
	}
	return s.lan.do(func() error {
		return speak(hostName, lanAddress(), netlink.Neigh{IP: p.address.AsSlice(), HardwareAddr: hardware(p.mac)})
	})
}

func speak(name string, address netip.Addr, peer netlink.Neigh) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return err
	}
	on := &net.IPNet{IP: address.AsSlice(), Mask: net.CIDRMask(16, 32)}
	if err := netlink.AddrAdd(link, &netlink.Addr{IPNet: on}); err != nil {
		return err
	}
	peer.LinkIndex, peer.State = link.Attrs().Index, netlink.NUD_PERMANENT
	return netlink.NeighSet(&peer)
}

// arrived is how many frames have reached the sink so far.
func (s *site) arrived() (uint64, error) {
	var n uint64
	return n, s.host.do(func() error {
		link, err := netlink.LinkByName(sinkName)
		if err == nil {
			n = link.Attrs().Statistics.TxDropped // by its filter
		}
		return err
	})
}

func attrs(name string) netlink.LinkAttrs {
	a := netlink.NewLinkAttrs()
	a.Name = name
	return a
}

func up(name string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(link)
}

func enslave(name string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	master, err := netlink.LinkByName(bridgeName)
	if err != nil {
		return err
	}
	if err := netlink.LinkSetMaster(link, master); err != nil {
		return err
	}
	return netlink.LinkSetUp(link)
}

func hardware(m nic.MAC) net.HardwareAddr { return m[:] }

func linkIndex(name string) (int, error) {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return 0, err
	}
	return link.Attrs().Index, nil
}
