package testenv

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A Need function is the only way to leave out a test: it looks for the one
// named feature, never at the error of the operation under test, and where
// BERTH_CI=1 promises a complete kernel it fails instead.

// NeedKernel requires a kernel of at least major.minor, for the feature named.
func NeedKernel(t testing.TB, major, minor int, feature string) {
	t.Helper()
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		t.Fatalf("uname: %v", err)
	}
	release := unix.ByteSliceToString(u.Release[:])
	have, err := parseRelease(release)
	if err != nil {
		t.Fatal(err)
	}
	if have[0] < major || have[0] == major && have[1] < minor {
		missing(t, fmt.Sprintf("%s needs Linux %d.%d, this is %s", feature, major, minor, release))
	}
}

func parseRelease(s string) ([2]int, error) {
	var v [2]int
	if _, err := fmt.Sscanf(s, "%d.%d", &v[0], &v[1]); err != nil {
		return v, fmt.Errorf("kernel release %q: %w", s, err)
	}
	return v, nil
}

// NeedTCX requires tcx, which came with Linux 6.6.
func NeedTCX(t testing.TB) {
	t.Helper()
	NeedKernel(t, 6, 6, "tcx")
}

// NeedLinkKind requires that the kernel can make links of a kind such as
// "vlan", by asking for one without its parameters: an unknown kind is
// EOPNOTSUPP, a known one any other error or a link.
func NeedLinkKind(t testing.TB, kind string) {
	t.Helper()
	link := &netlink.GenericLink{LinkAttrs: netlink.NewLinkAttrs(), LinkType: kind}
	link.Name = "needkind0"
	var err error
	NewNS(t).Do(func() { err = netlink.LinkAdd(link) })
	if errors.Is(err, unix.EOPNOTSUPP) {
		missing(t, fmt.Sprintf("the kernel has no links of kind %q", kind))
	}
}

// NeedBridgeVLAN requires bridges that filter by VLAN. A kernel without
// CONFIG_BRIDGE_VLAN_FILTERING has the attribute but refuses to switch it on.
func NeedBridgeVLAN(t testing.TB) {
	t.Helper()
	ns := NewNS(t)
	Bridge(t, ns, "needvlan0")
	_, err := ns.Try("ip", "link", "set", "needvlan0", "type", "bridge", "vlan_filtering", "1")
	if err != nil && strings.Contains(err.Error(), "not supported") {
		missing(t, "the kernel has no VLAN filtering in bridges (CONFIG_BRIDGE_VLAN_FILTERING)")
	}
}

func missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("BERTH_CI") == "1" {
		t.Fatal("BERTH_CI=1 and " + what)
		return
	}
	t.Skip(what)
}
