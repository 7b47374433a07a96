package link

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

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

// The kernel's numbers, of linux/if_link.h and linux/ipv6.h.
const (
	inet6Conf        = 2 // IFLA_INET6_CONF
	inet6AddrGenMode = 8 // IFLA_INET6_ADDR_GEN_MODE

	confAcceptRA    = 3  // DEVCONF_ACCEPT_RA
	confDisableIPv6 = 26 // DEVCONF_DISABLE_IPV6
)

// Loud returns the links, by ifindex, on which the kernel does not hold what
// Quiet sets. A link without IPv6 is none of them. It costs one request however
// many links there are.
func (*Watcher) Loud() (map[int]bool, error) {
	loud, err := whole(loudLinks)
	if err != nil {
		return nil, fmt.Errorf("dump IPv6 settings of links: %w", err)
	}
	return loud, nil
}

func loudLinks() (map[int]bool, error) {
	req := nl.NewNetlinkRequest(unix.RTM_GETLINK, unix.NLM_F_DUMP)
	req.AddData(nl.NewIfInfomsg(unix.AF_INET6))
	msgs, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWLINK)
	if err != nil {
		return nil, err
	}
	loud := map[int]bool{}
	for _, m := range msgs {
		if len(m) < unix.SizeofIfInfomsg || m[0] != unix.AF_INET6 {
			continue // a kernel without IPv6 tells of links as such
		}
		index := int(int32(binary.NativeEndian.Uint32(m[4:])))
		if err := eachAttr(m[unix.SizeofIfInfomsg:], func(kind uint16, v []byte) error {
			if kind != unix.IFLA_PROTINFO {
				return nil
			}
			quiet, err := quietInfo(v)
			loud[index] = !quiet
			return err
		}); err != nil {
			return nil, fmt.Errorf("link #%d: %w", index, err)
		}
	}
	return loud, nil
}

// quietInfo reads IFLA_PROTINFO of a link: the settings of quiet().
func quietInfo(info []byte) (bool, error) {
	settled := 0
	err := eachAttr(info, func(kind uint16, v []byte) error {
		switch {
		case kind == inet6AddrGenMode && len(v) >= 1 && v[0] == 1:
			settled++
		case kind == inet6Conf && conf(v, confAcceptRA) == 0 && conf(v, confDisableIPv6) == 1:
			settled++
		}
		return nil
	})
	return settled == 2, err
}

// conf returns one of the settings that come as numbers of 32 bits; -1 if the
// kernel has it not.
func conf(v []byte, which int) int32 {
	if len(v) < 4*which+4 {
		return -1
	}
	return int32(binary.NativeEndian.Uint32(v[4*which:]))
}
