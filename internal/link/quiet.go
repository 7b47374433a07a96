package link

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// conf6 holds one directory an interface. It is of the network namespace of
// the thread that looks.
const conf6 = "/proc/sys/net/ipv6/conf/"

// quiet is what a managed port has, in the order of writing: an interface
// that comes up in between has no address to speak from.
func quiet() []struct{ file, value string } {
	return []struct{ file, value string }{
		{"accept_ra", "0"},
		{"addr_gen_mode", "1"}, // none: no link-local address is made
		{"disable_ipv6", "1"},
	}
}

// Quiet switches off the host's own IPv6 on a managed port: an interface that
// is up otherwise has a link-local address, sends MLD and router
// solicitations to the guest and believes its router advertisements. Call it
// before the interface comes up. It is idempotent, and fine on a host or an
// interface without IPv6.
func Quiet(name string) error {
	if err := checkName(name); err != nil {
		return fmt.Errorf("quiet %q: %w", name, err)
	}
	for _, s := range quiet() {
		if err := set(conf6+name+"/"+s.file, s.value); err != nil {
			return fmt.Errorf("quiet %s: %w", name, err)
		}
	}
	return nil
}

// set writes only what differs: a written value, even the same, may have the
// kernel act again.
func set(path, value string) error {
	if is(path, value) {
		return nil
	}
	// No O_CREATE: a missing file must stay missing wherever procfs is not.
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

// IsQuiet reports whether the kernel holds what Quiet sets. An interface
// without IPv6 is quiet, and so is one that is not there.
func IsQuiet(name string) bool {
	if checkName(name) != nil {
		return false
	}
	for _, s := range quiet() {
		if !is(conf6+name+"/"+s.file, s.value) {
			return false
		}
	}
	return true
}

func is(path, value string) bool {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return true
	}
	return err == nil && strings.TrimSpace(string(b)) == value
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
