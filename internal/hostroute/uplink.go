package hostroute

import (
	"net/netip"
	"slices"

	"github.com/berth-net/berth/internal/route"
	"github.com/berth-net/berth/internal/sysctl"
)

// Unanswered names the settings that keep the host from answering for
// addresses on an uplink, for the families among proxies: without forwarding
// on the link the kernel is no proxy there, and for IPv6 proxy_ndp must be on
// for it or for all. They are the host's to switch on, and are only looked at.
func Unanswered(uplink string, proxies []route.Proxy) []string {
	if sysctl.CheckName(uplink) != nil {
		return nil
	}
	has := func(which func(netip.Addr) bool) bool {
		return slices.ContainsFunc(proxies, func(p route.Proxy) bool { return p.Uplink == uplink && which(p.Addr) })
	}
	var off []string
	if has(netip.Addr.Is4) && !isOn(sysctl.IPv4, uplink, "forwarding") {
		off = append(off, "net.ipv4.conf."+uplink+".forwarding")
	}
	if !has(netip.Addr.Is6) {
		return off
	}
	if !isOn(sysctl.IPv6, uplink, "forwarding") {
		off = append(off, "net.ipv6.conf."+uplink+".forwarding")
	}
	if !isOn(sysctl.IPv6, uplink, "proxy_ndp") && !isOn(sysctl.IPv6, "all", "proxy_ndp") {
		off = append(off, "net.ipv6.conf."+uplink+".proxy_ndp")
	}
	return off
}

// isOn takes any value but 0 for on: forwarding may be 2.
func isOn(f sysctl.Family, iface, name string) bool {
	value, err := f.Get(iface, name)
	return err == nil && value != "0"
}
