package datapath

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/berth-net/berth/internal/guard"
	"github.com/berth-net/berth/internal/guard/corpus"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/wire"
)

// BenchmarkPrograms says what a frame costs in each program, at best and less
// what the kernel needs to run a program that does nothing.
func BenchmarkPrograms(b *testing.B) {
	o := newOracle(b)
	binding := corpus.Binding()
	o.use(guard.Compile(binding).On(binding, guard.Site{Segment: 7, ServerID: corpus.G4}))
	empty := nothing(b)
	for _, c := range []struct {
		name string
		*ebpf.Program
		frame []byte
	}{
		{"from guest, UDP", o.k.progs.FromGuest, datagram(corpus.M, corpus.B, corpus.M4, corpus.B4)},
		{"from guest, UDP over IPv6", o.k.progs.FromGuest, corpus.From6(corpus.M6)},
		{"from guest, TCP", o.k.progs.FromGuest, segment(datagram(corpus.M, corpus.B, corpus.M4, corpus.B4))},
		{"from guest, ARP", o.k.progs.FromGuest, corpus.AskARP(corpus.M4, corpus.B4)},
		{"to guest, UDP", o.k.progs.ToGuest, datagram(corpus.B, corpus.M, corpus.B4, corpus.M4)},
	} {
		b.Run(c.name, func(b *testing.B) {
			took, none := time.Hour, time.Hour
			for b.Loop() {
				took = min(took, runs(b, c.Program, &ebpf.RunOptions{Data: c.frame, Repeat: repeat}))
				none = min(none, runs(b, empty, &ebpf.RunOptions{Data: c.frame, Repeat: repeat}))
			}
			b.ReportMetric(float64((took-none).Nanoseconds())/repeat, "ns/frame")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkAnswers says what an exchange costs in the programs: from_guest, what
// answers, and to_guest. Each run begins by making the frame the request again;
// less what that costs with a program behind it that does nothing.
func BenchmarkAnswers(b *testing.B) {
	k := openKernel(b)
	newAnswerOracle4(b, k, withoutLimits(func(*nic.Binding) {}))
	id, own := corpus.G4.AsSlice(), corpus.M4
	usual := cat([]byte{57, 2, 5, 220, 55, 10, 1, 3, 6, 15, 26, 28, 42, 58, 59, 121, 61, 7, 1}, corpus.M[:])
	for _, c := range []struct {
		name  string
		frame []byte
	}{
		{"DHCPDISCOVER", client4{kind: 1, options: usual}.frame()},
		{"DHCPREQUEST, selecting", client4{kind: 3, options: cat([]byte{54, 4}, id, []byte{50, 4}, own.AsSlice(), usual)}.frame()},
		{"DHCPREQUEST, renewing", client4{kind: 3, ciaddr: own, options: usual}.frame()},
	} {
		b.Run(c.name, func(b *testing.B) { answered(b, k, c.frame) })
	}
}

// answered measures one kind of exchange.
func answered(b *testing.B, k *Kernel, frame []byte) {
	b.Helper()
	asked, empty := anew(b, frame, k.progs.FromGuest), anew(b, frame, nothing(b))
	reply := ebpf.RunOptions{Context: skBuff{Mark: ReplyMark, IngressIfindex: lo, Ifindex: lo}, Repeat: repeat}
	reply.Data = make([]byte, 2048)
	runs(b, asked, &ebpf.RunOptions{Data: frame, DataOut: reply.Data, Repeat: 1})
	took, none, leaving := time.Hour, time.Hour, time.Hour
	for b.Loop() {
		took = min(took, runs(b, asked, &ebpf.RunOptions{Data: frame, Repeat: repeat}))
		none = min(none, runs(b, empty, &ebpf.RunOptions{Data: frame, Repeat: repeat}))
		leaving = min(leaving, runs(b, k.progs.ToGuest, &reply))
	}
	b.ReportMetric(float64((took-none).Nanoseconds())/repeat, "ns/request")
	b.ReportMetric(float64(leaving.Nanoseconds())/repeat, "ns/reply")
	b.ReportMetric(0, "ns/op")
}

// nothing is a program that lets all pass.
func nothing(b *testing.B) *ebpf.Program {
	b.Helper()
	return classifier(b, asm.Instructions{asm.Mov.Imm(asm.R0, -1), asm.Return()})
}

func classifier(b *testing.B, code asm.Instructions) *ebpf.Program {
	b.Helper()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, License: "GPL", Instructions: code})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = p.Close() })
	return p
}

// anew makes a frame what it was, and goes on with another program.
func anew(b *testing.B, frame []byte, next *ebpf.Program) *ebpf.Program {
	b.Helper()
	frames := onlyEntry(b, ebpf.Array, frame)
	jump := onlyEntry(b, ebpf.ProgramArray, binary.NativeEndian.AppendUint32(nil, uint32(next.FD())))
	return classifier(b, asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.Mov.Imm(asm.R2, int32(len(frame))),
		asm.Mov.Imm(asm.R3, 0),
		asm.FnSkbChangeTail.Call(),
		asm.StoreImm(asm.RFP, -4, 0, asm.Word),
		asm.LoadMapPtr(asm.R1, frames.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -4),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "out"),
		asm.Mov.Reg(asm.R3, asm.R0),
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.Mov.Imm(asm.R2, 0),
		asm.Mov.Imm(asm.R4, int32(len(frame))),
		asm.Mov.Imm(asm.R5, 0),
		asm.FnSkbStoreBytes.Call(),
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.LoadMapPtr(asm.R2, jump.FD()),
		asm.Mov.Imm(asm.R3, 0),
		asm.FnTailCall.Call(),
		asm.Mov.Imm(asm.R0, 2).WithSymbol("out"),
		asm.Return(),
	})
}

// onlyEntry is a table that has one.
func onlyEntry(b *testing.B, kind ebpf.MapType, value []byte) *ebpf.Map {
	b.Helper()
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: kind, KeySize: 4, ValueSize: uint32(len(value)), MaxEntries: 1})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = m.Close() })
	if err := m.Put(uint32(0), value); err != nil {
		b.Fatal(err)
	}
	return m
}

// repeat is short of a slice of the scheduler's, so that most of the time
// nobody else's comes in between.
const repeat = 5000

// runs is what many runs of a program take.
func runs(b *testing.B, p *ebpf.Program, opts *ebpf.RunOptions) time.Duration {
	b.Helper()
	start := time.Now()
	ret, err := p.Run(opts)
	if err != nil || int32(ret) != -1 && ret != tcRedirect {
		b.Fatalf("verdict %d, %v; want it to pass or to be answered", int32(ret), err)
	}
	return time.Since(start)
}

func datagram(src, dst nic.MAC, from, to netip.Addr) []byte {
	return wire.AppendUDP4(nil, wire.UDP4{
		EthSrc: src, EthDst: dst, Src: from, Dst: to, SrcPort: 40000, DstPort: 9, Payload: make([]byte, 18),
	})
}

// segment makes a datagram a TCP segment; nobody looks at its header.
func segment(f []byte) []byte {
	f[14+9] = 6
	binary.BigEndian.PutUint16(f[14+10:], 0)
	return f
}
