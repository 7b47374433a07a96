// Package link shows the host's interfaces as the kernel has them and says
// when to look again. Events are hints: nothing is concluded from one but
// that a new dump is due.
//
// Not here: which interface belongs to which binding (plan), and alternative
// names, which could be given to any interface by anybody.
package link

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/plan"
)

// Watcher looks at the links of the calling thread's network namespace. The
// zero value is ready.
type Watcher struct {
	// ReceiveBuffer is the size of the event socket's buffer in bytes, 8 MiB
	// if zero: some 10,000 links created at once.
	ReceiveBuffer int
	// Period is how often to wake without any event, 30 s if zero.
	Period time.Duration
}

// skipStats is RTEXT_FILTER_SKIP_STATS of linux/rtnetlink.h, Linux 4.15; older
// kernels ignore it. Without statistics an answer is half as long.
const skipStats = 1 << 3

// maxDumps bounds the dumps that a changing kernel may interrupt in a row.
const maxDumps = 20

// Dump returns all links by index, with their IPv4 addresses in the kernel's
// order. It costs two requests however many links there are. A dump that
// changes interrupted is not a set, so it is made again.
func (*Watcher) Dump() ([]plan.Link, error) {
	links, err := whole(dump)
	if err != nil {
		return nil, fmt.Errorf("dump links: %w", err)
	}
	return links, nil
}

// whole makes a dump again that changes have interrupted.
func whole[T any](dump func() (T, error)) (all T, err error) {
	for range maxDumps {
		if all, err = dump(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return all, err
}

func dump() ([]plan.Link, error) {
	links, err := dumpLinks()
	if err != nil {
		return nil, err
	}
	at := make(map[int]int, len(links))
	for i, l := range links {
		at[l.Index] = i
	}
	req := nl.NewNetlinkRequest(unix.RTM_GETADDR, unix.NLM_F_DUMP)
	req.AddData(nl.NewIfInfomsg(unix.AF_INET))
	msgs, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWADDR)
	if err != nil {
		return nil, fmt.Errorf("addresses: %w", err)
	}
	for _, m := range msgs {
		index, addr, err := parseAddr(m)
		if err != nil {
			return nil, err
		}
		// An address of a link that came since is for the next dump.
		if i, ok := at[index]; ok && addr.IsValid() {
			links[i].IPv4 = append(links[i].IPv4, addr)
		}
	}
	return links, nil
}

func dumpLinks() ([]plan.Link, error) {
	req := nl.NewNetlinkRequest(unix.RTM_GETLINK, unix.NLM_F_DUMP)
	req.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	req.AddData(nl.NewRtAttr(unix.IFLA_EXT_MASK, nl.Uint32Attr(skipStats)))
	msgs, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWLINK)
	if err != nil {
		return nil, fmt.Errorf("links: %w", err)
	}
	links := make([]plan.Link, len(msgs))
	for i, m := range msgs {
		if links[i], err = parseLink(m); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(links, func(a, b plan.Link) int { return cmp.Compare(a.Index, b.Index) })
	return links, nil
}

// parseLink reads struct ifinfomsg and its attributes (rtnetlink(7)).
func parseLink(m []byte) (plan.Link, error) {
	if len(m) < unix.SizeofIfInfomsg {
		return plan.Link{}, fmt.Errorf("link message of %d bytes", len(m))
	}
	flags := binary.NativeEndian.Uint32(m[8:])
	l := plan.Link{
		Index:     int(int32(binary.NativeEndian.Uint32(m[4:]))),
		Ethernet:  binary.NativeEndian.Uint16(m[2:]) == unix.ARPHRD_ETHER,
		Up:        flags&unix.IFF_UP != 0,
		Loopback:  flags&unix.IFF_LOOPBACK != 0,
		OperState: netlink.LinkOperState(netlink.OperUnknown).String(),
	}
	err := eachAttr(m[unix.SizeofIfInfomsg:], func(kind uint16, v []byte) error {
		return linkAttr(&l, kind, v)
	})
	if err != nil {
		return plan.Link{}, fmt.Errorf("link %s#%d: %w", l.Name, l.Index, err)
	}
	return l, nil
}

func linkAttr(l *plan.Link, kind uint16, v []byte) error {
	switch {
	case kind == unix.IFLA_IFNAME:
		l.Name = text(v)
	case kind == unix.IFLA_ADDRESS && l.Ethernet && len(v) == len(nic.MAC{}):
		l.MAC = nic.MAC(v)
	case kind == unix.IFLA_MTU && len(v) >= 4:
		l.MTU = int(binary.NativeEndian.Uint32(v))
	case kind == unix.IFLA_MASTER && len(v) >= 4:
		l.Master = int(binary.NativeEndian.Uint32(v))
	case kind == unix.IFLA_OPERSTATE && len(v) >= 1:
		l.OperState = netlink.LinkOperState(v[0]).String()
	case kind == unix.IFLA_LINKINFO:
		return eachAttr(v, func(kind uint16, v []byte) error {
			if kind == unix.IFLA_INFO_KIND {
				l.Kind = text(v)
			}
			return nil
		})
	}
	return nil
}

// parseAddr reads struct ifaddrmsg. IFA_LOCAL is the interface's own address;
// on a point-to-point interface IFA_ADDRESS is the peer's.
func parseAddr(m []byte) (index int, addr netip.Addr, err error) {
	if len(m) < unix.SizeofIfAddrmsg {
		return 0, addr, fmt.Errorf("address message of %d bytes", len(m))
	}
	index = int(binary.NativeEndian.Uint32(m[4:]))
	err = eachAttr(m[unix.SizeofIfAddrmsg:], func(kind uint16, v []byte) error {
		if kind == unix.IFA_LOCAL && len(v) == 4 {
			addr = netip.AddrFrom4([4]byte(v))
		}
		return nil
	})
	if err != nil {
		return 0, addr, fmt.Errorf("address of #%d: %w", index, err)
	}
	return index, addr, nil
}

// eachAttr walks netlink attributes: length and type, both of 16 bits, and
// the value, padded to four bytes (netlink(7)).
func eachAttr(b []byte, f func(kind uint16, value []byte) error) error {
	for len(b) >= unix.SizeofRtAttr {
		size := int(binary.NativeEndian.Uint16(b))
		if size < unix.SizeofRtAttr || size > len(b) {
			return fmt.Errorf("attribute of %d bytes in %d", size, len(b))
		}
		kind := binary.NativeEndian.Uint16(b[2:]) &^ (unix.NLA_F_NESTED | unix.NLA_F_NET_BYTEORDER)
		if err := f(kind, b[unix.SizeofRtAttr:size]); err != nil {
			return err
		}
		b = b[min(len(b), (size+unix.RTA_ALIGNTO-1)&^(unix.RTA_ALIGNTO-1)):]
	}
	return nil
}

func text(v []byte) string {
	s, _, _ := bytes.Cut(v, []byte{0})
	return string(s)
}
