package hostroute

import (
	"fmt"
	"slices"

	"github.com/berth-net/berth/internal/sysctl"
)

// prepared is what a routed port has, in the order of writing: when IPv6 comes
// on, nothing is left that the host would say of itself.
func prepared() []sysctl.Setting {
	return []sysctl.Setting{
		// Comes first: what MLDv2 leaves it still reports later, when the
		// interface is up; MLDv1 leaves unsaid what it did not join aloud.
		{Name: "force_mld_version", Value: "1"},
		{Name: "accept_ra", Value: "0"},
		{Name: "accept_redirects", Value: "0"}, // a router ignores them; forwarding=0 would take them
		// Only of the host's role on this link: packets are forwarded by
		// conf.all.forwarding alone. As a router the host would join ff02::2
		// here and report that to the guest (RFC 3810).
		{Name: "forwarding", Value: "0"},
		{Name: "addr_gen_mode", Value: "1"}, // none: no link-local address is made
		{Name: "disable_ipv6", Value: "0"},  // or the kernel takes no route
	}
}

// Prepare opens a routed port to IPv6 packets while the host itself stays
// silent there: it has no address, solicits nothing, joins no group it must
// report, and believes no advertisement or redirect of the guest's. Call it
// before the interface comes up, and before Apply: where the kernel may have
// made a link-local already, switching IPv6 off and on takes that away, and
// the IPv6 routes with it. It is idempotent.
//
// A NIC without IPv6 needs none of it: link.Quiet is for that. Nothing of IPv4
// is set, since without an address the host has nothing to say unasked; and
// the ARP requests of the guest, which arp_ignore=0 would have the host answer
// for any address it has, the guard's program takes first (NeighboursAll).
func Prepare(name string) error {
	todo := prepared()
	if !sysctl.IPv6.Has(name, sysctl.Setting{Name: "addr_gen_mode", Value: "1"}) {
		todo = slices.Insert(todo, 1, sysctl.Setting{Name: "disable_ipv6", Value: "1"})
	}
	for _, s := range todo {
		// Without the file there is no IPv6 here (an MTU below 1280 takes it
		// from an interface), and nothing could be routed.
		if err := sysctl.IPv6.Set(name, s); err != nil {
			return fmt.Errorf("prepare %q for IPv6: %w", name, err)
		}
	}
	return nil
}

// IsPrepared reports whether the kernel holds what Prepare sets. An interface
// that is not there, or has no IPv6, is not. Writing conf.all.forwarding sets
// it on every interface and so undoes a part.
func IsPrepared(name string) bool {
	if sysctl.CheckName(name) != nil {
		return false
	}
	return !slices.ContainsFunc(prepared(), func(s sysctl.Setting) bool { return !sysctl.IPv6.Has(name, s) })
}
