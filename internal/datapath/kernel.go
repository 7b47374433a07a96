// Package datapath is the edge to the kernel program: its maps, its links at
// the NICs' tc hooks, their pins, and the rings by which it hands frames up.
// The kernel is the database: everything installed is read back from here.
//
// Not here: what the rules are (guard), in which order things happen (plan).
package datapath

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/berth-net/berth/internal/reason"
)

// DefaultDir is where the maps and links are pinned.
const DefaultDir = "/sys/fs/bpf/berth"

// Mark is the bit set on every frame that the guard let pass from a guest,
// GUARD_MARK in bpf/berth.h.
const Mark = 0x08000000

// ReplyMark is what a reply is marked with on its way to its guest, REPLY_MARK
// in bpf/berth.h.
const ReplyMark = 0x62657274

// Kernel is the loaded program and its pinned state. Its mutating methods are
// for one goroutine, the agent's loop.
type Kernel struct {
	dir   string // of this layout's pins
	maps  maps
	progs programs
	tcx   bool
	ids   [2]ebpf.ProgramID // of the programs, by direction
	nl    *netlink.Handle
	set   uint32          // the last set number used
	sets  map[uint32]bool // those that rules in force refer to
	stamp uint64          // of the answers put last
	takeover
}

type maps struct {
	Nics    *ebpf.Map `ebpf:"nics"`
	States  *ebpf.Map `ebpf:"states"`
	Sets    *ebpf.Map `ebpf:"sets"`
	Sets6   *ebpf.Map `ebpf:"sets6"`
	Locals  *ebpf.Map `ebpf:"locals"`
	Shares  *ebpf.Map `ebpf:"shares"`
	Punts   *ebpf.Map `ebpf:"punts"`
	Samples *ebpf.Map `ebpf:"samples"`
	Told    *ebpf.Map `ebpf:"told"`

	Answers4   *ebpf.Map `ebpf:"answers4"`
	Answers6   *ebpf.Map `ebpf:"answers6"`
	AnswersARP *ebpf.Map `ebpf:"answersarp"`
	AnswersND  *ebpf.Map `ebpf:"answersnd"`
	Answerers  *ebpf.Map `ebpf:"answerers"`
}

func (m *maps) all() map[string]*ebpf.Map {
	return map[string]*ebpf.Map{
		berthMapNics: m.Nics, berthMapStates: m.States, berthMapSets: m.Sets,
		berthMapSets6: m.Sets6, berthMapLocals: m.Locals, berthMapShares: m.Shares,
		berthMapPunts: m.Punts, berthMapSamples: m.Samples, berthMapTold: m.Told,
		berthMapAnswers4: m.Answers4, berthMapAnswers6: m.Answers6,
		berthMapAnswersarp: m.AnswersARP, berthMapAnswersnd: m.AnswersND,
		berthMapAnswerers: m.Answerers,
	}
}

type programs struct {
	FromGuest *ebpf.Program `ebpf:"from_guest"`
	ToGuest   *ebpf.Program `ebpf:"to_guest"`

	DHCP4 *ebpf.Program `ebpf:"answer_dhcp4"`
	DHCP6 *ebpf.Program `ebpf:"answer_dhcp6"`
	ARP   *ebpf.Program `ebpf:"answer_arp"`
	NS    *ebpf.Program `ebpf:"answer_ns"`
	RS    *ebpf.Program `ebpf:"answer_rs"`
}

// answerers are the programs that answer, by what a frame was taken for.
func (p *programs) answerers() map[reason.Reason]*ebpf.Program {
	return map[reason.Reason]*ebpf.Program{
		reason.DHCP4: p.DHCP4, reason.DHCP6: p.DHCP6,
		reason.ARPRequest: p.ARP, reason.NeighbourSolicit: p.NS, reason.RouterSolicit: p.RS,
	}
}

