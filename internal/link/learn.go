package link

import (
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/berth-net/berth/internal/nic"
)

// Learn has a bridge know that a MAC is behind one of its ports, as it would from
// a frame: until it ages, or is heard elsewhere.
func Learn(port int, mac nic.MAC) error {
	err := netlink.NeighSet(&netlink.Neigh{
		LinkIndex: port, Family: unix.AF_BRIDGE, Flags: unix.NTF_MASTER, State: unix.NUD_REACHABLE, HardwareAddr: net.HardwareAddr(mac[:]),
	})
	if err != nil {
		return fmt.Errorf("put %s behind ifindex %d: %w", mac, port, err)
	}
	return nil
}
