package hostroute

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// conf6 holds one directory an interface. It is of the network namespace of
// the thread that looks.
const conf6 = "/proc/sys/net/ipv6/conf/"

type setting struct{ file, value string }

// prepared is what a routed port has, in the order of writing: when IPv6 comes
// on, nothing is left that the host would say of itself.
func prepared() []setting {
	return []setting{
		// Comes first: what MLDv2 leaves it still reports later, when the
		// interface is up; MLDv1 leaves unsaid what it did not join aloud.
		{"force_mld_version", "1"},
		{"accept_ra", "0"},
		{"accept_redirects", "0"}, // a router ignores them; forwarding=0 would take them
		// Only of the host's role on this link: packets are forwarded by
		// conf.all.forwarding alone. As a router the host would join ff02::2
		// here and report that to the guest (RFC 3810).
		{"forwarding", "0"},
		{"addr_gen_mode", "1"}, // none: no link-local address is made
		{"disable_ipv6", "0"},  // or the kernel takes no route
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
	if err := checkName(name); err != nil {
		return fmt.Errorf("prepare %q: %w", name, err)
	}
	todo := prepared()
	if !is(name, setting{"addr_gen_mode", "1"}) {
		todo = slices.Insert(todo, 1, setting{"disable_ipv6", "1"})
	}
	for _, s := range todo {
		if err := set(name, s); err != nil {
			return fmt.Errorf("prepare %s for IPv6: %w", name, err)
		}
	}
	return nil
}

// IsPrepared reports whether the kernel holds what Prepare sets. An interface
// that is not there, or has no IPv6, is not. Writing conf.all.forwarding sets
// it on every interface and so undoes a part.
func IsPrepared(name string) bool {
	if checkName(name) != nil {
		return false
	}
	for _, s := range prepared() {
		if !is(name, s) {
			return false
		}
	}
	return true
}

// set writes only what differs: a written value, even the same, may have the
// kernel act again. Without the file there is no IPv6 here (an MTU below 1280
// takes it from an interface), which is an error: it could not be routed.
func set(name string, s setting) error {
	if is(name, s) {
		return nil
	}
	f, err := os.OpenFile(conf6+name+"/"+s.file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(s.value)
	return errors.Join(err, f.Close())
}

func is(name string, s setting) bool {
	b, err := os.ReadFile(conf6 + name + "/" + s.file)
	return err == nil && strings.TrimSpace(string(b)) == s.value
}

// checkName refuses what is no interface's name, or would lead out of the
// interface's directory, or is a name with a meaning of its own there.
func checkName(name string) error {
	switch {
	case name == "" || len(name) >= unix.IFNAMSIZ:
		return fmt.Errorf("want 1 to %d bytes", unix.IFNAMSIZ-1)
	case name == "." || name == ".." || strings.ContainsAny(name, "/\x00"):
		return errors.New("not an interface name")
	case name == "all" || name == "default":
		return errors.New("stands for all interfaces of the host")
	}
	return nil
}
