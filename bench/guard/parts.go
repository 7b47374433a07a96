package main

import (
	"bytes"
	"fmt"
	"os/exec"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
)

// Parts say where the cost of berth goes: what a hook costs that does nothing,
// and berth with one of its two locks.

// nothing is a chain without rules at the hook where all of them begin.
func nothing([]port) string {
	return "table bridge nothing {\nchain from {\ntype filter hook prerouting priority filter; policy accept;\n}\n}\n"
}

// program is a kernel program at each NIC's tc ingress that passes everything.
type program struct{ links []link.Link }

const tcxNext = -1 // TCX_NEXT: no opinion

func (p *program) arm(s *site) error {
	empty, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.SchedCLS, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, tcxNext), asm.Return()},
	})
	if err != nil {
		return err
	}
	defer func() { _ = empty.Close() }() // the links hold it
	return s.host.do(func() error {
		for _, at := range s.ports {
			if err := p.attach(empty, at.name); err != nil {
				return fmt.Errorf("attach to %s: %w", at.name, err)
			}
		}
		return nil
	})
}

func (p *program) attach(empty *ebpf.Program, name string) error {
	index, err := linkIndex(name)
	if err != nil {
		return err
	}
	l, err := link.AttachTCX(link.TCXOptions{Interface: index, Program: empty, Attach: ebpf.AttachTCXIngress})
	if err == nil {
		p.links = append(p.links, l)
	}
	return err
}

func (*program) run(bool) error { return nil }
func (*program) close() error   { return nil } // the links end with this process

// oneLock is berth without its second lock, the table that drops what no
// guard has marked. The daemon, which would arm it again, stays stopped.
type oneLock struct{ *berth }

func (o oneLock) arm(s *site) error {
	if err := o.berth.arm(s); err != nil {
		return err
	}
	return s.host.do(func() error {
		if out, err := exec.Command("nft", "flush", "ruleset").CombinedOutput(); err != nil {
			return fmt.Errorf("nft: %w: %s", err, bytes.TrimSpace(out))
		}
		return nil
	})
}

func (oneLock) run(bool) error { return nil }
