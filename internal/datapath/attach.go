package datapath

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

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

// openPins opens the NIC's pinned links, by direction; nil where there is no
// pin. They are opened for a moment only: a thousand NICs' links held open are
// descriptors that select(2) elsewhere in the process cannot count to.
func (k *Kernel) openPins(index int) (pins [2]link.Link, err error) {
	for d := range directions {
		l, err := link.LoadPinnedLink(k.pin(d, index), nil)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return pins, errors.Join(err, closeLinks(pins))
		}
		pins[d] = l
	}
	return pins, nil
}

func closeLinks(links [2]link.Link) error {
	var errs []error
	for _, l := range links {
		if l != nil {
			errs = append(errs, l.Close())
		}
	}
	return errors.Join(errs...)
}

// alive reports whether a NIC's pinned links still hang on a device, in this
// namespace or another.
func (k *Kernel) alive(index int) (bool, error) {
	pins, err := k.openPins(index)
	if err != nil {
		return false, err
	}
	for _, l := range pins {
		n, err := ifindexOf(l)
		if err != nil || n == 0 {
			return false, errors.Join(err, closeLinks(pins))
		}
	}
	return true, closeLinks(pins)
}

// ifindexOf returns the device a link hangs on, 0 if there is no link, or its
// device was deleted or somebody detached it.
func ifindexOf(l link.Link) (int, error) {
	if l == nil {
		return 0, nil
	}
	info, err := l.Info()
	if err != nil {
		return 0, err
	}
	if t := info.TCX(); t != nil {
		return int(t.Ifindex), nil
	}
	return 0, nil
}

// pinned returns every ifindex that has a pin.
func (k *Kernel) pinned() (map[int]bool, error) {
	entries, err := os.ReadDir(k.dir)
	if err != nil {
		return nil, fmt.Errorf("read pins: %w", err)
	}
	found := map[int]bool{}
	for _, e := range entries {
		if index, ok := parsePin(e.Name()); ok {
			found[index] = true
		}
	}
	return found, nil
}

// hung reports whether our programs are at both tcx hooks of the device.
func (k *Kernel) hung(index int) (bool, error) {
	if !k.tcx {
		return false, nil
	}
	for d := range directions {
		r, err := link.QueryPrograms(link.QueryOptions{Target: index, Attach: directions[d].tcx})
		if err != nil {
			return false, ignoreGone(err)
		}
		ours := func(p link.AttachedProgram) bool { return p.ID == k.ids[d] }
		if !slices.ContainsFunc(r.Programs, ours) {
			return false, nil
		}
	}
	return true, nil
}

// adopt puts this build's programs into the links that an earlier process
// pinned, and sweeps what a crash left half done.
func (k *Kernel) adopt() error {
	if err := k.enableAnswers(); err != nil {
		return err
	}
	found, err := k.pinned()
	if err != nil {
		return err
	}
	for index := range found {
		if err := k.adoptLinks(index); err != nil {
			return fmt.Errorf("take over the links of ifindex %d: %w", index, err)
		}
	}
	if err := k.adoptFilters(); err != nil {
		return err
	}
	return errors.Join(k.sweepSets(), k.sweepLocals(), k.sweepShares())
}

// parsePin returns the ifindex in the name of a link's pin.
func parsePin(name string) (index int, ok bool) {
	for d := range directions {
		if s, found := strings.CutPrefix(name, directions[d].pin); found {
			n, err := strconv.Atoi(s)
			return n, err == nil
		}
	}
	return 0, false
}

func (k *Kernel) adoptLinks(index int) error {
	pins, err := k.openPins(index)
	if err != nil {
		return err
	}
	for d, l := range pins {
		n, err := ifindexOf(l)
		if err == nil && n != 0 {
			err = l.Update(k.program(d))
		}
		if err != nil {
			return errors.Join(err, closeLinks(pins))
		}
	}
	return closeLinks(pins)
}

// adoptFilters puts this build's programs into the clsact filters of NICs
// that have no tcx links, and removes filters left beside complete links.
func (k *Kernel) adoptFilters() error {
	var indexes []int
	err := k.eachRules(func(index int, _ *berthNicRules) error {
		indexes = append(indexes, index)
		return nil
	})
	if err != nil {
		return err
	}
	found, err := ourFilters(indexes...)
	if err != nil {
		return err
	}
	for index, at := range found {
		if !at[in] && !at[out] {
			continue
		}
		if err := k.adoptFiltersOf(index, at[in] && at[out]); err != nil {
			return err
		}
	}
	return nil
}

