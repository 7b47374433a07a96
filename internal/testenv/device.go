package testenv

import (
	"net"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/berth-net/berth/internal/nic"
)

// Veth makes a pair: name in ns is the host's side, peerName in peerNS the
// guest's, with the guest's MAC. Both are up.
func Veth(t testing.TB, ns *NS, name string, peerNS *NS, peerName string, mac nic.MAC) {
	t.Helper()
	link := &netlink.Veth{
		LinkAttrs:        linkAttrs(name),
		PeerName:         peerName,
		PeerNamespace:    netlink.NsFd(peerNS.fd),
		PeerHardwareAddr: net.HardwareAddr(mac[:]),
	}
	ns.Do(func() {
		if err := netlink.LinkAdd(link); err != nil {
			t.Fatalf("in %s: add veth %s: %v", ns.Name, name, err)
		}
	})
	ns.SetUp(name)
	peerNS.SetUp(peerName)
}

// Bridge makes a bridge without spanning tree and with the given ports, up.
func Bridge(t testing.TB, ns *NS, name string, ports ...string) {
	t.Helper()
	ns.Do(func() {
		if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: linkAttrs(name)}); err != nil {
			t.Fatalf("in %s: add bridge %s: %v", ns.Name, name, err)
		}
	})
	ns.SetUp(name)
	for _, p := range ports {
		ns.SetMaster(p, name)
	}
}

func linkAttrs(name string) netlink.LinkAttrs {
	a := netlink.NewLinkAttrs()
	a.Name = name
	return a
}

// SetUp brings an interface up.
func (n *NS) SetUp(name string) {
	n.t.Helper()
	n.onLink(name, netlink.LinkSetUp)
}

// SetMaster puts an interface into a bridge, or takes it out with "".
func (n *NS) SetMaster(name, bridge string) {
	n.t.Helper()
	n.onLink(name, func(l netlink.Link) error {
		if bridge == "" {
			return netlink.LinkSetNoMaster(l)
		}
		master, err := netlink.LinkByName(bridge)
		if err != nil {
			return err
		}
		return netlink.LinkSetMaster(l, master)
	})
}

// Delete removes an interface.
func (n *NS) Delete(name string) {
	n.t.Helper()
	n.onLink(name, netlink.LinkDel)
}

// Index returns an interface's index.
func (n *NS) Index(name string) int {
	n.t.Helper()
	var index int
	n.onLink(name, func(l netlink.Link) error {
		index = l.Attrs().Index
		return nil
	})
	return index
}

// MAC returns an interface's own MAC.
func (n *NS) MAC(name string) nic.MAC {
	n.t.Helper()
	var mac nic.MAC
	n.onLink(name, func(l netlink.Link) error {
		copy(mac[:], l.Attrs().HardwareAddr)
		return nil
	})
	return mac
}

func (n *NS) onLink(name string, f func(netlink.Link) error) {
	n.t.Helper()
	n.Do(func() {
		n.t.Helper()
		l, err := netlink.LinkByName(name)
		if err == nil {
			err = f(l)
		}
		if err != nil {
			n.t.Fatalf("in %s: link %s: %v", n.Name, name, err)
		}
	})
}
