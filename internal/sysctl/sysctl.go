// Package sysctl reads and writes the kernel's settings of one interface: the
// files in /proc/sys/net/ipv4/conf and ipv6/conf, of the network namespace of
// the thread that looks.
//
// Not here: which settings an interface needs (link, hostroute).
package sysctl

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Family is whose settings they are.
type Family string

// The families.
const (
	IPv4 Family = "ipv4"
	IPv6 Family = "ipv6"
)

// Setting is a file and what stands in it.
type Setting struct{ Name, Value string }

// CheckName refuses what is no interface's name, or would lead out of the
// interface's directory, or is a name with a meaning of its own there.
func CheckName(iface string) error {
	if iface == "all" || iface == "default" {
		return errors.New("stands for all interfaces of the host")
	}
	return checkPath(iface)
}

func checkPath(iface string) error {
	switch {
	case iface == "" || len(iface) >= unix.IFNAMSIZ:
		return fmt.Errorf("want 1 to %d bytes", unix.IFNAMSIZ-1)
	case iface == "." || iface == ".." || strings.ContainsAny(iface, "/\x00"):
		return errors.New("not an interface name")
	}
	return nil
}

func (f Family) path(iface, name string) string {
	return "/proc/sys/net/" + string(f) + "/conf/" + iface + "/" + name
}

// Get returns a setting's value, of an interface or of "all" or "default". It
// is fs.ErrNotExist if there is no such interface, or it has not the family.
func (f Family) Get(iface, name string) (string, error) {
	if err := checkPath(iface); err != nil {
		return "", err
	}
	b := make([]byte, longest)
	n, err := at(f.path(iface, name), unix.O_RDONLY, func(fd int) (int, error) { return unix.Read(fd, b) })
	return strings.TrimSpace(string(b[:max(n, 0)])), err
}

// longest is more than a value takes.
const longest = 256

// at opens one of the kernel's files, which never wait, and without what os
// does for files that may: there are three of them for each of many interfaces.
func at(path string, flags int, do func(fd int) (int, error)) (n int, err error) {
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, &os.PathError{Op: "open", Path: path, Err: err}
	}
	if n, err = do(fd); err != nil {
		err = &os.PathError{Op: "access", Path: path, Err: err}
	}
	return n, errors.Join(err, unix.Close(fd))
}

// Has reports whether an interface is there and holds a setting.
func (f Family) Has(iface string, s Setting) bool {
	value, err := f.Get(iface, s.Name)
	return err == nil && value == s.Value
}

// Set writes only what differs: a written value, even the same, may have the
// kernel act again. It is fs.ErrNotExist where Get is, and of one interface:
// CheckName's names are refused.
func (f Family) Set(iface string, s Setting) error {
	if err := CheckName(iface); err != nil {
		return err
	}
	if f.Has(iface, s) {
		return nil
	}
	// No O_CREATE: a missing file must stay missing wherever procfs is not.
	_, err := at(f.path(iface, s.Name), unix.O_WRONLY, func(fd int) (int, error) { return unix.Write(fd, []byte(s.Value)) })
	return err
}
