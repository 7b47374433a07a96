package main

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// attachReflector attaches the least that can answer: a program at the ingress of an
// interface that sends every frame back as it came. It lasts as long as the
// interface; what it costs is what nobody can do without.
func attachReflector(name string) error {
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "reflect", Type: ebpf.SchedCLS, License: "MIT",
		Instructions: asm.Instructions{
			asm.LoadMem(asm.R1, asm.R1, 40, asm.Word), // __sk_buff.ifindex
			asm.Mov.Imm(asm.R2, 0),                    // to its egress
			asm.FnRedirect.Call(),
			asm.Return(),
		},
	})
	if err != nil {
		return fmt.Errorf("load the reflector: %w", err)
	}
	defer func() { _ = prog.Close() }()
	return clsact(name, prog)
}

// attachEnd ends every frame at the ingress of an interface, behind the packet
// sockets: the generator has seen it there. Else the guest's own IP stack would look
// for a route for each answer to its MAC, and for none that the reflector sends back.
func attachEnd(name string) error {
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "end", Type: ebpf.SchedCLS, License: "MIT",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, tcShot), asm.Return()},
	})
	if err != nil {
		return fmt.Errorf("load the end: %w", err)
	}
	defer func() { _ = prog.Close() }()
	return clsact(name, prog)
}

const tcShot = 2 // TC_ACT_SHOT

// clsact attaches as every supported kernel can.
func clsact(name string, prog *ebpf.Program) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	index := l.Attrs().Index
	qdisc := &netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
	}}
	filter := &netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: index, Parent: netlink.HANDLE_MIN_INGRESS, Handle: 1, Protocol: unix.ETH_P_ALL, Priority: 1,
		},
		Fd: prog.FD(), Name: "answers", DirectAction: true,
	}
	return errors.Join(netlink.QdiscAdd(qdisc), netlink.FilterAdd(filter))
}

// programsOf returns the programs at an interface's tc hooks, of either kind.
func programsOf(name string) ([]ebpf.ProgramID, error) {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return nil, err
	}
	var ids []ebpf.ProgramID
	for _, at := range []ebpf.AttachType{ebpf.AttachTCXIngress, ebpf.AttachTCXEgress} {
		r, err := link.QueryPrograms(link.QueryOptions{Target: l.Attrs().Index, Attach: at})
		if errors.Is(err, ebpf.ErrNotSupported) || errors.Is(err, unix.EINVAL) {
			continue // before Linux 6.6
		}
		if err != nil {
			return nil, fmt.Errorf("programs of %s: %w", name, err)
		}
		for _, p := range r.Programs {
			ids = append(ids, p.ID)
		}
	}
	for _, parent := range []uint32{netlink.HANDLE_MIN_INGRESS, netlink.HANDLE_MIN_EGRESS} {
		filters, err := netlink.FilterList(l, parent)
		if err != nil {
			continue // no clsact
		}
		for _, f := range filters {
			if b, ok := f.(*netlink.BpfFilter); ok {
				ids = append(ids, ebpf.ProgramID(b.Id))
			}
		}
	}
	return ids, nil
}

// runTime adds up how long the kernel has run programs while statistics were
// on, in nanoseconds. What they call by tail call is in it.
func runTime(ids []ebpf.ProgramID) (ns uint64, err error) {
	for _, id := range ids {
		p, err := ebpf.NewProgramFromID(id)
		if err != nil {
			return 0, err
		}
		s, err := p.Stats()
		if err = errors.Join(err, p.Close()); err != nil {
			return 0, err
		}
		ns += uint64(s.Runtime.Nanoseconds())
	}
	return ns, nil
}
