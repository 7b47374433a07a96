package datapath

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// hooks are the pinned tcx links of one NIC, by direction; nil where there is
// none.
type hooks [2]link.Link

const (
	in  = 0 // what the guest sends
	out = 1 // what goes to the guest
)

// directions is everything that differs between the two hooks.
//
//nolint:gochecknoglobals // a constant table
var directions = [2]struct {
	pin    string
	tcx    ebpf.AttachType
	parent uint32
	filter string
}{
	{"in_", ebpf.AttachTCXIngress, netlink.HANDLE_MIN_INGRESS, "berth_in"},
	{"out_", ebpf.AttachTCXEgress, netlink.HANDLE_MIN_EGRESS, "berth_out"},
}

func (k *Kernel) program(dir int) *ebpf.Program {
	if dir == in {
		return k.progs.FromGuest
	}
	return k.progs.ToGuest
}

func (h *hooks) close() error {
	var errs []error
	for _, l := range h {
		if l != nil {
			errs = append(errs, l.Close())
		}
	}
	return errors.Join(errs...)
}

// ifindex returns the device both links hang on, 0 if either hangs on none:
// the device was deleted or somebody detached the link.
func (h *hooks) ifindex() (int, error) {
	n := 0
	for _, l := range h {
		if l == nil {
			return 0, nil
		}
		info, err := l.Info()
		if err != nil {
			return 0, err
		}
		t := info.TCX()
		if t == nil || t.Ifindex == 0 {
			return 0, nil
		}
		n = int(t.Ifindex)
	}
	return n, nil
}

// adopt takes over the links that an earlier process pinned, puts this
// build's programs in their place and sweeps what a crash left half done.
func (k *Kernel) adopt() error {
	entries, err := os.ReadDir(k.dir)
	if err != nil {
		return fmt.Errorf("read pins: %w", err)
	}
	for _, e := range entries {
		dir, index, ok := parsePin(e.Name())
		if !ok {
			continue
		}
		if err := k.adoptLink(dir, index); err != nil {
			return fmt.Errorf("take over %s: %w", e.Name(), err)
		}
	}
	if err := k.adoptFilters(); err != nil {
		return err
	}
	return k.sweepSets()
}

func parsePin(name string) (dir, index int, ok bool) {
	for d := range directions {
		if s, found := strings.CutPrefix(name, directions[d].pin); found {
			n, err := strconv.Atoi(s)
			return d, n, err == nil
		}
	}
	return 0, 0, false
}

func (k *Kernel) adoptLink(dir, index int) error {
	l, err := link.LoadPinnedLink(k.pin(dir, index), nil)
	if err != nil {
		return err
	}
	h := k.links[index]
	if h == nil {
		h = &hooks{}
		k.links[index] = h
	}
	h[dir] = l
	info, err := l.Info()
	if err != nil {
		return err
	}
	same, err := sameProgram(info.Program, k.program(dir))
	if err != nil || same || info.TCX() == nil || info.TCX().Ifindex == 0 {
		return err
	}
	return l.Update(k.program(dir))
}

// sameProgram compares by tag, the kernel's hash of the instructions.
func sameProgram(id ebpf.ProgramID, p *ebpf.Program) (bool, error) {
	old, err := ebpf.NewProgramFromID(id)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer func() { _ = old.Close() }() // only looked at
	a, err := old.Info()
	if err != nil {
		return false, err
	}
	b, err := p.Info()
	if err != nil {
		return false, err
	}
	return a.Tag == b.Tag, nil
}

// adoptFilters puts this build's programs into the clsact filters of NICs
// that have no tcx links, and removes filters left beside complete links.
func (k *Kernel) adoptFilters() error {
	return k.eachRules(func(index int, _ *berthNicRules) error {
		if h := k.links[index]; h != nil {
			if n, err := h.ifindex(); err == nil && n == index {
				return ignoreGone(k.removeFilters(index))
			}
		}
		have, err := k.filters(index)
		if err != nil || !have {
			return ignoreGone(err)
		}
		return ignoreGone(k.addFilters(index))
	})
}

