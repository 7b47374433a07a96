package datapath

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// filterHandle is unlikely to be anybody else's, so that a replace is of ours only.
const filterHandle = 0xbe47

const filterPriority = 1

func (k *Kernel) filter(dir, index int) *netlink.BpfFilter {
	return &netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: index, Parent: directions[dir].parent, Handle: filterHandle, Protocol: unix.ETH_P_ALL, Priority: filterPriority,
		},
		Fd: k.program(dir).FD(), Name: directions[dir].filter, DirectAction: true,
	}
}

// askedAtOnce bounds the filters asked for in one message: their answers must
// fit the socket's buffer.
const askedAtOnce = 32

// ourFilters reports at which hooks of each device our filters are. The kernel
// dumps the filters of one hook at a time; that they are asked for by name, many
// in a message, makes thousands of devices a matter of milliseconds.
func ourFilters(indexes ...int) (map[int][2]bool, error) {
	found := make(map[int][2]bool, len(indexes))
	s, err := openTC()
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(s.fd) }()
	const devices = askedAtOnce / len(directions)
	for len(indexes) > 0 {
		some := indexes[:min(len(indexes), devices)]
		if err := s.ask(some, found); err != nil {
			return nil, fmt.Errorf("read filters: %w", err)
		}
		indexes = indexes[len(some):]
	}
	return found, nil
}

// tcSocket asks the traffic control of the calling thread's network namespace.
type tcSocket struct {
	fd     int
	buffer []byte
}

func openTC() (*tcSocket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	// The kernel answers before it returns; an answer that it had no room for
	// must not be waited for.
	err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1})
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return &tcSocket{fd, make([]byte, 1<<16)}, nil
}

func (s *tcSocket) ask(indexes []int, found map[int][2]bool) error {
	var out []byte
	for _, index := range indexes {
		for d := range directions {
			out = append(out, filterRequest(index, d, uint32(len(out)))...)
		}
	}
	if err := unix.Sendto(s.fd, out, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	for _, index := range indexes {
		var at [2]bool
		for d := range directions {
			var err error
			if at[d], err = s.answer(directions[d].filter); err != nil {
				return fmt.Errorf("ifindex %d, %s: %w", index, directions[d].filter, err)
			}
		}
		found[index] = at
	}
	return nil
}

// filterRequest is RTM_GETTFILTER of our filter at one hook (rtnetlink(7)).
func filterRequest(index, dir int, seq uint32) []byte {
	tc := nl.TcMsg{
		Family: nl.FAMILY_ALL, Ifindex: int32(index), Handle: filterHandle, Parent: directions[dir].parent,
		Info: netlink.MakeHandle(filterPriority, nl.Swap16(unix.ETH_P_ALL)),
	}
	body := append(tc.Serialize(), nl.NewRtAttr(nl.TCA_KIND, nl.ZeroTerminated("bpf")).Serialize()...)
	b := binary.NativeEndian.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(body)))
	b = binary.NativeEndian.AppendUint16(b, unix.RTM_GETTFILTER)
	b = binary.NativeEndian.AppendUint16(b, unix.NLM_F_REQUEST)
	b = binary.NativeEndian.AppendUint32(b, seq)
	return append(append(b, 0, 0, 0, 0), body...)
}

// answer takes the next answer: whether there is a filter of that name.
func (s *tcSocket) answer(name string) (bool, error) {
	n, _, err := unix.Recvfrom(s.fd, s.buffer, 0)
	if err != nil {
		return false, err
	}
	m := s.buffer[:n]
	if n < unix.SizeofNlMsghdr+4 {
		return false, fmt.Errorf("answer of %d bytes", n)
	}
	body := m[unix.SizeofNlMsghdr:]
	switch binary.NativeEndian.Uint16(m[4:]) {
	case unix.NLMSG_ERROR:
		// EOPNOTSUPP: a qdisc that takes no filters there.
		errno := unix.Errno(-int32(binary.NativeEndian.Uint32(body)))
		if errno == unix.EOPNOTSUPP {
			return false, nil
		}
		return false, ignoreGone(errno)
	case unix.RTM_NEWTFILTER:
		return isNamed(body, name)
	}
	return false, errors.New("not an answer")
}

func isNamed(body []byte, name string) (bool, error) {
	if len(body) < nl.SizeofTcMsg {
		return false, errors.New("a filter that is too short")
	}
	attrs, err := nl.ParseRouteAttr(body[nl.SizeofTcMsg:])
	if err != nil {
		return false, err
	}
	for _, a := range attrs {
		if a.Attr.Type != nl.TCA_OPTIONS {
			continue
		}
		options, err := nl.ParseRouteAttr(a.Value)
		if err != nil {
			return false, err
		}
		for _, o := range options {
			if o.Attr.Type == nl.TCA_BPF_NAME && nl.BytesToString(o.Value) == name {
				return true, nil
			}
		}
	}
	return false, nil
}

// replaceFilters puts this build's programs on the clsact qdisc that is there.
func (k *Kernel) replaceFilters(index int) error {
	for d := range directions {
		if err := k.nl.FilterReplace(k.filter(d, index)); err != nil {
			return fmt.Errorf("add filter %s: %w", directions[d].filter, err)
		}
	}
	return nil
}

// removeFilters takes our filters away. The qdisc stays: adding one or removing
// it, the kernel deactivates the device for some milliseconds (qdisc_graft), and
// whatever goes to the guest meanwhile is lost.
func (k *Kernel) removeFilters(index int) error {
	found, err := ourFilters(index)
	if err != nil {
		return err
	}
	for d, ours := range found[index] {
		if !ours {
			continue
		}
		if err := k.nl.FilterDel(k.filter(d, index)); ignoreGone(err) != nil {
			return fmt.Errorf("remove filter %s: %w", directions[d].filter, err)
		}
	}
	return nil
}

// noFilters reports whether nobody has any filter at the device's hooks.
func (k *Kernel) noFilters(index int) (bool, error) {
	dev := &netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: index}}
	for d := range directions {
		fs, err := k.nl.FilterList(dev, directions[d].parent)
		if ignoreGone(err) != nil || len(fs) > 0 {
			return false, ignoreGone(err)
		}
	}
	return true, nil
}
