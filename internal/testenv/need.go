package testenv

import (
	"errors"
	"fmt"
	"os"
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
	if release, have := kernel(t); !have.atLeast(major, minor) {
		missing(t, fmt.Sprintf("%s needs Linux %d.%d, this is %s", feature, major, minor, release))
	}
}

// version is the first two numbers of a kernel's release.
type version [2]int

func (v version) atLeast(major, minor int) bool {
	return v[0] > major || v[0] == major && v[1] >= minor
}

func kernel(t testing.TB) (release string, v version) {
	t.Helper()
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		t.Fatalf("uname: %v", err)
	}
	release = unix.ByteSliceToString(u.Release[:])
	v, err := parseRelease(release)
	if err != nil {
		t.Fatal(err)
	}
	return release, v
}

func parseRelease(s string) (version, error) {
	var v version
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

// HaveTCX reports whether the kernel is one with tcx. A test that holds either
// way of attaching asks here, not the code under test, which may be wrong.
func HaveTCX(t testing.TB) bool {
	t.Helper()
	_, v := kernel(t)
	return v.atLeast(6, 6)
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

func missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("BERTH_CI") == "1" {
		t.Fatal("BERTH_CI=1 and " + what)
		return
	}
	t.Skip(what)
}
