package link

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/berth-net/berth/internal/sysctl"
)

// quiet is what a managed port has, in the order of writing: an interface
// that comes up in between has no address to speak from.
func quiet() []sysctl.Setting {
	return []sysctl.Setting{
		{Name: "accept_ra", Value: "0"},
		{Name: "addr_gen_mode", Value: "1"}, // none: no link-local address is made
		{Name: "disable_ipv6", Value: "1"},
	}
}

// Quiet switches off the host's own IPv6 on a managed port: an interface that
// is up otherwise has a link-local address, sends MLD and router
// solicitations to the guest and believes its router advertisements. Call it
// before the interface comes up. It is idempotent, and fine on a host or an
// interface without IPv6.
func Quiet(name string) error {
	for _, s := range quiet() {
		if err := sysctl.IPv6.Set(name, s); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("quiet %q: %w", name, err)
		}
	}
	return nil
}

// IsQuiet reports whether the kernel holds what Quiet sets. An interface
// without IPv6 is quiet, and so is one that is not there.
func IsQuiet(name string) bool {
	if sysctl.CheckName(name) != nil {
		return false
	}
	for _, s := range quiet() {
		value, err := sysctl.IPv6.Get(name, s.Name)
		if value != s.Value && !errors.Is(err, fs.ErrNotExist) {
			return false
		}
	}
	return true
}