func (k *Kernel) adoptFiltersOf(index int, complete bool) error {
	if hung, err := k.hung(index); err != nil || hung {
		return errors.Join(err, k.removeFilters(index))
	}
	if !complete {
		return nil
	}
	if len(k.old) > 0 { // whose programs had no such note, and left no qdisc behind
		if err := k.noteQdisc(index); err != nil {
			return err
		}
	}
	return ignoreGone(k.replaceFilters(index))
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
	for d := range directions {
		l, err := link.AttachTCX(link.TCXOptions{
			Interface: index, Program: k.program(d), Attach: directions[d].tcx, Anchor: link.Head(),
		})
		if err != nil {
			return fmt.Errorf("attach %s: %w", directions[d].tcx, err)
		}
		// The pin keeps it; without one it goes with the descriptor.
		if err := errors.Join(l.Pin(k.pin(d, index)), l.Close()); err != nil {
			return fmt.Errorf("pin %s: %w", directions[d].tcx, err)
		}
	}
	return nil
}

// dropLinks takes the NIC's links away, from their device and from their pins.
// The last unpinning detaches, too, but later, in a worker of the kernel: the
// caller of a release would find the NIC closed for a moment yet.
func (k *Kernel) dropLinks(index int) error {
	if !k.hasPin(index) {
		return nil
	}
	pins, err := k.openPins(index)
	errs := []error{err}
	for d := range directions {
		if l := pins[d]; l != nil && err == nil {
			errs = append(errs, l.Detach(), l.Close())
		}
		if err := os.Remove(k.pin(d, index)); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// hasPin costs less than to open them: most NICs that get a guard have none.
func (k *Kernel) hasPin(index int) bool {
	for d := range directions {
		if _, err := os.Lstat(k.pin(d, index)); !errors.Is(err, os.ErrNotExist) {
			return true
		}
	}
	return false
}

// addFilters hangs both programs on the device's clsact qdisc, replacing in
// place filters of ours that are there. It costs microseconds, where a tcx
// link waits for two RCU grace periods.
func (k *Kernel) addFilters(index int) error {
	q := &netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
	}}
	switch err := k.nl.QdiscAdd(q); {
	case errors.Is(err, unix.EEXIST):
		if err := checkClsact(index); err != nil {
			return err
		}
	case err != nil:
		return fmt.Errorf("add clsact qdisc: %w", err)
	default:
		if err := k.noteQdisc(index); err != nil {
			return err
		}
	}
	return k.replaceFilters(index)
}

// errIngress says that somebody else's ingress qdisc is where ours would be.
var errIngress = errors.New("the device has an ingress qdisc, which leaves no room for clsact")

// checkClsact tells a clsact qdisc from the older ingress kind, on which both
// hooks would be one: the second program would replace the first. It asks for
// the one qdisc, since a dump is of all devices, whichever one is named.
func checkClsact(index int) error {
	req := nl.NewNetlinkRequest(unix.RTM_GETQDISC, unix.NLM_F_ECHO)
	req.AddData(&nl.TcMsg{Family: nl.FAMILY_ALL, Ifindex: int32(index), Parent: netlink.HANDLE_INGRESS})
	msgs, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWQDISC)
	if err != nil {
		return fmt.Errorf("read the ingress qdisc: %w", err)
	}
	for _, m := range msgs {
		attrs, err := nl.ParseRouteAttr(m[nl.SizeofTcMsg:])
		if err != nil {
			return fmt.Errorf("read the ingress qdisc: %w", err)
		}
		for _, a := range attrs {
			if a.Attr.Type == nl.TCA_KIND && nl.BytesToString(a.Value) == "ingress" {
				return errIngress
			}
		}
	}
	return nil
}

// madeQdisc is the note that the clsact qdisc of a device is of our making: an
// empty directory among the pins.
func (k *Kernel) madeQdisc(index int) string {
	return filepath.Join(k.dir, "qdisc_"+strconv.Itoa(index))
}

func (k *Kernel) noteQdisc(index int) error {
	if err := os.Mkdir(k.madeQdisc(index), 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("note the clsact qdisc: %w", err)
	}
	return nil
}

// removeQdisc takes the qdisc away if it is of our making, and if nobody else
// uses it by now.
func (k *Kernel) removeQdisc(index int) error {
	if err := os.Remove(k.madeQdisc(index)); err != nil {
		return ignoreMissingPin(err)
	}
	if free, err := k.noFilters(index); err != nil || !free {
		return err
	}
	q := &netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
	}}
	return ignoreGone(k.nl.QdiscDel(q))
}

func ignoreMissingPin(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
