// Package port is the edge to the host's end of a guest's link, for whoever
// plugs guests in: up and down, in and out of a bridge, its MTU and MAC, and
// where a routing table leads.
//
// Not here: which of it is done when (cmd/berth), and berthd, which never
// plugs or unplugs anything.
package port

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/berth-net/berth/internal/nic"
)

// ErrGone says that there is no such interface.
var ErrGone = errors.New("no such interface")

// State is what Plug and its like change.
type State struct {
	MAC    nic.MAC
	Up     bool
	MTU    int
	Bridge string // "": in none
}

// Look returns an interface as it is.
func Look(name string) (State, error) {
	l, err := link(name)
	if err != nil {
		return State{}, err
	}
	a := l.Attrs()
	s := State{Up: a.Flags&net.FlagUp != 0, MTU: a.MTU}
	if len(a.HardwareAddr) == len(s.MAC) {
		s.MAC = nic.MAC(a.HardwareAddr)
	}
	if a.MasterIndex == 0 {
		return s, nil
	}
	master, err := netlink.LinkByIndex(a.MasterIndex)
	if err != nil {
		return s, fmt.Errorf("look at the bridge of %s: %w", name, err)
	}
	s.Bridge = master.Attrs().Name
	return s, nil
}

// SetUp brings an interface up.
func SetUp(name string) error { return change(name, netlink.LinkSetUp) }

// SetDown takes an interface down: nothing passes it.
func SetDown(name string) error { return change(name, netlink.LinkSetDown) }

// Unplug takes an interface out of its bridge.
func Unplug(name string) error { return change(name, netlink.LinkSetNoMaster) }

// SetMTU sets an interface's MTU.
func SetMTU(name string, mtu int) error {
	return change(name, func(l netlink.Link) error { return netlink.LinkSetMTU(l, mtu) })
}

// SetMAC sets an interface's own MAC address.
func SetMAC(name string, mac nic.MAC) error {
	return change(name, func(l netlink.Link) error { return netlink.LinkSetHardwareAddr(l, mac[:]) })
}

// Plug puts an interface into a bridge.
func Plug(name, bridge string) error {
	b, err := link(bridge)
	if err != nil {
		return err
	}
	if b.Type() != "bridge" {
		return fmt.Errorf("%s is no bridge but %q", bridge, b.Type())
	}
	return change(name, func(l netlink.Link) error { return netlink.LinkSetMaster(l, b) })
}

// Uplink returns the interface of a routing table's default route of one
// family, "" if the table has none.
func Uplink(table uint32, is6 bool) (string, error) {
	family := unix.AF_INET
	if is6 {
		family = unix.AF_INET6
	}
	routes, err := netlink.RouteListFiltered(family, &netlink.Route{Table: int(table)}, netlink.RT_FILTER_TABLE)
	if err != nil {
		return "", fmt.Errorf("read routing table %d: %w", table, err)
	}
	for _, r := range routes {
		if ones := prefixLen(r.Dst); ones != 0 || r.LinkIndex == 0 {
			continue
		}
		l, err := netlink.LinkByIndex(r.LinkIndex)
		if err != nil {
			return "", fmt.Errorf("look at the default route of table %d: %w", table, err)
		}
		return l.Attrs().Name, nil
	}
	return "", nil
}

func prefixLen(to *net.IPNet) int {
	if to == nil {
		return 0
	}
	ones, _ := to.Mask.Size()
	return ones
}

// Table returns the number of a routing table that is given by number, or by a
// name in iproute2's rt_tables, of which the first that is there counts.
func Table(s string, files ...string) (uint32, error) {
	n, err := strconv.ParseUint(s, 0, 32)
	if err == nil {
		return uint32(n), nil
	}
	for _, file := range files {
		n, found, err := tableIn(file, s)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return 0, err
		}
		if found {
			return n, nil
		}
	}
	return 0, fmt.Errorf("routing table %q is neither a number nor in %s", s, strings.Join(files, ", "))
}

func tableIn(file, name string) (number uint32, found bool, err error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, false, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		text, _, _ := strings.Cut(lines.Text(), "#")
		fields := strings.Fields(text)
		if len(fields) != 2 || fields[1] != name {
			continue
		}
		n, err := strconv.ParseUint(fields[0], 0, 32)
		if err != nil {
			return 0, false, fmt.Errorf("%s: table %s: %w", file, name, err)
		}
		return uint32(n), true, nil
	}
	return 0, false, lines.Err()
}

func link(name string) (netlink.Link, error) {
	l, err := netlink.LinkByName(name)
	if missing := (netlink.LinkNotFoundError{}); errors.As(err, &missing) {
		return nil, fmt.Errorf("%s: %w", name, ErrGone)
	}
	if err != nil {
		return nil, fmt.Errorf("look at %s: %w", name, err)
	}
	return l, nil
}

func change(name string, do func(netlink.Link) error) error {
	l, err := link(name)
	if err != nil {
		return err
	}
	if err := do(l); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