// Open loads the program under dir, taking over the maps and links that an
// earlier process pinned there. A program of another build is replaced in
// place, without an unfiltered instant, also where that one's maps had an older
// layout.
func Open(dir string) (*Kernel, error) {
	k := newKernel(dir)
	if err := k.survey(); err != nil {
		return nil, err
	}
	for _, step := range k.opening() {
		if err := step(); err != nil {
			return nil, errors.Join(err, k.giveUp())
		}
	}
	return k, nil
}

func newKernel(dir string) *Kernel {
	return &Kernel{dir: filepath.Join(dir, layout), sets: map[uint32]bool{}, takeover: takeover{root: dir}}
}

// opening are the steps of Open behind the survey. Whichever is the last before
// the process ends, what was guarded is, and the next Open completes it.
func (k *Kernel) opening() []func() error {
	return []func() error{k.load, k.inherit, k.publish, k.take, k.prepare, k.adopt, k.clear}
}

// prepare finds out what the kernel has.
func (k *Kernel) prepare() (err error) {
	if k.nl, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	for d := range directions {
		info, err := k.program(d).Info()
		if err != nil {
			return fmt.Errorf("read program: %w", err)
		}
		id, ok := info.ID()
		if !ok {
			return errors.New("this kernel gives programs no number")
		}
		k.ids[d] = id
	}
	k.tcx = haveTCX(k.progs.FromGuest)
	return nil
}

func checkBPFFS(dir string) error {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return fmt.Errorf("look at %s: %w", dir, err)
	}
	if fs.Type != unix.BPF_FS_MAGIC {
		return fmt.Errorf("%s is not a bpf file system: mount it with `mount -t bpf bpf %s`", dir, dir)
	}
	return nil
}

func (k *Kernel) load() error {
	// Kernels before 5.11 charge maps to RLIMIT_MEMLOCK.
	if err := rlimit.RemoveMemlock(); err != nil {
		return fmt.Errorf("raise RLIMIT_MEMLOCK: %w", err)
	}
	if err := os.RemoveAll(filepath.Join(k.root, filling)); err != nil {
		return fmt.Errorf("remove what an interrupted start left: %w", err)
	}
	if err := os.MkdirAll(k.mapDir(), 0o700); err != nil {
		return fmt.Errorf("make pin directory: %w", err)
	}
	spec, err := loadBerth()
	if err != nil {
		return fmt.Errorf("read the kernel program: %w", err)
	}
	for name, m := range spec.Maps {
		if _, ours := k.maps.all()[name]; ours { // not the compiler's, such as .rodata
			m.Pinning = ebpf.PinByName
		}
	}
	var objs struct {
		maps
		programs
	}
	opts := &ebpf.CollectionOptions{Maps: ebpf.MapOptions{PinPath: k.mapDir()}}
	if err := spec.LoadAndAssign(&objs, opts); err != nil {
		return fmt.Errorf("load the kernel program: %w", err)
	}
	k.maps, k.progs = objs.maps, objs.programs
	return nil
}

// Close lets go of everything; what is pinned stays in force.
func (k *Kernel) Close() error {
	var errs []error
	if k.nl != nil {
		k.nl.Close()
	}
	for _, m := range k.maps.all() {
		errs = append(errs, m.Close())
	}
	errs = append(errs, k.progs.FromGuest.Close(), k.progs.ToGuest.Close())
	for _, p := range k.progs.answerers() {
		errs = append(errs, p.Close())
	}
	return errors.Join(errs...)
}

// TCX reports whether this kernel has tcx (6.6 and later).
func (k *Kernel) TCX() bool { return k.tcx }

// haveTCX tells a kernel without tcx from one that only refuses the
// interface, which does not exist.
func haveTCX(p *ebpf.Program) bool {
	_, err := link.AttachTCX(link.TCXOptions{
		Interface: 0x7fffffff, Program: p, Attach: ebpf.AttachTCXIngress,
	})
	return !errors.Is(err, ebpf.ErrNotSupported)
}