// ignoreGone makes nothing of an error that only says the device is gone.
func ignoreGone(err error) error {
	if errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

func (k *Kernel) pin(dir, index int) string {
	return filepath.Join(k.dir, directions[dir].pin+strconv.Itoa(index))
}

// attachTCX hangs pinned links on the device, first in line at each hook.
func (k *Kernel) attachTCX(index int) error {
	h := &hooks{}
	for d := range directions {
		l, err := link.AttachTCX(link.TCXOptions{
			Interface: index, Program: k.program(d), Attach: directions[d].tcx, Anchor: link.Head(),
		})
		if err != nil {
			return errors.Join(fmt.Errorf("attach %s: %w", directions[d].tcx, err), h.close())
		}
		h[d] = l
		if err := l.Pin(k.pin(d, index)); err != nil {
			return errors.Join(fmt.Errorf("pin %s: %w", directions[d].tcx, err), h.close())
		}
	}
	k.links[index] = h
	return nil
}

// dropLinks unpins and closes the NIC's links, detaching what still hangs.
func (k *Kernel) dropLinks(index int) error {
	var errs []error
	for d := range directions {
		if err := os.Remove(k.pin(d, index)); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	if h := k.links[index]; h != nil {
		errs = append(errs, h.close())
		delete(k.links, index)
	}
	return errors.Join(errs...)
}

// addFilters hangs both programs on the device's clsact qdisc, replacing in
// place filters of ours that are there. It costs microseconds, where a tcx
// link waits for two RCU grace periods.
func (k *Kernel) addFilters(index int) error {
	q := &netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
	}}
	if err := netlink.QdiscAdd(q); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("add clsact qdisc: %w", err)
	}
	for d := range directions {
		if err := netlink.FilterReplace(k.filter(d, index)); err != nil {
			return fmt.Errorf("add filter %s: %w", directions[d].filter, err)
		}
	}
	return nil
}

// filterHandle is unlikely to be anybody else's, so that a replace is of ours only.
const filterHandle = 0xbe47

func (k *Kernel) filter(dir, index int) *netlink.BpfFilter {
	return &netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: index, Parent: directions[dir].parent, Handle: filterHandle, Protocol: unix.ETH_P_ALL, Priority: 1,
		},
		Fd: k.program(dir).FD(), Name: directions[dir].filter, DirectAction: true,
	}
}

// filters reports whether both of our filters are on the device.
func (k *Kernel) filters(index int) (bool, error) {
	for d := range directions {
		ours, _, err := listFilters(index, d)
		if err != nil || !ours {
			return false, err
		}
	}
	return true, nil
}

// listFilters reports whether our filter is at the hook, and how many others.
func listFilters(index, dir int) (ours bool, others int, err error) {
	dev := &netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: index}}
	fs, err := netlink.FilterList(dev, directions[dir].parent)
	if err != nil {
		return false, 0, ignoreGone(err)
	}
	for _, f := range fs {
		if b, ok := f.(*netlink.BpfFilter); ok && b.Name == directions[dir].filter {
			ours = true
			continue
		}
		others++
	}
	return ours, others, nil
}

// removeFilters takes our filters away, and the qdisc if nobody else uses it.
func (k *Kernel) removeFilters(index int) error {
	left, had := 0, false
	for d := range directions {
		ours, others, err := listFilters(index, d)
		if err != nil {
			return err
		}
		left += others
		if !ours {
			continue
		}
		had = true
		if err := netlink.FilterDel(k.filter(d, index)); ignoreGone(err) != nil {
			return fmt.Errorf("remove filter %s: %w", directions[d].filter, err)
		}
	}
	if !had || left > 0 {
		return nil
	}
	q := &netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
	}}
	return ignoreGone(netlink.QdiscDel(q))
}
